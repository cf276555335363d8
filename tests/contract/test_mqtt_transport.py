"""The transport against a real mosquitto: an answer is believed, and every failure says what to do."""

import asyncio
import contextlib
import dataclasses
import gc
import os
import signal
import socket
import sys
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import VariableByteIntegers
from tests.support.broker import (
    PASSWORD,
    ROOT,
    Mosquitto,
    client_of,
    eventually,
    free_port,
    listening,
    retained,
)

from tocsin.errors import BrokerError, PublishRefused
from tocsin.mqtt.client import CheckedClient, Received, Will, properties_of
from tocsin.mqtt.dial import dial
from tocsin.mqtt.reasons import ConnectionRefused
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttConnection, MqttTransport
from tocsin.secret import Secret

CONTENT_TYPE = "application/cloudevents+json"
WILL = Will(topic=ROOT + "status", payload=b'{"data":{"state":"lost"}}', content_type=CONTENT_TYPE)


async def say(connection: MqttConnection, topic: str, payload: bytes = b"{}", *, retain: bool = False) -> None:
    await connection.publish(topic, payload, qos=1, retain=retain, expiry_s=None, content_type=CONTENT_TYPE)


@contextlib.asynccontextmanager
async def connected(
    settings: BrokerSettings, inbox: list[Received] | None = None, will: Will | None = None
) -> AsyncIterator[MqttConnection]:
    inbox = [] if inbox is None else inbox
    async with MqttTransport(settings).connect(will=will, on_message=inbox.append) as connection:
        yield connection


def _text(value: bytes) -> bytes:
    return len(value).to_bytes(2) + value


def _say_raw(port: int, topic: str, properties: bytes) -> None:
    """Publish a retained message as no client would that keeps to the rules, or to reason."""
    connect = _text(b"MQTT") + b"\x05\x02\x00\x3c\x00" + _text(b"raw")
    length = bytes(VariableByteIntegers.encode(len(properties)))  # type: ignore[no-untyped-call]
    message = _text(topic.encode()) + b"\x00\x01" + length + properties + b"{}"
    with socket.create_connection(("127.0.0.1", port), 5) as peer:
        for command, body in ((0x10, connect), (0x33, message)):
            size = bytes(VariableByteIntegers.encode(len(body)))  # type: ignore[no-untyped-call]
            peer.sendall(bytes([command]) + size + body)
            assert peer.recv(100)


async def test_flags_expiry_and_content_type_reach_the_subscriber(broker: Mosquitto) -> None:
    async with listening(broker) as listener, connected(broker.settings()) as connection:
        await connection.publish(ROOT + "a", b"{}", qos=1, retain=True, expiry_s=60, content_type=CONTENT_TYPE)
        one = await listener.until_any(lambda heard: heard.topic == ROOT + "a")
    assert one.content_type == CONTENT_TYPE
    assert one.expiry_s is not None
    assert one.expiry_s <= 60
    assert one.qos == 1
    assert await retained(broker) == {ROOT + "a": b"{}"}


async def test_a_publish_that_the_acl_forbids_is_an_error(broker_acl: Mosquitto) -> None:
    async with connected(broker_acl.settings()) as connection:
        await say(connection, ROOT + "allowed")
        with pytest.raises(PublishRefused, match="not authorised") as refusal:
            await say(connection, "tocsin/v1/ams/other/status")
        await say(connection, ROOT + "still-there")
    assert refusal.value.reason_code == 0x87
    assert "ACL" in str(refusal.value)


async def test_publishes_in_flight_stay_within_what_the_broker_granted(broker: Mosquitto) -> None:
    broker.stop()
    broker.lines = (*broker.lines, "max_inflight_messages 3")
    broker.start()
    async with listening(broker) as listener, connected(broker.settings()) as connection:
        assert connection.limits.window == 3
        await asyncio.gather(*(say(connection, f"{ROOT}n", str(n).encode()) for n in range(50)))
        await listener.until_any(lambda one: one.payload == b"49")
    assert [int(one.payload) for one in listener.on("n")] == list(range(50))


