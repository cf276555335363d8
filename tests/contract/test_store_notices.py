"""Messages to people in the store: what waits survives, in order, within bounds, whatever the disk does."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.store_kit import SMALL, Opener, group, opener

from tocsin.model.alert import Severity
from tocsin.store import Limits, NoticeRow, Store
from tocsin.testing.clock import ManualClock

INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    return opener(tmp_path / "state", ManualClock(wall_ns=10**18))


def notice(number: int, severity: Severity = WARNING, where: str = "g", *, channel: str = "team") -> NoticeRow:
    return NoticeRow(
        number=number,
        channel=channel,
        group=where,
        severity=severity,
        payload=b'{"number":%d}' % number,
        created_wall_ns=number,
    )


async def say(store: Store, *rows: NoticeRow) -> None:
    await store.commit(replace(group(store.health().event_no + 1, 1), notices=rows))


async def waiting(store: Store, channel: str = "team") -> list[int]:
    return [row.number for row in await store.notices_for(channel, 100)]


async def test_what_waits_is_there_after_a_restart_and_what_was_sent_is_not(opened: Opener) -> None:
    async with await opened() as store:
        heard: list[int] = []
        store.on_notices = lambda: heard.append(1)
        await say(store, notice(1), notice(2, where="h"), notice(3, channel="pager"))
        assert heard == [1]
        assert await store.remove_notices([1, 99]) == 1
    async with await opened() as store:
        assert await waiting(store) == [2]
        [row] = await store.notices_for("pager", 9)
        assert row == notice(3, channel="pager")
        assert (store.health().notices.waiting, store.health().notices.last) == ({"team": 1, "pager": 1}, 3)


async def test_the_worst_group_goes_first_and_each_group_keeps_its_order(opened: Opener) -> None:
    async with await opened() as store:
        await say(
            store, notice(1, INFO, "a"), notice(2, WARNING, "b"), notice(3, CRITICAL, "a"), notice(4, CRITICAL, "c")
        )
        assert await waiting(store) == [1, 4, 2]
        await store.remove_notices([1])
        assert await waiting(store) == [3, 4, 2]


async def test_a_message_is_kept_once_however_often_it_is_committed(opened: Opener) -> None:
    async with await opened() as store:
        await say(store, notice(1))
        await store.remove_notices([1])
        await say(store, notice(1), notice(2))
        assert await waiting(store) == [2]


async def test_what_is_too_much_goes_oldest_info_first_and_never_what_is_critical(opened: Opener) -> None:
    async with await opened(replace(SMALL, notice_rows=3)) as store:
        each = {1: CRITICAL, 2: WARNING, 3: INFO, 4: INFO, 5: CRITICAL}
        for number, severity in each.items():
            await say(store, notice(number, severity, f"g{number}"))
        assert sorted(await waiting(store)) == [1, 2, 5]
        assert store.health().notices.dropped == 2
        await say(store, *(notice(number, CRITICAL, f"g{number}") for number in range(6, 10)))
        assert sorted(await waiting(store)) == [1, 5, 6, 7, 8, 9]
    async with await opened() as store:
        assert sorted(await waiting(store)) == [1, 5, 6, 7, 8, 9]


async def test_too_many_bytes_are_too_much_as_well(opened: Opener) -> None:
    large = replace(notice(1), payload=b" " * 700)
    async with await opened(replace(SMALL, notice_bytes=1000)) as store:
        await say(store, large, notice(2))
        await say(store, replace(large, number=3, group="h"))
        assert await waiting(store) == [2, 3]


async def test_messages_of_channels_that_are_gone_are_forgotten(opened: Opener) -> None:
    async with await opened() as store:
        await say(store, notice(1), notice(2, channel="old"))
        assert await store.keep_channels(["team"]) == 1
        assert (await waiting(store), await waiting(store, "old")) == ([1], [])


async def test_a_full_disk_keeps_nothing_from_being_sent_and_what_waits_is_written_later(opened: Opener) -> None:
    async with await opened() as store:
        await say(store, notice(1), notice(2, where="h"))
        await _with_the_disk_full(store, full=True)
        large = replace(notice(3, where="i"), payload=b" " * 300_000)
        committed = await store.commit(replace(group(store.health().event_no + 1, 1), notices=(large,)))
        assert not committed.durable
        assert await store.remove_notices([2]) == 1
        assert await waiting(store) == [1, 3]
        await _with_the_disk_full(store, full=False)
        await say(store, notice(4, where="j"))
        assert await waiting(store) == [1, 3, 4]
    async with await opened() as store:
        assert await waiting(store) == [1, 3, 4]


async def _with_the_disk_full(store: Store, *, full: bool) -> None:
    def limit(core: object) -> None:
        db: sqlite3.Connection = core.db  # type: ignore[attr-defined]
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages if full else 10**6}")

    await store._ask(limit)


async def test_a_damaged_row_costs_no_other_one(tmp_path: Path, opened: Opener) -> None:
    async with await opened() as store:
        await say(store, notice(1), notice(2, where="h"))
    with closing(sqlite3.connect(next((tmp_path / "state").glob("*.db")), isolation_level=None)) as db:
        db.execute("UPDATE notice SET payload = 7 WHERE number = 1")
    async with await opened(Limits(reserve_bytes=1 << 16)) as store:
        assert await waiting(store) == [2]
        assert any("quarantine" in one.kind for one in store.notices)


async def test_a_state_directory_that_is_deleted_costs_no_message(tmp_path: Path, opened: Opener) -> None:
    async with await opened() as store:
        await say(store, notice(1))
        for path in (tmp_path / "state").glob("*.db*"):
            path.unlink()
        await say(store, notice(2, where="h"))
        assert await waiting(store) == [1, 2]
    async with await opened() as store:
        assert await waiting(store) == [1, 2]
