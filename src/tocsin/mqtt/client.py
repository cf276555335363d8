"""aiomqtt, made to tell what the broker answered.

aiomqtt 2.5 reports success for a publish that the broker refused, waits for its whole timeout when the connection
ends, connects in a thread, and knows its socket by a number that may soon be another's; paho lets any publisher end
the connection, or stop the loop, by the properties of a message. This subclass replaces these.
It hooks names that aiomqtt and paho keep private, hence the pin below 3 and the contract tests against a real broker.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tocsin.mqtt.packets import published
from tocsin.mqtt.reasons import DISCONNECT_WITH_WILL, KEEP_ALIVE_TIMEOUT, SUCCESS
from tocsin.mqtt.settings import BrokerSettings

_GOODBYE_S = 2.0
_KEEP_ALIVE_LOOK_S = 1.0
_LARGEST_PACKET = 4 * 1024 * 1024
"""What the broker may send us. Brokers let anybody publish up to 256 MB, and a packet is put together in memory: one of
60 MB took 180 MB and stopped the loop for a second. What is larger stays with the broker (MQTT 5.0, 3.1.2.11.4)."""
_UNCONFIRMED = 100
"""Messages of a kept session that the broker may send before the first of them is confirmed."""
_SESSION_MARGIN_S = 30
"""A session that ended would let the will go at once (MQTT 5.0, 3.1.3.2.2), so it outlives the delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the broker says in our place when we are gone without a goodbye; always retained, QoS 1."""

    topic: str
    payload: bytes
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message of a subscribed topic. `retained` says that it was there before we subscribed."""

    topic: str
    payload: bytes
    retained: bool
    response_topic: str = ""
    """Where whoever said it wants an answer; empty where nowhere."""
    correlation: bytes | None = None
    """What the answer has to carry, so that it is known to be one (MQTT 5.0, 4.10)."""
    packet: int = 0
    """By what a message of a kept session is confirmed; 0 for one that needs none."""


