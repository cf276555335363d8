"""A price that should be another one and is not: a stablecoin off its dollar, a staked token off what it stands for.

The oracle and the market are both held against the `peg`, and the one that is further off counts: the market falls
first, and an oracle that is capped, or slow, goes on saying the peg while positions on it are worth less. The market
counts by the median of three independent sources at least; with fewer, only the feed itself does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.chain.consensus import agreed
from tocsin.detect.base import ChainDetector
from tocsin.detect.oracle_base import feed_evidence, read_feeds, sources
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.feed import Role
from tocsin.model.price import bps, fraction, percent
from tocsin.model.view import ChainView

ID = "oracle.depeg"


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleDepegParams:
    """In basis points off the peg."""

    warning: Over | None = Over(over=100, polls=3)
    critical: Over | None = Over(over=300, polls=3)
    clear: Under = Under(under=70, polls=3)


def oracle_depeg(view: ChainView, params: OracleDepegParams) -> Iterator[Finding]:
    """Yield one finding per feed with a peg that it, or the market, is off; `value` in basis points."""
    for one, latest in read_feeds(view):
        peg = one.settings.peg
        if not peg:
            continue
        market = agreed(view.quotes, one.settings.prices, Role.MARKET).value
        said = {"oracle": latest.value, **({} if market is None else {"market": market})}
        off = {who: bps(fraction(price), fraction(peg)) for who, price in said.items()}
        who = max(off, key=lambda name: off[name])
        if off[who] < params.clear.under:
            continue
        told = f"{one.settings.name} says {latest.value}" if who == "oracle" else f"the market says {market}"
        yield Finding(
            detector=ID,
            labels=one.labels,
            value=off[who],
            unit="basis points",
            limits=Limits(warning=params.warning, critical=params.critical, clear=params.clear),
            sample=one.seen.samples,
            summary=f"{told} for {one.settings.prices or one.settings.name}, {percent(off[who])} off the peg of {peg}",
            grade=latest.grade,
            block=latest.block,
            evidence={
                **feed_evidence(one),
                "peg": peg,
                "market": market,
                "off_bps": off,
                "sources": sources(view, one.settings.prices),
            },
        )


DETECTOR = ChainDetector(id=ID, params=OracleDepegParams, run=oracle_depeg, everywhere=True)
