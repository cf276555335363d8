"""What is agreed: the scripted pools of the head-rule comparison, and the rules one by one."""

from dataclasses import dataclass, replace

import pytest
from tests.support.chains import NOTHING, chain, header, name, pool, tree

from tocsin.chain.agreement import Circumstances, Decision, agree, agree_finalized
from tocsin.chain.tree import HeaderTree, insert, relation
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef, Header, Verification
from tocsin.model.view import Agreement, Ahead, Behind, Forked, Level, Relation, Unlinked

MAIN = chain(900, 1010)
FORK = chain(999, 1010, "fork", after=header(998).hash)
OTHER = chain(999, 1010, "other", after=header(998).hash)
PHANTOM = header(30_000_000, "phantom")
SEEN = insert(tree(MAIN, FORK, OTHER), PHANTOM)
T = 5_000


def block(text: str) -> Header:
    """Return a block for "1000" (main), "1000f" (fork), "1000o" (another fork) or "phantom"."""
    if text == "phantom":
        return PHANTOM
    branch = {"f": "fork", "o": "other"}.get(text[-1], "main")
    return header(int(text.rstrip("fo")), branch)


def votes(spec: str) -> dict[str, str]:
    """Return node to head hash for a spec such as "A=1000 B=1000f"; a node that is not named is silent."""
    return {label: block(head).hash for label, _, head in (item.partition("=") for item in spec.split())}


def held(text: str, grade: Grade = Grade.QUORUM) -> Agreement:
    return Agreement(grade=grade, block=block(text).ref, since_ns=1, votes=2, voting_groups=2, groups=2)


def decide(
    nodes: str, heads: str, previous: Agreement = NOTHING, seen: HeaderTree = SEEN, *, overdue: str = ""
) -> Decision:
    circumstances = Circumstances(overdue=overdue.split())
    return agree(seen, votes(heads), pool(nodes), previous, T, circumstances)


def stands(decision: Decision, head: str) -> Relation:
    assert decision.agreement.block is not None
    return relation(SEEN, block(head), decision.agreement.block)


@dataclass(frozen=True, kw_only=True)
class Pool:
    nodes: str
    heads: str
    grade: Grade
    agreed: str | None
    relations: dict[str, Relation]


THREE, SAME = "A B C", "P1=P P2=P O"
FORK_POINT = header(998).ref
# Section 4 of the measured comparison of head rules; the expectation is that of "tree + group quorum".
COMPARISON = {
    "normal skew": Pool(
        nodes=THREE,
        heads="A=1000 B=1000 C=999",
        grade=Grade.QUORUM,
        agreed="1000",
        relations={"A": Level(), "C": Behind(1)},
    ),
    "one frozen node": Pool(
        nodes=THREE,
        heads="A=1000 B=1000 C=940",
        grade=Grade.QUORUM,
        agreed="1000",
        relations={"A": Level(), "C": Behind(60)},
    ),
    "phantom head 30 M, 1 of 3": Pool(
        nodes=THREE,
        heads="A=1000 B=1000 C=phantom",
        grade=Grade.QUORUM,
        agreed="1000",
        relations={"A": Level(), "B": Level(), "C": Unlinked(29_999_000)},
    ),
    "phantom, 2 nodes": Pool(nodes="A C", heads="A=1000 C=phantom", grade=Grade.SPLIT, agreed=None, relations={}),
    "1 of 3 forked, same height": Pool(
        nodes=THREE,
        heads="A=1000 B=1000 C=1000f",
        grade=Grade.QUORUM,
        agreed="1000",
        relations={"A": Level(), "C": Forked(2, FORK_POINT)},
    ),
    "P1+P2 forked vs O": Pool(
        nodes=SAME,
        heads="P1=1001f P2=1001f O=1000",
        grade=Grade.SPLIT,
        agreed="998",
        relations={"P1": Ahead(3), "O": Ahead(2)},
    ),
    "P1+P2 frozen at 940 vs O": Pool(
        nodes=SAME,
        heads="P1=940 P2=940 O=1000",
        grade=Grade.QUORUM,
        agreed="940",
        relations={"P1": Level(), "O": Ahead(60)},
    ),
    "3 of 5 frozen at 950": Pool(
        nodes="A B C D E",
        heads="A=950 B=950 C=950 D=1000 E=1000",
        grade=Grade.QUORUM,
        agreed="950",
        relations={"A": Level(), "D": Ahead(50), "E": Ahead(50)},
    ),
    "1 of 2 forked": Pool(
        nodes="A B",
        heads="A=1000 B=1000f",
        grade=Grade.SPLIT,
        agreed="998",
        relations={"A": Ahead(2), "B": Ahead(2)},
    ),
    "all level": Pool(nodes=THREE, heads="A=1000 B=1000 C=1000", grade=Grade.QUORUM, agreed="1000", relations={}),
}


