"""The subscriber against a real broker and a daemon that loses messages: all are handled, each once, in order."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import closing
from pathlib import Path

import aiomqtt
import pytest
from tests.support.broker import Mosquitto, client_of, eventually
from tests.support.streaming import CONSUMER, KEY, WATCHDOG, StandIn, foreign, stand_in

from tocsin.client import Message, Notice, NoticeKind, Subscriber
from tocsin.errors import CorruptRecord, SchemaTooNew, StoreError
from tocsin.model.alert import Severity
from tocsin.mqtt.transport import MqttConnection
from tocsin.wire.acks import Refusal


def subscriber(broker: Mosquitto, folder: Path, notices: list[Notice] | None = None, **options: object) -> Subscriber:
    values: dict[str, object] = {
        "watchdogs": [WATCHDOG],
        "consumer": CONSUMER,
        "key": KEY,
        "path": folder / "pager.db",
        "start": "beginning",
        "on_notice": None if notices is None else notices.append,
    }
    return Subscriber(f"mqtt://{broker.host}:{broker.port}", **(values | options))  # type: ignore[arg-type]


async def handle(alerts: Subscriber, count: int) -> list[Message]:
    found: list[Message] = []
    while len(found) < count:
        message = await anext(alerts)
        await message.done()
        found.append(message)
    return found


@contextlib.asynccontextmanager
async def following(broker: Mosquitto, folder: Path) -> AsyncIterator[tuple[StandIn, Subscriber, list[Notice]]]:
    """Give a daemon and a subscriber that follows it from the beginning."""
    notices: list[Notice] = []
    async with stand_in(broker) as daemon, subscriber(broker, folder, notices) as alerts:
        yield daemon, alerts, notices


def numbers(messages: list[Message]) -> list[int]:
    return [message.seq for message in messages]


async def test_what_is_lost_on_the_way_is_asked_for_and_handled_once_in_the_order_of_its_alert(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async with following(broker, tmp_path) as (daemon, alerts, _):
        await eventually(lambda: alerts.connected)
        for number in range(30):
            daemon.alert(number % 3, over=number % 5 == 4)
        await daemon.send(*range(3, 28, 2))
        found = await handle(alerts, 30)
        assert sorted(numbers(found)) == list(range(1, 31))
        for number in range(3):
            own = [message.seq for message in found if message.fingerprint == f"{number:032x}"]
            assert own == sorted(own)
        await eventually(daemon.has_all)
        assert not any(message.late for message in found)
        assert alerts.positions() == {WATCHDOG: 30}
        await asyncio.sleep(0)
    async with stand_in(broker) as daemon, subscriber(broker, tmp_path) as alerts:
        daemon.rows = dict.fromkeys(range(1, 31), daemon.rows.get(1))  # type: ignore[arg-type]
        await eventually(lambda: bool(daemon.acks))
        assert (daemon.acks[0].max, daemon.acks[0].missing) == (30, ())


async def test_a_critical_alert_overtakes_what_waits(broker: Mosquitto, tmp_path: Path) -> None:
    async with following(broker, tmp_path) as (daemon, alerts, _):
        for number in range(5):
            await daemon.say(number)
        urgent = await daemon.say(9, severity=Severity.CRITICAL)
        await eventually(lambda: alerts.counts.get("taken", 0) >= 6)
        assert (await handle(alerts, 1))[0].seq == urgent


async def test_rows_of_the_handler_and_the_cursor_are_one_transaction(broker: Mosquitto, tmp_path: Path) -> None:
    async with following(broker, tmp_path) as (daemon, alerts, _):
        await daemon.say(1)
        await daemon.say(2)
        message = await anext(alerts)
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what is tested
            async with message.transaction() as db:
                db.execute("CREATE TABLE page (id TEXT PRIMARY KEY)")
                db.execute("INSERT INTO page VALUES (?)", (message.id,))
                raise ZeroDivisionError
        other = await anext(alerts)
        assert other.seq != message.seq, "other alerts do not wait"
        async with other.transaction() as db:
            db.execute("CREATE TABLE page (id TEXT PRIMARY KEY)")
            db.execute("INSERT INTO page VALUES (?)", (other.id,))
        again = await anext(alerts)
        assert (again.id, again.attempt) == (message.id, 2)
        async with again.transaction() as db:
            db.execute("INSERT INTO page VALUES (?)", (again.id,))
        with pytest.raises(ValueError, match="ended before"):
            await again.done()
        await eventually(daemon.has_all)
    with closing(sqlite3.connect(tmp_path / "pager.db")) as db:
        assert {row[0] for row in db.execute("SELECT id FROM page")} == {message.id, other.id}


async def test_a_handler_cannot_end_the_transaction_before_the_cursor_is_in_it(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async with following(broker, tmp_path) as (daemon, alerts, _):
        await daemon.say(1)
        message = await anext(alerts)
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):  # noqa: PT012 - as above
            async with message.transaction() as db:
                db.execute("CREATE TABLE page (id TEXT)")
                db.commit()
        async with (await anext(alerts)).transaction() as db:
            db.execute("SAVEPOINT mine")
            db.execute("CREATE TABLE page (id TEXT)")
            db.execute("RELEASE mine")


async def test_a_message_of_which_nothing_became_comes_again(broker: Mosquitto, tmp_path: Path) -> None:
    async with following(broker, tmp_path) as (daemon, alerts, _):
        await daemon.say(1)
        first = await anext(alerts)
        again = await anext(alerts)
        assert (again.id, again.attempt) == (first.id, 2)
        with pytest.raises(ValueError, match="ended before"):
            await first.done()
        await again.done()


async def test_a_cancelled_handler_leaves_the_cursor_where_it_was(broker: Mosquitto, tmp_path: Path) -> None:
    async with following(broker, tmp_path) as (daemon, alerts, _):
        await daemon.say(1)
        message = await anext(alerts)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), message.transaction():
                await asyncio.sleep(60)
        assert (await handle(alerts, 1))[0].id == message.id


async def test_what_the_daemon_dropped_is_told_and_waited_for_no_longer(broker: Mosquitto, tmp_path: Path) -> None:
    async with following(broker, tmp_path) as (daemon, alerts, notices):
        first, second = daemon.alert(1), daemon.alert(1)
        await daemon.drop(first)
        await daemon.send(second)
        assert numbers(await handle(alerts, 1)) == [second]
        await eventually(daemon.has_all)
        assert [one.watchdog for one in notices if one.kind is NoticeKind.DROPPED] == [WATCHDOG]


async def test_a_first_start_begins_with_what_is_open(broker: Mosquitto, tmp_path: Path) -> None:
    async with stand_in(broker) as daemon:
        daemon.beating = False
        open_ = await daemon.say(1)
        await daemon.say(2)
        await daemon.say(2, over=True)
        lost = daemon.alert(3)
        async with subscriber(broker, tmp_path, start="now") as alerts:
            assert numbers(await handle(alerts, 1)) == [open_]
            daemon.beating = True
            await eventually(daemon.has_all)
            fresh = await daemon.say(4)
            assert numbers(await handle(alerts, 1)) == [fresh]
            await eventually(daemon.has_all)
        assert lost not in daemon.resent


@pytest.mark.parametrize("wanted", [False, True])
async def test_words_of_the_self_test_are_had_and_handed_over_only_if_wanted(
    broker: Mosquitto, tmp_path: Path, *, wanted: bool
) -> None:
    async with stand_in(broker) as daemon, subscriber(broker, tmp_path, self_test=wanted) as alerts:
        await eventually(lambda: alerts.connected)
        tests = [await daemon.test() for _ in range(3)]
        last = await daemon.say(1)
        found = numbers(await handle(alerts, 4 if wanted else 1))
        assert sorted(found) == ([*tests, last] if wanted else [last])
        await eventually(daemon.has_all)
        assert alerts.counts["self_test"] == (0 if wanted else 3)
        daemon.alert(2)
        await daemon.test()
        await eventually(lambda: daemon.resent != [])
        await handle(alerts, 2 if wanted else 1)
        await eventually(daemon.has_all)
    async with stand_in(broker) as daemon, subscriber(broker, tmp_path):
        daemon.rows = dict.fromkeys(range(1, 7), daemon.rows.get(1))  # type: ignore[arg-type]
        await eventually(lambda: bool(daemon.acks))
        assert (daemon.acks[0].max, daemon.acks[0].missing) == (6, ())


async def test_the_loss_of_the_daemons_state_is_told_and_its_new_stream_followed(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async with stand_in(broker) as daemon, subscriber(broker, tmp_path) as alerts:
        for number in range(5):
            await daemon.say(number)
        await handle(alerts, 5)
        await eventually(daemon.has_all)
    notices: list[Notice] = []
    async with stand_in(broker, boot="b11700000000") as daemon, subscriber(broker, tmp_path, notices) as alerts:
        first = await daemon.say(7)
        assert numbers(await handle(alerts, 1)) == [first]
        await eventually(daemon.has_all)
        assert NoticeKind.STATE_LOST in [one.kind for one in notices]
        assert set(daemon.refusals) <= {Refusal.FUTURE}


async def test_a_daemon_that_lost_its_state_and_counts_past_us_is_followed_from_its_first_message(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async with stand_in(broker, stream="aaaaaaaaaaaa") as daemon, subscriber(broker, tmp_path) as alerts:
        for number in range(3):
            await daemon.say(number)
        assert len(await handle(alerts, 3)) == 3
        await eventually(daemon.has_all)
    notices: list[Notice] = []
    async with (
        stand_in(broker, boot="b11700000000", stream="bbbbbbbbbbbb") as daemon,
        subscriber(broker, tmp_path, notices) as alerts,
    ):
        for number in range(6):
            await daemon.say(10 + number)
        found = await handle(alerts, 6)
        assert sorted(numbers(found)) == [1, 2, 3, 4, 5, 6]
        assert len({message.id for message in found}) == 6
        await eventually(daemon.has_all)
        assert [one.kind for one in notices].count(NoticeKind.STATE_LOST) == 1
        assert set(daemon.refusals) <= {Refusal.OTHER_STREAM}
    async with stand_in(broker, stream="bbbbbbbbbbbb") as daemon, subscriber(broker, tmp_path, notices):
        daemon.rows = dict.fromkeys(range(1, 7), daemon.rows.get(1))  # type: ignore[arg-type]
        await eventually(lambda: bool(daemon.acks))
        assert (daemon.acks[0].max, daemon.acks[0].stream) == (6, "bbbbbbbbbbbb")


async def test_a_key_that_does_not_fit_is_told_with_what_to_do(broker: Mosquitto, tmp_path: Path) -> None:
    notices: list[Notice] = []
    async with stand_in(broker, keyed=False), subscriber(broker, tmp_path, notices):
        await eventually(lambda: NoticeKind.REFUSED in [one.kind for one in notices])
    assert [one.text for one in notices if one.kind is NoticeKind.REFUSED] == [
        "acks are not believed: forged; give both the same key"
    ]


async def test_what_is_no_message_of_the_watchdog_is_counted_and_skipped(broker: Mosquitto, tmp_path: Path) -> None:
    async with following(broker, tmp_path) as (daemon, alerts, notices):
        await eventually(lambda: alerts.connected)
        bad = foreign()
        async with client_of(broker) as client:
            for topic, payload in bad.items():
                await client.publish(f"tocsin/v1/{WATCHDOG}/{topic}", payload, qos=1)
        seq = await daemon.say(1)
        assert numbers(await handle(alerts, 1)) == [seq]
        await eventually(lambda: alerts.counts["unreadable"] == len(bad))
        await eventually(daemon.has_all)
        told = [one.text for one in notices if one.kind is NoticeKind.UNREADABLE]
        assert len(told) == len(bad)


async def test_a_broker_that_is_killed_takes_nothing_with_it(broker: Mosquitto, tmp_path: Path) -> None:
    notices: list[Notice] = []
    async with subscriber(broker, tmp_path, notices) as alerts:
        async with stand_in(broker) as daemon:
            for number in range(5):
                await daemon.say(number)
            await handle(alerts, 5)
            rows = dict(daemon.rows)
        broker.kill()
        await eventually(lambda: not alerts.connected)
        broker.start()
        async with stand_in(broker) as daemon:
            daemon.rows = rows
            lost = [daemon.alert(20), daemon.alert(21)]
            assert sorted(numbers(await handle(alerts, 2))) == lost
            await eventually(daemon.has_all)
    kinds = [one.kind for one in notices]
    assert kinds.count(NoticeKind.CONNECTED) >= 2
    assert NoticeKind.DISCONNECTED in kinds


async def test_messages_in_memory_are_handled_while_a_new_connection_is_being_made(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices: list[Notice] = []
    subscribe = MqttConnection.subscribe
    async with subscriber(broker, tmp_path, notices) as alerts:
        async with stand_in(broker) as daemon:
            for number in range(6):
                await daemon.say(number)
            await eventually(lambda: alerts.counts.get("taken", 0) >= 6)

        async def and_handle(connection: MqttConnection, topic: str) -> None:
            await subscribe(connection, topic)
            await handle(alerts, 1)

        monkeypatch.setattr(MqttConnection, "subscribe", and_handle)
        broker.kill()
        await eventually(lambda: not alerts.connected)
        broker.start()
        await eventually(lambda: alerts.connected)
        assert alerts.positions()[WATCHDOG] >= 3
    assert [one.kind for one in notices].count(NoticeKind.CONNECTED) == 2


PROGRAM = """
import asyncio, os, signal, sys
from tocsin.client import Subscriber

