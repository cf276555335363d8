"""Simulated nodes of a fast chain behind the fault proxy, over real sockets and in real time."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Final

from tests.support.watchdog import Event, NodeAt

from tocsin.clock import MS, SystemClock
from tocsin.testing import ChainSpec, FaultProxy, SimChain, SimNode
from tocsin.testing.faults import WrongChain

CHAIN_ID: Final = 1337
SLOT_MS: Final = 200

QUICK: Final = """
[chain.detector."node.wrong_chain"]
clear_polls = 1
clear_slots = 0
"""
"""A node of another chain is named at its first answer and forgiven at the first good one."""


@contextlib.asynccontextmanager
async def fleet(*names: str) -> AsyncIterator[FaultProxy]:
    """Give a proxy with these nodes, all healthy, on one chain with a block each 200 ms."""
    chain = SimChain(SystemClock(), ChainSpec(chain_id=CHAIN_ID, slot_ns=SLOT_MS * MS))
    async with FaultProxy({name: SimNode(chain, name=name) for name in names}, seed=3) as proxy:
        yield proxy


def nodes_of(proxy: FaultProxy) -> Mapping[str, NodeAt]:
    """Return the nodes for a configuration: each one of a provider of its own."""
    return {name: NodeAt(url=proxy.url(name), provider=name) for name in proxy.names}


async def strike(proxy: FaultProxy, *names: str) -> None:
    """Let nodes be of another chain: the quickest alert there is."""
    for name in names:
        await proxy.node(name).set(WrongChain())


async def heal(proxy: FaultProxy) -> None:
    """Make every node well."""
    for name in proxy.names:
        await proxy.node(name).clear()


def distinct(events: list[Event]) -> list[Event]:
    """Return the stream without repetitions, by number. A repetition must be the same event to the last byte."""
    known: dict[int, Event] = {}
    for event in events:
        first = known.setdefault(event.seq, event)
        assert first.heard.payload == event.heard.payload, "two events share a number"
    return [known[seq] for seq in sorted(known)]


def check_stream(events: list[Event]) -> None:
    """Hold a stream from its first event on to the contract: no hole, and every alert begins and ends once."""
    stream = distinct(events)
    assert [event.seq for event in stream] == list(range(1, len(stream) + 1))
    for fingerprint in {event.data["fingerprint"] for event in stream}:
        _check_alert([event for event in stream if event.data["fingerprint"] == fingerprint])
        arrived = [event.seq for event in events if event.data["fingerprint"] == fingerprint]
        firsts = list(dict.fromkeys(arrived))
        assert firsts == sorted(firsts), "an alert's events overtook each other"


def _check_alert(events: list[Event]) -> None:
    """Of one fingerprint: fired, perhaps more, resolved, and so on with the next activation."""
    is_open, activation = False, 0
    for event in events:
        data = event.data
        if data["reason"] == "fired":
            assert not is_open, "it fired twice"
            activation += 1
            is_open = True
        assert is_open, "something is said of an alert that is not open"
        assert data["activation"] == activation
        if data["state"] == "resolved":
            is_open = False
