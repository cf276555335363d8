"""The ear for our own self-test: what the broker gives back of it shows that what we say arrives with others.

Only the topic of the self-test is subscribed to with our own messages in it. A subscription of ours to any other topic
of the stream would hide that nobody else listens there: the broker counts us as a listener.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import orjson

from tocsin.clock import EngineClock
from tocsin.errors import PublishRefused
from tocsin.model.event import Echoed
from tocsin.mqtt.client import Received
from tocsin.mqtt.transport import Connection
from tocsin.wire import topics
from tocsin.wire.envelope import Origin

_AGAIN_S: Final = 30.0
"""After this a refused subscription is tried again."""
_LONGEST: Final = 16 * 1024
"""Bytes of a message that are worth reading; a word of ours has less than one kB."""


class Echo:
    """Hears the self-test over whatever connection there is.

    `awaits` tells whether the core waits for a word with this number: what it does not wait for is no event.
    """

    def __init__(
        self, *, origin: Origin, clock: EngineClock, awaits: Callable[[int], bool], emit: Callable[[Echoed], None]
    ) -> None:
        self.topic: Final = origin.root + topics.SELF_TEST
        self._clock = clock
        self._awaits = awaits
        self._emit = emit
        self.refused: tuple[str, ...] = ()
        """Why the broker does not give it back; empty when it does, as far as it says."""

    def hear(self, received: Received) -> bool:
        """Take a message on the topic of the self-test; False for one that is nothing of ours."""
        seq = None if received.retained else _seq_of(received.payload)
        if seq is None:
            return False
        if self._awaits(seq):
            self._emit(Echoed(t_ns=self._clock.t_ns(), seq=seq))
        return True

    async def subscribe(self, connection: Connection) -> None:
        """Ask for what we say there ourselves. Raises BrokerError."""
        try:
            await connection.subscribe(self.topic, own=True)
        except PublishRefused as refusal:
            self.refused = (str(refusal),)
        else:
            self.refused = ()

    async def listen(self, connection: Connection) -> None:
        """Ask again for as long as the broker refuses, until cancelled. Raises BrokerError."""
        while True:
            await asyncio.sleep(_AGAIN_S)
            if self.refused:
                await self.subscribe(connection)


def _seq_of(payload: bytes) -> int | None:
    """Return the number of a word of the self-test, None for anything else."""
    if len(payload) > _LONGEST:
        return None
    try:
        seq = orjson.loads(payload)["data"]["seq"]
    except (ValueError, LookupError, TypeError):
        return None
    return seq if type(seq) is int else None
