"""When a long computation ends before its end: when somebody says so, or when its time is over.

A sweep asks before each block of scenarios, so it ends one block later: of 100,000 accounts some ten milliseconds by
the compiled kernel, half a second by numpy (which takes smaller blocks as well: `lanes`). It may run in a thread of its
own beside an event loop: compiled loops and numpy release the interpreter lock. What was computed until then is kept,
and the report says of which scenarios.
"""

from collections.abc import Callable

Stop = Callable[[], bool]
"""Whether to end now. Asked by whichever thread computes."""


def never() -> bool:
    """Compute to the end."""
    return False


class Switch:
    """Ends a computation in another thread, for good."""

    __slots__ = ("_is_set",)

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """End what runs; may be called from any thread, any number of times."""
        self._is_set = True

    def __call__(self) -> bool:
        return self._is_set


def deadline(at_ns: int, now_ns: Callable[[], int], stop: Stop = never) -> Stop:
    """Return a stop for an instant of a clock, or before it where another one says so."""
    return lambda: stop() or now_ns() >= at_ns
