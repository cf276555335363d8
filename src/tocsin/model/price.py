"""Prices as exact decimal numbers: as text where they are kept and told, as fractions where they are compared.

No float: 0.1 stays 0.1, and what two machines make of one answer is the same. Differences are told in basis points,
hundredths of a per cent, rounded down.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Final

BPS: Final = 10_000
"""Basis points in one."""
MOST_DIGITS: Final = 78
"""As many as 2^256 - 1 has: no longer number is one of a contract, nor a price."""
FAREST: Final = 1_000_000
"""Basis points beyond which a difference is not told any more exactly: a hundred times the price."""

_DECIMAL: Final = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,3}))?")
_SIGNIFICANT: Final = 18


def exact(number: int, decimals: int) -> str:
    """Return an integer that counts units of 10^-decimals as a decimal number, without zeros that say nothing."""
    sign, digits = "-" if number < 0 else "", str(abs(number)).rjust(decimals + 1, "0")
    whole, fraction = (digits[:-decimals], digits[-decimals:].rstrip("0")) if decimals else (digits, "")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def decimal(text: str) -> str | None:
    """Return a decimal number, also one with an exponent, in the one way that it is kept; None for any other text."""
    found = _DECIMAL.fullmatch(text) if len(text) <= 2 * MOST_DIGITS else None
    if found is None:
        return None
    sign, whole, fraction, exponent = found.groups()
    fraction, shift = fraction or "", int(exponent or 0)
    if len(whole) + len(fraction) + abs(shift) > MOST_DIGITS:
        return None
    number = int(f"{sign}{whole}{fraction}") * 10 ** max(0, shift - len(fraction))
    return exact(number, max(0, len(fraction) - shift))


@lru_cache(maxsize=4096)
def fraction(text: str) -> Fraction:
    """Return the number that a text of this module is. Raises ValueError for any other text."""
    known = decimal(text)
    if known is None:
        raise ValueError(f"{text[:64]!r} is no decimal number")
    return Fraction(known)


def rounded(number: Fraction) -> str:
    """Return a ratio, rounded down to 18 significant digits: more than any pool or feed means."""
    if number == 0:
        return "0"
    size = abs(number)
    # The exponent of its first digit, off by at most one, which costs a digit at most.
    first = len(str(size.numerator)) - len(str(size.denominator))
    decimals = max(0, _SIGNIFICANT - first)
    return exact((number * 10**decimals).__floor__(), decimals)


def bps(part: Fraction, whole: Fraction) -> int:
    """Return by how much two prices differ, in basis points of the second, at most `FAREST`; that without a second."""
    if whole <= 0:
        return 0 if part == whole else FAREST
    return min(FAREST, int(abs(part - whole) * BPS / whole))


def median(numbers: Sequence[Fraction]) -> Fraction:
    """Return the middle one of some numbers, at least one; of an even number of them the mean of the middle two."""
    ranked = sorted(numbers)
    low, high = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
    return (low + high) / 2


def percent(points: int) -> str:
    """Say basis points as per cent: 50 as 0.5 %."""
    return f"{exact(points, 2)} %"
