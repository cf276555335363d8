"""Event logs as contracts wrote them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One log of a block: the contract's address of 20 bytes, up to four topics of 32, data.

    `index` is its place among all logs of the block, counted by us: clients have numbered logs within a transaction.
    """

    index: int
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
