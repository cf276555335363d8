"""Pools of nodes of which the truth is known: ten by hand, and as many more as a seeded generator makes.

The main chain is at block 1000. What a node is, is decided before any rule sees it:

* *healthy*: on the honest chain, at most two blocks below its head, or on the other side of a race for that block;
* *stuck*: on the honest chain, at least 20 blocks below: no liar, and of no use;
* *liar*: shows a fork of at least two blocks, or a phantom that is linked to nothing. All liars are in one group;
* *silent*: shows nothing.
"""

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from benchmarks._settings import node_of
from tocsin.chain.groups import Groups, group_nodes
from tocsin.chain.tree import HeaderTree, insert
from tocsin.model.block import Header, Verification
from tocsin.model.settings import NodeSettings

HEAD = 1000
FLOOR = 700
SKEW = 2
"""How far a healthy node may be behind."""
STUCK = 20
"""How far a stuck one is behind at least: past the limit of every rule."""
PHANTOM = 30_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What each node shows, what it is, and the headers from which every block of every node can be read."""

    groups: Groups
    heads: Mapping[str, Header]
    """By node; silent ones have none."""
    tree: HeaderTree
    liars: frozenset[str] = frozenset()
    stuck: frozenset[str] = frozenset()
    honest: frozenset[str] = field(default_factory=frozenset)
    """The hashes of every block that is no lie."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes, also silent ones, in order."""
        return tuple(sorted(node for group in self.groups.groups for node in group.nodes))

    @property
    def healthy(self) -> frozenset[str]:
        """Nodes that nobody may throw out."""
        return frozenset(self.heads) - self.liars - self.stuck

    def block(self, node: str, number: int) -> str | None:
        """Return the hash of the block that this node has at a height; None where it has none, or nobody knows it."""
        at: Header | None = self.heads.get(node)
        while at is not None and at.number > number:
            at = self.tree.headers.get(at.parent_hash)
        return at.hash if at is not None and at.number == number else None


def named(text: str) -> str:
    """Return a block hash for a name."""
    return "0x" + hashlib.sha256(text.encode()).hexdigest()


@cache
def header(number: int, branch: str = "main", after: str | None = None) -> Header:
    """Return a block of a branch; `after` names the branch of its parent where that is another one."""
    return Header(
        number=number,
        hash=named(f"{branch}/{number}"),
        parent_hash=named(f"{after or branch}/{number - 1}"),
        timestamp=1_700_000_000 + 12 * number,
        state_root=named(f"state {branch}/{number}"),
        verification=Verification.MATCH,
    )


def fork(branch: str, parting: int, head: int, after: str = "main") -> list[Header]:
    """Return the blocks of a branch that leaves after block `parting`."""
    return [header(number, branch, after if number == parting + 1 else None) for number in range(parting + 1, head + 1)]


MAIN = [header(number) for number in range(FLOOR, HEAD + 3)]
_MAIN_TREE = insert(HeaderTree(), *MAIN)
_MAIN_HASHES = frozenset(block.hash for block in MAIN)


def _by_hand(spec: str, *, liars: str = "", stuck: str = "") -> Pool:
    """Return a pool for a spec such as "A=1000 P1/P=1000f": node, group where it has others, head on main or fork."""
    side = fork("fork", 998, HEAD + 3)
    phantom = header(PHANTOM, "phantom")
    members, heads = [], {}
    for item in spec.split():
        label, _, text = item.partition("=")
        name, _, provider = label.partition("/")
        members.append(node_of(name, provider or name))
        match text[-1]:
            case "p":
                heads[name] = phantom
            case "f":
                heads[name] = header(int(text[:-1]), "fork")
            case _:
                heads[name] = header(int(text))
    heads = {name: _of([*MAIN, *side, phantom], head) for name, head in heads.items()}
    return Pool(
        groups=group_nodes(members),
        heads=heads,
        tree=insert(_MAIN_TREE, *side, phantom),
        liars=frozenset(liars.split()),
        stuck=frozenset(stuck.split()),
        honest=_MAIN_HASHES,
    )


def _of(blocks: list[Header], wanted: Header) -> Header:
    return next(block for block in blocks if block.hash == wanted.hash)


