"""The loop-lag guard: our own stall is never blamed on a node.

A timer that should fire every 50 ms tells how late the event loop runs. Every ask is held against it: when the loop
stood still for a good part of the ask's timeout, a failure of that ask says nothing about the node.
"""

import asyncio
from collections import deque

from tocsin.clock import MS, NS, EngineClock

_GOOD_PART = 4
"""A quarter of an ask's timeout."""


class LoopLag:
    """Samples the loop. Instants are engine time."""

    def __init__(self, clock: EngineClock, *, every_ns: int = 50 * MS, notable_ns: int = 20 * MS) -> None:
        self._clock = clock
        self._every_ns = every_ns
        self._notable_ns = notable_ns
        self._stalls: deque[tuple[int, int]] = deque(maxlen=1_000)
        self._worst_ns = 0
        self._due_ns: int | None = None

    async def run(self) -> None:
        """Sample until cancelled."""
        try:
            while True:
                self._due_ns = self._clock.t_ns() + self._every_ns
                await asyncio.sleep(self._every_ns / NS)
                self._sample()
        finally:
            self._due_ns = None

    def _sample(self) -> None:
        now, due = self._clock.t_ns(), self._due_ns
        if due is None:
            return
        self._worst_ns = max(self._worst_ns, now - due)
        if now - due >= self._notable_ns:
            self._stalls.append((due, now))

    def worst_ns(self) -> int:
        """Return the worst lag since the last call, and start anew."""
        worst, self._worst_ns = max(self._worst_ns, self._current_ns()), 0
        return worst

    def _current_ns(self) -> int:
        """How late the pending sample is: after a stall other callbacks may run before it does."""
        return 0 if self._due_ns is None else max(0, self._clock.t_ns() - self._due_ns)

    def spoils(self, start_ns: int, end_ns: int, timeout_ns: int) -> bool:
        """Tell whether an ask within an interval says nothing about the node: a good part of its time was a stall."""
        return _GOOD_PART * self.stalled_ns(start_ns, end_ns) > timeout_ns

    def stalled_ns(self, start_ns: int, end_ns: int) -> int:
        """Return the longest time within an interval during which the loop stood still."""
        worst = 0
        for stall_start, stall_end in reversed(self._stalls):
            if stall_end <= start_ns:
                break
            worst = max(worst, min(stall_end, end_ns) - max(stall_start, start_ns))
        if self._due_ns is not None and self._current_ns() >= self._notable_ns:
            worst = max(worst, end_ns - max(self._due_ns, start_ns))
        return worst
