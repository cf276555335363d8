"""What was read of many contracts at one block: an outcome for each call and slot, words as exact limbs.

A call that reverts has an outcome like any other; one that nobody answered has none, and is never taken for zero.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from tocsin.wire.multicall import Results, Words, integers

_WORD: Final = 32
_LIMBS: Final = 4
_NOWHERE: Final = -1


class Outcome(IntEnum):
    """What became of one read. Closed: stands in arrays."""

    UNKNOWN = 0
    """Nobody answered it, or answers contradict each other."""
    RETURNED = 1
    REVERTED = 2
    """The call reverted by itself, not for what it shares with others."""


_UNKNOWN: Final = int(Outcome.UNKNOWN)
_RETURNED: Final = int(Outcome.RETURNED)


class Values:
    """What a number of reads gave, each by its place in the plan."""

    __slots__ = ("_buffer", "_buffers", "_length", "_start", "confirmed", "is_word", "outcomes", "proven", "words")

    def __init__(self, count: int) -> None:
        """Begin with nothing known."""
        self.outcomes: npt.NDArray[np.uint8] = np.zeros(count, dtype=np.uint8)
        """Of each read its `Outcome`, shape (n,)."""
        self.words: Words = np.zeros((count, _LIMBS), dtype=np.uint64)
        """Of each read the word that it returned, shape (n, 4), highest limb first; zero where `is_word` is not set."""
        self.is_word: npt.NDArray[np.bool_] = np.zeros(count, dtype=np.bool_)
        """Whether it returned just one word, shape (n,)."""
        self.proven: npt.NDArray[np.bool_] = np.zeros(count, dtype=np.bool_)
        """Whether it follows from the header's state root, shape (n,)."""
        self.confirmed: npt.NDArray[np.bool_] = np.zeros(count, dtype=np.bool_)
        """Whether another group was asked for it and said the same, shape (n,)."""
        self._buffers: list[bytes] = []
        self._buffer = np.full(count, _NOWHERE, dtype=np.int32)
        self._start = np.zeros(count, dtype=np.int64)
        self._length = np.zeros(count, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.outcomes)

    @property
    def unknown(self) -> list[int]:
        """The places of reads of which nothing is known."""
        if np.count_nonzero(self.outcomes) == len(self.outcomes):
            return []
        found: list[int] = np.flatnonzero(self.outcomes == _UNKNOWN).tolist()
        return found

    @property
    def is_whole(self) -> bool:
        """Whether every read has an outcome."""
        return bool(np.count_nonzero(self.outcomes) == len(self.outcomes))

    def result(self, at: int) -> bytes | None:
        """Return the bytes that a read returned, None where it reverted or is not known."""
        if self._buffer[at] == _NOWHERE:
            return None
        start, buffer = int(self._start[at]), self._buffers[int(self._buffer[at])]
        return buffer[start : start + int(self._length[at])]

    def integer(self, at: int) -> int | None:
        """Return the word that a read returned as an unsigned integer, None where it returned no word."""
        return integers(self.words[at : at + 1])[0] if self.is_word[at] else None

    def take(self, at: Sequence[int] | npt.NDArray[np.int64], results: Results) -> list[int]:
        """Take an aggregate's results for the reads at these places; return the places of calls that failed in it.

        What fails there may have failed for what it shares with others, so nothing is known of it yet.
        """
        places = np.asarray(at, dtype=np.int64)
        done, words, starts, lengths = results.succeeded, results.words(), results.starts, results.lengths
        failed: list[int] = []
        if not done.all():
            failed = places[~done].tolist()
            places, words, starts, lengths = places[done], words[done], starts[done], lengths[done]
        self.outcomes[places] = _RETURNED
        self.words[places] = words
        self.is_word[places] = lengths == _WORD
        self._buffer[places] = len(self._buffers)
        self._start[places], self._length[places] = starts, lengths
        self._buffers.append(results.data)
        return failed

    def returned(self, at: int, data: bytes, *, proven: bool = False) -> None:
        """Take what one read returned by itself."""
        self.outcomes[at], self.proven[at] = Outcome.RETURNED, proven
        self.is_word[at] = len(data) == _WORD
        self.words[at] = np.frombuffer(data, dtype=">u8") if len(data) == _WORD else 0
        self._buffer[at], self._start[at], self._length[at] = len(self._buffers), 0, len(data)
        self._buffers.append(data)

    def reverted(self, at: int) -> None:
        """Note that a call reverts."""
        self.forget(at)
        self.outcomes[at] = Outcome.REVERTED

    def forget(self, at: int) -> None:
        """Note that nothing is known of a read."""
        self.outcomes[at], self._buffer[at] = Outcome.UNKNOWN, _NOWHERE
        self.words[at], self.is_word[at], self.proven[at], self.confirmed[at] = 0, False, False, False

    def is_same(self, at: int, other: "Values", there: int) -> bool:
        """Tell whether a read gave the same as one of other values, byte by byte."""
        return bool(self.outcomes[at] == other.outcomes[there]) and self.result(at) == other.result(there)
