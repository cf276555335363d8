"""Damage on the disk: what is broken is set aside and told, what is readable is saved, the rest goes on."""

import asyncio
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.store_kit import SMALL, Opener, group, opener, row, state, tail_of

from tocsin.errors import SchemaTooNew, StoreError
from tocsin.model.alert import Severity
from tocsin.store import Mode, NoticeKind, RetainedRow, Store
from tocsin.testing.clock import ManualClock

PAGE = 4096


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def opened(state_dir: Path) -> Opener:
    return opener(state_dir, ManualClock(wall_ns=0))


async def fill(opened: Opener, *, alerts: int = 60) -> None:
    """Three sealed segments, a live one, and an outbox of several pages."""
    async with await opened() as store:
        for first in range(1, 41, 5):
            await store.commit(group(first, 5, snapshot=first % 10 == 1))
        for seq in range(1, alerts + 1):
            payload = padded(seq)
            severity = Severity.CRITICAL if seq % 7 == 0 else Severity.WARNING
            await store.commit(group(41, 0, outbox=(row(seq, severity, f"f{seq}", payload=payload),), effect_no=seq))
        await store.mark_sent(range(1, 11))
        await store.commit(group(41, 0, retained=(RetainedRow(topic="status", payload=b"ready"),), effect_no=alerts))
        assert await store.sealed()


def padded(seq: int) -> bytes:
    return b'{"seq":%d,"pad":"%s"}' % (seq, b"x" * 400)


def damage(path: Path, pages: range) -> None:
    with path.open("r+b") as file:
        for page in pages:
            file.seek(page * PAGE)
            file.write(b"\xa5" * PAGE)


def make_folder(path: Path) -> None:
    path.mkdir()


def overwrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def read(path: Path) -> bytes:
    return path.read_bytes()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def flip_a_byte(path: Path, at: int | None = None) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if at is None else at] ^= 1
    path.write_bytes(content)


def quarantined(state_dir: Path) -> Path:
    return next(state_dir.glob("tocsin.db.corrupt-*"))


def pages_of(path: Path, table: str) -> list[int]:
    """Return the leaf pages of a table, counted from 0."""
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT pageno - 1 FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY pageno"
        return [page for (page,) in db.execute(query, (table,))]


async def test_a_file_that_is_no_database_is_set_aside_and_told(opened: Opener, state_dir: Path) -> None:
    await fill(opened)
    overwrite(state_dir / "tocsin.db", b"this is not a database, " * 1000)
    async with await opened() as store:
        (notice,) = store.notices
        assert notice.kind is NoticeKind.QUARANTINED
        aside = quarantined(state_dir)
        assert str(aside) in notice.text
        assert aside.read_bytes().startswith(b"this is not")
        recovered, tail = await tail_of(store)
        # The newest sealed segment still knows where to go on from.
        assert recovered.snapshot == state(25)
        assert [entry.event_no for entry in tail] == list(range(26, 36))
        assert (recovered.last_event_no, recovered.last_effect_no, recovered.last_t_ns) == (35, 35, 35)
        assert not recovered.complete
        assert store.snapshot_wanted
        await store.commit(group(36, 2))
        assert store.health().gap is not None
        await store.commit(group(38, 1, snapshot=True, outbox=(row(61),)))
        assert store.health().gap is None
        await store.commit(group(39, 1))
    async with await opened() as store:
        assert store.notices == ()
        recovered, tail = await tail_of(store)
        assert (recovered.snapshot, [entry.event_no for entry in tail]) == (state(38), [39])
        assert recovered.complete


