"""The engine at work: events in, one step each, and what was decided to disk before anything of it leaves.

`take` is synchronous and cheap. What was taken is closed into a group by a tick (or by `flush`); one task commits
groups in order, those that wait together, and only then hands on their effects.

A tick that cannot be decided ends that task once all before it is committed: what waits for the tick would fail the
next one too, and nothing would ever be judged again. A new life begins without it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice, takewhile
from typing import Final

from tocsin.engine.codec import encode_event, encode_state, prepare
from tocsin.engine.state import EngineState
from tocsin.engine.step import Step, step
from tocsin.errors import TocsinError
from tocsin.ids import digest
from tocsin.model.alert import Alert
from tocsin.model.effect import AlertChanged, Effect, Notify, Request, StateChanged
from tocsin.model.event import BeaconPolled, Event, Fetched, GatewayPolled, PeerHeard, Polled, Ticked, Woken
from tocsin.model.settings import RUNBOOK, Settings
from tocsin.store import Committed, Group, NoticeRow, OutboxRow, Record, RetainedRow, Snapshot, Store
from tocsin.wire import notices, topics
from tocsin.wire.envelope import EVIDENCE_LIMIT, Message, Origin, evidence_bytes, render

log = logging.getLogger(__name__)

_CUT: Final = b'"truncated":true'
"""Stands in alerts whose evidence was cut, and nearly nowhere else."""

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
    evidence: dict[str, bytes] = field(default_factory=dict)
    """By digest: what is too long to travel in its alert."""
    wall_ns: int = 0


@dataclass(slots=True, kw_only=True)
class _Closed:
    """A group that waits for its commit, and what leaves behind it."""

    group: Group
    effects: list[Effect]
    payloads: list[bytes]
    evidence: dict[str, bytes]
    snapshot_of: EngineState | None
    """The state that is still to be kept along with the group; never changed, so that it can wait."""
    event_no: int
    """Of the last event in it."""
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
        prepare()  # encoders are used by two threads, and are made by one
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
        if not isinstance(event, Polled | BeaconPolled | GatewayPolled | Fetched | Woken | PeerHeard):
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
        if _CUT in message.payload:
            self._open.evidence |= long_evidence(effect.alert)
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
        )
        payloads = [row.payload for row in self._open.outbox if not row.topic.endswith(topics.SELF_TEST)]
        self._closed.append(
            _Closed(
                group=group,
                effects=self._open.effects,
                payloads=payloads,
                evidence=self._open.evidence,
                snapshot_of=self._snapshot_of(),
                event_no=self._event_no,
            )
        )
        self._open = _Open()
        self._work.set()

    def _snapshot_of(self) -> EngineState | None:
        # One is enough: a backlog of which every group carries the whole state would never be worked off.
        if self._snapshot_waits or not self._store.snapshot_wanted:
            return None
        self._snapshot_waits = True
        return self.state

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
            waiting = await self._next()
            for closed, result in zip(waiting, await self._committed(waiting), strict=True):
                if isinstance(result, BaseException):
                    raise result
                self._closed.popleft()
                self.commits += result.durable and self._store.durable
                self._let_go(closed)
                beat()
                if closed.payloads:  # each is logged, and of many groups together the loop must not stand still
                    await asyncio.sleep(0)

    async def _next(self) -> list[_Closed]:
        """Return the groups that are to be committed together: up to one whose snapshot is still to be made."""
        first = self._closed[0]
        if first.snapshot_of is not None:
            first.group = replace(first.group, snapshot=await _snapshot(first.snapshot_of, first.event_no))
            first.snapshot_of = None
        return list(takewhile(lambda closed: closed.snapshot_of is None, islice(self._closed, _MOST_AT_ONCE)))

    async def _committed(self, waiting: list[_Closed]) -> list[Committed | BaseException]:
        """Commit groups, and write the evidence that their alerts refer to beside that: no alert waits for it.

        Who dies between the two decides the same events again at the next start, and writes it then (`recover`). Of
        events that are in a snapshot that would not be so: their evidence is written before.
        """
        if any(closed.group.snapshot is not None for closed in waiting):
            await self._keep_evidence(waiting)
            return await self._written(waiting)
        results, _ = await asyncio.gather(self._written(waiting), self._keep_evidence(waiting))
        return results

    async def _written(self, waiting: list[_Closed]) -> list[Committed | BaseException]:
        return await asyncio.gather(*(self._store.commit(closed.group) for closed in waiting), return_exceptions=True)

    async def _keep_evidence(self, waiting: list[_Closed]) -> None:
        """Write evidence; who cannot must send alerts that refer to it all the same."""
        found = {name: data for closed in waiting for name, data in closed.evidence.items()}
        trouble = await self._store.keep_evidence(found) if found else ""
        if trouble:
            log.warning("evidence is not kept: %s", trouble)

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


def long_evidence(alert: Alert) -> dict[str, bytes]:
    """Return, by its digest, the evidence of an alert that is too long to travel in it; empty where it is not."""
    whole = evidence_bytes(alert)
    return {digest(whole): whole} if len(whole) > EVIDENCE_LIMIT else {}


async def _snapshot(state: EngineState, event_no: int) -> Snapshot:
    """Return a state as it is kept. In a thread: with thousands of nodes and alerts it takes a second."""
    config_hash = state.settings.config_hash if state.settings is not None else ""
    data = await asyncio.to_thread(encode_state, state)
    return Snapshot(event_no=event_no, data=data, config_hash=config_hash)


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
