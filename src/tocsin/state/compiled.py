"""A phase of a plan as questions: written once, and again only when a node's share changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tocsin.chain.readload import WHOLE, Limits, Wanted, cut, load
from tocsin.model.reading import CallOf, Item, ProofOf
from tocsin.wire import aggregator, multicall
from tocsin.wire.multicall import Call, Results
from tocsin.wire.prepared import Prepared

_MOST_KEPT: Final = 4
"""Cuts that are kept: nodes mostly have the same few shares. Each has the size of all questions."""
_MOST_APART: Final = 10_000
_MOST_KEYS: Final = 32
"""Slots of one account in one question: their proofs are some 200 kB."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Calls that go out as one aggregate: their places in the plan, and what share of the limits they take."""

    places: npt.NDArray[np.int64]
    load: int
    request: Prepared


class Compiled:
    """What is wanted in one phase."""

    def __init__(self, wanted: tuple[Wanted, ...], limits: Limits, apart: set[Item]) -> None:
        """`apart` are calls that are known to have to be asked by themselves; what is found out is added."""
        self.wanted = wanted
        self.limits = limits
        self.calls = tuple(at for at, one in enumerate(self.wanted) if isinstance(one.item, CallOf))
        self.slots = tuple(at for at, one in enumerate(self.wanted) if not isinstance(one.item, CallOf))
        self.together = tuple([at for at in self.calls if _fits(wanted[at]) and wanted[at].item not in apart])
        """The places of calls that may share a question."""
        self._apart = apart
        self._kept: dict[tuple[int, bytes], list[Chunk]] = {}

    def keep_apart(self, at: int) -> None:
        """Note that a call does well by itself and not among others: from now on it is asked by itself."""
        if len(self._apart) >= _MOST_APART:
            self._apart.clear()
        self._apart.add(self.wanted[at].item)
        self.together = tuple([place for place in self.together if place != at])
        self._kept.clear()

    def chunks(self, at: Sequence[int] | None, share: int, target: bytes, code: bytes) -> list[Chunk]:
        """Return the aggregates for the calls at these places, for all that may share one without `at`."""
        if at is not None:
            return self._cut(at, share, target, code)
        key = share, target
        if key not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = self._cut(self.together, share, target, code)
        return self._kept[key]

    def _cut(self, at: Sequence[int], share: int, target: bytes, code: bytes) -> list[Chunk]:
        pieces = cut(self.wanted, at, self.limits, share)
        # All pieces but the last are as full as they can be.
        loads = [share] * (len(pieces) - 1) + [self._load(piece) for piece in pieces[-1:]]
        return [self._chunk(piece, taken, target, code) for piece, taken in zip(pieces, loads, strict=True)]

    def chunk(self, at: Sequence[int], target: bytes, code: bytes) -> Chunk:
        """Return the aggregate of the calls at these places, however many."""
        return self._chunk(at, self._load(at), target, code)

    def _chunk(self, at: Sequence[int], taken: int, target: bytes, code: bytes) -> Chunk:
        call = aggregate([self.wanted[place].item for place in at], target, code)
        return Chunk(np.array(at, dtype=np.int64), taken, Prepared.of(call))

    def _load(self, piece: Sequence[int]) -> int:
        return min(WHOLE, load([self.wanted[at] for at in piece], self.limits))

    def proofs(self, at: Sequence[int]) -> list[tuple[ProofOf, tuple[int, ...]]]:
        """Return the proofs that tell the slots at these places, with the places that each tells, in order of its keys.

        A slot may be wanted more than once; it is asked once.
        """
        by_address: dict[bytes, dict[bytes, None]] = {}
        for place in at:
            item = self.wanted[place].item
            if not isinstance(item, CallOf):
                by_address.setdefault(item.address, {})[item.key] = None
        found = []
        for address, keys in by_address.items():
            slots = tuple(keys)
            for begin in range(0, len(slots), _MOST_KEYS):
                some = slots[begin : begin + _MOST_KEYS]
                told = tuple([place for place in at if self._is_in(place, address, some)])
                found.append((ProofOf(address=address, keys=some), told))
        return found

    def _is_in(self, place: int, address: bytes, keys: Sequence[bytes]) -> bool:
        item = self.wanted[place].item
        return not isinstance(item, CallOf) and item.address == address and item.key in keys


def aggregate(items: Sequence[Item], target: bytes, code: bytes) -> CallOf:
    """Return the call that makes these calls as one; `code` is put in place for it, or a multicall is there."""
    calls = [Call(target=item.to, data=item.data) for item in items if isinstance(item, CallOf)]
    data = aggregator.encode(calls) if code else multicall.encode(calls)
    return CallOf(to=target, data=data, code=code)


def results_of(answer: bytes, count: int, code: bytes) -> Results:
    """Return the results in the answer to an aggregate. Raises LayoutError."""
    return aggregator.decode(answer, count) if code else multicall.decode(answer, count)


def _fits(one: Wanted) -> bool:
    """Tell whether a call may be made by another contract, among others."""
    is_plain = isinstance(one.item, CallOf) and not one.item.code and one.item.to != aggregator.PLACE
    return is_plain and not one.alone
