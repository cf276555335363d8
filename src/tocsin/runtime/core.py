"""The engine at work: events in, one step each, and what was decided to disk before anything of it leaves.

`take` is synchronous and cheap. What was taken is closed into a group by a tick (or by `flush`); one task commits
groups in order, all that wait in one transaction, and only then hands on their effects.

A tick that cannot be decided ends that task once all before it is committed: what waits for the tick would fail the
next one too, and nothing would ever be judged again. A new life begins without it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tocsin.engine.codec import encode_event, encode_state
from tocsin.engine.state import EngineState
from tocsin.engine.step import Step, step
from tocsin.errors import TocsinError
from tocsin.model.effect import AlertChanged, Effect, Request, StateChanged
from tocsin.model.event import Event, Fetched, Polled, Ticked, Woken
from tocsin.store import Group, OutboxRow, Record, RetainedRow, Snapshot, Store
from tocsin.wire.envelope import Message, Origin, render

_IDLE_S: Final = 1.0
"""The committing task shows that it lives at least this often."""


class Undecidable(TocsinError):  # noqa: N818 - reads as the condition
    """A tick raised: a defect of this program, which must not go on without judging. The cause is chained."""


@dataclass(slots=True)
class _Open:
    """What was taken since the last group was closed."""

    records: list[Record] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    retained: dict[str, RetainedRow] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    wall_ns: int = 0


class Core:
    """Owns the engine's state.

    After the commit `on_request` gets what is for those who poll, `on_alert` the payload of each event.
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
        self._closed: deque[tuple[Group, list[Effect], list[bytes]]] = deque()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._undecidable: Undecidable | None = None

    def take(self, event: Event) -> None:
        """Let one event decide. Observations wait for a tick; everything else closes the group at once.

        Raises what `step` raises; after a tick, `run` then ends in Undecidable.
        """
        # Encoded first: an event that cannot be journalled must not have decided anything.
        record, bodies = encode_event(event)
        done = self._decided(event)
        self.state = done.state
        self._event_no += 1
        self._open.records.append(Record(event_no=self._event_no, data=record, bodies=bodies))
        self._effect_no += len(done.effects)
        for effect in done.effects:
            self._note(effect)
        if not isinstance(event, Polled | Fetched | Woken):
            self.flush()

    def _decided(self, event: Event) -> Step:
        try:
            return step(self.state, event)
        except Exception as error:
            if isinstance(event, Ticked) and self._undecidable is None:
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
            snapshot=self._snapshot(),
        )
        self._closed.append((group, self._open.effects, [row.payload for row in self._open.outbox]))
        self._open = _Open()
        self._idle.clear()
        self._work.set()

    def _snapshot(self) -> Snapshot | None:
        if not self._store.snapshot_wanted:
            return None
        settings = self.state.settings
        config_hash = settings.config_hash if settings is not None else ""
        return Snapshot(event_no=self._event_no, data=encode_state(self.state), config_hash=config_hash)

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
            group, effects, payloads = self._closed[0]
            await self._store.commit(group)
            self._closed.popleft()
            for effect in effects:
                if isinstance(effect, Request):
                    self._on_request(effect)
            for payload in payloads:
                self._on_alert(payload)
            beat()
        self._idle.set()

    async def drained(self) -> None:
        """Return when everything that was taken is committed."""
        self.flush()
        await self._idle.wait()
