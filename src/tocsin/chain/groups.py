"""Independence groups: nodes that would fail or lie together vote together.

Two nodes behind one provider are one witness. A pool of two of them and an own node knows no majority: with an incident
chance of 0.1 % per provider, counting nodes is wrong 333 times as often as three independent groups would be.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from tocsin.model.settings import NodeSettings

_FATE = ("provider", "operator")
"""What always binds nodes of others: nobody can vouch for more independence behind a provider than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Nodes that count as one vote; `id` is its sorted node names joined by "+"."""

    id: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """All groups of a chain, sorted by id; each has one vote."""

    groups: tuple[Group, ...]
    nodes: int
    clients: Mapping[str, str] = field(default_factory=dict)
    """Node name to client family, for the nodes whose client is known."""
    assumption: str | None = None
    """What independence rests on beyond the default tags."""

    @property
    def families(self) -> int:
        """How many client families are configured."""
        return len(set(self.clients.values()))


def group_nodes(
    nodes: Iterable[NodeSettings],
    vote_by: tuple[str, ...] = _FATE,
) -> Groups:
    """Bind nodes that share any tag of `vote_by` into groups, also over a chain of others.

    Between own nodes `vote_by` decides alone, so that one operator's nodes may count by client or host; where a node of
    somebody else is concerned, provider and operator bind as well. A node in maintenance stays in its group:
    it has no vote, and no quorum comes cheaper for that.
    """
    members = sorted(nodes, key=lambda node: node.name)
    parts: list[list[NodeSettings]] = []
    for node in members:
        bound = [part for part in parts if any(_is_bound(node, other, vote_by) for other in part)]
        parts = [part for part in parts if part not in bound]
        parts.append([node, *(other for part in bound for other in part)])
    named = sorted(tuple(sorted(node.name for node in part)) for part in parts)
    groups = (Group(id="+".join(names), nodes=names) for names in named)
    return Groups(
        groups=tuple(sorted(groups, key=lambda group: group.id)),
        nodes=len(members),
        clients={node.name: node.client.strip().lower() for node in members if node.client.strip()},
        assumption=_assumption(members, vote_by),
    )


def without(groups: Groups, names: Collection[str]) -> Groups:
    """Return the groups that have a node left without these; a group that keeps one keeps its size.

    Who is ruled out is silent, as if it had not answered: what is left of its group has a vote only if it is more than
    half of the whole group.
    """
    kept = tuple(group for group in groups.groups if any(name not in names for name in group.nodes))
    return replace(groups, groups=kept, nodes=sum(len(group.nodes) for group in kept))


def _is_bound(one: NodeSettings, other: NodeSettings, vote_by: tuple[str, ...]) -> bool:
    both_own = one.own and other.own
    return any(
        getattr(one, tag) == getattr(other, tag)
        for tag in (vote_by if both_own else (*vote_by, *_FATE))
        # An own node without the tag that own nodes are told apart by is told apart from none; others need not have it.
        if both_own or tag in _FATE or getattr(one, tag)
    )


def _assumption(nodes: list[NodeSettings], vote_by: tuple[str, ...]) -> str | None:
    if set(_FATE) <= set(vote_by) or sum(node.own for node in nodes) <= 1:
        return None
    return f"own nodes vote by {' and '.join(vote_by)}"
