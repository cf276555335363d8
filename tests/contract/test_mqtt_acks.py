"""Acks over a real mosquitto into a real store: what is lacking comes again; what is not believed changes nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.broker import ROOT, Mosquitto, client_of, eventually, retained
from tests.support.consumer import KEY, SOURCE, Consumer
from tests.support.messages import ALERT, BOOT, LIFE, ORIGIN, changed
from tests.support.store_kit import SMALL, group, row

from tocsin.clock import EngineClock, SystemClock
from tocsin.mqtt.acks import BELIEVED, Acks
from tocsin.mqtt.health import Link
from tocsin.mqtt.publisher import Publisher, Timers
from tocsin.mqtt.transport import MqttTransport
from tocsin.secret import Secret
from tocsin.store import OutboxRow, RetainedRow, Store
from tocsin.wire.acks import Ack, encode
from tocsin.wire.envelope import alert_messages

FAST = Timers(backoff_first_s=0.01, backoff_most_s=0.05, refused_pause_s=0.2, correction_s=0.01)


class Daemon:
    """A store and a publisher, as in a daemon."""

    def __init__(self, store: Store, broker: Mosquitto, name: str) -> None:
        self.store = store
        clock = EngineClock(SystemClock())
        self.acks = Acks(origin=ORIGIN, boot=BOOT, book=store, clock=clock)
        self.acks.configure({name: Secret(KEY)})
        self.publisher = Publisher(
            life=LIFE,
            transport=MqttTransport(broker.settings()),
            outbox=store,
            clock=SystemClock(),
            timers=FAST,
            acks=self.acks,
        )
        self._seq = store.health().last_seq

    async def raise_alerts(self, count: int) -> None:
        rows = []
        for seq in range(self._seq + 1, self._seq + count + 1):
            said = replace(changed(ALERT, seq), stream=self.store.health().stream)
            stream, _ = alert_messages(said, ORIGIN)
            rows.append(
                OutboxRow(
                    seq=seq,
                    id=f"{BOOT}:{seq}",
                    fingerprint=f"f{seq % 7}",
                    severity=ALERT.severity,
                    topic=stream.topic,
                    payload=stream.payload,
                    created_wall_ns=seq,
                )
            )
        self._seq += count
        await self.store.commit(group(self.store.health().event_no + 1, 0, outbox=tuple(rows)))

    async def drained(self) -> None:
        await eventually(lambda: self.store.health().counts.pending == 0)


@contextlib.asynccontextmanager
async def daemon(folder: Path, broker: Mosquitto, *, name: str = "pager") -> AsyncIterator[Daemon]:
    async with await Store.open(folder / "state", clock=SystemClock(), limits=SMALL) as store:
        made = Daemon(store, broker, name)
        await made.acks.register()
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(made.publisher.run())
            await eventually(lambda: made.acks.since_ns is not None)
            yield made
            task.cancel()


async def test_what_came_while_a_consumer_was_away_comes_again_when_it_says_what_it_has(
    broker: Mosquitto, tmp_path: Path
) -> None:
    consumer = Consumer(broker)
    async with daemon(tmp_path, broker) as watchdog:
        async with consumer.connected():
            await watchdog.raise_alerts(5)
            await eventually(lambda: consumer.has == {1, 2, 3, 4, 5})
        await watchdog.raise_alerts(40)
        await watchdog.drained()
        async with consumer.connected() as client:
            await consumer.until_it_has(client, 45)
            await consumer.acknowledge(client)
            await eventually(lambda: watchdog.store.health().counts.unconfirmed == 0)
    assert watchdog.acks.counts[BELIEVED] >= 2
    assert set(watchdog.acks.counts) == {BELIEVED}
    assert consumer.heard[:5] == [1, 2, 3, 4, 5]


def standing_of(watchdog: Daemon) -> dict[str, object]:
    """Return what every answer says after an ack of three messages."""
    stream = watchdog.store.health().stream
    return {"request": "ack", "at": 70, "max": 3, "last_seq": 3, "stream": stream}


async def test_an_answer_says_what_is_believed(broker: Mosquitto, tmp_path: Path) -> None:
    consumer = Consumer(broker)
    async with daemon(tmp_path, broker) as watchdog, consumer.connected() as client:
        await watchdog.raise_alerts(3)
        await eventually(lambda: len(consumer.has) == 3)
        sent = await consumer.acknowledge(client, consumer.ack(at=70), reply=ROOT + "reply/pager/7")
        answer = await consumer.answer(sent)
        assert answer == standing_of(watchdog) | {"accepted": True, "reason": None}
        (cursor,) = watchdog.store.health().consumers
        assert (cursor.max, cursor.at, cursor.missing) == (3, 70, ())


WRONG = {
    "malformed": b"\xff{",
    "too-large": b"x" * (1 << 20),
    "unsigned": b'{"at":99,"max":1,"missing":[]}',
    "forged": encode(Ack(at=99, max=1), SOURCE, "pager", b"another key of sixteen bytes"),
    "replayed": encode(Ack(at=70, max=0), SOURCE, "pager", KEY.encode()),
    "no-stream": encode(Ack(at=99, max=1), SOURCE, "pager", KEY.encode()),
    "other-stream": encode(Ack(at=99, max=1, stream="bbbbbbbbbbbb"), SOURCE, "pager", KEY.encode()),
}


@pytest.mark.parametrize("reason", [*WRONG, "future"])
async def test_what_is_not_believed_is_counted_answered_and_changes_nothing(
    broker: Mosquitto, tmp_path: Path, reason: str
) -> None:
    consumer = Consumer(broker)
    async with daemon(tmp_path, broker) as watchdog, consumer.connected() as client:
        await watchdog.raise_alerts(3)
        await eventually(lambda: len(consumer.has) == 3)
        await consumer.answer(await consumer.acknowledge(client, consumer.ack(at=70), reply=ROOT + "reply/pager/a"))
        before = watchdog.store.health().consumers
        await asyncio.sleep(2.1)  # from here on a believed ack would make rows wait again
        future = encode(Ack(at=99, max=4, stream=consumer.stream), SOURCE, "pager", KEY.encode())
        sent = await consumer.acknowledge(client, WRONG.get(reason, future), reply=ROOT + "reply/pager/b")
        answer = await consumer.answer(sent)
        assert answer == standing_of(watchdog) | {"accepted": False, "reason": reason}
        assert watchdog.publisher.health().acks == {BELIEVED: 1, reason: 1}
        assert watchdog.store.health().consumers == before
        assert watchdog.store.health().counts.pending == 0
    assert consumer.heard == [1, 2, 3]


async def test_nobody_unregistered_prunes(broker: Mosquitto, tmp_path: Path) -> None:
    stranger = Consumer(broker, name="stranger")
    async with daemon(tmp_path, broker) as watchdog, stranger.connected() as client:
        await watchdog.raise_alerts(3)
        await eventually(lambda: len(stranger.has) == 3)
        answer = await stranger.answer(await stranger.acknowledge(client, reply=ROOT + "reply/stranger/b"))
        assert (answer["accepted"], answer["reason"]) == (False, "unregistered")
        assert [one.name for one in watchdog.store.health().consumers] == ["pager"]
        assert watchdog.store.health().counts.unconfirmed == 3


async def test_a_retained_ack_is_refused(broker: Mosquitto, tmp_path: Path) -> None:
    consumer = Consumer(broker)
    async with consumer.connected() as client:
        await consumer.acknowledge(client, retain=True)
        async with daemon(tmp_path, broker) as watchdog:
            await eventually(lambda: watchdog.acks.counts["retained"] == 1)
            assert watchdog.acks.counts[BELIEVED] == 0


@pytest.mark.parametrize("where", ["reply/other/a", "reply/pager/", "status", "reply/pager2/a", "ack/pager"])
async def test_nothing_is_said_where_it_is_not_the_consumers_to_name(
    broker: Mosquitto, tmp_path: Path, where: str
) -> None:
    consumer = Consumer(broker)
    async with daemon(tmp_path, broker) as watchdog, consumer.connected() as client, client_of(broker) as spy:
        await spy.subscribe(ROOT + where, qos=1)
        await consumer.acknowledge(client, b"{", reply=ROOT + where)
        await consumer.answer(await consumer.acknowledge(client, reply=ROOT + "reply/pager/mine"))
        assert watchdog.acks.counts["malformed"] == 1
        assert len(consumer.replies) == 1


async def test_what_was_forgotten_is_named_to_a_consumer_that_asks_for_it_however_late(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async with await Store.open(tmp_path / "state", clock=SystemClock(), limits=SMALL) as store:
        await store.commit(group(1, 0, outbox=tuple(row(seq) for seq in range(1, 6))))
        await store._ask(lambda core: core.db.execute("DELETE FROM outbox WHERE seq IN (1, 2, 4)"))
    consumer = Consumer(broker)
    async with daemon(tmp_path, broker) as watchdog:
        await watchdog.drained()
        async with consumer.connected() as client:
            payload = encode(Ack(at=1, max=0), SOURCE, "pager", KEY.encode())
            await consumer.acknowledge(client, payload)
            await eventually(lambda: consumer.gone == {1, 2, 4})


async def test_a_consumer_that_is_taken_out_of_the_configuration_is_believed_no_more(
    broker: Mosquitto, tmp_path: Path
) -> None:
    consumer = Consumer(broker)
    async with daemon(tmp_path, broker) as watchdog, consumer.connected() as client:
        await consumer.answer(await consumer.acknowledge(client, reply=ROOT + "reply/pager/a"))
        watchdog.acks.configure({})
        await watchdog.acks.register()
        assert watchdog.store.health().consumers == ()
        answer = await consumer.answer(await consumer.acknowledge(client, reply=ROOT + "reply/pager/b"))
        assert answer["reason"] == "unregistered"


def persistent(broker: Mosquitto) -> Mosquitto:
    """Give a broker the memory that brokers have by default: saved every half hour, and when they are stopped."""
    broker.stop()
    lines = (*broker.lines, "persistence true", f"persistence_location {broker.folder}/", "autosave_interval 1800")
    broker.lines = lines
    broker.start()
    return broker


async def test_a_broker_that_lost_everything_gives_the_same_picture_again_and_the_consumer_loses_nothing(
    broker: Mosquitto, tmp_path: Path
) -> None:
    persistent(broker)
    consumer = Consumer(broker)
    async with daemon(tmp_path, broker) as watchdog:
        documents = tuple(
            RetainedRow(topic=f"{ROOT}alert/{number:032x}", payload=b'{"data":{"state":"firing"}}')
            for number in range(20)
        )
        await watchdog.store.commit(group(watchdog.store.health().event_no + 1, 0, retained=documents))
        async with consumer.connected(session_s=3600) as client:
            await watchdog.raise_alerts(10)
            await consumer.until_it_has(client, 10)
        await watchdog.raise_alerts(50)
        await watchdog.drained()
        await eventually(lambda: watchdog.publisher.health().tally.retained >= 20)
        before = {topic: payload for topic, payload in (await retained(broker)).items() if "/alert/" in topic}
        assert len(before) == 20
        broker.kill()
        (broker.folder / "mosquitto.db").unlink(missing_ok=True)
        await eventually(lambda: watchdog.publisher.health().link is Link.DOWN)
        broker.start()
        await eventually(lambda: watchdog.acks.since_ns is not None)
        async with consumer.connected(session_s=3600) as client:
            await consumer.until_it_has(client, 60)
            assert not consumer.gone
        await eventually(lambda: watchdog.publisher.health().tally.retained >= 40)
        after = await retained(broker)
        assert {topic: payload for topic, payload in after.items() if "/alert/" in topic} == before


async def test_what_a_broker_with_an_access_list_drops_for_a_session_that_it_restored_comes_by_the_cursor(
    broker_acl: Mosquitto, tmp_path: Path
) -> None:
    # mosquitto 2.0.11 with an ACL drops what it saved for a client that is not back yet, though it had said Success.
    persistent(broker_acl)
    consumer = Consumer(broker_acl, name="viewer", user="viewer")
    async with daemon(tmp_path, broker_acl, name="viewer") as watchdog:
        async with consumer.connected(session_s=3600):
            await watchdog.raise_alerts(3)
            await eventually(lambda: consumer.has == {1, 2, 3})
        broker_acl.stop()  # the session is saved
        broker_acl.start()
        await watchdog.raise_alerts(23)
        await watchdog.drained()
        broker_acl.kill()
        broker_acl.start()
        async with consumer.connected(session_s=3600) as client:
            await eventually(lambda: watchdog.acks.since_ns is not None)
            await consumer.until_it_has(client, 26)
    assert set(range(4, 27)) <= set(consumer.heard)
