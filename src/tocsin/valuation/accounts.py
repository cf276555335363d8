"""One account at one block: its health, the price that brings it over the line soonest, and how long it has."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tocsin.errors import TocsinError
from tocsin.model.alert import Exactness
from tocsin.model.market import PPM, AccountSample, Held
from tocsin.protocols.base import WAD, Reach, Region, Verdict
from tocsin.protocols.horizon import YEAR_S, seconds_to_liquidation
from tocsin.risk.columns import Columns
from tocsin.risk.table import Legs
from tocsin.valuation.curve import named
from tocsin.valuation.judging import Judge
from tocsin.valuation.situation import Situation

_MOST_PPM: Final = 10**15
"""Beyond a billion all healths and distances are alike; JSON readers lose integers above 2^53."""


def id_text(account: bytes) -> str:
    """Return an account as it is told: 0x and lower-case digits."""
    return f"0x{account.hex()}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Teller:
    """Tells of accounts of one situation."""

    of: Situation
    judge: Judge
    columns: Columns
    prices: Mapping[bytes, int | None]

    def told(self, account: bytes) -> AccountSample:
        """Return health and sums of an account, by exact rules, or why they are not known."""
        verdict = self.judge.verdict(account)
        if isinstance(verdict, str):
            return unknown(account, verdict)
        return of_verdict(account, verdict, Exactness(self.of.rules.exactness.of_verdicts))

    def priced(self, sample: AccountSample) -> AccountSample:
        """Return a sample with the asset whose price brings the account over the line soonest, if one can."""
        account = bytes.fromhex(sample.account[2:])
        nearest: tuple[int, str, Region] | None = None
        for name in self._assets(account):
            asset = bytes.fromhex(name[2:])
            price, region = self.prices.get(asset), self._region(account, asset)
            if not price or region is None or region.edge is None:
                continue
            distance = (region.edge - price) * PPM
            distance = distance // price if distance >= 0 else -(-distance // price)
            if abs(distance) <= _MOST_PPM and (nearest is None or abs(distance) < abs(nearest[0])):
                nearest = distance, name, region
        if nearest is None:
            return sample
        distance, name, region = nearest
        return replace(sample, asset=named(self.of.parts, name), price=str(region.edge), distance_ppm=distance)

    def timed(self, sample: AccountSample) -> AccountSample:
        """Return a sample with how long interest takes to bring the account over the line, if within a year."""
        of = self.of
        known = of.accounts.get(bytes.fromhex(sample.account[2:]))
        if known is None or sample.health_ppm is None:
            return sample
        try:
            seconds = seconds_to_liquidation(of.rules, of.market, known, of.time_s, YEAR_S)
        except TocsinError:
            return sample
        return replace(sample, seconds_left=seconds)

    def held(self, sample: AccountSample) -> AccountSample:
        """Return a sample with what the account has and owes of each asset, in base units, cut."""
        legs = self._legs(bytes.fromhex(sample.account[2:]))
        if legs is None:
            return sample
        found: dict[str, list[int]] = {}
        for side, of in ((0, legs.collateral), (1, legs.debt)):
            for at, amount in of.items():
                column = self.columns.all[at]
                factor = column.debt if side else column.raw
                values = found.setdefault(named(self.of.parts, column.asset), [0, 0])
                values[side] += 0 if factor is None else amount * factor.numerator // factor.denominator
        each = tuple(Held(asset=name, collateral=str(has), debt=str(owes)) for name, (has, owes) in found.items())
        return replace(sample, held=each)

    def _assets(self, account: bytes) -> tuple[str, ...]:
        legs = self._legs(account)
        places = () if legs is None else (*legs.collateral, *legs.debt)
        return tuple(dict.fromkeys(self.columns.all[at].asset for at in places))

    def _legs(self, account: bytes) -> Legs | None:
        row = self.of.book.row(account)
        return None if row is None else self.of.book.legs(row)

    def _region(self, account: bytes, asset: bytes) -> Region | None:
        of = self.of
        try:
            found = of.rules.critical_price(of.market, of.accounts[account], asset, of.time_s)
        except TocsinError:
            return None
        return found if found.reach in (Reach.BELOW, Reach.ABOVE) else None


def of_verdict(account: bytes, verdict: Verdict, exactness: Exactness) -> AccountSample:
    """Return what a verdict says, in the units of a sample."""
    health = verdict.health_wad
    return AccountSample(
        account=id_text(account),
        health_ppm=None if health is None else min(health * PPM // WAD, _MOST_PPM),
        collateral=str(verdict.collateral_base),
        debt=str(verdict.debt_base),
        liquidatable=verdict.liquidatable,
        blocked=verdict.blocked if verdict.liquidatable else "",
        exactness=exactness,
    )


def unknown(account: bytes, reason: str) -> AccountSample:
    """Return a sample of an account of which nothing is known, and why."""
    return AccountSample(
        account=id_text(account),
        health_ppm=None,
        collateral="0",
        debt="0",
        liquidatable=None,
        exactness=Exactness.UNVERIFIED,
        unknown=reason or "it is not known why",
    )


def order(sample: AccountSample) -> tuple[Any, ...]:
    """Return what samples are sorted by: the least healthy first, unknown ones last."""
    return (sample.liquidatable is None, sample.health_ppm is None, sample.health_ppm or 0, sample.account)
