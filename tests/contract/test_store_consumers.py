"""Cursors of consumers: what they lack is sent again and kept, what they have may be forgotten, and all is bounded."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.support.store_kit import SMALL, Opener, group, opener, row

from tocsin.model.alert import Severity
from tocsin.store import Acknowledged, Limits, OutboxRow, Store
from tocsin.store.consumers import WINDOW
from tocsin.testing.clock import ManualClock

INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL
DAY_S = 86_400
TIGHT = Limits(reserve_bytes=1 << 16, outbox_rows=10, sent_rows=4)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall_ns=10**18)


@pytest.fixture
def opened(tmp_path: Path, clock: ManualClock) -> Opener:
    return opener(tmp_path / "state", clock)


async def alerts(store: Store, *rows: OutboxRow) -> None:
    await store.commit(group(store.health().event_no + 1, 0, outbox=rows))


async def delivered(store: Store, *rows: OutboxRow) -> None:
    """Commit rows, and let the broker have all that waits."""
    await alerts(store, *rows)
    await store.mark_sent([item.row.seq for item in await store.pending(10_000)])


async def waiting(store: Store) -> list[int]:
    return [item.row.seq for item in await store.pending(10_000)]


_AT = iter(range(1, 10**6))


async def ack(store: Store, highest: int, *missing: int, name: str = "pager") -> Acknowledged:
    done = await store.acknowledge(name, at=next(_AT), highest=highest, missing=missing)
    assert done is not None
    return done


async def test_what_a_consumer_lacks_waits_again_and_nothing_else(opened: Opener, clock: ManualClock) -> None:
    async with await opened() as store:
        await store.register_consumers(["pager"])
        await delivered(store, *(row(seq, fingerprint=f"f{seq}") for seq in range(1, 8)))
        clock.advance(s=3)
        store.outbox_changed.clear()
        done = await ack(store, 5, 2, 4)
        assert (done.rearmed, done.gone) == (4, ())
        assert await waiting(store) == [2, 4, 6, 7]
        assert store.outbox_changed.is_set()


async def test_what_may_be_on_its_way_is_not_sent_again(opened: Opener, clock: ManualClock) -> None:
    async with await opened() as store:
        await store.register_consumers(["pager"])
        await delivered(store, row(1, fingerprint="a"), row(2, fingerprint="b"))
        clock.advance(s=1.9)
        assert (await ack(store, 2, 1)).rearmed == 0
        assert (await ack(store, 0)).rearmed == 0
        clock.advance(s=0.2)
        assert (await ack(store, 2, 1)).rearmed == 1
        assert (await ack(store, 2, 1)).rearmed == 0, "it waits already"
        await store.mark_sent([1])
        clock.advance(s=1.9)
        assert (await ack(store, 2, 1)).rearmed == 0, "not more often than every two seconds"
        clock.advance(s=0.2)
        assert (await ack(store, 2, 1)).rearmed == 1


async def test_what_left_before_the_connection_of_now_is_on_no_way_any_more(opened: Opener, clock: ManualClock) -> None:
    async with await opened() as store:
        await store.register_consumers(["pager"])
        await delivered(store, row(1, fingerprint="a"))
        clock.advance(s=0.2)
        connected = clock.wall_ns()
        clock.advance(s=0.1)
        await delivered(store, row(2, fingerprint="b"))
        clock.advance(s=0.1)
        assert (await ack(store, 0)).rearmed == 0
        done = await store.acknowledge("pager", at=next(_AT), highest=0, missing=(), connected_wall_ns=connected)
        assert done is not None
        assert await waiting(store) == [1], "2 went over the connection of now"


async def test_of_what_a_consumer_lacks_only_what_it_wants_is_sent_again(opened: Opener, clock: ManualClock) -> None:
    async with await opened() as store:
        await store.register_consumers(["pager"])
        await delivered(store, *(row(seq, fingerprint=f"f{seq}") for seq in range(1, 10)))
        clock.advance(s=3)
        for wanted, again in (((), []), (((2, 3), (5, 6)), [2, 6]), (((8, 2**53 - 1),), [2, 6, 8, 9])):
            done = await store.acknowledge("pager", at=next(_AT), highest=5, missing=(2, 4), wanted=wanted)
            assert done is not None
            assert await waiting(store) == again
        assert store.health().counts.unconfirmed == 2, "4 and 7 are owed as before"


async def test_a_clock_that_was_set_back_holds_up_nothing(opened: Opener, clock: ManualClock) -> None:
    async with await opened() as store:
        await store.register_consumers(["pager"])
        await delivered(store, row(1))
        clock.step_wall(s=-3600)
        assert (await ack(store, 0)).rearmed == 1


async def test_a_clock_that_was_set_back_behind_a_connection_sends_nothing_at_each_ack(
    opened: Opener, clock: ManualClock
) -> None:
    async with await opened() as store:
        await store.register_consumers(["pager"])
        connected = clock.wall_ns()
        clock.step_wall(s=-3600)
        await delivered(store, row(1))
        clock.advance(s=1.9)
        done = await store.acknowledge("pager", at=next(_AT), highest=0, missing=(), connected_wall_ns=connected)
        assert done is not None
        assert done.rearmed == 0, "it may be on its way"


async def test_what_follows_in_its_fingerprint_and_is_lacking_goes_again_with_it(
    opened: Opener, clock: ManualClock
) -> None:
    async with await opened() as store:
        await store.register_consumers(["pager"])
        await delivered(store, row(1, fingerprint="a"), row(2, fingerprint="b"), row(3, fingerprint="a"))
        clock.advance(s=3)
        await delivered(store, row(4, fingerprint="a"), row(5, fingerprint="b"), row(6, fingerprint="c"))
        await ack(store, 3, 1)
        assert await waiting(store) == [1, 4], (
            "3 is confirmed; 5 and 6 may be on their way, and nothing before them goes"
        )


async def test_what_follows_in_its_fingerprint_does_not_go_again_where_it_is_not_wanted(
    opened: Opener, clock: ManualClock
) -> None:
    async with await opened() as store:
        await store.register_consumers(["pager"])
        await delivered(store, row(1, fingerprint="a"), row(2, fingerprint="a"), row(3, fingerprint="a"))
        clock.advance(s=3)
        await store.acknowledge("pager", at=next(_AT), highest=0, missing=(), wanted=((1, 1), (3, 9)))
        assert await waiting(store) == [1, 3]


async def test_what_goes_again_keeps_its_lane(opened: Opener, clock: ManualClock) -> None:
    async with await opened() as store:
        await store.register_consumers(["pager"])
        await delivered(store, row(1, INFO, "a"), row(2, INFO, "b"), row(3, CRITICAL, "b"), row(4, INFO, "b"))
        clock.advance(s=3)
        await ack(store, 0)
        assert await waiting(store) == [2, 3, 1, 4]


async def test_cursors_survive_a_restart_and_go_with_their_consumer(opened: Opener, clock: ManualClock) -> None:
    async with await opened() as store:
        await delivered(store, row(1), row(2), row(3))
        await store.register_consumers(["pager", "log"])
        assert [(one.name, one.max, one.at) for one in store.health().consumers] == [("log", 3, 0), ("pager", 3, 0)]
        clock.advance(s=1)
        done = await store.acknowledge("pager", at=77, highest=3, missing=(1,))
        assert done is not None
        assert done.cursor.heard_wall_ns == clock.wall_ns()
    async with await opened() as store:
        before = store.health().consumers
        assert [(one.name, one.max, one.at, one.missing) for one in before] == [
            ("log", 3, 0, ()),
            ("pager", 3, 77, (1,)),
        ]
        await store.register_consumers(["log", "pager"])
        assert store.health().consumers == before
        await store.register_consumers(["log"])
        assert [one.name for one in store.health().consumers] == ["log"]


async def test_what_is_not_confirmed_by_all_is_kept_however_old(opened: Opener, clock: ManualClock) -> None:
    async with await opened(TIGHT) as store:
        await store.register_consumers(["pager", "log"])
        await delivered(store, *(row(seq, fingerprint=f"f{seq}") for seq in range(1, 9)))
        await ack(store, 8, 2)
        await ack(store, 5, name="log")
        assert (await store.counts()).unconfirmed == 4
        clock.advance(s=30 * DAY_S)
        await store.prune()
        kept = [told.seq for told in store.history.latest(99)]
        assert kept == [2, 6, 7, 8]
        await ack(store, 8)
        await ack(store, 8, name="log")
        assert (await store.counts()).unconfirmed == 0
        await store.mark_sent(await waiting(store))
        clock.advance(s=8 * DAY_S)
        await store.prune()
        assert store.history.latest(99) == []


async def test_history_stays_as_long_as_ever_whoever_confirmed_it(opened: Opener, clock: ManualClock) -> None:
    async with await opened() as store:
        await store.register_consumers(["pager"])
        await delivered(store, row(1))
        await ack(store, 1)
        clock.advance(s=6 * DAY_S)
        await store.prune()
        assert [told.seq for told in store.history.latest(9)] == [1]


async def test_what_is_owed_counts_towards_the_bounds_and_info_goes_first_the_oldest_before(opened: Opener) -> None:
    async with await opened(TIGHT) as store:
        await store.register_consumers(["pager"])
        severities = [INFO, CRITICAL, WARNING, INFO, CRITICAL, WARNING]
        await delivered(store, *(row(seq, severity, f"f{seq}") for seq, severity in enumerate(severities, 1)))
        assert not store.health().saturated
        await alerts(store, row(7, INFO, "x"), row(8, INFO, "y"), row(9, CRITICAL, "z"), row(10, INFO, "w"))
        counts = await store.counts()
        assert (counts.pending, counts.unconfirmed, counts.unconfirmed_critical) == (4, 6, 2)
        assert store.health().saturated
        assert await store.dropped() == []
        await alerts(store, row(11, CRITICAL, "u"))
        (drop,) = await store.dropped()
        assert (drop.first, drop.last, drop.count, drop.spans) == (1, 1, 1, ((1, 1),))
        assert drop.reason == "outbox full: oldest info dropped"
        await alerts(store, *(row(seq, CRITICAL, f"c{seq}") for seq in range(12, 19)))
        drops = await store.dropped()
        assert [drop.spans for drop in drops] == [((1, 1),), ((4, 4), (7, 8), (10, 10)), ((3, 3), (6, 6))]
        counts = await store.counts()
        assert (counts.pending, counts.unconfirmed) == (9, 2), "critical rows stay beyond every bound"
        assert [told.seq for told in store.history.latest(99)] == [2, 5, 9, *range(11, 19)]


async def test_confirmed_rows_are_not_dropped_for_others(opened: Opener) -> None:
    async with await opened(TIGHT) as store:
        await store.register_consumers(["pager"])
        await delivered(store, *(row(seq, INFO, f"f{seq}") for seq in range(1, 9)))
        await ack(store, 8)
        await alerts(store, *(row(seq, INFO, f"f{seq}") for seq in range(9, 19)))
        assert await store.dropped() == []
        await alerts(store, row(19, INFO, "f19"))
        assert [drop.spans for drop in await store.dropped()] == [((9, 9),)]


async def test_what_nobody_can_send_again_is_named_to_who_lacks_it(opened: Opener, clock: ManualClock) -> None:
    async with await opened(TIGHT) as store:
        await delivered(store, *(row(seq, INFO, f"f{seq}") for seq in range(1, 9)))
        clock.advance(s=8 * DAY_S)
        await store.prune()
        await store.register_consumers(["pager"])
        await delivered(store, *(row(seq, INFO, f"f{seq}") for seq in range(9, 20)))
        assert [drop.spans for drop in await store.dropped()] == [((9, 9),)]
        assert (await ack(store, 12, 3, 4, 9, 11)).gone == ((3, 4), (9, 9))
        assert (await ack(store, 2)).gone == ((3, 9),), "below the lowest that is kept"
        assert (await ack(store, 19)).gone == ()


async def test_a_consumer_far_behind_is_caught_up_piece_by_piece(opened: Opener, clock: ManualClock) -> None:
    async with await opened() as store:
        await store.register_consumers(["pager"])
        await delivered(store, *(row(seq, fingerprint=f"f{seq}") for seq in range(1, 2 * WINDOW + 10)))
        clock.advance(s=3)
        assert (await ack(store, 0)).rearmed == WINDOW
        assert (await ack(store, 0)).rearmed == 0
        await store.mark_sent(await waiting(store))
        clock.advance(s=3)
        done = await ack(store, WINDOW - 1)
        assert (done.rearmed, done.gone) == (WINDOW, ())
        assert await waiting(store) == list(range(WINDOW, 2 * WINDOW))


async def test_an_ack_with_the_most_holes_is_taken(opened: Opener, clock: ManualClock) -> None:
    async with await opened() as store:
        await store.register_consumers(["pager"])
        await delivered(store, *(row(seq, fingerprint="f") for seq in range(1, 1002)))
        clock.advance(s=3)
        assert (await ack(store, 1001, *range(1, 1001, 2))).rearmed == 500


async def test_cursors_are_saved_from_a_damaged_database(opened: Opener, tmp_path: Path) -> None:
    async with await opened(SMALL) as store:
        await store.register_consumers(["pager"])
        await delivered(store, row(1), row(2))
        await ack(store, 2, 1)
        before = store.health().consumers
    with closing(sqlite3.connect(tmp_path / "state" / "tocsin.db")) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'gap_first', 'gap_furst') WHERE name = 'segment'")
        db.commit()
    async with await opened(SMALL) as store:
        assert "damaged" in store.notices[0].text
        assert store.health().consumers == before


async def test_an_ack_that_cannot_be_written_down_changes_nothing(opened: Opener, clock: ManualClock) -> None:
    async with await opened() as store:
        await store.register_consumers(["pager"])
        await delivered(store, row(1))
        clock.advance(s=3)
        before = store.health().consumers
        await store._ask(lambda core: core.db.execute("PRAGMA query_only = 1"))
        assert await store.acknowledge("pager", at=10**6, highest=0, missing=()) is None
        assert (store.health().consumers, await waiting(store)) == (before, [])
        await store._ask(lambda core: core.db.execute("PRAGMA query_only = 0"))
        assert (await ack(store, 0)).rearmed == 1


async def rows_of(store: Store, what: str) -> int:
    def count(core: Any) -> int:
        return int(core.db.execute("SELECT count(*) FROM dropped WHERE what = ?", (what,)).fetchone()[0])

    return await store._ask(count)


async def test_a_drop_is_forgotten_once_it_was_told_and_no_consumer_waits_for_its_numbers(opened: Opener) -> None:
    async with await opened(TIGHT) as store:
        await store.register_consumers(["pager", "wall"])
        await alerts(store, *(row(seq, severity=INFO) for seq in range(1, 12)))
        drops = await store.dropped()
        assert [(drop.first, drop.last) for drop in drops] == [(1, 1)]
        await ack(store, 5, name="pager")
        await ack(store, 5, name="wall")
        await store.prune()
        assert await rows_of(store, "outbox") == 1, "it was not told"
        await store.mark_announced(drops)
        await ack(store, 5, 1, name="wall")
        await store.prune()
        assert await rows_of(store, "outbox") == 1, "one consumer still waits for it"
        await ack(store, 0, name="pager")
        await ack(store, 5, name="wall")
        await store.prune()
        assert await rows_of(store, "outbox") == 1, "the other one is not that far"
        await ack(store, 5, name="pager")
        await store.prune()
        assert await rows_of(store, "outbox") == 0
        await alerts(store, row(1, severity=INFO))
        assert 1 not in await waiting(store), "what was dropped does not come back"


async def test_without_consumers_a_drop_is_forgotten_as_soon_as_it_was_told(opened: Opener) -> None:
    async with await opened(TIGHT) as store:
        await alerts(store, *(row(seq, severity=INFO) for seq in range(1, 12)))
        await store.prune()
        assert await rows_of(store, "outbox") == 1
        await store.mark_announced(await store.dropped())
        await store.prune()
        assert await rows_of(store, "outbox") == 0
