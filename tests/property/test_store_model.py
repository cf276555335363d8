"""The store against a model that is a few dictionaries: any order of commits, marks, acks, prunes and restarts."""

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support.store_kit import group, record, row, state

from tocsin.model.alert import Severity
from tocsin.store import Entry, Limits, OutboxRow, Recovered, RetainedRow, Store, read_recording
from tocsin.testing.clock import ManualClock

T = TypeVar("T")
DAY_S = 86_400
LIMITS = Limits(
    reserve_bytes=1 << 12,
    outbox_rows=12,
    sent_rows=6,
    segment_bytes=1 << 20,
    sent_age_ns=7 * DAY_S * 10**9,
    journal_age_ns=10**6 * DAY_S * 10**9,
)
TOPICS = ("alert/a", "alert/b", "head")
FINGERPRINTS = ("f", "g", "h")
CONSUMERS = ("pager", "log")
ON_THE_WAY_NS = 2 * 10**9


@dataclass
class Model:
    events: int = 0
    effects: int = 0
    seq: int = 0
    waiting: dict[int, OutboxRow] = field(default_factory=dict)
    sent: dict[int, tuple[int, OutboxRow]] = field(default_factory=dict)
    dropped: int = 0
    retained: dict[str, bytes | None] = field(default_factory=dict)
    confirmed: dict[str, bytes | None] = field(default_factory=dict)
    snapshots: list[int] = field(default_factory=list)
    cursors: dict[str, tuple[int, frozenset[int]]] = field(default_factory=dict)

    def owed(self) -> set[int]:
        """What the broker has and a consumer has not confirmed."""
        return {
            seq
            for seq in self.sent
            if any(seq > highest or seq in missing for highest, missing in self.cursors.values())
        }

    def due(self, highest: int, missing: frozenset[int], now_ns: int) -> set[int]:
        """What an ack lets wait again."""
        again: set[str] = set()
        found = set()
        for seq in sorted({*self.waiting, *self.sent}):
            if seq <= highest and seq not in missing:
                continue
            if seq in self.waiting:
                again.add(self.waiting[seq].fingerprint)
                continue
            at, one = self.sent[seq]
            if one.fingerprint in again or at <= now_ns - ON_THE_WAY_NS:
                again.add(one.fingerprint)
                found.add(seq)
        return found

    def lanes(self) -> list[int]:
        """The order in which rows must be handed out."""
        urgent: dict[str, int] = {}
        for seq, one in self.waiting.items():
            if one.severity is Severity.CRITICAL:
                urgent[one.fingerprint] = max(seq, urgent.get(one.fingerprint, 0))
        return sorted(self.waiting, key=lambda seq: (seq > urgent.get(self.waiting[seq].fingerprint, -1), seq))

    def bound(self) -> None:
        for severity in (Severity.INFO, Severity.WARNING):
            for seq in sorted({*self.waiting, *self.owed()}):
                if len(self.waiting) + len(self.owed()) <= LIMITS.outbox_rows:
                    return
                one = self.waiting[seq] if seq in self.waiting else self.sent[seq][1]
                if one.severity is severity:
                    self.waiting.pop(seq, None)
                    self.sent.pop(seq, None)
                    self.dropped += 1


class StoreMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock(wall_ns=0)
        self.model = Model()
        self.lifted: set[int] = set()
        self._open()

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self._do(self.store.close())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.folder.cleanup()

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    def _open(self) -> None:
        self.store = self._do(Store.open(Path(self.folder.name) / "state", clock=self.clock, limits=LIMITS))

    @rule(
        records=st.integers(0, 4),
        alerts=st.lists(st.tuples(st.sampled_from(Severity), st.sampled_from(FINGERPRINTS)), max_size=4),
        documents=st.dictionaries(st.sampled_from(TOPICS), st.none() | st.binary(max_size=5), max_size=2),
        snapshot=st.booleans(),
    )
    def commit(
        self, records: Any, alerts: list[tuple[Severity, str]], documents: dict[str, bytes | None], *, snapshot: bool
    ) -> None:
        model = self.model
        rows = tuple(row(model.seq + at, severity, name) for at, (severity, name) in enumerate(alerts, 1))
        made = group(
            model.events + 1,
            records,
            outbox=rows,
            retained=tuple(RetainedRow(topic=topic, payload=payload) for topic, payload in documents.items()),
            snapshot=snapshot,
            effect_no=model.effects + len(rows),
            wall_ns=self.clock.wall_ns() + 1,
        )
        committed = self._do(self.store.commit(made))
        assert committed.durable
        assert committed.journalled
        model.events += records
        model.effects += len(rows)
        model.seq += len(rows)
        model.waiting.update({one.seq: one for one in rows})
        model.bound()
        for topic, payload in documents.items():
            if model.retained.get(topic, b"unknown") != payload:
                model.confirmed.pop(topic, None)
            model.retained[topic] = payload
        if snapshot:
            model.snapshots.append(model.events)

    @rule(data=st.data())
    @precondition(lambda self: self.model.seq)
    def repeat_known_rows(self, data: st.DataObject) -> None:
        known = data.draw(st.sets(st.integers(1, self.model.seq), max_size=4))
        rows = tuple(row(seq, Severity.CRITICAL, "f") for seq in sorted(known))
        again = group(self.model.events + 1, 0, outbox=rows, effect_no=self.model.effects)
        self._do(self.store.commit(again))
        self.model.bound()

    @rule(data=st.data())
    def publish(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(0, 5))
        items = self._do(self.store.pending(count))
        seqs = [item.row.seq for item in items]
        assert self._do(self.store.mark_sent(seqs)) == len(seqs)
        assert self._do(self.store.mark_sent(seqs)) == 0
        for seq in seqs:
            self.model.sent[seq] = (self.clock.wall_ns(), self.model.waiting.pop(seq))

    @rule(data=st.data())
    @precondition(lambda self: self.model.sent)
    def a_consumer_misses_some(self, data: st.DataObject) -> None:
        seqs = data.draw(st.sets(st.sampled_from(sorted(self.model.sent)), max_size=2))
        assert self._do(self.store.rearm(seqs)) == len(seqs)
        for seq in seqs:
            self.model.waiting[seq] = self.model.sent.pop(seq)[1]

    @rule(names=st.sets(st.sampled_from(CONSUMERS)))
    def register(self, names: set[str]) -> None:
        self._do(self.store.register_consumers(sorted(names)))
        fresh = (self.model.seq, frozenset[int]())
        self.model.cursors = {name: self.model.cursors.get(name, fresh) for name in names}

    @rule(data=st.data(), seconds=st.sampled_from([0, 1, 3]))
    @precondition(lambda self: self.model.cursors)
    def acknowledge(self, data: st.DataObject, seconds: int) -> None:
        self.clock.advance(s=seconds)
        name = data.draw(st.sampled_from(sorted(self.model.cursors)))
        highest = data.draw(st.integers(0, self.model.seq))
        missing = frozenset(data.draw(st.sets(st.integers(1, highest - 1), max_size=4))) if highest > 1 else frozenset()
        done = self._do(
            self.store.acknowledge(name, at=self.clock.wall_ns() + 1, highest=highest, missing=sorted(missing))
        )
        assert done is not None
        due = self.model.due(highest, missing, self.clock.wall_ns())
        assert done.rearmed == len(due)
        lacking = {*missing, *range(highest + 1, self.model.seq + 1)}
        gone = {seq for first, last in done.gone for seq in range(first, last + 1)}
        assert gone == lacking - {*self.model.waiting, *self.model.sent}
        for seq in due:
            self.model.waiting[seq] = self.model.sent.pop(seq)[1]
        self.model.cursors[name] = (highest, missing)

    @rule(data=st.data())
    def confirm_retained(self, data: st.DataObject) -> None:
        for item in self._do(self.store.retained_unpublished()):
            if data.draw(st.booleans()):
                self._do(self.store.mark_retained(item.topic, item.revision))
                self.model.confirmed[item.topic] = item.payload

    @rule(topic=st.sampled_from(TOPICS))
    def forget_retained(self, topic: str) -> None:
        self._do(self.store.forget_retained(topic))
        self.model.retained.pop(topic, None)
        self.model.confirmed.pop(topic, None)

    @rule(days=st.sampled_from([0, 1, 8]))
    def prune(self, days: int) -> None:
        self.clock.advance(s=days * DAY_S)
        self._prune()

    def _prune(self) -> None:
        self._do(self.store.prune())
        now = self.clock.wall_ns()
        owed = self.model.owed()
        kept = {seq: at for seq, at in self.model.sent.items() if seq in owed or at[0] >= now - LIMITS.sent_age_ns}
        while len(kept) > LIMITS.sent_rows and set(kept) - owed:
            del kept[min(set(kept) - owed, key=lambda seq: (kept[seq][0], seq))]
        self.model.sent = kept
        stored = {item.topic for item in self._do(self.store.retained_all())}
        for topic in set(self.model.retained) - stored:
            assert self.model.retained.pop(topic) is None
            assert topic in self.model.confirmed

    @rule()
    def seal(self) -> None:
        assert self._do(self.store.sealed())

    @rule(sealing=st.booleans())
    def restart(self, *, sealing: bool) -> None:
        if sealing:
            self._do(self.store.sealed())
        self._do(self.store.close())
        self._open()
        assert self.store.notices == ()
        self._prune()  # as every start does
        self._check_recovery(None)
        if self.model.snapshots:
            self._check_recovery(self.model.snapshots[-1])

    def _check_recovery(self, before: int | None) -> None:
        async def read() -> tuple[Recovered, list[Entry]]:
            recovered = await self.store.recover(before=before)
            return recovered, [entry async for entry in recovered.tail]

        recovered, tail = self._do(read())
        usable = [at for at in self.model.snapshots if before is None or at < before]
        start = usable[-1] if usable else 0
        if recovered.snapshot is None and not usable and recovered.snapshot_event_no:
            assert self.model.events, "only a store whose first segment is gone starts cold"
            return
        assert recovered.snapshot == (state(start) if usable else None)
        assert recovered.snapshot_event_no == start
        assert [entry.event_no for entry in tail] == list(range(start + 1, self.model.events + 1))
        assert all(entry.bodies == record(entry.event_no).bodies for entry in tail)
        assert recovered.complete
        assert (recovered.last_event_no, recovered.last_effect_no) == (self.model.events, self.model.effects)

    @rule()
    @precondition(lambda self: self.model.events)
    def export(self) -> None:
        path = Path(self.folder.name) / "all.tsj"
        path.unlink(missing_ok=True)
        exported = self._do(self.store.export(path, from_wall_ns=0, to_wall_ns=2**60))
        entries = [item for item in read_recording(path).items() if isinstance(item, Entry)]
        expected = range(exported.first_event, self.model.events + 1)
        assert [entry.event_no for entry in entries] == list(expected)
        assert exported.gaps == ()

    @invariant()
    def rows_wait_in_their_lanes(self) -> None:
        if not hasattr(self, "store"):
            return
        items = self._do(self.store.pending(100))
        found = [item.row.seq for item in items]
        assert sorted(found) == sorted(self.model.waiting)
        for fingerprint in FINGERPRINTS:
            own = [item.row.seq for item in items if item.row.fingerprint == fingerprint]
            assert own == sorted(own), "order holds per fingerprint"
        lanes = [item.lane for item in items]
        assert lanes == sorted(lanes)
        assert all(item.lane == 0 for item in items if item.row.severity is Severity.CRITICAL)
        assert all(item.row == self.model.waiting[item.row.seq] for item in items)

    @invariant()
    def counts_are_true(self) -> None:
        if not hasattr(self, "store"):
            return
        counts = self._do(self.store.counts())
        assert counts.pending == len(self.model.waiting)
        assert counts.critical == sum(one.severity is Severity.CRITICAL for one in self.model.waiting.values())
        assert counts.pending_bytes == sum(len(one.payload) for one in self.model.waiting.values())
        assert counts.sent == len(self.model.sent)
        owed = [self.model.sent[seq][1] for seq in self.model.owed()]
        assert counts.unconfirmed == len(owed)
        assert counts.unconfirmed_bytes == sum(len(one.payload) for one in owed)
        assert counts.unconfirmed_critical == sum(one.severity is Severity.CRITICAL for one in owed)
        cursors = {one.name: (one.max, frozenset(one.missing)) for one in self.store.health().consumers}
        assert cursors == self.model.cursors
        assert sum(drop.count for drop in self._do(self.store.dropped())) == self.model.dropped

    @invariant()
    def retained_topics_are_true(self) -> None:
        if not hasattr(self, "store"):
            return
        items = self._do(self.store.retained_all())
        assert {item.topic: item.payload for item in items} == self.model.retained
        unpublished = {item.topic for item in items if item.revision > item.published}
        assert unpublished == set(self.model.retained) - set(self.model.confirmed)
        assert [item.revision for item in items] == sorted({item.revision for item in items})


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
