"""Disputes and what is near to one: nodes that catch up, families, forks, tie-breakers, and what is fresher."""

from collections.abc import Mapping

import pytest
from tests.support.chains import NOTHING, chain, header, node, pool, tree

from tocsin.chain.agreement import Circumstances, Decision, agree, break_tie
from tocsin.chain.count import needed
from tocsin.chain.dispute import TIE_BREAKERS, Ruling
from tocsin.chain.groups import Groups, group_nodes
from tocsin.chain.tree import insert
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.view import Agreement

MAIN = chain(900, 1010)
FORK = chain(999, 1010, "fork", after=header(998).hash)
FAR = header(20_000_000, "far")
GENESIS = header(0, "far")
SEEN = tree(MAIN, FORK, [FAR, GENESIS])
HEADS = {"far": FAR, "zero": GENESIS}


def head(text: str) -> str:
    if text in HEADS:
        return HEADS[text].hash
    return header(int(text.rstrip("f")), "fork" if text.endswith("f") else "main").hash


def votes(spec: str) -> dict[str, str]:
    return {label: head(shown) for label, _, shown in (item.partition("=") for item in spec.split())}


def families(spec: str) -> Groups:
    """Return groups of one node each for a spec such as "A=geth B=besu C="."""
    return group_nodes(
        [node(label, client=client) for label, _, client in (item.partition("=") for item in spec.split())]
    )


def held(number: int) -> Agreement:
    return Agreement(grade=Grade.QUORUM, block=header(number).ref, since_ns=1, votes=2, voting_groups=2, groups=2)


def counted(
    groups: Groups, heads: str, previous: Agreement = NOTHING, circumstances: Circumstances | None = None
) -> Decision:
    return agree(SEEN, votes(heads), groups, previous, 7, circumstances or Circumstances())


def shown(decision: Decision) -> tuple[Grade, int | None]:
    block = decision.agreement.block
    return decision.agreement.grade, None if block is None else block.number


# -- nodes that catch up


@pytest.mark.parametrize("behind", ["zero", "900"])
def test_one_of_two_that_is_known_to_catch_up_contradicts_nothing_at_the_first_start(behind: str) -> None:
    two, heads = families("A= B="), f"A=far B={behind}"
    assert shown(counted(two, heads)) == (Grade.SPLIT, None)
    late = Circumstances(late=["B"])
    assert shown(counted(two, heads, circumstances=late)) == (Grade.UNCORROBORATED, None)


def test_a_node_far_ahead_contradicts_whatever_it_says_of_itself() -> None:
    late = Circumstances(late=["B"])
    assert shown(counted(families("A= B="), "A=1000 B=far", circumstances=late)) == (Grade.SPLIT, None)


@pytest.mark.parametrize("late", ["A", "B", "C", "AB", "BC", "AC"])
def test_who_catches_up_takes_nothing_from_another_that_shows_the_same_head(late: str) -> None:
    three, heads = families("A= B= C= D="), "A=far B=900 C=900"
    decided = counted(three, heads, circumstances=Circumstances(late=[*late]))
    assert shown(decided)[0] is (Grade.UNCORROBORATED if late == "BC" else Grade.SPLIT)


@pytest.mark.parametrize("overdue", ["", "B", "C", "BC", "A"])
def test_a_head_is_sought_in_vain_only_when_it_is_so_for_all_who_show_it(overdue: str) -> None:
    one, other = header(1005, "one"), header(1003, "other")
    heads = {"A": one.hash, "B": other.hash, "C": other.hash}
    how = Circumstances(overdue=[*overdue])
    found = agree(tree([one, other]), heads, families("A= B= C= D= E="), NOTHING, 7, how).agreement.grade
    assert found is (Grade.SPLIT if overdue in ("BC", "A") else Grade.UNCORROBORATED)


def test_who_catches_up_on_another_branch_contradicts_all_the_same() -> None:
    late = Circumstances(late=["B"])
    assert shown(counted(families("A= B="), "A=1001 B=1000f", circumstances=late)) == (Grade.SPLIT, 998)


def test_a_head_beside_the_agreed_one_contradicts_it_though_nothing_links_the_two() -> None:
    lone = header(1000, "lone")
    beside = agree(insert(SEEN, lone), {"A": head("1000"), "B": lone.hash}, families("A= B="), held(1000), 7)
    assert shown(beside) == (Grade.SPLIT, 1000)
    below = header(999, "lone")
    behind = agree(insert(SEEN, below), {"A": head("1000"), "B": below.hash}, families("A= B="), held(1000), 7)
    assert shown(behind) == (Grade.UNCORROBORATED, 1000)


