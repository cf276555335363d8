"""A simulated beacon node over the simulated chain: the REST interface in process (`answer`) or over HTTP.

Its blocks are those of the chain, one for one; roots are made of block hashes. An epoch's checkpoint is the newest
block at or before its first slot, as in the real thing, so that two nodes on one branch never contradict each other.
"""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Final

import orjson
from aiohttp import web

from tocsin.clock import MS, NS
from tocsin.testing.servers import Handler, Listener, serve
from tocsin.testing.simblock import SimBlock
from tocsin.testing.simchain import MAIN, SimChain
from tocsin.testing.simview import SimView

NOT_FOUND: Final = 404
_OK: Final = 200
_BLINDED: Final = "/eth/v1/beacon/blinded_blocks/"
_WHOLE: Final = "/eth/v2/beacon/blocks/"
_ZERO: Final = "0x" + "00" * 32
_SIGNATURE: Final = "0x" + "ab" * 96


@lru_cache(maxsize=4096)
def beacon_root(block_hash: str) -> str:
    """Return the root of the beacon block that carries this execution block."""
    return "0x" + hashlib.sha256(f"beacon/{block_hash}".encode()).hexdigest()


class SimBeacon:
    """One beacon node. Set `view.branch`, `view.delay_ns`, `view.freeze()` and the flags below at any time."""

    def __init__(
        self,
        chain: SimChain,
        *,
        name: str = "beacon",
        branch: str = MAIN,
        delay_ns: int = 0,
        epoch_slots: int = 32,
        version: str = "Sim/v1.0.0",
        peers: int = 60,
    ) -> None:
        self.name = name
        self.view = SimView(chain, name=name, branch=branch, delay_ns=delay_ns)
        self.epoch_slots = epoch_slots
        self.version = version
        self.peers = peers
        self.syncing = False
        self.optimistic = False
        self.el_offline = False
        self.ahead_slots = 0
        """By how many slots it claims its head to be later than it is."""
        self.final_branch: str | None = None
        """The branch that its finalized checkpoint is of, where that is not its own: a lie, or a broken chain."""
        self.chain_id = chain.spec.chain_id
        self.genesis_root = "0x" + hashlib.sha256(f"genesis/{chain.spec.seed}".encode()).hexdigest()
        self.has_blinded = True
        """Whether it offers blinded blocks; a node without them gives whole ones."""
        self.broken: dict[str, tuple[int, bytes]] = {}
        """Status and body in the place of what a path, or all paths that begin so, would answer."""
        self.asked: list[str] = []
        self._answers: dict[str, Callable[[], object]] = {
            "/eth/v1/beacon/headers/head": self._head,
            "/eth/v1/beacon/states/head/finality_checkpoints": self._finality,
            "/eth/v1/node/syncing": self._syncing,
            "/eth/v1/node/peer_count": self._peers,
            "/eth/v1/node/version": lambda: {"version": self.version},
            "/eth/v1/beacon/genesis": self._genesis,
            "/eth/v1/config/spec": self._spec,
            "/eth/v1/config/deposit_contract": lambda: {"chain_id": str(self.chain_id), "address": "0x" + "42" * 20},
        }

    def answer(self, path: str) -> tuple[int, bytes]:
        """Answer a GET of one path as the HTTP endpoint would: status and body."""
        self.asked.append(path)
        for prefix, broken in self.broken.items():
            if path.startswith(prefix):
                return broken
        if path in self._answers:
            document = {"execution_optimistic": self.optimistic, "finalized": False, "data": self._answers[path]()}
            return _OK, orjson.dumps(document)
        for prefix, known in ((_BLINDED, self.has_blinded), (_WHOLE, True)):
            if path.startswith(prefix) and known:
                return self._block(path.removeprefix(prefix), blinded=prefix == _BLINDED)
        return NOT_FOUND, orjson.dumps({"code": NOT_FOUND, "message": "NOT_FOUND"})

    def _slot(self, block: SimBlock) -> int:
        return block.slot + self.ahead_slots

    def _head(self) -> object:
        head = self.view.head()
        message = {
            "slot": str(self._slot(head)),
            "proposer_index": "7",
            "parent_root": _ZERO if head.parent is None else beacon_root(head.parent.hash),
            "state_root": beacon_root(f"state {head.hash}"),
            "body_root": beacon_root(f"body {head.hash}"),
        }
        header = {"message": message, "signature": _SIGNATURE}
        return {"root": beacon_root(head.hash), "canonical": True, "header": header}

    def _finality(self) -> object:
        checkpoint = self.finalized()
        final = {"epoch": "0", "root": _ZERO}
        if checkpoint is not None:
            epoch, block = checkpoint
            final = {"epoch": str(epoch), "root": beacon_root(block.hash)}
        return {"previous_justified": final, "current_justified": final, "finalized": final}

    def finalized(self) -> tuple[int, SimBlock] | None:
        """Return the finalized epoch and the newest block at or before its first slot."""
        own = self.view.branch
        if self.final_branch is not None:
            self.view.branch = self.final_branch
        try:
            block = self.view.finalized()
        finally:
            self.view.branch = own
        if block is None:
            return None
        epoch = block.slot // self.epoch_slots
        while block.parent is not None and block.slot > epoch * self.epoch_slots:
            block = block.parent
        return (epoch, block) if epoch else None

    def _syncing(self) -> object:
        return {
            "head_slot": str(self._slot(self.view.head())),
            "sync_distance": "4711" if self.syncing else "0",
            "is_syncing": self.syncing,
            "is_optimistic": self.optimistic,
            "el_offline": self.el_offline,
        }

    def _peers(self) -> object:
        return {"disconnected": "12", "connecting": "0", "connected": str(self.peers), "disconnecting": "0"}

    def _genesis(self) -> object:
        first = self.view.chain.branch(MAIN).blocks[0]
        genesis_s = first.timestamp - first.slot * self.view.chain.spec.slot_ns // NS
        return {
            "genesis_time": str(genesis_s),
            "genesis_validators_root": self.genesis_root,
            "genesis_fork_version": "0x00000000",
        }

    def _spec(self) -> object:
        slot_ns = self.view.chain.spec.slot_ns
        return {
            "SECONDS_PER_SLOT": str(slot_ns // NS),
            "SLOT_DURATION_MS": str(slot_ns // MS),
            "SLOTS_PER_EPOCH": str(self.epoch_slots),
            "DEPOSIT_CHAIN_ID": str(self.chain_id),
            "BLOB_SCHEDULE": [],
        }

    def _block(self, root: str, *, blinded: bool) -> tuple[int, bytes]:
        block = self._of_root(root)
        if block is None:
            return NOT_FOUND, orjson.dumps({"code": NOT_FOUND, "message": "NOT_FOUND: beacon block not found"})
        payload = {
            "parent_hash": _ZERO if block.parent is None else block.parent.hash,
            "block_number": str(block.number),
            "block_hash": block.hash,
            "timestamp": str(block.timestamp),
            **({"transactions_root": _ZERO} if blinded else {"transactions": ["0x02f8"]}),
        }
        body = {"randao_reveal": _SIGNATURE, "execution_payload_header" if blinded else "execution_payload": payload}
        message = {"slot": str(block.slot), "proposer_index": "7", "body": body}
        data = {"message": message, "signature": _SIGNATURE}
        return _OK, orjson.dumps(
            {"version": "electra", "execution_optimistic": False, "finalized": False, "data": data}
        )

    def _of_root(self, root: str) -> SimBlock | None:
        branches = [self.view.chain.branch(name) for name in self.view.chain.branches]
        return next(
            (block for branch in branches for block in reversed(branch.blocks) if beacon_root(block.hash) == root), None
        )


@asynccontextmanager
async def serve_beacons(*beacons: SimBeacon, host: str = "127.0.0.1") -> AsyncIterator[dict[str, Listener]]:
    """Serve each beacon node on a free port of its own; gives the listeners by name."""
    async with contextlib.AsyncExitStack() as stack:
        listeners = {}
        for beacon in beacons:
            listeners[beacon.name] = await stack.enter_async_context(serve(_handler(beacon), host=host))
        yield listeners


def _handler(beacon: SimBeacon) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.method != "GET":
            return web.Response(status=405)
        status, body = beacon.answer(request.path)
        return web.Response(status=status, body=body, content_type="application/json")

    return handle
