"""What several sources say of one price: the median of at least three that are independent, and who is off it.

Sources that share a provider are one voice, the median of theirs. Two voices that differ tell that one of them is
wrong and not which, so with fewer than three nothing is concluded. One voice of three or more can say what it likes:
the median stays between what the others say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tocsin.model.feed import Quote, Role
from tocsin.model.price import bps, fraction, median, rounded

LEAST_VOICES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """What is said of one price. `value` is None with fewer than `LEAST_VOICES`; `spread_bps` is among the voices."""

    prices: str
    value: str | None
    voices: int
    spread_bps: int = 0

    def off_bps(self, price: str) -> int | None:
        """Return by how much a price differs from what is agreed, None where nothing is."""
        return None if self.value is None else bps(fraction(price), fraction(self.value))


def agreed(quotes: Iterable[Quote], prices: str, role: Role | None = None) -> Consensus:
    """Return what the usable sources say of one price; with a role, those that have it."""
    voices = _voices(one for one in quotes if one.prices == prices and one.is_usable and role in (None, one.role))
    if not voices:
        return Consensus(prices=prices, value=None, voices=0)
    middle = median(list(voices.values()))
    return Consensus(
        prices=prices,
        value=rounded(middle) if len(voices) >= LEAST_VOICES else None,
        voices=len(voices),
        spread_bps=max(bps(voice, middle) for voice in voices.values()),
    )


def _voices(quotes: Iterable[Quote]) -> Mapping[str, Fraction]:
    said: dict[str, list[Fraction]] = {}
    for one in quotes:
        said.setdefault(one.provider, []).append(fraction(one.value))
    return {provider: median(values) for provider, values in said.items()}
