"""The publisher against a real mosquitto: nothing is lost, nothing is called sent that was not taken."""

import asyncio
import contextlib
import dataclasses
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import orjson
import pytest
from tests.support.broker import ROOT, Mosquitto, client_of, eventually, free_port, listening, retained
from tests.support.memory_outbox import MemoryOutbox
from tests.support.messages import ALERT, LIFE, NOON_NS, ORIGIN, RESOLVED, changed

from tocsin.clock import SystemClock
from tocsin.model.alert import Alert, Severity
from tocsin.mqtt import presence
from tocsin.mqtt.health import Link
from tocsin.mqtt.presence import Life, State
from tocsin.mqtt.publisher import Publisher, Timers
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttTransport
from tocsin.store import Dropped, Group, OutboxRow, RetainedRow, Store
from tocsin.wire import envelope

FAST = Timers(backoff_first_s=0.01, backoff_most_s=0.05, refused_pause_s=0.2, correction_s=0.01)


def publisher_for(
    settings: BrokerSettings, outbox: MemoryOutbox, *, life: Life = LIFE, timers: Timers = FAST
) -> Publisher:
    return Publisher(
        life=life,
        transport=MqttTransport(settings),
        outbox=outbox,
        clock=SystemClock(),
        broker=settings.url,
        beat=lambda: {"heads": {"ethereum": 21_000_000}, "loop_lag_ms": 1, "outbox": len(outbox.rows)},
        timers=timers,
    )


@contextlib.asynccontextmanager
async def running(publisher: Publisher) -> AsyncIterator[Publisher]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(publisher.run())
        yield publisher
        task.cancel()


def is_connected(publisher: Publisher) -> Callable[[], bool]:
    return lambda: publisher.health().link is Link.CONNECTED


def alert(number: int, *, detector: str = "node.lag", severity: Severity = Severity.WARNING) -> Alert:
    return dataclasses.replace(ALERT, fingerprint=f"{number:032x}", detector=detector, severity=severity)


async def test_a_row_is_sent_once_taken_and_the_alert_stays_on_its_retained_topic(broker: Mosquitto) -> None:
    outbox = MemoryOutbox()
    outbox.add(changed(ALERT, 1), ORIGIN)
    async with listening(broker) as listener, running(publisher_for(broker.settings(), outbox)):
        await eventually(lambda: outbox.sent == [1])
        stream = await listener.until("event/warning/node.lag", seq=1)
        state = await listener.until(f"alert/{ALERT.fingerprint}", state="firing")
    assert stream.payload == state.payload
    assert (stream.content_type, stream.expiry_s, state.expiry_s) == (envelope.CONTENT_TYPE, None, None)
    assert ROOT + f"alert/{ALERT.fingerprint}" in await retained(broker)


async def test_a_refused_row_is_not_sent_is_shown_and_goes_once_the_broker_lets_it(broker_acl: Mosquitto) -> None:
    outbox = MemoryOutbox()
    acl = broker_acl.folder / "acl"
    allowed = acl.read_text()
    acl.write_text(allowed.replace(f"topic write {ROOT}#", f"topic write {ROOT}event/critical/#"))
    broker_acl.reload()
    outbox.add(changed(alert(1), 1), ORIGIN)
    outbox.add(changed(alert(2, severity=Severity.CRITICAL), 2), ORIGIN)
    publisher = publisher_for(broker_acl.settings(), outbox)
    async with running(publisher), listening(broker_acl, user="viewer") as listener:
        await eventually(lambda: outbox.sent == [2] and publisher.health().tally.refused > 3)
        assert outbox.unsent == [1]
        assert any("event/warning/node.lag: not authorised" in line for line in publisher.health().refused)
        assert publisher.health().link is Link.CONNECTED
        acl.write_text(allowed)
        broker_acl.reload()
        await eventually(lambda: outbox.sent == [2, 1] and not publisher.health().refused)
        await listener.until("event/warning/node.lag", seq=1)
        await listener.until("status", state="init")