@pytest.mark.parametrize("scenario", COMPARISON)
def test_each_pool_of_the_head_rule_comparison_is_judged_right(scenario: str) -> None:
    expected = COMPARISON[scenario]
    decision = decide(expected.nodes, expected.heads)
    agreed = None if expected.agreed is None else block(expected.agreed).ref
    assert (decision.agreement.grade, decision.agreement.block) == (expected.grade, agreed)
    shown = dict(item.split("=") for item in expected.heads.split())
    assert {label: stands(decision, shown[label]) for label in expected.relations} == expected.relations


@pytest.mark.parametrize("branch", ["f", "o"])
def test_a_split_freezes_at_the_last_agreed_block(branch: str) -> None:
    for previous in ("1000", "998"):
        decision = decide(SAME, f"P1=1003{branch} P2=1003{branch} O=1002", held(previous))
        assert decision.agreement.grade is Grade.SPLIT
        assert decision.agreement.block == block(previous).ref
        assert decision.agreement.since_ns == 1
        assert decision.branches == (block(f"1003{branch}").ref, block("1002").ref)
        assert decision.reorg is None


def test_a_phantom_among_two_gives_no_verdict_and_keeps_the_last_agreed_block() -> None:
    for own in ("1000", "1001"):
        decision = decide("A C", f"A={own} C=phantom", held("1000"))
        assert (decision.agreement.grade, decision.agreement.block) == (Grade.SPLIT, block("1000").ref)
        assert decision.unlinked == ()


def test_two_groups_of_which_one_is_silent_are_uncorroborated_and_not_split() -> None:
    decision = decide("A B", "A=1005", held("1000"))
    assert decision.agreement == Agreement(
        grade=Grade.UNCORROBORATED,
        block=block("1000").ref,
        since_ns=1,
        votes=1,
        voting_groups=1,
        groups=2,
        explanation="too few groups vote",
    )


def test_one_group_of_two_alone_agrees_on_nothing_at_the_start() -> None:
    alone = decide("A B", "A=1005").agreement
    assert (alone.block, alone.votes, alone.voting_groups) == (None, 0, 1)


def test_of_two_groups_one_a_block_behind_agree_on_the_lower_block() -> None:
    decision = decide("A B", "A=1000 B=1001", held("999"))
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.QUORUM, block("1000").ref)
    assert (decision.agreement.since_ns, decision.agreement.votes) == (T, 2)


def test_a_group_votes_with_more_than_half_of_its_nodes() -> None:
    assert decide("A P1=P P2=P P3=P", "A=1001 P1=1001 P2=1001 P3=990").agreement.block == block("1001").ref
    assert decide("A P1=P P2=P P3=P", "A=1001 P1=1001 P3=990").agreement.block == block("990").ref
    assert decide("A P1=P P2=P P3=P", "A=1001 P1=1001").agreement.voting_groups == 1


def test_of_two_nodes_in_a_group_both_must_have_the_block() -> None:
    assert decide("A P1=P P2=P", "A=1001 P1=1001 P2=1000").agreement.block == block("1000").ref
    assert decide("A P1=P P2=P", "A=1001 P1=1001").agreement.grade is Grade.UNCORROBORATED


def test_a_group_that_is_split_within_votes_for_its_common_ancestor() -> None:
    decision = decide("A B P1=P P2=P", "A=1000 P1=1000 P2=1000f")
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.SPLIT, block("998").ref)
    assert decision.branches == (block("1000").ref, block("998").ref)


