"""What nodes say of one thing, counted: the result of a call, the code of a contract, a slot that nobody proves.

Taken by groups, on raw bytes, of nodes that all answered for the same block. A node that did not answer says nothing,
never the same as others. The value is what a quorum says and, where clients of two families are configured, nodes of
two of them: what one client works out may be its defect. Without that it is told how it is known, or that it is not.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.chain.count import QUORUM_GROUPS, needed
from tocsin.chain.groups import Group, Groups
from tocsin.model.alert import Grade

_FAMILIES = 2
"""Client families that a value takes to be known for sure, where so many are configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What is known of one thing; `value` is None where nothing is, `why` says why it is no more than its grade.

    `votes` of the `voting_groups` that said anything are for it, of all `groups`. `others` are the nodes that say
    something else, sorted.
    """

    grade: Grade
    value: bytes | None
    votes: int
    voting_groups: int
    groups: int
    others: tuple[str, ...] = ()
    why: str = ""


def counted(said: Mapping[str, bytes], groups: Groups, *, raised: bool = False) -> Fact:
    """Return what is known of a thing by what nodes say of it; `raised` asks for one group more, as around a fork."""
    votes = Counter(vote for group in groups.groups if (vote := _vote(said, group)) is not None)
    total = len(groups.groups)
    if not votes:
        return Fact(grade=Grade.BLIND, value=None, votes=0, voting_groups=0, groups=total, others=tuple(sorted(said)))
    [(value, most), *_] = sorted(votes.items(), key=lambda vote: (-vote[1], vote[0]))
    grade, why = _grade(value, votes, said, groups, needed(groups, raised=raised))
    if grade is Grade.SPLIT:
        value, most = b"", 0
    return Fact(
        grade=grade,
        value=None if grade is Grade.SPLIT else value,
        votes=most,
        voting_groups=votes.total(),
        groups=total,
        others=tuple(sorted(node for node, other in said.items() if grade is Grade.SPLIT or other != value)),
        why=why,
    )


def _vote(said: Mapping[str, bytes], group: Group) -> bytes | None:
    """Return what more than half of a group's nodes say; who is silent counts in its size."""
    values = Counter(said[node] for node in group.nodes if node in said)
    return next((value for value, count in values.items() if 2 * count > len(group.nodes)), None)


def _grade(
    value: bytes, votes: Mapping[bytes, int], said: Mapping[str, bytes], groups: Groups, least: int
) -> tuple[Grade, str]:
    if len(groups.groups) < QUORUM_GROUPS:
        return Grade.UNCORROBORATED, "one group is configured"
    if votes[value] < least:
        if len(votes) > 1:
            return Grade.SPLIT, "groups contradict each other"
        return Grade.UNCORROBORATED, f"{votes[value]} of {len(groups.groups)} groups, {least} are needed"
    families = sorted({groups.clients[node] for node, one in said.items() if one == value and node in groups.clients})
    if len(families) >= min(_FAMILIES, groups.families):
        return Grade.QUORUM, ""
    return Grade.MAJORITY, f"of the client families only {next(iter(families), 'unnamed ones')} agree"
