"""What Morpho Blue counts with: products of 256 bits that are divided by a named direction, and shares of a total.

Every number that a contract could not hold is an error here too: the contracts revert.

Source: MathLib, SharesMathLib and UtilsLib of `@morpho-org/morpho-blue` 1.0.0.
"""

from tocsin.protocols.base import WAD, UnknownStateError

VIRTUAL_SHARES = 10**6
VIRTUAL_ASSETS = 1
"""Of each total there is so much that nobody owns, so that the first to come cannot set the worth of a share."""

_WORD = 2**256
_HALF_WORD = 2**128


class RevertError(UnknownStateError):
    """The contracts revert; the message is their own word where they have one."""


def word(number: int) -> int:
    """Return a number of 256 bits. Raises RevertError for one that is none."""
    if not 0 <= number < _WORD:
        raise RevertError("arithmetic overflow" if number > 0 else "arithmetic underflow")
    return number


def half_word(number: int) -> int:
    """Return a number that is stored in 128 bits. Raises RevertError for one that does not fit."""
    if word(number) >= _HALF_WORD:
        raise RevertError("max uint128 exceeded")
    return number


def stored(number: int) -> int:
    """Return a sum or difference of what is stored in 128 bits. Raises RevertError for one that is no such number."""
    if not 0 <= number < _HALF_WORD:
        raise RevertError("arithmetic overflow" if number > 0 else "arithmetic underflow")
    return number


def mul_div_down(left: int, right: int, by: int) -> int:
    """Return a product divided, rounded down. Raises RevertError where it is too large, or divided by nothing."""
    return word(left * right) // _divisor(by)


def mul_div_up(left: int, right: int, by: int) -> int:
    """Return a product divided, rounded up. Raises RevertError."""
    return word(word(left * right) + _divisor(by) - 1) // by


def _divisor(by: int) -> int:
    if by == 0:
        raise RevertError("division by zero")
    return by


def w_mul_down(left: int, right: int) -> int:
    """Return a product of two numbers of 18 decimals, rounded down. Raises RevertError."""
    return mul_div_down(left, right, WAD)


def w_div_down(left: int, right: int) -> int:
    """Return a quotient with 18 decimals, rounded down. Raises RevertError."""
    return mul_div_down(left, WAD, right)


def w_div_up(left: int, right: int) -> int:
    """Return a quotient with 18 decimals, rounded up. Raises RevertError."""
    return mul_div_up(left, WAD, right)


def compounded(rate: int, seconds: int) -> int:
    """Return what one whole gains at a rate of a second, with 18 decimals: three terms of the exponential less one."""
    first = word(rate * seconds)
    second = mul_div_down(first, first, 2 * WAD)
    third = mul_div_down(second, first, 3 * WAD)
    return word(first + second + third)


def to_shares_down(assets: int, total_assets: int, total_shares: int) -> int:
    """Return what assets are in shares of a total, rounded down. Raises RevertError."""
    return mul_div_down(assets, total_shares + VIRTUAL_SHARES, total_assets + VIRTUAL_ASSETS)


def to_shares_up(assets: int, total_assets: int, total_shares: int) -> int:
    """Return what assets are in shares of a total, rounded up. Raises RevertError."""
    return mul_div_up(assets, total_shares + VIRTUAL_SHARES, total_assets + VIRTUAL_ASSETS)


def to_assets_down(shares: int, total_assets: int, total_shares: int) -> int:
    """Return what shares of a total are worth, rounded down. Raises RevertError."""
    return mul_div_down(shares, total_assets + VIRTUAL_ASSETS, total_shares + VIRTUAL_SHARES)


def to_assets_up(shares: int, total_assets: int, total_shares: int) -> int:
    """Return what shares of a total are worth, rounded up. Raises RevertError."""
    return mul_div_up(shares, total_assets + VIRTUAL_ASSETS, total_shares + VIRTUAL_SHARES)