async def test_a_message_that_the_broker_would_choke_on_is_refused_before_it_is_sent(broker: Mosquitto) -> None:
    broker.stop()
    broker.lines = (*broker.lines, "max_packet_size 2000")
    broker.start()
    async with connected(broker.settings()) as connection:
        with pytest.raises(PublishRefused, match="too large"):
            await say(connection, ROOT + "big", b"x" * 5000)
        await say(connection, ROOT + "small")


@pytest.mark.parametrize("topic", ["", "a/+", "a/#", "a\x00b"])
async def test_a_topic_that_is_none_is_refused(broker: Mosquitto, topic: str) -> None:
    async with connected(broker.settings()) as connection:
        with pytest.raises(PublishRefused, match="topic not accepted"):
            await say(connection, topic)
        await say(connection, ROOT + "fine")


async def test_a_broker_that_retains_nothing_is_named(broker: Mosquitto) -> None:
    broker.stop()
    broker.lines = (*broker.lines, "retain_available false")
    broker.start()
    async with connected(broker.settings()) as connection:
        with pytest.raises(PublishRefused, match="does not retain"):
            await say(connection, ROOT + "status", retain=True)


async def test_nobody_listening_is_counted_and_is_no_error(broker: Mosquitto) -> None:
    transport = MqttTransport(broker.settings())
    async with transport.connect(will=None, on_message=lambda _: None) as connection:
        await say(connection, ROOT + "a")
        async with listening(broker):
            await say(connection, ROOT + "a")
    assert (transport.counters.acked, transport.counters.unheard) == (2, 1)


async def test_a_publish_in_flight_fails_when_the_broker_dies_and_the_cause_is_told(broker: Mosquitto) -> None:
    async with connected(broker.settings(connect_timeout_s=3600)) as connection:
        broker.freeze()
        publish = asyncio.ensure_future(say(connection, ROOT + "a"))
        await asyncio.sleep(0)
        broker.kill()
        with pytest.raises(BrokerError, match="connection lost"):
            await publish


@pytest.fixture
def frozen(broker: Mosquitto) -> Iterator[Mosquitto]:
    """Give a broker that a test may freeze."""
    yield broker
    broker.thaw()


async def test_a_broker_that_stops_answering_is_noticed(frozen: Mosquitto) -> None:
    async with connected(frozen.settings(keepalive_s=1)) as connection:
        frozen.freeze()
        assert "stopped answering" in str(await connection.ended())


async def test_an_unanswered_publish_is_an_error(frozen: Mosquitto) -> None:
    async with connected(frozen.settings(connect_timeout_s=0.5)) as connection:
        frozen.freeze()
        with pytest.raises(BrokerError, match="no answer to a publish"):
            await say(connection, ROOT + "a")


async def test_a_broker_that_shuts_down_ends_the_connection(broker: Mosquitto) -> None:
    async with connected(broker.settings()) as connection:
        broker.stop()
        assert str(broker.port) in str(await connection.ended())
        with pytest.raises(BrokerError):
            await say(connection, ROOT + "a")


async def test_a_takeover_of_the_session_ends_the_older_connection(broker: Mosquitto) -> None:
    async with connected(broker.settings()) as first, connected(broker.settings()) as second:
        assert isinstance(await first.ended(), ConnectionRefused)
        await say(second, ROOT + "a")


@pytest.mark.parametrize(
    ("code", "hint"),
    [(0x8E, "second daemon"), (0x8B, "shutting down"), (0x98, "administers"), (0xEE, "connection lost")],
)
async def test_the_reason_that_a_broker_gives_for_a_disconnect_is_told(code: int, hint: str) -> None:
    # mosquitto 2.0 closes without one, so this broker is a script.
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"\x20\x03\x00\x00\x00")
        await writer.drain()
        await reader.read(1000)
        writer.write(bytes([0xE0, 2, code, 0]))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        settings = BrokerSettings(host="127.0.0.1", port=server.sockets[0].getsockname()[1], client_id="x")
        async with connected(settings) as connection:
            with pytest.raises(ConnectionRefused, match=hint) as ending:
                await say(connection, ROOT + "a")
    assert ending.value.reason_code == (code if code != 0xEE else None)


