"""The groups of a chain's pool: worked out once per configuration, asked for in every tick."""

from functools import lru_cache

from tocsin.chain.groups import Groups, group_nodes
from tocsin.model.settings import ChainSettings, NodeSettings


def groups_of(chain: ChainSettings) -> Groups:
    """Return the independence groups of a chain's nodes."""
    return _groups(chain.nodes, chain.vote_by)


@lru_cache(maxsize=64)
def _groups(nodes: tuple[NodeSettings, ...], vote_by: tuple[str, ...]) -> Groups:
    return group_nodes(nodes, vote_by)