def test_a_group_that_contradicts_itself_takes_no_quorum_from_the_others() -> None:
    decision = decide("A B P1=P P2=P", "A=1001 B=1000 P1=1001 P2=1000f", held("998"))
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.QUORUM, block("1000").ref)


@pytest.mark.parametrize("groups", [2, 3, 4])
def test_the_same_divergence_inside_every_group_is_a_split_and_no_quorum_at_the_fork_point(groups: int) -> None:
    nodes = " ".join(f"{p}1={p} {p}2={p}" for p in "PQRS"[:groups])
    heads = " ".join(f"{p}1=1003 {p}2=1003f" for p in "PQRS"[:groups])
    decision = decide(nodes, heads, held("998"))
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.SPLIT, block("998").ref)
    assert decision.agreement.explanation


def test_of_three_groups_two_hold_the_branch_whoever_is_ahead() -> None:
    decision = decide(THREE, "A=1002 B=1001 C=1010f", held("1000"))
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.QUORUM, block("1001").ref)
    assert stands(decision, "1010f") == Forked(12, FORK_POINT)


def test_three_branches_of_three_groups_are_a_split() -> None:
    decision = decide(THREE, "A=1000 B=1000f C=1000o", held("998"))
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.SPLIT, block("998").ref)


def test_two_against_two_is_a_split() -> None:
    assert decide("A B C D", "A=1000 B=1000 C=1000f D=1000f").agreement.grade is Grade.SPLIT


def test_a_race_that_a_third_group_can_still_decide_is_no_split() -> None:
    decision = decide(THREE, "A=999 B=999f C=998", held("997"))
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.QUORUM, block("998").ref)
    behind = decide(THREE, "A=999 B=999f C=997", held("996"))
    assert (behind.agreement.grade, behind.agreement.block) == (Grade.QUORUM, block("998").ref)
    silent = decide(THREE, "A=999 B=999f", held("997"))
    assert silent.agreement.grade is Grade.SPLIT


def test_a_node_that_goes_silent_or_back_does_not_lower_the_agreed_head() -> None:
    for heads in ("A=1000 C=998", "A=998 B=998 C=998", "B=999 C=999"):
        decision = decide(THREE, heads, held("1000"))
        assert (decision.agreement.grade, decision.agreement.block) == (Grade.QUORUM, block("1000").ref)
        assert decision.agreement.since_ns == 1
        assert decision.reorg is None


def test_a_quorum_on_another_branch_is_followed_also_to_a_lower_block() -> None:
    for new, depth in (("1002f", 2), ("1000f", 2), ("999f", 2)):
        decision = decide(THREE, f"A={new} B={new} C=1000", held("1000"))
        assert (decision.agreement.grade, decision.agreement.block) == (Grade.QUORUM, block(new).ref)
        assert decision.reorg == Forked(depth, FORK_POINT)
        assert decision.agreement.since_ns == T


def test_one_group_alone_is_uncorroborated_by_configuration_and_moves_its_head() -> None:
    decision = decide("A", "A=1001", held("1000"))
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.UNCORROBORATED, block("1001").ref)
    again = decide("A", "A=1001", decision.agreement)
    assert again.agreement == decision.agreement
    back = decide("A", "A=999", decision.agreement)
    assert back.agreement.block == block("1001").ref
    assert decide("P1=P P2=P", "P1=1000 P2=1000f").agreement.grade is Grade.UNCORROBORATED


def test_nobody_votes_is_blind_and_keeps_the_last_agreed_block() -> None:
    assert decide(THREE, "", held("1000")).agreement == Agreement(
        grade=Grade.BLIND, block=block("1000").ref, since_ns=1, votes=0, voting_groups=0, groups=3
    )
    assert decide("P1=P P2=P", "P1=1000").agreement.grade is Grade.BLIND
    assert decide("", "").agreement.grade is Grade.BLIND


def test_unlinked_heads_are_no_split_before_the_back_fill_had_its_chance() -> None:
    heads = tree([header(1000), header(1005)])
    waiting = decide("A B", "A=1000 B=1005", seen=heads)
    assert (waiting.agreement.grade, waiting.unlinked) == (Grade.UNCORROBORATED, ("A", "B"))
    assert waiting.agreement.explanation == "heads are not linked yet"
    in_vain = decide("A B", "A=1000 B=1005", seen=heads, overdue="B")
    assert (in_vain.agreement.grade, in_vain.unlinked) == (Grade.SPLIT, ("A", "B"))
    filled = decide("A B", "A=1000 B=1005", seen=insert(heads, *chain(1001, 1004)))
    assert (filled.agreement.grade, filled.agreement.block, filled.unlinked) == (Grade.QUORUM, block("1000").ref, ())


