"""What was handled before the daemon had it on disk: which numbers of the stream, and under which ids.

After a crash of the daemon a number may be another message's, so it is had only together with its id. An id ends in its
number; what stands before that, its stem, names the life of the daemon. Numbers that follow each other in one life are
one piece: a disk that is full for a week makes one of it, however much was said.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tocsin.client.ranges import Span


class Piece(NamedTuple):
    """Numbers that follow each other, and with which stem they were handled."""

    first: int
    last: int
    stem: str


def stem_of(seq: int, id_: str) -> str:
    """Return what stands before the number in the id of a message."""
    return id_.removesuffix(str(seq))


class Frail:
    """Pieces, in order and without overlap. Asked in the time of a binary search."""

    def __init__(self, pieces: Iterable[Piece] = ()) -> None:
        self._pieces: list[Piece] = []
        for piece in pieces:
            self.cut(piece.first, piece.last)
            self._insert(piece)

    def __contains__(self, seq: int) -> bool:
        return self._found(seq) is not None

    def __iter__(self) -> Iterator[Piece]:
        return iter(self._pieces)

    def __len__(self) -> int:
        """How many pieces there are."""
        return len(self._pieces)

    def has(self, seq: int, id_: str) -> bool:
        """Tell whether the message of this id was handled, rather than another of its number."""
        piece = self._found(seq)
        return piece is not None and piece.stem == stem_of(seq, id_)

    def joined(self, seq: int, id_: str) -> Piece:
        """Return the piece that a message will be in once it is added."""
        stem = stem_of(seq, id_)
        before, behind = self._found(seq - 1), self._found(seq + 1)
        first = before.first if before is not None and before.stem == stem else seq
        last = behind.last if behind is not None and behind.stem == stem else seq
        return Piece(first, last, stem)

    def add(self, seq: int, id_: str) -> None:
        """Note that a message was handled; another of its number is forgotten."""
        self.cut(seq, seq)
        piece = self.joined(seq, id_)
        self.cut(piece.first, piece.last)
        self._insert(piece)

    def cut(self, first: int, last: int) -> None:
        """Forget what lies in a stretch."""
        low, high = self._touched(first, last)
        rest = [part for piece in self._pieces[low:high] for part in without(piece, first, last)]
        self._pieces[low:high] = rest

    def within(self, first: int, last: int) -> list[Span]:
        """Return what of a stretch is here."""
        low, high = self._touched(first, last)
        return [(max(first, piece.first), min(last, piece.last)) for piece in self._pieces[low:high]]

    def clear(self) -> None:
        """Forget everything."""
        self._pieces.clear()

    def _insert(self, piece: Piece) -> None:
        self._pieces.insert(bisect_left(self._pieces, piece.first, key=_first), piece)

    def _found(self, seq: int) -> Piece | None:
        at = bisect_right(self._pieces, seq, key=_first) - 1
        return self._pieces[at] if at >= 0 and seq <= self._pieces[at].last else None

    def _touched(self, first: int, last: int) -> tuple[int, int]:
        return bisect_left(self._pieces, first, key=_last), bisect_right(self._pieces, last, key=_first)


def without(piece: Piece, first: int, last: int) -> list[Piece]:
    """Return what is left of a piece when a stretch is cut out of it."""
    rest = [(piece.first, min(piece.last, first - 1)), (max(piece.first, last + 1), piece.last)]
    return [Piece(low, high, piece.stem) for low, high in rest if low <= high]


def _first(piece: Piece) -> int:
    return piece.first


def _last(piece: Piece) -> int:
    return piece.last
