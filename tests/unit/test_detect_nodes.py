"""Each detector of nodes at its limit, just below it, and where it has to be silent."""

from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest
from tests.support.chains import header
from tests.support.views import (
    HEAD,
    NOW,
    SLOT,
    WALL,
    agreed,
    at,
    label_of,
    limits,
    never,
    reached,
    seen,
    silent,
    view,
)

from tocsin.clock import NS
from tocsin.detect import CHAIN_DETECTORS
from tocsin.detect.node_budget_short import BudgetShortParams, node_budget_short
from tocsin.detect.node_corrupt_header import CorruptHeaderParams, node_corrupt_header
from tocsin.detect.node_fork import ForkParams, node_fork
from tocsin.detect.node_lag import LagParams, node_lag
from tocsin.detect.node_phantom_head import PhantomHeadParams, node_phantom_head
from tocsin.detect.node_rate_limited import RateLimitedParams, node_rate_limited
from tocsin.detect.node_stale import StaleParams, node_stale
from tocsin.detect.node_syncing import SyncingParams, node_syncing
from tocsin.detect.node_unreachable import UnreachableParams, node_unreachable
from tocsin.detect.node_wrong_chain import WrongChainParams, node_wrong_chain
from tocsin.model.alert import Finding, Grade, Over
from tocsin.model.block import Verification
from tocsin.model.observation import BudgetUse, FaultKind
from tocsin.model.view import Ahead, Behind, ChainView, Forked, Level, NeverObserved, Relation, Unlinked
from tocsin.wire.envelope import plain

ANCESTOR = header(990).ref
GRADES = list(Grade)


def only(found: Iterator[Finding]) -> Finding:
    (finding,) = found
    return finding


def readable(finding: Finding, *words: str) -> None:
    """A person reads it, a program stores it."""
    assert finding.summary.strip()
    assert len(finding.summary) < 500
    assert "None" not in finding.summary
    for word in words:
        assert word in finding.summary
    orjson.dumps(plain(finding.evidence))
    assert type(finding.value) is int
    assert finding.labels in (label_of("bad"), (("chain", "eip155:1"),))


# -- node.lag


@pytest.mark.parametrize(
    ("relation", "own", "severities"),
    [
        (Behind(2), True, set()),
        (Behind(3), True, {"warning"}),
        (Behind(4), False, set()),
        (Behind(5), False, {"warning"}),
        (Behind(14), True, {"warning"}),
        (Behind(15), False, {"warning", "critical"}),
        (Unlinked(-15), True, {"warning", "critical"}),
        (Unlinked(-7200), False, {"warning", "critical"}),
    ],
)
def test_lag_counts_blocks_behind_the_agreed_head(relation: Relation, own: bool, severities: set[str]) -> None:  # noqa: FBT001
    finding = only(node_lag(view(at("bad", relation=relation, own=own)), LagParams()))
    assert reached(finding) == severities
    polls = {name: count for name, (_, count) in limits(finding).items()}  # type: ignore[misc]
    assert polls == {"warning": 1 if own else 2, "critical": 2}
    assert finding.sample == 50
    readable(finding, "bad", str(finding.value))


def test_lag_is_told_in_blocks_and_in_seconds() -> None:
    finding = only(node_lag(view(at("bad", relation=Behind(3))), LagParams()))
    assert "3 blocks (36.0 s)" in finding.summary


@pytest.mark.parametrize(
    "relation", [Level(), Ahead(9), Unlinked(0), Unlinked(30), Forked(9, ANCESTOR), NeverObserved()]
)
def test_a_node_that_is_not_behind_does_not_lag(relation: Relation) -> None:
    assert not list(node_lag(view(at("bad", relation=relation)), LagParams()))


def test_a_node_on_a_deep_branch_is_forked_and_not_behind() -> None:
    assert not list(node_lag(view(at("bad", relation=Unlinked(-9), severed=True)), LagParams()))


# -- node.stale