async def test_readable_outbox_rows_are_salvaged(opened: Opener, state_dir: Path) -> None:
    await fill(opened)
    path = state_dir / "tocsin.db"
    leaves = pages_of(path, "outbox")
    damage(path, range(leaves[2], leaves[2] + 1))
    async with await opened() as store:
        (notice,) = store.notices
        assert notice.kind is NoticeKind.QUARANTINED
        items = await store.pending(100)
        counts = await store.counts()
        assert 45 <= counts.pending + counts.sent < 60
        (drop,) = await store.dropped()
        assert drop.count == 60 - counts.pending - counts.sent
        assert drop.reason == "damaged on disk"
        lost = {seq for first, last in drop.spans for seq in range(first, last + 1)}
        assert lost.isdisjoint(item.row.seq for item in items)
        assert all(item.row.payload.startswith(b'{"seq":%d,' % item.row.seq) for item in items)
        sevens = {item.row.seq for item in items if item.row.severity is Severity.CRITICAL}
        assert {item.row.seq for item in items if item.lane == 0} == sevens
        assert [item.payload for item in await store.retained_all()] == [b"ready"]
        recovered, _ = await tail_of(store)
        assert (recovered.last_event_no, recovered.last_effect_no) == (40, 60)
        assert not recovered.complete
        await store.commit(group(41, 1, snapshot=True, outbox=(row(60), row(61)), effect_no=61))
        assert max(item.row.seq for item in await store.pending(100)) == 61


@pytest.mark.parametrize(
    "definition", [b"payload BLOB", b"CREATE TABLE outbox", b"last_seq INTEGER", b"CREATE TABLE head"]
)
async def test_a_changed_byte_in_a_table_definition_costs_no_alert(
    opened: Opener, state_dir: Path, definition: bytes
) -> None:
    await fill(opened)
    path = state_dir / "tocsin.db"
    flip_a_byte(path, at=read(path).index(definition) + 2)
    async with await opened() as store:
        assert [notice.kind for notice in store.notices] == [NoticeKind.QUARANTINED]
        counts = await store.counts()
        assert (counts.pending, counts.sent) == (50, 10)
        assert [item.payload for item in await store.retained_all()] == [b"ready"]
        assert (await store.recover()).last_event_no == 40
        assert (await store.recover()).last_seq == 60


QUARANTINE = """
import os, signal, sys
from pathlib import Path
from tocsin.store import salvage
from tocsin.store.database import open_database
from tocsin.store.space import Reserve
from tocsin.clock import SystemClock

stage, folder = sys.argv[1], Path(sys.argv[2])

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

def after(call):
    def run(*args, **kwargs):
        call(*args, **kwargs)
        die()
    return run

if stage == "copied":
    salvage._mend_layout = die
elif stage == "salvaged":
    salvage._salvage = after(salvage._salvage)
elif stage == "aside":
    salvage.finish_replacing = die
elif stage == "replaced":
    Path.replace = after(Path.replace)
open_database(folder, clock=SystemClock(), reserve=Reserve(folder, 1))
"""


@pytest.mark.parametrize("stage", ["copied", "salvaged", "aside", "replaced"])
async def test_a_kill_at_any_stage_of_a_quarantine_loses_no_alert(opened: Opener, state_dir: Path, stage: str) -> None:
    await fill(opened)
    path = state_dir / "tocsin.db"
    flip_a_byte(path, at=read(path).index(b"CREATE TABLE outbox"))
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", QUARANTINE, stage, str(state_dir))
    assert await child.wait() == -signal.SIGKILL
    async with await opened() as store:
        assert (await store.counts()).pending == 50
        assert [notice.kind for notice in store.notices] == [NoticeKind.QUARANTINED] * (stage != "replaced")
        assert not {name for name in names(state_dir) if "fresh" in name or "salvage" in name}
    assert read(quarantined(state_dir))


