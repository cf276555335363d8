"""Detectors of finality, time, fees, tags and stalled majorities, at their limits."""

from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest
from tests.support.chains import header
from tests.support.views import HEAD, NOW, SLOT, WALL, agreed, at, limits, reached, seen, silent, view

from tocsin.clock import MS, NS
from tocsin.detect.chain_basefee import BasefeeParams, chain_basefee
from tocsin.detect.chain_finality_stall import FinalityStallParams, chain_finality_stall
from tocsin.detect.chain_finality_violation import FinalityViolationParams, chain_finality_violation
from tocsin.detect.chain_halt import HaltParams, chain_halt
from tocsin.detect.chain_timestamp import TimestampParams, chain_timestamp
from tocsin.detect.node_fork import ForkParams, node_fork
from tocsin.detect.node_lag import LagParams, node_lag
from tocsin.detect.node_tag_order import TagOrderParams, node_tag_order
from tocsin.detect.pool_majority_stalled import MajorityStalledParams, pool_majority_stalled
from tocsin.detect.pool_quorum_lost import QuorumLostParams, pool_quorum_lost
from tocsin.model.alert import Finding, Grade
from tocsin.model.block import BlockRef, Breach, Rule
from tocsin.model.view import Ahead, Behind, ChainView, Conflict, Lead, Relation, Unlinked
from tocsin.wire.envelope import plain


def only(found: Iterator[Finding]) -> Finding:
    (finding,) = found
    assert finding.summary
    assert "None" not in finding.summary
    orjson.dumps(plain(finding.evidence))
    return finding


# -- pool.majority_stalled


def lead(slots: float, *, rose: float | None = 0.5, number: int = 1003) -> Lead:
    """A lead that began and rose so many block times ago."""
    return Lead(
        block=header(number).ref,
        since_ns=NOW - int(slots * SLOT),
        rose_ns=None if rose is None else NOW - int(rose * SLOT),
    )


def led(grade: Grade = Grade.QUORUM, **changes: object) -> ChainView:
    ahead = at("d", seen(head=header(1003)), Ahead(3))
    phantom = at("p", seen(head=header(9003)), Unlinked(8003))
    return view(ahead, phantom, head=agreed(grade, since_ns=NOW - 10 * SLOT), **changes)


@pytest.mark.parametrize(("slots", "severities"), [(2.4, set()), (2.5, {"critical"}), (40, {"critical"})])
def test_two_groups_that_go_on_while_the_majority_stands_are_critical(slots: float, severities: set[str]) -> None:
    finding = only(pool_majority_stalled(led(lead=lead(slots), lone={"d": lead(slots)}), MajorityStalledParams()))
    assert reached(finding) == severities
    assert finding.grade is Grade.QUORUM
    assert "1000, d went on by 3 blocks" in finding.summary
    assert (finding.evidence["ahead"], finding.evidence["alone"]) == (["d"], False)


@pytest.mark.parametrize(("slots", "severities"), [(2.4, set()), (2.5, {"warning"}), (400, {"warning"})])
def test_one_node_that_goes_on_alone_is_a_warning_and_uncorroborated(slots: float, severities: set[str]) -> None:
    finding = only(
        pool_majority_stalled(
            led(lone={"d": lead(slots), "e": lead(500, rose=5, number=1050)}), MajorityStalledParams()
        )
    )
    assert reached(finding) == severities
    assert finding.grade is Grade.UNCORROBORATED
    assert "1000, d alone went on by 3 blocks" in finding.summary, "e is higher, and stands still"
    assert (finding.evidence["heads"], finding.evidence["alone"]) == ({"d": 1003}, True)


def test_nodes_that_go_on_apart_from_each_other_are_all_named_and_called_no_pair() -> None:
    found = led(lone={"d": lead(3), "e": lead(9, number=1001)})
    finding = only(pool_majority_stalled(found, MajorityStalledParams()))
    assert "d, e, no two groups together, went on by 3 blocks" in finding.summary
    assert finding.value == 18, "since the first of them"


@pytest.mark.parametrize("rose", [None, 4.1])
def test_a_lead_that_does_not_move_is_no_stalled_majority(rose: float | None) -> None:
    still = lead(9, rose=rose)
    assert not list(pool_majority_stalled(led(lead=still, lone={"d": still}), MajorityStalledParams()))


