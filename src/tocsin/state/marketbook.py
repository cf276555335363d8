"""A market as it was read at one block, with all accounts and the book made of them: one version among the last few.

Versions share what did not change, so that the older ones cost little, and one that a reorganisation leads back to is
simply used again. None of them is ever changed: a thread may value one while the next one is made.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import orjson

from tocsin.errors import TocsinError
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.protocols.base import Rules, Verdict
from tocsin.protocols.places import Parts, Unread
from tocsin.risk.book import ADDRESS_BYTES, Book, Deltas, apply
from tocsin.risk.digest import book_hash
from tocsin.risk.table import NO_LEGS, Legs
from tocsin.valuation.packing import Packed, pack
from tocsin.valuation.situation import Situation

KEPT: Final = 64
"""Versions: more blocks than any reorganisation of a healthy chain takes back."""
_FOLDED_AT: Final = 100
_ALWAYS_KEPT: Final = 256
_MOST_TOLD: Final = 200


class Layered(Mapping[bytes, bytes]):
    """A mapping that is never changed: what differs lies over a base that its versions share."""

    __slots__ = ("_base", "_count", "_over")

    def __init__(self, base: Mapping[bytes, bytes], over: Mapping[bytes, bytes] | None = None) -> None:
        self._base = base
        self._over = over or {}
        self._count = len(base) + sum(1 for key in self._over if key not in base)

    def __getitem__(self, key: bytes) -> bytes:
        found = self._over.get(key)
        return self._base[key] if found is None else found

    def __contains__(self, key: object) -> bool:
        return key in self._over or key in self._base

    def __iter__(self) -> Iterator[bytes]:
        yield from self._base
        yield from (key for key in self._over if key not in self._base)

    def __len__(self) -> int:
        return self._count

    def with_(self, changes: Mapping[bytes, bytes]) -> "Layered":
        """Return the mapping with these in it."""
        over = {**self._over, **changes}
        if len(over) > max(_ALWAYS_KEPT, len(self._base) // _FOLDED_AT):
            return Layered({**self._base, **over})
        return Layered(self._base, over)


@dataclass(frozen=True, kw_only=True, eq=False)
class Version:
    """A market after one block, of the time `time_s`."""

    block: BlockRef
    time_s: int
    rules: Rules[Any, Any]
    parts: Parts
    market: Any
    parameters: tuple[tuple[str, str], ...]
    accounts: Packed
    unread: Mapping[bytes, str]
    book: Book
    grade: Grade | None = None
    unconfirmed: frozenset[bytes] = frozenset()
    """Accounts of which one group alone has told, and that none was asked about since."""
    surprises: int = 0
    """Accounts that were found other than what logs said, when they were read again at this block."""
    said: Mapping[bytes, Verdict | str] = field(default_factory=dict)
    """What the contracts' own view said of each account, of a revision that is not known."""

    @property
    def situation(self) -> Situation:
        """What a valuation of this version is made of."""
        return Situation(
            rules=self.rules,
            parts=self.parts,
            market=self.market,
            accounts=self.accounts,
            book=self.book,
            block=self.block,
            time_s=self.time_s,
            unread=self.unread,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """Accounts as they were after a block, of a life before, and what the book of them was called."""

    block: BlockRef
    accounts: Packed
    unread: frozenset[bytes]
    revision: str
    parameters: str
    """A digest of the market's parameters then."""
    book: str


class Versions:
    """The last versions, by the hash of their blocks."""

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        self._by_hash: OrderedDict[str, Version] = OrderedDict()

    def keep(self, version: Version) -> None:
        """Keep one, and let go of the one that was used longest ago if there are too many."""
        self._by_hash[version.block.hash] = version
        self._by_hash.move_to_end(version.block.hash)
        while len(self._by_hash) > self._most:
            self._by_hash.popitem(last=False)

    def at(self, block_hash: str) -> Version | None:
        """Return the version of a block, if it is kept."""
        return self._by_hash.get(block_hash)

    def forget(self) -> None:
        """Keep none."""
        self._by_hash.clear()

    def __bool__(self) -> bool:
        return bool(self._by_hash)

    @property
    def newest(self) -> Version:
        """The one that was kept last."""
        return next(reversed(self._by_hash.values()))

    @property
    def lowest(self) -> int:
        """The height of the lowest."""
        return min(version.block.number for version in self._by_hash.values())


Told = Mapping[bytes, Any | Unread]
"""Accounts as they were read, or why they could not be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """What was read of accounts, packed and as legs; and of those that give none, why."""

    packed: Mapping[bytes, bytes]
    legs: Mapping[bytes, Legs]
    unread: Mapping[bytes, str]
    kind: type | None


def parameters_digest(parameters: tuple[tuple[str, str], ...]) -> str:
    """Return what names parameters: the same for the same ones."""
    return hashlib.sha256(orjson.dumps(parameters)).hexdigest()


def lasting_hash(book: Book) -> str:
    """Return the hash of a book without those accounts whose legs change with time alone."""
    whole_ = book.table()
    rows = np.flatnonzero(~whole_.always_exact)
    return book_hash(Book.of_table(book.columns, book.all_ids()[rows], whole_.take(rows)))


def sorted_(rules: Rules[Any, Any], market: Any, told: Told, at_s: int) -> Sorted:
    """Return what accounts that were read come to. An account whose legs cannot be told is unread."""
    packed: dict[bytes, bytes] = {}
    legs: dict[bytes, Legs] = {}
    unread: dict[bytes, str] = {}
    kind: type | None = None
    for account, one in told.items():
        if isinstance(one, Unread):
            unread[account], legs[account] = one.reason[:_MOST_TOLD], NO_LEGS
            continue
        kind, packed[account] = type(one), pack(one)
        try:
            legs[account] = rules.legs(market, one, at_s)
        except (TocsinError, ValueError) as error:
            unread[account], legs[account] = str(error)[:_MOST_TOLD], NO_LEGS
    return Sorted(packed=packed, legs=legs, unread=unread, kind=kind)


def whole(rules: Rules[Any, Any], market: Any, accounts: Packed, at_s: int, unread: Mapping[bytes, str]) -> Sorted:
    """Return what all accounts come to under a market whose parameters are other ones; unread ones have no legs."""
    told = {account: accounts[account] for account in accounts if account not in unread}
    found = sorted_(rules, market, told, at_s)
    legs = {**found.legs, **dict.fromkeys(unread, NO_LEGS)}
    return replace(found, legs=legs, unread={**found.unread, **unread})


def book_of(rules: Rules[Any, Any], market: Any, legs: Mapping[bytes, Legs], at_s: int) -> Book:
    """Return a book of accounts. Raises what `Rules.columns` raises."""
    length = len(next(iter(legs), bytes(ADDRESS_BYTES)))
    return Book.of(rules.columns(market, at_s).names, legs, id_bytes=length)


def updated(before: Book, legs: Mapping[bytes, Legs]) -> Book:
    """Return the book with accounts as they are now."""
    return apply(before, Deltas(accounts=legs)) if legs else before


def differing(before: Packed, told: Told, expected: Sequence[bytes]) -> int:
    """Return how many accounts are other than they were, of those that nothing was expected to change."""
    return sum(
        1
        for account in expected
        if account in before
        and not isinstance(told.get(account), Unread | None)
        and pack(told[account]) != before.data[account]
    )
