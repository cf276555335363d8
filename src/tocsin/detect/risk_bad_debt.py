"""Debt of a market that is not covered: accounts owe more than they have, and nobody has a reason to repay it."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.market_base import accounts, counted, money, valued
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.market import PPM
from tocsin.model.view import ChainView

ID = "risk.bad_debt"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadDebtParams:
    """In millionths of all debt: every old market has some dust that nobody repays."""

    warning: Over | None = Over(over=100)
    critical: Over | None = Over(over=10_000)
    clear: Under = Under(under=80, polls=2)


def risk_bad_debt(view: ChainView, params: BadDebtParams) -> Iterator[Finding]:
    """Yield one finding per market; `value` in millionths of all debt that are not covered."""
    limits = Limits(warning=params.warning, critical=params.critical, clear=params.clear)
    for one in valued(view):
        sample = one.seen.sample
        value = int(sample.bad_debt) * PPM // max(1, int(sample.debt))
        said = (
            f"{accounts(sample.underwater)} owe more than they have: {money(sample, int(sample.bad_debt))} of "
            f"{money(sample, int(sample.debt))} is not covered"
        )
        below = [each for each in sample.near if each.liquidatable is not None and each.is_underwater]
        yield from counted(one, ID, value, limits, said, below, unit="ppm", also={"bad_debt": sample.bad_debt})


DETECTOR = ChainDetector(id=ID, params=BadDebtParams, run=risk_bad_debt, everywhere=True)
