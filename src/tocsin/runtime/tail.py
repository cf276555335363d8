"""The newest events, for whoever asks at the control socket, and those that come while somebody waits."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import Final

KEPT: Final = 2000
REFILLED: Final = 100
"""Of earlier lives, at the start."""
_BACKLOG: Final = 1000


class Tail:
    """Payloads of the event stream after their commit, the newest last."""

    def __init__(self) -> None:
        self._kept: deque[bytes] = deque(maxlen=KEPT)
        self._waiting: list[asyncio.Queue[bytes]] = []

    def refill(self, payloads: Iterable[bytes]) -> None:
        """Take those of earlier lives, the oldest first; before any of this one."""
        self._kept.extend(payloads)

    def add(self, payload: bytes) -> None:
        """Take one more. A reader that does not read loses the oldest that wait for it."""
        self._kept.append(payload)
        for queue in self._waiting:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(payload)

    async def read(self, last: int, *, follow: bool) -> AsyncGenerator[bytes, None]:
        """Yield the `last` newest, the oldest first, and with `follow` all that come."""
        queue: asyncio.Queue[bytes] = asyncio.Queue(maxsize=_BACKLOG)
        past = list(self._kept)[-last:] if last else []
        self._waiting.append(queue)
        try:
            for payload in past:
                yield payload
            while follow:
                yield await queue.get()
        finally:
            self._waiting.remove(queue)
