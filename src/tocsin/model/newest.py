"""What was worked out of a frozen value, kept for as long as the next question is about the same one."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def newest(work: Callable[[K], V]) -> Callable[[K], V]:
    """Return a function of one frozen value that keeps its last answer. The same value is known by its identity.

    For what is worked out of a whole configuration and asked for many times a second: to compare that by value takes
    as long as to work it out.
    """
    kept: list[tuple[K, V]] = []

    @wraps(work)
    def answered(value: K) -> V:
        found = kept[0] if kept else None
        if found is None or found[0] is not value:
            found = (value, work(value))
            kept[:] = [found]
        return found[1]

    return answered
