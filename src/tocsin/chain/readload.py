"""How many reads go into one question: as many as a node answers at once, by count, by gas and by what they return.

What a node allows is nowhere to be asked: 50 million gas at one, 10 million at the next, a megabyte, five seconds. So
each has a share of what is allowed at most (`tocsin.chain.logspan`, in thousandths): halved where it refuses, grown
where it serves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tocsin.chain.logspan import Span
from tocsin.model.reading import CallOf, SlotOf

WHOLE: Final = 1_000
"""The share of a node that answers as much at once as is asked at most."""

FIRST_SHARE: Final = Span(size=WHOLE // 4, most=WHOLE)
"""What is tried with a node of which nothing is known."""

_OVERHEAD: Final = 4 * 32
"""Bytes that a result takes in an answer beside its own: an offset, a flag, another offset, a length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One call or slot of a plan, and what it takes.

    `gas` is what the call may need, `answer` how many bytes it returns; both may be too much, and then only make
    questions smaller. One that has to be asked by itself (`alone`) is never put into an aggregate, whose contract would
    be its `msg.sender`.
    """

    item: CallOf | SlotOf
    gas: int = 100_000
    answer: int = 32
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is asked at most in one question."""

    calls: int = 1_000
    gas: int = 40_000_000
    """geth answers calls of 50 million (`--rpc.gascap`), and each call leaves what it does not need to the next."""
    answer: int = 512 * 1024
    """Bytes; the session reads 2 MB of hex."""


def load(wanted: Sequence[Wanted], limits: Limits) -> int:
    """Return what share of the limits some reads take together, in thousandths, rounded up."""
    gas = sum(one.gas for one in wanted)
    answer = sum(one.answer + _OVERHEAD for one in wanted)
    shares = ((len(wanted), limits.calls), (gas, limits.gas), (answer, limits.answer))
    return max(-(-WHOLE * taken // most) for taken, most in shares)


def cut(wanted: Sequence[Wanted], at: Sequence[int], limits: Limits, share: int) -> list[tuple[int, ...]]:
    """Return the places `at` in pieces, in order, each within a share of the limits, or of just one read."""
    most = tuple(limit * share // WHOLE for limit in (limits.calls, limits.gas, limits.answer))
    pieces: list[tuple[int, ...]] = []
    piece: list[int] = []
    calls = gas = answer = 0
    for place in at:
        one = wanted[place]
        calls, gas, answer = calls + 1, gas + one.gas, answer + one.answer + _OVERHEAD
        if piece and (calls > most[0] or gas > most[1] or answer > most[2]):
            pieces.append(tuple(piece))
            piece, calls, gas, answer = [], 1, one.gas, one.answer + _OVERHEAD
        piece.append(place)
    return [*pieces, tuple(piece)] if piece else pieces
