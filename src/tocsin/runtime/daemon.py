"""The daemon: the one place that knows all parts, and nothing but how they are joined.

probers, websockets, ticks, commands ──▶ Core (engine, then disk) ──▶ fetches back to the nodes
                                                  └──▶ outbox ──▶ Publisher ──▶ broker
"""

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from tocsin import __version__
from tocsin.clock import NS, EngineClock, SystemClock
from tocsin.config.load import Loaded
from tocsin.config.reload import changes
from tocsin.errors import ConfigError, CorruptRecord, StoreError
from tocsin.ids import boot_id
from tocsin.lab.incident import data_of
from tocsin.model.effect import Request
from tocsin.model.event import Booted, ConfigRejected, ConfigRevised
from tocsin.model.selftest import ID as SELF_TEST
from tocsin.mqtt.health import Link
from tocsin.mqtt.presence import State
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.resolver import Resolver
from tocsin.runtime import garbage, report
from tocsin.runtime.amounts import AmountWatch
from tocsin.runtime.beacons import BeaconWatch
from tocsin.runtime.brokerlog import BrokerLog
from tocsin.runtime.calendar import Calendar
from tocsin.runtime.commands import Commands
from tocsin.runtime.configuration import read_config, tell_warnings
from tocsin.runtime.control import ControlServer
from tocsin.runtime.core import Core
from tocsin.runtime.deadman import Deadman
from tocsin.runtime.delivery import DeliveryWatch
from tocsin.runtime.gateways import GatewayWatch
from tocsin.runtime.host import HostWatch
from tocsin.runtime.incidents import Incidents, about
from tocsin.runtime.indexes import Indexes
from tocsin.runtime.lending import Lending
from tocsin.runtime.logs import log_alert
from tocsin.runtime.orphans import orphans, pins
from tocsin.runtime.people import People
from tocsin.runtime.readers import Readers
from tocsin.runtime.reads import Reads
from tocsin.runtime.recovery import Past
from tocsin.runtime.signals import Signals
from tocsin.runtime.statusfile import StatusFile
from tocsin.runtime.supervisor import Supervisor
from tocsin.runtime.systemd import Notifier
from tocsin.runtime.tail import REFILLED, Tail
from tocsin.runtime.ticker import Ticker
from tocsin.runtime.verbs import Verbs
from tocsin.runtime.voice import Parts, Voice
from tocsin.runtime.watch import Watch
from tocsin.runtime.watched import Means
from tocsin.store import Exported, Mode, Store, Told

log = logging.getLogger(__name__)

_READY_S: Final = 15.0
"""After this the daemon calls itself started, degraded if need be: a service manager that waits helps nobody."""

_KEEP_S: Final = 1.0
_KEEP_SHARE: Final = 9.0
_KEEP_LONGEST_S: Final = 4.0
_TASK_BUDGET_NS: Final = 15 * NS