async def test_what_one_fingerprint_has_to_say_keeps_its_order_past_a_refusal(broker_acl: Mosquitto) -> None:
    outbox = MemoryOutbox()
    acl = broker_acl.folder / "acl"
    allowed = acl.read_text()
    acl.write_text(allowed.replace(f"topic write {ROOT}#", f"topic write {ROOT}event/critical/#"))
    broker_acl.reload()
    for seq, severity in enumerate((Severity.WARNING, Severity.CRITICAL, Severity.WARNING), 1):
        outbox.add(changed(alert(7, severity=severity), seq), ORIGIN)
    async with listening(broker_acl, user="viewer") as listener:
        async with running(publisher_for(broker_acl.settings(), outbox)) as publisher:
            await eventually(lambda: publisher.health().tally.refused > 5)
            assert outbox.sent == []
            acl.write_text(allowed)
            broker_acl.reload()
            await eventually(lambda: outbox.sent == [1, 2, 3])
        await listener.until("event/warning/node.lag", seq=3)
    events = [one for one in listener.heard if "/event/" in one.topic]
    assert [one.data["seq"] for one in events] == [1, 2, 3]


async def test_a_hundred_refused_topics_do_not_hide_the_one_that_is_allowed(broker_acl: Mosquitto) -> None:
    outbox = MemoryOutbox()
    acl = broker_acl.folder / "acl"
    acl.write_text(acl.read_text().replace(f"topic write {ROOT}#", f"topic write {ROOT}event/warning/ok"))
    broker_acl.reload()
    for seq in range(1, 301):
        outbox.add(changed(alert(seq, detector=f"no.{seq}"), seq), ORIGIN)
    outbox.add(changed(alert(301, detector="ok"), 301), ORIGIN)
    timers = dataclasses.replace(FAST, refused_pause_s=3600)
    async with running(publisher_for(broker_acl.settings(), outbox, timers=timers)):
        await eventually(lambda: outbox.sent == [301])


async def test_everything_unsent_arrives_after_the_broker_was_killed_and_came_back(broker: Mosquitto) -> None:
    outbox = MemoryOutbox()
    publisher = publisher_for(broker.settings(), outbox)
    heard: set[object] = set()
    async with running(publisher):
        await eventually(is_connected(publisher))
        for round_ in range(4):
            for seq in range(round_ * 100 + 1, round_ * 100 + 101):
                outbox.add(changed(alert(seq % 17), seq), ORIGIN)
            await asyncio.sleep(0.01)
            broker.kill()
            await eventually(lambda: publisher.health().link is Link.DOWN)
            assert str(broker.port) in publisher.health().error
            unsent = outbox.unsent
            broker.start()
            async with listening(broker) as listener:
                await eventually(lambda: not outbox.rows)
                await listener.settle()
            heard |= {one.data["seq"] for one in listener.heard if "/event/" in one.topic}
            assert set(unsent) <= heard
    assert sorted(set(outbox.sent)) == list(range(1, 401))


async def test_the_retained_picture_is_whole_again_on_a_broker_that_lost_its_memory(broker: Mosquitto) -> None:
    outbox = MemoryOutbox()
    publisher = publisher_for(broker.settings(), outbox)
    publisher.set_state(State.READY)
    publisher.set_description({"chains": []})
    for number in range(150):
        outbox.put(f"{ROOT}node/ethereum/n{number}", b'{"n":%d}' % number)
    outbox.put(f"{ROOT}node/ethereum/gone", None)
    async with running(publisher):
        await eventually(lambda: publisher.health().tally.retained >= 151)
        before = await retained(broker)
        broker.kill()
        broker.start()
        assert await retained(broker) == {}
        await eventually(lambda: publisher.health().tally.retained >= 302)
        after = await retained(broker)
    assert len(before) == 152
    assert set(after) == set(before)
    nodes = [topic for topic in before if "/node/" in topic]
    assert {topic: after[topic] for topic in nodes} == {topic: before[topic] for topic in nodes}


async def test_a_retained_topic_that_changed_while_the_broker_was_away_shows_its_last_word(broker: Mosquitto) -> None:
    outbox = MemoryOutbox()
    publisher = publisher_for(broker.settings(), outbox)
    topic = f"{ROOT}node/ethereum/geth"
    async with running(publisher):
        outbox.put(topic, b"one")
        await eventually(
            lambda: not [r for r in outbox.table.values() if r.revision > r.published and r.topic == topic]
        )
        broker.kill()
        outbox.put(topic, b"two")
        outbox.put(topic, b"three")
        broker.start()
        await eventually(lambda: outbox.table[topic].published == outbox.table[topic].revision)
    assert (await retained(broker))[topic] == b"three"