async def main(url, path, die_at):
    async with Subscriber(url, watchdogs=["ams/host-a"], consumer="pager", key=sys.argv[4], path=path,
                          start="beginning") as alerts:
        handled = 0
        async for message in alerts:
            async with message.transaction() as db:
                db.execute("CREATE TABLE IF NOT EXISTS page (id TEXT PRIMARY KEY, seq INTEGER)")
                db.execute("INSERT INTO page VALUES (?, ?)", (message.id, message.seq))
                handled += 1
                if handled == die_at:
                    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def test_a_consumer_that_is_killed_in_its_handler_handles_everything_once(
    broker: Mosquitto, tmp_path: Path
) -> None:
    path = tmp_path / "pager.db"
    async with stand_in(broker) as daemon:
        for number in range(12):
            daemon.alert(number % 4)
        for die_at in (1, 4, 5, 0):
            command = [sys.executable, "-c", PROGRAM, f"mqtt://{broker.host}:{broker.port}", path, str(die_at), KEY]
            with subprocess.Popen(command, env=os.environ) as consumer:  # noqa: ASYNC220 - it takes no time
                try:
                    if die_at:
                        assert await asyncio.to_thread(consumer.wait) == -signal.SIGKILL
                    else:
                        await eventually(daemon.has_all)
                finally:
                    consumer.kill()
    with closing(sqlite3.connect(path)) as db:
        assert [seq for (seq,) in db.execute("SELECT seq FROM page ORDER BY seq")] == list(range(1, 13))
        by_alert = [seq for (seq,) in db.execute("SELECT seq FROM page WHERE seq % 4 = 1 ORDER BY rowid")]
        assert by_alert == sorted(by_alert)


