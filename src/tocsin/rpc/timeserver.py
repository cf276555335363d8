"""Asking a time server: one packet there, one back, within a deadline.

Packets that answer no request of ours are passed over, however many come. What a server asks for is obeyed: one that
sends a kiss of death is not asked again, one that finds us too eager is asked half as often.
"""

import asyncio
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from tocsin.clock import NS, Clock
from tocsin.ids import nonce
from tocsin.model.host import ClockSample
from tocsin.rpc.resolver import Resolver
from tocsin.wire import sntp

EVERY_NS: Final = 64 * NS
"""RFC 5905's shortest interval for a client in steady state; RFC 4330 forbids less than 15 s."""
_LONGEST_NS: Final = 3600 * NS
_TIMEOUT_S: Final = 2.0


@dataclass(slots=True)
class _Manners:
    """What a server asked of us."""

    due_ns: int = 0
    every_ns: int = EVERY_NS
    refused: str = ""


class TimeServers:
    """Asks some servers, each no more often than it likes. Belongs to one task."""

    def __init__(self, clock: Clock, resolver: Resolver, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._clock = clock
        self._resolver = resolver
        self._timeout_s = timeout_s
        self._manners: dict[str, _Manners] = {}
        self._last: dict[str, ClockSample] = {}

    async def sample(self, servers: tuple[str, ...]) -> tuple[ClockSample, ...]:
        """Return the samples of all servers if one of them is due, else nothing.

        One that is not asked this time stands with what it said last: offsets drift by milliseconds an hour.
        """
        now = self._clock.monotonic_ns()
        self._manners = {server: self._manners.get(server) or _Manners() for server in servers}
        due = [server for server, manners in self._manners.items() if now >= manners.due_ns]
        if not due:
            return ()
        async with asyncio.TaskGroup() as group:
            tasks = {server: group.create_task(self._ask(server)) for server in due}
        self._last = {server: tasks[server].result() if server in tasks else self._last[server] for server in servers}
        return tuple(self._last.values())

    async def _ask(self, server: str) -> ClockSample:
        manners = self._manners[server]
        manners.due_ns = self._clock.monotonic_ns() + manners.every_ns
        if manners.refused:
            return ClockSample(server=server, problem=manners.refused)
        answer = await ask(server, clock=self._clock, resolver=self._resolver, timeout_s=self._timeout_s)
        if isinstance(answer, sntp.Time):
            return ClockSample(
                server=server,
                offset_ns=answer.offset_ns,
                distance_ns=answer.distance_ns,
                stratum=answer.stratum,
            )
        if answer.is_final:
            manners.refused = f"{answer.reason}; not asked again"
        elif answer.kiss:
            manners.every_ns = min(2 * manners.every_ns, _LONGEST_NS)
            manners.due_ns = self._clock.monotonic_ns() + manners.every_ns
        return ClockSample(server=server, problem=manners.refused or answer.reason)


async def ask(
    server: str, *, clock: Clock, resolver: Resolver, timeout_s: float = _TIMEOUT_S
) -> sntp.Time | sntp.Refusal:
    """Ask one server once. Never raises for what a server or the network does."""
    parts = urlsplit(f"//{server}")
    try:
        async with asyncio.timeout(timeout_s):
            addresses = await resolver.resolve(parts.hostname or "", parts.port or sntp.PORT)
            return await _exchange(addresses[0]["host"], addresses[0]["port"], clock)
    except TimeoutError:
        return sntp.Refusal(reason=f"no answer within {timeout_s:g} s")
    except OSError as error:
        return sntp.Refusal(reason=f"it cannot be asked: {error.strerror or error}")


async def _exchange(host: str, port: int, clock: Clock) -> sntp.Time | sntp.Refusal:
    loop = asyncio.get_running_loop()
    # Connected: the kernel lets nothing in that does not come from there, and tells of closed ports.
    transport, protocol = await loop.create_datagram_endpoint(lambda: _Protocol(clock), remote_addr=(host, port))
    try:
        protocol.sent_ns, protocol.sent_mono_ns = clock.wall_ns(), clock.monotonic_ns()
        transport.sendto(sntp.request(protocol.nonce))
        return await protocol.answer
    finally:
        transport.close()


class _Protocol(asyncio.DatagramProtocol):
    """Waits for the one packet that answers."""

    def __init__(self, clock: Clock) -> None:
        self.nonce = nonce()
        self.sent_ns = 0
        self.sent_mono_ns = 0
        self.answer: asyncio.Future[sntp.Time | sntp.Refusal] = asyncio.get_running_loop().create_future()
        self._clock = clock

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the socket is connected
        # By the monotonic clock, so that a clock that is set meanwhile does not count as travelling time.
        received_ns = self.sent_ns + self._clock.monotonic_ns() - self.sent_mono_ns
        said = sntp.read(data, self.nonce, self.sent_ns, received_ns)
        if said is not None and not self.answer.done():
            self.answer.set_result(said)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)
