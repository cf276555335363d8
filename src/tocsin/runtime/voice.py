"""How the daemon speaks to the broker: a publisher for as long as its broker is configured, then another one."""

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tocsin import __version__
from tocsin.clock import EngineClock, SystemClock
from tocsin.config.load import Loaded
from tocsin.errors import StoreFull
from tocsin.model.event import Unheard, Why
from tocsin.mqtt.acks import Acks
from tocsin.mqtt.births import Births
from tocsin.mqtt.echo import Echo
from tocsin.mqtt.health import Health
from tocsin.mqtt.hearing import LATE_S, Hearing
from tocsin.mqtt.homeassistant import Announced, documents
from tocsin.mqtt.peers import Ears
from tocsin.mqtt.presence import Life, State
from tocsin.mqtt.publisher import Publisher, Timers
from tocsin.mqtt.transport import MqttTransport
from tocsin.runtime import endpoints
from tocsin.runtime.core import Core
from tocsin.runtime.describe import configured_topics, description, heartbeat
from tocsin.runtime.supervisor import Supervisor
from tocsin.store import Group, RetainedRow, Store
from tocsin.wire.envelope import Origin

log = logging.getLogger(__name__)

_WHY: Final = {
    Why.REFUSED: "the broker refuses it",
    Why.LATE: f"no broker took it within {LATE_S:g} s",
    Why.NOBODY: "nobody subscribes to it",
}

GOODBYE_S: Final = 8.0
"""How long the outbox may drain at the end; TimeoutStopSec of the unit is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the voice speaks for, and what it works with."""

    supervisor: Supervisor
    core: Core
    store: Store
    clock: EngineClock
    mono: SystemClock
    boot: str
    started_wall_ns: int
    since_seq: int
    """The last number of the stream that was given before this life."""


