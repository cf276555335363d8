"""Names to addresses, so that one hung lookup delays nobody else.

aiohttp resolves in the loop's default executor: eight names whose lookups hang fill its six threads, and healthy nodes
time out with them (measured). Here every lookup has a daemon thread of its own, at most one per name; addresses are
kept for a minute and kept beyond it while the name cannot be resolved; a failed connect asks anew.
"""

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

from tocsin.clock import NS, Clock

Address = tuple[socket.AddressFamily, str]
Lookup = Callable[[str], tuple[Address, ...]]
"""Blocking; raises OSError when the name has no address."""


def system_lookup(host: str) -> tuple[Address, ...]:
    """Ask the system for A and AAAA, in the system's order of preference (RFC 6724)."""
    found = socket.getaddrinfo(host, None, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys((family, str(sockaddr[0])) for family, _, _, _, sockaddr in found))


@dataclass(slots=True)
class _Name:
    addresses: tuple[Address, ...] = ()
    fresh_until_ns: int = 0
    generation: int = 0
    pending: "asyncio.Future[None] | None" = None
    failure: str = "not looked up yet"


class Resolver(AbstractResolver):
    """One per event loop, shared by all sessions."""

    def __init__(
        self,
        clock: Clock,
        *,
        lookup: Lookup = system_lookup,
        ttl_ns: int = 60 * NS,
        patience_ns: int = NS,
        deadline_ns: int = 5 * NS,
        threads: int = 64,
    ) -> None:
        """`patience_ns`: how long a name with known addresses waits for newer ones; `deadline_ns`: one without."""
        self._clock = clock
        self._lookup = lookup
        self._ttl_ns = ttl_ns
        self._patience_s = patience_ns / NS
        self._deadline_s = deadline_ns / NS
        self._free = threads
        self._queue: deque[str] = deque()
        self._names: dict[str, _Name] = {}
        self._closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return addresses for a connect. Raises OSError, with the reason, when none is known."""
        literal = literal_address(host)
        if literal is not None:
            return [_result(host, port, literal)]
        name = self._names.setdefault(host, _Name())
        if self._clock.monotonic_ns() >= name.fresh_until_ns:
            pending = self._start(host, name)
            await asyncio.wait([pending], timeout=self._patience_s if name.addresses else self._deadline_s)
        wanted = [address for address in name.addresses if family in (socket.AF_UNSPEC, address[0])]
        if not wanted:
            hung = f"no answer within {self._deadline_s:g} s"
            raise OSError(None, hung if name.pending is not None else name.failure)
        return [_result(host, port, address) for address in wanted]

    def refresh(self, host: str) -> int:
        """Look up a name again when its addresses are older than a minute, without waiting.

        Returns a number that changes whenever the set of addresses did: connections made before are to the old ones.
        """
        name = self._names.get(host)
        if name is None:
            return 0
        if self._clock.monotonic_ns() >= name.fresh_until_ns and name.pending is None:
            self._start(host, name)
        return name.generation

    def expire(self, host: str) -> None:
        """Ask anew at the next connect: the last one failed, the node may have moved. Known addresses are kept."""
        name = self._names.get(host)
        if name is not None:
            name.fresh_until_ns = 0

    def hung(self, host: str) -> bool:
        """Tell whether a name has no address yet because its lookup does not come back."""
        name = self._names.get(host)
        return name is not None and name.pending is not None and not name.addresses

    async def close(self) -> None:
        """Forget everything. Lookups under way end in their daemon threads and are dropped."""
        self._closed = True
        self._queue.clear()
        for name in self._names.values():
            if name.pending is not None:
                name.pending.cancel()
        self._names.clear()

    def _start(self, host: str, name: _Name) -> "asyncio.Future[None]":
        if name.pending is None:
            name.pending = asyncio.get_running_loop().create_future()
            self._queue.append(host)
            self._launch()
        return name.pending

    def _launch(self) -> None:
        loop = asyncio.get_running_loop()
        while self._free and self._queue:
            self._free -= 1
            arguments = (loop, self._queue.popleft())
            threading.Thread(target=self._in_thread, args=arguments, name="tocsin-dns", daemon=True).start()

    def _in_thread(self, loop: asyncio.AbstractEventLoop, host: str) -> None:
        addresses: tuple[Address, ...] = ()
        failure = "the name has no address"
        try:
            addresses = self._lookup(host)
        except (OSError, UnicodeError) as error:
            failure = getattr(error, "strerror", None) or failure
        with suppress(RuntimeError):  # the loop has closed meanwhile
            loop.call_soon_threadsafe(self._finish, host, addresses, failure)

    def _finish(self, host: str, addresses: tuple[Address, ...], failure: str) -> None:
        self._free += 1
        name = self._names.get(host)
        if self._closed or name is None:
            return
        if addresses:
            if name.addresses and set(addresses) != set(name.addresses):
                name.generation += 1
            name.addresses = addresses
            name.fresh_until_ns = self._clock.monotonic_ns() + self._ttl_ns
        else:
            name.failure = failure
        pending, name.pending = name.pending, None
        if pending is not None and not pending.done():
            pending.set_result(None)
        self._launch()


def literal_address(host: str) -> Address | None:
    """Return the address that a literal IPv4 or IPv6 address writes, None for a name."""
    try:
        version = ip_address(host.partition("%")[0]).version
    except ValueError:
        return None
    return (socket.AF_INET6 if version == 6 else socket.AF_INET, host)  # noqa: PLR2004 - IPv6


def _result(host: str, port: int, address: Address) -> ResolveResult:
    family, text = address
    return ResolveResult(
        hostname=host,
        host=text,
        port=port,
        family=family,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