def test_nodes_that_contradict_each_other_are_a_split_also_where_no_group_can_vote_for_either() -> None:
    lone = header(1000, "lone")
    decision = agree(insert(SEEN, lone), {"P1": head("1000"), "P2": lone.hash}, pool("P1=P P2=P O"), held(998), 7)
    assert shown(decision) == (Grade.SPLIT, 998)
    assert decision.agreement.voting_groups == 0


def test_a_head_that_is_not_linked_yet_may_turn_out_to_decide_between_two() -> None:
    one, other, third = header(1005, "one"), header(1005, "other"), header(1003, "third")
    heads = {"A": one.hash, "B": other.hash, "C": third.hash}
    waiting = agree(tree([one, other, third]), heads, families("A= B= C="), NOTHING, 7)
    assert shown(waiting) == (Grade.UNCORROBORATED, None)
    in_vain = Circumstances(overdue=["C"])
    assert shown(agree(tree([one, other, third]), heads, families("A= B= C="), NOTHING, 7, in_vain))[0] is Grade.SPLIT


def test_who_is_not_linked_to_what_a_quorum_has_does_not_settle_a_dispute_above_it() -> None:
    lone = header(1001, "lone")
    heads = {**votes("A=1000 B=1000f"), "C": lone.hash}
    decision = agree(insert(SEEN, lone), heads, families("A= B= C="), held(998), 7)
    assert shown(decision) == (Grade.SPLIT, 998)
    at_the_tip = agree(SEEN, {**heads, "C": head("998")}, families("A= B= C="), held(998), 7)
    assert shown(at_the_tip) == (Grade.QUORUM, 998)


# -- client families


@pytest.mark.parametrize(
    ("clients", "heads", "expected"),
    [
        ("A=geth B=geth C=besu", "A=1001 B=1001 C=1001", (Grade.QUORUM, 1001)),
        ("A=geth B=geth C=besu", "A=1001 B=1001 C=998", (Grade.QUORUM, 1001)),
        ("A=geth B=geth C=besu", "A=1001 B=1001 C=997", (Grade.MAJORITY, 1001)),
        ("A=geth B=geth C=besu", "A=1001 B=1001 C=1001f", (Grade.MAJORITY, 1001)),
        ("A=geth B=geth C=besu", "A=1001 B=1001", (Grade.MAJORITY, 1001)),
        ("A=geth B=GETH C=", "A=1001 B=1001", (Grade.QUORUM, 1001)),
        ("A= B= C=", "A=1001 B=1001", (Grade.QUORUM, 1001)),
        ("A=geth B= C=besu", "A=1001 B=1001", (Grade.MAJORITY, 1001)),
        ("A= B= C=besu D=geth E=", "A=1001 B=1001 E=1001", (Grade.MAJORITY, 1001)),
        ("A=geth B=besu C=reth", "A=1001 B=1001 C=1001f", (Grade.QUORUM, 1001)),
    ],
)
def test_one_family_alone_is_a_majority_where_two_are_configured(
    clients: str, heads: str, expected: tuple[Grade, int]
) -> None:
    decision = counted(families(clients), heads, held(997))
    assert shown(decision) == expected
    assert bool(decision.agreement.explanation) == (expected[0] is Grade.MAJORITY)


def test_the_explanation_names_the_family_that_is_alone() -> None:
    decision = counted(families("A=geth B=geth C=besu"), "A=1001 B=1001 C=1001f")
    assert "geth" in decision.agreement.explanation
    assert "besu" not in decision.agreement.explanation


@pytest.mark.parametrize(
    ("clients", "heads", "named"),
    [
        ("A=geth B=geth C=besu", "A=1001 B=1001 C=1001f", "geth"),
        ("A= B= C=besu D=geth E=", "A=1001 B=1001 E=1001", "unnamed ones"),
        ("A= B= C= D=geth E=besu", "A=1001 B=1001 C=1001 D=1000", "geth"),
    ],
)
def test_whoever_agrees_alone_is_named_also_when_a_little_behind_or_unknown(
    clients: str, heads: str, named: str
) -> None:
    decision = counted(families(clients), heads, held(997))
    assert shown(decision) == (Grade.MAJORITY, 1001)
    assert decision.agreement.explanation == f"of the client families only {named} agree"


# -- around forks


