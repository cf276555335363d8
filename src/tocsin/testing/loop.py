"""An event loop whose time jumps when nothing is left to do: hours of simulation without one real sleep.

`asyncio.sleep`, timeouts and timers work as always, but an idle loop moves its `ManualClock` to the next timer
instead of waiting for it. Loopback sockets are served before time moves: what was written to one end is readable at
the other at once. Work in threads is not seen by the loop; wrap it in `outside()` or run it by `run_in_executor`,
which holds time still until it is done.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple

from tocsin.clock import NS
from tocsin.testing.clock import ManualClock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_Ready = list[tuple[selectors.SelectorKey, int]]


class _JumpingSelector(selectors.BaseSelector):
    """A selector that never waits for time, only for work that happens outside the loop."""

    def __init__(self, clock: ManualClock) -> None:
        self._real = selectors.DefaultSelector()
        self._clock = clock
        self.outside = 0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> _Ready:
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        if self.outside or timeout is None:
            # Without a timer only the outside world can wake the loop, so this may wait for real.
            return self._real.select(None)
        # Rounded up, and by at least one step: a timer that is a float's rounding away must still come due.
        self._clock.advance(ns=max(1, -int(-timeout * NS // 1)))
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop that lives on a `ManualClock`. `loop.time()` is the clock's monotonic time in seconds."""

    def __init__(self, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self._jumping = _JumpingSelector(self.clock)
        super().__init__(self._jumping)

    def time(self) -> float:
        return self.clock.monotonic_ns() / NS

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Hold time still while something that the loop cannot see is at work."""
        self._jumping.outside += 1
        try:
            yield
        finally:
            self._jumping.outside -= 1

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run in a thread; time stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.outside += 1
        future.add_done_callback(self._came_back)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        """Wait for the threads without a limit: to an idle loop its end would be one jump away (Python 3.13)."""
        with self.outside():
            await super().shutdown_default_executor()

    def _came_back(self, _: asyncio.Future[Any]) -> None:
        self._jumping.outside -= 1


def run_virtual(main: Coroutine[Any, Any, T], *, clock: ManualClock | None = None) -> T:
    """Run a coroutine to its end in virtual time, and return its result."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(main)
