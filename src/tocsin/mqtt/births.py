"""The ears for Home Assistant: when it says that it is born, it is told again what there is to discover.

It asks for a pause before that which differs from device to device, so that not all speak at once. What comes in is
untrusted: whatever and however often it is, nothing is told again more than once in a while.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Collection
from typing import Final

from tocsin.errors import PublishRefused
from tocsin.mqtt.client import Received
from tocsin.mqtt.tasks import all_of
from tocsin.mqtt.transport import Connection

ONLINE: Final = b"online"
"""The birth message of Home Assistant, unless it was configured otherwise there."""

_JITTER_S: Final = 5.0
_PAUSE_S: Final = 10.0
_AGAIN_S: Final = 30.0
"""After this a refused subscription is tried again."""

Announce = Callable[[frozenset[str]], None]
"""Says these topics again."""


class Births:
    """Hears births over whatever connection there is. `seed` decides how long each pause is."""

    def __init__(self, seed: str, *, jitter_s: float = _JITTER_S, pause_s: float = _PAUSE_S) -> None:
        self._random = random.Random(seed)  # noqa: S311 - it spreads load
        self._jitter_s = jitter_s
        self._pause_s = pause_s
        self._topic = ""
        self._announced: frozenset[str] = frozenset()
        self._subscribed = ""
        self._changed = asyncio.Event()
        self._born = asyncio.Event()
        self.refused: tuple[str, ...] = ()
        """A line if the broker does not give us the topic of births."""

    def configure(self, topic: str, announced: Collection[str]) -> None:
        """Hear births on this topic, on none if it is empty, and announce these from now on."""
        self._topic, self._announced = topic, frozenset(announced)
        self._changed.set()

    def takes(self, topic: str) -> bool:
        """Tell whether births are said on a topic."""
        return topic != "" and topic in (self._topic, self._subscribed)

    def hear(self, received: Received) -> None:
        """Take a message there. One that the broker had kept says nothing new: all was said at the connect."""
        if received.topic == self._topic and received.payload == ONLINE and not received.retained:
            self._born.set()

    async def listen(self, connection: Connection, announce: Announce) -> None:
        """Subscribe, and announce after each birth, until cancelled. Raises BrokerError."""
        self._subscribed = ""
        await all_of([self._keep_subscribed(connection), self._answer(announce)])

    async def _keep_subscribed(self, connection: Connection) -> None:
        while True:
            self._changed.clear()
            await self._subscribe(connection)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_S if self.refused else None):
                    await self._changed.wait()

    async def _subscribe(self, connection: Connection) -> None:
        if self._topic in ("", self._subscribed):
            self.refused = ()
            return
        try:
            await connection.subscribe(self._topic)
        except PublishRefused as refusal:
            self.refused = (str(refusal),)
        else:
            self.refused, self._subscribed = (), self._topic

    async def _answer(self, announce: Announce) -> None:
        while True:
            await self._born.wait()
            await asyncio.sleep(self._random.uniform(0, self._jitter_s))
            self._born.clear()
            announce(self._announced)
            await asyncio.sleep(self._pause_s)
