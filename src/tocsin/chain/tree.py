"""The observation tree: every header that any node has shown, keyed by its hash and linked by parent.

Heights cannot tell a node that is behind from one that is on another chain; ancestry can. All relations between heads,
to the agreed head and between forks, are read from here. The tree is a value: what changes it returns another one, and
the order in which headers came leaves no trace.

A header that nobody can verify is a claim of whoever showed it. It is taken for true until somebody contradicts it:
then each node is believed about its own head, and nobody about others'. What two groups have shown alike stands,
whatever one group says of it later. A header that was verified needs a verified parent; that costs its own link alone,
and never takes from the tree what others show.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from tocsin.model.block import BlockRef, Header, Verification
from tocsin.model.evolve import evolve
from tocsin.model.view import Ahead, Behind, Forked, Level, Relation, Unlinked

BACKFILL = 64
"""How many headers a gap may lack before asking for them is given up."""

RUN = 16
"""So many headers are asked for in one request at most: a batch of the size that nearly all nodes take."""

_WIDENS = 3
"""How much wider each question is than all before it: a reorg of one or two blocks costs what it costs one by one, one
of 64 takes six round trips."""

_MATCH = Verification.MATCH
_Core = tuple[int, str, int, str]

Point = Header | BlockRef
"""A block whose height and hash are known, in the tree or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderTree:
    """Headers by hash. Nobody writes to `headers`."""

    headers: Mapping[str, Header] = field(default_factory=dict)
    contested: frozenset[str] = frozenset()
    """Unverifiable hashes that came with different contents: what such a header says of its parent is not believed. One
    verified header settles it, or two groups that say the same."""
    corroborated: frozenset[str] = frozenset()
    """Unverifiable hashes whose content two groups or more have shown alike as their own heads, and fewer otherwise."""
    verifies: bool = False
    """Whether this chain's headers hash as Ethereum's do: the parent of one that verified must then verify as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How much of a chain is kept, in blocks.

    `depth` below the anchor always; `reach` below it, if a node's head is that far behind; `cap` headers at most. A
    header costs about 1 kB.
    """

    depth: int = 256
    reach: int = 1024
    cap: int = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A header to ask for: the ancestor `hash` of `head`, which the nodes that show `head` should have.

    Where more are lacking below it, `run` is how many of them, it among them, are worth asking for at once.
    """

    hash: str
    head: BlockRef
    number: int
    run: int = 1


@dataclass(frozen=True, slots=True)
class _Gap:
    """Two chains that do not meet in the tree. `left` and `right` are parents to fetch, where fetching helps."""

    left: tuple[str, int] | None
    right: tuple[str, int] | None
    span: int
    """How many headers lack at least between the heights where the walks ended."""
    floor: int
    """The height below which nothing more is asked for."""
    deep: bool
    apart: int
    doubted: bool
    """Whether a walk ended at a hash that came with different contents."""


def insert(tree: HeaderTree, *headers: Header) -> HeaderTree:
    """Return the tree with the headers in it. A header that does not hash to its hash is not taken."""
    fresh = [header for header in headers if _adds(tree, header)]
    if not fresh:
        return tree
    known = dict(tree.headers)
    contested = set(tree.contested)
    for header in fresh:
        old = known.get(header.hash)
        known[header.hash] = header if old is None else _preferred(old, header)
        if header.verification is _MATCH:
            contested.discard(header.hash)
        elif old is not None and old.verification is not _MATCH and _core(old) != _core(header):
            contested.add(header.hash)
    return evolve(tree, headers=known, contested=frozenset(contested))


def _adds(tree: HeaderTree, header: Header) -> bool:
    old = tree.headers.get(header.hash)
    if header.verification is Verification.MISMATCH:
        return False
    if old is None or header.verification is _MATCH:
        return old is None or old.verification is not _MATCH
    return old != header and old.verification is not _MATCH and header.hash not in tree.corroborated


def _preferred(old: Header, new: Header) -> Header:
    """Choose between two contents of one hash: the verified one, else one that does not depend on who came first."""
    return min(old, new, key=lambda one: (one.verification is not _MATCH, _content(one)))


def _core(header: Header) -> _Core:
    """Return what all clients show alike; of the rest one may leave out what another adds."""
    return (header.number, header.parent_hash, header.timestamp, header.state_root)


def _content(header: Header) -> tuple[_Core, tuple[int, ...]]:
    extras = (header.base_fee, header.gas_used, header.gas_limit)
    return _core(header), tuple(-1 if extra is None else extra for extra in extras)


def credible(tree: HeaderTree, header: Header) -> bool:
    """Whether an answer for a header that was asked for is taken.

    One that proves nothing is anybody's claim: it disputes nothing that is there, and has to fit who rests on it.
    """
    if header.verification is _MATCH:
        return True
    if header.hash in tree.headers:
        return False
    children = [child for child in tree.headers.values() if child.parent_hash == header.hash]
    return not children or any(child.number == header.number + 1 for child in children)


def settled(tree: HeaderTree, words: Iterable[Sequence[Iterable[Header]]]) -> HeaderTree:
    """Return the tree with unverifiable hashes as two groups or more say they are, where fewer say otherwise.

    `words` are the heads that each node has shown lately, by group; a group says what more than half of its nodes say.
    """
    said: dict[str, Counter[_Core]] = {}
    contents: dict[tuple[str, _Core], Header] = {}
    for group in words:
        count: Counter[tuple[str, _Core]] = Counter()
        for shown in group:
            own = {(header.hash, _core(header)): header for header in shown if _is_open(tree, header.hash)}
            contents |= own
            count.update(own.keys())
        for (name, core), nodes in count.items():
            if 2 * nodes > len(group):
                said.setdefault(name, Counter())[core] += 1
    found: dict[str, Header] = {}
    for name, counts in said.items():
        first, second = [*sorted(counts.values(), reverse=True), 0][:2]
        if first > max(1, second):
            found[name] = contents[name, max(counts, key=counts.__getitem__)]
    if not found:
        return tree
    other = {name: header for name, header in found.items() if _core(tree.headers[name]) != _core(header)}
    return evolve(
        tree,
        headers={**tree.headers, **other} if other else tree.headers,
        contested=tree.contested - found.keys(),
        corroborated=tree.corroborated | found.keys(),
    )


def _is_open(tree: HeaderTree, name: str) -> bool:
    known = tree.headers.get(name)
    return known is not None and known.verification is not _MATCH and name not in tree.corroborated


def parent(tree: HeaderTree, block: Point) -> Header | None:
    """Return the parent of a block; None where it is not known, or does not link by number or by what verified.

    Who puts a known hash at another height does not speak of that block.
    """
    header = tree.headers.get(block.hash)
    if header is None or header.number != block.number or header.hash in tree.contested:
        return None
    return _above(tree, header)


def said_parent(tree: HeaderTree, head: Point) -> Header | None:
    """Return the parent of a head as whoever shows it says, where others say otherwise."""
    return _above(tree, head) if isinstance(head, Header) and is_disputed(tree, head) else parent(tree, head)


def is_disputed(tree: HeaderTree, head: Header) -> bool:
    """Whether somebody shows this head otherwise, so that of who shows it so nothing but its own word tells."""
    known = None if head.verification is _MATCH else tree.headers.get(head.hash)
    if known is None:
        return False
    return head.hash in tree.contested or (known.number, known.parent_hash) != (head.number, head.parent_hash)


def _above(tree: HeaderTree, header: Header) -> Header | None:
    above = tree.headers.get(header.parent_hash)
    if above is None or above.number + 1 != header.number:
        return None
    if above.verification is _MATCH or header.verification is not _MATCH:
        return above
    return None if tree.verifies and above.hash not in tree.corroborated else above


def relation(tree: HeaderTree, head: Point, reference: Point) -> Relation:
    """Say how a node's head stands to the reference: level, behind, ahead, forked or unlinked.

    The depth of a fork counts the node's own blocks since the common ancestor.
    """
    if head.hash == reference.hash and head.number == reference.number:
        return Level()
    met = _met(tree, head, reference)
    if isinstance(met, _Gap):
        return Unlinked(ahead=head.number - reference.number)
    if met.hash == head.hash:
        return Behind(blocks=reference.number - head.number)
    if met.hash == reference.hash:
        return Ahead(blocks=head.number - reference.number)
    return Forked(depth=head.number - met.number, ancestor=met)


def is_bridgeable(tree: HeaderTree, one: Point, other: Point) -> bool:
    """Whether two blocks are unlinked only because headers lack that may still be asked for."""
    met = _met(tree, one, other)
    return isinstance(met, _Gap) and not met.deep


def is_doubted(tree: HeaderTree, one: Point, other: Point) -> bool:
    """Whether two blocks are unlinked only because somebody shows one of their blocks with another content.

    That proves nothing about either: each node's own word about its own head is believed, and nobody's about others'.
    """
    met = _meet(tree, one, other)
    return isinstance(met, _Gap) and met.doubted


def apart(tree: HeaderTree, one: Point, other: Point) -> int:
    """Return for how many blocks two branches that do not meet in the tree are known to run side by side.

    They forked at least so deep, counted from the lower of the two; 0 where nothing below it is known of both.
    """
    met = _met(tree, one, other)
    return met.apart if isinstance(met, _Gap) else 0


def missing(tree: HeaderTree, heads: Iterable[Point]) -> tuple[Missing, ...]:
    """Return the headers to ask for next, so that the heads become linked to each other.

    One step of the back-fill: insert what came and ask again. Highest head first; every hash once. A gap of more than
    64 blocks asks for nothing, and its heads stay unlinked.
    """
    found = {_by_height(head): head for head in heads}
    points = [found[key] for key in sorted(found)]
    wanted: dict[str, Missing] = {}
    for one, other in combinations(points, 2):
        met = _met(tree, one, other)
        if isinstance(met, _Gap) and not met.deep:
            for lacking, head in ((met.left, one), (met.right, other)):
                if lacking is not None:
                    wanted.setdefault(lacking[0], _sought(tree, lacking, head, met))
    return tuple(wanted.values())


def _sought(tree: HeaderTree, lacking: tuple[str, int], head: Point, gap: _Gap) -> Missing:
    """Return what to ask for below the end of a walk: all of what separates two heights, or ever more of a branch."""
    name, number = lacking
    at = BlockRef(number=head.number, hash=head.hash)
    if name in tree.headers:
        return Missing(hash=name, head=at, number=number)
    walked = head.number - number  # 0 for the head itself, 1 for its parent
    widened = 1 + _WIDENS * max(0, walked - 1)
    most = max(1, min(RUN, number + 1 - max(0, gap.floor)))
    return Missing(hash=name, head=at, number=number, run=min(most, max(widened, gap.span)))


def reorg(tree: HeaderTree, old: Point, new: Point) -> Forked | None:
    """Return how deep a chain was cut when its head went from `old` to `new`; None when `new` only extends `old`."""
    found = relation(tree, old, new)
    return found if isinstance(found, Forked) else None


def prune(tree: HeaderTree, *, keep: Iterable[str], anchor: int, window: Window | None = None) -> HeaderTree:
    """Return the tree without what is too old or too much, see `pruned`."""
    return pruned(tree, keep=keep, anchor=anchor, window=window)[0]


def pruned(
    tree: HeaderTree, *, keep: Iterable[str], anchor: int, window: Window | None = None
) -> tuple[HeaderTree, int]:
    """Return the tree without what is too old or too much, and how much went for being too much.

    `anchor` is the agreed height.

    Heads in `keep` (agreed, finalized, voting) stay whatever happens; their ancestors stay down to the floor: `depth`
    below the anchor, or the lowest kept head within `reach`. Above the cap goes first what no kept head descends from,
    the farthest from the anchor first, then the oldest ancestors.
    """
    window = window or Window()
    kept = [tree.headers[name] for name in keep if name in tree.headers]
    near = [head.number for head in kept if head.number >= anchor - window.reach]
    floor = min([anchor - window.depth, *near])
    heads = {head.hash for head in kept}
    left = {name: header for name, header in tree.headers.items() if header.number >= floor or name in heads}
    if len(left) == len(tree.headers) <= window.cap:
        return tree, 0
    within = len(left)
    if within > window.cap:
        left = _capped(left, heads, _lineage(tree, kept, floor), anchor, window.cap)
    kept_words = {"contested": tree.contested & left.keys(), "corroborated": tree.corroborated & left.keys()}
    return evolve(tree, headers=left, **kept_words), within - len(left)


def _lineage(tree: HeaderTree, heads: Iterable[Header], floor: int) -> set[str]:
    lineage: set[str] = set()
    for head in heads:
        at: Header | None = head
        while at is not None and at.hash not in lineage and at.number >= floor:
            lineage.add(at.hash)
            at = parent(tree, at)
    return lineage


def _capped(
    headers: Mapping[str, Header], heads: set[str], lineage: set[str], anchor: int, cap: int
) -> dict[str, Header]:
    def worth(header: Header) -> tuple[bool, bool, int, str]:
        distance = -header.number if header.hash in lineage else abs(header.number - anchor)
        return (header.hash not in heads, header.hash not in lineage, distance, header.hash)

    return {header.hash: header for header in sorted(headers.values(), key=worth)[: max(cap, len(heads))]}


def _by_height(block: Point) -> tuple[int, str, str]:
    """Order heads, the highest first; one hash that is told in two ways is two of them."""
    return (-block.number, block.hash, block.parent_hash if isinstance(block, Header) else "")


def _met(tree: HeaderTree, one: Point, other: Point) -> BlockRef | _Gap:
    """Return where two chains meet, without a walk where their heights are farther apart than all headers reach.

    Somebody who makes up a chain of his own for ever would have it walked at every look.
    """
    if abs(one.number - other.number) > len(tree.headers) + BACKFILL + 1:
        return _FAR
    return _meet(tree, one, other)


def _meet(tree: HeaderTree, one: Point, other: Point) -> BlockRef | _Gap:
    """Walk down both chains, the higher one first, until they meet or one of them ends."""
    left, right = one, other
    while left.hash != right.hash or left.number != right.number:
        down_left, down_right = left.number >= right.number, right.number >= left.number
        next_left = _below(tree, left, right, is_own=left is one) if down_left else left
        next_right = _below(tree, right, left, is_own=right is other) if down_right else right
        if next_left is None or next_right is None:
            return _gap(tree, (one, other), (left, right), (next_left, next_right))
        left, right = next_left, next_right
    return BlockRef(number=left.number, hash=left.hash)


def _below(tree: HeaderTree, block: Point, other: Point, *, is_own: bool) -> Point | None:
    """Return the parent, taking `other` for it if hash and height say so, in the tree or not.

    A head that is the node's own is read as the node shows it, where others show it otherwise.
    """
    header = tree.headers.get(block.hash)
    if is_own and isinstance(block, Header) and is_disputed(tree, block):
        header = block
    elif header is None or header.number != block.number or block.hash in tree.contested:
        return None
    if header.parent_hash == other.hash and header.number == other.number + 1:
        return other
    return _above(tree, header)


_FAR = _Gap(left=None, right=None, span=0, floor=0, deep=True, apart=0, doubted=False)


def _gap(
    tree: HeaderTree,
    heads: tuple[Point, Point],
    ends: tuple[Point, Point],
    followed: tuple[Point | None, Point | None],
) -> _Gap:
    """Say what would have to be fetched where two walks ended, and whether that is too much."""
    ended = [below is None for below in followed]
    lacking = [_lacking(tree, end) if over else None for end, over in zip(ends, ended, strict=True)]
    gap = abs(ends[0].number - ends[1].number)
    lower = min(head.number for head in heads)
    forked = lower - min(end.number for end in ends)
    hopeless = any(over and name is None for over, name in zip(ended, lacking, strict=True))
    return _Gap(
        left=lacking[0],
        right=lacking[1],
        span=gap - 1,
        floor=lower - BACKFILL,
        deep=hopeless or gap > BACKFILL or forked >= BACKFILL,
        apart=max(0, lower - max(end.number for end in ends) + 1),
        doubted=any(over and end.hash in tree.contested for over, end in zip(ended, ends, strict=True)),
    )


def _lacking(tree: HeaderTree, end: Point) -> tuple[str, int] | None:
    """Return hash and height of what lacks where a walk ended: itself if never seen, its parent if absent or wrong."""
    header = tree.headers.get(end.hash)
    if header is None:
        return end.hash, end.number
    if header.number == 0 or header.number != end.number or header.hash in tree.contested:
        return None
    below = tree.headers.get(header.parent_hash)
    # One that is there and does not link by number is nobody's parent; unless it is verified, it may be a lie.
    return (header.parent_hash, header.number - 1) if below is None or below.verification is not _MATCH else None
