"""The channels of people at work: one loop for each that is configured, which nothing else waits for."""

import asyncio
import logging
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final

from tocsin.clock import EngineClock, SystemClock
from tocsin.config.load import Loaded
from tocsin.config.people import NotifyTable
from tocsin.errors import ControlError
from tocsin.model.event import ChannelSample
from tocsin.notify.apprise import Apprise
from tocsin.notify.http import Way
from tocsin.notify.letter import trial
from tocsin.notify.outcome import Outcome, Sent
from tocsin.notify.pagerduty import PagerDuty
from tocsin.notify.sender import Carrier, Sender, Standing
from tocsin.notify.webhook import Webhook
from tocsin.rpc.resolver import Resolver
from tocsin.runtime.supervisor import Supervisor
from tocsin.store import Health, Store
from tocsin.wire.envelope import Origin, rfc3339

log = logging.getLogger(__name__)

_LONGEST_TRIAL_S: Final = 25.0
"""For all channels of a test together: whoever asks for it waits 30 s for an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came back from a channel that was tried. `said` is for a person."""

    channel: str
    kind: str
    ok: bool
    said: str


def carrier_of(channel: NotifyTable, resolver: Resolver, clock: EngineClock) -> Carrier:
    """Return the way of a configured channel."""
    if channel.kind == "apprise":
        return Apprise(channel.address, channel.timeout_ns)
    if channel.key is None:  # pragma: no cover - the configuration sees to it
        raise AssertionError(f"{channel.name} has no key")
    way = Way(url=channel.address, timeout_ns=channel.timeout_ns, ca=channel.ca)
    kind = PagerDuty if channel.kind == "pagerduty" else Webhook
    return kind(way, channel.key, resolver, clock.wall_ns)


async def test_from_here(loaded: Loaded, channel: str) -> list[dict[str, object]]:
    """Do what `People.test` does, where no daemon runs."""
    clock = SystemClock()
    resolver = Resolver(clock)
    try:
        return await _test(loaded, channel, resolver, EngineClock(clock))
    finally:
        await resolver.close()


async def _test(loaded: Loaded, channel: str, resolver: Resolver, clock: EngineClock) -> list[dict[str, object]]:
    channels = [table for table in loaded.tree.channels if not channel or table.name == channel]
    if not channels:
        known = ", ".join(table.name for table in loaded.tree.channels)
        raise ControlError(
            f"there is no channel {channel[:64]!r}; there are {known}" if known else "no [[notify]] is configured"
        )
    origin = Origin(site=loaded.settings.site, watchdog=loaded.settings.watchdog)
    trials = [_tried(one, origin, loaded.settings.environment, resolver, clock) for one in channels]
    return [asdict(one) for one in await asyncio.gather(*trials)]


async def _tried(
    channel: NotifyTable, origin: Origin, environment: str, resolver: Resolver, clock: EngineClock
) -> Trial:
    carrier, wall_ns = carrier_of(channel, resolver, clock), clock.wall_ns()
    letter = partial(trial, channel.name, origin, wall_ns=wall_ns, environment=environment, runbook=channel.runbook)
    try:
        async with asyncio.timeout(_LONGEST_TRIAL_S):
            outcome = await carrier.send(letter(is_over=False))
            if channel.kind == "pagerduty" and isinstance(outcome, Sent):
                ended = await carrier.send(letter(is_over=True))
                outcome = ended if not isinstance(ended, Sent) else Sent(said=f"{outcome.said}, and resolved again")
    except TimeoutError:
        return Trial(channel=channel.name, kind=channel.kind, ok=False, said="no answer in time")
    return Trial(channel=channel.name, kind=channel.kind, ok=isinstance(outcome, Sent), said=_said(outcome))


def _said(outcome: Outcome) -> str:
    return outcome.said if isinstance(outcome, Sent) else outcome.why


class People:
    """Owns the senders of a daemon."""

    def __init__(self, *, supervisor: Supervisor, store: Store, clock: EngineClock, resolver: Resolver) -> None:
        self._supervisor = supervisor
        self._store = store
        self._clock = clock
        self._resolver = resolver
        self._tables: dict[str, NotifyTable] = {}
        self._senders: dict[str, Sender] = {}
        self._carriers: dict[str, tuple[object, Carrier]] = {}
        """By channel, with what they were made from: one that may be at work outlives a change of anything else."""
        store.on_notices = self._wake

    async def apply(self, loaded: Loaded) -> None:
        """Send through the channels of a configuration, and no others; what waits for those that went is forgotten."""
        wanted = {table.name: table for table in loaded.tree.channels}
        for name in [name for name, table in self._tables.items() if wanted.get(name) != table]:
            await self._supervisor.end(_task(name))
            del self._senders[name], self._tables[name]
        forgotten = await self._store.keep_channels(wanted)
        if forgotten:
            log.warning("%s messages for channels that are configured no longer are forgotten", forgotten)
        for name in [name for name in self._carriers if name not in wanted]:
            del self._carriers[name]
        for name, table in wanted.items():
            if name not in self._tables:
                self._begin(table)

    def _begin(self, table: NotifyTable) -> None:
        sender = Sender(table.name, table.kind, self._carrier(table), self._store, self._clock)
        self._tables[table.name], self._senders[table.name] = table, sender
        name = _task(table.name)
        self._supervisor.spawn(name, lambda: sender.run(lambda: self._supervisor.beat(name)))

    def _carrier(self, table: NotifyTable) -> Carrier:
        way = (table.kind, table.address, table.key, table.timeout_ns, table.ca)
        made_from, carrier = self._carriers.get(table.name, (None, None))
        if carrier is None or made_from != way:
            carrier = carrier_of(table, self._resolver, self._clock)
            self._carriers[table.name] = way, carrier
        return carrier

    def _wake(self) -> None:
        for sender in self._senders.values():
            sender.wake()

    def samples(self) -> tuple[ChannelSample, ...]:
        """Return how each channel is, for the core."""
        waiting = self._store.health().notices.waiting
        return tuple(sender.sample(waiting.get(name, 0)) for name, sender in sorted(self._senders.items()))

    def rows(self, health: Health) -> list[dict[str, object]]:
        """Return how each channel is, for a person."""
        waiting = health.notices.waiting
        return [_row(sender.standing(), waiting.get(name, 0)) for name, sender in sorted(self._senders.items())]

    async def test(self, loaded: Loaded, channel: str) -> list[dict[str, object]]:
        """Try one channel, or all with an empty name. Raises ControlError where there is none."""
        return await _test(loaded, channel, self._resolver, self._clock)


def _task(channel: str) -> str:
    return f"notify {channel}"


def _row(standing: Standing, waiting: int) -> dict[str, object]:
    times = {
        "sent_at": standing.sent_wall_ns,
        "failing_since": standing.failing_since_wall_ns,
        "error_at": standing.error_wall_ns,
    }
    return {
        "name": standing.name,
        "kind": standing.kind,
        "waiting": waiting,
        "sent": standing.sent,
        "given_up": standing.given_up,
        "error": standing.error or None,
        **{key: None if wall_ns is None else rfc3339(wall_ns) for key, wall_ns in times.items()},
    }