@pytest.mark.parametrize("grade", [Grade.SPLIT, Grade.BLIND, Grade.UNCORROBORATED])
def test_without_an_agreement_nobody_is_the_majority(grade: Grade) -> None:
    assert not list(pool_majority_stalled(led(grade, lead=lead(9), lone={"d": lead(9)}), MajorityStalledParams()))


def test_a_chain_that_two_groups_see_going_on_has_not_halted() -> None:
    old = agreed(since_ns=NOW - 50 * SLOT)
    assert list(chain_halt(view(head=old, lone={"d": lead(9)}), HaltParams())), "one alone may lie"
    assert list(chain_halt(view(head=old, lead=lead(9, rose=5)), HaltParams())), "who led stands still as well"
    assert not list(chain_halt(view(head=old, lead=lead(9)), HaltParams()))


# -- chain.finality_stall


def final(behind: int, slots: int | None = 95, **changes: object) -> ChainView:
    block = header(1000 - behind).ref
    return view(finalized=agreed(block=block), settings={"finality_slots": slots}, **changes)


@pytest.mark.parametrize(
    ("behind", "severities"),
    [(100, {"warning"}), (224, {"warning"}), (225, {"warning", "critical"}), (900, {"warning", "critical"})],
)
def test_finality_stalls_at_20_and_45_minutes_on_ethereum(behind: int, severities: set[str]) -> None:
    assert 100 * SLOT == 20 * 60 * NS
    assert 225 * SLOT == 45 * 60 * NS
    finding = only(chain_finality_stall(final(behind), FinalityStallParams()))
    assert reached(finding) == severities
    assert finding.limits.warning is not None
    assert finding.limits.warning.for_ns == 2 * SLOT


def test_finality_within_the_usual_distance_is_at_rest() -> None:
    for behind in (0, 64, 95, 99):
        assert not list(chain_finality_stall(final(behind), FinalityStallParams()))


def test_finality_scales_with_the_profile_and_is_not_judged_without_it() -> None:
    assert reached(only(chain_finality_stall(final(4, slots=3), FinalityStallParams()))) == {"warning"}
    assert not list(chain_finality_stall(final(900, slots=None), FinalityStallParams()))


def test_finality_that_a_violation_has_frozen_does_not_stall() -> None:
    frozen = view(
        finalized=agreed(Grade.SPLIT, block=header(500).ref), settings={"finality_slots": 95}, revoked=(conflict("b"),)
    )
    assert not list(chain_finality_stall(frozen, FinalityStallParams()))
    assert list(chain_finality_stall(replace(frozen, revoked=()), FinalityStallParams()))


def test_finality_is_not_judged_while_nothing_is_known_of_the_head() -> None:
    for head in (agreed(Grade.BLIND), agreed(Grade.SPLIT), agreed(Grade.BLIND, block=None)):
        assert not list(chain_finality_stall(final(500, head=head), FinalityStallParams()))
    assert not list(
        chain_finality_stall(
            view(finalized=agreed(Grade.BLIND, block=None), settings={"finality_slots": 95}), FinalityStallParams()
        )
    )


# -- chain.finality_violation


def conflict(node: str) -> Conflict:
    return Conflict(node=node, block=header(900, "other").ref, against=header(900).ref)


@pytest.mark.parametrize(("who", "said"), [(("b", "c"), "b, c"), (("",), "agreed head"), (("", "b"), "b")])
def test_finalized_blocks_that_contradict_each_other_are_critical_and_latched(who: tuple[str, ...], said: str) -> None:
    conflicts = tuple(conflict(node) for node in who)
    found = view(conflicts=conflicts, revoked=conflicts)
    finding = only(chain_finality_violation(found, FinalityViolationParams()))
    assert reached(finding) == {"critical"}
    assert finding.limits.latched
    assert finding.grade is found.finalized.grade
    assert said in finding.summary
    assert len(finding.evidence["conflicts"]) == len(who)  # type: ignore[arg-type]


@pytest.mark.parametrize("groups", [1, 3])
def test_what_one_group_says_against_a_finalized_block_warns_and_is_not_latched(groups: int) -> None:
    revoked = (conflict("b"),) if groups == 1 else ()  # the only group of a pool bears out what it says itself
    found = view(conflicts=(conflict("b"),), revoked=revoked, finalized=agreed(groups=groups))
    finding = only(chain_finality_violation(found, FinalityViolationParams()))
    assert (reached(finding), finding.grade) == ({"warning"}, Grade.UNCORROBORATED)
    assert not finding.limits.latched
    assert finding.value == 1