async def test_a_wrong_password_is_refused_and_not_shown(broker_acl: Mosquitto) -> None:
    settings = broker_acl.settings(password=Secret("wrong-horse-battery"))
    with pytest.raises(ConnectionRefused, match=r"mqtt\.password") as refusal:
        async with connected(settings):
            pass
    assert "wrong-horse-battery" not in str(refusal.value)
    assert PASSWORD not in str(refusal.value)


async def test_a_port_without_a_broker_is_told() -> None:
    settings = BrokerSettings(host="127.0.0.1", port=free_port(), client_id="x")
    with pytest.raises(ConnectionRefused, match="connection refused"):
        async with connected(settings):
            pass


async def test_an_unknown_host_is_told() -> None:
    settings = BrokerSettings(host="broker.invalid", client_id="x", connect_timeout_s=20)
    with pytest.raises(ConnectionRefused, match="unknown host"):
        async with connected(settings):
            pass


@pytest.fixture
def hole() -> Iterator[socket.socket]:
    """Give a listener that accepts and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


async def test_a_port_that_accepts_and_says_nothing_is_given_up(hole: socket.socket) -> None:
    settings = BrokerSettings(host="127.0.0.1", port=hole.getsockname()[1], client_id="x", connect_timeout_s=0.3)
    for tls in (False, True):
        with pytest.raises(ConnectionRefused):
            async with connected(dataclasses.replace(settings, tls=tls)):
                pass


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"\x20\x02\x00\x01", "MQTT 5"),  # a broker of version 3.1.1
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "broker mqtt://"),
        (b"\xff" * 40, "broker mqtt://"),
        (b"", "connection lost"),
        (b"\x20\x03\x00\x88\x00", "unavailable"),
    ],
)
async def test_a_port_that_speaks_something_else_is_an_error_at_once(answer: bytes, what: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionRefused, match=what):
            async with connected(BrokerSettings(host="127.0.0.1", port=port, client_id="x", connect_timeout_s=60)):
                pass


async def test_a_cancelled_connect_leaves_nothing_behind(hole: socket.socket) -> None:
    settings = BrokerSettings(host="127.0.0.1", port=hole.getsockname()[1], client_id="x", connect_timeout_s=60)
    before = asyncio.all_tasks()

    async def connect() -> None:
        async with connected(settings):
            pass

    task = asyncio.ensure_future(connect())
    peer, _ = await asyncio.get_running_loop().run_in_executor(None, hole.accept)
    with peer:
        await asyncio.get_running_loop().run_in_executor(None, peer.recv, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        peer.settimeout(10)
        await asyncio.to_thread(_read_to_the_end, peer)
    await eventually(lambda: asyncio.all_tasks() <= before)


def _read_to_the_end(peer: socket.socket) -> None:
    while peer.recv(1000):
        pass


async def test_tls_with_a_client_certificate_works(broker_tls: Mosquitto) -> None:
    async with listening(broker_tls) as listener, connected(broker_tls.settings()) as connection:
        await say(connection, ROOT + "a", b"x" * 100_000)
        one = await listener.until_any(lambda heard: heard.topic == ROOT + "a")
    assert len(one.payload) == 100_000


async def test_a_certificate_of_a_foreign_authority_is_told(broker_tls: Mosquitto) -> None:
    with pytest.raises(ConnectionRefused, match=r"TLS.*mqtt\.ca"):
        async with connected(broker_tls.settings(ca=None)):
            pass


async def test_a_certificate_for_another_host_is_told(broker_tls: Mosquitto) -> None:
    settings = broker_tls.settings(host="127.0.0.2")
    broker_tls.stop()
    broker_tls.host = "0.0.0.0"  # noqa: S104 - to be reached by an address that the certificate does not name
    broker_tls.start()
    with pytest.raises(ConnectionRefused, match="names this host"):
        async with connected(settings):
            pass


async def test_a_missing_client_certificate_is_an_error(broker_tls: Mosquitto) -> None:
    with pytest.raises(ConnectionRefused):
        async with connected(broker_tls.settings(cert=None, key=None)):
            pass


async def test_tls_spoken_to_a_plain_port_is_told(broker: Mosquitto) -> None:
    with pytest.raises(ConnectionRefused, match="TLS"):
        async with connected(broker.settings(tls=True)):
            pass


async def test_certificate_files_that_cannot_be_read_are_named(broker_tls: Mosquitto, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    for bad in (garbage, tmp_path / "missing.pem"):
        with pytest.raises(ConnectionRefused, match=bad.name):
            async with connected(broker_tls.settings(cert=bad, key=bad)):
                pass


async def test_ipv6_works(broker: Mosquitto) -> None:
    if not _has_ipv6():
        pytest.skip("no IPv6 loopback on this host")
    broker.stop()
    broker.host = "::1"
    broker.start()
    settings = broker.settings()
    assert settings.url == f"mqtt://[::1]:{broker.port}"
    async with connected(settings) as connection:
        await say(connection, ROOT + "a")


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


CLIENT = """
import asyncio, sys
from tocsin.mqtt.client import Will
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttTransport

