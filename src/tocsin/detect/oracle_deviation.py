"""A source whose price is not that of the others: an oracle that is off the market, or a market that is off the rest.

Held against the median of all independent sources of the price, three at least: two that differ tell that one is wrong
and not which. An aggregator may differ by as much as makes it answer (`deviation` of the feed) without being wrong.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tocsin.chain.consensus import Consensus, agreed
from tocsin.detect.base import ChainDetector
from tocsin.detect.oracle_base import feed_evidence, read_feeds, sources
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.price import percent
from tocsin.model.view import ChainView

ID = "oracle.deviation"
_UNIT = "basis points"


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleDeviationParams:
    """In basis points off the median; by as much more as a feed's own threshold."""

    warning: Over | None = Over(over=100, polls=3)
    critical: Over | None = Over(over=300, polls=3)
    clear: Under = Under(under=70, polls=3)


def oracle_deviation(view: ChainView, params: OracleDeviationParams) -> Iterator[Finding]:
    """Yield one finding per source that is off the median of at least three; `value` in basis points."""
    known = {prices: agreed(view.quotes, prices) for prices in sorted({one.prices for one in view.quotes})}
    for one, latest in read_feeds(view):
        found = known.get(one.settings.prices)
        if found is None or one.seen.problem:
            continue
        limits = _limits(params, one.settings.deviation_bps)
        for off in _off(found, latest.value, limits):
            evidence = {**feed_evidence(one), **_beside(view, found)}
            yield Finding(
                detector=ID,
                labels=one.labels,
                value=off,
                unit=_UNIT,
                limits=limits,
                sample=one.seen.samples,
                summary=_said(one.settings.name, latest.value, off, found),
                grade=latest.grade,
                block=latest.block,
                evidence=evidence,
            )
    yield from _gateways(view, params, known)


def _gateways(view: ChainView, params: OracleDeviationParams, known: Mapping[str, Consensus]) -> Iterator[Finding]:
    usable = {one.source for one in view.quotes if one.is_gateway and one.is_usable}
    for gateway in view.gateways:
        name, price = gateway.settings.name, gateway.seen.price
        found = known.get(gateway.settings.prices)
        if found is None or name not in usable:
            continue
        limits = _limits(params, 0)
        for off in _off(found, price, limits):
            evidence = {"gateway": name, "endpoint": gateway.settings.endpoint, "value": price}
            yield Finding(
                detector=ID,
                labels=gateway.labels,
                value=off,
                unit=_UNIT,
                limits=limits,
                sample=gateway.seen.polls,
                summary=_said(f"price gateway {name}", price, off, found),
                grade=Grade.UNCORROBORATED,
                evidence={**evidence, **_beside(view, found)},
            )


def _off(found: Consensus, price: str, limits: Limits) -> Iterator[int]:
    """Yield by how much a price is off, where that is worth a finding."""
    off = found.off_bps(price)
    if off is not None and off >= limits.clear.under:
        yield off


def _beside(view: ChainView, found: Consensus) -> dict[str, object]:
    return {"sources": sources(view, found.prices), "median": found.value, "voices": found.voices}


def _said(name: str, price: str, off: int, found: Consensus) -> str:
    said = f"{name} says {price} for {found.prices}, {percent(off)} off the median"
    return f"{said} {found.value} of {found.voices}"


def _limits(params: OracleDeviationParams, more: int) -> Limits:
    return Limits(
        warning=_more(params.warning, more),
        critical=_more(params.critical, more),
        clear=replace(params.clear, under=params.clear.under + more),
    )


def _more(limit: Over | None, more: int) -> Over | None:
    return None if limit is None else replace(limit, over=limit.over + more)


DETECTOR = ChainDetector(id=ID, params=OracleDeviationParams, run=oracle_deviation, everywhere=True)