class CheckedClient(aiomqtt.Client):
    """One connection over a socket that is already there; not reusable."""

    def __init__(
        self,
        settings: BrokerSettings,
        sock: socket.socket,
        *,
        will: Will | None,
        on_message: Callable[[Received], None],
    ) -> None:
        super().__init__(
            settings.host,
            settings.port,
            username=settings.user,
            password=settings.password.reveal() if settings.password else None,
            identifier=settings.client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            will=_last_will(will, settings.will_delay_s) if will else None,
            clean_start=settings.session_s is None,
            keepalive=settings.keepalive_s,
            properties=_connect_properties(settings),
            timeout=settings.connect_timeout_s,
        )
        self.connack: Properties | None = None
        self.ended: asyncio.Future[None] = self._disconnected
        self.ended.add_done_callback(self._fail_all)
        self._acks: dict[int, asyncio.Future[int]] = {}
        self._hand_over = on_message
        self._client._create_socket = lambda: sock  # type: ignore[method-assign]  # noqa: SLF001
        self._client._handle_publish = self._take_publish  # type: ignore[method-assign,assignment]  # noqa: SLF001
        self._keeps_session = settings.session_s is not None
        self._client.manual_ack_set(self._keeps_session)

    async def publish_acked(self, topic: str, payload: bytes, qos: int, *, retain: bool, properties: Properties) -> int:
        """Return the reason code of the broker's answer, 0 for QoS 0. Raises MqttError when none comes."""
        info = self._client.publish(topic, payload, qos, retain, properties)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise aiomqtt.MqttCodeError(info.rc, "could not publish")
        if qos == 0:
            return 0
        ack = self._acks[info.mid] = self._loop.create_future()
        try:
            async with asyncio.timeout(self.timeout):
                code: int = await ack
                return code
        except TimeoutError:
            raise aiomqtt.MqttError(f"no answer to a publish within {self.timeout:g} s") from None
        finally:
            del self._acks[info.mid]

    def confirm(self, packet: int) -> None:
        """Tell the broker that a message of a kept session is ours now. They are confirmed in the order they came."""
        if packet:
            with self._breaking():
                self._client.ack(packet, 1)

    async def hang_up(self, *, with_will: bool) -> None:
        """End the connection; with the will, the broker publishes it unless we are back within its delay."""
        if not self.ended.done():
            reason = ReasonCode(PacketTypes.DISCONNECT, identifier=DISCONNECT_WITH_WILL) if with_will else None
            self._client.disconnect(reason)
            with contextlib.suppress(TimeoutError, aiomqtt.MqttError, OSError):
                async with asyncio.timeout(_GOODBYE_S):
                    await asyncio.shield(self.ended)
        self._client._sock_close()  # noqa: SLF001

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        """Listen at the socket; aiomqtt would do so by its number, which may be another's by then."""
        del userdata

        def read() -> None:
            with self._breaking():
                client.loop_read()
                while hasattr(sock, "pending") and sock.fileno() >= 0 and sock.pending() > 0:
                    client.loop_read()

        def keep_alive() -> None:
            with self._breaking():
                if client.loop_misc() == paho.MQTT_ERR_SUCCESS:
                    self._loop.call_later(_KEEP_ALIVE_LOOK_S, keep_alive)

        def register() -> None:
            if sock.fileno() >= 0:
                self._loop.add_reader(sock, read)
                keep_alive()

        # We are in the thread in which paho connects.
        self._loop.call_soon_threadsafe(register)

    def _on_socket_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        """Wait for the socket to take a packet; by itself and not by its number, as above."""
        del userdata

        def write() -> None:
            with self._breaking():
                client.loop_write()

        def register() -> None:
            if sock.fileno() >= 0:
                self._loop.add_writer(sock, write)

        self._loop.call_soon_threadsafe(register)

    @contextlib.contextmanager
    def _breaking(self) -> Iterator[None]:
        """Take any exception for the end of the connection, however it says so."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever sockets, TLS and paho can raise
            if not self.ended.done():
                self.ended.set_exception(error)

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.connack = properties
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        del client, userdata, properties
        if self.ended.done():
            return
        if flags.is_disconnect_packet_from_server:
            self.ended.set_exception(aiomqtt.MqttCodeError(reason_code))
        elif reason_code.value == SUCCESS:
            self.ended.set_result(None)
        else:  # paho dresses its own errors as reason codes
            silent = reason_code.value == KEEP_ALIVE_TIMEOUT
            self.ended.set_exception(aiomqtt.MqttError("it stopped answering" if silent else "connection lost"))

    def _on_publish(
        self, client: paho.Client, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        del client, userdata, properties
        ack = self._acks.get(mid)
        if ack is not None and not ack.done():
            ack.set_result(reason_code.value)

    def _take_publish(self) -> int:
        """Hand over the message that paho has in hand; reading it is not left to paho."""
        message = published(self._client._in_packet["command"], self._client._in_packet["packet"])  # noqa: SLF001
        try:
            topic = message.topic.decode()
        except UnicodeDecodeError:  # what is no text is no topic of ours
            return self._confirmed(message.packet)
        self._hand_over(
            Received(
                topic=topic,
                payload=message.payload,
                retained=message.retained,
                response_topic=message.response_topic,
                correlation=message.correlation,
                packet=message.packet,
            )
        )
        return paho.MQTT_ERR_SUCCESS if self._keeps_session else self._confirmed(message.packet)

    def _confirmed(self, packet: int) -> int:
        return self._client._send_puback(packet) if packet else paho.MQTT_ERR_SUCCESS  # noqa: SLF001

    def _fail_all(self, ended: asyncio.Future[None]) -> None:
        error = ended.exception() or aiomqtt.MqttError("the connection was closed")
        waiting: list[asyncio.Future[Any]] = [
            *self._acks.values(),
            *self._pending_subscribes.values(),
            self._connected,
        ]
        for future in waiting:
            if not future.done():
                future.set_exception(error if isinstance(error, aiomqtt.MqttError) else _foreign(error))
                future.exception()  # aiomqtt gave up on some of them: nobody may be left to take it


def properties_of(packet_type: int) -> Properties:
    """Return empty properties for a packet."""
    return Properties(packet_type)  # type: ignore[no-untyped-call]


def _foreign(error: BaseException) -> aiomqtt.MqttError:
    """Whatever paho raised while it read or wrote: the connection is broken all the same."""
    return aiomqtt.MqttError(f"{type(error).__name__}: {error}")


def _last_will(will: Will, delay_s: int) -> aiomqtt.Will:
    properties = properties_of(PacketTypes.WILLMESSAGE)
    properties.WillDelayInterval = delay_s
    properties.ContentType = will.content_type
    properties.PayloadFormatIndicator = 1
    return aiomqtt.Will(will.topic, will.payload, qos=1, retain=True, properties=properties)


def _connect_properties(settings: BrokerSettings) -> Properties:
    properties = properties_of(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = (
        settings.will_delay_s + _SESSION_MARGIN_S if settings.session_s is None else settings.session_s
    )
    if settings.session_s is not None:
        properties.ReceiveMaximum = _UNCONFIRMED
    properties.MaximumPacketSize = _LARGEST_PACKET
    return properties