BY_HAND: Mapping[str, Pool] = {
    "all level": _by_hand("A=1000 B=1000 C=1000"),
    "normal skew": _by_hand("A=1000 B=1000 C=999"),
    "one frozen node": _by_hand("A=1000 B=1000 C=940", stuck="C"),
    "phantom at 30 M, 1 of 3": _by_hand("A=1000 B=1000 C=p", liars="C"),
    "phantom, 1 of 2": _by_hand("A=1000 C=p", liars="C"),
    "1 of 3 forked at the same height": _by_hand("A=1000 B=1000 C=1000f", liars="C"),
    "two nodes of one provider forked, 1 not": _by_hand("O=1000 P1/P=1001f P2/P=1001f", liars="P1 P2"),
    "two nodes of one provider frozen, 1 not": _by_hand("O=1000 P1/P=940 P2/P=940", stuck="P1 P2"),
    "3 of 5 frozen": _by_hand("A=950 B=950 C=950 D=1000 E=1000", stuck="A B C"),
    "1 of 2 forked": _by_hand("A=1000 B=1000f", liars="B"),
}


def random_pools(count: int, seed: int) -> Iterator[Pool]:
    """Yield pools of two to six groups of one to three nodes, with liars, forks, phantoms, lag, races and silence."""
    rng = random.Random(seed)  # noqa: S311 - a simulation
    for number in range(count):
        yield _random_pool(rng, f"{seed}/{number}")


def _random_pool(rng: random.Random, salt: str) -> Pool:
    sizes = [rng.randint(1, 3) for _ in range(rng.randint(2, 6))]
    members = [node_of(f"g{at}n{index}", f"g{at}") for at, size in enumerate(sizes) for index in range(size)]
    names = [member.name for member in members]
    blocks, honest = [], set(_MAIN_HASHES)
    heads = {name: header(HEAD - rng.choice((0, 0, 0, 1, SKEW))) for name in names}
    if rng.random() < 0.15:
        rival = header(HEAD, f"race {salt}", "main")
        blocks.append(rival)
        honest.add(rival.hash)
        heads.update({name: rival for name in names if heads[name].number == HEAD and rng.random() < 0.4})
    stuck = _stuck(rng, names)
    heads.update({name: header(at) for name, at in stuck.items()})
    lies = _lies(rng, members, salt) if rng.random() < 0.6 else {}
    for name, lie in lies.items():
        heads[name] = lie[-1]
        blocks += lie
    share = rng.choice((0.0, 0.0, 0.1, 0.3))
    for name in names:
        if rng.random() < share:
            del heads[name]
    return Pool(
        groups=group_nodes(members),
        heads=heads,
        tree=insert(_MAIN_TREE, *blocks),
        liars=frozenset(lies) & frozenset(heads),
        stuck=(frozenset(stuck) - frozenset(lies)) & frozenset(heads),
        honest=frozenset(honest),
    )


def _stuck(rng: random.Random, names: list[str]) -> dict[str, int]:
    """Return who stands still and where: mostly a few, each by itself; now and then many at one block."""
    if rng.random() < 0.15:
        at = HEAD - rng.randint(STUCK, 200)
        return {name: at for name in names if rng.random() < 0.6}
    return {name: HEAD - rng.randint(STUCK, 200) for name in names if rng.random() < 0.08}


def _lies(rng: random.Random, members: list[NodeSettings], salt: str) -> dict[str, list[Header]]:
    """Return the liars of one group, each with the blocks that it made up, its head last."""
    provider = rng.choice(members).provider
    group = [member.name for member in members if member.provider == provider]
    liars = group if rng.random() < 0.7 else rng.sample(group, rng.randint(1, len(group)))
    lies = [_lie(rng, f"lie {salt}/{version}") for version in range(rng.choice((1, 1, 2)))]
    return {name: rng.choice(lies) for name in liars}


def _lie(rng: random.Random, branch: str) -> list[Header]:
    if rng.random() < 0.35:
        return [header(HEAD + rng.choice((10, 100, 5_000, PHANTOM)), branch)]
    head = HEAD + rng.randint(-3, 5)
    return fork(branch, head - rng.randint(2 + max(0, head - HEAD), 40), head)
