"""Names are looked up so that one hung lookup delays nobody else."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.rpcserver import endpoint, engine_clock, serving

from tocsin.clock import SystemClock
from tocsin.model.observation import CHAIN_ID, LATEST, FaultKind
from tocsin.rpc.resolver import Address, Resolver, system_lookup
from tocsin.rpc.session import Session

V4 = (socket.AF_INET, "127.0.0.1")
MINUTE_NS = 60_000_000_000


class Names:
    """A name service; `hung` names answer when released."""

    def __init__(self, **known: Any) -> None:
        self.known = known
        self.hung = set()
        self.release = threading.Event()
        self.asked = []

    def lookup(self, host: str) -> tuple[Address, ...]:
        self.asked.append(host)
        if host.split(".", maxsplit=1)[0] in self.hung:
            self.release.wait(20)
        found = self.known.get(host.split(".", maxsplit=1)[0])
        if not found:
            raise socket.gaierror(-2, "Name or service not known")
        return found


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def monotonic_ns(self) -> int:
        return self.now

    def wall_ns(self) -> int:
        return self.now


@asynccontextmanager
async def resolving(names: Names, clock: Any = None, **settings: Any) -> AsyncIterator[Resolver]:
    resolver = Resolver(clock or SystemClock(), lookup=names.lookup, **settings)
    try:
        yield resolver
    finally:
        names.release.set()
        await resolver.close()


async def hosts(resolver: Resolver, name: str, **more: Any) -> list[str]:
    return [found["host"] for found in await resolver.resolve(name, 80, **more)]


async def test_hung_lookups_of_eight_names_do_not_delay_healthy_nodes() -> None:
    names = Names(good=(V4,))
    names.hung = {f"bad{index}" for index in range(8)}
    async with serving() as node, resolving(names) as resolver:

        def session(host: str, timeout_ns: int) -> Session:
            settings = endpoint(f"http://{host}.test:{node.port}", timeout_ns=timeout_ns)
            return Session(settings, clock=engine_clock(), resolver=resolver)

        sick = [session(f"bad{index}", 300_000_000) for index in range(8)]
        well = [session("good", 30_000_000_000) for _ in range(3)]
        asks = [one.ask((CHAIN_ID, LATEST)) for one in (*sick, *well)]
        made = await asyncio.gather(*asks)
        assert [one.fault.kind for one in made[:8]] == [FaultKind.DNS] * 8
        assert [one.fault for one in made[8:]] == [None] * 3
        assert not names.release.is_set()  # answered while the others still hang
        for one in (*sick, *well):
            await one.close()


async def test_a_name_has_at_most_one_lookup_under_way() -> None:
    names = Names()
    names.hung = {"bad"}
    async with resolving(names, deadline_ns=50_000_000) as resolver:
        for _ in range(5):
            with pytest.raises(OSError, match="no answer within"):
                await resolver.resolve("bad.test", 80)
        assert names.asked == ["bad.test"]


async def test_threads_are_bounded_and_names_beyond_that_wait_their_turn() -> None:
    names = Names(a=(V4,), b=(V4,), c=(V4,))
    names.hung = {"a", "b"}
    async with resolving(names, threads=2, deadline_ns=5_000_000_000) as resolver:
        waiting = [asyncio.ensure_future(hosts(resolver, f"{name}.test")) for name in "abc"]
        await asyncio.sleep(0.05)
        assert len(names.asked) == 2
        names.release.set()
        assert await asyncio.gather(*waiting) == [["127.0.0.1"]] * 3


async def test_addresses_are_kept_for_a_minute_and_beyond_it_while_the_name_fails() -> None:
    clock, names = Clock(), Names(node=(V4,))
    async with resolving(names, clock) as resolver:
        for _ in range(3):
            assert await hosts(resolver, "node.test") == ["127.0.0.1"]
        assert len(names.asked) == 1
        clock.now += MINUTE_NS
        names.known = {}
        assert await hosts(resolver, "node.test") == ["127.0.0.1"]
        assert len(names.asked) == 2


async def test_known_addresses_serve_while_a_newer_lookup_hangs() -> None:
    clock, names = Clock(), Names(node=(V4,))
    async with resolving(names, clock, patience_ns=10_000_000) as resolver:
        await hosts(resolver, "node.test")
        clock.now += MINUTE_NS
        names.hung = {"node"}
        assert await hosts(resolver, "node.test") == ["127.0.0.1"]
        assert not resolver.hung("node.test")


async def test_a_moved_node_is_found_after_a_failed_connect() -> None:
    names = Names(node=((socket.AF_INET, "127.0.0.9"),))
    async with serving() as node, resolving(names) as resolver:
        session = Session(endpoint(f"http://node.test:{node.port}"), clock=engine_clock(), resolver=resolver)
        assert (await session.ask((CHAIN_ID,))).fault.kind is FaultKind.REFUSED
        names.known = {"node": (V4,)}
        assert (await session.ask((CHAIN_ID,))).fault is None
        await session.close()


async def test_a_node_that_moved_is_followed_within_a_minute_although_the_old_one_still_answers() -> None:
    clock = Clock()
    names = Names(node=(V4,))
    async with serving() as old, resolving(names, clock) as resolver:
        session = Session(endpoint(f"http://node.test:{old.port}"), clock=engine_clock(), resolver=resolver)
        assert (await session.ask((CHAIN_ID,))).fault is None
        assert (await session.ask((CHAIN_ID,))).fault is None
        assert old.connections == 1
        clock.now += MINUTE_NS
        names.known = {"node": ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.8"))}
        await session.ask((CHAIN_ID,))  # starts the lookup
        deadline = time.monotonic() + 10
        while resolver.refresh("node.test") == 0 and time.monotonic() < deadline:  # noqa: ASYNC110 - a thread answers
            await asyncio.sleep(0.01)
        assert (await session.ask((CHAIN_ID,))).fault is None
        assert old.connections == 2
        await session.close()


async def test_both_families_are_given_and_one_can_be_asked_for() -> None:
    both = (V4, (socket.AF_INET6, "::1"))
    async with resolving(Names(node=both)) as resolver:
        assert await hosts(resolver, "node.test") == ["127.0.0.1", "::1"]
        assert await hosts(resolver, "node.test", family=socket.AF_INET6) == ["::1"]


@pytest.mark.parametrize("literal", ["127.0.0.1", "::1", "fe80::1%lo"])
async def test_literal_addresses_are_not_looked_up(literal: str) -> None:
    names = Names()
    async with resolving(names) as resolver:
        assert await hosts(resolver, literal) == [literal]
        assert names.asked == []


async def test_a_failure_says_why() -> None:
    async with resolving(Names()) as resolver:
        with pytest.raises(OSError, match="not known"):
            await resolver.resolve("nobody.test", 80)


def test_the_system_knows_localhost() -> None:
    assert {address for _, address in system_lookup("localhost")} & {"127.0.0.1", "::1"}


@pytest.mark.parametrize(("address", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_the_system_is_asked_for_both_families(address: str, family: socket.AddressFamily) -> None:
    assert system_lookup(address) == ((family, address),)