def test_finality_that_holds_is_at_rest() -> None:
    assert not list(chain_finality_violation(view(), FinalityViolationParams()))


# -- chain.timestamp


@pytest.mark.parametrize(("rule", "word"), [(Rule.SLOT, "slots"), (Rule.ORDER, "parent")])
def test_a_head_with_an_impossible_time_warns(rule: Rule, word: str) -> None:
    wrong = Breach(rule=rule, shown=HEAD.timestamp, right=HEAD.timestamp - 5)
    finding = only(chain_timestamp(view(head_breaches=(wrong,)), TimestampParams()))
    assert (finding.value, reached(finding)) == (5, {"warning"})
    assert word in finding.summary
    assert finding.limits.clear.for_ns == 3 * SLOT


@pytest.mark.parametrize(("late_s", "drift_s", "count"), [(15, 15, 0), (16, 15, 1), (16, 60, 0), (61, 60, 1)])
def test_a_head_from_the_future_warns_past_the_drift_of_the_chain(late_s: int, drift_s: int, count: int) -> None:
    wall = (HEAD.timestamp - late_s) * NS
    found = list(chain_timestamp(view(wall_ns=wall, settings={"clock_drift_ns": drift_s * NS}), TimestampParams()))
    assert len(found) == count
    assert all(finding.value == late_s and "clock" in finding.summary for finding in found)


def test_a_head_of_now_and_a_wrong_fee_are_no_matter_of_time() -> None:
    fee = Breach(rule=Rule.BASE_FEE, shown=1, right=2)
    assert not list(chain_timestamp(view(head_breaches=(fee,)), TimestampParams()))
    assert not list(chain_timestamp(view(head_header=None), TimestampParams()))


# -- chain.basefee


def test_a_node_on_a_block_with_a_wrong_fee_is_accused_with_both_figures() -> None:
    wrong = replace(at("a"), breaches=(Breach(rule=Rule.BASE_FEE, shown=10**20, right=7),))
    finding = only(chain_basefee(view(wrong), BasefeeParams()))
    assert limits(finding) == {"critical": (1, 2)}
    assert finding.labels == wrong.labels
    assert (finding.evidence["base_fee_wei"], finding.evidence["right_wei"]) == (str(10**20), "7")


def test_a_wrong_time_is_no_wrong_fee() -> None:
    wrong = replace(at("a"), breaches=(Breach(rule=Rule.SLOT, shown=1, right=2),))
    assert not list(chain_basefee(view(wrong), BasefeeParams()))


@pytest.mark.parametrize(
    ("fee", "usual", "value", "severities"),
    [
        (49, 10, None, set()),
        (50, 10, 5, set()),
        (99, 10, 9, set()),
        (100, 10, 10, {"warning"}),
        (100, None, None, set()),
    ],
)
def test_a_fee_of_ten_medians_warns_for_the_chain(
    fee: int, usual: int | None, value: int | None, severities: set[str]
) -> None:
    found = list(chain_basefee(view(head_header=replace(HEAD, base_fee=fee), fee_median=usual), BasefeeParams()))
    assert [finding.value for finding in found] == ([] if value is None else [value])
    assert {level for finding in found for level in reached(finding)} == severities
    assert all(finding.labels == (("chain", "eip155:1"),) for finding in found)


# -- node.tag_order


def tags(latest: int, safe: int | None, finalized: int | None, fall: int = 0) -> list[Finding]:
    def ref(number: int | None) -> BlockRef | None:
        return None if number is None else header(number).ref

    record = seen(head=header(latest), safe=ref(safe), finalized=ref(finalized), tag_fall=fall)
    return list(node_tag_order(view(at("a", record)), TagOrderParams()))


@pytest.mark.parametrize(
    ("latest", "safe", "finalized", "fall", "value"),
    [
        (1000, 968, 936, 0, None),
        (1000, 1000, 1000, 0, None),
        (1000, None, None, 0, None),
        (1000, 1001, 936, 0, 1),
        (1000, 900, 936, 0, 36),
        (1000, None, 1003, 0, 3),
        (1000, 1005, 1007, 0, 5),
        (1000, 968, 936, 32, 32),
    ],
)
def test_tags_out_of_order_are_told_in_blocks(
    latest: int, safe: int | None, finalized: int | None, fall: int, value: int | None
) -> None:
    found = tags(latest, safe, finalized, fall)
    assert [finding.value for finding in found] == ([] if value is None else [value])
    for finding in found:
        assert limits(finding) == {"warning": (1, 2)}
        only(iter([finding]))