def standing(slots: float, *, outrun: float = 2.0, **changes: object) -> ChainView:
    record = seen(head_since_ns=NOW - int(slots * SLOT), outrun_since_ns=NOW - int(outrun * SLOT))
    return view(at("bad", record, Behind(2)), **changes)


@pytest.mark.parametrize(
    ("slots", "severities"),
    [(3.9, set()), (4, {"warning"}), (5.9, {"warning"}), (6, {"warning", "critical"})],
)
def test_a_node_is_stale_by_block_times_without_a_new_head(slots: float, severities: set[str]) -> None:
    finding = only(node_stale(standing(slots), StaleParams()))
    assert reached(finding) == severities
    readable(finding, "bad", "no new head")


def test_a_stale_node_clears_with_a_fresh_head_only() -> None:
    assert not list(node_stale(standing(1.9), StaleParams()))
    assert only(node_stale(standing(2), StaleParams())).value >= StaleParams().clear.under


def test_a_node_that_is_last_when_a_halted_chain_goes_on_is_not_stale() -> None:
    assert not list(node_stale(standing(50, outrun=0.9), StaleParams()))
    assert reached(only(node_stale(standing(50, outrun=1), StaleParams()))) == {"warning", "critical"}


def test_silence_from_before_the_start_keeps_an_alert_open_and_begins_none() -> None:
    slots = 7200
    young = standing(slots, outrun=slots, started_ns=NOW - 3 * SLOT)
    finding = only(node_stale(young, StaleParams()))
    assert finding.value >= finding.limits.clear.under
    assert reached(finding) == set()
    older = standing(slots, outrun=slots, started_ns=NOW - 4 * SLOT)
    assert reached(only(node_stale(older, StaleParams()))) == {"warning"}


@pytest.mark.parametrize("relation", [Level(), Ahead(3), Unlinked(5), Forked(2, ANCESTOR), NeverObserved()])
def test_a_node_that_nobody_outruns_is_not_stale(relation: Relation) -> None:
    record = seen(head_since_ns=NOW - 50 * SLOT)
    assert not list(node_stale(view(at("bad", record, relation)), StaleParams()))


# -- node.fork


@pytest.mark.parametrize(
    ("depth", "lasting", "severities"),
    [(1, 2, set()), (1, 2.1, {"warning"}), (2, 0, {"warning"}), (7, 0, {"warning"}), (8, 0, {"warning", "critical"})],
)
def test_a_fork_counts_by_depth_or_by_lasting(depth: int, lasting: float, severities: set[str]) -> None:
    record = seen(forked_since_ns=NOW - int(lasting * SLOT))
    finding = only(node_fork(view(at("bad", record, Forked(depth, ANCESTOR))), ForkParams()))
    assert reached(finding) == severities
    assert finding.evidence["ancestor"] == {"number": 990, "hash": ANCESTOR.hash}
    readable(finding, "bad", "990")


def test_a_fork_that_is_older_than_the_watch_lasts_from_its_beginning() -> None:
    record = seen(forked_since_ns=NOW - 100 * SLOT)
    node = at("bad", record, Forked(1, ANCESTOR))
    assert reached(only(node_fork(view(node, started_ns=NOW - SLOT), ForkParams()))) == set()
    assert reached(only(node_fork(view(node, started_ns=NOW - 3 * SLOT), ForkParams()))) == {"warning"}


def test_without_a_warning_lasting_makes_none() -> None:
    record = seen(forked_since_ns=NOW - 100 * SLOT)
    finding = only(node_fork(view(at("bad", record, Forked(1, ANCESTOR))), ForkParams(warning=None)))
    assert limits(finding) == {"critical": (8, 2)}


@pytest.mark.parametrize("ahead", [-64, -5, 0, 3])
def test_a_branch_deeper_than_the_back_fill_is_a_fork_of_that_depth(ahead: int) -> None:
    finding = only(node_fork(view(at("bad", relation=Unlinked(ahead), severed=True)), ForkParams()))
    assert reached(finding) == {"warning", "critical"}
    readable(finding, "64 blocks or more")


