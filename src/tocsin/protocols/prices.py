"""At which prices a test begins or ends to hold: integers only, by halving where it is monotone, else one by one."""

from collections.abc import Callable, Iterable

from tocsin.protocols.base import Reach, Region

LEAST = 1
"""A price of 0 is none: oracles go elsewhere with it, or revert."""
MOST = 2**96
"""Far above any price that an oracle of 18 decimals has shown; beyond it nothing is looked for unless it is said so."""

Test = Callable[[int], bool]


def last_true(test: Test, low: int, high: int) -> int | None:
    """Return the highest number from `low` to `high` for which a test holds that holds up to some number and no more.

    None where it holds for none.
    """
    if low > high or not test(low):
        return None
    low, high = _of_one_length(test, low, high)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if test(middle) else (low, middle - 1)
    return low


def _of_one_length(test: Test, low: int, high: int) -> tuple[int, int]:
    """Return the ends of those numbers that have as many bits as the highest for which a test holds.

    Bounds are far above most prices: their length is found in seven tries, of which halving alone would take sixty.
    """
    least, most = low.bit_length(), high.bit_length()
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if test(1 << (middle - 1)) else (least, middle - 1)
    return max(low, 1 << least >> 1), min(high, (1 << least) - 1)


def first_true(test: Test, low: int, high: int) -> int | None:
    """Return the lowest number from `low` to `high` for which a test holds that holds from some number on.

    None where it holds for none.
    """
    found = last_true(lambda number: not test(number), low, high)
    first = low if found is None else found + 1
    return first if first <= high else None


def falling(asset: bytes, test: Test, most: int = MOST) -> Region:
    """Return the region of a test that holds up to some price; prices above `most` are none."""
    edge = last_true(test, LEAST, most)
    return never(asset) if edge is None else _below(asset, edge, edge, most)


def rising(asset: bytes, test: Test, most: int = MOST) -> Region:
    """Return the region of a test that holds from some price on."""
    edge = first_true(test, LEAST, most)
    return never(asset) if edge is None else _above(asset, edge, edge)


def whole(asset: bytes, *, holds: bool) -> Region:
    """Return the region of a test that no price changes."""
    return Region(asset=asset, reach=Reach.ALWAYS if holds else Reach.NEVER)


def never(asset: bytes) -> Region:
    """Return the region of a test that holds for no price."""
    return whole(asset, holds=False)


def falling_between(asset: bytes, spans: Iterable[tuple[int, int]], sure: int | None) -> Region:
    """Return the region of a test that holds up to `sure` (None: for nothing surely) and within these spans."""
    solid = LEAST - 1 if sure is None else sure
    edge = solid
    for low, high in sorted(spans):
        solid = max(solid, high) if low <= solid + 1 else solid
        edge = max(edge, high)
    return never(asset) if edge < LEAST else _below(asset, edge, solid)


def scanned(asset: bytes, test: Test, low: int, high: int, *, is_below: bool, most: int = MOST) -> Region:
    """Return the region of a test that is sure on both sides of `low` to `high`, and looked at for each in between."""
    held = [price for price in range(low, high + 1) if test(price)]
    missing = sorted(set(range(low, high + 1)) - set(held))
    if is_below:
        edge, solid = (held[-1] if held else low - 1), (missing[0] - 1 if missing else high)
        return never(asset) if edge < LEAST else _below(asset, edge, solid, most)
    edge, solid = (held[0] if held else high + 1), (missing[-1] + 1 if missing else low)
    return never(asset) if edge > most else _above(asset, edge, solid)


def between(asset: bytes, low: int, high: int, *, is_below: bool) -> Region:
    """Return the region of a test that is sure up to `low` and from `high` on, and not known in between."""
    edge, solid = (high, low) if is_below else (low, high)
    reach = Reach.BELOW if is_below else Reach.ABOVE
    return Region(asset=asset, reach=reach, edge=edge, solid=solid, exact=False)


def _below(asset: bytes, edge: int, solid: int, most: int = MOST) -> Region:
    if solid >= most:
        return whole(asset, holds=True)
    return Region(asset=asset, reach=Reach.BELOW, edge=edge, solid=solid)


def _above(asset: bytes, edge: int, solid: int) -> Region:
    if solid <= LEAST:
        return whole(asset, holds=True)
    return Region(asset=asset, reach=Reach.ABOVE, edge=edge, solid=solid)
