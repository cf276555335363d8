"""The ears for other watchdogs: subscribes to what they say of themselves and turns it into events.

What comes in is untrusted: it is bounded and read strictly, and a peer that sends nonsense is complained of once.
Whether we can hear at all is an event too: silence says nothing while we cannot.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from typing import Final

from tocsin.clock import NS, EngineClock
from tocsin.errors import PublishRefused
from tocsin.model.event import PeerHeard, PeersListened
from tocsin.mqtt.client import Received
from tocsin.mqtt.transport import Connection
from tocsin.wire.peers import topics_of, word

log = logging.getLogger(__name__)

_BURST: Final = 20
_PER_S: Final = 2
"""Messages of a peer that are taken at once, and in the long run: a life says a handful of states and a heartbeat a
second at most. Every event is journalled, so nobody may make us take thousands."""

_LEAP: Final = 2
_LIVES: Final = 8
"""The newest lives of a peer whose heartbeats are held against what was heard of them before."""

_AGAIN_S: Final = 30.0
"""After this a refused subscription is tried again."""


class Ears:
    """Hears the peers over whatever connection there is. `emit` takes the events, at once and without waiting."""

    def __init__(
        self,
        clock: EngineClock,
        emit: Callable[[PeerHeard | PeersListened], None],
        *,
        keepalive_s: int,
    ) -> None:
        self._clock = clock
        self._emit = emit
        self._unnoticed_ns = (2 * keepalive_s + 2) * NS  # paho asks after one keep-alive and gives up after another
        self._peers: dict[str, str] = {}  # topic to peer
        self._changed = asyncio.Event()
        self._subscribed: set[str] = set()
        self._garbled: set[str] = set()
        self._room: dict[str, tuple[int, int]] = {}  # of a peer: since when, and ns worth of messages left
        self._beats: dict[str, dict[str, tuple[int, int]]] = {}  # of a peer by life: newest `seq`, and when it came
        self.ignored: dict[str, int] = {}
        """Of each peer, how many messages on its topics were not taken: nonsense, too many, or heard before."""
        self.refused: tuple[str, ...] = ()
        """One line for each topic that the broker does not give us."""

    def configure(self, peers: Collection[str]) -> None:
        """Listen to these peers, `<site>/<name>` each, from now on."""
        self._peers = {topic: peer for peer in peers for topic in topics_of(peer)}
        self._changed.set()

    def takes(self, topic: str) -> bool:
        """Tell whether a topic is one of a peer."""
        return topic in self._peers

    def hear(self, received: Received) -> bool:
        """Take a message on a topic of a peer.

        False for one that is nothing of a watchdog, one too many, or a heartbeat that was heard before.
        """
        peer = self._peers[received.topic]
        if not received.payload:
            return True  # a retained topic that somebody cleared
        is_taken = self._has_room(peer) and self._hear(peer, received)
        if not is_taken:
            self.ignored[peer] = self.ignored.get(peer, 0) + 1
        return is_taken

    def _hear(self, peer: str, received: Received) -> bool:
        try:
            said = word(peer, received.topic, received.payload)
        except ValueError as error:
            if peer not in self._garbled:
                self._garbled.add(peer)
                log.warning("%s: not understood (%s); further ones of this peer are not told", received.topic, error)
            return False
        if said.seq is not None and not self._is_next(peer, said.boot, said.seq):
            return False
        self._emit(
            PeerHeard(
                t_ns=self._clock.t_ns(),
                peer=peer,
                boot=said.boot,
                state=said.state,
                period_ns=(said.period_s or 0) * NS,
                kept=received.retained,
            )
        )
        return True

    def _is_next(self, peer: str, boot: str, seq: int) -> bool:
        """Tell whether a heartbeat may be the next one of its life: not an old one again, nor one from far ahead.

        A heartbeat a second is more than any peer sends, so that whoever leapt is believed again a little later.
        """
        lives, now_ns = self._beats.setdefault(peer, {}), self._clock.t_ns()
        before = lives.pop(boot, None)
        is_next = before is None or before[0] < seq <= before[0] + _LEAP + (now_ns - before[1]) // NS
        lives[boot] = (seq, now_ns) if before is None or is_next else before
        while len(lives) > _LIVES:
            del lives[next(iter(lives))]
        return is_next

    def _has_room(self, peer: str) -> bool:
        """Take one message off what a peer may still say."""
        now_ns, cost_ns = self._clock.t_ns(), NS // _PER_S
        since_ns, left_ns = self._room.get(peer, (now_ns, _BURST * cost_ns))
        left_ns = min(left_ns + now_ns - since_ns, _BURST * cost_ns)
        has_room = left_ns >= cost_ns
        self._room[peer] = (now_ns, left_ns - cost_ns if has_room else left_ns)
        return has_room

    async def listen(self, connection: Connection) -> None:
        """Subscribe, and again when the peers change or the broker refused one; until cancelled.

        Whatever ends it: from then on nothing is heard. Raises BrokerError when the connection ends.
        """
        self._subscribed.clear()
        self._changed.set()
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_AGAIN_S):
                        await self._changed.wait()
                if self._changed.is_set() or self.refused:
                    self._changed.clear()
                    await self._subscribe(connection)
        finally:
            self._tell(connected=False)

    async def _subscribe(self, connection: Connection) -> None:
        refused = []
        for topic in [topic for topic in self._peers if topic not in self._subscribed]:
            try:
                await connection.subscribe(topic)
            except PublishRefused as refusal:
                refused.append(str(refusal))
            else:
                self._subscribed.add(topic)
        self.refused = tuple(refused)
        self._tell(connected=True)

    def _tell(self, *, connected: bool) -> None:
        heard = {peer for topic, peer in self._peers.items() if topic in self._subscribed} if connected else set()
        deaf = {peer for topic, peer in self._peers.items() if topic not in self._subscribed}
        peers = tuple(sorted(heard - deaf))
        if not self._peers:
            return
        self._emit(
            PeersListened(t_ns=self._clock.t_ns(), connected=connected, peers=peers, unnoticed_ns=self._unnoticed_ns)
        )
