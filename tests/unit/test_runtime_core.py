"""The core at work: nothing leaves before it is on disk, and everything leaves in order."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from tests.support.broker import eventually
from tests.support.pool import settings_for
from tests.support.statepool import VAULT, StatePool, about, lying
from tests.support.ticking import Ticking, at_pace, fails

from tocsin.clock import NS
from tocsin.engine.codec import decode_event, decode_state, encode_state
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.errors import StoreError
from tocsin.ids import digest
from tocsin.model.effect import AlertChanged, Fetch
from tocsin.model.event import Commanded, ConfigRejected, Event, Polled, Ticked
from tocsin.model.observation import CHAIN_ID, LATEST, Fault, FaultKind, Part
from tocsin.runtime.core import Core, Undecidable
from tocsin.store import Committed, Group, Store
from tocsin.testing import ChainSpec, ManualClock


class Disk:
    """A store that commits when it is let, and keeps what it was given."""

    def __init__(self, *, durable: bool = True) -> None:
        self.groups: list[Group] = []
        self.may = asyncio.Event()
        self.may.set()
        self.snapshot_wanted = False
        self.error: Exception | None = None
        self.durable = durable

    async def commit(self, group: Group) -> Committed:
        await self.may.wait()
        if self.error is not None:
            raise self.error
        self.groups.append(group)
        return Committed(durable=self.durable, journalled=self.durable)


class Bench:
    """A core over a disk, what left it, and how often it showed that it lives."""

    def __init__(self, disk: Disk, state: EngineState | None = None) -> None:
        self.disk = disk
        self.left: list[Fetch | bytes] = []
        self.beats = 0
        self.core = Core(
            disk,  # type: ignore[arg-type] - of a store the core needs these three members
            state or EngineState(),
            event_no=0,
            effect_no=0,
            wall_ns=lambda: 7,
            on_request=self.left.append,
            on_alert=self.left.append,
        )

    def beat(self) -> None:
        self.beats += 1

    @property
    def alerts(self) -> list[int]:
        return [orjson.loads(one)["data"]["seq"] for one in self.left if isinstance(one, bytes)]


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(bench.core.run(bench.beat))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, StoreError, Undecidable):
            await task


def eventful() -> list[Event]:
    """An outage, a fork to back-fill, and a healing."""
    pool = Ticking(at_pace(settings_for(("a", "b", "b", "c")), NS), spec=ChainSpec(slot_ns=NS), keep_events=True)
    pool.rounds(8)
    pool.chain.fork("bad")
    pool.nodes["n3"].view.branch = "bad"
    pool.rounds(30)
    pool.answers["n1"] = fails(FaultKind.RESET)
    pool.rounds(10)
    assert len(pool.alerts) >= 2
    assert pool.fetched
    return pool.events


EVENTS = eventful()


def refused(t_ns: int = 1) -> ConfigRejected:
    return ConfigRejected(t_ns=t_ns, problems=("x",))


class Shelf(Disk):
    """A disk that also keeps evidence once it is let, or cannot."""

    def __init__(self, trouble: str = "") -> None:
        super().__init__()
        self.kept: dict[str, bytes] = {}
        self.may_keep = asyncio.Event()
        self.may_keep.set()
        self.trouble = trouble

    @property
    def alerts(self) -> int:
        """How many are committed."""
        return sum(len(one.outbox) for one in self.groups)

    async def keep_evidence(self, found: Mapping[str, bytes]) -> str:
        await self.may_keep.wait()
        self.kept |= found
        return self.trouble


def accusing() -> list[Event]:
    """A node that gives code of which the evidence is longer than an alert may be."""
    pool = StatePool(keep_events=True)
    pool.rounds(20)
    pool.answers["n1"] = lying("eth_getCode", lambda _: "0x" + "60" * 24_576, about(VAULT))
    pool.rounds(7)
    assert len(pool.alerts) == 1
    return pool.events


@pytest.mark.parametrize("trouble", ["", "evidence: cannot be written: No space left on device"])
async def test_long_evidence_is_kept_by_the_time_that_who_asks_hears_of_its_alert_and_holds_none_up(
    trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(trouble)
    bench = Bench(shelf)
    async with running(bench):
        for event in accusing():
            bench.core.take(event)
        await bench.core.drained()
    [payload] = [one for one in bench.left if isinstance(one, bytes)]
    cut = orjson.loads(payload)["data"]["evidence"]
    assert cut["truncated"] is True
    [(name, data)] = shelf.kept.items()
    assert name == cut["digest"] == digest(data)
    assert "answer" in orjson.loads(data)
    assert [one.message for one in caplog.records] == ([f"evidence is not kept: {trouble}"] if trouble else [])


async def test_no_alert_waits_on_its_way_to_the_disk_for_its_evidence() -> None:
    shelf = Shelf()
    shelf.may_keep.clear()
    bench = Bench(shelf)
    async with running(bench):
        for event in accusing():
            bench.core.take(event)
        await eventually(lambda: shelf.alerts == 1)
        assert shelf.kept == {}
        shelf.may_keep.set()
        await bench.core.drained()
    assert len(shelf.kept) == 1


@pytest.mark.parametrize("later", [False, True])
async def test_no_snapshot_is_kept_of_what_refers_to_evidence_that_is_not(*, later: bool) -> None:
    """Behind a snapshot nothing is decided again: what a crash left unwritten would be gone."""
    shelf = Shelf()
    shelf.may_keep.clear()
    bench, state = Bench(shelf), EngineState()
    for event in accusing():
        was, state = state, step(state, event).state
        shelf.snapshot_wanted = was.seq > 0 if later else state.seq > 0
        bench.core.take(event)
    bench.core.flush()
    async with running(bench):
        await asyncio.sleep(0.1)
        assert all(one.snapshot is None for one in shelf.groups)
        assert shelf.alerts == later
        shelf.may_keep.set()
        await bench.core.drained()
    assert any(one.snapshot is not None for one in shelf.groups)
    assert (shelf.alerts, len(shelf.kept)) == (1, 1)


async def test_nothing_leaves_before_its_commit() -> None:
    bench = Bench(Disk())
    bench.disk.may.clear()
    async with running(bench):
        for event in EVENTS:
            bench.core.take(event)
        await asyncio.sleep(0.05)
        assert bench.left == []
        assert bench.disk.groups == []
        bench.disk.may.set()
        await bench.core.drained()
    assert bench.alerts == list(range(1, bench.core.state.seq + 1))
    assert any(isinstance(one, Fetch) for one in bench.left)


async def test_what_is_committed_is_what_entered_and_what_leaves() -> None:
    bench = Bench(Disk())
    async with running(bench):
        for event in EVENTS:
            bench.core.take(event)
        await bench.core.drained()
    records = [record for group in bench.disk.groups for record in group.records]
    assert [record.event_no for record in records] == list(range(1, len(EVENTS) + 1))
    assert [decode_event(record.data, record.bodies) for record in records] == EVENTS
    rows = [row for group in bench.disk.groups for row in group.outbox]
    assert [row.seq for row in rows] == bench.alerts
    assert [row.payload for row in rows] == [one for one in bench.left if isinstance(one, bytes)]
    numbers = [group.effect_no for group in bench.disk.groups]
    assert numbers == sorted(numbers)


async def test_an_alert_and_its_retained_state_are_committed_with_the_event_that_decided_them() -> None:
    bench = Bench(Disk())
    async with running(bench):
        for event in EVENTS:
            bench.core.take(event)
        await bench.core.drained()
    state = EngineState()
    for group in bench.disk.groups:
        said: list[str] = []
        for record in group.records:
            done = step(state, decode_event(record.data, record.bodies))
            state = done.state
            said += [effect.alert.fingerprint for effect in done.effects if isinstance(effect, AlertChanged)]
        assert [row.fingerprint for row in group.outbox] == said
        retained = {row.topic.rsplit("/", 1)[-1] for row in group.retained if "/alert/" in row.topic}
        assert retained == set(said)


async def test_observations_wait_for_a_tick_and_everything_else_closes_the_group() -> None:
    bench = Bench(Disk())
    async with running(bench):
        for event in EVENTS:
            bench.core.take(event)
        await bench.core.drained()
    for group in bench.disk.groups:
        events = [decode_event(record.data, record.bodies) for record in group.records]
        assert not isinstance(events[-1], Polled)
        assert sum(isinstance(event, Ticked) for event in events) <= 1


async def test_a_commit_that_fails_ends_the_core_and_nothing_of_it_leaves() -> None:
    bench = Bench(Disk())
    async with running(bench) as task:
        for event in EVENTS[:30]:
            bench.core.take(event)
        await bench.core.drained()
        left = len(bench.left)
        bench.disk.error = StoreError("the database is gone")
        for event in EVENTS[30:]:
            bench.core.take(event)
        with pytest.raises(StoreError, match="is gone"):
            await asyncio.wait_for(asyncio.shield(task), 10)
    assert len(bench.left) == left


async def test_a_disk_that_keeps_nothing_still_lets_alerts_out() -> None:
    bench = Bench(Disk(durable=False))
    async with running(bench):
        for event in EVENTS:
            bench.core.take(event)
        await bench.core.drained()
    assert bench.alerts == list(range(1, bench.core.state.seq + 1))


async def test_a_backlog_that_is_worked_off_is_progress() -> None:
    bench = Bench(Disk())
    for event in EVENTS:
        bench.core.take(event)
    async with running(bench):
        await bench.core.drained()
    assert bench.beats == len(bench.disk.groups) > 10


async def test_drained_waits_for_what_was_taken_and_for_nothing_else() -> None:
    bench = Bench(Disk())
    async with running(bench):
        await asyncio.wait_for(bench.core.drained(), 10)
        bench.disk.may.clear()
        bench.core.take(EVENTS[0])
        waiting = asyncio.create_task(bench.core.drained())
        await asyncio.sleep(0.02)
        assert not waiting.done()
        bench.disk.may.set()
        await asyncio.wait_for(waiting, 10)
        assert len(bench.disk.groups) == 1


async def test_drained_does_not_wait_for_what_is_taken_meanwhile() -> None:
    bench = Bench(Disk())
    taken = 0

    async def never_idle() -> None:
        nonlocal taken
        while taken < 10_000:
            taken += 1
            bench.core.take(refused())
            await asyncio.sleep(0)

    async with running(bench), asyncio.TaskGroup() as group:
        busy = group.create_task(never_idle())
        await asyncio.sleep(0)
        await bench.core.drained()
        assert not busy.done()
        taken = 10_000


async def test_groups_that_wait_are_handed_over_together_and_leave_in_order() -> None:
    bench = Bench(Disk())
    together = most = 0
    commit = bench.disk.commit

    async def counted(group: Group) -> Committed:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0.01)
        together -= 1
        return await commit(group)

    bench.disk.commit = counted  # type: ignore[method-assign]
    async with running(bench):
        for event in EVENTS:
            bench.core.take(event)
        await bench.core.drained()
    assert most > 10
    assert bench.alerts == list(range(1, bench.core.state.seq + 1))


async def test_a_backlog_carries_one_snapshot() -> None:
    bench = Bench(Disk())
    bench.disk.snapshot_wanted = True
    bench.disk.may.clear()
    async with running(bench):
        for event in EVENTS[:60]:
            bench.core.take(event)
            await asyncio.sleep(0)
        bench.disk.may.set()
        await bench.core.drained()
        assert sum(group.snapshot is not None for group in bench.disk.groups) == 1
        bench.core.take(refused())
        await bench.core.drained()
    assert bench.disk.groups[-1].snapshot is not None


async def test_drained_closes_a_group_that_no_tick_has_closed() -> None:
    bench = Bench(Disk())
    async with running(bench):
        for event in EVENTS[:3]:
            bench.core.take(event)
        await bench.core.drained()
    assert sum(len(group.records) for group in bench.disk.groups) == 3


async def test_a_snapshot_is_of_the_state_behind_the_last_event_of_its_group() -> None:
    bench = Bench(Disk())
    bench.disk.snapshot_wanted = True
    async with running(bench):
        for event in EVENTS[:60]:
            bench.core.take(event)
            await bench.core.drained()
    state = EngineState()
    for group in bench.disk.groups:
        for record in group.records:
            state = step(state, decode_event(record.data, record.bodies)).state
        assert group.snapshot is not None
        assert group.snapshot.event_no == group.records[-1].event_no
        assert encode_state(decode_state(group.snapshot.data)) == encode_state(state)


async def test_while_a_snapshot_is_made_events_are_taken_and_what_came_before_is_on_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_end = threading.Event()

    def slowly(state: EngineState) -> bytes:
        may_end.wait(20)
        return encode_state(state)

    monkeypatch.setattr("tocsin.runtime.core.encode_state", slowly)
    bench = Bench(Disk())
    async with running(bench):
        bench.core.take(refused(1))
        bench.disk.snapshot_wanted = True
        bench.core.take(refused(2))
        bench.core.take(refused(3))
        async with asyncio.timeout(20):
            await eventually(lambda: bool(bench.disk.groups))
        bench.core.take(refused(4))
        assert [group.t_ns for group in bench.disk.groups] == [1], "what waits behind it keeps its place"
        may_end.set()
        await bench.core.drained()
    assert [group.t_ns for group in bench.disk.groups] == [1, 2, 3, 4]
    assert [group.snapshot is not None for group in bench.disk.groups] == [False, True, False, False]


async def test_between_groups_that_were_committed_together_everybody_else_has_a_turn() -> None:
    bench = Bench(Disk())
    bench.disk.may.clear()
    async with running(bench):
        for event in EVENTS:
            bench.core.take(event)
        groups = [[orjson.loads(row.payload)["data"]["seq"] for row in one.group.outbox] for one in bench.core._closed]
        bench.disk.may.set()
        seen: list[int] = []
        while len(bench.alerts) < bench.core.state.seq:
            await asyncio.sleep(0)
            seen.append(len(bench.alerts))
    most = max(map(len, groups))
    assert sum(map(bool, groups)) > 2
    assert max(after - before for before, after in pairwise([0, *seen])) <= most


async def test_the_committing_task_shows_that_it_lives_while_there_is_nothing_to_do() -> None:
    bench = Bench(Disk())
    async with running(bench):
        await asyncio.sleep(1.2)
    assert bench.beats >= 1


async def test_an_event_that_cannot_be_journalled_decides_nothing() -> None:
    bench = Bench(Disk())
    async with running(bench):
        for event in EVENTS[:20]:
            bench.core.take(event)
        before = encode_state(bench.core.state)
        poll = next(event for event in EVENTS[20:] if isinstance(event, Polled))
        with pytest.raises(UnicodeEncodeError):
            bench.core.take(replace(poll, fault=Fault(kind=FaultKind.RESET, detail="half a letter: \ud800")))
        assert encode_state(bench.core.state) == before
        bench.core.take(refused(poll.t_ns))
        await bench.core.drained()
    numbers = [record.event_no for group in bench.disk.groups for record in group.records]
    assert numbers == list(range(1, len(numbers) + 1)), "the numbers go on without a gap"


def broken(state: EngineState) -> EngineState:
    """A state of which no tick can be decided: it knows a chain that is not configured."""
    assert state.settings is not None
    return replace(state, settings=replace(state.settings, chains=()))


async def test_a_tick_that_cannot_be_decided_ends_the_core_behind_all_that_was_decided() -> None:
    bench = Bench(Disk())
    async with running(bench) as task:
        for event in EVENTS:
            bench.core.take(event)
        bench.core.state = broken(bench.core.state)
        tick = next(event for event in reversed(EVENTS) if isinstance(event, Ticked) and event.chain)
        with pytest.raises(LookupError, match="not in the settings"):
            bench.core.take(tick)
        bench.core.take(refused())
        with pytest.raises(Undecidable, match="a tick of chain sim cannot be decided: LookupError") as raised:
            await asyncio.wait_for(asyncio.shield(task), 10)
        assert isinstance(raised.value.__cause__, LookupError)
        records = [record for group in bench.disk.groups for record in group.records]
        assert [decode_event(record.data, record.bodies) for record in records] == EVENTS
        assert len(bench.alerts) == sum(len(group.outbox) for group in bench.disk.groups) > 0


async def test_a_command_that_cannot_be_decided_fails_alone() -> None:
    bench = Bench(Disk())
    async with running(bench) as task:
        bench.core.take(EVENTS[0])
        with pytest.raises(TypeError):
            bench.core.take(Commanded(t_ns=1, wall_ns=1, verb="ack", args=None, by="x"))  # type: ignore[arg-type]
        bench.core.take(EVENTS[1])
        await bench.core.drained()
        assert not task.done()


async def test_the_real_store_holds_what_left(tmp_path: Path) -> None:
    clock = ManualClock()
    async with await Store.open(tmp_path / "state", clock=clock) as store:
        rows: list[bytes] = []
        core = Core(
            store,
            EngineState(),
            event_no=0,
            effect_no=0,
            wall_ns=clock.wall_ns,
            on_request=lambda _: None,
            on_alert=rows.append,
        )
        task = asyncio.create_task(core.run(lambda: None))
        for event in EVENTS:
            core.take(event)
        await core.drained()
        task.cancel()
        assert [one.row.payload for one in await store.pending(100)] == rows
        assert rows
        topics = [one.topic for one in await store.retained_all()]
        assert "tocsin/v1/sim/w/chain/sim/head" in topics


async def test_a_store_that_is_closed_ends_the_core(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "state", clock=ManualClock()) as store:
        pass
    core = Core(
        store,
        EngineState(),
        event_no=0,
        effect_no=0,
        wall_ns=lambda: 1,
        on_request=lambda _: None,
        on_alert=lambda _: None,
    )
    core.take(refused())
    with pytest.raises(StoreError):
        await asyncio.wait_for(core.run(lambda: None), 10)


async def test_a_poll_with_what_no_json_holds_is_kept_in_a_snapshot() -> None:
    bench = Bench(Disk())
    for event in EVENTS[:20]:
        bench.core.take(event)
    odd = (Part(call=CHAIN_ID, result=b"\xff" * 200), Part(call=LATEST, result=b"\x00\xfe"))
    t_ns = bench.core.state.t_ns
    bench.core.take(Polled(t_ns=t_ns, started_ns=t_ns, chain="sim", node="n0", poll=99, parts=odd))
    restored = decode_state(encode_state(bench.core.state))
    assert restored.inbox == bench.core.state.inbox