async def test_leftovers_of_earlier_configurations_and_names_are_cleared(broker: Mosquitto) -> None:
    outbox = MemoryOutbox()
    publisher = publisher_for(broker.settings(), outbox)
    old_name = "tocsin/v1/ams/old-name/"
    kept = f"{ROOT}alert/{ALERT.fingerprint}"
    for topic in (f"{ROOT}node/ethereum/a", f"{ROOT}node/ethereum/b", old_name + "status", kept):
        outbox.put(topic, b"{}" if topic != kept else envelope.alert_messages(changed(ALERT), ORIGIN)[1].payload)
    async with running(publisher):
        await eventually(lambda: publisher.health().tally.retained >= 4)
        assert old_name + "status" in await retained(broker)
        publisher.configure(["node/ethereum/a"])
        await eventually(lambda: set(outbox.table) == {f"{ROOT}node/ethereum/a", kept})
        now = await retained(broker)
    assert set(now) == {f"{ROOT}status", f"{ROOT}node/ethereum/a", kept}


async def test_our_own_topics_are_remembered_for_the_day_that_the_name_changes(broker: Mosquitto) -> None:
    outbox = MemoryOutbox()
    first = publisher_for(broker.settings(), outbox)
    first.set_description({"chains": []})
    for row in first.own_rows:
        outbox.put(row.topic, row.payload)
    async with running(first):
        await eventually(is_connected(first))
        assert await first.goodbye(5)
    assert set(await retained(broker)) == {f"{ROOT}status", f"{ROOT}description"}
    renamed = dataclasses.replace(LIFE, origin=envelope.Origin(site="ams", watchdog="host-b"))
    second = publisher_for(broker.settings("tocsin-ams-host-b"), outbox, life=renamed)
    async with running(second):
        second.configure([])
        await eventually(lambda: not outbox.table)
        now = await retained(broker)
    assert set(now) == {"tocsin/v1/ams/host-b/status"}


async def test_the_state_of_a_resolved_alert_leaves_a_day_after_it_resolved(broker: Mosquitto) -> None:
    outbox = MemoryOutbox()
    now = SystemClock().wall_ns()
    fresh = dataclasses.replace(RESOLVED, fingerprint="f" * 32, resolved_wall_ns=now - 3600 * 10**9)
    old = dataclasses.replace(RESOLVED, fingerprint="0" * 32, resolved_wall_ns=now - 25 * 3600 * 10**9)
    outbox.add(changed(fresh, 1), ORIGIN)
    outbox.add(changed(old, 2), ORIGIN)
    publisher = publisher_for(broker.settings(), outbox)
    async with client_of(broker) as peer:
        await peer.publish(f"{ROOT}alert/{'0' * 32}", b"still here", qos=1, retain=True)
    async with listening(broker) as listener, running(publisher):
        one = await listener.until_any(lambda heard: heard.topic.endswith("f" * 32))
        await eventually(lambda: all(row.published == row.revision for row in outbox.table.values()))
        kept = await retained(broker)
    assert one.expiry_s is not None
    assert 22 * 3600 < one.expiry_s <= 23 * 3600
    assert f"{ROOT}alert/{'f' * 32}" in kept
    assert f"{ROOT}alert/{'0' * 32}" not in kept


async def test_birth_state_changes_and_goodbye_are_told(broker: Mosquitto) -> None:
    outbox = MemoryOutbox()
    publisher = publisher_for(broker.settings(), outbox)
    publisher.set_description({"chains": ["ethereum"]})
    async with listening(broker) as listener, running(publisher):
        birth = await listener.until("status", state="init")
        about = await listener.until("description")
        publisher.set_state(State.READY)
        await listener.until("status", state="ready")
        outbox.add(changed(ALERT, 1), ORIGIN)
        assert await publisher.goodbye(10)
        await listener.until("status", state="disconnected")
        states = [one.data["state"] for one in listener.on("status")]
        events = [one for one in listener.heard if "/event/" in one.topic]
        await listener.settle()
    assert birth.data | {"state": "init"} == {
        "state": "init",
        "boot_id": LIFE.boot,
        "started": envelope.rfc3339(LIFE.started_wall_ns),
        "version": "0.1.0",
        "environment": "test",
        "config_hash": "c0ffee",
        "role": "leader",
    }
    assert about.data == {"chains": ["ethereum"]}
    assert states == ["init", "ready", "draining", "disconnected"]
    assert len(events) == 1
    assert [one.data["state"] for one in listener.on("status")][-1] == "disconnected"
    assert outbox.sent == [1]


