"""The hash of a book: of exact integers in canonical order, the same however the book came to be what it is."""

import hashlib
from typing import Final

import numpy as np

from tocsin.risk.amounts import widened
from tocsin.risk.book import Book
from tocsin.risk.table import Side

_VERSION: Final = b"tocsin book 1\n"


def book_hash(book: Book) -> str:
    """Return `0x` and the SHA-256 of columns, accounts and legs.

    It depends on no order of rows or changes, on no overlay, process or machine. Accounts without a leg are not in it.
    """
    whole, ids = book.table(), book.all_ids()
    rows = np.flatnonzero((whole.collateral.counts > 0) | (whole.debt.counts > 0))
    order = rows[np.lexsort(ids[rows].T[::-1])]
    sorted_ = whole.take(order)
    found = hashlib.sha256(_VERSION)
    found.update(f"{len(book.columns)} {len(order)} {book.id_bytes}\n".encode())
    for name in book.columns:
        found.update(f"{len(name.encode())} {name}\n".encode())
    found.update(ids[order].tobytes())
    found.update(sorted_.always_exact.tobytes())
    for side in (sorted_.collateral, sorted_.debt):
        _fold(found, side)
    return "0x" + found.hexdigest()


def _fold(found: "hashlib._Hash", side: Side) -> None:
    found.update(side.counts.astype("<u4").tobytes())
    found.update(side.col.astype("<u2").tobytes())
    found.update(widened(side.exact).astype(">u8").tobytes())
