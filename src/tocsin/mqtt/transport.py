"""The seam between Tocsin and MQTT: what a connection can do, and the one that aiomqtt does.

A publish returns only when the broker took responsibility. Every failure is a BrokerError that says what to do.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Protocol

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from tocsin.errors import BrokerError, PublishRefused
from tocsin.mqtt import reasons
from tocsin.mqtt.client import CheckedClient, Received, Will, properties_of
from tocsin.mqtt.dial import dial
from tocsin.mqtt.reasons import ConnectionRefused
from tocsin.mqtt.settings import BrokerSettings
from tocsin.wire.envelope import Message

WINDOW = 20
"""Publishes in flight at most: what brokers grant by default; less where the broker grants less."""
_HEADER_ROOM = 128
"""Bytes that fixed header and properties add to topic and payload."""


class Connection(Protocol):
    """An open connection to a broker."""

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        retain: bool,
        expiry_s: int | None,
        content_type: str | None,
        correlation: bytes | None = None,
    ) -> int:
        """Return the broker's reason code when it has taken it: 0, or 0x10 where nobody subscribes.

        Raises PublishRefused when it said no, BrokerError otherwise.
        """
        ...

    async def subscribe(self, topic: str, *, own: bool = False) -> None:
        """Ask for the messages of a topic, without (unless `own`) our own. Raises PublishRefused or BrokerError."""
        ...

    async def ended(self) -> BrokerError:
        """Return why the connection ended, once it has."""
        ...


class Transport(Protocol):
    """A way to a broker."""

    def connect(
        self, *, will: Will | None, on_message: Callable[[Received], None], suffix: str = ""
    ) -> AbstractAsyncContextManager[Connection]:
        """Open a connection. Leaving it without an exception withdraws the will. Raises BrokerError.

        `suffix` sets our client id apart: two clients of one id would end each other's connection in turn.
        """
        ...


async def publish(connection: Connection, message: Message) -> None:
    """Publish a rendered message."""
    await connection.publish(
        message.topic,
        message.payload,
        qos=message.qos,
        retain=message.retain,
        expiry_s=message.expiry_s,
        content_type=message.content_type,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the broker granted in its answer to the connect (MQTT 5.0, 3.2.2.3)."""

    window: int
    packet_size: int | None
    qos: int
    retain: bool


@dataclass(slots=True)
class Counters:
    """What happened on the wire since the start."""

    acked: int = 0
    refused: int = 0
    unheard: int = 0
    """Taken by the broker, but nobody subscribes (0x10)."""
    received: int = 0
    mishandled: int = 0
    """Messages whose handler raised: a defect, never a reason to end the connection."""


