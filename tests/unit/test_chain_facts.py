"""What is known of a thing by what nodes say: groups count, silence does not, and a contradiction is no fact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.chains import node

from tocsin.chain.facts import Fact, counted
from tocsin.chain.groups import Groups, group_nodes
from tocsin.model.alert import Grade


def pool(spec: str) -> Groups:
    """Groups for a spec such as "A B/geth P1=P P2=P/besu": names, providers, client families."""
    nodes = []
    for item in spec.split():
        named, _, client = item.partition("/")
        label, _, provider = named.partition("=")
        nodes.append(node(label, provider or None, client=client))
    return group_nodes(nodes)


def fact(nodes: str, said: str, *, raised: bool = False) -> Fact:
    values = {name: value.encode() for name, _, value in (item.partition("=") for item in said.split())}
    return counted(values, pool(nodes), raised=raised)


@pytest.mark.parametrize(
    ("nodes", "said", "grade", "value", "votes", "voting"),
    [
        ("A B C", "A=x B=x C=x", Grade.QUORUM, b"x", 3, 3),
        ("A B C", "A=x B=x C=y", Grade.QUORUM, b"x", 2, 3),
        ("A B C", "A=x B=x", Grade.QUORUM, b"x", 2, 2),
        ("A B C", "A=x", Grade.UNCORROBORATED, b"x", 1, 1),
        ("A B C", "A=x B=y", Grade.SPLIT, None, 0, 2),
        ("A B C", "A=x B=y C=z", Grade.SPLIT, None, 0, 3),
        ("A B C", "", Grade.BLIND, None, 0, 0),
        ("A B C D", "A=x B=x C=x D=y", Grade.QUORUM, b"x", 3, 4),
        ("A B C D", "A=x B=x C=y D=y", Grade.SPLIT, None, 0, 4),
        ("A B C D", "A=x B=x", Grade.UNCORROBORATED, b"x", 2, 2),
        ("A B", "A=x B=x", Grade.QUORUM, b"x", 2, 2),
        ("A B", "A=x B=y", Grade.SPLIT, None, 0, 2),
        ("A", "A=x", Grade.UNCORROBORATED, b"x", 1, 1),
        # Two nodes of one provider are one witness, and a witness only together.
        ("P1=P P2=P O", "P1=x P2=x O=y", Grade.SPLIT, None, 0, 2),
        ("P1=P P2=P O", "P1=x O=x", Grade.UNCORROBORATED, b"x", 1, 1),
        ("P1=P P2=P O", "P1=x P2=y O=x", Grade.UNCORROBORATED, b"x", 1, 1),
        ("P1=P P2=P P3=P O", "P1=x P2=x P3=y O=x", Grade.QUORUM, b"x", 2, 2),
        ("P1=P P2=P P3=P P4=P O", "P1=x P2=x O=x", Grade.UNCORROBORATED, b"x", 1, 1),
        ("P1=P P2=P", "P1=x", Grade.BLIND, None, 0, 0),
        # Where two families are configured, two have to agree.
        ("A/geth B/geth C/besu", "A=x B=x C=x", Grade.QUORUM, b"x", 3, 3),
        ("A/geth B/geth C/besu", "A=x B=x C=y", Grade.MAJORITY, b"x", 2, 3),
        ("A/geth B/geth C/besu", "A=x B=y C=x", Grade.QUORUM, b"x", 2, 3),
        ("A/geth B/geth C/geth", "A=x B=x", Grade.QUORUM, b"x", 2, 2),
        ("A B C/besu D/geth", "A=x B=x C=y", Grade.SPLIT, None, 0, 3),
        ("A B E C/besu D/geth", "A=x B=x E=x", Grade.MAJORITY, b"x", 3, 3),
    ],
)
def test_a_value_is_as_sure_as_those_who_say_it(
    nodes: str, said: str, grade: Grade, value: bytes | None, votes: int, voting: int
) -> None:
    found = fact(nodes, said)
    assert (found.grade, found.value, found.votes, found.voting_groups) == (grade, value, votes, voting)
    assert found.groups == len(pool(nodes).groups)


def test_around_a_fork_it_takes_one_group_more() -> None:
    assert fact("A B C", "A=x B=x").grade is Grade.QUORUM
    assert fact("A B C", "A=x B=x", raised=True).grade is Grade.UNCORROBORATED
    assert fact("A B C", "A=x B=x C=x", raised=True).grade is Grade.QUORUM


@pytest.mark.parametrize(
    ("nodes", "said", "why"),
    [
        ("A", "A=x", "one group is configured"),
        ("A B C", "A=x", "1 of 3 groups, 2 are needed"),
        ("A B C", "A=x B=y", "groups contradict each other"),
        ("A/geth B/geth C/besu", "A=x B=x", "of the client families only geth agree"),
        ("A B E C/besu D/geth", "A=x B=x E=x", "of the client families only unnamed ones agree"),
        ("A B C", "A=x B=x", ""),
    ],
)
def test_a_value_that_is_not_sure_says_why(nodes: str, said: str, why: str) -> None:
    assert fact(nodes, said).why == why


def test_who_says_something_else_is_named_and_in_a_split_everybody() -> None:
    assert fact("A B C D", "A=x B=x C=x D=y").others == ("D",)
    assert fact("P1=P P2=P P3=P O", "P1=x P2=x P3=y O=x").others == ("P3",)
    assert fact("A B C", "C=x A=y").others == ("A", "C")
    assert fact("P1=P P2=P", "P1=x").others == ("P1",)
    assert fact("A B", "A=x B=x").others == ()


@given(st.dictionaries(st.sampled_from("ABCDE"), st.sampled_from([b"x", b"y"])), st.sampled_from("ABCDE"))
def test_one_group_alone_never_makes_a_value_sure(said: dict[str, bytes], liar: str) -> None:
    groups = pool("A B C D E")
    honest = {name: b"x" for name in said if name != liar}
    found = counted({**honest, liar: b"lie"}, groups)
    assert found.value != b"lie" or found.grade is Grade.UNCORROBORATED
    if found.grade is Grade.QUORUM:
        assert found.value == b"x"
