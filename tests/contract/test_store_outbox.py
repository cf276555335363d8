"""The outbox and the retained topics: lanes, bounds, ageing, and nothing forgotten."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.store_kit import SMALL, Opener, group, opener, row

from tocsin.errors import StoreError
from tocsin.model.alert import Severity
from tocsin.store import NoticeKind, OutboxRow, RetainedRow, Store
from tocsin.testing.clock import ManualClock

DAY_S = 86_400
INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall_ns=0)


@pytest.fixture
def opened(tmp_path: Path, clock: ManualClock) -> Opener:
    return opener(tmp_path / "state", clock)


async def alerts(store: Store, *rows: OutboxRow) -> None:
    await store.commit(group(store.health().event_no + 1, 0, outbox=rows))


async def order(store: Store) -> list[int]:
    return [item.row.seq for item in await store.pending(100)]


async def test_critical_rows_go_first_and_take_earlier_rows_of_their_alert_along(opened: Opener) -> None:
    async with await opened() as store:
        await alerts(store, row(1, INFO, "a"), row(2, WARNING, "b"), row(3, INFO, "c"))
        await alerts(store, row(4, CRITICAL, "b"), row(5, INFO, "b"), row(6, CRITICAL, "d"))
        assert await order(store) == [2, 4, 6, 1, 3, 5]


async def test_rows_in_flight_are_left_out(opened: Opener) -> None:
    async with await opened() as store:
        await alerts(store, *(row(seq) for seq in range(1, 8)))
        assert [item.row.seq for item in await store.pending(3, exclude={1, 2, 4})] == [3, 5, 6]


async def test_a_failed_attempt_is_counted_and_the_row_stays(opened: Opener) -> None:
    async with await opened() as store:
        await alerts(store, row(1))
        await store.mark_failed(1, "not authorized")
        await store.mark_failed(1, "not authorized")
        (item,) = await store.pending(5)
        assert (item.attempts, item.durable) == (2, True)


async def test_delivered_rows_are_kept_for_a_week_and_can_be_asked_for_again(
    opened: Opener, clock: ManualClock
) -> None:
    async with await opened() as store:
        await alerts(store, row(1, CRITICAL, "a"), row(2, INFO, "b"))
        await store.mark_sent([1, 2])
        clock.advance(s=6 * DAY_S)
        await store.prune()
        assert await store.rearm([1, 2, 99]) == 2
        assert await order(store) == [1, 2]
        await store.mark_sent([1, 2])
        clock.advance(s=8 * DAY_S)
        await store.prune()
        assert (await store.counts()).sent == 0
        assert await store.rearm([1, 2]) == 0


async def test_a_row_that_was_pruned_does_not_come_back_when_the_tail_is_replayed(
    opened: Opener, clock: ManualClock
) -> None:
    async with await opened() as store:
        await alerts(store, row(1), row(2), row(3))
        await store.mark_sent([1, 2])
        clock.advance(s=8 * DAY_S)
        await store.prune()
        assert (await store.counts()).sent == 0
    async with await opened() as store:
        await alerts(store, row(1), row(2), row(3), row(4))
        assert await order(store) == [3, 4]


async def test_a_delivered_row_is_forgotten_once_its_expiry_has_run_out_also_where_it_is_owed(
    opened: Opener, clock: ManualClock
) -> None:
    brief = [replace(row(seq, fingerprint="t"), expiry_s=300) for seq in (2, 4)]
    async with await opened() as store:
        await store.register_consumers(["pager"])
        await alerts(store, row(1), brief[0], row(3), brief[1])
        await store.mark_sent([1, 2, 3])
        clock.advance(s=299)
        assert await store.prune() == 0
        clock.advance(s=2)
        assert await store.prune() == 1
        counts = await store.counts()
        assert (counts.sent, counts.unconfirmed, counts.pending) == (2, 2, 1)
        assert await order(store) == [4], "one that waits is not forgotten, however old"
        await alerts(store, row(1), brief[0], row(3), brief[1], row(5))
        assert await order(store) == [4, 5], "what is forgotten does not come back"
        done = await store.acknowledge("pager", at=1, highest=0, missing=())
        assert done is not None
        assert done.gone == ((2, 2),)


async def test_a_seq_that_belongs_to_another_alert_is_refused_aloud(opened: Opener) -> None:
    async with await opened() as store:
        await alerts(store, row(1), row(2))
        with pytest.raises(StoreError, match="alert other has seq 2, which belongs to w:boot:2"):
            await alerts(store, replace(row(2), id="other"), row(3))
        assert await order(store) == [1, 2]
    async with await opened() as store:
        assert (await store.recover()).last_seq == 2


async def test_a_full_outbox_drops_the_least_severe_first_and_never_a_critical_row(opened: Opener) -> None:
    async with await opened(replace(SMALL, outbox_rows=10)) as store:
        severities = [INFO, CRITICAL, WARNING] * 4
        await alerts(store, *(row(seq, severity, f"f{seq}") for seq, severity in enumerate(severities, 1)))
        assert store.health().saturated
        assert sorted(await order(store)) == [2, 3, 5, 6, 7, 8, 9, 10, 11, 12]
        (drop,) = await store.dropped()
        assert (drop.what, drop.first, drop.last, drop.count) == ("outbox", 1, 4, 2)
        await alerts(store, *(row(seq, CRITICAL, f"f{seq}") for seq in range(13, 30)))
        kept = await store.pending(100)
        assert [item.row.severity for item in kept] == [CRITICAL] * 21
        drops = await store.dropped()
        assert sum(drop.count for drop in drops) == 8
        await store.mark_announced(drops)
        assert await store.dropped() == []
        await alerts(store, row(1, INFO, "f1"))
        assert len(await store.pending(100)) == 21


async def test_bytes_bound_the_outbox_as_well(opened: Opener) -> None:
    async with await opened(replace(SMALL, outbox_bytes=10_000)) as store:
        await alerts(store, *(row(seq, INFO, payload=bytes(1000)) for seq in range(1, 21)))
        assert await order(store) == list(range(12, 21))


async def test_the_outbox_is_saturated_until_it_drains(opened: Opener) -> None:
    async with await opened(replace(SMALL, outbox_rows=20)) as store:
        await alerts(store, *(row(seq) for seq in range(1, 21)))
        assert store.health().saturated
        await store.mark_sent(range(1, 10))
        await store.counts()
        assert not store.health().saturated


async def test_delivered_rows_are_bounded_in_number(opened: Opener, clock: ManualClock) -> None:
    async with await opened(replace(SMALL, sent_rows=3)) as store:
        await alerts(store, *(row(seq) for seq in range(1, 9)))
        for seq in range(8, 0, -1):
            clock.advance(s=1)
            await store.mark_sent([seq])
        await store.prune()
        assert await store.rearm(range(1, 9)) == 3
        assert await order(store) == [1, 2, 3]


async def test_a_retained_topic_is_published_again_only_when_it_changed(opened: Opener) -> None:
    async def put(payload: bytes) -> None:
        await store.commit(group(1, 0, retained=(RetainedRow(topic="status", payload=payload),)))

    async with await opened() as store:
        await put(b"ready")
        (first,) = await store.retained_unpublished()
        await put(b"ready")
        assert await store.retained_unpublished() == [first]
        await put(b"degraded")
        await store.mark_retained("status", first.revision)
        (second,) = await store.retained_unpublished()
        assert (second.payload, second.published) == (b"degraded", first.revision)
        await store.mark_retained("status", second.revision)
        assert await store.retained_unpublished() == []
        assert [item.payload for item in await store.retained_all()] == [b"degraded"]


async def test_a_cleared_topic_is_remembered_until_it_has_aged(opened: Opener, clock: ManualClock) -> None:
    async with await opened() as store:
        await store.commit(group(1, 0, retained=(RetainedRow(topic="a", payload=b"1"),)))
        await store.commit(group(1, 0, retained=(RetainedRow(topic="a", payload=None),)))
        (item,) = await store.retained_unpublished()
        assert item.payload is None
        await store.mark_retained("a", item.revision)
        assert [kept.topic for kept in await store.retained_all()] == ["a"]
        clock.advance(s=8 * DAY_S)
        await store.prune()
        assert await store.retained_all() == []


async def test_everything_of_the_outbox_survives_a_restart(opened: Opener) -> None:
    async with await opened() as store:
        await alerts(store, row(1, INFO, "a"), row(2, CRITICAL, "b"), row(3, WARNING, "a"))
        await store.mark_sent([3])
        await store.mark_failed(1, "refused")
        await store.commit(group(1, 0, retained=(RetainedRow(topic="a", payload=b"1"),)))
        pending, counts, retained = await store.pending(9), await store.counts(), await store.retained_all()
    async with await opened() as store:
        assert (await store.pending(9), await store.counts(), await store.retained_all()) == (pending, counts, retained)


async def test_the_last_number_of_the_stream_is_known_whatever_became_of_its_row(
    opened: Opener, clock: ManualClock
) -> None:
    async with await opened() as store:
        assert store.health().last_seq == 0
        await alerts(store, row(1), row(2))
        assert store.health().last_seq == 2
        await store.mark_sent([1, 2])
        clock.advance(s=8 * DAY_S)
        await store.prune()
        assert (await store.counts()).sent == 0
    async with await opened() as store:
        assert store.health().last_seq == 2


async def test_the_stream_has_an_id_for_as_long_as_its_numbers_go_on(
    opened: Opener, tmp_path: Path, clock: ManualClock
) -> None:
    async with await opened() as store:
        stream = store.health().stream
        payload = b'{"stream":"%b"}' % stream.encode()
        await alerts(store, replace(row(1), payload=payload))
    assert len(stream) == 12
    async with await opened() as store:
        assert store.health().stream == stream
    path = tmp_path / "state" / "tocsin.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM head")
        db.commit()
    async with await opened() as store:
        assert any(notice.kind is NoticeKind.QUARANTINED for notice in store.notices)
        assert store.health().stream == stream
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM head")
        db.execute("DELETE FROM meta")
        db.commit()
    async with await opened() as store:
        assert store.health().stream == stream, "salvaged messages name it"
    async with await opener(tmp_path / "other", clock)() as store:
        assert store.health().stream not in ("", stream)


async def test_of_retained_topics_that_wait_a_few_are_given_at_a_time_in_order_of_change(opened: Opener) -> None:
    async def due(limit: int | None = None, *, exclude: tuple[str, ...] = ()) -> list[str]:
        return [item.topic for item in await store.retained_unpublished(limit, exclude=exclude)]

    async def put(*topics: str, payload: bytes = b"1") -> None:
        rows = tuple([RetainedRow(topic=topic, payload=payload) for topic in topics])
        await store.commit(group(1, 0, retained=rows))

    async with await opened() as store:
        await put("a", "b", "c", "d")
        assert [await due(2), await due(2, exclude=("a", "c")), await due()] == [
            ["a", "b"],
            ["b", "d"],
            ["a", "b", "c", "d"],
        ]
        (first, second) = await store.retained_unpublished(2)
        await put("a", payload=b"2")
        await store.mark_retained("a", first.revision)
        await store.mark_retained("b", second.revision)
        assert await due() == ["c", "d", "a"], "what changed meanwhile waits behind what changed before"
        await store.forget_retained("c")
        assert await due() == ["d", "a"]
    async with await opened() as store:
        assert await due() == ["d", "a"], "also in another life"
        await put("d", payload=b"2")
        assert await due(1) == ["a"]
