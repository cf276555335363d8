"""How balances grow between two touches: indexes carried forward to a time, as the contracts do it in a call."""

from tocsin.protocols.aave_v3.market import RAY
from tocsin.protocols.aave_v3.revisions import Growth
from tocsin.protocols.integers import fitting

YEAR_S = 365 * 86_400


def ray_mul(left: int, right: int) -> int:
    """Return a product of ray, rounded half up. Raises UnknownStateError where the contracts overflow."""
    return fitting(left * right + RAY // 2) // RAY


def linear(rate: int, seconds: int) -> int:
    """Return the growth of supplies: rate of a year, simple interest."""
    return RAY + rate * seconds // YEAR_S


def compound(growth: Growth, rate: int, seconds: int) -> int:
    """Return the growth of debts by the first terms of a series."""
    if seconds == 0:
        return RAY
    return _binomial(rate, seconds) if growth is Growth.BINOMIAL else _exponential(rate, seconds)


def _binomial(rate: int, seconds: int) -> int:
    square = ray_mul(rate, rate) // YEAR_S**2
    cube = ray_mul(square, rate) // YEAR_S
    second = seconds * (seconds - 1) * square // 2
    third = seconds * (seconds - 1) * max(seconds - 2, 0) * cube // 6
    return RAY + rate * seconds // YEAR_S + second + third


def _exponential(rate: int, seconds: int) -> int:
    part = rate * seconds // YEAR_S
    return RAY + part + ray_mul(part, part // 2 + ray_mul(part, part // 6))


def supply_index(index: int, rate: int, seconds: int) -> int:
    """Return the index of supplies, so many seconds after it was stored."""
    return index if seconds == 0 else ray_mul(linear(rate, seconds), index)


def debt_index(growth: Growth, index: int, rate: int, seconds: int) -> int:
    """Return the index of variable debts, so many seconds after it was stored."""
    return index if seconds == 0 else ray_mul(compound(growth, rate, seconds), index)
