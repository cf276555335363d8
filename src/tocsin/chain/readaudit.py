"""Which reads are asked of a second group, and how long a group that lies in some of them stays unfound.

Drawn by a salt that no node knows, anew for every block: whoever answers cannot tell which of its answers are held
against others. Of a group that answers one reading in G, and lies in m reads of each, a reading finds a lie with the
chance 1 - (1 - 1/k)^m, so that it takes G / (1 - (1 - 1/k)^m) blocks on average, about G k / m where m is well below k.
"""

import math
import random
from hashlib import sha256


def drawn(salt: bytes, block_hash: str, phase: str, count: int, one_in: int) -> tuple[int, ...]:
    """Return which of `count` reads are audited at a block, each with the chance 1 in `one_in`; 0 audits none."""
    if one_in <= 1:
        return tuple(range(count)) if one_in == 1 else ()
    seed = sha256(b"%b|%b|%b" % (salt, block_hash.encode(), phase.encode())).digest()
    rng = random.Random(seed)  # noqa: S311 - seeded by a secret, and reproducible
    found: list[int] = []
    at = -1
    scale = math.log1p(-1 / one_in)
    while True:
        # The gaps between those that are drawn are geometric: as many numbers as audits, not as reads.
        at += 1 + int(math.log(1 - rng.random()) / scale)
        if at >= count:
            return tuple(found)
        found.append(at)


def blocks_until_found(*, one_in: int, lies: int, groups: int) -> float:
    """Return after how many blocks, on average, one of `groups` is found that lies in `lies` reads of each reading."""
    if one_in < 1 or lies < 1 or groups < 1:
        return math.inf
    return groups / -math.expm1(lies * math.log1p(-1 / one_in)) if one_in > 1 else float(groups)
