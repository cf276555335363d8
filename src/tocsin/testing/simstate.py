"""The state of a simulated chain: accounts with slots and code, what transactions write, and what they log.

There is no EVM: what a contract returns is a Python function of the world, found by the contract's code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from tocsin.testing.headers import RlpItem, keccak256, quantity_bytes, rlp
from tocsin.testing.simtrie import Trie, ordered_trie

_BLOOM: Final = 256
_GAS_OF_ONE: Final = 50_000
_DYNAMIC_FEE: Final = b"\x02"
"""EIP-2718: the type of all transactions of the simulated chain."""


@dataclass(frozen=True)
class SimAccount:
    """An account. A slot that holds zero is no slot."""

    nonce: int = 0
    balance: int = 0
    code: bytes = b""
    slots: Mapping[int, int] = field(default_factory=dict)

    @cached_property
    def storage(self) -> Trie:
        """The trie of the slots."""
        written = {key: value for key, value in self.slots.items() if value}
        return Trie({keccak256(word(key)): rlp(quantity_bytes(value)) for key, value in written.items()})

    @property
    def code_hash(self) -> bytes:
        """The hash of the code."""
        return keccak256(self.code)

    @cached_property
    def leaf(self) -> bytes:
        """The account as the state trie holds it."""
        return rlp([quantity_bytes(self.nonce), quantity_bytes(self.balance), self.storage.root, self.code_hash])


NOBODY: Final = SimAccount()


@dataclass(frozen=True)
class World:
    """All accounts, by address."""

    accounts: Mapping[bytes, SimAccount] = field(default_factory=dict)

    @cached_property
    def trie(self) -> Trie:
        """The trie of the accounts."""
        return Trie({keccak256(address): account.leaf for address, account in self.accounts.items()})

    def account(self, address: bytes) -> SimAccount:
        """Return an account; that of an address without one is empty."""
        return self.accounts.get(address, NOBODY)

    def after(self, change: "Change") -> "World":
        """Return the world after one transaction."""
        accounts = {**self.accounts, **change.accounts}
        for (address, slot), value in change.slots.items():
            account = accounts.get(address, NOBODY)
            accounts[address] = replace(account, slots={**account.slots, slot: value})
        return World(accounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimLog:
    """What a contract logs: its address, up to four topics of 32 bytes, data."""

    address: bytes
    topics: tuple[bytes, ...] = ()
    data: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one transaction does: accounts that it makes anew, slots that it writes, what it logs."""

    accounts: Mapping[bytes, SimAccount] = field(default_factory=dict)
    slots: Mapping[tuple[bytes, int], int] = field(default_factory=dict)
    logs: tuple[SimLog, ...] = ()


class Reverted(Exception):  # noqa: N818 - reads as the condition
    """A call that reverts; `data` is what it reverts with."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(data.hex())
        self.data = data


Program = Callable[[World, bytes, bytes], bytes]
"""What a contract returns: of the world, its own address and the input. May raise Reverted."""


def word(value: int) -> bytes:
    """Return an unsigned integer as a word of 32 bytes."""
    return value.to_bytes(32)


def bloom(logs: tuple[SimLog, ...]) -> bytes:
    """Return the bloom of logs. Source: yellow paper 4.4.1."""
    bits = bytearray(_BLOOM)
    for item in (item for log in logs for item in (log.address, *log.topics)):
        digest = keccak256(item)
        for at in (0, 2, 4):
            bit = int.from_bytes(digest[at : at + 2]) & 2047
            bits[_BLOOM - 1 - bit // 8] |= 1 << bit % 8
    return bytes(bits)


def receipt(change: Change, position: int) -> bytes:
    """Return the receipt of a transaction as it is hashed."""
    logs: list[RlpItem] = [[log.address, log.topics, log.data] for log in change.logs]
    return _DYNAMIC_FEE + rlp([b"\x01", quantity_bytes(_GAS_OF_ONE * (position + 1)), bloom(change.logs), logs])


def receipts_root(changes: tuple[Change, ...]) -> bytes:
    """Return the root of the receipts of a block's transactions."""
    return ordered_trie([receipt(change, at) for at, change in enumerate(changes)]).root


def receipt_json(change: Change, position: int) -> dict[str, object]:
    """Return the receipt of a transaction as JSON-RPC shows it, without what says where it is."""
    return {
        "type": "0x2",
        "status": "0x1",
        "cumulativeGasUsed": hex(_GAS_OF_ONE * (position + 1)),
        "gasUsed": hex(_GAS_OF_ONE),
        "logsBloom": f"0x{bloom(change.logs).hex()}",
    }


def log_json(log: SimLog) -> dict[str, object]:
    """Return a log as JSON-RPC shows it, without what says where it is."""
    return {
        "address": f"0x{log.address.hex()}",
        "topics": [f"0x{topic.hex()}" for topic in log.topics],
        "data": f"0x{log.data.hex()}",
        "removed": False,
    }