@pytest.mark.parametrize(("ahead", "severed"), [(0, False), (-64, False), (4, True), (64, True)])
def test_what_may_still_link_or_is_called_a_phantom_is_no_fork(ahead: int, severed: bool) -> None:  # noqa: FBT001
    assert not list(node_fork(view(at("bad", relation=Unlinked(ahead), severed=severed)), ForkParams()))


@pytest.mark.parametrize("relation", [Level(), Behind(50), Ahead(50), NeverObserved()])
def test_a_node_on_the_agreed_chain_is_not_forked(relation: Relation) -> None:
    assert not list(node_fork(view(at("bad", relation=relation)), ForkParams()))


# -- node.phantom_head


@pytest.mark.parametrize(("ahead", "severities"), [(1, set()), (3, set()), (4, {"warning"}), (30_000_000, {"warning"})])
def test_a_head_far_ahead_without_a_link_is_a_phantom(ahead: int, severities: set[str]) -> None:
    found = list(node_phantom_head(view(at("bad", relation=Unlinked(ahead))), PhantomHeadParams()))
    assert {level for finding in found for level in reached(finding)} == severities
    for finding in found:
        readable(finding, "bad")
        assert limits(finding) == {"warning": (4, 2)}


def test_blocks_that_may_have_come_meanwhile_make_no_phantom() -> None:
    hour_old = agreed(since_ns=NOW - 3600 * NS)
    assert not list(node_phantom_head(view(at("bad", relation=Unlinked(300)), head=hour_old), PhantomHeadParams()))
    finding = only(node_phantom_head(view(at("bad", relation=Unlinked(305)), head=hour_old), PhantomHeadParams()))
    assert reached(finding) == {"warning"}


@pytest.mark.parametrize("grade", [Grade.UNCORROBORATED, Grade.SPLIT, Grade.BLIND])
def test_without_a_quorum_a_phantom_is_neither_named_nor_cleared(grade: Grade) -> None:
    found = view(at("bad", relation=Unlinked(10**6)), head=agreed(grade))
    finding = only(node_phantom_head(found, PhantomHeadParams()))
    assert limits(finding) == {}
    assert finding.value >= finding.limits.clear.under


def test_a_single_group_has_to_do_without_a_quorum() -> None:
    alone = view(at("bad", relation=Unlinked(10**6)), head=agreed(Grade.UNCORROBORATED, groups=1))
    assert reached(only(node_phantom_head(alone, PhantomHeadParams()))) == {"warning"}


