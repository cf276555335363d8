"""What watching 20 contracts on 3 nodes costs: blocks of 12 s, through real sessions, the core, its journal on a disk.

The nodes run in another process and serve a chain with proofs: code of 8 kB, three EIP-1967 slots, an owner and a
paused flag each, among 2,000 accounts. A block is six rounds of polls 2 s apart, with a tick after each and one more
after what was fetched. The same blocks without any contract are taken in turn; the difference is what watching costs.
Only time is made up: 12 s pass as fast as everything is done.
"""

import asyncio
import contextlib
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks._settings import node_of, watching
from tocsin import __version__
from tocsin.clock import NS, EngineClock, SystemClock
from tocsin.engine.codec import FORMAT
from tocsin.engine.state import EngineState
from tocsin.model.contract import FUNCTIONS, STANDARD, ContractSettings, Layout, Watch
from tocsin.model.effect import Fetch, Request
from tocsin.model.event import Booted, ConfigRevised, Polled, Ticked
from tocsin.model.evolve import evolve
from tocsin.model.observation import CHAIN_ID, FINALIZED, LATEST, SAFE, SYNCING
from tocsin.model.settings import Settings
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session
from tocsin.runtime.core import Core
from tocsin.secret import SecretUrl
from tocsin.store import Origin, Store
from tocsin.testing import ChainSpec, ManualClock, SimChain, SimNode, serve_nodes
from tocsin.testing.simstate import Change, SimAccount, World, word

CONTRACTS, NODES, ACCOUNTS, SLOT_S, POLL_S = 20, 3, 2_000, 12, 2
OWNER_SLOT, PAUSED_SLOT = 5, 6
CODE_BYTES = 8_192
SMALL = (CHAIN_ID, LATEST)
WHOLE = (CHAIN_ID, LATEST, SAFE, FINALIZED, SYNCING)
TICK_NS = NS // 4


def address(at: int) -> bytes:
    """Return the address of a contract."""
    return b"\xc0" + at.to_bytes(19)


def code(at: int) -> bytes:
    """Return the code of a contract."""
    return at.to_bytes(2) * (CODE_BYTES // 2)


def contracts() -> tuple[ContractSettings, ...]:
    """Return what is watched."""
    layouts = {"owner": Layout(slot=f"0x{OWNER_SLOT:064x}")}
    watches = (Watch.CODE, Watch.IMPLEMENTATION, Watch.ADMIN, Watch.BEACON, Watch.OWNER, Watch.PAUSED)
    return tuple(
        ContractSettings(name=f"c{at}", address=f"0x{address(at).hex()}", watches=watches, layouts=layouts)
        for at in range(1, CONTRACTS + 1)
    )


# -- the nodes


def _world() -> World:
    slots = {int(STANDARD[Watch.IMPLEMENTATION].slot, 16): 0x111, int(STANDARD[Watch.ADMIN].slot, 16): 0x222}
    filler = {1_000 + at: at + 1 for at in range(64)}
    return World(
        {
            **{at.to_bytes(20): SimAccount(balance=at) for at in range(1, ACCOUNTS)},
            **{
                address(at): SimAccount(code=code(at), slots={**slots, OWNER_SLOT: 0xA11CE, **filler})
                for at in range(1, CONTRACTS + 1)
            },
        }
    )


def _program(seen: World, to: bytes, data: bytes) -> bytes:
    slot = {FUNCTIONS[Watch.OWNER]: OWNER_SLOT, FUNCTIONS[Watch.PAUSED]: PAUSED_SLOT}[f"0x{data.hex()}"]
    return word(seen.account(to).slots.get(slot, 0))


async def serve() -> None:
    """Serve the nodes until standard input ends; each line on it is a block more, in which a contract changes."""
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(slot_ns=SLOT_S * NS, history=8, transactions=180, withdrawals=16, world=_world()))
    for at in range(1, CONTRACTS + 1):
        chain.programs[code(at)] = _program
    async with serve_nodes(*(SimNode(chain, name=f"n{at}") for at in range(NODES))) as listeners:
        print(json.dumps([listeners[f"n{at}"].url for at in range(NODES)]), flush=True)
        loop, number = asyncio.get_running_loop(), 0
        while await loop.run_in_executor(None, sys.stdin.readline):
            number += 1
            chain.send(*(Change(slots={(address(at), 999): number}) for at in range(1, CONTRACTS + 1)))
            clock.advance(s=SLOT_S)
            chain.grow()
            chain.head().world.trie.root  # type: ignore[union-attr]  # noqa: B018 - worked out before anybody asks
            print(number, flush=True)


class Nodes:
    """The nodes in their process."""

    def __init__(self, process: "subprocess.Popen[str]", urls: list[str]) -> None:
        self._process = process
        self.urls = urls

    def next(self) -> None:
        """Let the chain have another block."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._process.stdout.readline()


@contextlib.contextmanager
def running_nodes() -> Iterator[Nodes]:
    """Run the nodes."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks._watching"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield Nodes(process, json.loads(process.stdout.readline()))
        finally:
            process.kill()


