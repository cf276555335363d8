"""Detectors of the pool, the chain and the watchdog itself, at their limits."""

from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest
from tests.support.chains import header
from tests.support.views import HEAD, NOW, SLOT, agreed, at, limits, never, reached, seen, self_view, silent, view

from tocsin.clock import MS, NS
from tocsin.detect.chain_halt import HaltParams, chain_halt
from tocsin.detect.chain_reorg import ReorgParams, chain_reorg
from tocsin.detect.pool_blind import BlindParams, pool_blind
from tocsin.detect.pool_quorum_lost import QuorumLostParams, pool_quorum_lost
from tocsin.detect.pool_split import SplitParams, pool_split
from tocsin.detect.self_config import ConfigParams, self_config
from tocsin.detect.self_loop_lag import LoopLagParams, self_loop_lag
from tocsin.model.alert import Finding, Grade
from tocsin.model.observation import FaultKind
from tocsin.model.view import Ahead, Behind, ChainView, Reorg, Unlinked
from tocsin.wire.envelope import plain


def only(found: Iterator[Finding]) -> Finding:
    (finding,) = found
    assert finding.summary
    assert "None" not in finding.summary
    orjson.dumps(plain(finding.evidence))
    return finding


# -- chain.halt


def halted(slots: float, **changes: object) -> ChainView:
    return view(head=agreed(since_ns=NOW - int(slots * SLOT)), **changes)


@pytest.mark.parametrize(
    ("slots", "severities"),
    [(3, set()), (5.9, set()), (6, {"warning"}), (14.9, {"warning"}), (15, {"warning", "critical"})],
)
def test_a_halt_counts_block_times(slots: float, severities: set[str]) -> None:
    finding = only(chain_halt(halted(slots), HaltParams()))
    assert reached(finding) == severities
    assert "no node shows a newer one" in finding.summary


def test_a_halt_clears_below_three_block_times() -> None:
    assert not list(chain_halt(halted(2.9), HaltParams()))
    assert only(chain_halt(halted(3), HaltParams())).limits.clear.under == 3


@pytest.mark.parametrize("grade", [grade for grade in Grade if grade not in (Grade.QUORUM, Grade.MAJORITY)])
def test_a_head_that_is_not_agreed_now_is_no_halt(grade: Grade) -> None:
    frozen = agreed(grade, since_ns=NOW - 50 * SLOT)
    assert not list(chain_halt(view(head=frozen), HaltParams()))


def test_a_single_group_halts_uncorroborated() -> None:
    frozen = agreed(Grade.UNCORROBORATED, since_ns=NOW - 50 * SLOT, groups=1, votes=1, voting_groups=1)
    assert only(chain_halt(view(at("a"), head=frozen), HaltParams())).grade is Grade.UNCORROBORATED


def test_silent_nodes_make_no_halt() -> None:
    everyone = [at(name, silent()) for name in "abc"]
    assert not list(chain_halt(view(*everyone, head=agreed(since_ns=NOW - 50 * SLOT)), HaltParams()))


@pytest.mark.parametrize("relation", [Ahead(9), Unlinked(30_000_000)])
def test_a_node_that_shows_more_is_named_and_mutes_nothing(relation: Ahead | Unlinked) -> None:
    found = view(at("fast", relation=relation), head=agreed(since_ns=NOW - 50 * SLOT))
    finding = only(chain_halt(found, HaltParams()))
    assert reached(finding) == {"warning", "critical"}
    assert "fast" in finding.summary
    assert finding.evidence["ahead"] == ["fast"]


def test_a_head_from_before_the_start_keeps_a_halt_open_and_begins_none() -> None:
    finding = only(chain_halt(halted(7200, started_ns=NOW - SLOT), HaltParams()))
    assert finding.value >= finding.limits.clear.under
    assert limits(finding) == {}
    assert reached(only(chain_halt(halted(7200, started_ns=NOW - 6 * SLOT), HaltParams()))) == {"warning"}


def test_a_chain_faster_than_its_polls_halts_by_polls() -> None:
    fast = {"block_time_ns": 250 * MS, "poll_ns": 2 * NS}
    still = view(head=agreed(since_ns=NOW - 12 * NS), settings=fast)
    assert reached(only(chain_halt(still, HaltParams()))) == {"warning"}
    assert not list(chain_halt(view(head=agreed(since_ns=NOW - 5 * NS), settings=fast), HaltParams()))


# -- chain.reorg