def test_a_head_without_a_quorum_is_still_linked_to_what_is_held() -> None:
    lone = header(1005, "lone")
    decision = agree(insert(tree(MAIN), lone), {"A": lone.hash}, pool("A B"), held("1000"), T)
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.UNCORROBORATED, block("1000").ref)
    assert decision.unlinked == ("A",)


def test_a_node_far_behind_what_was_agreed_disputes_nothing() -> None:
    seen = insert(tree(MAIN), header(100))
    assert decide("A B", "A=1001 B=100", held("1000"), seen).agreement.grade is Grade.UNCORROBORATED


def test_a_quorum_further_on_is_taken_at_once_and_said_to_be_unjoined() -> None:
    seen = tree([header(1000), header(1008)])
    decision = decide("A B", "A=1008 B=1008", held("1000"), seen)
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.QUORUM, block("1008").ref)
    assert decision.unjoined == block("1000").ref
    assert decide("A B", "A=1001 B=1001", held("1000")).unjoined is None


def test_a_lower_quorum_that_is_not_linked_does_not_replace_what_is_held() -> None:
    seen = tree([header(1000), header(990)])
    decision = decide("A B", "A=990 B=990", held("1000"), seen)
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.UNCORROBORATED, block("1000").ref)
    assert decision.unlinked == ("A", "B")
    assert (decision.unjoined, decision.reorg) == (None, None)


@pytest.mark.parametrize(
    ("first", "circumstances", "is_taken"),
    [
        (990, Circumstances(), False),  # the two chains are known at no height together
        (989, Circumstances(), True),
        (980, Circumstances(), True),
        (990, Circumstances(has_left=True), True),
        (990, Circumstances(out_of_reach=11), False),
        (990, Circumstances(out_of_reach=10), True),
        (990, Circumstances(out_of_reach=9), True),
    ],
)
def test_a_lower_quorum_is_followed_where_it_is_known_to_be_on_another_branch(
    first: int, circumstances: Circumstances, *, is_taken: bool
) -> None:
    lower = chain(980, 990, "lower", after=name("unknown"))
    seen = tree(chain(first + 1, 1000), lower)
    heads = {"A": lower[-1].hash, "B": lower[-1].hash}
    decision = agree(seen, heads, pool("A B C"), held("1000"), T, circumstances)
    assert decision.agreement.block == (lower[-1].ref if is_taken else block("1000").ref)
    assert (decision.agreement.grade is Grade.QUORUM) is is_taken


def test_a_quorum_at_the_height_of_what_is_held_is_taken_at_once_too() -> None:
    lone = header(1000, "lone")
    decision = agree(insert(tree(MAIN), lone), {"A": lone.hash, "B": lone.hash}, pool("A B"), held("1000"), T)
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.QUORUM, lone.ref)
    assert (decision.unjoined, decision.reorg) == (block("1000").ref, None)


def test_a_head_that_was_never_seen_is_no_vote() -> None:
    decision = agree(SEEN, {"A": name("unknown"), "B": block("1000").hash}, pool("A B"), NOTHING, T)
    assert (decision.agreement.grade, decision.agreement.voting_groups) == (Grade.UNCORROBORATED, 1)


def test_an_unchanged_agreement_is_the_same_value() -> None:
    first = decide(THREE, "A=1000 B=1000 C=1000")
    second = agree(SEEN, votes("A=1000 B=1000 C=1000"), pool(THREE), first.agreement, T + 1)
    assert second.agreement is first.agreement
    assert second == first, "nothing else is told of it either"
    assert second.branches == (block("1000").ref,)


def test_a_unanimous_pool_that_was_configured_anew_is_counted_by_what_it_is_now() -> None:
    three = decide(THREE, "A=1000 B=1000 C=1000").agreement
    two = decide("A B", "A=1000 B=1000", three).agreement
    assert (two.votes, two.voting_groups, two.groups, two.since_ns) == (2, 2, 2, three.since_ns)
    one = decide("A", "A=1000", two).agreement
    assert (one.grade, one.groups, one.explanation) == (Grade.UNCORROBORATED, 1, "one group is configured")


