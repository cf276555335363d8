"""How documents show blocks and times."""

from tocsin.model.block import BlockRef


def seconds(ns: int) -> float:
    """Return seconds to the millisecond, for display."""
    return ns // 10**6 / 1000


def block(ref: BlockRef | None) -> dict[str, object] | None:
    """Return a block as documents show it."""
    return None if ref is None else {"number": ref.number, "hash": ref.hash}