async def test_the_file_is_one_consumers_one_process_and_no_newer_programs(broker: Mosquitto, tmp_path: Path) -> None:
    path = tmp_path / "pager.db"
    async with subscriber(broker, tmp_path):
        with pytest.raises(StoreError, match=f"in use by process {os.getpid()}"):
            async with subscriber(broker, tmp_path):
                pass
    with pytest.raises(StoreError, match="is the cursor of 'pager', not of 'other'"):
        async with subscriber(broker, tmp_path, consumer="other"):
            pass
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(SchemaTooNew, match="use the newer program"):
        async with subscriber(broker, tmp_path):
            pass


@pytest.mark.timeout(30)
@pytest.mark.parametrize("wait", range(1, 9))
async def test_it_closes_in_whatever_wait_for_the_broker_it_is_though_the_library_swallows_the_cancellation(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: int
) -> None:
    begun, last, reached = 0, 0, asyncio.Event()

    async def wait_for(_: aiomqtt.Client, what: Awaitable[object], **_options: object) -> object:
        """Wait as `asyncio.wait_for` does when the answer and the cancellation come together."""
        nonlocal begun
        begun += 1
        if begun == last:
            reached.set()
        answer = asyncio.ensure_future(what)
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            return await answer

    monkeypatch.setattr(aiomqtt.Client, "_wait_for", wait_for)
    async with stand_in(broker):
        last = begun + wait
        async with subscriber(broker, tmp_path):
            await reached.wait()


