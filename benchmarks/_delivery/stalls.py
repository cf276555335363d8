"""How long the event loop of this process stands still: the longest single callback, on the clock and in CPU time.

On a crowded machine the clock also counts what others take; CPU time of the loop's own thread does not. What the clock
has beyond that is told apart: how long the thread was ready and got no CPU (Linux counts it), and how much CPU time
the longest collection of garbage took, in whatever thread.
"""

import asyncio
import gc
import time
from asyncio import events
from functools import wraps
from pathlib import Path
from typing import Any, Final

from benchmarks._delivery.points import say

_SAY_S: Final = 1.0
_NS_PER_MS: Final = 1e6
_SCHEDULE: Final = Path("/proc/thread-self/schedstat")


class Stalls:
    """Measures every callback of the loop from `lay` on."""

    def __init__(self) -> None:
        self._worst: tuple[int, int, str] = (0, 0, "")
        self._longest = 0
        self._collecting = 0
        self._collected = 0

    def lay(self) -> None:
        """Lay the measure around the callbacks of asyncio."""
        run = events.Handle._run  # noqa: SLF001 - there is no other place that sees them all
        gc.callbacks.append(self._on_collection)

        @wraps(run)
        def measured(handle: events.Handle) -> Any:
            wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
            result = run(handle)
            took_cpu, took = time.thread_time_ns() - cpu, time.perf_counter_ns() - wall
            self._longest = max(self._longest, took)
            if took_cpu > self._worst[1]:
                self._worst = (took, took_cpu, repr(handle))
            return result

        events.Handle._run = measured  # type: ignore[method-assign,assignment]  # noqa: SLF001

    def _on_collection(self, phase: str, _: dict[str, int]) -> None:
        now = time.thread_time_ns()
        if phase == "start":
            self._collecting = now
        else:
            self._collected = max(self._collected, now - self._collecting)

    async def run(self) -> None:
        """Say the worst of each second."""
        waited = _waited_ns()
        while True:
            await asyncio.sleep(_SAY_S)
            (_, cpu, what), before, waited = self._worst, waited, _waited_ns()
            say(
                stall_ms=self._longest / _NS_PER_MS,
                stall_cpu_ms=cpu / _NS_PER_MS,
                stall_gc_ms=self._collected / _NS_PER_MS,
                starved_ms=(waited - before) / _NS_PER_MS,
                what=what[:300],
            )
            self._worst, self._longest, self._collected = (0, 0, ""), 0, 0


def _waited_ns() -> int:
    """Return how long this thread was ready to run and did not, since it began; 0 where nobody counts it."""
    return int(_SCHEDULE.read_text().split()[1]) if _SCHEDULE.exists() else 0