async def test_a_goodbye_that_cannot_drain_in_time_says_so_and_keeps_the_rows(broker_acl: Mosquitto) -> None:
    outbox = MemoryOutbox()
    publisher = publisher_for(broker_acl.settings(), outbox)
    async with running(publisher):
        await eventually(is_connected(publisher))
        broker_acl.freeze()
        outbox.add(changed(ALERT, 1), ORIGIN)
        try:
            left = await publisher.goodbye(0.5)
            unsent = outbox.unsent
        finally:
            broker_acl.thaw()
    assert not left
    assert unsent == [1]


async def test_a_goodbye_while_the_broker_is_away_ends_at_once() -> None:
    publisher = publisher_for(BrokerSettings(host="127.0.0.1", port=free_port(), client_id="x"), MemoryOutbox())
    task = asyncio.ensure_future(publisher.run())
    await eventually(lambda: publisher.health().link is Link.DOWN)
    assert not await publisher.goodbye(60)
    await task


async def test_without_a_broker_it_idles_and_says_so() -> None:
    outbox = MemoryOutbox()
    outbox.add(changed(ALERT, 1), ORIGIN)
    publisher = Publisher(life=LIFE, transport=None, outbox=outbox, clock=SystemClock())
    task = asyncio.ensure_future(publisher.run())
    await asyncio.sleep(0)
    assert publisher.health().link is Link.NONE
    assert await publisher.goodbye(60)
    await task
    assert outbox.unsent == [1]


async def test_heartbeats_are_numbered_unkept_and_expire(broker: Mosquitto) -> None:
    publisher = publisher_for(broker.settings(), MemoryOutbox(), timers=dataclasses.replace(FAST, heartbeat_s=1))
    async with listening(broker) as listener, running(publisher):
        first = await listener.until("heartbeat", seq=1)
        await listener.until("heartbeat", seq=2)
    assert first.qos == 0
    assert first.expiry_s == 3
    assert first.data["heads"] == {"ethereum": 21_000_000}
    assert f"{ROOT}heartbeat" not in await retained(broker)


async def test_rows_that_were_dropped_are_told_in_one_event(broker: Mosquitto) -> None:
    outbox = MemoryOutbox()
    outbox.drops = [Dropped(id=1, what="outbox", first=3, last=9, count=5, reason="outbox full", wall_ns=NOON_NS)]
    async with listening(broker) as listener, running(publisher_for(broker.settings(), outbox)):
        one = await listener.until("event/warning/self.dropped")
        await eventually(lambda: not outbox.drops)
    assert one.data == {"from": 3, "to": 9, "count": 5, "ranges": None, "reason": "outbox full"}


async def test_a_row_that_is_not_on_disk_goes_out_with_that_mark(broker: Mosquitto) -> None:
    outbox = MemoryOutbox()
    outbox.durable = False
    outbox.add(changed(ALERT, 1), ORIGIN)
    async with listening(broker) as listener, running(publisher_for(broker.settings(), outbox)):
        one = await listener.until("event/warning/node.lag")
    assert one.data["durable"] is False
    assert one.data["fingerprint"] == ALERT.fingerprint


STATUS = ROOT + "status"


def will_of(life: Life) -> bytes:
    return presence.will(life, NOON_NS).payload


