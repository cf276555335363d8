"""Many contract calls in one: the input of a multicall's `aggregate3`, and its answer, decoded all at once.

An answer comes from a contract whose code may be anything, over a node that may say anything. Taken is only the one
layout that the ABI's encoders write: elements one behind the other in their order, nothing between and nothing after
them. So offsets can't point outside, at each other or back, and no length says more than there is. Two hundred results
take less than 100 us; words stay exact, as four limbs of 64 bits each.

Sources: the contract ABI specification (docs.soliditylang.org); mds1/multicall3 for the interface.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

SELECTOR: Final = bytes.fromhex("82ad56cb")
"""Of `aggregate3((address target, bool allowFailure, bytes callData)[])`, which answers `(bool, bytes)[]`."""

_WORD: Final = 32
_LIMBS: Final = 4
_BYTES: Final = np.arange(_WORD)
_THREE: Final = np.arange(3)
_HEAD: Final = 3 * _WORD
"""What precedes the bytes of a result: whether it succeeded, the offset of its bytes, and their length."""

Words = npt.NDArray[np.uint64]
"""Words of 256 bits, shape (n, 4): four limbs each, the highest first."""


class LayoutError(ValueError):
    """Bytes that no encoder of the ABI writes; the message says what of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call: a contract's address of 20 bytes, and what it is called with."""

    target: bytes
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Results:
    """What the calls of one aggregate returned, in their order.

    `succeeded` of shape (n,); the result of call i is `data[starts[i]:starts[i] + lengths[i]]`, of one that failed what
    it reverted with.
    """

    data: bytes
    succeeded: npt.NDArray[np.bool_]
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def result(self, at: int) -> bytes:
        """Return the bytes that one call returned."""
        start = int(self.starts[at])
        return self.data[start : start + int(self.lengths[at])]

    def is_word(self) -> npt.NDArray[np.bool_]:
        """Tell of each call whether it succeeded and returned just one word, shape (n,)."""
        found: npt.NDArray[np.bool_] = self.succeeded & (self.lengths == _WORD)
        return found

    def words(self) -> Words:
        """Return the word of each result, shape (n, 4); zero where `is_word` says that there is not just one."""
        found = np.zeros((len(self), _LIMBS), dtype=np.uint64)
        at = np.flatnonzero(self.is_word())
        if len(at):
            data = np.frombuffer(self.data, dtype=np.uint8)
            found[at] = data[self.starts[at][:, None] + _BYTES].view(">u8")
        return found


def encode(calls: Sequence[Call]) -> bytes:
    """Return the input of an aggregate of these calls, each of which may fail by itself."""
    offset, heads, tails = _WORD * len(calls), [], []
    for call in calls:
        heads.append(_word(offset))
        size = len(call.data)
        tail = (
            _word(int.from_bytes(call.target))
            + _word(1)
            + _word(_HEAD)
            + _word(size)
            + call.data
            + bytes(-size % _WORD)
        )
        tails.append(tail)
        offset += len(tail)
    return SELECTOR + _word(_WORD) + _word(len(calls)) + b"".join(heads) + b"".join(tails)


def decode(answer: bytes, count: int) -> Results:
    """Return the results of `count` calls. Raises LayoutError unless it is of just so many, as encoders write it."""
    if len(answer) % _WORD or len(answer) < _WORD * (2 + count):
        raise LayoutError(f"{len(answer)} bytes, where {count} results have more or end at a word")
    limbs = _limbs(answer)
    small = _small(limbs[: 2 + count])
    if small[0] != _WORD or small[1] != count:
        raise LayoutError(f"no list of {count} results")
    base = 2 * _WORD
    offsets = small[2:]
    end = len(answer) - base
    # Three words have to fit behind each offset; one that does not fit into 63 bits reads as -1.
    if ((offsets < 0) | (offsets > end - _HEAD) | (offsets % _WORD != 0)).any():
        raise LayoutError("an offset that points outside of the answer")
    heads = _small(limbs[((base + offsets) // _WORD)[:, None] + _THREE].reshape(-1, _LIMBS)).reshape(-1, 3)
    flags, inner, lengths = heads[:, 0], heads[:, 1], heads[:, 2]
    if ((flags < 0) | (flags > 1)).any():
        raise LayoutError("a flag that is neither true nor false")
    if (inner != 2 * _WORD).any():
        raise LayoutError("bytes that do not follow their flag")
    if ((lengths < 0) | (lengths > end)).any():
        raise LayoutError("a length that goes beyond the answer")
    ends = offsets + _HEAD + (lengths + _WORD - 1) // _WORD * _WORD
    if count and (offsets[0] != _WORD * count or (offsets[1:] != ends[:-1]).any()):
        raise LayoutError("results that do not follow one another")
    if (int(ends[-1]) if count else 0) != end:
        raise LayoutError("results that do not follow one another")
    starts = base + offsets + _HEAD
    _check_padding(answer, starts, lengths)
    return Results(data=answer, succeeded=flags == 1, starts=starts, lengths=lengths)


def _check_padding(answer: bytes, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> None:
    for at in np.flatnonzero(lengths % _WORD):
        end = int(starts[at] + lengths[at])
        if any(answer[end : end + -end % _WORD]):
            raise LayoutError(f"result {at}: more than zeros behind its {lengths[at]} bytes")


def _word(value: int) -> bytes:
    return value.to_bytes(_WORD)


def _limbs(data: bytes) -> npt.NDArray[Any]:
    """Return data as words, shape (n, 4), in the byte order of the wire."""
    return np.frombuffer(data, dtype=">u8").reshape(-1, _LIMBS)


def _small(limbs: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return each word as a number, shape (n,); -1 for one of 2^63 or more."""
    low = limbs[:, 3].astype(np.int64)
    if not limbs[:, :3].any() and (low >= 0).all():
        return low
    return np.where((limbs[:, :3] != 0).any(axis=1), -1, np.maximum(low, -1))


def integers(words: Words) -> list[int]:
    """Return words as unsigned integers, exact."""
    data = words.astype(">u8").tobytes()
    return [int.from_bytes(data[at : at + _WORD]) for at in range(0, len(data), _WORD)]