@pytest.mark.parametrize(("late", "severities"), [(14, set()), (15, {"warning"})])
def test_a_head_from_the_future_is_a_phantom_when_it_stays_alone(late: int, severities: set[str]) -> None:
    future = replace(HEAD, timestamp=WALL // NS + late)
    found = list(node_phantom_head(view(at("bad", seen(head=future), Ahead(1))), PhantomHeadParams()))
    assert {level for finding in found for level in reached(finding)} == severities
    for finding in found:
        readable(finding, "bad", "from the future")
        assert finding.limits.warning is not None
        assert finding.limits.warning.for_ns == SLOT, "others have a block time to follow"


def test_when_our_own_clock_is_late_no_head_is_from_the_future() -> None:
    future = replace(HEAD, timestamp=WALL // NS + 20)
    one = at("bad", seen(head=future), Ahead(1))
    hour_late = view(one, wall_ns=WALL - 3600 * NS)
    assert not list(node_phantom_head(hour_late, PhantomHeadParams()))
    # By 5 s only the agreed head tells: most heads are not 15 s ahead.
    assert not list(node_phantom_head(view(one, wall_ns=WALL - 5 * NS), PhantomHeadParams()))


def test_a_node_alone_is_not_judged_by_our_clock() -> None:
    future = replace(HEAD, timestamp=WALL // NS + 10**6)
    alone = view(at("bad", seen(head=future), Level()), at("x", never()), at("y", never()), head_header=None)
    assert not list(node_phantom_head(alone, PhantomHeadParams()))


def test_future_heads_can_be_left_alone() -> None:
    future = replace(HEAD, timestamp=WALL // NS + 10**6)
    assert not list(node_phantom_head(view(at("bad", seen(head=future), Ahead(1))), PhantomHeadParams(future=None)))


# -- node.corrupt_header


def test_a_corrupt_header_is_told_with_what_its_fields_hash_to() -> None:
    corrupt = replace(HEAD, verification=Verification.MISMATCH)
    finding = only(
        node_corrupt_header(
            view(at("bad", seen(corrupt=corrupt, corrupt_hash="0xff", is_confirmed=True))), CorruptHeaderParams()
        )
    )
    assert limits(finding) == {"critical": (1, 1)}
    assert reached(finding) == {"critical"}
    assert finding.limits.latched
    assert finding.evidence["recomputed_hash"] == "0xff"
    readable(finding, "bad", "1000")


def test_a_sound_header_is_no_finding() -> None:
    assert not list(node_corrupt_header(view(at("bad")), CorruptHeaderParams()))


def test_a_corrupt_header_that_the_node_has_not_confirmed_is_no_finding_yet() -> None:
    corrupt = replace(HEAD, verification=Verification.MISMATCH)
    assert not list(node_corrupt_header(view(at("bad", seen(corrupt=corrupt))), CorruptHeaderParams()))


# -- node.wrong_chain


@pytest.mark.parametrize(
    ("changes", "settings", "word"),
    [
        ({"chain_id": 5}, {}, "chain id 5 instead of 1"),
        ({"chain_id": 1, "genesis_hash": "0xaa"}, {"genesis_hash": "0xbb"}, "genesis 0xaa instead of 0xbb"),
        ({"chain_id": 1, "network_id": 7}, {"network_id": 1}, "network id 7 instead of 1"),
    ],
)
def test_another_chain_is_critical_at_once(changes: dict[str, object], settings: dict[str, object], word: str) -> None:
    finding = only(node_wrong_chain(view(at("bad", seen(**changes)), settings=settings), WrongChainParams()))
    assert limits(finding) == {"critical": (1, 1)}
    assert finding.limits.clear.polls == 3
    assert finding.limits.clear.for_ns == 5 * SLOT
    readable(finding, word)


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({"chain_id": 1}, {"genesis_hash": "0xbb"}),
        ({"chain_id": None}, {}),
        ({"chain_id": 1, "network_id": None}, {"network_id": 1}),
        ({"chain_id": 1, "network_id": 7}, {"network_id": None}),
        ({"genesis_hash": "0xaa"}, {"genesis_hash": None}),
    ],
)
def test_what_is_not_known_is_not_another_chain(changes: dict[str, object], settings: dict[str, object]) -> None:
    assert not list(node_wrong_chain(view(at("bad", seen(**changes)), settings=settings), WrongChainParams()))


# -- node.syncing


def older(seconds: int) -> object:
    return seen(head=replace(HEAD, timestamp=HEAD.timestamp - seconds))


def test_a_node_that_says_so_is_syncing() -> None:
    finding = only(node_syncing(view(at("bad", seen(syncing=True))), SyncingParams()))
    assert limits(finding) == {"warning": (1, 2)}
    readable(finding, "bad", "says so")


@pytest.mark.parametrize(("seconds", "count"), [(3600, 0), (3601, 1)])
def test_a_head_older_than_an_hour_is_syncing_whatever_the_node_says(seconds: int, count: int) -> None:
    found = list(node_syncing(view(at("bad", older(seconds), Behind(300))), SyncingParams()))  # type: ignore[arg-type]
    assert len(found) == count


def test_without_an_agreed_head_age_is_held_against_now_as_others_bear_it_out() -> None:
    old = at("bad", older(7200), NeverObserved())  # type: ignore[arg-type]
    assert len(list(node_syncing(view(old, head_header=None), SyncingParams()))) == 1
    alone = view(old, at("x", never()), at("y", never()), head_header=None)
    assert not list(node_syncing(alone, SyncingParams()))


@pytest.mark.parametrize("hours", [-24, -1, 1, 24])
def test_our_own_clock_makes_nobody_syncing(hours: int) -> None:
    wall_ns = WALL + hours * 3600 * NS
    assert not list(node_syncing(view(at("bad"), wall_ns=wall_ns), SyncingParams()))
    assert not list(node_syncing(view(at("bad"), wall_ns=wall_ns, head_header=None), SyncingParams()))


# -- node.unreachable


@pytest.mark.parametrize(
    ("failures", "own", "severities"),
    [(4, True, set()), (5, True, {"warning"}), (4, False, set()), (5, False, {"info"})],
)
def test_failures_of_own_nodes_warn_and_of_others_inform(failures: int, own: bool, severities: set[str]) -> None:  # noqa: FBT001
    finding = only(node_unreachable(view(at("bad", silent(failures), own=own)), UnreachableParams()))
    assert reached(finding) == severities
    assert finding.evidence["fault"] == {"kind": "timeout", "detail": "no answer in time", "status": 503}
    readable(finding, "bad", "no answer in time")


def test_a_node_that_answers_again_is_still_counted_down() -> None:
    finding = only(node_unreachable(view(at("bad", seen(failures=3))), UnreachableParams()))
    assert finding.value == 3
    assert finding.summary == "bad answers again"
    assert not list(node_unreachable(view(at("bad", seen(failures=0))), UnreachableParams()))


def test_an_unreachable_node_that_answers_again_begins_no_alert() -> None:
    answers = replace(silent(9), fault=None)
    assert only(node_unreachable(view(at("bad", answers)), UnreachableParams())).fading
    assert not only(node_unreachable(view(at("bad", silent(9))), UnreachableParams())).fading


def test_a_node_that_refuses_is_not_unreachable() -> None:
    refused = silent(9, FaultKind.RATE_LIMITED, refusals=9)
    assert not list(node_unreachable(view(at("bad", replace(refused, failures=0))), UnreachableParams()))


# -- node.rate_limited


@pytest.mark.parametrize("kind", [FaultKind.RATE_LIMITED, FaultKind.BUDGET])
@pytest.mark.parametrize(("refusals", "severities"), [(1, set()), (2, {"warning"})])
def test_a_node_that_refuses_twice_is_rate_limited(kind: FaultKind, refusals: int, severities: set[str]) -> None:
    record = silent(9, kind, refusals=refusals)
    finding = only(node_rate_limited(view(at("bad", record)), RateLimitedParams()))
    assert reached(finding) == severities
    assert finding.unmuted == (kind is FaultKind.RATE_LIMITED)  # its own word, which no forecast of ours may hide
    readable(finding, "bad", kind.value)


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind not in (FaultKind.RATE_LIMITED, FaultKind.BUDGET)])
def test_any_other_fault_is_no_rate_limit(kind: FaultKind) -> None:
    assert not list(node_rate_limited(view(at("bad", silent(9, kind))), RateLimitedParams()))