@pytest.mark.parametrize(
    "wrong",
    [
        will_of(dataclasses.replace(LIFE, boot="0123456789ab", started_wall_ns=NOON_NS - 10**12)),
        will_of(LIFE),
        b"",
        b"\xff\xfe\x00",
        b"{" * 100_000,
        b"[" * 5000,
        b"[]",
        b'{"data":null}',
        b'{"data":{"boot_id":1,"started":[],"state":{}}}',
        b'{"data":{"state":"ready"}}',
        b"x" * 1_000_000,
    ],
)
async def test_whatever_lands_on_our_status_is_survived_and_corrected(broker: Mosquitto, wrong: bytes) -> None:
    publisher = publisher_for(broker.settings(), MemoryOutbox())
    publisher.set_state(State.READY)
    async with running(publisher), client_of(broker) as peer:
        await eventually(is_connected(publisher))
        before = publisher.health().tally.corrections
        await peer.publish(STATUS, wrong, qos=1, retain=True)
        await eventually(lambda: publisher.health().tally.corrections > before)
        async with listening(broker) as listener:
            truth = await listener.until("status", state="ready", boot_id=LIFE.boot)
        assert truth.payload != wrong
        assert publisher.health().link is Link.CONNECTED
        assert not publisher.health().rival


CLIENT = """
import asyncio, sys
sys.path[:0] = sys.argv[2].split(":")
from tests.contract import test_mqtt_publisher as here
from tests.support.memory_outbox import MemoryOutbox
from tocsin.mqtt.settings import BrokerSettings
import dataclasses

async def main():
    life = dataclasses.replace(here.LIFE, boot="dead00000000", started_wall_ns=here.NOON_NS - 10**12)
    settings = BrokerSettings(host="127.0.0.1", port=int(sys.argv[1]), client_id="dead", will_delay_s=1)
    publisher = here.publisher_for(settings, MemoryOutbox(), life=life)
    task = asyncio.ensure_future(publisher.run())
    await here.eventually(here.is_connected(publisher))
    print("up", flush=True)
    await task

asyncio.run(main())
"""


async def test_the_late_will_of_a_killed_life_is_corrected_by_the_next_one(broker: Mosquitto) -> None:
    publisher = publisher_for(broker.settings(), MemoryOutbox())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLIENT, str(broker.port), os.pathsep.join(sys.path), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"up\n"
        async with listening(broker) as listener:
            process.kill()
            async with running(publisher):
                await listener.until("status", boot_id=LIFE.boot)
                lost = await listener.until("status", state="lost", boot_id="dead00000000")
                after = listener.on("status").index(lost)
                await listener.until_any(lambda one: one in listener.on("status")[after + 1 :])
                assert listener.on("status")[-1].data["boot_id"] == LIFE.boot
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_of_two_daemons_with_one_name_the_younger_leaves_the_retained_topics_alone(broker: Mosquitto) -> None:
    timers = dataclasses.replace(FAST, heartbeat_s=1)
    outboxes = MemoryOutbox(), MemoryOutbox()
    young = dataclasses.replace(LIFE, boot="younger00000", started_wall_ns=LIFE.started_wall_ns + 10**9)
    older = publisher_for(broker.settings(), outboxes[0], timers=timers)
    younger = publisher_for(broker.settings(), outboxes[1], life=young, timers=timers)
    older.set_state(State.READY)
    younger.set_state(State.READY)
    outboxes[0].put(f"{ROOT}node/ethereum/geth", b"older")
    async with running(younger):
        async with running(older):
            await eventually(lambda: older.health().rival == young.boot and younger.health().rival == LIFE.boot)
            outboxes[1].put(f"{ROOT}node/ethereum/geth", b"younger")
            outboxes[1].add(changed(ALERT, 1), ORIGIN)
            await eventually(lambda: outboxes[1].sent == [1])
            await eventually(lambda: not older.health().rival)
            now = await retained(broker)
            assert now[f"{ROOT}node/ethereum/geth"] == b"older"
            assert orjson.loads(now[STATUS])["data"]["boot_id"] == LIFE.boot
            assert await older.goodbye(5)
        await eventually(lambda: not younger.health().rival)
        async with listening(broker) as listener:
            await listener.until_any(lambda one: one.topic.endswith("geth") and one.payload == b"younger")
            await listener.until("status", boot_id=young.boot)


