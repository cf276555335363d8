"""Code that makes many calls in one, for nodes that take a contract's code with the question (a state override).

It differs from a deployed multicall (`tocsin.wire.multicall`) in what it lets calls do. Every call is a
STATICCALL: in a multicall a call may write what later ones read, and a plan that reads contracts which anybody may
register would let any of them (an oracle that moves a pool, say) decide what the others return. Here none can; what
needs to write fails, and is asked by itself. And what goes over the wire is packed: a quarter of the bytes.

Input: how many calls, in four bytes; of each the length of its input in four, the address in twenty, the input. Output:
of each call four bytes, the highest bit of which says that it succeeded and the others how long its result is; 28
zeros; the results one behind the other. Nothing may be left over, so there is one way only to write an answer.

Both are `msg.sender` of the calls, and the calls share the gas of one: so what fails in it has not failed yet.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tocsin.wire.multicall import Call, LayoutError, Results

PLACE: Final = bytes.fromhex("746f6373696e2e6167677265676174652e763101")
"""Where the code is put: an address that nobody has, `tocsin.aggregate.v1` and a one."""

CODE: Final = bytes.fromhex(
    "60003560e01c 60021b"  # end = 4 times the first four bytes of the input
    "80601c01 6004 6000"  # f = end + 1c, where the next result goes; p = 4, the call; i = 0
    "5b 83811015605657"  # loop: if i >= end goto done           stack: end f p i
    "813580 60e01c"  # w = calldata[p]; size = its first four bytes
    "80846018018637"  # mem[f..] = calldata[p + 18..] of that size
    "6000600082878560401c5afa"  # ok = staticcall(gas, the next twenty bytes, f, size, 0, 0)
    "601f1b3d1760e01b8352"  # mem[i] = ok in the highest bit, then the size of what was returned, in four bytes
    "3d6000863e"  # mem[f..] = what was returned
    "9260180190509182019150"  # p += 18 + size                    stack: end f p i
    "600401 913d0191"  # i += 4; f += the size of what was returned
    "601156"  # goto loop
    "5b 50506000f3"  # done: return mem[00..f]
)
"""The code; numbers are hex. No instruction is younger than Constantinople (2019), so that any chain has them."""

DEPLOYED: Final = bytes.fromhex("ca11bde05977b3631167028862be2a173976ca11")
"""Where Multicall3 is on most chains. Source: mds1/multicall3."""

DEPLOYED_HASH: Final = bytes.fromhex("d5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891")
"""Keccak of its code there."""

_NUMBER: Final = 4
_GAP: Final = 28
"""A header is written as a word, whose other bytes must not reach into the results."""
_OK: Final = 1 << 31


def encode(calls: Sequence[Call]) -> bytes:
    """Return the input of the code for these calls."""
    told = b"".join([len(call.data).to_bytes(_NUMBER) + call.target + call.data for call in calls])
    return len(calls).to_bytes(_NUMBER) + told


def decode(answer: bytes, count: int) -> Results:
    """Return the results of `count` calls. Raises LayoutError unless it is of just so many, as the code writes it."""
    begin = _NUMBER * count + _GAP
    if len(answer) < begin:
        raise LayoutError(f"{len(answer)} bytes, where {count} results have at least {begin}")
    if any(answer[begin - _GAP : begin]):
        raise LayoutError("more than zeros before the first result")
    headers = np.frombuffer(answer, dtype=">u4", count=count).astype(np.int64)
    lengths = headers & (_OK - 1)
    ends = begin + np.cumsum(lengths)
    if (int(ends[-1]) if count else begin) != len(answer):
        raise LayoutError("results that are not as long as the answer")
    return Results(data=answer, succeeded=headers >= _OK, starts=ends - lengths, lengths=lengths)