class MqttTransport:
    """MQTT 5 over aiomqtt."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self.counters = Counters()

    @contextlib.asynccontextmanager
    async def connect(
        self, *, will: Will | None, on_message: Callable[[Received], None], suffix: str = ""
    ) -> AsyncIterator["MqttConnection"]:
        client_id = "-".join(part for part in (self._settings.client_id, suffix) if part)
        settings = replace(self._settings, client_id=client_id)
        sock = await dial(settings)
        client = CheckedClient(settings, sock, will=will, on_message=self._guarded(on_message))
        gracefully = False
        try:
            await self._enter(client)
            yield MqttConnection(self._settings, client, self.counters)
            gracefully = True
        finally:
            await client.hang_up(with_will=not gracefully)
            sock.close()

    async def _enter(self, client: CheckedClient) -> None:
        try:
            await client.__aenter__()
        except aiomqtt.MqttError as error:
            raise _broken(self._settings.url, error) from None

    def _guarded(self, on_message: Callable[[Received], None]) -> Callable[[Received], None]:
        def handle(message: Received) -> None:
            self.counters.received += 1
            try:
                on_message(message)
            except Exception:  # noqa: BLE001 - bytes from outside must not end the connection
                self.counters.mishandled += 1

        return handle


class MqttConnection:
    """One connection; its window is what the broker granted."""

    def __init__(self, settings: BrokerSettings, client: CheckedClient, counters: Counters) -> None:
        self._url = settings.url
        self._client = client
        self._counters = counters
        self.limits = _limits(client.connack)
        self._window = asyncio.Semaphore(self.limits.window)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        retain: bool,
        expiry_s: int | None,
        content_type: str | None,
        correlation: bytes | None = None,
        response_topic: str | None = None,
    ) -> int:
        try:
            self._check(topic, payload, qos, retain=retain)
            properties = _publish_properties(expiry_s, content_type, correlation)
            if response_topic is not None:
                properties.ResponseTopic = response_topic
            async with self._window:
                code = await self._client.publish_acked(topic, payload, qos, retain=retain, properties=properties)
            if code >= reasons.FIRST_ERROR:
                raise _refusal(topic, code)
        except aiomqtt.MqttError as error:
            raise self._gone() or _broken(self._url, error) from None
        except PublishRefused:
            self._counters.refused += 1
            raise
        self._counters.acked += 1
        self._counters.unheard += code == reasons.NO_MATCHING_SUBSCRIBERS
        return code

    async def subscribe(self, topic: str, *, own: bool = False) -> None:
        try:
            codes = await self._client.subscribe(topic, options=SubscribeOptions(qos=1, noLocal=not own))
        except aiomqtt.MqttError as error:
            raise self._gone() or _broken(self._url, error) from None
        code = codes[0].value if isinstance(codes[0], ReasonCode) else codes[0]
        if code >= reasons.FIRST_ERROR:
            raise _refusal(topic, code)

    async def unsubscribe(self, topic: str) -> None:
        """Ask for the messages of a topic no more. Raises BrokerError."""
        try:
            await self._client.unsubscribe(topic)
        except aiomqtt.MqttError as error:
            raise self._gone() or _broken(self._url, error) from None

    def confirm(self, received: Received) -> None:
        """Let the broker forget a message of a kept session."""
        self._client.confirm(received.packet)

    async def ended(self) -> BrokerError:
        await asyncio.wait([self._client.ended])
        return self._gone() or ConnectionRefused(self._url, "closed the connection", "see the broker's log")

    def _check(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        """Refuse here what the broker announced to refuse: it would end the connection, again and again."""
        size = len(topic.encode()) + len(payload) + _HEADER_ROOM
        if self.limits.packet_size is not None and size > self.limits.packet_size:
            raise _refusal(topic, reasons.PACKET_TOO_LARGE)
        if qos > self.limits.qos:
            raise _refusal(topic, reasons.QOS_NOT_SUPPORTED)
        if retain and not self.limits.retain:
            raise _refusal(topic, reasons.RETAIN_NOT_SUPPORTED)
        if not topic or any(character in topic for character in "+#\x00"):
            raise _refusal(topic, reasons.TOPIC_NAME_INVALID)

    def _gone(self) -> ConnectionRefused | None:
        """Why the connection ended, if it has: tells more than the call that noticed it."""
        ended = self._client.ended
        error = ended.exception() if ended.done() else None
        return None if error is None else _broken(self._url, error)


def _limits(connack: Properties | None) -> Limits:
    def granted(name: str, default: int | None) -> int | None:
        return getattr(connack, name, default)

    return Limits(
        window=min(WINDOW, granted("ReceiveMaximum", WINDOW) or 1),
        packet_size=granted("MaximumPacketSize", None),
        qos=2 if (qos := granted("MaximumQoS", 2)) is None else qos,
        retain=granted("RetainAvailable", 1) != 0,
    )


def _publish_properties(expiry_s: int | None, content_type: str | None, correlation: bytes | None) -> Properties:
    properties = properties_of(PacketTypes.PUBLISH)
    if correlation is not None:
        properties.CorrelationData = correlation
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    if content_type is not None:
        properties.ContentType = content_type
        properties.PayloadFormatIndicator = 1
    return properties


def _refusal(topic: str, code: int) -> PublishRefused:
    what, hint = reasons.explain(code)
    return PublishRefused(topic, code, what, hint=hint)


def _broken(url: str, error: BaseException) -> ConnectionRefused:
    """Name the cause of a broken connection: the broker's reason code where there is one."""
    code = error.rc if isinstance(error, aiomqtt.MqttCodeError) else None
    if isinstance(code, ReasonCode):
        return reasons.refused(url, code.value)
    what = "connection lost" if code is not None else str(error) or type(error).__name__
    return ConnectionRefused(url, what, "is the broker running, and the network up?")
