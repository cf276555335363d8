"""Rules by which systems decide which of their nodes is right, each cut down to what it does with one snapshot.

Written from what is publicly known of how they work, in our own words; time windows, bans and smoothing are left out,
for us as for the others. Where a rule goes by heights, whoever has that height may be served: `heads` has all of those.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks._pools import FLOOR, Pool
from tocsin.chain.agreement import agree
from tocsin.chain.tree import relation
from tocsin.model.alert import Grade
from tocsin.model.view import Agreement, Ahead, Behind, Forked, Unlinked


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a rule makes of a pool."""

    heads: frozenset[str] = frozenset()
    """The blocks that it may serve as the head; none when it serves none."""
    evicted: frozenset[str] = frozenset()
    """Nodes that it throws out or names as faulty."""
    says: str = ""
    """What it says is wrong, where it names nobody."""


Rule = Callable[[Pool], Verdict]


def _heights(pool: Pool) -> dict[str, int]:
    return {name: head.number for name, head in pool.heads.items()}


def _at(pool: Pool, nodes: set[str], height: int) -> frozenset[str]:
    """Return the blocks that these nodes have at a height."""
    return frozenset(block for name in nodes if (block := pool.block(name, height)) is not None)


def max_lag(pool: Pool, limit: int = 5) -> Verdict:
    """Chainlink MultiNode: the highest head is right, and who is more than five blocks behind it is out of sync."""
    heights = _heights(pool)
    top = max(heights.values(), default=0)
    late = {name for name, height in heights.items() if top - height > limit}
    if late == set(heights):  # the last node alive is kept
        late = set()
    return Verdict(heads=_at(pool, set(heights) - late, top), evicted=frozenset(late))


def walk_back(pool: Pool, limit: int = 8) -> Verdict:
    """proxyd: of those within eight blocks of the highest, the lowest head; then back until all have the same block.

    Who does not have a block, or cannot tell, is passed over, as if it agreed.
    """
    heights = _heights(pool)
    top = max(heights.values(), default=0)
    kept = {name for name, height in heights.items() if top - height <= limit}
    proposed = min((heights[name] for name in kept), default=0)
    while proposed > FLOOR and len(_at(pool, kept, proposed)) > 1:
        proposed -= 1
    return Verdict(heads=_at(pool, kept, proposed), evicted=frozenset(set(heights) - kept))


def median_tip(pool: Pool, limit: int = 16) -> Verdict:
    """eRPC: the head in the middle (of two the lower); who is 16 blocks behind the second highest is dropped."""
    heights = _heights(pool)
    falling = sorted(heights.values(), reverse=True)
    if not falling:
        return Verdict()
    tip, reference = falling[len(falling) // 2], falling[min(1, len(falling) - 1)]
    late = {name for name, height in heights.items() if reference - height >= limit}
    return Verdict(heads=_at(pool, set(heights) - late, tip), evicted=frozenset(late))


def hash_vote(pool: Pool, least: int = 2) -> Verdict:
    """web3-proxy: the highest head that two nodes show, by hash; only those who show it are used."""
    votes = Counter(head.hash for head in pool.heads.values())
    shown = {head.hash: head.number for head in pool.heads.values()}
    winners = [name for name, count in votes.items() if count >= least]
    if not winners:
        return Verdict(says="no head")
    best = max(winners, key=lambda name: (shown[name], votes[name], name))
    others = {name for name, head in pool.heads.items() if head.hash != best}
    return Verdict(heads=frozenset({best}), evicted=frozenset(others))


NOTHING = Agreement(grade=Grade.BLIND, block=None, since_ns=None, votes=0, voting_groups=0, groups=0)
_WORDS = {
    Grade.SPLIT: "split",
    Grade.UNCORROBORATED: "uncorroborated",
    Grade.MAJORITY: "majority only",
    Grade.BLIND: "blind",
}


def group_quorum(pool: Pool, lag: int = 3, ahead: int = 4, depth: int = 2) -> Verdict:
    """Return Tocsin's verdict: `chain.agreement` and, for what is said of the nodes, the shipped limits.

    Behind by `lag` is named as lagging, off the chain by `depth` as forked, unlinked and `ahead` as a phantom. A linked
    node ahead by `lag` is nobody's fault: it says that the majority stands.
    """
    votes = {name: head.hash for name, head in pool.heads.items()}
    decision = agree(pool.tree, votes, pool.groups, NOTHING, 1)
    block = decision.agreement.block
    says = _WORDS.get(decision.agreement.grade, "")
    if block is None:
        return Verdict(says=says)
    stands = {name: relation(pool.tree, head, block) for name, head in pool.heads.items()}
    evicted, fresher = set(), set()
    for name, stand in stands.items():
        match stand:
            case Behind(blocks=count) if count >= lag:
                evicted.add(name)
            case Forked(depth=count) if count >= depth:
                evicted.add(name)
            case Unlinked(ahead=count) if count >= ahead:
                evicted.add(name)
            case Ahead(blocks=count) if count >= lag:
                fresher.add(name)
    if fresher and not says:
        says = f"{', '.join(sorted(fresher))} ahead"
    if decision.agreement.grade is Grade.SPLIT:
        evicted = set()  # where it is one against one, nobody is named
    return Verdict(heads=frozenset({block.hash}), evicted=frozenset(evicted), says=says)


RULES: Mapping[str, Rule] = {
    "max-lag (MultiNode)": max_lag,
    "hash walk-back (proxyd)": walk_back,
    "median tip (eRPC)": median_tip,
    "hash vote (web3-proxy)": hash_vote,
    "tree and group quorum (Tocsin)": group_quorum,
}
