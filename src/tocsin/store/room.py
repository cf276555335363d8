"""Back-pressure: who brings too much waits, first come, first served. Nothing is dropped."""

import asyncio
from collections import deque
from contextlib import suppress


class Room:
    """A bound on what waits for the disk, in groups and bytes. A group larger than the bound passes alone."""

    def __init__(self, *, groups: int, size: int) -> None:
        self._groups = groups
        self._size = size
        self._held_groups = 0
        self._held_size = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def held(self) -> int:
        """Groups that wait for the disk."""
        return self._held_groups

    async def enter(self, cost: int) -> None:
        """Take room for a group, waiting for it behind those who came before."""
        if not self._queue and self._fits(cost):
            self._take(cost)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (cost, waiter)
        self._queue.append(place)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.leave(cost)
            else:
                with suppress(ValueError):
                    self._queue.remove(place)
                self._admit()
            raise

    def leave(self, cost: int) -> None:
        """Give room back."""
        self._held_groups -= 1
        self._held_size -= cost
        self._admit()

    def _admit(self) -> None:
        while self._queue and self._fits(self._queue[0][0]):
            cost, waiter = self._queue.popleft()
            if not waiter.done():
                self._take(cost)
                waiter.set_result(None)

    def _fits(self, cost: int) -> bool:
        if not self._held_groups:
            return True
        return self._held_groups < self._groups and self._held_size + cost <= self._size

    def _take(self, cost: int) -> None:
        self._held_groups += 1
        self._held_size += cost