# -- node.budget_short


@pytest.mark.parametrize(
    ("wanted", "said"),
    [(None, None), (94_999, None), (95_000, set()), (100_999, set()), (101_000, {"warning"}), (10**9, {"warning"})],
)
def test_a_budget_is_short_when_a_day_wants_more_than_it_allows(wanted: int | None, said: set[str] | None) -> None:
    record = seen(budget=BudgetUse(per_day=100_000, wanted=wanted))
    found = list(node_budget_short(view(at("bad", record)), BudgetShortParams()))
    assert [reached(finding) for finding in found] == ([] if said is None else [said])
    for finding in found:
        readable(finding, "bad", "of the 100000 of its budget")


def test_a_short_budget_says_how_long_a_day_of_it_lasts() -> None:
    record = seen(budget=BudgetUse(per_day=100_000, wanted=128_000))
    finding = only(node_budget_short(view(at("bad", record)), BudgetShortParams()))
    assert "last 18.7 h" in finding.summary


def test_a_budget_that_nodes_of_a_provider_share_is_told_of_once() -> None:
    use = BudgetUse(per_day=1_000, wanted=2_000, shared=True)
    nodes = [at(name, seen(budget=use)) for name in ("bad", "worse")]
    alike = [replace(each, settings=replace(each.settings, provider="p")) for each in nodes]
    finding = only(node_budget_short(view(*alike), BudgetShortParams()))
    readable(finding, "provider p", "units")
    apart = [replace(each, settings=replace(each.settings, provider=each.settings.name)) for each in nodes]
    assert len(list(node_budget_short(view(*apart), BudgetShortParams()))) == 2