async def test_the_retained_topics_are_taken_over_at_the_goodbye_and_not_after_a_silence(broker: Mosquitto) -> None:
    """Three of these periods would be three hours."""
    outboxes = MemoryOutbox(), MemoryOutbox()
    young = dataclasses.replace(LIFE, boot="younger00000", started_wall_ns=LIFE.started_wall_ns + 10**9)
    rare = dataclasses.replace(FAST, heartbeat_s=3600)
    younger = publisher_for(broker.settings(), outboxes[1], life=young, timers=rare)
    older = publisher_for(broker.settings(), outboxes[0], timers=dataclasses.replace(FAST, heartbeat_s=1))
    outboxes[0].put(f"{ROOT}node/ethereum/geth", b"older")
    async with running(younger):
        await eventually(lambda: younger.health().link is Link.CONNECTED)
        async with running(older):
            await eventually(lambda: younger.health().rival == LIFE.boot)
            await eventually(lambda: older.health().rival == young.boot)
            outboxes[1].put(f"{ROOT}node/ethereum/geth", b"younger")
            assert await older.goodbye(5)
        await eventually(lambda: not younger.health().rival)
        async with listening(broker) as listener:
            await listener.until_any(lambda one: one.topic.endswith("geth") and one.payload == b"younger")
            await listener.until("status", boot_id=young.boot)


async def test_a_daemon_that_gives_way_at_the_first_word_of_another_says_once_that_it_is_there(
    broker: Mosquitto,
) -> None:
    """Its own next word would have come in an hour, and as it gives way, never: the other would not know of it."""
    young = dataclasses.replace(LIFE, boot="younger00000", started_wall_ns=LIFE.started_wall_ns + 10**9)
    rare = dataclasses.replace(FAST, heartbeat_s=3600)
    younger = publisher_for(broker.settings(), MemoryOutbox(), life=young, timers=rare)
    older = publisher_for(broker.settings(), MemoryOutbox(), timers=dataclasses.replace(FAST, heartbeat_s=1))
    async with running(younger), listening(broker) as listener:
        await listener.until("status", boot_id=young.boot)
        await eventually(lambda: younger.health().link is Link.CONNECTED)
        async with running(older):
            await eventually(lambda: younger.health().rival == LIFE.boot)
            await eventually(lambda: older.health().rival == young.boot)
            await listener.until("heartbeat", boot_id=LIFE.boot, seq=4)
            words = [one for one in listener.on("heartbeat") if one.data["boot_id"] == young.boot]
            assert len(words) <= 2, "the first one, if it was heard, and the answer"


@pytest.mark.parametrize("ticks", range(-4, 5))
async def test_who_is_to_end_ends_though_there_is_news_in_the_same_moment(broker: Mosquitto, ticks: int) -> None:
    """The news come some turns of the loop before the end, or after it."""
    publisher = publisher_for(broker.settings(), MemoryOutbox(), timers=dataclasses.replace(FAST, refused_pause_s=60))
    task = asyncio.create_task(publisher.run())
    await eventually(is_connected(publisher))
    await asyncio.sleep(0.1)  # it waits for news by now
    first, second = publisher.set_state, lambda _: task.cancel()
    if ticks > 0:
        first, second = second, first
    first(State.READY)
    for _ in range(abs(ticks)):
        await asyncio.sleep(0)
    second(State.READY)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_the_store_committed_goes_out_and_is_marked_there(broker: Mosquitto, tmp_path: Path) -> None:
    clock = SystemClock()
    stream, state = envelope.alert_messages(changed(ALERT, 1), ORIGIN)
    row = OutboxRow(
        seq=1,
        id="b:1",
        fingerprint=ALERT.fingerprint,
        severity=ALERT.severity,
        topic=stream.topic,
        payload=stream.payload,
        created_wall_ns=1,
    )
    retained_row = RetainedRow(topic=state.topic, payload=state.payload)
    async with await Store.open(tmp_path / "state", clock=clock) as store, listening(broker) as listener:
        publisher = Publisher(
            life=LIFE,
            transport=MqttTransport(broker.settings()),
            outbox=store,
            clock=clock,
            timers=FAST,
        )
        async with running(publisher):
            await eventually(is_connected(publisher))
            await store.commit(Group(t_ns=1, wall_ns=1, effect_no=1, outbox=(row,), retained=(retained_row,)))
            await listener.until("event/warning/node.lag", seq=1)
            await listener.until(f"alert/{ALERT.fingerprint}", seq=1)
            assert await publisher.goodbye(10)
        assert not await store.pending(10)
        assert not await store.retained_unpublished()
