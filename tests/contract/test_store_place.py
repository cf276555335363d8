# ruff: noqa: ASYNC240 - files are what these tests are about
"""A state directory that goes away under an open store: made anew, or told as not durable; never a false "durable"."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.store_kit import Opener, group, opener, row, tail_of

from tocsin.errors import StoreError
from tocsin.store import Limits, Mode, NoticeKind, Store
from tocsin.testing.clock import ManualClock

EAGER = Limits(reserve_bytes=1 << 16, resume_free_bytes=0, resume_every_ns=10**9)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall_ns=0)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def opened(state_dir: Path, clock: ManualClock) -> Opener:
    return opener(state_dir, clock)


def delete(state_dir: Path) -> None:
    shutil.rmtree(state_dir)


def empty(state_dir: Path) -> None:
    for each in list(state_dir.iterdir()):
        shutil.rmtree(each) if each.is_dir() else each.unlink()


def move(state_dir: Path) -> None:
    state_dir.rename(state_dir.with_name("elsewhere"))


def delete_database(state_dir: Path) -> None:
    (state_dir / "tocsin.db").unlink()


def delete_log(state_dir: Path) -> None:
    (state_dir / "tocsin.db-wal").unlink()


@pytest.mark.parametrize("lose", [delete, empty, move, delete_database, delete_log])
async def test_what_was_deleted_or_moved_away_is_made_anew_with_all_that_was_in_it(
    opened: Opener, state_dir: Path, lose: Callable[[Path], None]
) -> None:
    async with await opened(EAGER) as store:
        await store.commit(group(1, 2, outbox=(row(1), row(2)), effect_no=2))
        await store.mark_sent([1])
        await store.counts()  # what the writer does for itself is then over
        lose(state_dir)
        committed = await store.commit(group(3, 1, outbox=(row(3),), effect_no=3))
        assert (committed.durable, committed.journalled) == (True, True)
        assert store.health().mode is Mode.NORMAL
        assert [notice.kind for notice in store.notices] == [NoticeKind.MADE_ANEW]
        with pytest.raises(StoreError, match="in use by process"):
            await opened(EAGER)
        assert (await store.commit(group(4, 1, outbox=(row(4),), effect_no=4))).durable
        assert len(store.notices) == 1
    async with await opened(EAGER) as store:
        recovered, tail = await tail_of(store)
        assert [entry.event_no for entry in tail] == [1, 2, 3, 4]
        assert (recovered.complete, recovered.last_effect_no) == (True, 4)
        assert [item.row.seq for item in await store.pending(10)] == [2, 3, 4]


async def test_what_was_sealed_is_told_as_lost_and_the_stream_goes_on(opened: Opener, state_dir: Path) -> None:
    async with await opened(EAGER) as store:
        await store.commit(group(1, 2))
        await store.commit(group(3, 2, snapshot=True))
        assert await store.sealed()
        await store.counts()
        delete(state_dir)
        assert (await store.commit(group(5, 1))).journalled
        assert sorted(notice.kind for notice in store.notices) == [NoticeKind.MADE_ANEW, NoticeKind.SEGMENT_MISSING]
        await store.commit(group(6, 1, snapshot=True))
        assert await store.sealed()
    async with await opened(EAGER) as store:
        recovered, tail = await tail_of(store)
        assert (recovered.snapshot_event_no, tail, recovered.complete) == (6, [], True)


async def replaced(state_dir: Path) -> Path:
    """Put another database, with a log, in the place of the open one; return where that is kept."""
    kept, other = state_dir.with_name("kept"), state_dir.with_name("other")
    async with await Store.open(other, clock=ManualClock(wall_ns=0), limits=EAGER) as store:
        await store.commit(group(1, 1, outbox=(row(1),)))
        restored = state_dir.with_name("restored")
        restored.mkdir()
        for name in ("tocsin.db", "tocsin.db-wal"):
            shutil.copyfile(other / name, restored / name)
    state_dir.rename(kept)
    restored.rename(state_dir)
    return kept


async def test_over_another_database_alerts_go_out_marked_and_are_kept_once_the_old_one_is_back(
    opened: Opener, state_dir: Path, clock: ManualClock
) -> None:
    async with await opened(EAGER) as store:
        await store.commit(group(1, 1, outbox=(row(1),)))
        kept = await replaced(state_dir)
        committed = await store.commit(group(2, 1, outbox=(row(2),), effect_no=2))
        assert (committed.durable, committed.journalled) == (False, False)
        assert store.health().mode is Mode.NOT_DURABLE
        assert "was replaced while in use; put the old one back, or restart" in store.health().reason
        assert [(item.row.seq, item.durable) for item in await store.pending(10)] == [(1, True), (2, False)]
        state_dir.rename(state_dir.with_name("restored"))
        kept.rename(state_dir)
        assert (await store.commit(group(3, 1, outbox=(row(3),), effect_no=3))).durable
        clock.advance(s=2)
        await store.counts()
        await store.commit(group(4, 1, snapshot=True))
        assert store.health().mode is Mode.NORMAL
    async with await opened(EAGER) as store:
        assert [item.row.seq for item in await store.pending(10)] == [1, 2, 3]


async def test_a_database_that_was_put_in_the_place_of_an_open_one_is_left_whole(
    opened: Opener, state_dir: Path
) -> None:
    async with await opened(EAGER) as store:
        await store.commit(group(1, 1))
        await replaced(state_dir)
        before = {path.name: path.read_bytes() for path in state_dir.iterdir()}
        assert not (await store.commit(group(2, 1, outbox=(row(7),)))).durable
        await store.commit(group(3, 1))
    assert {path.name: path.read_bytes() for path in state_dir.iterdir()} == before
    async with await opened(EAGER) as store:
        assert [item.row.seq for item in await store.pending(10)] == [1]


async def test_a_place_that_cannot_be_looked_at_is_told_until_it_can(
    tmp_path: Path, opened: Opener, state_dir: Path, clock: ManualClock
) -> None:
    async with await opened(EAGER) as store:
        await store.commit(group(1, 1))
        await store.counts()
        delete(state_dir)
        (tmp_path / "file").touch()
        (tmp_path / "file").rename(state_dir)
        assert not (await store.commit(group(2, 1, outbox=(row(1),)))).durable
        assert f"{state_dir}: cannot be looked at" in store.health().reason
        state_dir.unlink()
        clock.advance(s=2)
        assert (await store.commit(group(3, 1, outbox=(row(2),)))).durable
    with closing(sqlite3.connect(state_dir / "tocsin.db")) as db:
        assert db.execute("SELECT seq FROM outbox ORDER BY seq").fetchall() == [(1,), (2,)]


async def test_what_cannot_be_made_anew_is_told_and_tried_again(
    opened: Opener, state_dir: Path, clock: ManualClock
) -> None:
    async with await opened(EAGER) as store:
        await store.commit(group(1, 1))
        await store.counts()
        (state_dir / "tocsin.db.fresh").mkdir()
        (state_dir / "tocsin.db").unlink()
        assert not (await store.commit(group(2, 1, outbox=(row(1),)))).durable
        reason = store.health().reason
        assert f"{state_dir}: was deleted or moved away while in use, and cannot be made anew" in reason
        assert "restart the daemon" in reason
        (state_dir / "tocsin.db.fresh").rmdir()
        assert not (await store.commit(group(3, 1, outbox=(row(2),)))).durable, "no sooner than resume_every_ns"
        assert store.health().reason == reason
        clock.advance(s=2)
        assert (await store.commit(group(4, 1, outbox=(row(3),)))).durable
        assert [(item.row.seq, item.durable) for item in await store.pending(10)] == [(1, True), (2, True), (3, True)]


def test_over_a_mount_alerts_go_out_marked_until_the_old_file_system_is_back(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-Urm", "true"], check=False).returncode:
        pytest.skip("needs mount namespaces: run as root, or allow unprivileged user namespaces")
    done = subprocess.run(
        [unshare, "-Urm", sys.executable, "-m", "tests.support.store_full", "cover", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["durable"] == [True, False, False, True]
    assert seen["modes"] == [Mode.NORMAL, Mode.NOT_DURABLE, Mode.NOT_DURABLE, Mode.NORMAL]
    for reason in seen["reasons"][1:3]:
        assert "another file system lies there now; mount the old one again" in reason
    assert seen["left_in_the_other"] == []
    assert seen["pending"] == [1, 2, 3, 4]