def reorged(depth: int, ago_ns: int) -> ChainView:
    reorg = Reorg(
        depth=depth, ancestor=header(990).ref, old=header(992).ref, new=HEAD.ref, at_ns=NOW - ago_ns, number=4
    )
    return view(reorg=reorg)


@pytest.mark.parametrize(
    ("depth", "severities"), [(1, set()), (2, {"warning"}), (6, {"warning"}), (7, {"warning", "critical"})]
)
def test_a_reorg_counts_replaced_blocks(depth: int, severities: set[str]) -> None:
    finding = only(chain_reorg(reorged(depth, 0), ReorgParams()))
    assert reached(finding) == severities
    assert finding.sample == 4
    assert set(finding.evidence) == {"ancestor", "old", "new"}


def test_a_reorg_is_told_for_five_block_times() -> None:
    assert list(chain_reorg(reorged(3, 5 * SLOT), ReorgParams()))
    assert not list(chain_reorg(reorged(3, 5 * SLOT + 1), ReorgParams()))


# -- pool.blind


@pytest.mark.parametrize(("missed", "severities"), [((2, 9, 9), set()), ((3, 9, 9), {"critical"})])
def test_a_pool_is_blind_when_every_node_missed_three_polls(missed: tuple[int, ...], severities: set[str]) -> None:
    nodes = [at(name, silent(count)) for name, count in zip("abc", missed, strict=True)]
    finding = only(pool_blind(view(*nodes, head=agreed(Grade.BLIND)), BlindParams()))
    assert reached(finding) == severities
    assert finding.evidence["faults"] == dict.fromkeys("abc", "timeout")


def test_one_node_that_answers_is_enough_to_see() -> None:
    nodes = [at("a", silent(9)), at("b", silent(9)), at("c", seen())]
    assert not list(pool_blind(view(*nodes, head=agreed(Grade.BLIND)), BlindParams()))


# -- pool.quorum_lost


@pytest.mark.parametrize(
    ("grade", "voting", "groups", "count"),
    [
        (Grade.UNCORROBORATED, 1, 3, 1),
        (Grade.MAJORITY, 1, 2, 1),
        (Grade.QUORUM, 2, 3, 0),
        (Grade.UNCORROBORATED, 3, 3, 0),
        (Grade.UNCORROBORATED, 0, 1, 0),
        (Grade.SPLIT, 1, 3, 0),
        (Grade.BLIND, 0, 3, 1),
        (Grade.BLIND, 0, 1, 1),
    ],
)
def test_a_quorum_is_lost_when_groups_are_missing_and_those_left_are_too_few(
    grade: Grade, voting: int, groups: int, count: int
) -> None:
    head = agreed(grade, votes=voting, voting_groups=voting, groups=groups)
    found = list(pool_quorum_lost(view(at("a", silent()), head=head), QuorumLostParams()))
    assert len(found) == count
    for finding in found:
        level = "critical" if grade is Grade.BLIND else "warning"
        assert limits(finding) == {level: (1, 1)}
        limit = finding.limits.critical or finding.limits.warning
        assert limit is not None
        assert limit.for_ns == 3 * SLOT // 2
        assert finding.value == groups - voting
        if grade is not Grade.BLIND:
            assert finding.evidence["not_voting"] == ["a"]


def test_a_pool_whose_nodes_answer_and_do_not_vote_tells_why_of_each() -> None:
    nodes = (
        at("alien", seen(chain_id=5)),
        at("bad", seen(corrupt=HEAD)),
        at("gone", silent(kind=FaultKind.DNS)),
        replace(at("held"), muted="wrong_chain"),
        at("half"),
        at("mute", never()),
    )
    finding = only(pool_quorum_lost(view(*nodes, head=agreed(Grade.BLIND, voting_groups=0)), QuorumLostParams()))
    assert finding.evidence["why"] == {
        "alien": "on chain 5 instead of 1",
        "bad": "its newest header does not hash to its hash",
        "gone": "silent: dns",
        "held": "in state wrong_chain",
        "half": "no majority of its group shows the same",
        "mute": "silent",
    }
    assert "although alien, bad, held, half answer" in finding.summary


def test_a_pool_of_which_nobody_answers_is_blind_and_has_lost_no_quorum() -> None:
    nodes = [at(name, silent(3)) for name in "abc"]
    assert not list(pool_quorum_lost(view(*nodes, head=agreed(Grade.BLIND)), QuorumLostParams()))


