"""What a valuation is made of: one market at one block, complete."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tocsin.model.block import BlockRef
from tocsin.protocols.base import Rules
from tocsin.protocols.places import Parts
from tocsin.risk.book import Book


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Situation:
    """A market, its accounts and the book made of them, all as they are after one block of the time `time_s`."""

    rules: Rules[Any, Any]
    parts: Parts
    market: Any
    accounts: Mapping[bytes, Any]
    """By their ids, the protocol's own values; all that are in the book."""
    book: Book
    block: BlockRef
    time_s: int
    unread: Mapping[bytes, str] = field(default_factory=dict)
    """Accounts that could not be read, and why: nobody knows whether they owe anything."""