@pytest.mark.parametrize(
    ("heads", "ordinary", "raised"),
    [
        ("A=1001 B=1001 C=1001", (Grade.QUORUM, 1001), (Grade.QUORUM, 1001)),
        ("A=1001 B=1001 C=1000", (Grade.QUORUM, 1001), (Grade.QUORUM, 1000)),
        ("A=1001 B=1001", (Grade.QUORUM, 1001), (Grade.UNCORROBORATED, 998)),
        ("A=1001f B=1001f C=1001", (Grade.QUORUM, 1001), (Grade.SPLIT, 998)),
    ],
)
def test_around_a_fork_the_quorum_takes_one_group_more(
    heads: str, ordinary: tuple[Grade, int], raised: tuple[Grade, int]
) -> None:
    three = families("A= B= C=")
    assert shown(counted(three, heads, held(998))) == ordinary
    assert shown(counted(three, heads, held(998), Circumstances(raised=True))) == raised


def test_a_wrong_majority_at_a_fork_ends_in_a_split_and_not_in_a_quorum() -> None:
    five = families("A=geth B=besu C=nethermind D=reth E=erigon")
    decision = counted(five, "A=1005f B=1005f C=1005f D=1004 E=1004", held(998), Circumstances(raised=True))
    assert shown(decision) == (Grade.SPLIT, 998)


def test_two_groups_cannot_be_asked_for_more_than_both() -> None:
    assert shown(counted(families("A= B="), "A=1001 B=1001", held(998), Circumstances(raised=True)))[0] is Grade.QUORUM


@pytest.mark.parametrize(
    ("nodes", "ordinary", "raised"),
    [("A", 1, 1), ("A B", 2, 2), ("A B C", 2, 3), ("A B C D", 3, 4), ("A B C D E", 3, 4), ("A B1=B B2=B B3=B", 2, 2)],
)
def test_a_quorum_is_more_than_half_of_the_groups_and_one_more_where_asked_for(
    nodes: str, ordinary: int, raised: int
) -> None:
    assert needed(pool(nodes)) == ordinary
    assert needed(pool(nodes), raised=True) == raised


def test_the_explanation_says_that_a_fork_asks_for_more() -> None:
    three = families("A= B= C=")
    assert "fork" in counted(three, "A=1001 B=1001", held(998), Circumstances(raised=True)).agreement.explanation
    assert "fork" not in counted(three, "A=1001", held(998), Circumstances(raised=True)).agreement.explanation
    four = families("A= B= C= D=")
    assert "fork" in counted(four, "A=1001 B=1001 C=1001", held(998), Circumstances(raised=True)).agreement.explanation
    half = counted(four, "A=1001 B=1001", held(998), Circumstances(raised=True)).agreement
    assert half.explanation == "too few groups vote"


# -- what is fresher


@pytest.mark.parametrize(
    ("heads", "fresh"),
    [
        ("A=950 B=950 C=950 D=1000 E=1001", 1000),
        ("A=950 B=950 C=950 D=1000 E=950", None),
        ("A=1000 B=1000 C=1000 D=1000 E=1000", None),
        ("A=999 B=999 C=999 D=1000f E=1000f", None),
        ("A=950 B=950 C=950 D=1000 E=1000f", 998),
    ],
)
def test_the_freshest_block_that_two_groups_have_is_told_beside_the_agreed_one(heads: str, fresh: int | None) -> None:
    decision = counted(families("A= B= C= D= E="), heads)
    assert (None if decision.fresh is None else decision.fresh.number) == fresh


# -- who breaks a tie


def ruled(groups: Groups, heads: str, previous: Agreement, *rulings: Ruling) -> Decision:
    split = counted(groups, heads, previous)
    assert split.agreement.grade is Grade.SPLIT
    return break_tie(split, rulings, SEEN, votes(heads), groups, previous, 7)


def ruling(*out: str, by: str = "trusted") -> Ruling:
    return Ruling(by=by, out=out, why=f"the {by} block")


def test_a_broken_tie_is_a_majority_that_names_what_broke_it_and_whom_it_ruled_out() -> None:
    four = families("A= B= C= D=")
    decision = ruled(four, "A=1003 B=1002 C=1004f D=1004f", held(998), ruling("C", "D"))
    assert shown(decision) == (Grade.MAJORITY, 1002)
    assert (decision.agreement.voting_groups, decision.agreement.groups) == (2, 4)
    for word in ("trusted", "C", "D"):
        assert word in decision.agreement.explanation
    assert decision.ruling == ruling("C", "D")
    assert decision.agreement.since_ns == 7
    assert decision.branches == (header(1004, "fork").ref, header(1003).ref, header(1002).ref)


def test_one_group_that_is_left_after_a_tie_break_does_not_move_the_head() -> None:
    decision = ruled(families("A= B="), "A=1003 B=1002f", held(998), ruling("B"))
    assert shown(decision) == (Grade.UNCORROBORATED, 998)
    assert decision.agreement.voting_groups == 1
    assert "B" in decision.agreement.explanation


