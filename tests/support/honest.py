"""Nodes that all tell the truth as they know it, through reorgs, pruning, lateness and outages; and a count of it."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.support.anvil import follow, next_base_fee
from tests.support.nodekinds import Balanced, ByNumber, Forgetful, NoProofs
from tests.support.pool import healthy
from tests.support.realpool import SLOT_S, RealPool, real_pool
from tests.support.realwatches import everything
from tests.support.statepool import TOKEN, StatePool, watching
from tests.support.ticking import Ticking, fails

from tocsin.clock import NS
from tocsin.engine.readback import parts_of
from tocsin.model.event import Fetched
from tocsin.model.observation import FaultKind
from tocsin.model.reading import READ, ProofOf, parse
from tocsin.testing import SimNode
from tocsin.testing.upstream import HttpUpstream

ACCUSING: Final = ("node.proof_invalid", "node.call_mismatch")
DEEPEST: Final = 12


@dataclass
class Tally:
    """What was read of honest nodes, and what came of it."""

    blocks: int = 0
    """By which the chain has grown."""
    replaced: int = 0
    """Blocks that were taken back."""
    reorgs: int = 0
    deepest: int = 0
    proofs: int = 0
    values: int = 0
    refused: int = 0
    """Answers that were errors: pruned, unknown block, method missing, no answer at all."""
    doubts: set[tuple[str, str]] = field(default_factory=set)
    """Charge and node with the block at which something looked wrong at first."""
    accused: set[str] = field(default_factory=set)
    """What nodes were found guilty of, said or not: nothing is said of nodes that fail all at once."""

    def take(self, event: Fetched) -> Fetched:
        """Count what an answer about contracts holds."""
        if event.call.startswith(READ):
            for part in parts_of(event) or ():
                found = parse(part.call)
                item = found.items[0] if found is not None else None
                self.refused += part.error is not None
                self.proofs += part.error is None and isinstance(item, ProofOf)
                self.values += part.error is None and item is not None and not isinstance(item, ProofOf)
            self.refused += event.fault is not None
        return event

    def look(self, pool: Ticking) -> None:
        """Note who is doubted, and who was accused."""
        known = pool.state.chains["sim"].contracts
        self.doubts |= {(at, one.block.hash) for at, one in known.suspicions.items()}
        self.accused |= {alert.summary for alert in pool.alerts if alert.detector in ACCUSING}
        self.accused |= {f"{at} at block {one.block.number}: {one.reason}" for at, one in known.accused.items()}


# -- simulated


def prune(nodes: dict[str, SimNode], dice: random.Random) -> None:
    """Let nodes keep less or more, and know fewer ways."""
    for node in nodes.values():
        node.data.state = dice.choice([0, 1, 5, 127, None])
        node.data.proofs = dice.choice([0, 5, 20, 127, None, None])
        node.data.pins_object = dice.random() < 0.7
        node.data.missing = {name for name in ("eth_getProof", "eth_call") if dice.random() < 0.15}
        node.data.balance_when_pruned = dice.choice([None, 0])


def simulated(blocks: int, seed: int) -> Tally:
    """Run so many blocks of four honest nodes: one late, one a balancer, all pruning, a reorg at every fifth."""
    dice = random.Random(seed)  # noqa: S311 - a seeded simulation
    settings = watching(("self", "b", "c", "d"), slot_s=12, poll_s=6)
    settings = replace(settings, chains=(replace(settings.chains[0], tick_ns=3 * NS),))
    pool = StatePool(settings, delays_ns=(0, 700 * 10**6, 2 * NS, 5 * NS))
    tally = Tally()
    pool.answers_fetch = tally.take
    pool.rounds(6)
    while tally.blocks < blocks:
        at, before = tally.blocks, pool.chain.head().number
        if at % 5 == 4:
            depth = dice.randint(1, DEEPEST)
            pool.chain.reorg(depth)
            tally.reorgs, tally.deepest = tally.reorgs + 1, max(tally.deepest, depth)
            tally.replaced += depth
        if at % 7 == 3:
            pool.write(TOKEN, dice.randint(20, 30), dice.randint(0, 3))
        if at % 20 == 10:
            prune(pool.nodes, dice)
            pool.nodes["n3"].view.skew = dice.choice([0, 0, 1, 2, 5])
            pool.nodes["n2"].view.later_ns = dice.choice([0, 4, 20, 50]) * NS
        if at % 50 == 25:
            name = dice.choice(list(pool.nodes))
            pool.answers = dict.fromkeys(pool.nodes, healthy) | {name: fails(FaultKind.TIMEOUT)}
        pool.rounds(2)
        tally.look(pool)
        tally.blocks += max(1, pool.chain.head().number - before)
    assert pool.seen().samples > blocks // 4
    return tally


# -- real


@contextmanager
def _pool(binary: str, seed: int) -> Iterator[RealPool]:
    with real_pool(binary, ("self", "b", "c", "d", "e"), poll_s=SLOT_S, tick_s=4, put=everything) as pool:
        left, right = [HttpUpstream(each.url) for each in (pool.pair.left, pool.pair.right)]
        pool.virtual["n3"].upstream = Balanced((left, right), seed)
        pool.virtual["n4"].upstream = Balanced((left, right), seed + 1)
        pool.keep_events = False  # nobody looks at them, and they are gigabytes
        try:
            yield pool
        finally:
            for each in (left, right):
                pool.run(each.close())


class Chain:
    """What happens on the leading anvil; the other one follows when it may, and is late until then."""

    def __init__(self, pool: RealPool, dice: random.Random, tally: Tally) -> None:
        self._pool = pool
        self._dice = dice
        self._tally = tally
        self._left, self._right = pool.pair.left, pool.pair.right
        self._floor = pool.run(self._height())

    async def _height(self) -> int:
        return int((await self._left.block())["number"], 16)

    async def mine(self) -> None:
        """Make the next block, now and then on another branch, now and then with something that changes a value."""
        height = await self._height()
        depth = self._dice.randint(1, DEEPEST) if self._dice.random() < 0.2 else 0
        depth = min(depth, height - self._floor)
        if depth:
            stamps = [
                int((await self._left.block(hex(at)))["timestamp"], 16) for at in range(height - depth + 1, height + 1)
            ]
            await self._left.call("anvil_rollback", depth)
            await self._left.call("anvil_dropAllTransactions")
            for stamp in stamps:
                await self._one(stamp + 1)
            self._tally.reorgs += 1
            self._tally.deepest = max(self._tally.deepest, depth)
        await self._one(self._pool.due_s)
        self._tally.blocks += 1
        self._tally.replaced += depth

    async def _one(self, stamp: int) -> None:
        if self._dice.random() < 0.5:
            await self._send()
        parent = await self._left.block()
        await self._left.call("anvil_setNextBlockBaseFeePerGas", hex(next_base_fee(parent)))
        await self._left.mine(timestamp=max(stamp, int(parent["timestamp"], 16) + 1))

    async def _send(self) -> None:
        """Change something that is watched, or something beside it."""
        one = self._dice.choice(self._pool.placed.doings)
        sender = one.sender or (await self._left.call("eth_accounts"))[0]
        wanted = {"from": sender, "to": one.to, "data": f"0x{one.data.hex()}", "value": hex(one.value)}
        await self._left.call("eth_sendTransaction", {**wanted, "gas": "0x493e0"})

    async def catch_up(self) -> None:
        """Let the other one follow, at most of the times."""
        if self._dice.random() < 0.6:
            await follow(self._left, self._right)


def real(binary: str, blocks: int, seed: int) -> Tally:
    """Run so many blocks of five nodes over two anvils: one pruning, one late, two balancers, one without hashes."""
    dice, tally = random.Random(seed), Tally()  # noqa: S311 - a seeded simulation
    with _pool(binary, seed) as pool:
        chain = Chain(pool, dice, tally)
        pool.mine, pool.before_polls = chain.mine, chain.catch_up
        pool.answers_fetch = tally.take
        for name, fault in (("n1", Forgetful(keep=dice.choice([3, 8, 20]))), ("n4", ByNumber())):
            pool.run(pool.virtual[name].set(fault))
        at = 0
        while tally.blocks < blocks:
            at += 1
            if at % 40 == 0:
                pool.run(pool.virtual["n0"].set(*([NoProofs()] if dice.random() < 0.5 else [])))
            if at % 25 == 0:
                pool.hung = {dice.choice(list(pool.nodes))} if dice.random() < 0.5 else set()
            pool.round()
            tally.look(pool)
        samples = [seen.samples for seen in pool.state.chains["sim"].contracts.watched.values()]
        assert min(samples) > at // 4, samples
        assert unknown(pool) == set()
    return tally


def unknown(pool: RealPool) -> set[str]:
    """Return of which values and prices nothing ever became known, but for the cap, which the token does not have."""
    state, [chain] = pool.state.chains["sim"], pool.settings.chains
    values = {
        f"{one.name}: {value}"
        for one in chain.contracts
        for value in one.parts.keys() - state.contracts.watched[one.name].latest.keys() - {"supply.cap"}
    }
    return values | {one.name for one in chain.feeds if state.feeds[one.name].latest is None}


def told(tally: Tally) -> dict[str, Any]:
    """Return the counts as they are published."""
    return {
        "blocks": tally.blocks,
        "reorgs": tally.reorgs,
        "replaced": tally.replaced,
        "deepest": tally.deepest,
        "proofs": tally.proofs,
        "values": tally.values,
        "refused": tally.refused,
        "asked_again": len(tally.doubts),
        "accused": len(tally.accused),
    }
