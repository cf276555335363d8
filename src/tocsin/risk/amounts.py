"""Exact amounts of up to 256 bits in arrays: 64-bit limbs, the highest first, as few as the widest amount needs."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tocsin.wire.multicall import Words, integers

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

LIMBS: Final = 4
MOST: Final = 2**256 - 1
"""The largest amount there is."""
ROUNDINGS: Final = 7
"""How often `floats` may round one amount: each of four limbs on its way, and three sums of them."""

_LIMB: Final = 2.0**64


def words(amounts: Sequence[int]) -> Words:
    """Return amounts as limbs, shape (n, 4). Raises OverflowError for one below zero or above 256 bits."""
    data = b"".join(amount.to_bytes(8 * LIMBS) for amount in amounts)
    return np.frombuffer(data, dtype=">u8").astype(np.uint64).reshape(-1, LIMBS)


def narrowed(limbs: Words) -> Words:
    """Drop the limbs on the left that are zero in every row; one limb always stays."""
    used = np.flatnonzero(limbs.any(axis=0))
    first = min(int(used[0]), limbs.shape[1] - 1) if len(used) else limbs.shape[1] - 1
    return np.ascontiguousarray(limbs[:, first:])


def widened(limbs: Words, width: int = LIMBS) -> Words:
    """Put zero limbs on the left until there are `width`."""
    found = np.zeros((len(limbs), width), dtype=np.uint64)
    found[:, width - limbs.shape[1] :] = limbs
    return found


def ints(limbs: Words) -> list[int]:
    """Return rows of limbs as integers, exact."""
    return integers(widened(limbs))


def floats(limbs: Words) -> Floats:
    """Return rows of limbs as floats, rounded `ROUNDINGS` times at most; exact below 2**53, never above 2**256."""
    found = np.zeros(len(limbs), dtype=np.float64)
    for place in range(limbs.shape[1]):
        found *= _LIMB
        found += limbs[:, place]
    return found
