"""How many files and sockets this process may have open, and how many a configuration can need.

Systemd and shells start processes with a soft limit of 1,024 for the sake of select(2), which nothing here uses: the
soft limit is raised to the hard one.
"""

import resource
from typing import Final

from tocsin.config.tree import Tree
from tocsin.rpc.endpoint import CONCURRENCY
from tocsin.runtime.control import MAX_PEERS

MOST: Final = 65_536
"""No more are asked for: some hosts set the hard limit to 2**30, and what walks all of them then never ends."""

_OWN: Final = 96
"""Database, journal, sockets of broker and loop, files that are read at a reload, libraries; about 30 were counted."""


def raise_limit(most: int = MOST) -> int:
    """Raise the soft limit to the hard one, at most to `most`; return how many may now be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return most if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft  # a sandbox may forbid it; what is too few is told
    return wanted


def needed(tree: Tree) -> int:
    """Return how many a configuration can need at a time: every node with all its connections, every asker."""
    each = CONCURRENCY
    nodes = sum(each + (node.ws is not None) for chain in tree.chains for node in chain.nodes)
    beacons = sum(each for chain in tree.chains for _ in chain.beacons)
    return nodes + beacons + len(tree.gateways) + MAX_PEERS + _OWN


def shortage(tree: Tree, limit: int) -> str:
    """Say what is too few and what to do, or nothing."""
    wanted = needed(tree)
    if wanted <= limit:
        return ""
    return (
        f"up to {wanted} files and sockets may have to be open, {limit} are allowed: nodes would look unreachable; "
        f"raise the hard limit to {wanted} or more (LimitNOFILE= in the unit, ulimit -Hn in a shell)"
    )
