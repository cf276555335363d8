"""Stores of other versions: older ones migrate on a copy, newer ones refuse and name the command."""

import asyncio
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.store_kit import Opener, group, opener, row, state, tail_of
from tests.support.store_v1 import LAYOUT

from tocsin.errors import SchemaTooNew
from tocsin.ids import digest
from tocsin.store import NoticeKind, layout_2, migrate
from tocsin.store.schema import VERSION, statements
from tocsin.testing.clock import ManualClock

V1 = LAYOUT + Path(__file__).with_name("store_v1.sql").read_text()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir()
    return path


@pytest.fixture
def opened(state_dir: Path) -> Opener:
    return opener(state_dir, ManualClock(wall_ns=0))


def make_v1(state_dir: Path) -> None:
    with closing(sqlite3.connect(state_dir / "tocsin.db")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(V1)
        db.commit()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def dump(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        return "\n".join(db.iterdump())


async def check_migrated(opened: Opener) -> None:
    """Everything that the first layout held is there, in the words of the present one."""
    async with await opened() as store:
        recovered, tail = await tail_of(store)
        assert (recovered.snapshot, recovered.snapshot_event_no) == (state(3), 3)
        assert [(entry.event_no, entry.t_ns, entry.wall_ns, entry.effect_no) for entry in tail] == [
            (4, 12, 1012, 8),
            (5, 13, 1013, 12),
        ]
        one, two = b'"0x1"', b'"0x2"'
        assert [entry.bodies for entry in tail] == [{digest(two): two, digest(one): one}, {digest(two): two}]
        assert (recovered.last_event_no, recovered.last_effect_no) == (5, 12)
        assert (recovered.last_t_ns, recovered.last_wall_ns, recovered.complete) == (13, 1013, True)
        _, everything = await tail_of(store, before=3)
        assert [entry.data for entry in everything] == [b'{"event":%d}' % number for number in range(1, 6)]
        assert [item.row.seq for item in await store.pending(9)] == [4, 6, 5]
        assert (await store.counts()).sent == 1
        assert {item.topic: item.payload for item in await store.retained_unpublished()} == {
            "status": b"ready",
            "head": None,
        }
        await store.commit(group(6, 2, outbox=(row(3), row(6), row(7)), effect_no=13, snapshot=True))
        assert [item.row.seq for item in await store.pending(9)] == [4, 6, 5, 7]
        assert await store.sealed()
        assert [info.state for info in await store.segments()] == ["sealed", "sealed", "live"]


async def test_an_older_store_migrates_and_is_kept(opened: Opener, state_dir: Path) -> None:
    make_v1(state_dir)
    before = dump(state_dir / "tocsin.db")
    async with await opened() as store:
        (notice,) = store.notices
        assert notice.kind is NoticeKind.MIGRATED
        assert "from store schema 1 to 3" in notice.text
    backup = state_dir / "tocsin.db.v1.bak"
    assert str(backup) in notice.text
    assert dump(backup) == before
    await check_migrated(opened)


async def test_a_store_of_the_second_layout_migrates_with_its_drops_and_its_rows(
    opened: Opener, state_dir: Path
) -> None:
    with closing(sqlite3.connect(state_dir / "tocsin.db")) as db:
        for statement in statements(layout_2.LAYOUT):
            db.execute(statement)
        for seq in (1, 2, 9):
            sent = 7 if seq == 1 else None
            db.execute(
                "INSERT INTO outbox VALUES (?, ?, 'f', 0, 1, 't', x'00', 0, 1, NULL, 'c', 0, 0, NULL, ?)",
                (seq, f"boot:{seq}", sent),
            )
        db.execute("INSERT INTO dropped VALUES (4, 'outbox', 3, 8, 5, 'outbox full: oldest info dropped', 6, 0)")
        db.execute(f"PRAGMA user_version = {layout_2.VERSION}")
        db.commit()
    async with await opened() as store:
        assert "from store schema 2 to 3" in store.notices[0].text
        (drop,) = await store.dropped()
        assert (drop.id, drop.first, drop.last, drop.count, drop.spans) == (4, 3, 8, 5, ())
        assert [item.row.seq for item in await store.pending(9)] == [2, 9]
        assert (await store.counts()).sent == 1
        assert store.health().consumers == ()
    async with await opened() as store:
        assert store.notices == ()


async def test_a_migration_happens_once(opened: Opener, state_dir: Path) -> None:
    make_v1(state_dir)
    for kinds in ([NoticeKind.MIGRATED], [], []):
        async with await opened() as store:
            assert [notice.kind for notice in store.notices] == kinds


async def test_a_newer_store_refuses_and_names_the_command(opened: Opener, state_dir: Path) -> None:
    async with await opened():
        pass
    path = state_dir / "tocsin.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    content = path.read_bytes()
    with pytest.raises(
        SchemaTooNew, match=rf"schema {VERSION + 1}, this program knows {VERSION}.*pip install --upgrade tocsin"
    ):
        await opened()
    (state_dir / f"tocsin.db.v{VERSION}.bak").write_bytes(b"")
    with pytest.raises(SchemaTooNew, match=rf"mv .*tocsin\.db\.v{VERSION}\.bak .*tocsin\.db"):
        await opened()
    assert path.read_bytes() == content
    assert names(state_dir) == {"journal", "lock", "reserve", "tocsin.db", f"tocsin.db.v{VERSION}.bak"}


async def test_a_failing_migration_leaves_the_old_store_as_it_was(opened: Opener, state_dir: Path) -> None:
    def fail(db: sqlite3.Connection) -> None:
        db.execute("DROP TABLE journal")
        db.execute("SELECT * FROM nowhere")

    make_v1(state_dir)
    before = dump(state_dir / "tocsin.db")
    with pytest.raises(sqlite3.OperationalError):
        migrate.migrate(state_dir / "tocsin.db", 1, steps={1: fail})
    assert dump(state_dir / "tocsin.db") == before
    await check_migrated(opened)


CHILD = """
import os, signal, sqlite3, sys
from pathlib import Path
from tocsin.store import migrate

stage, path = sys.argv[1], Path(sys.argv[2])

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

def after(call):
    def run(*args, **kwargs):
        call(*args, **kwargs)
        die()
    return run

if stage == "step":
    migrate.migrate(path, 1, steps={1: after(migrate.one_to_two)})
elif stage == "copied":
    migrate._run = die
elif stage == "run":
    migrate._run = after(migrate._run)
elif stage == "linked":
    os.link = after(os.link)
elif stage == "swapped":
    Path.replace = after(Path.replace)
migrate.migrate(path, 1)
"""


@pytest.mark.parametrize("stage", ["step", "copied", "run", "linked", "swapped"])
async def test_a_kill_at_any_stage_of_a_migration_costs_nothing(opened: Opener, state_dir: Path, stage: str) -> None:
    make_v1(state_dir)
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, stage, str(state_dir / "tocsin.db"))
    assert await child.wait() == -signal.SIGKILL
    await check_migrated(opened)
    assert "CREATE TABLE bodies" in dump(state_dir / "tocsin.db.v1.bak")
    assert "tocsin.db.migrating" not in names(state_dir)
