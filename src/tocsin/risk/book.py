"""Who holds how much: an immutable book of accounts, its versions, and its hash.

A book is a base in which rows lie sorted by the number of their legs, and a small overlay of accounts that changed
since. `apply` gives a new version that shares the base with the old one: whoever keeps a reference keeps that version,
and after a reorganisation the older one is simply used again. An overlay of more than one account in a hundred is
folded into a new base.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from tocsin.risk.table import MOST_COLUMNS, NO_LEGS, Legs, Rows, Table, joined, table

Ids = npt.NDArray[np.uint8]

_FOLDED_AT: Final = 100
"""One account in so many may be in the overlay."""
_ALWAYS_KEPT: Final = 64
"""Folding a small book for less than this would be all that is done."""
ADDRESS_BYTES: Final = 20


class SideName(StrEnum):
    """A side of an account. Closed."""

    COLLATERAL = "collateral"
    DEBT = "debt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One leg as it is from now on; an amount of zero ends it."""

    account: bytes
    side: SideName
    column: int
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deltas:
    """What is different: new columns behind the others, then whole accounts as they now are, then single legs."""

    columns: tuple[str, ...] = ()
    accounts: Mapping[bytes, Legs] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Book:
    """A version of the book. Rows are numbered by base, then by `added`; what belongs to accounts is by row."""

    columns: tuple[str, ...]
    """Names of the columns; a leg's column is a place in it."""
    account_ids: Ids
    """Of each row of the base the account, shape (rows, 20 to 32)."""
    base: Table
    order: Rows
    """Rows of the base by rising account."""
    added: Mapping[bytes, int]
    """Accounts that came after the base was made, with their rows."""
    overlay_rows: Rows
    """Rows that stand in `overlay` and no longer in the base; rising."""
    overlay: Table

    @classmethod
    def of(cls, columns: Sequence[str], accounts: Mapping[bytes, Legs], *, id_bytes: int = ADDRESS_BYTES) -> "Book":
        """Make a book. Raises ValueError for an account that is not of `id_bytes`, or a leg in no column."""
        ids = _ids_of(accounts, id_bytes)
        return cls.of_table(columns, ids, table(list(accounts.values())))

    @classmethod
    def of_table(cls, columns: Sequence[str], account_ids: Ids, rows: Table) -> "Book":
        """Make a book of accounts that lie in columns already, row by row. Raises ValueError as `of` does."""
        _check(columns, account_ids, rows)
        shape = np.lexsort((_keys(account_ids), rows.debt.counts, rows.collateral.counts))
        ids, base = np.ascontiguousarray(account_ids[shape]), rows.take(shape)
        ids.setflags(write=False)
        keys = _keys(ids)
        order = np.argsort(keys, kind="stable")
        if (twice := np.flatnonzero(keys[order][1:] == keys[order][:-1])).size:
            raise ValueError(f"account 0x{ids[order[twice[0]]].tobytes().hex()} is in the book twice")
        return cls(
            columns=tuple(columns),
            account_ids=ids,
            base=base,
            order=order,
            added={},
            overlay_rows=np.empty(0, dtype=np.intp),
            overlay=table(()),
        )

    def __len__(self) -> int:
        """Return the number of rows; an account whose legs ended keeps its row until the overlay is folded."""
        return len(self.base) + len(self.added)

    @property
    def id_bytes(self) -> int:
        return int(self.account_ids.shape[1])

    @property
    def nbytes(self) -> int:
        """Return the memory of accounts and legs, without what kernels derive."""
        return self.base.nbytes + self.overlay.nbytes + self.account_ids.nbytes + self.order.nbytes

    def account(self, row: int) -> bytes:
        """Return the account of a row."""
        if row < len(self.base):
            return bytes(self.account_ids[row])
        return self._added_ids[row - len(self.base)]

    def row(self, account: bytes) -> int | None:
        """Return the row of an account; None if it is not in the book."""
        return self.rows((account,))[0]

    def rows(self, accounts: Sequence[bytes]) -> list[int | None]:
        """Return the rows of accounts. Raises ValueError for one of another length."""
        asked = _keys(_ids_of(accounts, self.id_bytes))
        if not len(self.base):
            return [self.added.get(account) for account in accounts]
        places = np.minimum(np.searchsorted(self._sorted_keys, asked), len(self.base) - 1)
        hit = self._sorted_keys[places] == asked
        found = self.order[places]
        return [
            int(row) if is_hit else self.added.get(account)
            for account, row, is_hit in zip(accounts, found, hit, strict=True)
        ]

    def legs(self, row: int) -> Legs:
        """Return what the account of a row holds and owes, exact."""
        place = int(np.searchsorted(self.overlay_rows, row))
        if place < len(self.overlay_rows) and self.overlay_rows[place] == row:
            return self.overlay.legs(place)
        return self.base.legs(row)

    def table(self, rows: Rows | None = None) -> Table:
        """Return rows as one table, by default all in their order."""
        if not len(self.overlay_rows):
            return self.base if rows is None else self.base.take(rows)
        both = joined(self.base, self.overlay)
        return both.take(self._places if rows is None else self._places[rows])

    @cached_property
    def _places(self) -> Rows:
        """Return of each row its place in base and overlay, one behind the other."""
        found = np.arange(len(self), dtype=np.intp)
        found[self.overlay_rows] = len(self.base) + np.arange(len(self.overlay_rows))
        return found

    @cached_property
    def _added_ids(self) -> list[bytes]:
        return list(self.added)

    @cached_property
    def _sorted_keys(self) -> npt.NDArray[np.bytes_]:
        return _keys(self.account_ids)[self.order]

    def all_ids(self) -> Ids:
        """Return the accounts of all rows, shape (rows, id_bytes)."""
        return np.concatenate((self.account_ids, _ids_of(self.added, self.id_bytes)))