async def main():
    settings = BrokerSettings(host="127.0.0.1", port=int(sys.argv[1]), client_id=sys.argv[2], will_delay_s=1)
    will = Will(topic=sys.argv[3], payload=b'{"data":{"state":"lost"}}', content_type="application/cloudevents+json")
    async with MqttTransport(settings).connect(will=will, on_message=lambda _: None):
        print("up", flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def client_process(broker: Mosquitto, client_id: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a process that holds a connection with a will."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CLIENT,
        str(broker.port),
        client_id,
        ROOT + "status",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"up\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_the_will_of_a_killed_process_is_published_and_retained(broker: Mosquitto) -> None:
    async with listening(broker) as listener:
        async with client_process(broker, "tocsin-ams-host-a") as process:
            process.send_signal(signal.SIGKILL)
            one = await listener.until("status", state="lost")
        assert one.content_type == CONTENT_TYPE
    assert set(await retained(broker)) == {ROOT + "status"}


async def test_a_graceful_end_withdraws_the_will_and_an_error_does_not(broker: Mosquitto) -> None:
    async with listening(broker) as listener:
        async with connected(broker.settings("graceful", will_delay_s=0), will=WILL):
            pass
        await listener.settle()
        assert not listener.on("status")
        with pytest.raises(LookupError):
            async with connected(broker.settings("hasty", will_delay_s=0), will=WILL):
                raise LookupError
        await listener.until("status", state="lost")


async def test_a_will_waits_for_its_delay_and_is_never_said_when_we_are_back_in_time(broker: Mosquitto) -> None:
    settings = broker.settings("hasty", will_delay_s=3600)
    async with listening(broker) as listener:
        with pytest.raises(LookupError):
            async with connected(settings, will=WILL):
                raise LookupError
        await eventually(lambda: "Received DISCONNECT from hasty" in broker.log())
        await listener.settle()
        assert not listener.on("status")
        async with connected(settings, will=WILL):
            pass
        await listener.settle()
        assert not listener.on("status")


async def test_any_bytes_on_a_subscribed_topic_are_handed_over_and_a_defect_of_the_handler_is_survived(
    broker: Mosquitto,
) -> None:
    transport = MqttTransport(broker.settings())
    seen: list[int] = []

    def handle(message: Received) -> None:
        seen.append(len(message.payload))
        message.payload.decode()

    payloads = [b"x" * 1_000_000, b"\xff\xfe", b"", b"{" * 50_000, b"ok"]
    async with transport.connect(will=None, on_message=handle) as connection, client_of(broker) as peer:
        await connection.subscribe(ROOT + "status")
        for payload in payloads:
            await peer.publish(ROOT + "status", payload, qos=1)
        await eventually(lambda: len(seen) == len(payloads))
        await say(connection, ROOT + "alive")
    assert seen == [len(payload) for payload in payloads]
    assert transport.counters.received == len(payloads)
    assert transport.counters.mishandled == 1


BYTE_ORDER_MARK = "\ufeff".encode()
PECULIAR = {
    "user property": b"\x26" + _text(b"a") + _text(BYTE_ORDER_MARK),
    "response topic": b"\x08" + _text(b"x/" + BYTE_ORDER_MARK),
    "content type": b"\x03" + _text(BYTE_ORDER_MARK),
    "a great many": 500_000 * (b"\x26" + _text(b"") + _text(b"")),
}


@pytest.mark.parametrize("properties", PECULIAR.values(), ids=PECULIAR.keys())
@pytest.mark.parametrize("session_s", [None, 60])
async def test_properties_that_anybody_may_set_neither_end_the_connection_nor_hold_it_up(
    broker: Mosquitto, properties: bytes, session_s: int | None
) -> None:
    await asyncio.to_thread(_say_raw, broker.port, ROOT + "status", properties)
    inbox: list[Received] = []
    async with connected(broker.settings(session_s=session_s), inbox) as connection:
        await connection.subscribe(ROOT + "status")
        await eventually(lambda: bool(inbox))
        connection.confirm(inbox[0])
        await say(connection, ROOT + "alive")
    assert [(one.topic, one.payload, one.retained) for one in inbox] == [(ROOT + "status", b"{}", True)]


async def test_what_is_too_large_to_be_ours_stays_with_the_broker(broker: Mosquitto) -> None:
    inbox: list[Received] = []
    async with connected(broker.settings(), inbox) as connection, client_of(broker) as foreign:
        await connection.subscribe(ROOT + "status")
        for payload in (b"x" * 2**20, b"y" * 8 * 2**20, b"z"):
            await foreign.publish(ROOT + "status", payload, qos=1, retain=True)
        await eventually(lambda: inbox and inbox[-1].payload == b"z")
        await say(connection, ROOT + "still-there")
    assert [one.payload[:1] for one in inbox] == [b"x", b"z"]


async def test_our_own_messages_do_not_come_back(broker: Mosquitto) -> None:
    inbox: list[Received] = []
    async with connected(broker.settings(), inbox) as connection, client_of(broker) as peer:
        await connection.subscribe(ROOT + "status")
        await say(connection, ROOT + "status", b"mine")
        await peer.publish(ROOT + "status", b"theirs", qos=1)
        await eventually(lambda: bool(inbox))
    assert [message.payload for message in inbox] == [b"theirs"]


async def test_a_connection_that_breaks_with_a_packet_in_hand_leaves_nothing_in_the_loop(broker: Mosquitto) -> None:
    mistakes: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: mistakes.append(context))
    settings = broker.settings()
    client = CheckedClient(settings, await dial(settings), will=None, on_message=lambda _: None)
    await client.__aenter__()
    packet = client.publish_acked(ROOT + "a", b"{}", 1, retain=False, properties=properties_of(PacketTypes.PUBLISH))
    publishing = asyncio.ensure_future(packet)
    await asyncio.sleep(0)
    client._client._sock_close()
    await client.hang_up(with_will=True)
    publishing.cancel()
    await asyncio.wait([publishing])
    assert mistakes == []


async def test_a_broker_that_answers_only_our_goodbye_is_given_up_without_a_complaint() -> None:
    mistakes: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: mistakes.append(context))

    async def hang_up_on_goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not (await reader.read(1000)).startswith(b"\xe0"):
            pass
        writer.close()

    async with await asyncio.start_server(hang_up_on_goodbye, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = BrokerSettings(host="127.0.0.1", port=port, client_id="c", connect_timeout_s=0.2)
        client = CheckedClient(settings, await dial(settings), will=None, on_message=lambda _: None)
        with pytest.raises(aiomqtt.MqttError):
            await client.__aenter__()
        await client.hang_up(with_will=True)
    gone = weakref.ref(client)
    del client
    await eventually(lambda: gc.collect() >= 0 and gone() is None)
    assert mistakes == []


async def test_a_connection_that_ends_while_it_is_made_leaves_nothing_in_the_loop(broker: Mosquitto) -> None:
    mistakes: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: mistakes.append(context))
    settings = broker.settings()
    client = CheckedClient(settings, await dial(settings), will=None, on_message=lambda _: None)
    client._client_connect()
    client._client._sock_close()
    await asyncio.sleep(0)
    await client.hang_up(with_will=True)
    assert mistakes == []