# -- node.lag and node.fork where they learnt more


@pytest.mark.parametrize(
    ("block_ns", "warns", "critical"), [(12 * NS, 3, 15), (2 * NS, 3, 15), (NS, 6, 30), (100 * MS, 60, 300)]
)
def test_lag_is_held_against_what_may_come_in_a_poll(block_ns: int, warns: int, critical: int) -> None:
    node = at("a", relation=Behind(2), own=True)
    found = only(node_lag(view(node, settings={"block_time_ns": block_ns}), LagParams()))
    assert {name: over for name, (over, _) in limits(found).items()} == {"critical": critical, "warning": warns}  # type: ignore[misc]
    assert found.limits.clear.under == 2 * warns // 3


@pytest.mark.parametrize(
    ("relation", "grade", "count"),
    [
        (Unlinked(1), Grade.QUORUM, 1),
        (Unlinked(3), Grade.QUORUM, 1),
        (Unlinked(0), Grade.MAJORITY, 1),
        (Unlinked(-5), Grade.QUORUM, 1),
        (Unlinked(4), Grade.QUORUM, 0),
        (Unlinked(2), Grade.SPLIT, 0),
        (Unlinked(2), Grade.UNCORROBORATED, 0),
    ],
)
def test_a_head_near_the_agreed_one_that_nobody_gives_the_ancestors_of_is_a_fork(
    relation: Relation, grade: Grade, count: int
) -> None:
    since = NOW - 3 * SLOT
    node = replace(at("a", seen(forked_since_ns=since), relation), withheld=True)
    found = list(node_fork(view(node, head=agreed(grade)), ForkParams()))
    assert [reached(finding) for finding in found] == [{"warning"}] * count
    assert not list(node_lag(view(node, head=agreed(grade)), LagParams())), "one alert for one cause"


def test_a_node_against_whom_a_tie_was_broken_is_forked_though_the_head_stands_still() -> None:
    node = replace(at("a", relation=Ahead(9)), ruled_out="the trusted block 5")
    finding = only(node_fork(view(node, head=agreed(Grade.UNCORROBORATED)), ForkParams()))
    assert (finding.value, reached(finding)) == (9, {"warning", "critical"})
    assert "trusted" in finding.summary
    assert not list(node_fork(view(at("a", relation=Ahead(9))), ForkParams()))


def test_a_quorum_that_a_tie_break_took_names_who_was_ruled_out() -> None:
    out = replace(at("a"), ruled_out="the trusted block 5")
    head = agreed(
        Grade.UNCORROBORATED, voting_groups=1, groups=2, explanation="the tie was broken by the trusted block 5"
    )
    finding = only(pool_quorum_lost(view(out, at("b"), head=head), QuorumLostParams()))
    assert finding.evidence["ruled_out"] == ["a"]
    assert "trusted" in finding.summary
    calm = only(
        pool_quorum_lost(view(at("a", silent()), at("b"), head=replace(head, explanation="x")), QuorumLostParams())
    )
    assert "ruled_out" not in calm.evidence
    assert "x" not in calm.summary.split("; ")


def test_a_quorum_that_lacks_a_client_family_says_so() -> None:
    head = agreed(Grade.MAJORITY, voting_groups=2, groups=3, explanation="of the client families only geth agree")
    finding = only(pool_quorum_lost(view(at("a", silent()), head=head), QuorumLostParams()))
    assert finding.summary.endswith("only geth agree")


def test_none_of_them_says_anything_of_a_pool_at_rest() -> None:
    rest = view(at("a"), at("b"), wall_ns=WALL, settings={"finality_slots": 95})
    for run, params in (
        (pool_majority_stalled, MajorityStalledParams()),
        (chain_finality_stall, FinalityStallParams()),
        (chain_finality_violation, FinalityViolationParams()),
        (chain_timestamp, TimestampParams()),
        (chain_basefee, BasefeeParams()),
        (node_tag_order, TagOrderParams()),
    ):
        assert not list(run(rest, params))  # type: ignore[operator]
