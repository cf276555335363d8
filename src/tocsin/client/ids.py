"""Which messages were handled, by their ids: numbers alone do not tell.

A daemon whose state directory was put back to an earlier one, as from a backup, gives numbers again: under one that a
consumer has, something else is said then. And whoever may write to the topics could say something under the next
number, so that what the daemon says under it would look like a repetition. An id is given once for all.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from tocsin.client.frail import Piece, stem_of
from tocsin.client.ranges import Ranges, Span

MOST_PIECES: Final = 1_000
"""Stretches that are remembered: one of each life of a daemon, hardly more. Of lives longer ago numbers are enough."""


class Ids:
    """Numbers by the stem of their id. The same number may be there under several."""

    def __init__(self, pieces: Iterable[Piece] = ()) -> None:
        self._numbers: OrderedDict[str, Ranges] = OrderedDict()
        for piece in pieces:
            self._note(piece)

    def __len__(self) -> int:
        """How many stretches there are."""
        return sum(map(len, self._numbers.values()))

    def has(self, seq: int, id_: str) -> bool:
        """Tell whether the message of this id was handled."""
        return seq in self._numbers.get(stem_of(seq, id_), ())

    def knows(self, seq: int) -> bool:
        """Tell whether it is known under which id a message of this number was handled."""
        return any(seq in numbers for numbers in self._numbers.values())

    def joined(self, seq: int, id_: str) -> Piece:
        """Return the stretch that a message will be in once it is added."""
        stem = stem_of(seq, id_)
        return Piece(*self._numbers.get(stem, Ranges()).merge(seq, seq).span, stem)

    def add(self, seq: int, id_: str) -> None:
        """Note that a message was handled; beyond the bound the life that was heard of longest ago is forgotten."""
        self._note(Piece(seq, seq, stem_of(seq, id_)))

    def _note(self, piece: Piece) -> None:
        self._numbers.setdefault(piece.stem, Ranges()).add(piece.first, piece.last)
        self._numbers.move_to_end(piece.stem)
        while len(self._numbers) > 1 and len(self) > MOST_PIECES:
            self._numbers.popitem(last=False)

    def since(self, low: int) -> list[Span]:
        """Return the known numbers from here on, as stretches that may overlap."""
        spans = (span for numbers in self._numbers.values() for span in numbers)
        return [(max(first, low), last) for first, last in spans if last >= low]

    def others(self, low: int, stem: str) -> int | None:
        """Return the lowest known number from here on that this life did not give; None where there is none."""
        found = (
            max(first, low)
            for one, numbers in self._numbers.items()
            for first, last in numbers
            if one != stem and last >= low
        )
        return min(found, default=None)
