"""The engine at work: events in, one step each, and what was decided to disk before anything of it leaves.

`take` is synchronous and cheap. What was taken is closed into a group by a tick (or by `flush`); one task commits
groups in order, those that wait together, and only then hands on their effects.

A tick that cannot be decided ends that task once all before it is committed: what waits for the tick would fail the
next one too, and nothing would ever be judged again. A new life begins without it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from tocsin.engine.codec import encode_event, encode_state
from tocsin.engine.state import EngineState
from tocsin.engine.step import Step, step
from tocsin.errors import TocsinError
from tocsin.model.effect import AlertChanged, Effect, Notify, Request, StateChanged
from tocsin.model.event import BeaconPolled, Event, Fetched, PeerHeard, Polled, Ticked, Woken
from tocsin.model.settings import RUNBOOK, Settings
from tocsin.store import Group, NoticeRow, OutboxRow, Record, RetainedRow, Snapshot, Store
from tocsin.wire import notices, topics
from tocsin.wire.envelope import Message, Origin, render

_IDLE_S: Final = 1.0
"""The committing task shows that it lives at least this often."""

_MOST_AT_ONCE: Final = 64
"""Groups that are handed to the store together, to share a transaction: hundreds of chains close more groups in a
second than a disk can sync one by one."""


class Undecidable(TocsinError):  # noqa: N818 - reads as the condition
    """A tick raised: a defect of this program, which must not go on without judging. The cause is chained."""


@dataclass(slots=True)
class _Open:
    """What was taken since the last group was closed."""

    records: list[Record] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    retained: dict[str, RetainedRow] = field(default_factory=dict)
    notices: list[NoticeRow] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    wall_ns: int = 0


@dataclass(slots=True, kw_only=True)
class _Closed:
    """A group that waits for its commit, and what leaves behind it."""

    group: Group
    effects: list[Effect]
    payloads: list[bytes]
    committed: asyncio.Event = field(default_factory=asyncio.Event)


class Core:
    """Owns the engine's state.

    After the commit `on_request` gets what is for those who poll, `on_alert` the payload of each event but self-tests.
    """

    def __init__(
        self,
        store: Store,
        state: EngineState,
        *,
        event_no: int,
        effect_no: int,
        wall_ns: Callable[[], int],
        on_request: Callable[[Request], None],
        on_alert: Callable[[bytes], None],
    ) -> None:
        self.state = state
        self._store = store
        self._event_no = event_no
        self._effect_no = effect_no
        self._wall_ns = wall_ns
        self._on_request = on_request
        self._on_alert = on_alert
        self._open = _Open()
        self._closed: deque[_Closed] = deque()
        self._snapshot_waits = False
        self._work = asyncio.Event()
        self._undecidable: Undecidable | None = None
        self.commits = 0
        """Groups that are on disk, since the start."""

    def take(self, event: Event) -> None:
        """Let one event decide. Observations wait for a tick; everything else closes the group at once.

        Raises what `step` raises. Once that was a tick nothing is taken any more, and `run` ends in Undecidable.
        """
        if self._undecidable is not None:
            return
        # Encoded first: an event that cannot be journalled must not have decided anything.
        record, bodies = encode_event(event)
        done = self._decided(event)
        self.state = done.state
        self._event_no += 1
        self._open.records.append(Record(event_no=self._event_no, data=record, bodies=bodies))
        self._effect_no += len(done.effects)
        for effect in done.effects:
            self._note(effect)
        if not isinstance(event, Polled | BeaconPolled | Fetched | Woken | PeerHeard):
            self.flush()

    def _decided(self, event: Event) -> Step:
        try:
            return step(self.state, event)
        except Exception as error:
            if isinstance(event, Ticked):
                what = f"chain {event.chain}" if event.chain else "the watchdog itself"
                self._undecidable = Undecidable(f"a tick of {what} cannot be decided: {error!r}; please report it")
                self._undecidable.__cause__ = error
                self._work.set()
            raise

    def _note(self, effect: Effect) -> None:
        self._open.effects.append(effect)
        settings = self.state.settings
        if isinstance(effect, Request) or settings is None:
            return
        origin = Origin(site=settings.site, watchdog=settings.watchdog)
        if isinstance(effect, Notify):
            self._open.notices.append(notice_row(effect, origin, self.state.boot, settings))
            return
        for message in render(effect, origin, self.state.boot):
            self._keep(message, effect)

    def _keep(self, message: Message, effect: AlertChanged | StateChanged) -> None:
        if message.seq is None or not isinstance(effect, AlertChanged):
            self._open.retained[message.topic] = RetainedRow(topic=message.topic, payload=message.payload or None)
            return
        self._open.outbox.append(
            OutboxRow(
                seq=message.seq,
                id=f"{effect.boot}:{effect.seq}",
                fingerprint=effect.alert.fingerprint,
                severity=effect.alert.severity,
                topic=message.topic,
                payload=message.payload,
                retain=message.retain,
                qos=message.qos,
                expiry_s=message.expiry_s,
                created_wall_ns=effect.wall_ns,
            )
        )

    def flush(self) -> None:
        """Close the group that is open."""
        if not self._open.records:
            return
        group = Group(
            t_ns=self.state.t_ns,
            wall_ns=self._wall_ns(),
            effect_no=self._effect_no,
            records=tuple(self._open.records),
            outbox=tuple(self._open.outbox),
            retained=tuple(self._open.retained.values()),
            notices=tuple(self._open.notices),
            snapshot=self._snapshot(),
        )
        payloads = [row.payload for row in self._open.outbox if not row.topic.endswith(topics.SELF_TEST)]
        self._closed.append(_Closed(group=group, effects=self._open.effects, payloads=payloads))
        self._open = _Open()
        self._work.set()

    def _snapshot(self) -> Snapshot | None:
        # One is enough: a backlog of which every group carries the whole state would never be worked off.
        if self._snapshot_waits or not self._store.snapshot_wanted:
            return None
        settings = self.state.settings
        config_hash = settings.config_hash if settings is not None else ""
        snapshot = Snapshot(event_no=self._event_no, data=encode_state(self.state), config_hash=config_hash)
        self._snapshot_waits = True
        return snapshot

    async def run(self, beat: Callable[[], None]) -> None:
        """Commit for ever. Belongs to one task; `beat` is told after each commit: a backlog is no standstill.

        Raises Undecidable when a tick could not be decided, StoreError when nothing can be committed.
        """
        while True:
            try:
                async with asyncio.timeout(_IDLE_S):
                    await self._work.wait()
            except TimeoutError:
                beat()
                continue
            self._work.clear()
            await self._commit_all(beat)
            if self._undecidable is not None:
                raise self._undecidable

    async def _commit_all(self, beat: Callable[[], None]) -> None:
        while self._closed:
            waiting = list(islice(self._closed, _MOST_AT_ONCE))
            commits = [self._store.commit(closed.group) for closed in waiting]
            for closed, result in zip(waiting, await asyncio.gather(*commits, return_exceptions=True), strict=True):
                if isinstance(result, BaseException):
                    raise result
                self._closed.popleft()
                self.commits += result.durable and self._store.durable
                self._let_go(closed)
                beat()

    def _let_go(self, closed: _Closed) -> None:
        if closed.group.snapshot is not None:
            self._snapshot_waits = False
        for effect in closed.effects:
            if isinstance(effect, Request):
                self._on_request(effect)
        for payload in closed.payloads:
            self._on_alert(payload)
        closed.committed.set()

    async def drained(self) -> None:
        """Return when everything that was taken before the call is committed, whatever is taken meanwhile."""
        self.flush()
        if self._closed:
            await self._closed[-1].committed.wait()


def notice_row(effect: Notify, origin: Origin, boot: str, settings: Settings) -> NoticeRow:
    """Return a message to people as the store keeps it."""
    runbooks = {channel.name: channel.runbook for channel in settings.channels}
    return NoticeRow(
        number=effect.number,
        channel=effect.channel,
        group=effect.group,
        severity=effect.severity,
        payload=notices.payload(
            effect, origin, boot, environment=settings.environment, runbook=runbooks.get(effect.channel, RUNBOOK)
        ),
        created_wall_ns=effect.wall_ns,
    )