async def test_a_database_that_someone_else_holds_is_left_alone(opened: Opener, state_dir: Path) -> None:
    await fill(opened)
    with closing(sqlite3.connect(state_dir / "tocsin.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="cannot be opened: database is locked"):
            await opened()
    async with await opened() as store:
        assert store.notices == ()
        assert (await store.counts()).pending == 50


@pytest.mark.parametrize("transaction", ["IMMEDIATE", "EXCLUSIVE"])
async def test_a_database_that_someone_else_writes_to_is_left_alone(
    opened: Opener, state_dir: Path, transaction: str
) -> None:
    await fill(opened)
    with closing(sqlite3.connect(state_dir / "tocsin.db", isolation_level=None)) as other:
        other.execute(f"BEGIN {transaction}")
        with pytest.raises(StoreError, match=r"tocsin\.db: cannot be written: database is locked; end what else"):
            await opened()
    async with await opened() as store:
        assert store.notices == ()
        assert (await store.counts()).pending == 50
        _, tail = await tail_of(store)
        assert tail


async def test_a_number_in_the_outbox_counts_as_used_whatever_the_head_says(opened: Opener, state_dir: Path) -> None:
    await fill(opened)
    with closing(sqlite3.connect(state_dir / "tocsin.db")) as db:
        last = db.execute("SELECT max(seq) FROM outbox").fetchone()[0]
        db.execute("UPDATE head SET last_seq = 0")
        db.commit()
    async with await opened() as store:
        assert (await store.recover()).last_seq == last > 0


async def test_a_file_in_the_place_of_the_journal_is_told_and_nothing_is_touched(
    opened: Opener, state_dir: Path
) -> None:
    await fill(opened)
    journal = state_dir / "journal"
    journal.rename(state_dir / "kept")
    journal.write_bytes(b"")
    with pytest.raises(StoreError, match=r"/journal: cannot be used: File exists"):
        await opened()
    journal.unlink()
    (state_dir / "kept").rename(journal)
    async with await opened() as store:
        assert store.notices == ()
        assert (await store.counts()).pending == 50


async def test_a_database_of_someone_else_is_not_touched_but_set_aside(opened: Opener, state_dir: Path) -> None:
    make_folder(state_dir)
    with closing(sqlite3.connect(state_dir / "tocsin.db")) as db:
        db.execute("CREATE TABLE theirs (a)")
        db.execute("INSERT INTO theirs VALUES (1)")
        db.commit()
    async with await opened() as store:
        assert [notice.kind for notice in store.notices] == [NoticeKind.QUARANTINED]
    with closing(sqlite3.connect(quarantined(state_dir))) as db:
        assert db.execute("SELECT a FROM theirs").fetchone() == (1,)


async def test_an_unreadable_snapshot_falls_back_to_the_one_before(opened: Opener, state_dir: Path) -> None:
    await fill(opened)
    with closing(sqlite3.connect(state_dir / "tocsin.db")) as db:
        db.execute("UPDATE snapshot SET data = 'x'")
        db.commit()
    async with await opened() as store:
        recovered, tail = await tail_of(store)
        assert recovered.snapshot == state(25)
        assert [entry.event_no for entry in tail] == list(range(26, 41))
        assert recovered.complete
        assert [notice.kind for notice in store.notices] == [NoticeKind.SNAPSHOT_UNREADABLE]


async def test_unreadable_records_end_the_tail_and_are_told(opened: Opener, state_dir: Path) -> None:
    await fill(opened)
    with closing(sqlite3.connect(state_dir / "tocsin.db")) as db:
        db.execute("UPDATE journal SET records = records || x'00' WHERE first_event = 36")
        db.commit()
    async with await opened() as store:
        recovered, tail = await tail_of(store)
        assert recovered.snapshot == state(35)
        assert tail == []
        assert not recovered.complete
        assert recovered.last_event_no == 40
        assert [notice.kind for notice in store.notices] == [NoticeKind.RECORDS_UNREADABLE]
        assert "events 36 to 40" in store.notices[0].text
        await store.commit(group(41, 1, snapshot=True))
        assert await store.sealed()
        # Sealing keeps what could be read, and says what is missing.
        assert [info.last_event for info in await store.segments()][-2:] == [35, 41]
        exported = await store.export(state_dir / "all.tsj", from_wall_ns=0, to_wall_ns=99)
        assert [(gap.first_event, gap.last_event) for gap in exported.gaps] == [(36, 41)]


async def test_a_damaged_body_ends_the_tail_before_the_first_record_that_may_need_it(
    opened: Opener, state_dir: Path
) -> None:
    async with await opened() as store:
        for number in range(1, 6):
            await store.commit(group(number, 1))
    with closing(sqlite3.connect(state_dir / "tocsin.db")) as db:
        db.execute("UPDATE body SET data = x'00' WHERE id = (SELECT max(id) - 1 FROM body)")
        db.commit()
    async with await opened() as store:
        recovered, tail = await tail_of(store)
        assert [entry.event_no for entry in tail] == [1, 2, 3]
        assert not recovered.complete


async def test_a_damaged_sealed_file_shortens_the_way_back_and_nothing_else(opened: Opener, state_dir: Path) -> None:
    await fill(opened)
    flip_a_byte(state_dir / "journal" / "0000000004.tsj")
    async with await opened() as store:
        recovered, tail = await tail_of(store)
        assert (recovered.snapshot, recovered.complete) == (state(35), True)
        assert [entry.event_no for entry in tail] == [36, 37, 38, 39, 40]
        exported = await store.export(state_dir / "all.tsj", from_wall_ns=0, to_wall_ns=99)
        assert [(gap.first_event, gap.last_event) for gap in exported.gaps] == [(26, 35)]


async def test_a_file_without_a_readable_header_is_renamed_and_told(opened: Opener, state_dir: Path) -> None:
    await fill(opened)
    flip_a_byte(state_dir / "journal" / "0000000004.tsj", at=5)
    async with await opened() as store:
        kinds = [notice.kind for notice in store.notices]
        assert kinds == [NoticeKind.SEGMENT_UNREADABLE, NoticeKind.SEGMENT_MISSING]
        assert "0000000004.tsj.unreadable" in names(state_dir / "journal")
        recovered, _ = await tail_of(store)
        assert recovered.snapshot == state(35)


def change(state_dir: Path, what: str, seqs: str) -> None:
    with closing(sqlite3.connect(state_dir / "tocsin.db")) as db, db:
        db.execute(f"UPDATE outbox SET {what} WHERE seq IN ({seqs})")  # noqa: S608 - words of the test


@pytest.mark.parametrize(
    "what",
    [
        "payload = cast(replace(cast(payload AS TEXT), 'x', 'y') AS BLOB)",
        "payload = substr(payload, 1, 9)",
        "payload = x''",
        "id = 'w:boot:7000'",
        "fingerprint = 'f9'",
        "severity = 2",
        "topic = 'event/info/d'",
        "retain = 1",
        "qos = 0",
        "expiry_s = 1",
        "content_type = 'text/plain'",
        "created_wall_ns = 0",
        "crc32 = 0",
    ],
)
async def test_a_row_that_is_not_what_was_committed_is_told_by_its_number_and_never_sent(
    opened: Opener, state_dir: Path, what: str
) -> None:
    await fill(opened)
    change(state_dir, what, "20")
    async with await opened() as store:
        items = await store.pending(100)
        assert sorted(item.row.seq for item in items) == [seq for seq in range(11, 61) if seq != 20]
        (drop,) = await store.dropped()
        assert (drop.spans, drop.count, drop.reason) == (((20, 20),), 1, "damaged on disk")
        (notice,) = store.notices
        assert notice.kind is NoticeKind.ROWS_DAMAGED
        assert "dropped: 20; check the disk" in notice.text
        assert store.health().damaged == 1
        counts = await store.counts()
        assert (counts.pending, counts.pending_bytes) == (49, 49 * len(padded(20)))
        assert counts.critical == sum(item.row.severity is Severity.CRITICAL for item in items)
        await store.mark_announced([drop])
    async with await opened() as store:
        assert len(await store.pending(100)) == 49
        assert (await store.dropped(), store.notices) == ([], ())


async def test_damaged_rows_do_not_stand_before_those_behind_them(opened: Opener, state_dir: Path) -> None:
    await fill(opened)
    change(state_dir, "topic = 't'", ", ".join(str(seq) for seq in (*range(11, 30), 35, 42)))
    async with await opened() as store:
        assert [item.row.seq for item in await store.pending(3)] == [49, 56, 30]
        await store.pending(100)
        drops = await store.dropped()
        assert sorted(span for drop in drops for span in drop.spans) == [(11, 29), (35, 35), (42, 42)]
        assert store.health().damaged == 21


async def test_a_delivered_row_that_is_damaged_is_told_when_a_consumer_asks_for_it(
    opened: Opener, state_dir: Path
) -> None:
    await fill(opened)
    change(state_dir, "topic = 't'", "3")
    async with await opened() as store:
        await store.pending(100)
        assert await store.dropped() == []
        assert await store.rearm([2, 3]) == 2
        assert {2, 3}.intersection(item.row.seq for item in await store.pending(100)) == {2}
        assert [drop.spans for drop in await store.dropped()] == [((3, 3),)]


async def test_damaged_rows_wait_to_be_told_while_nothing_can_be_written(opened: Opener, state_dir: Path) -> None:
    await fill(opened)
    change(state_dir, "topic = 't'", "14, 20")
    async with await opened() as store:
        with closing(sqlite3.connect(state_dir / "tocsin.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert not (await store.commit(group(41, 0, outbox=(row(61, Severity.CRITICAL, "f20"),)))).durable
            found = [item.row.seq for item in await store.pending(100)]
            assert sorted(found) == [seq for seq in range(11, 62) if seq not in (14, 20)]
            assert store.health().damaged == 0
        await store.pending(100)
        assert [drop.spans for drop in await store.dropped()] == [((14, 14), (20, 20))]
        assert store.health().damaged == 2


async def test_damage_found_while_running_is_healed_in_place(opened: Opener, state_dir: Path) -> None:
    async with await opened() as store:
        changes: list[Mode] = []
        store.on_change = lambda: changes.append(store.health().mode)
        for seq in range(1, 31):
            payload = bytes(500)
            await store.commit(group(seq, 1, outbox=(row(seq, fingerprint=f"f{seq}", payload=payload),)))
        await store._ask(lambda core: core.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
        leaves = pages_of(state_dir / "tocsin.db", "outbox")
        damage(state_dir / "tocsin.db", range(leaves[-1], leaves[-1] + 1))
        await store._ask(lambda core: core.db.execute("PRAGMA shrink_memory").fetchone())
        committed = await store.commit(group(31, 1, outbox=(row(31),)))
        assert committed.durable
        assert [notice.kind for notice in store.notices] == [NoticeKind.QUARANTINED]
        assert changes
        assert 31 in [item.row.seq for item in await store.pending(100)]
        assert store.snapshot_wanted
        assert (await store.commit(group(32, 1, snapshot=True))).durable
        assert (await store.commit(group(33, 1))).journalled
    async with await opened() as store:
        recovered, tail = await tail_of(store)
        assert (recovered.snapshot, [entry.event_no for entry in tail]) == (state(32), [33])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=3000), headed=st.booleans())
async def test_any_bytes_as_a_database_are_survived(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, *, headed: bool
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "tocsin.db").write_bytes(b"SQLite format 3\0" * headed + content)
    async with await Store.open(folder, clock=ManualClock(), limits=SMALL) as store:
        await store.recover()
        assert (await store.commit(group(store.health().event_no + 1, 1, snapshot=True, outbox=(row(1),)))).durable


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    damages=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=200)), min_size=1, max_size=8),
    kept=st.just(1.0) | st.floats(0.001, 1),
)
async def test_any_damage_to_a_database_is_survived(
    tmp_path_factory: pytest.TempPathFactory, sound: Path, damages: list[tuple[float, bytes]], kept: float
) -> None:
    folder = tmp_path_factory.mktemp("hurt")
    content = bytearray(read(sound))
    for place, piece in damages:
        at = int(place * (len(content) - len(piece)))
        content[at : at + len(piece)] = piece
    overwrite(folder / "tocsin.db", bytes(content[: int(kept * len(content))]))
    try:
        store = await Store.open(folder, clock=ManualClock(wall_ns=0), limits=SMALL)
    except SchemaTooNew:
        return  # the number of the version itself was hit
    async with store:
        _, tail = await tail_of(store)
        assert [entry.event_no for entry in tail] == sorted(entry.event_no for entry in tail)
        for item in await store.pending(1000):
            assert item.row.payload == padded(item.row.seq), "what is published is what was committed"
        await store.retained_all()
        number = store.health().event_no
        await store.commit(group(number + 1, 1, snapshot=True, outbox=(row(1000),)))
        assert 1000 in [item.row.seq for item in await store.pending(1000)]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    asyncio.run(fill(opener(folder, ManualClock(wall_ns=0)), alerts=20))
    return folder / "tocsin.db"
