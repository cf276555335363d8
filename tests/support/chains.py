"""Made-up chains of headers for tests of the tree and of agreement: hashes are names, nothing is verified."""

import hashlib

from tocsin.chain.groups import Groups, group_nodes
from tocsin.chain.tree import HeaderTree, insert
from tocsin.model.alert import Grade
from tocsin.model.block import Header, Verification
from tocsin.model.settings import NodeSettings
from tocsin.model.view import Agreement

NOTHING = Agreement(grade=Grade.BLIND, block=None, since_ns=None, votes=0, voting_groups=0, groups=0)


def name(text: str) -> str:
    """Return a block hash for a name."""
    return "0x" + hashlib.sha256(text.encode()).hexdigest()


def header(number: int, branch: str = "main", parent: str | None = None) -> Header:
    """Return a block of a branch; its parent is the one before on the same branch unless named."""
    return Header(
        number=number,
        hash=name(f"{branch}/{number}"),
        parent_hash=parent or name(f"{branch}/{number - 1}"),
        timestamp=1_700_000_000 + 12 * number,
        state_root=name(f"state {branch}/{number}"),
        verification=Verification.MATCH,
    )


def chain(first: int, last: int, branch: str = "main", after: str | None = None) -> list[Header]:
    """Return the blocks of a branch; `after` is the hash of the parent of the first one."""
    return [header(number, branch, after if number == first else None) for number in range(first, last + 1)]


def tree(*parts: list[Header]) -> HeaderTree:
    return insert(HeaderTree(), *(block for part in parts for block in part))


def node(label: str, provider: str | None = None, **tags: str | bool) -> NodeSettings:
    settings = {"operator": provider or label, "client": "", "region": "", "host": "", "own": False, **tags}
    return NodeSettings(
        name=label,
        id=f"test.{label}",
        endpoint=f"http://{label}.invalid",
        provider=provider or label,
        **settings,  # type: ignore[arg-type]
    )


def pool(spec: str) -> Groups:
    """Return groups for a spec such as "A B P1=P P2=P": node names, with the provider where it is not their own."""
    return group_nodes([node(*item.split("=")) for item in spec.split()])
