"""Valuing a book at one block."""

import numpy as np

from tocsin.risk.amounts import Floats
from tocsin.risk.book import Book
from tocsin.risk.factors import Factors
from tocsin.risk.health import Health
from tocsin.risk.kernel import Kernel
from tocsin.risk.plain import PLAIN
from tocsin.risk.table import Bools, Table


def evaluate(book: Book, factors: Factors, kernel: Kernel = PLAIN) -> Health:
    """Return what every row is worth and owes at these factors. Raises ValueError for factors of other columns."""
    check(book, factors)
    collateral, raw, debt, band = kernel.values(book.base, factors)
    is_indebted = book.base.is_indebted
    if len(book) > len(book.base) or len(book.overlay_rows):
        over = kernel.values(book.overlay, factors)
        collateral, raw, debt, band = (
            _laid(book, below, above) for below, above in zip((collateral, raw, debt, band), over, strict=True)
        )
        is_indebted = _owing(book, book.overlay)
    return Health(
        collateral=collateral, raw=raw, debt=debt, band=band, raw_share=factors.raw_share, is_indebted=is_indebted
    )


def check(book: Book, factors: Factors) -> None:
    """Raise ValueError unless factors are of the book's columns."""
    if factors.names != book.columns:
        told = zip(factors.names, book.columns, strict=False)
        at = next((place for place, (one, other) in enumerate(told) if one != other), None)
        what = f"column {at} differs" if at is not None else f"{factors.width} columns, not {len(book.columns)}"
        raise ValueError(f"factors of other columns than the book's: {what}")


def _laid(book: Book, below: Floats, above: Floats) -> Floats:
    """Return what the base has, with what the overlay has in its rows."""
    found = np.zeros(len(book))
    found[: len(below)] = below
    found[book.overlay_rows] = above
    return found


def _owing(book: Book, overlay: Table) -> Bools:
    found = np.zeros(len(book), dtype=np.bool_)
    found[: len(book.base)] = book.base.is_indebted
    found[book.overlay_rows] = overlay.is_indebted
    return found