def test_votes_are_counted_anew_when_a_node_falls_silent_at_the_agreed_head() -> None:
    first = decide(THREE, "A=1000 B=1000 C=1000").agreement
    assert (first.votes, first.voting_groups) == (3, 3)
    second = decide(THREE, "A=1000 B=1000", first).agreement
    assert (second.votes, second.voting_groups, second.groups, second.grade) == (2, 2, 3, Grade.QUORUM)
    third = decide(THREE, "A=1000", second).agreement
    assert (third.votes, third.voting_groups, third.grade) == (1, 1, Grade.UNCORROBORATED)
    assert decide(THREE, "A=1000 B=1000 C=1000", third).agreement == first


def test_a_healed_split_is_a_quorum_again_without_a_new_block() -> None:
    decision = decide("A B", "A=1000 B=1000", held("1000", Grade.SPLIT))
    assert decision.agreement.grade is Grade.QUORUM
    assert decision.agreement.since_ns == 1


def finalized(spec: str) -> dict[str, BlockRef]:
    return {label: block(head).ref for label, _, head in (item.partition("=") for item in spec.split())}


def test_the_agreed_finalized_block_rises_and_never_goes_down() -> None:
    first = agree_finalized(SEEN, finalized("A=930 B=962 C=962"), pool(THREE), NOTHING, T)
    assert (first.agreement.grade, first.agreement.block) == (Grade.QUORUM, block("962").ref)
    for heads in ("A=930 B=930 C=930", "A=930", ""):
        later = agree_finalized(SEEN, finalized(heads), pool(THREE), first.agreement, T + 1)
        assert later.agreement.block == block("962").ref
        assert later.agreement.since_ns == T
        assert later.conflicts == ()


def test_finalized_blocks_out_of_the_tree_count_by_hash() -> None:
    far = BlockRef(number=5000, hash=name("far"))
    heads = {"A": far, "B": far}
    decision = agree_finalized(SEEN, heads, pool(THREE), held("962"), T)
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.QUORUM, far)


def test_a_block_stays_at_its_height_whatever_height_its_hash_is_shown_at() -> None:
    higher = BlockRef(number=5000, hash=block("962").hash)
    decision = agree_finalized(SEEN, {"A": higher, "B": higher}, pool(THREE), held("962"), T)
    assert (decision.agreement.block, decision.agreement.since_ns) == (block("962").ref, 1)


def test_each_node_votes_for_its_head_as_it_shows_it_where_a_hash_is_contested() -> None:
    honest = replace(header(1005), verification=Verification.CANNOT_VERIFY)
    forged = replace(honest, parent_hash=name("elsewhere"))
    seen = insert(tree(chain(990, 1004)), honest, forged)
    heads = {"A": honest.hash, "B": honest.hash, "C": header(1003).hash}
    near = Circumstances(claims={"A": honest, "B": forged})
    told = agree(seen, heads, pool(THREE), held("990"), T, near).agreement
    assert (told.grade, told.block) == (Grade.QUORUM, block("1003").ref), (
        "A and C have it, of B's branch nothing is known"
    )
    above = header(1006, "above", parent=honest.hash)
    resting = agree(insert(seen, above), {"A": above.hash, "C": header(1003).hash}, pool(THREE), held("990"), T)
    assert resting.agreement.block == block("990").ref, "nobody's word links the blocks of another"
    both = Circumstances(claims={"A": honest, "B": honest})
    assert agree(seen, heads, pool(THREE), held("990"), T, both).agreement.block == honest.ref


