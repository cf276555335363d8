"""A chain that grows in real time, with logs and reorgs, nodes of it that may lie about them, and an index of it."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
from tests.support.logchain import FINAL_AFTER, RULES, borrow, right_digest, transfer
from tests.support.logchain import OTHER as SECOND
from tests.support.watchdog import NodeAt, toml

from tocsin.chain.logrules import EventRule, Topic
from tocsin.clock import MS, SystemClock
from tocsin.config.load import load
from tocsin.detect import REGISTRY
from tocsin.model.block import BlockRef
from tocsin.model.index import IndexSettings
from tocsin.state.indexfile import digest_in
from tocsin.state.keeper import path_of
from tocsin.testing import ChainSpec, SimChain, SimNode, serve_nodes
from tocsin.testing.simstate import Change, SimAccount, SimLog, World

SLOT_MS = 200
_CODE = b"\x60\x00"


class Shifted:
    """The clock of the chain: real time, but begun some time ago, so that it has a past of its own."""

    def __init__(self, behind_ns: int) -> None:
        self._real = SystemClock()
        self.behind_ns = behind_ns

    def monotonic_ns(self) -> int:
        return self._real.monotonic_ns() - self.behind_ns

    def wall_ns(self) -> int:
        return self._real.wall_ns() - self.behind_ns


class Liar(SimNode):
    """A node that lies while there is a `lie`: of the method and the true result it makes another one."""

    lie: Callable[[str, Any], Any] | None = None

    def call(self, method: str, params: list[Any]) -> object:
        result = super().call(method, params)
        if self.lie is None:
            return result
        return self.lie(method, orjson.loads(orjson.dumps(result)))


class Live:
    """The chain and its nodes. `history` blocks lie in its past."""

    def __init__(self, names: str = "a b c", *, history: int = 150, seed: int = 0) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
        clock = Shifted(history * SLOT_MS * MS)
        addresses = {address for rule in RULES.rules for address in rule.addresses}
        world = World({address: SimAccount(code=_CODE) for address in addresses})
        spec = ChainSpec(
            chain_id=1337, slot_ns=SLOT_MS * MS, history=0, seed=seed, world=world, finalized_after=FINAL_AFTER
        )
        self.chain = SimChain(clock, spec)
        for _ in range(history):
            self.log()
            clock.behind_ns -= SLOT_MS * MS
            self.chain.grow()
        self.nodes = {name: Liar(self.chain, name=name) for name in names.split()}
        self.urls: dict[str, str] = {}
        self.reorgs = 0

    def log(self) -> None:
        """Let the next block have logs."""
        number = self.rng.randrange
        logs: list[SimLog] = [
            self.rng.choice([transfer(number(40), number(40)), borrow(number(40)), borrow(number(40), of=SECOND)])
            for _ in range(1 + number(3))
        ]
        self.chain.send(Change(logs=tuple(logs)))

    async def live(self, *, reorgs: bool) -> None:
        """Log all the time, and lose blocks now and then, until cancelled."""
        while True:
            self.log()
            await asyncio.sleep(SLOT_MS / 1000)
            self.chain.grow()
            if reorgs and self.rng.random() < 0.15:
                self.chain.reorg(self.rng.randint(1, 6))
                self.reorgs += 1

    def right(self, through: BlockRef) -> bytes:
        """Return the digest that the index must have at a block."""
        return right_digest(self.chain, through)

    def configuration(self, folder: Path, *, broker: str | None = None, index: str = "", more: str = "") -> str:
        """Return a configuration with an index of the same rules as `logchain.RULES`."""
        nodes = {name: NodeAt(url=url, provider=name) for name, url in self.urls.items()}
        chain = f'[[chain.index]]\nname = "debtors"\nfrom = 0\nspan = {{ first = 8, most = 16 }}\n{index}\n'
        chain += "".join(map(_event, RULES.rules))
        return toml(folder, nodes, broker=broker, chain=chain + more, block_time=f"{SLOT_MS}ms")


def _event(rule: EventRule) -> str:
    kind = "topic" if isinstance(rule.account, Topic) else "data"
    addresses = ", ".join(f'"0x{address.hex()}"' for address in rule.addresses)
    return (
        f'[[chain.index.event]]\nname = "{rule.name}"\ntopic = "0x{rule.topic0.hex()}"\naddresses = [{addresses}]\n'
        f'account = "{kind}{rule.account.number}"\nwhole = {str(rule.whole).lower()}\n'
    )


@contextlib.asynccontextmanager
async def alive(live: Live, *, reorgs: bool = False) -> AsyncIterator[Live]:
    """Serve the nodes, and let the chain go on meanwhile."""
    async with serve_nodes(*live.nodes.values()) as listeners:
        live.urls = {name: listener.url for name, listener in listeners.items()}
        task = asyncio.create_task(live.live(reorgs=reorgs))
        try:
            yield live
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def settings_in(config: Path) -> IndexSettings:
    """Return the index of a configuration."""
    params = {name: detector.params for name, detector in REGISTRY.items()}
    [one] = load(config, registry=params, environ={"BROKER_PASSWORD": "x"}).settings.chains[0].indexes
    return one


def digest_of(state_dir: Path, settings: IndexSettings) -> tuple[BlockRef, bytes]:
    """Return at which block the index of a daemon is, and what names it there."""
    return digest_in(path_of(state_dir, "sim", settings.name), settings)


# -- lies


def without_one_log(method: str, result: Any) -> Any:
    """Leave out the last log of each answer that has any."""
    return result[:-1] if method == "eth_getLogs" and result else result


def another_receipt(method: str, result: Any) -> Any:
    """Say that the first transaction of a block used more gas."""
    if method == "eth_getBlockReceipts" and result:
        result[0]["cumulativeGasUsed"] = hex(int(result[0]["cumulativeGasUsed"], 16) + 1)
    return result