class Voice:
    """Owns the publisher and its task."""

    def __init__(self, parts: Parts, loaded: Loaded) -> None:
        self._parts = parts
        self._ears: Ears | None = None
        self._acks: Acks | None = None
        self._births: Births | None = None
        self._hearing = Hearing(parts.store, self._unheard)
        self._publisher = self._new(loaded)
        self._count = 0
        self._told: State | None = None

    async def register_consumers(self) -> None:
        """Let the store know to whom the stream is owed under the configuration that was introduced last."""
        if self._acks is not None:
            await self._acks.register()
            return
        with contextlib.suppress(StoreFull):  # nobody can ask for what is kept for nobody
            await self._parts.store.register_consumers(())

    async def remember_own_topics(self) -> None:
        """Note on disk which retained topics are the daemon's own, before anything is said on them."""
        store, clock = self._parts.store, self._parts.clock
        rows = self._publisher.own_rows
        await store.commit(Group(t_ns=clock.t_ns(), wall_ns=clock.wall_ns(), effect_no=0, retained=rows))

    def begin(self) -> None:
        """Start to speak."""
        if not self._count:
            self._parts.supervisor.spawn("hearing", self._hearing.run)
        self._count += 1
        self._parts.supervisor.spawn(f"publish #{self._count}", self._publisher.run, finite=True)

    async def announce(self, loaded: Loaded) -> None:
        """Note on disk what Home Assistant is told under a configuration: it is sent from there, and cleared after."""
        store, clock = self._parts.store, self._parts.clock
        told = discovered(loaded)
        if told:
            rows = tuple(RetainedRow(topic=topic, payload=payload) for topic, payload in told.items())
            await store.commit(Group(t_ns=clock.t_ns(), wall_ns=clock.wall_ns(), effect_no=0, retained=rows))

    def tell(self, state: State) -> None:
        """Say in which state the daemon is, if that is news."""
        if state is not self._told:
            self._told = state
            self._publisher.set_state(state)

    def introduce(self, loaded: Loaded) -> None:
        """Say what is watched under a configuration, and listen to its peers and consumers."""
        _introduce(self._publisher, loaded)
        self._believe(loaded)
        self._attend(loaded)

    async def replace(self, loaded: Loaded) -> None:
        """Take leave of one broker and turn to another."""
        await self.goodbye()
        await self._parts.supervisor.end(f"publish #{self._count}")
        self._publisher = self._new(loaded)
        self._told = None
        self.begin()

    async def goodbye(self) -> bool:
        """Send what waits and take leave; False when something is left."""
        return await self._publisher.goodbye(GOODBYE_S)

    def health(self) -> Health:
        """Return how the connection is."""
        return self._publisher.health()

    def acks(self) -> Acks | None:
        """Return the ears for consumers; None where no broker is configured."""
        return self._acks

    def ignored(self) -> Mapping[str, int]:
        """Return how many messages on the topics of each peer were not taken."""
        return self._ears.ignored if self._ears is not None else {}

    def _new(self, loaded: Loaded) -> Publisher:
        tree, settings, parts = loaded.tree, loaded.settings, self._parts
        where = endpoints.broker(tree.watchdog, tree.mqtt) if tree.mqtt is not None else None
        self._ears = Ears(parts.clock, parts.core.take, keepalive_s=where.keepalive_s) if where is not None else None
        origin = Origin(site=settings.site, watchdog=settings.watchdog)
        self._acks = (
            Acks(origin=origin, boot=parts.boot, book=parts.store, clock=parts.clock) if where is not None else None
        )
        self._births = Births(parts.boot) if where is not None else None
        self._believe(loaded)
        self._attend(loaded)
        publisher = Publisher(
            life=Life(
                origin=origin,
                boot=parts.boot,
                started_wall_ns=parts.started_wall_ns,
                version=__version__,
                environment=settings.environment,
                config_hash=settings.config_hash,
                stream=parts.store.health().stream,
            ),
            transport=MqttTransport(where) if where is not None else None,
            outbox=parts.store,
            clock=parts.mono,
            broker=where.url if where is not None else "",
            beat=lambda: heartbeat(parts.core.state, parts.store.health(), parts.since_seq),
            ears=self._ears,
            acks=self._acks,
            echo=self._echo(origin) if where is not None else None,
            births=self._births,
            hearing=self._hearing,
        )
        _introduce(publisher, loaded)
        return publisher

    def _unheard(self, fingerprint: str, activation: int, why: Why) -> None:
        log.warning("critical alert %s reached nobody over the broker: %s", fingerprint, _WHY[why])
        self._parts.core.take(
            Unheard(t_ns=self._parts.clock.t_ns(), fingerprint=fingerprint, activation=activation, why=why)
        )

    def _echo(self, origin: Origin) -> Echo:
        core = self._parts.core
        return Echo(
            origin=origin,
            clock=self._parts.clock,
            awaits=lambda seq: any(word.seq == seq for word in core.state.self_test.waiting),
            emit=core.take,
        )

    def _believe(self, loaded: Loaded) -> None:
        if self._acks is not None:
            self._acks.configure({one.name: one.key for one in loaded.tree.consumers})

    def _attend(self, loaded: Loaded) -> None:
        if self._births is not None:
            home = loaded.tree.homeassistant
            self._births.configure(home.birth if home is not None else "", discovered(loaded))


def discovered(loaded: Loaded) -> Mapping[str, bytes]:
    """Return what Home Assistant is told under a configuration, by topic; nothing where it does not name it."""
    home, settings = loaded.tree.homeassistant, loaded.settings
    if home is None:
        return {}
    origin = Origin(site=settings.site, watchdog=settings.watchdog)
    who = Announced(origin=origin, version=__version__, prefix=home.prefix, period_s=Timers().heartbeat_s)
    return documents(who, settings)


def _introduce(publisher: Publisher, loaded: Loaded) -> None:
    settings = loaded.settings
    publisher.set_config_hash(settings.config_hash)
    publisher.set_description(description(settings))
    publisher.configure(configured_topics(settings), discovered(loaded))
    publisher.listen_to(settings.peers)