# -- all of them


LOUD = {
    "node.lag": (seen(), Behind(50), False),
    "node.stale": (seen(head_since_ns=NOW - 99 * SLOT, outrun_since_ns=NOW - 99 * SLOT), Behind(50), False),
    "node.fork": (seen(), Forked(9, ANCESTOR), False),
    "node.phantom_head": (seen(), Unlinked(10**6), False),
    "node.corrupt_header": (seen(corrupt=HEAD, is_confirmed=True), Level(), False),
    "node.wrong_chain": (seen(chain_id=5), Level(), False),
    "node.syncing": (seen(syncing=True), Level(), False),
}
"""What each detector of answering nodes cannot overlook."""

RUN = {detector.id: (lambda found, one=detector: list(one.run(found, one.params()))) for detector in CHAIN_DETECTORS}


@pytest.mark.parametrize("detector", LOUD)
def test_a_node_that_does_not_answer_is_judged_by_nothing_it_said_before(detector: str) -> None:
    record, relation, severed = LOUD[detector]
    assert RUN[detector](view(at("bad", record, relation, severed=severed)))
    hushed = replace(record, missed=1)
    assert not RUN[detector](view(at("bad", hushed, relation, severed=severed)))


@pytest.mark.parametrize("detector", LOUD)
@pytest.mark.parametrize("grade", GRADES)
def test_a_finding_carries_the_grade_of_the_head_it_is_held_against(detector: str, grade: Grade) -> None:
    record, relation, _ = LOUD[detector]
    finding = RUN[detector](view(at("bad", record, relation), head=agreed(grade)))[0]
    assert finding.grade is grade
    assert finding.sample == record.polls


@pytest.mark.parametrize("detector", [detector.id for detector in CHAIN_DETECTORS])
def test_a_pool_that_is_well_gives_no_finding(detector: str) -> None:
    assert not RUN[detector](view())


@pytest.mark.parametrize("detector", [detector.id for detector in CHAIN_DETECTORS])
def test_nodes_that_were_never_asked_give_no_finding(detector: str) -> None:
    nothing = agreed(Grade.BLIND, block=None, since_ns=None, votes=0, voting_groups=0)
    nobody = [at(name, never(), NeverObserved()) for name in "abc"]
    assert not RUN[detector](view(*nobody, head=nothing, head_header=None, branches=()))


@pytest.mark.parametrize("detector", [detector.id for detector in CHAIN_DETECTORS])
def test_detectors_see_no_float(detector: str) -> None:
    record = LOUD.get(detector, (silent(9, FaultKind.BUDGET, refusals=9), Behind(9), False))
    for finding in RUN[detector](view(at("bad", record[0], record[1]))):
        assert "float" not in {type(value).__name__ for value in finding.evidence.values()}


def test_params_are_what_decides() -> None:
    strict = LagParams(warning=Over(over=1, polls=1), critical=None)
    finding = only(node_lag(view(at("bad", relation=Behind(1), own=True)), strict))
    assert limits(finding) == {"warning": (1, 1)}
