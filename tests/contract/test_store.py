"""The store on a real disk: what is committed is there, in order, and where to go on from is found."""

import asyncio
import os
from functools import partial
from pathlib import Path

import pytest
from tests.support.store_kit import Opener, group, opener, record, row, state, tail_of

from tocsin.errors import StoreError
from tocsin.model.alert import Severity
from tocsin.store import (
    Group,
    Limits,
    Mode,
    NoticeKind,
    Origin,
    RetainedRow,
    Snapshot,
    SnapshotAt,
    read_recording,
)
from tocsin.testing.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall_ns=0)


@pytest.fixture
def opened(tmp_path: Path, clock: ManualClock) -> Opener:
    return opener(tmp_path / "state", clock)


async def test_a_fresh_store_has_nothing_to_go_on_from(opened: Opener) -> None:
    async with await opened() as store:
        recovered, tail = await tail_of(store)
        assert (recovered.snapshot, tail, recovered.last_event_no) == (None, [], 0)
        assert recovered.complete
        assert store.health().mode is Mode.NORMAL
        assert store.notices == ()


async def test_without_a_snapshot_the_first_segment_is_the_tail(opened: Opener) -> None:
    async with await opened() as store:
        assert (await store.commit(group(1, 3))).journalled
        await store.commit(group(4, 2, effect_no=9))
    async with await opened() as store:
        recovered, tail = await tail_of(store)
        assert [entry.event_no for entry in tail] == [1, 2, 3, 4, 5]
        assert [entry.data for entry in tail] == [record(number).data for number in range(1, 6)]
        assert [entry.bodies for entry in tail] == [record(number).bodies for number in range(1, 6)]
        assert (recovered.last_event_no, recovered.last_effect_no) == (5, 9)
        assert (recovered.last_t_ns, recovered.last_wall_ns, recovered.tail_events) == (5, 5, 5)
        assert recovered.complete


async def test_the_newest_snapshot_heads_the_tail_and_older_ones_stand_behind_it(opened: Opener) -> None:
    async with await opened() as store:
        for first in range(1, 40, 4):
            await store.commit(group(first, 4, snapshot=first % 16 == 1))
        assert await store.sealed()
    for _ in range(2):
        async with await opened() as store:
            asked, seen = None, []
            while True:
                recovered, tail = await tail_of(store, before=asked)
                assert [entry.event_no for entry in tail] == list(range(recovered.snapshot_event_no + 1, 41))
                assert [entry.bodies for entry in tail] == [record(entry.event_no).bodies for entry in tail]
                assert recovered.complete
                seen.append(recovered.snapshot)
                asked = recovered.snapshot_event_no
                if recovered.snapshot is None:
                    break
            assert seen == [state(36), state(20), state(4), None]


async def test_a_cold_start_has_no_tail_and_keeps_the_numbers(opened: Opener) -> None:
    async with await opened() as store:
        await store.commit(group(1, 3, effect_no=7))
    async with await opened() as store:
        recovered, tail = await tail_of(store, before=0)
        assert (recovered.snapshot, tail) == (None, [])
        assert (recovered.last_event_no, recovered.last_effect_no) == (3, 7)
        assert not recovered.complete


def _note(order: list[int], at: int, _: object) -> None:
    order.append(at)


async def test_groups_are_committed_in_the_order_of_submission(opened: Opener) -> None:
    async with await opened() as store:
        futures = [await store.submit(group(first, 1, outbox=(row(first),))) for first in range(1, 200)]
        order: list[int] = []
        for at, future in enumerate(futures):
            future.add_done_callback(partial(_note, order, at))
        await asyncio.gather(*futures)
        assert order == sorted(order)
        assert [item.row.seq for item in await store.pending(500)] == list(range(1, 200))


