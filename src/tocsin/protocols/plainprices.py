"""At which prices an account of a plain market falls: by halving where one side moves, else by trying near the line."""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Final

from tocsin.protocols.base import Reach, Region
from tocsin.protocols.prices import LEAST, MOST, Test, between, falling, rising, scanned, whole

_TRIED: Final = 2**12
"""Prices that are tried one by one."""
_PER_LEG: Final = 3
"""Base units by which roundings move a leg at most, and then some."""

Side = tuple[bytes, int | None, Fraction, Fraction]
"""A leg: asset, price, what it adds to the margin per unit of the price, and one unit of the token in whole ones."""


def region(asset: bytes, falls: Test, sides: Sequence[Side]) -> Region:
    """Return at which prices of an asset a test holds that follows the sum of these sides but for roundings."""
    mine = [side for side in sides if side[0] == asset and side[2]]
    if not mine:
        return whole(asset, holds=falls(LEAST))
    if all(side[2] > 0 for side in mine):
        return falling(asset, falls)
    if all(side[2] < 0 for side in mine):
        return rising(asset, falls)
    return _both(asset, falls, mine, [side for side in sides if side[0] != asset])


def _both(asset: bytes, falls: Test, mine: Sequence[Side], others: Sequence[Side]) -> Region:
    """Return the region of an asset that is held and owed: its roundings do not move together near the line."""
    slope = sum((side[2] for side in mine), Fraction(0))
    rest = sum((side[2] * (side[1] or 0) for side in others), Fraction(0))
    shake = sum(((side[1] or 0) * side[3] for side in others), Fraction(_PER_LEG * (len(mine) + len(others))))
    wobble = sum((side[3] for side in mine), Fraction(0))
    if abs(slope) <= wobble:
        return _level(asset, falls)
    is_below = slope > 0
    margin, steep = (rest, slope) if is_below else (-rest, -slope)
    # Sure where |slope * price + rest| > shake + wobble * price.
    low = max(floor((-shake - margin) / (steep + wobble)), LEAST)
    high = min(ceil((shake - margin) / (steep - wobble)), MOST)
    if high < LEAST or low > MOST:
        return whole(asset, holds=falls(LEAST if high < LEAST else MOST))
    if high - low < _TRIED:
        return scanned(asset, falls, low, high, is_below=is_below)
    return between(asset, low, high, is_below=is_below)


def _level(asset: bytes, falls: Test) -> Region:
    """Return what can be said where no price changes much: as it is at both ends."""
    ends = falls(LEAST), falls(MOST)
    if ends[0] != ends[1]:
        return between(asset, LEAST, MOST, is_below=ends[0])
    return Region(asset=asset, reach=Reach.ALWAYS if ends[0] else Reach.NEVER, exact=False)
