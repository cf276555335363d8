"""How long the event loop of this process stands still: the longest single callback, on the clock and in CPU time.

On a crowded machine the clock also counts what others take; CPU time of the loop's own thread does not.
"""

import asyncio
import time
from asyncio import events
from functools import wraps
from typing import Any, Final

from benchmarks._delivery.points import say

_SAY_S: Final = 1.0
_NS_PER_MS: Final = 1e6


class Stalls:
    """Measures every callback of the loop from `lay` on."""

    def __init__(self) -> None:
        self._worst: tuple[int, int, str] = (0, 0, "")

    def lay(self) -> None:
        """Lay the measure around the callbacks of asyncio."""
        run = events.Handle._run  # noqa: SLF001 - there is no other place that sees them all

        @wraps(run)
        def measured(handle: events.Handle) -> Any:
            wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
            result = run(handle)
            took_cpu = time.thread_time_ns() - cpu
            if took_cpu > self._worst[1]:
                self._worst = (time.perf_counter_ns() - wall, took_cpu, repr(handle))
            return result

        events.Handle._run = measured  # type: ignore[method-assign,assignment]  # noqa: SLF001

    async def run(self) -> None:
        """Say the worst of each second."""
        while True:
            await asyncio.sleep(_SAY_S)
            wall, cpu, what = self._worst
            self._worst = (0, 0, "")
            say(stall_ms=wall / _NS_PER_MS, stall_cpu_ms=cpu / _NS_PER_MS, what=what[:300])
