"""Accounts of a market that can be liquidated: one alert with their number, however many they are.

A crash brings thousands below the line in one block. Ten thousand alerts would tell less than one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.market_base import accounts, counted, money, valued, worst
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.market import MarketSample
from tocsin.model.view import ChainView

ID = "risk.liquidatable"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidatableParams:
    """In accounts below the line. Liquidators take most of them within a block or two: what stays is not worth it."""

    warning: Over | None = Over(over=1)
    critical: Over | None = Over(over=100)
    clear: Under = Under(under=1)


def risk_liquidatable(view: ChainView, params: LiquidatableParams) -> Iterator[Finding]:
    """Yield one finding per market; `value` in accounts that are below the line, those that are blocked too."""
    limits = Limits(warning=params.warning, critical=params.critical, clear=params.clear)
    for one in valued(view):
        sample = one.seen.sample
        below = [each for each in sample.near if each.liquidatable]
        yield from counted(one, ID, sample.liquidatable, limits, _said(sample), below)


def _said(sample: MarketSample) -> str:
    owed = sum(int(one.debt) for one in sample.near if one.liquidatable)
    blocked = f", {sample.blocked:,} of them blocked" if sample.blocked else ""
    named = sum(1 for one in sample.near if one.liquidatable)
    whose = "" if named == sample.liquidatable else f" (the {named} least healthy)"
    debt = f", who owe {money(sample, owed)}{whose}" if named else ""
    return f"{accounts(sample.liquidatable)} can be liquidated{blocked}{debt}{worst(sample)}"


DETECTOR = ChainDetector(id=ID, params=LiquidatableParams, run=risk_liquidatable, everywhere=True)
