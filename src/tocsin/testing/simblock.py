"""One simulated block, and how the next one follows from it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import Final, Literal

from tocsin.testing.headers import header_hash, keccak256, rlp
from tocsin.testing.simstate import Change, World, bloom, receipts_root

EMPTY_ROOT: Final = "0x" + keccak256(rlp(b"")).hex()
"""The root of an empty Merkle-Patricia trie."""
EMPTY_UNCLES: Final = "0x" + keccak256(rlp([])).hex()
"""The hash of an empty list of uncles, as every block since the merge has it."""
NO_REQUESTS: Final = "0x" + hashlib.sha256(b"").hexdigest()
"""EIP-7685: the hash of no requests."""
ZERO_HASH: Final = "0x" + "00" * 32
ZERO_BLOOM: Final = "0x" + "00" * 256

GAS_LIMIT: Final = 36_000_000
FIRST_BASE_FEE: Final = 1_000_000_000
_ELASTICITY = 2
_FEE_DENOMINATOR = 8
"""EIP-1559: a block aims at half its limit, and the fee moves by at most an eighth."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimBlock:
    """A block of the simulated chain; `header` is the JSON-RPC object without hash and body.

    Two blocks are the same when they are the same object: a chain makes each of them once.
    """

    number: int
    hash: str
    parent: "SimBlock | None" = field(repr=False)
    timestamp: int
    slot: int
    header: Mapping[str, object] = field(repr=False)
    world: World | None = field(default=None, repr=False)
    """The state after the block; None on a chain without state, whose roots are made up."""
    changes: tuple[Change, ...] = field(default=(), repr=False)
    """Its transactions, where there is state."""

    def head(self) -> dict[str, object]:
        """Return the header as `newHeads` gives it."""
        return {"hash": self.hash, **self.header}

    def body(self, *, transactions: int, withdrawals: int, full: bool = False) -> dict[str, object]:
        """Return the block as `eth_getBlockBy...` gives it, with made-up transactions and withdrawals."""
        count = len(self.changes) if self.world is not None else 0 if self.parent is None else transactions
        hashes = self.transactions(count)
        entries: list[object] = [
            self._transaction(index, entry) if full else entry for index, entry in enumerate(hashes)
        ]
        paid = _withdrawals(self.slot, 0 if self.parent is None else withdrawals)
        return {
            **self.head(),
            "size": hex(600 + 110 * len(entries)),
            "uncles": [],
            "transactions": entries,
            "withdrawals": [dict(entry) for entry in paid],
        }

    def transactions(self, count: int) -> tuple[str, ...]:
        """Return the hashes of the first so many transactions."""
        return _hashes(self.hash, "tx", count)

    def _transaction(self, index: int, tx_hash: str) -> dict[str, object]:
        return {
            "hash": tx_hash,
            "blockHash": self.hash,
            "blockNumber": self.header["number"],
            "transactionIndex": hex(index),
        }


@lru_cache(maxsize=512)  # every node of a pool shows the same few blocks at every poll
def _hashes(seed: str, kind: str, count: int) -> tuple[str, ...]:
    stream = hashlib.shake_256(f"{seed}/{kind}".encode()).digest(32 * count)
    return tuple("0x" + stream[at : at + 32].hex() for at in range(0, len(stream), 32))


@lru_cache(maxsize=512)
def _withdrawals(slot: int, count: int) -> tuple[dict[str, object], ...]:
    return tuple(_withdrawal(slot, index) for index in range(count))


def _withdrawal(slot: int, index: int) -> dict[str, object]:
    return {
        "index": hex(slot * 16 + index),
        "validatorIndex": hex((slot * 16 + index) % 1_000_000),
        "address": "0x" + hashlib.shake_256(f"validator/{index}".encode()).hexdigest(20),
        "amount": hex(17_000_000 + index),
    }


def next_base_fee(parent: Mapping[str, object]) -> int:
    """Return the base fee in wei that must follow this header. Source: EIP-1559."""
    fee, used = int(str(parent["baseFeePerGas"]), 16), int(str(parent["gasUsed"]), 16)
    target = int(str(parent["gasLimit"]), 16) // _ELASTICITY
    change = fee * abs(used - target) // target // _FEE_DENOMINATOR
    return fee + max(change, 1) if used > target else fee - change if used < target else fee


def _pseudo(seed: str, name: str) -> str:
    return "0x" + hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()


Broken = Literal["nothing", "base_fee", "timestamp"]
"""Which rule of the chain a block breaks: its base fee is a wei too high, or its time a second off its slot."""


def make_block(
    *,
    parent: SimBlock | None,
    number: int,
    slot: int,
    timestamp: int,
    salt: str,
    filled: bool,
    breaks: Broken = "nothing",
    world: World | None = None,
    changes: tuple[Change, ...] = (),
) -> SimBlock:
    """Make the block of a slot. It is a function of its parent, slot and salt: another salt is another branch.

    `world` is the state before its transactions, `changes`.
    """
    timestamp += breaks == "timestamp"
    seed = f"{salt}/{slot}/{parent.hash if parent else ''}"
    load = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") % (GAS_LIMIT * 4 // 10)
    used = 0 if parent is None or not filled else GAS_LIMIT * 3 // 10 + load
    header: dict[str, object] = {
        "parentHash": parent.hash if parent else ZERO_HASH,
        "sha3Uncles": EMPTY_UNCLES,
        "miner": _pseudo(seed, "miner")[:42],
        "stateRoot": _pseudo(seed, "state"),
        "transactionsRoot": _pseudo(seed, "transactions") if filled else EMPTY_ROOT,
        "receiptsRoot": _pseudo(seed, "receipts") if filled else EMPTY_ROOT,
        "logsBloom": "0x" + hashlib.shake_256(seed.encode()).hexdigest(256) if filled else ZERO_BLOOM,
        "difficulty": "0x0",
        "number": hex(number),
        "gasLimit": hex(GAS_LIMIT),
        "gasUsed": hex(used),
        "timestamp": hex(timestamp),
        "extraData": "0x" + f"tocsin-sim {salt}".encode()[:32].hex(),
        "mixHash": _pseudo(seed, "randao"),
        "nonce": "0x0000000000000000",
        "baseFeePerGas": hex((next_base_fee(parent.header) if parent else FIRST_BASE_FEE) + (breaks == "base_fee")),
        "withdrawalsRoot": EMPTY_ROOT,
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": _pseudo(seed, "beacon"),
        "requestsHash": NO_REQUESTS,
    }
    if world is not None:
        world = reduce(World.after, changes, world)
        header |= {
            "stateRoot": f"0x{world.trie.root.hex()}",
            "receiptsRoot": f"0x{receipts_root(changes).hex()}",
            "logsBloom": f"0x{bloom(tuple(log for change in changes for log in change.logs)).hex()}",
        }
    return SimBlock(
        number=number,
        hash=header_hash(header),
        parent=parent,
        timestamp=timestamp,
        slot=slot,
        header=header,
        world=world,
        changes=changes,
    )