class Daemon:
    """One life of the watchdog. `run` returns after a clean end."""

    def __init__(
        self,
        path: Path,
        loaded: Loaded,
        store: Store,
        past: Past,
        *,
        environ: Mapping[str, str],
        hung_up: Callable[[], bool] = lambda: False,
    ) -> None:
        """`hung_up` tells whether a hangup came since the configuration was read."""
        self.clock = EngineClock(SystemClock(), last_t_ns=past.t_ns, last_wall_ns=past.wall_ns)
        self.loaded = loaded
        self.store = store
        self._path = path
        self._environ = environ
        self._past = past
        self._boot = boot_id()
        self._started_wall_ns = self._loaded_wall_ns = self.clock.wall_ns()
        self._mono = SystemClock()
        self.supervisor = Supervisor(clock=self._mono)
        self.notifier = Notifier.from_environ(environ, self._mono)
        self.tail = Tail()
        self.core = Core(
            store,
            past.state,
            event_no=past.event_no,
            effect_no=past.effect_no,
            wall_ns=self.clock.wall_ns,
            on_request=self._ask,
            on_alert=self._on_alert,
        )
        self.commands = Commands(self.core, self.clock)
        self.calendar = Calendar(self.clock, state=lambda: self.core.state, emit=self.core.take)
        self.lag = LoopLag(self.clock)
        self.resolver = Resolver(self._mono)
        means = Means(
            supervisor=self.supervisor,
            clock=self.clock,
            resolver=self.resolver,
            lag=self.lag,
            emit=self.core.take,
        )
        self.watch, self.beacons, self.gateways = Watch(means), BeaconWatch(means), GatewayWatch(means)
        self.readers = Readers(
            watch=self.watch,
            mono=self._mono,
            now_ns=self.clock.t_ns,
            state=lambda: self.core.state,
            emit=self.core.take,
        )
        self.amounts = AmountWatch(
            supervisor=self.supervisor,
            readers=self.readers,
            now_ns=self.clock.t_ns,
            state=lambda: self.core.state,
            emit=self.core.take,
        )
        self.indexes = Indexes(
            supervisor=self.supervisor,
            watch=self.watch,
            mono=self._mono,
            now_ns=self.clock.t_ns,
            state=lambda: self.core.state,
            emit=self.core.take,
        )
        self.markets = Lending(
            supervisor=self.supervisor,
            watch=self.watch,
            readers=self.readers,
            mono=self._mono,
            now_ns=self.clock.t_ns,
            state=lambda: self.core.state,
            emit=self.core.take,
        )
        self.host = HostWatch(
            clock=self.clock, mono=self._mono, resolver=self.resolver, emit=self.core.take, environ=environ
        )
        self.voice = Voice(
            Parts(
                supervisor=self.supervisor,
                core=self.core,
                store=store,
                clock=self.clock,
                mono=self._mono,
                boot=self._boot,
                started_wall_ns=self._started_wall_ns,
                since_seq=past.seq,
            ),
            loaded,
        )
        self.people = People(supervisor=self.supervisor, store=store, clock=self.clock, resolver=self.resolver)
        self.delivery = DeliveryWatch(
            clock=self.clock,
            limits=store.limits,
            health=store.health,
            acks=self.voice.acks,
            connected=lambda: self.voice.health().link is Link.CONNECTED,
            channels=self.people.samples,
            emit=self.core.take,
        )
        self.deadman = Deadman(
            clock=self._mono,
            resolver=self.resolver,
            state=lambda: self.core.state,
            commits=lambda: self.core.commits,
            sent=lambda: self.voice.health().tally.sent,
        )
        runtime_dir = Path(loaded.tree.watchdog.runtime_dir)
        self._status_file = StatusFile(runtime_dir)
        self.incidents = Incidents(store, Path(loaded.tree.watchdog.state_dir))
        self.reads = Reads(state=lambda: self.core.state, sessions=self.watch.sessions, now_ns=self.clock.t_ns)
        self.asks = self.markets
        verbs = Verbs(self)
        self.control = ControlServer(runtime_dir, verbs.handlers, verbs.streams)
        self._reloading = asyncio.Lock()
        self._is_hung_up = False
        self._hung_up_before = hung_up
        self._is_ready = False
        self._broker_log = BrokerLog()
        self._noticed = 0
        self._store_mode = Mode.NORMAL

    # -- a life

    async def run(self) -> None:
        """Live until SIGTERM or SIGINT. Raises TaskDied when a part that nothing works without is gone."""
        self.control.claim()
        try:
            await self.voice.remember_own_topics()
            await self.voice.announce(self.loaded)
            await self.voice.register_consumers()
            await self._refill_tail()
            self._begin()
            await self.people.apply(self.loaded)
            await self.watch.apply(self.loaded.tree)
            await self.beacons.apply(self.loaded.tree)
            await self.gateways.apply(self.loaded)
            await self._keep_reading()
            self.host.apply(self.loaded.settings.host, self.loaded.tree)
            await self.deadman.apply(self.loaded.tree)
            with self._signals():
                if self._hung_up_before():
                    self._on_hangup()
                await self.supervisor.run()
        finally:
            await self._end()

    def _begin(self) -> None:
        now, wall = self.clock.t_ns(), self.clock.wall_ns()
        known = tuple(orphans(self._past.orphans))
        self.core.take(
            Booted(
                t_ns=now,
                wall_ns=wall,
                boot=self._boot,
                version=__version__,
                seq=self._past.seq,
                orphans=known,
                pins=tuple(pins(self._past.contracts)),
                notice=self.store.health().notices.last,
                stream=self.store.health().stream,
            )
        )
        self.core.take(ConfigRevised(t_ns=now, settings=self.loaded.settings))
        self.calendar.revise()
        ticker = Ticker(self.clock, self.lag, state=lambda: self.core.state, emit=self.core.take)
        self._spawn("commit", lambda: self.core.run(lambda: self.supervisor.beat("commit")), fatal=True)
        self._spawn("tick", lambda: ticker.run(lambda: self.supervisor.beat("tick")))
        self.delivery.look()
        self._spawn("keep", self._keep)
        self.supervisor.spawn("delivery", lambda: self.delivery.run(lambda: self.supervisor.beat("delivery")))
        self.supervisor.spawn("lag", self.lag.run)
        self.supervisor.spawn("deadman", self.deadman.run)
        self.supervisor.spawn("calendar", self.calendar.run)
        self.supervisor.spawn("host", lambda: self.host.run(lambda: self.supervisor.beat("host")))
        self.supervisor.spawn("fetch", self.watch.run_fetches)
        self.supervisor.spawn("control", self.control.serve)
        self.voice.begin()
        self.store.on_change = self._on_store_change
        self._on_store_change()

    def _on_store_change(self) -> None:
        """Say once what the store did by itself, and each time when the disk pushed it down or let it up again."""
        fresh = self.store.notices[self._noticed :]
        self._noticed += len(fresh)
        for notice in fresh:
            log.warning("store: %s", notice.text)
        health = self.store.health()
        if health.mode is not self._store_mode:
            log.warning("store: %s%s", health.mode, f" ({health.reason})" if health.reason else "")
            self._store_mode = health.mode

    async def _refill_tail(self) -> None:
        """Let those who look at the newest events find what the life before said."""
        try:
            told = await asyncio.to_thread(self.store.history.latest, REFILLED)
        except StoreError as error:
            log.warning("the events of earlier lives are not shown: %s", error)
        else:
            self.tail.refill([one.payload for one in told if _is_to_be_shown(one)])

    def _on_alert(self, payload: bytes) -> None:
        self.tail.add(payload)
        log_alert(payload)

    def _ask(self, request: Request) -> None:
        self.watch.take(request)

    async def _keep_reading(self) -> None:
        settings, state_dir = self.loaded.settings, Path(self.loaded.tree.watchdog.state_dir)
        self.readers.apply(settings)
        await self.indexes.apply(settings, state_dir)
        await self.amounts.apply(settings, state_dir)
        await self.markets.apply(settings, state_dir)

    def _spawn(self, name: str, factory: Callable[[], Awaitable[None]], *, fatal: bool = False) -> None:
        self.supervisor.spawn(name, factory, budget_ns=_TASK_BUDGET_NS, fatal=fatal)

    def _signals(self) -> Signals:
        return Signals({signal.SIGTERM: self.stop, signal.SIGINT: self.stop, signal.SIGHUP: self._on_hangup})

    def stop(self) -> None:
        """End this life cleanly. Whoever says so again changes nothing."""
        if self.supervisor.is_ending or "goodbye" in self.supervisor.names:
            return
        log.info("stopping")
        self.notifier.stopping("draining")
        self.voice.tell(State.DRAINING)
        self.supervisor.spawn("goodbye", self._goodbye, finite=True)

    async def _goodbye(self) -> None:
        try:
            await self.core.drained()
            if not await self.voice.goodbye():
                counts = await self.store.counts()
                log.warning("%s alerts are kept and will be sent after the next start", counts.pending)
        finally:
            # Whatever the goodbye fails at: who was told to stop must not live on without a word.
            self.supervisor.stop()

    async def _end(self) -> None:
        self.markets.close()
        await self.watch.close()
        await self.beacons.close()
        await self.gateways.close()
        await self.deadman.close()
        await self.resolver.close()
        with suppress(OSError):
            self._status_file.remove()
        self.control.release()

    # -- what a person is shown

    def report(self) -> dict[str, object]:
        """Return the status document of this moment."""
        return self._reporter()()

    def _reporter(self) -> Callable[[], dict[str, object]]:
        """Return what makes the status document of this moment, in whatever thread: nothing in it changes any more."""
        return partial(
            report.document,
            loaded=self.loaded,
            loaded_wall_ns=self._loaded_wall_ns,
            started_wall_ns=self._started_wall_ns,
            state=self.core.state,
            clock=self.clock,
            broker=self.voice.health(),
            channels=self.people.rows(self.store.health()),
            store=self.store.health(),
            late=self.supervisor.late(self._mono.monotonic_ns()),
            bills=(*self.watch.bills(), *self.beacons.bills()),
            sockets=tuple((chain, node, replace(stats)) for chain, node, stats in self.watch.sockets()),
            batches=tuple(self.watch.batches()),
            ignored=dict(self.voice.ignored()),
            deadman=self.deadman.row(),
            troubles=self.deadman.trouble(),
        )

    async def _keep(self) -> None:
        """Every second, or more seldom: the status file, the state on the broker, the service manager's watchdog."""
        since = self._mono.monotonic_ns()
        while True:
            # In a thread: with thousands of nodes or alerts it takes 100 ms.
            began = self._mono.monotonic_ns()
            document = await asyncio.to_thread(self._reporter())
            took_s = (self._mono.monotonic_ns() - began) / NS
            self._write_status(document)
            self._broker_log.look(report.broker_trouble(self.voice.health()), report.waiting(self.store.health()))
            self._note_ready(document, since)
            self.voice.tell(self._state(document))
            if self.supervisor.healthy(self._mono.monotonic_ns()):
                self.notifier.alive()
            self.notifier.status(report.line(document))
            self.supervisor.beat("keep")
            # Where it takes long, it comes more seldom: a status must not cost what alerts need.
            await asyncio.sleep(max(_KEEP_S, min(_KEEP_SHARE * took_s, _KEEP_LONGEST_S)))

    def _write_status(self, document: Mapping[str, object]) -> None:
        try:
            self._status_file.write(document)
        except OSError as error:
            log.warning("status.json cannot be written: %s", error.strerror)

    def _note_ready(self, document: Mapping[str, object], since_ns: int) -> None:
        if self._is_ready:
            return
        if (self._knows_all() and self.markets.is_warm) or self._mono.monotonic_ns() - since_ns > _READY_S * NS:
            self._is_ready = True
            garbage.settled()
            self.notifier.ready(report.line(dict(document)))
            log.info("ready: %s", report.line(dict(document)))

    def _knows_all(self) -> bool:
        """Tell whether all nodes were asked, and every chain has an agreed head."""
        return all(chain.head.block is not None and not chain.awaited for chain in self.core.state.chains.values())

    def _state(self, document: Mapping[str, object]) -> State:
        if "goodbye" in self.supervisor.names:
            return State.DRAINING
        if not self._is_ready:
            return State.INIT
        healthy = self.store.health().mode is Mode.NORMAL and not self.core.state.config_problems
        return State.READY if healthy and document["level"] != "unknown" else State.DEGRADED

    # -- what a person asks for

    def _on_hangup(self) -> None:
        # One that comes while the file is being read may be about what was written after that.
        self._is_hung_up = True
        if not {"reload", "goodbye"} & set(self.supervisor.names):
            self.supervisor.spawn("reload", self._reload_quietly, finite=True)

    async def _reload_quietly(self) -> None:
        while self._is_hung_up:
            self._is_hung_up = False
            await self.reload("SIGHUP")

    async def reload(self, by: str) -> tuple[str, ...]:
        """Take the configuration on disk; return why not, or nothing. The old one stays when it is refused."""
        async with self._reloading:
            self.notifier.reloading("reloading")
            try:
                problems = await self._reload()
            finally:
                # Whatever became of it: a service manager that waits for the end of a reload would end the service.
                self.notifier.ready(report.line(self.report()))
            if problems:
                log.error("reload by %s refused: %s", by, "; ".join(problems))
                self.core.take(ConfigRejected(t_ns=self.clock.t_ns(), problems=problems))
            else:
                tell_warnings(self.loaded)
                log.info("reload by %s: configuration %s is in force", by, self.loaded.settings.config_hash)
            return problems

    async def _reload(self) -> tuple[str, ...]:
        try:
            fresh = await asyncio.to_thread(read_config, self._path, self._environ)
        except ConfigError as error:
            return error.problems
        difference = changes(self.loaded, fresh)
        if difference.refused:
            return difference.refused
        self.loaded, self._loaded_wall_ns = fresh, self.clock.wall_ns()
        # The publisher first: what the core clears is then no leftover of an unknown configuration.
        self.voice.introduce(fresh)
        self.core.take(ConfigRevised(t_ns=self.clock.t_ns(), settings=fresh.settings))
        self.calendar.revise()
        await self.people.apply(fresh)
        await self.watch.apply(fresh.tree)
        await self.beacons.apply(fresh.tree)
        await self.gateways.apply(fresh)
        await self._keep_reading()
        self.host.apply(fresh.settings.host, fresh.tree)
        await self.deadman.apply(fresh.tree)
        await self.voice.announce(fresh)
        if difference.broker_changed:
            await self.voice.replace(fresh)
        await self.voice.register_consumers()
        return ()

    async def try_channels(self, channel: str) -> list[dict[str, object]]:
        """Send a test through one channel of people, or all; return what came back. Raises ControlError for none."""
        return await self.people.test(self.loaded, channel)

    async def record(self, path: Path, seconds: int) -> Exported:
        """Write the newest stretch of the journal to a new file. Raises StoreError."""
        await self.core.drained()
        now = self.clock.wall_ns()
        return await self.store.export(path, from_wall_ns=now - seconds * NS, to_wall_ns=now + NS)

    async def recent_incidents(self, count: int) -> list[dict[str, object]]:
        """Return the incidents that changed last, the newest first. Raises StoreError."""
        await self.core.drained()
        return await self.incidents.recent(count)

    async def incident(self, wanted: str, margin_ns: int) -> AsyncGenerator[dict[str, object], None]:
        """Yield one incident in pieces, the configuration in force first. Raises StoreError."""
        await self.core.drained()
        now_wall_ns = self.clock.wall_ns()
        yield about(self.loaded, now_wall_ns)
        async for piece in self.incidents.export(wanted, margin_ns, now_wall_ns):
            yield piece

    def events(self, last: int, *, follow: bool) -> AsyncGenerator[bytes, None]:
        """Yield the newest events of the stream, and with `follow` all that come."""
        return self.tail.read(last, follow=follow)


def _is_to_be_shown(told: Told) -> bool:
    """Whether an event of an earlier life is one for people: no self-test, and not damaged since."""
    try:
        return bool(data_of(told)["detector"] != SELF_TEST)
    except (CorruptRecord, KeyError):
        return False
