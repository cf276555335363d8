"""Hypothesis strategies for what nodes say: headers, and trees of blocks as groups of nodes see them.

Needs Hypothesis, which the package itself does not: import this module in tests only.
"""

from dataclasses import dataclass, replace
from typing import Final

from hypothesis import strategies as st

from tocsin.model.block import Header, Verification
from tocsin.model.settings import NodeSettings
from tocsin.testing.headers import keccak256
from tocsin.testing.simblock import make_block

_SLOT_S: Final = 12
_FIRST_S: Final = 1_700_000_000


def _hash(*parts: object) -> str:
    return "0x" + keccak256("/".join(map(str, parts)).encode()).hex()


def child_of(parent: Header | None, *, salt: str) -> Header:
    """Return a header that follows `parent`, or a first one; another salt gives a sibling."""
    number = 0 if parent is None else parent.number + 1
    return Header(
        number=number,
        hash=_hash("block", parent.hash if parent else "", salt),
        parent_hash=parent.hash if parent else "0x" + "00" * 32,
        timestamp=_FIRST_S + number * _SLOT_S,
        state_root=_hash("state", parent.hash if parent else "", salt),
        verification=Verification.MATCH,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationTree:
    """Blocks that link to one first block, nodes in groups, and the head that each node (by name) shows."""

    blocks: tuple[Header, ...]
    nodes: tuple[NodeSettings, ...]
    heads: tuple[tuple[str, Header], ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """The providers, each of which is one vote."""
        return tuple(dict.fromkeys(node.provider for node in self.nodes))

    def head(self, node: str) -> Header:
        """Return the head that a node shows."""
        return dict(self.heads)[node]

    def members(self, group: str) -> tuple[NodeSettings, ...]:
        """Return the nodes of a group."""
        return tuple(node for node in self.nodes if node.provider == group)

    def path(self, block: Header) -> tuple[Header, ...]:
        """Return a block and its ancestors in the tree, highest first."""
        by_hash = {known.hash: known for known in (*self.blocks, *(head for _, head in self.heads))}
        found = [block]
        while found[-1].parent_hash in by_hash:
            found.append(by_hash[found[-1].parent_hash])
        return tuple(found)

    def with_head(self, node: str, head: Header) -> "ObservationTree":
        """Return the tree in which one node shows another head."""
        return replace(self, heads=tuple((name, head if name == node else old) for name, old in self.heads))

    def with_lies_from(self, group: str, *, ahead: int = 1_000) -> "ObservationTree":
        """Return the tree in which all nodes of a group show the same made-up head, far ahead and linked to nothing."""
        top = max(block.number for block in self.blocks)
        lie = replace(
            child_of(None, salt=f"lie of {group}"),
            number=top + ahead,
            parent_hash=_hash("nobody", group),
            timestamp=_FIRST_S + (top + ahead) * _SLOT_S,
        )
        liars = {node.name for node in self.members(group)}
        return replace(self, heads=tuple((name, lie if name in liars else old) for name, old in self.heads))


def groups(count: int = 3) -> st.SearchStrategy[str]:
    """Draw the name of one of `count` groups."""
    return st.sampled_from([_group(at) for at in range(count)])


def _group(at: int) -> str:
    return f"provider-{at}"


def _node(group: int, at: int) -> NodeSettings:
    return NodeSettings(
        name=f"node-{group}-{at}",
        id=f"site.node-{group}-{at}",
        endpoint=f"http://node-{group}-{at}",
        own=group == 0,
        provider=_group(group),
        operator=_group(group),
        client="geth" if group % 2 == 0 else "besu",
        region="",
        host="",
    )


@st.composite
def block_trees(draw: st.DrawFn, *, blocks: int = 12) -> tuple[Header, ...]:
    """Draw 1 to `blocks` headers: a first one, and others that each follow one of those before, mostly the newest."""
    tree = [child_of(None, salt="first")]
    for at in range(draw(st.integers(0, blocks - 1))):
        back = draw(st.sampled_from([0, 0, 0, 1, 2, len(tree) - 1]))
        tree.append(child_of(tree[max(0, len(tree) - 1 - back)], salt=str(at)))
    return tuple(tree)


@st.composite
def observation_trees(
    draw: st.DrawFn, *, groups: int = 3, nodes_per_group: int = 2, blocks: int = 12
) -> ObservationTree:
    """Draw a tree of blocks, `groups` groups of 1 to `nodes_per_group` nodes, and for each node a head in the tree."""
    tree = draw(block_trees(blocks=blocks))
    nodes = tuple(_node(group, at) for group in range(groups) for at in range(draw(st.integers(1, nodes_per_group))))
    heads = tuple((node.name, draw(st.sampled_from(tree))) for node in nodes)
    return ObservationTree(blocks=tree, nodes=nodes, heads=heads)


@st.composite
def rpc_headers(draw: st.DrawFn) -> dict[str, object]:
    """Draw a header as JSON-RPC gives it, whose hash is right for its fields."""
    parent = None
    for slot in range(draw(st.integers(1, 3))):
        parent = make_block(
            parent=parent,
            number=slot,
            slot=slot,
            timestamp=_FIRST_S + slot * _SLOT_S,
            salt=str(draw(st.integers(0, 2**32))),
            filled=draw(st.booleans()),
        )
    if parent is None:
        raise AssertionError("at least one block was drawn")
    return parent.head()