@pytest.mark.parametrize("damage", ["header", "page", "row", "foreign", "folder"])
async def test_a_file_that_cannot_be_used_is_told(broker: Mosquitto, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "pager.db"
    async with subscriber(broker, tmp_path):
        pass
    wanted: type[StoreError] = CorruptRecord
    match damage:
        case "header":
            path.write_bytes(b"no database at all" * 100)
        case "page":
            path.write_bytes(path.read_bytes()[:4096] + b"\x07" * (path.stat().st_size - 4096))
        case "row":
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("UPDATE tocsin_consumer SET at = 'soon'")
        case "foreign":
            path.unlink()
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("CREATE TABLE theirs (x)")
            wanted = StoreError
        case _:
            tmp_path = tmp_path / "nowhere"
            wanted = StoreError
    with pytest.raises(wanted, match=r"pager\.db"):
        async with subscriber(broker, tmp_path):
            pass


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"watchdogs": []}, "name at least one"),
        ({"watchdogs": "ams/host-a"}, "give a list"),
        ({"watchdogs": ["host-a"]}, "is not <site>/<name>"),
        ({"consumer": "a b"}, "consumer: 'a b' is not a name"),
        ({"key": "short"}, "key: has 5 bytes"),
        ({"start": "end"}, 'use "now" or "beginning"'),
        ({"hold_s": -1}, "use seconds"),
        ({"hold_s": float("nan")}, "use seconds"),
        ({"password": "p"}, "needs a user"),
        ({"ca": "ca.crt"}, "mqtts://"),
        ({"cert": "c.crt"}, "give both or none"),
    ],
)
def test_arguments_that_cannot_be_meant_are_told(tmp_path: Path, wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        subscriber(Mosquitto(folder=tmp_path), tmp_path, **wrong)


@pytest.mark.parametrize(
    "url", ["", "localhost", "http://x", "mqtt://", "mqtt://u:p@x", "mqtt://x:99999", "mqtt://x/y"]
)
def test_a_url_that_is_no_brokers_is_told_without_its_login(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError, match="broker: ") as told:
        Subscriber(url, watchdogs=[WATCHDOG], consumer=CONSUMER, key=KEY, path=tmp_path / "x.db")
    assert "u:p" not in str(told.value)