# -- the watchdog


def settings(watched: tuple[ContractSettings, ...]) -> Settings:
    """Return three nodes of as many providers."""
    nodes = [node_of(f"n{at}", f"p{at}", own=at == 0, endpoint="http://127.0.0.1") for at in range(NODES)]
    return watching(nodes, slot_s=SLOT_S, poll_s=POLL_S, tick_ns=TICK_NS, contracts=watched)


class Watchdog:
    """The core with its store and sessions; time is told to it."""

    def __init__(self, store: Store, sessions: dict[str, Session], watched: tuple[ContractSettings, ...]) -> None:
        self._now, self._polls = 10**15, 0
        self._sessions = sessions
        self._asked: list[Fetch] = []
        self.core = Core(
            store,
            EngineState(),
            event_no=0,
            effect_no=0,
            wall_ns=lambda: self._now,
            on_request=self._take,
            on_alert=lambda _: None,
        )
        self.core.take(Booted(t_ns=self._now, wall_ns=self._now, boot="bench", version=__version__))
        self.core.take(ConfigRevised(t_ns=self._now, settings=settings(watched)))

    def _take(self, request: Request) -> None:
        if isinstance(request, Fetch):
            self._asked.append(request)

    async def block(self) -> None:
        """Live through a block."""
        for at in range(SLOT_S // POLL_S):
            await self._round(WHOLE if at == 0 else SMALL)

    async def _round(self, calls: tuple[str, ...]) -> None:
        self._polls += 1
        self._now += POLL_S * NS - 2 * TICK_NS
        for name, session in self._sessions.items():
            answer = await session.ask(calls)
            assert answer.fault is None, answer.fault
            self.core.take(
                Polled(
                    t_ns=self._now,
                    started_ns=self._now - 1_000_000,
                    chain="sim",
                    node=name,
                    poll=self._polls,
                    parts=answer.parts,
                )
            )
        for _ in range(2):
            self._now += TICK_NS
            self.core.take(Ticked(t_ns=self._now, wall_ns=self._now, chain="sim"))
            await self.core.drained()
            asked, self._asked = self._asked, []
            for fetch in asked:
                found = await self._sessions[fetch.node].fetch(fetch)
                self.core.take(evolve(found, t_ns=self._now))

    def is_read(self) -> bool:
        """Tell whether every contract was read, and proven, at the newest block that could be."""
        state = self.core.state.chains["sim"]
        seen = state.contracts.watched.values()
        grades = {known.grade.value for one in seen for known in one.latest.values()}
        at = {one.block.number for one in seen if one.block is not None}
        head = state.head.block
        return (
            len(seen) == CONTRACTS and grades == {"proven", "quorum"} and head is not None and at == {head.number - 1}
        )


@contextlib.asynccontextmanager
async def _watchdog(urls: list[str], watched: tuple[ContractSettings, ...]):  # type: ignore[no-untyped-def]  # noqa: ANN202
    clock, resolver = EngineClock(SystemClock()), Resolver(SystemClock())
    sessions = {
        f"n{at}": Session(
            Endpoint(chain="sim", node=f"n{at}", url=SecretUrl(url), timeout_ns=60 * NS),
            clock=clock,
            resolver=resolver,
        )
        for at, url in enumerate(urls)
    }
    origin = Origin(code="bench", codec=FORMAT, config_hash="0")
    with tempfile.TemporaryDirectory() as folder:
        async with await Store.open(Path(folder), clock=SystemClock(), origin=origin) as store:
            dog = Watchdog(store, sessions, watched)
            task = asyncio.create_task(dog.core.run(lambda: None))
            try:
                yield dog
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                for session in sessions.values():
                    await session.close()
                await resolver.close()


async def measured(nodes: Nodes, *, blocks: int, warm: int = 12) -> dict[str, float]:
    """Return the share of a core that watching takes, and CPU ms a block with and without it."""
    spent = {"with": [0.0], "without": [0.0]}
    async with _watchdog(nodes.urls, contracts()) as dog, _watchdog(nodes.urls, ()) as idle:
        for number in range(warm + blocks):
            nodes.next()
            gc.collect()
            for name, one in (("with", dog), ("without", idle)):
                begun = time.process_time()
                await one.block()
                if number >= warm:
                    spent[name].append((time.process_time() - begun) * 1e3)
        assert dog.is_read()
    block_ms = {name: sum(each) / blocks for name, each in spent.items()}
    cost_ms = block_ms["with"] - block_ms["without"]
    return {
        "watch_core_share": cost_ms / (SLOT_S * 1e3),
        "watch_block_ms": cost_ms,
        "poll_block_ms": block_ms["without"],
    }


if __name__ == "__main__":
    asyncio.run(serve())
