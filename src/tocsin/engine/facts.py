"""What is known of the state of one block: each thing that nodes told of it, proven or counted.

A proof that leads from the header's state root to what it says settles a value, whoever gives it; what nobody proves
takes a quorum on equal bytes. Nothing is known better than that the block is of the chain.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tocsin.chain.count import QUORUM_GROUPS
from tocsin.chain.facts import counted
from tocsin.chain.tree import relation
from tocsin.engine.pool import groups_of
from tocsin.engine.sitting import Heard
from tocsin.engine.state import ChainState
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.settings import ChainSettings
from tocsin.model.view import Ahead, Forked, Level, Unlinked

_SURE: Final = (Grade.PROVEN, Grade.QUORUM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing at one block, as it is known; `value` is None where it is not, and `why` says more of either."""

    value: str | None
    grade: Grade
    votes: int = 0
    groups: int = 0
    why: str = ""

    def told(self, value: str | None) -> "Fact":
        """Return it with what its bytes mean, or with None where they mean nothing."""
        return Fact(value=value, grade=self.grade, votes=self.votes, groups=self.groups, why=self.why)

    @property
    def is_sure(self) -> bool:
        """Whether a node that says something else is wrong."""
        return self.value is not None and self.grade in _SURE


def facts_of(said: Mapping[str, Heard], chain: ChainSettings, state: ChainState) -> dict[str, Fact]:
    """Return what is known by what nodes said that count, by subject."""
    return dict(_facts(said, chain, state))


def _facts(said: Mapping[str, Heard], chain: ChainSettings, state: ChainState) -> Iterator[tuple[str, Fact]]:
    proven = {subject: value for one in said.values() for subject, value in one.proven.items()}
    groups = groups_of(chain)
    for subject in sorted({*proven, *(subject for one in said.values() for subject in one.facts)}):
        if subject in proven:
            yield subject, Fact(value=proven[subject], grade=capped(Grade.PROVEN, state.head.grade))
            continue
        votes = {name: one.facts[subject].encode() for name, one in said.items() if subject in one.facts}
        found = counted(votes, groups, raised=state.finality.raised)
        value = None if found.value is None else found.value.decode()
        grade = capped(found.grade, state.head.grade)
        yield subject, Fact(value=value, grade=grade, votes=found.votes, groups=found.groups, why=found.why)


def capped(grade: Grade, head: Grade) -> Grade:
    """Return how a fact of a block is known: no better than that the block is of the chain."""
    return grade if head is Grade.QUORUM or grade not in _SURE else head


def is_known(grade: Grade, groups: int) -> bool:
    """Tell whether a value is published: not where one of several groups alone says so."""
    return grade in (*_SURE, Grade.MAJORITY) or (grade is Grade.UNCORROBORATED and groups < QUORUM_GROUPS)


def is_on_chain(state: ChainState, block: BlockRef) -> bool:
    """Tell whether a block is known to be the agreed head, or to lead to it, or is the finalized one.

    Which headers lie between those two is not known until the chain has come so far since the start.
    """
    head, final = state.head.block, state.finalized
    if head is None:
        return False
    placed = relation(state.tree, head, block)
    if isinstance(placed, Unlinked):
        return block == final.block and is_known(final.grade, final.groups)
    return isinstance(placed, Level | Ahead)


def holds(state: ChainState, block: BlockRef) -> bool:
    """Tell whether a block that was agreed on leads to the agreed head, or was final and still is.

    What was final may be older than all that is kept, or linked to nothing that is: from before the start, on a chain
    that is final late, after a gap. Nothing then says that it has left the chain.
    """
    if is_on_chain(state, block):
        return True
    final = state.finalized.block
    if final is None or block.number >= final.number or state.finality.revoked:
        return False
    tips = [one for one in (final, state.head.block) if one is not None]
    return not any(isinstance(relation(state.tree, tip, block), Forked) for tip in tips)