@pytest.mark.parametrize("by", [-400, -3, -1, 1, 3, 2**40])
@pytest.mark.parametrize("is_known", [True, False])
def test_who_shows_the_agreed_hash_at_another_height_does_not_agree(by: int, *, is_known: bool) -> None:
    honest = replace(header(1005), verification=Verification.MATCH if is_known else Verification.CANNOT_VERIFY)
    wrong = replace(honest, number=1005 + by, verification=Verification.CANNOT_VERIFY)
    seen = insert(tree(chain(990, 1004)), honest, wrong)
    heads = dict.fromkeys("ABC", honest.hash)
    claims = {"A": honest, "B": honest, "C": wrong}
    for previous in (NOTHING, held("1005"), held("1003")):
        found = agree(seen, heads, pool(THREE), previous, T, Circumstances(claims=claims)).agreement
        assert (found.grade, found.block, found.votes) == (Grade.QUORUM, honest.ref, 2)
        two = {"A": honest.hash, "C": honest.hash}
        alone = agree(seen, two, pool("A C"), previous, T, Circumstances(claims=claims)).agreement
        below = previous.block is not None and 1005 + by < previous.block.number
        grade = Grade.UNCORROBORATED if below else Grade.SPLIT
        assert (alone.grade, alone.block) == (grade, previous.block), "it is one against one"


def test_a_hash_that_is_shown_at_the_height_of_its_parent_does_not_speak_for_the_parent() -> None:
    lowered = BlockRef(number=961, hash=block("962").hash)
    heads = {"A": lowered, "B": block("961").ref}
    decision = agree_finalized(SEEN, heads, pool("A B"), NOTHING, T)
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.SPLIT, None)
    assert [conflict.node for conflict in decision.conflicts] == ["A", "B"]


def test_a_quorum_that_revokes_finality_is_reported_and_not_followed() -> None:
    decision = agree_finalized(SEEN, finalized("A=1005f B=1005f C=1001"), pool(THREE), held("1000"), T)
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.SPLIT, block("1000").ref)
    assert [(conflict.node, conflict.block, conflict.against) for conflict in decision.conflicts] == [
        ("A", block("1005f").ref, block("1000").ref),
        ("B", block("1005f").ref, block("1000").ref),
    ]


def test_one_node_with_another_finalized_block_is_named_and_the_rest_agrees() -> None:
    heads = {**finalized("A=962 B=962"), "C": BlockRef(number=962, hash=name("lie"))}
    decision = agree_finalized(SEEN, heads, pool(THREE), held("930"), T)
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.QUORUM, block("962").ref)
    assert [conflict.node for conflict in decision.conflicts] == ["C"]


def test_two_nodes_that_finalized_differently_at_the_start_are_both_named() -> None:
    heads = {"A": BlockRef(number=962, hash=name("one")), "B": BlockRef(number=962, hash=name("two"))}
    decision = agree_finalized(SEEN, heads, pool("A B"), NOTHING, T)
    assert (decision.agreement.grade, decision.agreement.block) == (Grade.SPLIT, None)
    assert [conflict.node for conflict in decision.conflicts] == ["A", "B"]


def test_who_puts_a_known_hash_at_another_height_does_not_speak_of_that_block() -> None:
    for wrong in (1, 900, 1005, 2**62):
        for liar in "ABC":
            heads = finalized("A=962 B=962 C=962")
            heads[liar] = BlockRef(number=wrong, hash=heads[liar].hash)
            decision = agree_finalized(SEEN, heads, pool(THREE), held("930"), T)
            assert (decision.agreement.grade, decision.agreement.block) == (Grade.QUORUM, finalized("A=962")["A"])


def test_what_is_finalized_says_why_it_is_no_quorum() -> None:
    nothing = agree_finalized(SEEN, finalized("A=962"), pool(THREE), held("930"), T).agreement
    assert (nothing.grade, nothing.explanation) == (Grade.UNCORROBORATED, "too few groups vote")
    revoked = agree_finalized(SEEN, finalized("A=1005f B=1005f"), pool(THREE), held("1000"), T).agreement
    assert (revoked.grade, revoked.explanation) == (
        Grade.SPLIT,
        "groups contradict each other and no side has a quorum",
    )


def test_around_a_fork_finality_takes_one_group_more() -> None:
    near = Circumstances(raised=True)
    three = finalized("A=962 B=962")
    assert agree_finalized(SEEN, three, pool(THREE), held("930"), T).agreement.block == block("962").ref
    raised = agree_finalized(SEEN, three, pool(THREE), held("930"), T, near).agreement
    assert (raised.grade, raised.block) == (Grade.UNCORROBORATED, block("930").ref)
    assert "fork" in raised.explanation
