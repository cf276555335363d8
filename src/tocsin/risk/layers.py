"""The legs of many rows, turned on their side: the first leg of every row, then the second of those that have one.

A layer is one gather, one product and one sum over plain arrays, so numpy adds up rows leg by leg without counting
where each leg belongs: twice as fast as a weighted count, with the same roundings in the same order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tocsin.risk.amounts import Floats

_Places = npt.NDArray[np.intp]
_CLIP: Final = "clip"
"""Columns of legs are within the factors (`Book`): numpy need not look again, and then writes where it is told to."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """One leg of each row from `first` on, in the order of rising numbers of legs."""

    first: int
    place: _Places
    amount: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layers:
    """All legs of one side, layer by layer; the sums are in the order of the side's rows again."""

    rows: int
    order: _Places | None
    """Rows by rising number of legs; None where they lie like that already."""
    all: tuple[Layer, ...]

    @property
    def nbytes(self) -> int:
        """Return the size of what a side keeps for this."""
        legs = sum(layer.place.nbytes + layer.amount.nbytes for layer in self.all)
        return legs + (0 if self.order is None else self.order.nbytes)

    def sums(self, factors: Sequence[Floats], steps: Sequence[Floats] = ()) -> list[Floats]:
        """Return of each row the sum of amount by factor, for each factor, and the sum of each of `steps` alone."""
        found = [np.zeros(self.rows) for _ in range(len(factors) + len(steps))]
        room = np.empty(self.rows)
        for layer in self.all:
            of_leg = room[layer.first :]
            for at, each in enumerate((*factors, *steps)):
                np.take(each, layer.place, out=of_leg, mode=_CLIP)
                if at < len(factors):
                    np.multiply(of_leg, layer.amount, out=of_leg)
                so_far = found[at][layer.first :]
                np.add(so_far, of_leg, out=so_far)
        return [self._in_rows(each) for each in found]

    def tables(self, factors: Floats) -> Floats:
        """Return of each row the sums by many factors at once, shape (columns, factors) to (rows, factors)."""
        found, room = np.zeros((self.rows, factors.shape[1])), np.empty((self.rows, factors.shape[1]))
        for layer in self.all:
            of_leg, so_far = room[layer.first :], found[layer.first :]
            np.take(factors, layer.place, axis=0, out=of_leg, mode=_CLIP)
            np.multiply(of_leg, layer.amount[:, None], out=of_leg)
            np.add(so_far, of_leg, out=so_far)
        return self._in_rows(found)

    def _in_rows(self, sums: Floats) -> Floats:
        if self.order is None:
            return sums
        found = np.empty_like(sums)
        found[self.order] = sums
        return found


def layers(ptr: npt.NDArray[np.int64], place: _Places, amount: Floats) -> Layers:
    """Return the legs of rows, which begin at `ptr`, in layers."""
    counts = np.diff(ptr)
    is_rising = bool((counts[1:] >= counts[:-1]).all())
    order = None if is_rising else np.argsort(counts, kind="stable")
    begins, sorted_counts = (ptr[:-1], counts) if order is None else (ptr[:-1][order], counts[order])
    all_ = []
    for at in range(int(counts.max(initial=0))):
        first = int(np.searchsorted(sorted_counts, at, side="right"))
        legs = begins[first:] + at
        all_.append(Layer(first=first, place=place[legs], amount=amount[legs]))
    return Layers(rows=len(counts), order=order, all=tuple(all_))
