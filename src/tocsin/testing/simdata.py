"""What a simulated node answers beside headers: balances, proofs and receipts as far back as it keeps them."""

from collections.abc import Callable
from typing import Any, Final

from tocsin.testing.headers import keccak256, rlp
from tocsin.testing.jsonrpc import INVALID_PARAMS, SERVER_ERROR, Refusal
from tocsin.testing.simblock import SimBlock
from tocsin.testing.simreads import SimReads
from tocsin.testing.simview import SimView

_HASH_LENGTH: Final = 66
_PRUNED: Final = "missing trie node 1f (path ) state is not available, not found"
"""As geth words it."""
_OUTSIDE: Final = "distance to target block exceeds maximum proof window"
"""As reth words it."""
_HISTORY: Final = "pruned history unavailable"
_GONE: Final = 4444
"""As reth, besu and nethermind say it."""


class SimData:
    """The history of one node. Depths are in blocks below its head, None for all; set them at any time."""

    def __init__(self, view: SimView) -> None:
        self._view = view
        self.state: int | None = 127
        self.proofs: int | None = 127
        self.receipts: int | None = None
        self.headers: int | None = None
        self.pins_object = True
        self.pins_hash = False
        self.pins_anything = False
        """Answers at any block hash, as if it were the head's: what early erigon did."""
        self.balance = 10**18
        self.balance_when_pruned: int | None = None
        """What is answered instead of an error where state is gone: besu may say 0."""
        self.offers: dict[str, object] | None = None
        """What `eth_capabilities` says; None for a node without it."""
        self.pending = 150
        self.queued = 40
        self.missing: set[str] = set()
        """Methods that the node does not have."""

    def methods(self) -> dict[str, Callable[[list[Any]], object]]:
        """Return the methods by name; those about state only for a chain that has one."""
        reads = SimReads(
            self._view.chain,
            state=lambda where: self._kept(self._place(where), self.state, _PRUNED),
            proofs=lambda where: self._kept(self._place(where), self.proofs, _OUTSIDE, INVALID_PARAMS),
            receipts=lambda where: self._kept(self._place(where), self.receipts, _HISTORY, _GONE),
            at=self._place,
        )
        stateful = {
            "eth_getBalance": reads.balance,
            "eth_getProof": reads.proof,
            "eth_getBlockReceipts": reads.receipts,
            "eth_getStorageAt": reads.slot,
            "eth_getCode": reads.code,
            "eth_call": reads.call,
            "eth_getLogs": reads.logs,
        }
        made_up = {
            "eth_getBalance": self._balance,
            "eth_getProof": self._proof,
            "eth_getBlockReceipts": self._receipts,
        }
        return {
            **(made_up if self._view.chain.spec.world is None else stateful),
            "txpool_status": lambda _: {"pending": hex(self.pending), "queued": hex(self.queued)},
        }

    def lacks(self, method: str) -> bool:
        """Tell whether the node does not have a method."""
        return method in self.missing or (method == "eth_capabilities" and self.offers is None)

    def keeps(self, block: SimBlock, depth: int | None) -> bool:
        """Tell whether a block is within a depth."""
        return depth is None or self._view.head().number - block.number <= depth

    def _balance(self, params: list[Any]) -> object:
        match params:
            case [str(), dict() | str() as where]:
                block = self._place(where)
            case _:
                raise Refusal(INVALID_PARAMS, "expected an address and a block")
        if self.keeps(block, self.state):
            return hex(self.balance)
        if self.balance_when_pruned is None:
            raise Refusal(SERVER_ERROR, _PRUNED)
        return hex(self.balance_when_pruned)

    def _place(self, where: object) -> SimBlock:
        """Return the block that a parameter names, if the node knows one so named."""
        match where:
            case {"blockHash": named}:
                if not self.pins_object:
                    raise Refusal(INVALID_PARAMS, "invalid argument 1: json: cannot unmarshal object")
                return self._by_hash(str(named))
            case str() if len(where) == _HASH_LENGTH:
                if not self.pins_hash:
                    raise Refusal(INVALID_PARAMS, "invalid argument 1: hex number > 64 bits")
                return self._by_hash(where)
            case str():
                return self._at(where)
        raise Refusal(INVALID_PARAMS, "invalid argument 1: no block")

    def _kept(self, block: SimBlock, depth: int | None, why: str, code: int = SERVER_ERROR) -> SimBlock:
        if not self.keeps(block, depth):
            raise Refusal(code, why)
        return block

    def _proof(self, params: list[Any]) -> object:
        match params:
            case [str() as address, list(), str() as where]:
                block = self._at(where)
            case _:
                raise Refusal(INVALID_PARAMS, "expected an address, keys and a block")
        if not self.keeps(block, self.proofs):
            raise Refusal(INVALID_PARAMS, _OUTSIDE)
        leaf = "0x" + rlp([keccak256(bytes.fromhex(address[2:])), b"account"]).hex()
        return {"address": address, "balance": hex(self.balance), "accountProof": [leaf], "storageProof": []}

    def _receipts(self, params: list[Any]) -> object:
        match params:
            case [str() as where]:
                block = self._at(where)
            case _:
                raise Refusal(INVALID_PARAMS, "expected a block")
        if not self.keeps(block, self.receipts):
            return None
        count = self._view.chain.spec.transactions
        number = hex(block.number)
        return [
            {"blockHash": block.hash, "blockNumber": number, "transactionIndex": hex(at), "status": "0x1", "logs": []}
            for at in range(count)
        ]

    def _by_hash(self, block_hash: str) -> SimBlock:
        block = self._view.head() if self.pins_anything else self._view.by_hash(block_hash.lower())
        if block is None:
            raise Refusal(SERVER_ERROR, "header not found")
        return block

    def _at(self, where: str) -> SimBlock:
        if where == "latest":
            return self._view.head()
        block = self._view.at(int(where, 16)) if where.startswith("0x") else None
        if block is None:
            raise Refusal(SERVER_ERROR, "header not found")
        return block
