"""What mypy must object to, each line with the kind of error behind it; nobody runs it."""

from pathlib import Path

from tocsin.client import Subscriber
from tocsin.store import read_recording
from tocsin.testing import (
    ChainSpec,
    Exchange,
    Fault,
    FaultProxy,
    ManualClock,
    MemoryBus,
    SimChain,
    SimNode,
    Stale,
    serve_nodes,
)


class Late(Fault):
    async def before(self, exchange: Exchange) -> str:  # E: override
        return str(exchange)


chain = SimChain(ChainSpec())  # E: arg-type
node = SimNode(SimChain(ManualClock()), "near")  # E: call-arg
SimChain(ManualClock(), ChainSpec(seed="7"))  # E: arg-type
Stale(behind="5")  # E: arg-type
ChainSpec().seed = 3  # E: misc


async def misused(path: Path) -> None:
    async with serve_nodes(node) as listeners:
        number: int = listeners["near"].url  # E: assignment
    async with FaultProxy({"a": number}) as proxy:  # E: dict-item
        proxy.node("a").set(Stale())  # E: unused-coroutine
        await proxy.node("a").set("stale")  # E: arg-type
    with serve_nodes(node):  # E: attr-defined
        pass
    await MemoryBus().publish("a", "text")  # E: arg-type
    for item in read_recording(path).items():
        assert item.event_no  # E: union-attr


async def followed_wrongly(path: Path) -> None:
    Subscriber("mqtt://h", watchdogs=["a/b"], consumer="c", key="k", path=path, start="end")  # E: arg-type
    Subscriber("mqtt://h", watchdogs=["a/b"], consumer="c", path=path)  # E: call-arg
    async with Subscriber("mqtt://h", watchdogs=["a/b"], consumer="c", key="k", path=path) as alerts:
        async for message in alerts:
            message.done()  # E: unused-coroutine
            with message.transaction():  # E: attr-defined
                pass