def test_what_is_left_of_a_provider_whose_other_node_was_ruled_out_is_no_vote() -> None:
    groups = group_nodes([node("A"), node("B1", "B"), node("B2", "B"), node("C")])
    decision = ruled(groups, "A=1003 B1=1003 B2=1004f C=1004f", held(998), ruling("B2", "C"))
    assert shown(decision) == (Grade.UNCORROBORATED, 998)
    assert (decision.agreement.voting_groups, decision.agreement.groups) == (1, 3)


@pytest.mark.parametrize("out", [(), ("A", "B", "C", "D"), ("X",)])
def test_a_ruling_on_nobody_or_on_everybody_decides_nothing(out: tuple[str, ...]) -> None:
    decision = ruled(families("A= B= C= D="), "A=1003 B=1002 C=1004f D=1004f", held(998), ruling(*out))
    assert shown(decision) == (Grade.SPLIT, 998)
    assert decision.ruling is None


def test_a_ruling_on_silent_nodes_makes_no_quorum_of_those_who_are_left() -> None:
    decision = ruled(families("A= B= C= D= E="), "A=1003 B=1003 C=1004f", held(998), ruling("D", "E"))
    assert shown(decision) == (Grade.SPLIT, 998)
    assert decision.ruling is None


def test_around_a_fork_those_who_are_left_have_to_be_one_more_as_well() -> None:
    five, heads, near = families("A= B= C= D= E="), "A=1003 B=1003 C=1003 D=1004f E=1004f", Circumstances(raised=True)
    split = counted(five, heads, held(998), near)
    assert shown(split) == (Grade.SPLIT, 998)
    tied = break_tie(split, [ruling("D")], SEEN, votes(heads), five, held(998), 7, near)
    assert shown(tied) == (Grade.SPLIT, 998)
    broken = break_tie(split, [ruling("D", "E")], SEEN, votes(heads), five, held(998), 7, near)
    assert shown(broken) == (Grade.MAJORITY, 1003)


def test_whoever_is_ruled_out_is_named_in_order() -> None:
    decision = ruled(families("A= B= C= D="), "A=1003 B=1002 C=1004f D=1004f", held(998), ruling("C", "D"))
    assert decision.agreement.explanation.endswith("ruled out: C, D")


def test_tie_breakers_are_asked_in_order_and_the_first_that_decides_is_named() -> None:
    four = families("A= B= C= D=")
    heads = "A=1003 B=1002 C=1004f D=1004f"
    first, second = ruling("C", "D", by="validity"), ruling("A", "B", by="trusted")
    assert shown(ruled(four, heads, held(998), first, second)) == (Grade.MAJORITY, 1002)
    decision = ruled(four, heads, held(998), second, first)
    assert decision.agreement.block == header(1004, "fork").ref
    assert "trusted" in decision.agreement.explanation


def test_a_ruling_that_leaves_the_split_open_makes_way_for_the_next() -> None:
    six = families("A= B= C= D= E= F=")
    heads = "A=1003 B=1002 C=1003 D=1004f E=1004f F=1004f"
    decision = ruled(six, heads, held(998), ruling("A", "D", by="own"), ruling("D", "E", "F"))
    assert shown(decision) == (Grade.MAJORITY, 1003)
    assert "trusted" in decision.agreement.explanation


def test_the_next_count_goes_on_from_a_broken_tie() -> None:
    four, first = families("A= B= C= D="), "A=1003 B=1002 C=1004f D=1004f"
    before = ruled(four, first, held(998), ruling("C", "D")).agreement
    after = ruled(four, "A=1006 B=1005 C=1007f D=1008f", before, ruling("C", "D"))
    assert shown(after) == (Grade.MAJORITY, 1005)
    assert after.reorg is None
    healed = counted(four, "A=1006 B=1006 C=1006 D=1006", after.agreement)
    assert shown(healed) == (Grade.QUORUM, 1006)
    assert healed.agreement.explanation == ""


def test_the_order_of_tie_breakers_is_the_documented_one() -> None:
    assert TIE_BREAKERS == ("validity", "checkpoint", "trusted", "own")


def test_a_unanimous_pool_forgets_an_old_explanation() -> None:
    ref: BlockRef = header(1000).ref
    old = Agreement(
        grade=Grade.QUORUM, block=ref, since_ns=1, votes=2, voting_groups=2, groups=2, explanation="once upon a time"
    )
    heads: Mapping[str, str] = votes("A=1000 B=1000")
    assert agree(SEEN, heads, families("A= B="), old, 7).agreement.explanation == ""
