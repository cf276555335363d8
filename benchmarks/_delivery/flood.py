"""Packets as anybody can send them, made by hand: whoever floods must take less than those who are flooded."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from benchmarks._delivery.broker import HOST

_CONNECT: Final = 0x10
_PUBLISH: Final = 0x30
_RETAIN: Final = 0x01
_CLEAN_START: Final = 0x02
_RESPONSE_TOPIC: Final = 0x08
_CORRELATION: Final = 0x09
_CHUNK: Final = 1 << 16
_PAUSE_S: Final = 0.2


def _number(value: int) -> bytes:
    """Return a number of varying length (MQTT 5.0, 1.5.5)."""
    found = bytearray()
    while True:
        value, digit = divmod(value, 128)
        found.append(digit | 128 if value else digit)
        if not value:
            return bytes(found)


def _text(text: bytes) -> bytes:
    return len(text).to_bytes(2) + text


def _packet(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _number(len(body)) + body


def hello(client_id: str) -> bytes:
    """Return a CONNECT of MQTT 5 without a will or a keep-alive."""
    return _packet(_CONNECT, _text(b"MQTT") + bytes([5, _CLEAN_START, 0, 0, 0]) + _text(client_id.encode()))


def publish(topic: str, payload: bytes, *, retain: bool = False, reply: str = "", correlation: bytes = b"") -> bytes:
    """Return a PUBLISH of QoS 0; with `reply`, one that wants an answer there."""
    properties = b""
    if reply:
        properties = bytes([_RESPONSE_TOPIC]) + _text(reply.encode()) + bytes([_CORRELATION]) + _text(correlation)
    head = _text(topic.encode()) + _number(len(properties)) + properties
    return _packet(_PUBLISH | (_RETAIN if retain else 0), head + payload)


@dataclass(eq=False)
class Flood:
    """One connection that sends packets as fast as the broker takes them, or `rate` bytes a second at most."""

    port: int
    name: str
    rate: float = float("inf")
    sent: Counter[str] = field(default_factory=Counter)

    async def run(self, packets: Iterator[bytes]) -> None:
        """Flood until cancelled; a broker that hangs up is no end."""
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(HOST, self.port)
                try:
                    writer.write(hello(f"flood-{self.name}"))
                    await reader.read(_CHUNK)
                    await self._pour(writer, packets)
                finally:
                    writer.close()
            await asyncio.sleep(_PAUSE_S)

    async def _pour(self, writer: asyncio.StreamWriter, packets: Iterator[bytes]) -> None:
        while True:
            chunk = bytearray()
            while len(chunk) < _CHUNK:
                chunk += next(packets)
                self.sent[self.name] += 1
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(len(chunk) / self.rate)
