"""Integers as contracts have them: division by the direction in which it rounds, and nothing above 256 bits."""

from tocsin.protocols.base import UnknownStateError

_WORDS = 2**256


def ceil_div(number: int, by: int) -> int:
    """Return the quotient of a number that is not negative, rounded up."""
    return -(-number // by)


def half_up_div(number: int, by: int) -> int:
    """Return the quotient of a number that is not negative, rounded to the nearest, halves up."""
    return (number + by // 2) // by


def fitting(number: int) -> int:
    """Return a number that fits 256 bits. Raises UnknownStateError for one on which the contracts overflow."""
    if number >= _WORDS:
        raise UnknownStateError("a number of more than 256 bits: the contracts revert")
    return number
