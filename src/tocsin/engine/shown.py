"""How documents show blocks, times and maintenance."""

from tocsin.engine.state import Window
from tocsin.model.block import BlockRef


def seconds(ns: int) -> float:
    """Return seconds to the millisecond, for display."""
    return ns // 10**6 / 1000


def block(ref: BlockRef | None) -> dict[str, object] | None:
    """Return a block as documents show it."""
    return None if ref is None else {"number": ref.number, "hash": ref.hash}


def window_row(window: Window | None) -> dict[str, object] | None:
    """Return the maintenance of a node as the status shows it, None where there is none."""
    if window is None:
        return None
    return {
        "by": window.by,
        "reason": window.reason,
        "since_wall_ns": window.since_wall_ns,
        "until_wall_ns": window.until_wall_ns,
    }
