"""The ear for our own self-test: what the broker gives back of it shows that what we say arrives with others.

Only the topic of the self-test is subscribed to with our own messages in it. A subscription of ours to any other topic
of the stream would hide that nobody else listens there: the broker counts us as a listener.

Whoever may write to that topic could say that a word arrived which never did. So each word leaves with a random number
as its correlation data, which a broker hands on unaltered (MQTT 5.0, 3.3.2.3.6), and is believed only with that number
and byte for byte: who knows them has had the word from the broker.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from tocsin import ids
from tocsin.clock import EngineClock
from tocsin.errors import PublishRefused
from tocsin.model.event import Echoed
from tocsin.mqtt.client import Received
from tocsin.mqtt.transport import Connection
from tocsin.wire import topics
from tocsin.wire.envelope import Origin

log = logging.getLogger(__name__)

_AGAIN_S: Final = 30.0
"""After this a refused subscription is tried again."""
_MOST: Final = 64
"""Words that are remembered as said: more than the core waits for."""


class Echo:
    """Hears the self-test over whatever connection there is.

    `awaits` tells whether the core waits for a word with this number: what it does not wait for is no event. `nonce`
    gives a random number that nobody can guess.
    """

    def __init__(
        self,
        *,
        origin: Origin,
        clock: EngineClock,
        awaits: Callable[[int], bool],
        emit: Callable[[Echoed], None],
        nonce: Callable[[], int] = ids.nonce,
    ) -> None:
        self.topic: Final = origin.root + topics.SELF_TEST
        self._clock = clock
        self._awaits = awaits
        self._emit = emit
        self._nonce = nonce
        self._said: OrderedDict[bytes, tuple[int, str]] = OrderedDict()
        """Number and digest of the newest words that left, by what they left with."""
        self._has_warned = False
        self.refused: tuple[str, ...] = ()
        """Why the broker does not give it back; empty when it does, as far as it says."""

    def marked(self, topic: str, seq: int, payload: bytes) -> bytes | None:
        """Return the correlation data that a row is to leave with; None where it is no word of the self-test."""
        if topic != self.topic:
            return None
        mark = self._nonce().to_bytes(8)
        self._said[mark] = seq, ids.digest(payload)
        while len(self._said) > _MOST:
            self._said.popitem(last=False)
        return mark

    def hear(self, received: Received) -> bool:
        """Take a message on the topic of the self-test; False for one that we did not say."""
        seq = None if received.retained else self._seq_of(received)
        if seq is None:
            self._warn()
            return False
        if self._awaits(seq):
            self._emit(Echoed(t_ns=self._clock.t_ns(), seq=seq))
        return True

    def _seq_of(self, received: Received) -> int | None:
        seq, digest = self._said.get(received.correlation or b"", (None, ""))
        return seq if seq is not None and ids.digest(received.payload) == digest else None

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning(
                "%s: somebody else writes there; it is not believed (told once): see the access list", self.topic
            )

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
