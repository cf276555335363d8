"""What detectors of markets say alike: which valuations count, what is not known of them, and amounts in words."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tocsin.model.alert import Exactness, Finding, Grade, Json, Labels, Limits
from tocsin.model.market import AccountSample, AccountSettings, MarketSample, MarketView, account_labels
from tocsin.model.marketrows import account, fitting, ratio
from tocsin.model.view import ChainView
from tocsin.units import amount_text

BPS: Final = 10_000
MOST_VALUE: Final = 10**15
"""Of any value: what is more says no more."""
_ROOM: Final = 12_000
"""Bytes of evidence that name accounts."""
_WORST_LAST: Final = (Exactness.EXACT, Exactness.CHAIN, Exactness.SCREENED, Exactness.UNVERIFIED)


def valued(view: ChainView) -> Iterator[MarketView]:
    """Yield the markets whose valuation is of now. Of the others nothing is said: their alerts become unknown."""
    return (one for one in view.markets if one.is_current)


def is_whole(sample: MarketSample) -> bool:
    """Tell whether nothing is missing: where accounts are unknown, a count of others is a lower bound."""
    return not sample.unknown


def least_known(*known: Exactness) -> Exactness:
    """Return how several things together are known."""
    return max(known, key=_WORST_LAST.index)


def exactness_of(sample: MarketSample, at_best: Exactness = Exactness.EXACT) -> Exactness:
    """Return how a number of a market is known; none is exact while the chain says otherwise of an account."""
    doubted = [Exactness.UNVERIFIED] if sample.mismatches else []
    partly = [] if is_whole(sample) else [Exactness.SCREENED]
    return least_known(sample.exactness, at_best, *doubted, *partly)


def finding(
    one: MarketView,
    detector: str,
    value: int,
    unit: str,
    limits: Limits,
    summary: str,
    *,
    evidence: Json,
    exactness: Exactness | None,
    labels: Labels | None = None,
    sample: int | None = None,
) -> Finding:
    """Return a finding about a market, or about an account of it."""
    of = one.seen.sample
    return Finding(
        detector=detector,
        labels=one.labels if labels is None else labels,
        value=min(value, MOST_VALUE),
        unit=unit,
        limits=limits,
        sample=one.seen.number if sample is None else sample,
        summary=f"{one.settings.name}: {summary}",
        grade=of.grade or Grade.UNCORROBORATED,
        block=of.block,
        exactness=exactness,
        evidence={"market": one.settings.name, "kind": one.settings.kind, "pool": one.settings.pool, **evidence},
    )


def counted(
    one: MarketView,
    detector: str,
    value: int,
    limits: Limits,
    summary: str,
    named: Iterable[AccountSample],
    *,
    unit: str = "accounts",
    at_best: Exactness = Exactness.EXACT,
    also: dict[str, Any] | None = None,
) -> Iterator[Finding]:
    """Yield a finding that counts something of a market, with the accounts that it names.

    Nothing where less would be clear and something is not known: what is missing may be the rest of it.
    """
    sample = one.seen.sample
    if value < limits.clear.under and not is_whole(sample):
        return
    evidence: dict[str, Any] = {"revision": sample.revision, "base": sample.base, "decimals": sample.base_decimals}
    if value:
        evidence |= {**(also or {}), "accounts": fitting(map(account, named), _ROOM)}
    yield finding(
        one,
        detector,
        value,
        unit,
        limits,
        summary if is_whole(sample) else f"{summary}; of {sample.unknown} accounts it is not known",
        evidence=evidence,
        exactness=exactness_of(sample, at_best),
    )


# -- accounts of one's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """An account of one's own in a market that is valued."""

    market: MarketView
    settings: AccountSettings
    labels: Labels
    sample: AccountSample | None
    """None where it has no position."""

    @property
    def exactness(self) -> Exactness:
        """How what is said of it is known."""
        of = self.market.seen.sample
        known = Exactness.EXACT if self.sample is None else self.sample.exactness
        doubted = [Exactness.UNVERIFIED] if of.mismatches else []
        return least_known(of.exactness, known, *doubted)

    def finding(self, detector: str, value: int, unit: str, limits: Limits, summary: str) -> Finding:
        """Return a finding about it."""
        return finding(
            self.market,
            detector,
            value,
            unit,
            limits,
            f"{self.settings.name} {summary}",
            labels=self.labels,
            exactness=self.exactness,
            evidence={
                "name": self.settings.name,
                "base": self.market.seen.sample.base,
                "decimals": self.market.seen.sample.base_decimals,
                **({} if self.sample is None else account(self.sample)),
            },
        )


def owned(view: ChainView) -> Iterator[Own]:
    """Yield the accounts of one's own of which it is known how they stand."""
    for one in valued(view):
        known = {each.account: each for each in one.seen.sample.watched}
        for settings in one.settings.watched:
            sample = known.get(settings.address)
            if sample is None or sample.liquidatable is not None:
                labels = account_labels(one.labels, settings.name)
                yield Own(market=one, settings=settings, labels=labels, sample=sample)


# -- words


def accounts(count: int) -> str:
    """Say a number of accounts."""
    return "1 account" if count == 1 else f"{count:,} accounts"


def money(sample: MarketSample, units: int) -> str:
    """Say an amount of a market in what it counts in, cut to whole ones where there are any."""
    whole, _, behind = amount_text(units, sample.base_decimals).partition(".")
    said = f"{int(whole):,}" if int(whole) or not behind else f"0.{behind[:6]}"
    return f"{said} {sample.base}".rstrip()


def percent(bps: int) -> str:
    """Say basis points, at least 0."""
    return f"{bps // 100}.{bps % 100:02d} %"


def move(ppm: int) -> str:
    """Say by how much a price has to move."""
    return f"{'+' if ppm > 0 else '-'}{percent(abs(ppm) // 100)}"


def worst(sample: MarketSample) -> str:
    """Say who is nearest to the line, or farthest below it."""
    first = next((one for one in sample.near if one.health_ppm is not None), None)
    return "" if first is None else f"; least healthy {first.account} at {ratio(first.health_ppm or 0)}"