def apply(book: Book, deltas: Deltas) -> Book:
    """Return the version of the book after these changes. Raises ValueError for an account or a leg that cannot be."""
    columns = book.columns + deltas.columns
    touched = _touched(book, deltas)
    if not touched:
        return _evolved(book, columns, book.added, book.overlay_rows, book.overlay)
    added = dict(book.added)
    rows = np.empty(len(touched), dtype=np.intp)
    for at, (account, row) in enumerate(zip(touched, book.rows(list(touched)), strict=True)):
        rows[at] = added.setdefault(account, len(book.base) + len(added)) if row is None else row
    fresh = table(list(touched.values()))
    _check_columns(columns, fresh)
    stays = np.flatnonzero(~np.isin(book.overlay_rows, rows))
    overlay_rows = np.concatenate((book.overlay_rows[stays], rows))
    order = np.argsort(overlay_rows)
    overlay = joined(book.overlay.take(stays), fresh).take(order)
    found = _evolved(book, columns, added, overlay_rows[order], overlay)
    return folded(found) if len(overlay) * _FOLDED_AT > max(len(found), _ALWAYS_KEPT * _FOLDED_AT) else found


def folded(book: Book) -> Book:
    """Return the same book without an overlay, rows sorted anew; accounts without a leg are dropped."""
    whole = book.table()
    rows = np.flatnonzero((whole.collateral.counts > 0) | (whole.debt.counts > 0))
    return Book.of_table(book.columns, book.all_ids()[rows], whole.take(rows))


def _touched(book: Book, deltas: Deltas) -> dict[bytes, Legs]:
    """Return the accounts that change, as they are afterwards."""
    found = dict(deltas.accounts)
    known = [change.account for change in deltas.changes if change.account not in found]
    for account, row in zip(known, book.rows(known), strict=True):
        found.setdefault(account, NO_LEGS if row is None else book.legs(row))
    for change in deltas.changes:
        found[change.account] = _changed(found[change.account], change)
    return found


def _changed(legs: Legs, change: Change) -> Legs:
    leg = {change.column: change.amount}
    is_debt = change.side is SideName.DEBT
    return Legs(
        collateral=legs.collateral if is_debt else {**legs.collateral, **leg},
        debt={**legs.debt, **leg} if is_debt else legs.debt,
        always_exact=legs.always_exact,
    )


def _evolved(book: Book, columns: tuple[str, ...], added: Mapping[bytes, int], rows: Rows, overlay: Table) -> Book:
    return Book(
        columns=columns,
        account_ids=book.account_ids,
        base=book.base,
        order=book.order,
        added=added,
        overlay_rows=rows,
        overlay=overlay,
    )


def _ids_of(accounts: Iterable[bytes], id_bytes: int) -> Ids:
    all_ = list(accounts)
    for account in all_:
        if len(account) != id_bytes:
            raise ValueError(f"account 0x{account.hex()} has {len(account)} bytes, and this book is one of {id_bytes}")
    return np.frombuffer(b"".join(all_), dtype=np.uint8).reshape(-1, id_bytes)


def _keys(ids: Ids) -> npt.NDArray[np.bytes_]:
    """Return accounts as values that compare by their bytes; all are of one length, so zeros at their ends are safe."""
    return np.ascontiguousarray(ids).view(f"S{ids.shape[1]}").reshape(-1)


def _check(columns: Sequence[str], ids: Ids, rows: Table) -> None:
    if len(ids) != len(rows):
        raise ValueError(f"{len(ids)} accounts for {len(rows)} rows")
    _check_columns(columns, rows)


def _check_columns(columns: Sequence[str], rows: Table) -> None:
    if len(columns) > MOST_COLUMNS:
        raise ValueError(f"{len(columns)} columns, and there can be {MOST_COLUMNS}")
    for side in (rows.collateral, rows.debt):
        if len(side.col) and (most := int(side.col.max())) >= len(columns):
            raise ValueError(f"a leg is in column {most}, and there are {len(columns)}")
