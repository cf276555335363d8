"""A program of a user of the public fakes and of recordings. mypy must find nothing wrong with it; nobody runs it."""

from pathlib import Path

from tocsin.client import Message as Delivered
from tocsin.client import Notice, NoticeKind, Subscriber
from tocsin.store import Entry, Gap, SnapshotAt, read_recording
from tocsin.testing import (
    ChainSpec,
    Exchange,
    Fault,
    FaultProxy,
    Listener,
    ManualClock,
    MemoryBus,
    Message,
    Reply,
    SimBeacon,
    SimChain,
    SimNode,
    Stale,
    header_hash,
    parse_fault,
    serve_beacons,
    serve_nodes,
)


class Late(Fault):
    """A fault of one's own."""

    async def before(self, exchange: Exchange) -> Reply | None:
        del exchange
        return None


def a_chain() -> SimChain:
    clock = ManualClock()
    clock.advance(s=12)
    chain = SimChain(clock, ChainSpec(seed=7, missed=0.01, jitter_ns=2_000_000_000))
    chain.fork("b", depth=2)
    chain.reorg(3)
    return chain


async def nodes_and_faults(chain: SimChain) -> str:
    near = SimNode(chain, name="near")
    near.view.branch = "b"
    answer: bytes = near.answer(b"{}")
    async with serve_nodes(near) as listeners, serve_beacons(SimBeacon(chain, name="north")):
        listener: Listener = listeners["near"]
        async with FaultProxy({"a": listener.url, "b": near}, seed=1) as proxy:
            await proxy.node("b").set(Stale(behind=5), Late())
            await proxy.node("b").add(parse_fault("latency:200ms@0.1"))
            await proxy.node("b").clear()
            return proxy.url("a") + answer.decode() + header_hash({"number": "0x1"})


def events_of(path: Path) -> int:
    count = 0
    for item in read_recording(path).items():
        match item:
            case Entry(event_no=number, data=data):
                count += number + len(data)
            case SnapshotAt(data=state):
                count += len(state)
            case Gap(first_event=first, last_event=last):
                count += last - first
    return count


async def published() -> list[Message]:
    bus = MemoryBus()
    await bus.publish("a/b", b"{}", retain=True)
    return bus.on("a/#")


def told(notice: Notice) -> None:
    assert notice.kind is not NoticeKind.REFUSED, notice.text


async def followed(path: Path) -> list[str]:
    found: list[str] = []
    subscriber = Subscriber(
        "mqtt://h",
        watchdogs=["ams/host-a"],
        consumer="pager",
        key=b"k" * 16,
        path=path,
        start="beginning",
        on_notice=told,
    )
    async with subscriber as alerts:
        async for message in alerts:
            delivered: Delivered = message
            async with delivered.transaction() as db:
                db.execute("INSERT INTO page VALUES (?)", (delivered.id,))
            found.append(delivered.summary)
    return found
