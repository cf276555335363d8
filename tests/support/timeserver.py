"""A time server on a real UDP socket, that can be wrong in every way that one can be."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from tocsin.clock import NS, SystemClock

FORMAT = struct.Struct("!BBbb i I 4s QQQQ")
EPOCH_S = 2_208_988_800


def stamp(wall_ns: int) -> int:
    """Return an NTP timestamp, rounded to its quarter of a nanosecond."""
    seconds, rest = divmod(wall_ns, NS)
    return ((seconds + EPOCH_S) % 2**32 << 32) + (rest * 2**32 + NS - 1) // NS


@dataclass
class TimeServer(asyncio.DatagramProtocol):
    """Set the fields at any time. `ahead_ns` is how far its clock is ahead of this host's."""

    ahead_ns: int = 0
    leap: int = 0
    version: int = 4
    mode: int = 4
    stratum: int = 2
    refid: bytes = b"GPS\0"
    root_delay: int = 0
    root_dispersion: int = 0
    silent: bool = False
    forged: int = 0
    """Answers to requests that were never made, sent before the true one."""
    cut: int = 48
    asked: list[bytes] = field(default_factory=list)
    port: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked.append(data)
        if self.silent:
            return
        nonce = struct.unpack("!Q", data[40:48])[0]
        for at in range(self.forged):
            self._transport.sendto(self.packet(nonce ^ (at + 1)), addr)
        self._transport.sendto(self.packet(nonce)[: self.cut], addr)

    def packet(self, originate: int) -> bytes:
        now = stamp(SystemClock().wall_ns() + self.ahead_ns)
        first = self.leap << 6 | self.version << 3 | self.mode
        return FORMAT.pack(
            *(first, self.stratum, 6, -20, self.root_delay, self.root_dispersion, self.refid),
            *(now, originate, now, now),
        )


@asynccontextmanager
async def serving_time(*servers: TimeServer) -> AsyncIterator[tuple[str, ...]]:
    """Serve on free ports of the loopback; gives `host:port` of each."""
    loop = asyncio.get_running_loop()
    transports = []
    try:
        for server in servers:
            transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))  # noqa: B023
            server.port = transport.get_extra_info("sockname")[1]
            transports.append(transport)
        yield tuple(f"127.0.0.1:{server.port}" for server in servers)
    finally:
        for transport in transports:
            transport.close()
        await asyncio.sleep(0)
