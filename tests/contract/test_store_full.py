"""A disk that really is full: the journal stops first, then the outbox; nothing is lost silently, all comes back."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.support.store_kit import Opener, group, opener, row, state, tail_of

from tocsin.model.alert import Severity
from tocsin.store import Limits, Mode, RetainedRow, Store
from tocsin.testing.clock import ManualClock

EAGER = Limits(reserve_bytes=1 << 16, resume_free_bytes=0, resume_every_ns=10**9)
BIG = 20_000


def on_small_disk(folder: Path, *calls: str) -> list[dict[str, Any]]:
    """Run `tests.support.store_full` calls, one after the other, on a file system of 4 MB of their own."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-Urm", "true"], check=False).returncode:
        pytest.skip("needs mount namespaces: run as root, or allow unprivileged user namespaces")
    script = f"mount -t tmpfs -o size=4m none {folder}; " + "; ".join(
        f"{sys.executable} -m tests.support.store_full {call.replace('@', str(folder))}" for call in calls
    )
    done = subprocess.run(
        [unshare, "-Urm", "sh", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_ladder(report: dict[str, Any]) -> None:
    """Down the ladder nothing was lost, and everything that waits is known for what it is."""
    assert report["modes"] == [Mode.NORMAL, Mode.JOURNAL_STOPPED, Mode.NOT_DURABLE]
    assert "disk is full" in report["reason"]
    assert len(report["durable"]) > 21, "the outbox goes on when the journal has stopped"
    assert not report["reserve"]
    everything = sorted(report["durable"] + report["unsaved"])
    assert everything == list(range(1, len(everything) + 1))
    assert sorted(seq for seq, *_ in report["pending"]) == everything
    assert report["counts_pending"] == len(everything)
    assert sorted(seq for seq, durable, *_ in report["pending"] if not durable) == report["unsaved"]
    for fingerprint in {item[3] for item in report["pending"]}:
        own = [seq for seq, _, _, name in report["pending"] if name == fingerprint]
        assert own == sorted(own)
    lanes = [lane for _, _, lane, _ in report["pending"]]
    assert lanes == sorted(lanes)
    first, last = report["gap"]
    assert (first > 20, last) == (True, len(everything))
    assert report["retained"] == [str(len(everything))]
    assert sorted(report["left"]) == [seq for seq in everything if seq not in report["sent"]]


def test_a_full_disk_costs_the_journal_first_and_everything_comes_back_with_the_space(tmp_path: Path) -> None:
    filled, found = on_small_disk(tmp_path, "fill @", "look @")
    check_ladder(filled)
    kind, text, left_behind = filled["export"]
    assert (kind, left_behind) == ("StoreFull", False)
    assert "no.tsj: cannot be written: No space left on device" in text
    assert filled["modes_after"][-1] == Mode.NORMAL
    assert not filled["gap_after"]
    assert filled["all_durable_after"]
    assert filled["reserve_after"]
    assert set(filled["left"]) <= set(filled["left_after"])
    assert not set(filled["sent"]) & set(filled["left_after"])
    last = filled["last"]
    assert found["pending"] == filled["left_after"]
    assert sorted(found["pending"])[-5:] == list(range(last - 4, last + 1))
    assert (found["complete"], found["last"]) == (True, [last, last])
    assert found["snapshot"] == f"state behind {last - len(found['tail'])}"
    ((first, until),) = found["gaps"]
    assert first == filled["gap"][0]
    assert until >= filled["gap"][1]
    assert found["retained"] == [str(last)]


def test_a_kill_on_a_full_disk_loses_only_what_was_said_not_to_be_durable(tmp_path: Path) -> None:
    filled, found = on_small_disk(tmp_path, "fill @ die", "look @")
    check_ladder(filled)
    assert sorted(found["pending"]) == filled["durable"]
    assert not found["complete"]
    assert found["last"][1] == filled["durable"][-1]
    assert found["tail"] == list(range(1, filled["gap"][0]))


async def starve(store: Store) -> None:
    """Let the database grow no more, as on a full disk."""
    await store._ask(lambda core: core.db.execute("PRAGMA max_page_count = 1").fetchone())


async def feed(store: Store) -> None:
    await store._ask(lambda core: core.db.execute("PRAGMA max_page_count = 1000000").fetchone())


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall_ns=0)


@pytest.fixture
def opened(tmp_path: Path, clock: ManualClock) -> Opener:
    return opener(tmp_path / "state", clock)


def big(seq: int, severity: Severity = Severity.WARNING) -> Any:
    return row(seq, severity, f"f{seq}", payload=bytes(BIG))


async def test_records_are_given_up_before_alerts(opened: Opener, clock: ManualClock) -> None:
    async with await opened(EAGER) as store:
        await store.commit(group(1, 1))
        await starve(store)
        seen: list[Mode] = []
        store.on_change = lambda: seen.append(store.health().mode)
        committed = await store.commit(group(2, 3, size=BIG, outbox=(row(1),), effect_no=1))
        assert (committed.durable, committed.journalled) == (True, False)
        assert seen == [Mode.JOURNAL_STOPPED]
        gap = store.health().gap
        assert gap is not None
        assert (gap.first_event, gap.last_event) == (2, 4)
        assert not store.snapshot_wanted, "no sooner than resume_every_ns"
        clock.advance(s=2)
        await feed(store)
        assert store.snapshot_wanted
        committed = await store.commit(group(5, 1, snapshot=True, effect_no=2))
        assert (committed.durable, committed.journalled) == (True, False)
        assert seen == [Mode.JOURNAL_STOPPED, Mode.NORMAL]
        assert (await store.commit(group(6, 1))).journalled
    async with await opened(EAGER) as store:
        recovered, tail = await tail_of(store)
        assert (recovered.snapshot, [entry.event_no for entry in tail]) == (state(5), [6])
        assert recovered.complete


async def test_a_restart_inside_a_gap_knows_that_events_are_missing(opened: Opener) -> None:
    async with await opened(EAGER) as store:
        await store.commit(group(1, 2))
        await starve(store)
        await store.commit(group(3, 2, size=BIG, outbox=(row(1),), effect_no=9))
    async with await opened(EAGER) as store:
        recovered, tail = await tail_of(store)
        assert [entry.event_no for entry in tail] == [1, 2]
        assert (recovered.last_event_no, recovered.last_effect_no, recovered.complete) == (4, 9, False)
        assert store.snapshot_wanted
        assert not (await store.commit(group(5, 1))).journalled
        await store.commit(group(6, 1, snapshot=True))
        assert (await store.commit(group(7, 1))).journalled
    async with await opened(EAGER) as store:
        recovered, tail = await tail_of(store)
        assert (recovered.snapshot, [entry.event_no for entry in tail], recovered.complete) == (state(6), [7], True)


async def test_alerts_that_cannot_be_written_go_out_marked_and_are_written_later(opened: Opener) -> None:
    async with await opened(EAGER) as store:
        await store.commit(group(1, 1, outbox=(big(1), row(2, Severity.INFO, "g"))))
        await starve(store)
        committed = await store.commit(group(2, 0, outbox=(big(3), row(4, Severity.CRITICAL, "g")), effect_no=4))
        assert not committed.durable
        assert not store.durable
        assert store.health().last_seq == 4, "what is only in memory is sent as well"
        assert store.outbox_changed.is_set()
        items = await store.pending(10)
        assert [(item.row.seq, item.durable, item.lane) for item in items] == [
            (2, True, 0),
            (4, False, 0),
            (1, True, 1),
            (3, False, 1),
        ]
        assert (await store.counts()).unsaved == 2
        await store.mark_sent([2, 4])
        await store.mark_failed(3, "refused")
        assert [item.row.seq for item in await store.pending(10)] == [1, 3]
        await feed(store)
        assert (await store.commit(group(2, 0, outbox=(row(5),)))).durable
        assert store.durable
        assert [(item.row.seq, item.durable, item.attempts) for item in await store.pending(10)] == [
            (1, True, 0),
            (3, True, 1),
            (5, True, 0),
        ]
        assert await store.rearm([4]) == 1
    async with await opened(EAGER) as store:
        assert [item.row.seq for item in await store.pending(10)] == [4, 1, 3, 5]


async def test_retained_topics_are_right_while_nothing_can_be_written_and_after(opened: Opener) -> None:
    def put(topic: str, payload: bytes | None) -> Any:
        return group(1, 0, retained=(RetainedRow(topic=topic, payload=payload),))

    async with await opened(EAGER) as store:
        await store.commit(put("a", b"1"))
        await store.commit(put("b", b"1"))
        for item in await store.retained_all():
            await store.mark_retained(item.topic, item.revision)
        await starve(store)
        await store.commit(put("a", bytes(BIG)))
        await store.commit(put("c", bytes(BIG)))
        await store.commit(put("b", bytes(BIG)))
        assert not store.durable
        waiting = await store.retained_unpublished()
        assert [item.topic for item in waiting] == ["a", "c", "b"]
        await store.mark_retained("c", waiting[1].revision)
        await store.commit(put("a", None))
        await store.forget_retained("b")
        left = await store.retained_unpublished()
        assert [(item.topic, item.payload) for item in left] == [("a", None)]
        await feed(store)
        await store.commit(put("d", b"4"))
        # A confirmation of a revision that was given before the disk came back confirms nothing newer.
        await store.mark_retained("a", waiting[0].revision)
        assert {item.topic for item in await store.retained_unpublished()} == {"a", "d"}
        assert {item.topic for item in await store.retained_all()} == {"a", "c", "d"}


async def test_memory_stays_bounded_while_nothing_can_be_written(opened: Opener) -> None:
    limits = Limits(reserve_bytes=1 << 16, unsaved_rows=5, resume_free_bytes=0)
    async with await opened(limits) as store:
        await starve(store)
        severities = [Severity.INFO, Severity.WARNING, Severity.CRITICAL] * 4
        for seq, severity in enumerate(severities, 1):
            await store.commit(group(1, 0, outbox=(big(seq, severity),)))
            if seq == 3:
                await store.mark_sent([3])
        kept = [item.row.seq for item in await store.pending(100)]
        assert sorted(kept) == [6, 8, 9, 11, 12]
        await feed(store)
        await store.commit(group(1, 0, outbox=(row(13),)))
        assert sorted(item.row.seq for item in await store.pending(100)) == [6, 8, 9, 11, 12, 13]
        (drop,) = await store.dropped()
        assert drop.count == 6


async def test_while_another_process_holds_the_database_alerts_go_out_marked_and_are_written_later(
    opened: Opener, clock: ManualClock, tmp_path: Path
) -> None:
    async with await opened(EAGER) as store:
        await store.commit(group(1, 1, outbox=(row(1),)))
        with closing(sqlite3.connect(tmp_path / "state" / "tocsin.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for seq in (2, 3):
                committed = await store.commit(group(seq, 1, outbox=(row(seq),), effect_no=seq))
                assert (committed.durable, committed.journalled) == (False, False)
            assert store.health().mode is Mode.NOT_DURABLE
            assert "database is locked" in store.health().reason
            assert [(item.row.seq, item.durable) for item in await store.pending(10)] == [
                (1, True),
                (2, False),
                (3, False),
            ]
            assert await store.mark_sent([2]) == 1
        assert (await store.commit(group(4, 1, outbox=(row(4),), effect_no=4))).durable
        assert store.health().mode is Mode.JOURNAL_STOPPED
        assert [(item.row.seq, item.durable) for item in await store.pending(10)] == [(1, True), (3, True), (4, True)]
        clock.advance(s=2)
        await store.counts()
        assert store.snapshot_wanted
        await store.commit(group(5, 1, snapshot=True))
        assert store.health().mode is Mode.NORMAL
        assert (await store.commit(group(6, 1))).journalled
    async with await opened(EAGER) as store:
        recovered, tail = await tail_of(store)
        assert (recovered.snapshot, [entry.event_no for entry in tail]) == (state(5), [6])