async def test_a_group_out_of_order_is_refused_and_the_others_go_on(opened: Opener) -> None:
    async with await opened() as store:
        first = await store.submit(group(1, 2))
        wrong = await store.submit(group(7, 1))
        late = await store.submit(group(3, 2, snapshot=True))
        stale = await store.submit(Group(t_ns=9, wall_ns=9, effect_no=9, snapshot=Snapshot(event_no=3, data=b"")))
        assert (await first).journalled
        with pytest.raises(StoreError, match="event 7 was committed where 3 belongs"):
            await wrong
        assert (await late).journalled
        with pytest.raises(StoreError, match="behind event 3 came where 4 belongs"):
            await stale
        assert store.health().event_no == 4


async def test_a_full_queue_makes_callers_wait_in_order_and_drops_nothing(opened: Opener) -> None:
    async with await opened(Limits(queue_groups=4, queue_bytes=2000, reserve_bytes=1 << 16)) as store:
        widest = 0
        futures = []
        for first in range(1, 101):
            futures.append(await store.submit(group(first, 1, size=300)))
            widest = max(widest, store.waiting)
        await asyncio.gather(*futures)
        assert widest <= 5
        assert store.waiting == 0
        assert store.health().event_no == 100


async def test_cancelling_a_commit_neither_loses_nor_repeats_it(opened: Opener) -> None:
    async with await opened(Limits(queue_groups=2, reserve_bytes=1 << 16)) as store:
        tasks = [asyncio.create_task(store.commit(group(1, 1))) for _ in range(1)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        assert (await store.commit(group(2, 1))).journalled
        crowd = [asyncio.create_task(store.commit(group(number, 1))) for number in range(3, 9)]
        await asyncio.sleep(0)
        crowd[-1].cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        assert store.health().event_no == 7
        assert store.waiting == 0


async def test_a_second_daemon_is_refused_by_the_process_id_of_the_first(opened: Opener) -> None:
    async with await opened():
        with pytest.raises(StoreError, match=f"in use by process {os.getpid()}"):
            await opened()
    async with await opened() as store:
        assert store.health().event_no == 0


async def test_closing_commits_what_is_queued_and_later_calls_fail(opened: Opener) -> None:
    store = await opened()
    future = await store.submit(group(1, 5))
    await store.close()
    await store.close()
    assert (await future).journalled
    with pytest.raises(StoreError, match="closed"):
        await store.commit(group(6, 1))
    async with await opened() as store:
        assert (await store.recover()).last_event_no == 5


async def test_a_segment_asks_for_a_snapshot_by_age_by_size_and_after_an_upgrade(
    opened: Opener, clock: ManualClock
) -> None:
    limits = Limits(segment_age_ns=10**9, segment_bytes=5000, reserve_bytes=1 << 16)
    async with await opened(limits, Origin(code="1")) as store:
        await store.commit(group(1, 1, wall_ns=clock.wall_ns()))
        assert not store.snapshot_wanted
        clock.advance(s=1)
        await store.commit(group(2, 1, wall_ns=clock.wall_ns()))
        assert store.snapshot_wanted
        under_way = await store.submit(group(3, 1, snapshot=True, wall_ns=clock.wall_ns()))
        assert not store.snapshot_wanted
        await under_way
        await store.commit(group(4, 20, size=300, wall_ns=clock.wall_ns()))
        assert store.snapshot_wanted
        await store.commit(group(24, 1, snapshot=True, wall_ns=clock.wall_ns()))
        assert not store.snapshot_wanted
    async with await opened(limits, Origin(code="1")) as store:
        assert not store.snapshot_wanted
    async with await opened(limits, Origin(code="2")) as store:
        assert store.snapshot_wanted


async def test_a_segment_asks_for_a_snapshot_before_a_start_has_too_much_to_decide_again(opened: Opener) -> None:
    limits = Limits(segment_events=10, inherited_events=3, reserve_bytes=1 << 16)
    async with await opened(limits) as store:
        await store.commit(group(1, 4))
        await store.commit(group(5, 5))
        assert not store.snapshot_wanted
        await store.commit(group(10, 1))
        assert store.snapshot_wanted
        await store.commit(group(11, 1, snapshot=True))
        assert not store.snapshot_wanted
        await store.commit(group(12, 3))
        assert not store.snapshot_wanted


async def test_a_life_that_inherits_much_asks_for_a_snapshot_until_it_has_given_one(opened: Opener) -> None:
    limits = Limits(segment_events=100, inherited_events=3, reserve_bytes=1 << 16)
    async with await opened(limits) as store:
        await store.commit(group(1, 3))
    async with await opened(limits) as store:
        await store.commit(group(4, 1))
        assert not store.snapshot_wanted
    async with await opened(limits) as store:
        assert store.snapshot_wanted
        await store.commit(group(5, 1))
        assert store.snapshot_wanted
        await store.commit(group(6, 1, snapshot=True))
        assert not store.snapshot_wanted
        await store.commit(group(7, 50))
        assert not store.snapshot_wanted


async def test_a_stepped_wall_clock_rolls_nothing(opened: Opener, clock: ManualClock) -> None:
    async with await opened() as store:
        await store.commit(group(1, 1, wall_ns=clock.wall_ns()))
        clock.step_wall(s=7200)
        await store.commit(group(2, 1, wall_ns=clock.wall_ns()))
        assert not store.snapshot_wanted


async def test_sealed_segments_are_whole_files_and_leave_the_database(opened: Opener, tmp_path: Path) -> None:
    async with await opened(origin=Origin(code="1.0", codec=3)) as store:
        for first in range(1, 31, 5):
            await store.commit(group(first, 5, snapshot=True))
        assert await store.sealed()
        infos = await store.segments()
        assert [info.state for info in infos] == ["sealed"] * 6 + ["live"]
        for info in infos[:-1]:
            recording = read_recording(tmp_path / "state" / "journal" / f"{info.number:010d}.tsj")
            numbers = [entry.event_no for entry in recording.entries()]
            assert numbers == list(range(info.first_event, info.last_event + 1))
            assert recording.header.last_event == info.last_event
            assert (recording.header.origin.code, recording.header.origin.codec) == ("1.0", 3)
            assert recording.snapshot is None or recording.snapshot.event_no == info.first_event - 1
        rows = await store._ask(
            lambda core: core.db.execute(
                "SELECT (SELECT count(*) FROM journal), (SELECT count(*) FROM body), (SELECT count(*) FROM snapshot)"
            ).fetchone()
        )
        assert rows == (0, 0, 1)


async def test_the_journal_stays_within_its_bounds_and_records_what_went(
    opened: Opener, clock: ManualClock, tmp_path: Path
) -> None:
    limits = Limits(journal_bytes=30_000, journal_age_ns=10**12, reserve_bytes=1 << 16)
    async with await opened(limits) as store:
        for first in range(1, 200, 10):
            await store.commit(group(first, 10, snapshot=True, size=500, wall_ns=clock.wall_ns()))
            assert await store.sealed()
        files = sorted((tmp_path / "state" / "journal").iterdir())
        sealed = [info for info in await store.segments() if info.state == "sealed"]
        assert len(files) == len(sealed) > 1
        assert sum(file.stat().st_size for file in files) <= 30_000
        assert sealed[-1].last_event == 200
        gone = await store._ask(lambda core: core.db.execute("SELECT first, last FROM dropped").fetchall())
        assert gone[0] == (1, 10)
        assert gone[-1][1] == sealed[0].first_event - 1
        clock.advance(s=2000)
        await store.commit(group(201, 1, snapshot=True, wall_ns=clock.wall_ns()))
        assert await store.sealed()
        assert [info.state for info in await store.segments()] == ["sealed", "live"]


async def test_an_export_is_one_file_from_the_snapshot_before_the_span(opened: Opener, tmp_path: Path) -> None:
    async with await opened() as store:
        for first in range(1, 61, 4):
            await store.commit(group(first, 4, snapshot=first % 16 == 1))
        assert await store.sealed()
        path = tmp_path / "span.tsj"
        exported = await store.export(path, from_wall_ns=30, to_wall_ns=58)
        recording = read_recording(path)
        assert recording.snapshot == SnapshotAt(event_no=20, t_ns=20, wall_ns=20, effect_no=20, data=state(20))
        entries = list(recording.entries())
        assert [entry.event_no for entry in entries] == list(range(21, 57))
        assert [entry.bodies for entry in entries] == [record(entry.event_no).bodies for entry in entries]
        kinds = [item for item in recording.items() if isinstance(item, SnapshotAt)]
        assert [item.event_no for item in kinds] == [20, 36, 52]
        assert (exported.first_event, exported.last_event, exported.events, exported.gaps) == (21, 56, 36, ())
        with pytest.raises(StoreError, match="exists already"):
            await store.export(path, from_wall_ns=30, to_wall_ns=58)
        with pytest.raises(StoreError, match="cannot be written"):
            await store.export(tmp_path / "no" / "a.tsj", from_wall_ns=30, to_wall_ns=58)


async def test_an_export_of_nothing_says_so(opened: Opener, tmp_path: Path) -> None:
    async with await opened() as store:
        with pytest.raises(StoreError, match="nothing of this span"):
            await store.export(tmp_path / "a.tsj", from_wall_ns=0, to_wall_ns=1)
        assert not (tmp_path / "a.tsj").exists()


async def test_leftovers_of_an_interrupted_sealing_are_finished(opened: Opener, tmp_path: Path) -> None:
    store = await opened()
    for first in range(1, 21, 10):
        await store.commit(group(first, 10, snapshot=True))
    assert await store.sealed()
    await store.close()
    journal = tmp_path / "state" / "journal"
    (journal / "0000000009.tsj.part").write_bytes(b"half")
    async with await opened() as store:
        assert not list(journal.glob("*.part"))
        await store.commit(group(21, 1, snapshot=True))
        assert await store.sealed()
        recovered = await store.segments()
        assert [info.last_event for info in recovered] == [10, 20, 21, 21]


async def test_a_sealed_file_that_vanished_is_told_and_forgotten(opened: Opener, tmp_path: Path) -> None:
    store = await opened()
    for first in range(1, 31, 10):
        await store.commit(group(first, 10, snapshot=True))
    assert await store.sealed()
    await store.close()
    (tmp_path / "state" / "journal" / "0000000002.tsj").unlink()
    async with await opened() as store:
        assert [notice.kind for notice in store.notices] == [NoticeKind.SEGMENT_MISSING]
        assert "events 11 to 20" in store.notices[0].text
        exported = await store.export(tmp_path / "a.tsj", from_wall_ns=0, to_wall_ns=99)
        assert [(gap.first_event, gap.last_event) for gap in exported.gaps] == [(11, 20)]
        recovered, _ = await tail_of(store)
        assert (recovered.snapshot, recovered.complete) == (state(30), True)


async def test_the_store_tells_of_work_for_the_publisher(opened: Opener) -> None:
    async with await opened() as store:
        await store.commit(group(1, 1))
        assert not store.outbox_changed.is_set()
        await store.commit(group(2, 1, outbox=(row(1),)))
        assert store.outbox_changed.is_set()
        store.outbox_changed.clear()
        await store.commit(group(3, 1, retained=(RetainedRow(topic="a", payload=b"1"),)))
        assert store.outbox_changed.is_set()
        store.outbox_changed.clear()
        await store.mark_sent([1])
        assert await store.rearm([1]) == 1
        assert store.outbox_changed.is_set()


async def test_recovering_comes_before_the_first_commit(opened: Opener) -> None:
    async with await opened() as store:
        recovered = await store.recover()
        await store.commit(group(1, 1))
        with pytest.raises(StoreError, match="before the first commit"):
            await store.recover()
        with pytest.raises(StoreError, match="before the first commit"):
            await anext(recovered.tail)


async def test_severities_survive_the_round_trip(opened: Opener) -> None:
    rows = tuple(row(seq, severity, f"f{seq}") for seq, severity in enumerate(Severity, 1))
    async with await opened() as store:
        await store.commit(group(1, 0 + 1, outbox=rows))
    async with await opened() as store:
        found = {item.row.seq: item.row for item in await store.pending(9)}
        assert found == {one.seq: one for one in rows}