@pytest.mark.parametrize(("stood", "watched", "found"), [(6, 9, 1), (5, 9, 0), (9, 5, 0), (9, 6, 1)])
def test_a_head_that_stands_still_though_all_vote_is_a_quorum_lost_in_time(
    stood: int, watched: int, found: int
) -> None:
    head = agreed(
        Grade.UNCORROBORATED, votes=3, voting_groups=3, groups=3, since_ns=NOW - stood * SLOT, explanation="unlinked"
    )
    said = list(pool_quorum_lost(view(at("a"), head=head, started_ns=NOW - watched * SLOT), QuorumLostParams()))
    assert [(finding.value, finding.summary.endswith("; unlinked")) for finding in said] == [(1, True)] * found


# -- pool.split


def split(*heights: int, since: float = 0, **changes: object) -> ChainView:
    branches = tuple(header(height, f"b{at}").ref for at, height in enumerate(heights))
    head = changes.pop("head", agreed(Grade.SPLIT))
    return view(branches=branches, head=head, split_since_ns=NOW - int(since * SLOT), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("height", "since", "severities"),
    [(1001, 0, set()), (1001, 3, set()), (1001, 3.1, {"critical"}), (1002, 0, {"critical"})],
)
def test_a_split_counts_by_depth_or_by_lasting(height: int, since: float, severities: set[str]) -> None:
    finding = only(pool_split(split(height, 1001, since=since), SplitParams()))
    assert reached(finding) == severities
    assert finding.limits.critical is not None
    assert finding.limits.critical.for_ns >= 2 * NS, "a poll has to confirm it"
    assert "1000" in finding.summary


def test_an_old_agreed_head_does_not_make_a_new_split_a_lasting_one() -> None:
    old = agreed(Grade.SPLIT, since_ns=NOW - 100 * SLOT)
    assert reached(only(pool_split(split(1001, 1001, head=old), SplitParams()))) == set()


def test_a_pool_that_never_agreed_says_so() -> None:
    nothing = agreed(Grade.SPLIT, block=None, since_ns=None)
    finding = only(pool_split(split(1005, 1000, head=nothing, head_header=None), SplitParams()))
    assert "never agreed" in finding.summary
    assert finding.value == 5
    assert list(pool_split(split(head=nothing, head_header=None), SplitParams()))


@pytest.mark.parametrize("grade", [grade for grade in Grade if grade is not Grade.SPLIT])
def test_no_other_grade_is_a_split(grade: Grade) -> None:
    assert not list(pool_split(split(1005, 1005, head=agreed(grade)), SplitParams()))


def test_a_split_tells_who_shows_what() -> None:
    other = header(1002, "other")
    found = split(1002, 1001)
    nodes = (at("a"), at("b", seen(head=other), Ahead(2)), at("c", silent(), Behind(3)))
    finding = only(pool_split(replace(found, nodes=nodes), SplitParams()))
    assert finding.evidence["heads"] == {"a": HEAD.hash, "b": other.hash}


# -- self


@pytest.mark.parametrize(("lag_ms", "count", "severities"), [(99, 0, set()), (100, 1, set()), (250, 1, {"warning"})])
def test_loop_lag_warns_from_250_ms_and_clears_below_100(lag_ms: int, count: int, severities: set[str]) -> None:
    found = list(self_loop_lag(self_view(loop_lag_ns=lag_ms * MS), LoopLagParams()))
    assert len(found) == count
    assert {level for finding in found for level in reached(finding)} == severities


def test_a_refused_configuration_is_told_with_its_problems() -> None:
    finding = only(self_config(self_view(config_problems=("a.toml:1: x", "a.toml:2: y")), ConfigParams()))
    assert finding.value == 2
    assert reached(finding) == {"warning"}
    assert finding.evidence["problems"] == ["a.toml:1: x", "a.toml:2: y"]
    assert not list(self_config(self_view(), ConfigParams()))


def test_thousands_of_problems_stay_readable() -> None:
    finding = only(self_config(self_view(config_problems=tuple(f"line {at}" for at in range(5000))), ConfigParams()))
    assert finding.value == 5000
    assert len(finding.evidence["problems"]) == 50  # type: ignore[arg-type]


def test_blind_names_the_fault_of_each_node() -> None:
    nodes = [at("a", silent(3, FaultKind.DNS)), at("b", silent(4, FaultKind.TLS)), at("c", silent(5))]
    finding = only(pool_blind(view(*nodes, head=agreed(Grade.BLIND)), BlindParams()))
    assert finding.evidence["faults"] == {"a": "dns", "b": "tls", "c": "timeout"}
