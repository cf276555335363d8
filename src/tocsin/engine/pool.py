"""The groups of a chain's pool: worked out once per configuration, asked for in every tick."""

from functools import lru_cache

from tocsin.chain.groups import Groups, group_nodes
from tocsin.model.settings import ChainSettings, NodeSettings


def groups_of(chain: ChainSettings) -> Groups:
    """Return the independence groups of a chain's nodes."""
    return _groups(chain.nodes, chain.vote_by)


def in_turn(chain: ChainSettings) -> tuple[str, ...]:
    """Return the nodes as they are configured, but the first one of each group before any second one."""
    return _in_turn(chain.nodes, chain.vote_by)


@lru_cache(maxsize=64)
def _groups(nodes: tuple[NodeSettings, ...], vote_by: tuple[str, ...]) -> Groups:
    return group_nodes(nodes, vote_by)


@lru_cache(maxsize=64)
def _in_turn(nodes: tuple[NodeSettings, ...], vote_by: tuple[str, ...]) -> tuple[str, ...]:
    order = [node.name for node in nodes]
    members = [[name for name in order if name in group.nodes] for group in _groups(nodes, vote_by).groups]
    places = {name: at for names in members for at, name in enumerate(names)}
    return tuple(sorted(order, key=places.__getitem__))
