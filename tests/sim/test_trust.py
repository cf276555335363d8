"""Detectors on trial in the whole core: what they find is counted, capped or alerted; a wrong check gives way."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
from tests.support.pool import Answer, healthy, settings_for
from tests.support.ticking import Ticking, fails

from tocsin.chain.nodelife import NodeState
from tocsin.detect.base import ChainDetector
from tocsin.detect.node_unreachable import UnreachableParams
from tocsin.engine import tick, trust
from tocsin.engine.codec import decode_state, encode_state
from tocsin.engine.status import status
from tocsin.engine.trust import BORNE
from tocsin.model.alert import AlertState, Finding, Grade, Limits, Over, Severity
from tocsin.model.event import Commanded, Ticked
from tocsin.model.settings import Settings
from tocsin.model.trust import Standing, Trust
from tocsin.model.view import ChainView
from tocsin.testing import SimNode

FOUR = ("a", "b", "c", "d")
WINDOW = 40
"""Checks that make a window here; really a thousand."""
ODD = "node.odd"


@dataclass(frozen=True, slots=True, kw_only=True)
class OddParams:
    """Warns at 1, is critical at 2."""

    critical: Over | None = Over(over=2)
    warning: Over | None = Over(over=1)
    latched: bool = False


@pytest.fixture(autouse=True)
def _short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "WINDOW", WINDOW)


class Odd:
    """A detector that says of each node what a test wants it to say."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}

    def run(self, view: ChainView, params: OddParams) -> Iterator[Finding]:
        for node in view.answering:
            value = self.values.get(node.settings.name, 0)
            if value:
                yield Finding(
                    detector=ODD,
                    labels=node.labels,
                    value=value,
                    unit="",
                    limits=Limits(warning=params.warning, critical=params.critical, latched=params.latched),
                    sample=node.seen.polls,
                    summary=f"{node.settings.name} is odd",
                    grade=Grade.PROVEN,
                )


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Odd:
    """One more detector, on trial."""
    detector = Odd()
    install(monkeypatch, ChainDetector(id=ODD, params=OddParams, run=detector.run, starts=Trust.OBSERVE))
    return detector


def install(monkeypatch: pytest.MonkeyPatch, detector: ChainDetector) -> None:
    for module in (tick, trust):
        others = tuple(one for one in module.CHAIN_DETECTORS if one.id != detector.id)
        monkeypatch.setattr(module, "CHAIN_DETECTORS", (*others, detector))
    monkeypatch.setitem(getattr(tick, "_DEFAULTS", {}), detector.id, detector.params())


def pool_of(providers: tuple[str, ...] = FOUR, slot_s: int = 2, **levels: Trust) -> Ticking:
    """A pool whose chain has a block per poll, so that a window is a thousand polls."""
    pool = Ticking(trusting(settings_for(providers, slot_s=slot_s), **levels))
    pool.rounds(10)
    assert pool.alerts == []
    return pool


def trusting(settings: Settings, **levels: Trust) -> Settings:
    named = {name.replace("__", "."): level for name, level in levels.items()}
    return replace(settings, chains=(replace(settings.chains[0], trust=named),))


def standing(pool: Ticking, detector: str = ODD) -> Standing:
    return pool.state.chains["sim"].trust[detector]


def row(pool: Ticking, detector: str = ODD) -> dict[str, Any]:
    [chain] = status(pool.state, pool.now)["chains"]  # type: ignore[misc]
    return next(one for one in chain["detectors"] if one["id"] == detector)  # type: ignore[index]


def own_tick(pool: Ticking) -> None:
    pool.take(Ticked(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), chain=""))


def ack(pool: Ticking) -> None:
    alert = [alert for alert in pool.alerts if alert.detector == "self.detector_suspect"][-1]
    args = (("fingerprint", alert.fingerprint), ("why", ""))
    pool.take(Commanded(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), verb="ack", args=args, by="alice"))
    own_tick(pool)


def fast(pool: Ticking, checks: int) -> None:
    """Let blocks be agreed until so many more are counted."""
    until = standing(pool).since_checks + checks
    while standing(pool).since_checks < until:
        pool.round()


# -- observe


def test_what_is_observed_is_counted_and_shown_and_changes_nothing_else(odd: Odd) -> None:
    pool, plain = pool_of(), pool_of()
    for at in range(60):
        odd.values = {"n1": 2} if 10 <= at < 30 or at >= 50 else {}
        pool.round()
        odd.values = {}
        plain.round()
    assert pool.alerts == plain.alerts == []
    assert pool.life("n1") is NodeState.HEALTHY
    assert pool.state.chains["sim"].lives == plain.state.chains["sim"].lives
    assert pool.state.published == plain.state.published
    told = row(pool)
    assert (told["trust"], told["fixed"], told["cases"], told["since_cases"]) == ("observe", False, 1, 2)
    assert told["first"]["summary"] == "n1 is odd"
    assert told["first"]["wall_ns"] < told["newest"]["wall_ns"]
    orjson.dumps(told)


def test_an_intrinsic_check_can_be_set_to_observe_and_then_has_no_part_in_a_nodes_state() -> None:
    pool = pool_of(node__unreachable=Trust.OBSERVE)
    pool.answers["n0"] = fails()
    pool.rounds(30)
    assert pool.alerts == []
    assert pool.life("n0") is NodeState.HEALTHY
    assert row(pool, "node.unreachable")["since_cases"] == 1
    assert row(pool, "node.unreachable")["fixed"] is True


def test_what_an_enforced_alert_mutes_would_not_have_fired() -> None:
    pool = pool_of(node__lag=Trust.OBSERVE)
    pool.nodes["n0"].syncing = {"currentBlock": "0x1"}
    pool.rounds(4)
    pool.nodes["n0"].view.freeze()
    pool.rounds(30)
    assert ("node.syncing", "n0", "warning") in pool.fired()
    assert row(pool, "node.lag")["since_cases"] == 0


# -- what a check is


def test_a_check_is_an_agreed_block_with_something_to_judge_by(odd: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = pool_of(slot_s=12)
    first, checks = pool.state.chains["sim"].head.block, standing(pool).since_checks
    pool.rounds(60)
    last = pool.state.chains["sim"].head.block
    assert first is not None
    assert last is not None
    assert standing(pool).since_checks - checks == last.number - first.number, "neither nodes nor looks count"
    install(
        monkeypatch, ChainDetector(id=ODD, params=OddParams, run=odd.run, starts=Trust.OBSERVE, judges=lambda _: False)
    )
    checks = standing(pool).since_checks
    pool.rounds(60)
    assert standing(pool).since_checks == checks, "without data nothing is checked"


# -- rising


def test_two_clean_windows_lead_from_observe_over_warn_to_enforce(odd: Odd) -> None:
    pool = pool_of()
    fast(pool, WINDOW)
    assert standing(pool).trust is Trust.WARN
    odd.values = {"n1": 2}
    pool.rounds(3)
    assert pool.fired() == {(ODD, "n1", "warning")}, "no worse than a warning"
    assert pool.life("n1") is NodeState.DEGRADED
    odd.values = {}
    fast(pool, WINDOW)
    assert standing(pool).trust is Trust.ENFORCE
    assert pool.open() == set()
    odd.values = {"n1": 2}
    pool.rounds(3)
    assert pool.fired() == {(ODD, "n1", "warning"), (ODD, "n1", "critical")}
    assert all(one["id"] != ODD for one in status(pool.state, pool.now)["chains"][0]["detectors"])  # type: ignore[index]


def flap(pool: Ticking, odd: Odd, *names: str) -> None:
    """Raise a case of each node, one after the other."""
    for name in names:
        odd.values = {name: 1}
        pool.rounds(3)
        odd.values = {}
        pool.rounds(5)


@pytest.mark.parametrize(("nodes", "rises"), [(("n1",), True), (("n1", "n2"), False)])
def test_a_window_is_clean_with_one_case_that_nothing_bears_out(odd: Odd, nodes: tuple[str, ...], rises: bool) -> None:  # noqa: FBT001
    assert BORNE == 1
    pool = pool_of()
    flap(pool, odd, *nodes)
    fast(pool, WINDOW)
    assert (standing(pool).trust is Trust.WARN) is rises
    fast(pool, WINDOW)
    assert standing(pool).trust in (Trust.WARN, Trust.ENFORCE), "another window is another chance"


@pytest.mark.parametrize(
    ("providers", "nodes", "cases"),
    [
        (FOUR, ("n1",) * 4, 1),
        (("a", "b", "b", "c"), ("n1", "n2", "n1", "n2"), 1),
        (("a", "b", "b", "c"), ("n1", "n2", "n3"), 2),
        (FOUR, ("n1", "n2", "n1", "n2"), 2),
    ],
)
def test_cases_of_one_group_count_once_so_that_one_bad_node_holds_no_check_down(
    odd: Odd, providers: tuple[str, ...], nodes: tuple[str, ...], cases: int
) -> None:
    pool = pool_of(providers)
    flap(pool, odd, *nodes)
    assert (standing(pool).cases, standing(pool).since_cases) == (cases, len(nodes))
    pool.state = decode_state(encode_state(pool.state))
    flap(pool, odd, nodes[0])
    assert standing(pool).cases == cases, "nor once more for a restart"
    fast(pool, WINDOW - standing(pool).checks)
    assert (standing(pool).trust is Trust.WARN) is (cases <= BORNE)
    flap(pool, odd, nodes[0])
    assert standing(pool).cases == 1, "each window counts anew"


def test_where_there_is_one_group_alone_every_case_counts(odd: Odd) -> None:
    pool = Ticking(settings_for(("a", "a", "a"), slot_s=2))
    pool.rounds(10)
    flap(pool, odd, "n1", "n1")
    assert standing(pool).cases == 2


def test_every_case_of_the_chain_itself_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    values: list[int] = []

    def run(view: ChainView, params: OddParams) -> Iterator[Finding]:
        if values:
            limits = Limits(warning=params.warning)
            yield Finding(
                detector=ODD,
                labels=view.labels,
                value=1,
                unit="",
                limits=limits,
                sample=view.tick,
                summary="the chain is odd",
                grade=Grade.PROVEN,
            )

    install(monkeypatch, ChainDetector(id=ODD, params=OddParams, run=run, starts=Trust.OBSERVE))
    pool = pool_of()
    for _ in range(2):
        values.append(1)
        pool.rounds(3)
        values.clear()
        pool.rounds(5)
    assert standing(pool).cases == 2


def test_a_case_that_another_alert_bears_out_does_not_count_against_it(odd: Odd) -> None:
    pool = pool_of()
    pool.nodes["n1"].syncing = {"currentBlock": "0x1"}
    pool.rounds(8)
    flap(pool, odd, "n1", "n1", "n1")
    assert (standing(pool).cases, standing(pool).since_cases) == (0, 3)


def test_what_was_observed_is_forgotten_when_it_counts_also_what_waits_for_an_ack(odd: Odd) -> None:
    pool = Ticking(settings_for(FOUR, slot_s=2, **{ODD: OddParams(latched=True)}))
    pool.rounds(10)
    odd.values = {"n1": 1}
    pool.rounds(3)
    odd.values = {}
    pool.rounds(3)
    assert len(pool.state.chains["sim"].observed.tracked) == 1
    fast(pool, WINDOW - standing(pool).checks)
    assert standing(pool).trust is Trust.WARN
    assert pool.state.chains["sim"].observed.tracked == {}


def test_an_alert_does_not_bear_itself_out(odd: Odd) -> None:
    pool = pool_of()
    fast(pool, WINDOW - standing(pool).checks)
    assert standing(pool).trust is Trust.WARN
    flap(pool, odd, "n1", "n2")
    assert standing(pool).cases == BORNE + 1
    fast(pool, WINDOW - standing(pool).checks)
    assert standing(pool).trust is Trust.WARN


def test_a_fault_that_lasts_is_one_case_and_fires_when_the_detector_is_believed(odd: Odd) -> None:
    pool = pool_of()
    odd.values = {"n1": 1}
    checks = standing(pool).checks
    fast(pool, WINDOW - checks - 1)
    assert standing(pool).since_cases == 1
    fast(pool, 1)
    assert standing(pool).trust is Trust.WARN
    pool.rounds(2)
    assert pool.fired() == {(ODD, "n1", "warning")}
    assert pool.state.chains["sim"].observed.tracked == {}


@pytest.mark.parametrize("level", Trust)
def test_what_is_configured_is_not_earned(odd: Odd, level: Trust) -> None:
    pool = pool_of(node__odd=level)
    fast_enough = WINDOW + 20 if level is not Trust.ENFORCE else 20
    pool.rounds(fast_enough)
    odd.values = {"n1": 2}
    pool.rounds(3)
    worst = {Trust.OBSERVE: None, Trust.WARN: Severity.WARNING, Trust.ENFORCE: Severity.CRITICAL}[level]
    severities = [alert.severity for alert in pool.alerts]
    assert (max(severities, key=lambda one: one.rank) if severities else None) is worst


@pytest.mark.usefixtures("odd")
def test_another_configuration_begins_anew_and_the_same_one_keeps_what_was_earned() -> None:
    pool = pool_of()
    fast(pool, WINDOW)
    pool.reload(pool.settings)
    assert standing(pool).trust is Trust.WARN
    pool.reload(trusting(pool.settings, node__odd=Trust.OBSERVE))
    assert (standing(pool).trust, standing(pool).since_checks) == (Trust.OBSERVE, 0)
    pool.reload(trusting(pool.settings, node__odd=Trust.ENFORCE))
    assert ODD not in pool.state.chains["sim"].trust
    pool.reload(trusting(pool.settings))
    assert standing(pool) == Standing(trust=Trust.OBSERVE)


def test_a_capped_alert_of_a_detector_that_knows_only_critical_names_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Odd()
    install(monkeypatch, ChainDetector(id=ODD, params=OddParams, run=odd.run, starts=Trust.WARN))
    settings = settings_for(FOUR, slot_s=2, **{ODD: OddParams(warning=None)})
    pool = Ticking(settings)
    pool.rounds(10)
    odd.values = {"n1": 2}
    pool.rounds(3)
    assert [(alert.severity, alert.limit) for alert in pool.alerts] == [(Severity.WARNING, 2)]


# -- all at once


def test_a_check_that_fails_on_all_nodes_is_suspected_and_only_observed_from_then_on(odd: Odd) -> None:
    pool = pool_of(node__odd=Trust.ENFORCE)
    odd.values = {"n1": 2}
    pool.rounds(3)
    odd.values = dict.fromkeys(("n0", "n1", "n2", "n3"), 2)
    pool.rounds(3)
    assert [(alert.reason, alert.state) for alert in pool.alerts] == [
        ("fired", AlertState.FIRING),
        ("detector-suspect", AlertState.RESOLVED),
    ], "what would have fired with the last node never got out"
    assert {pool.life(name) for name in pool.nodes} <= {NodeState.HEALTHY, NodeState.PROBATION}
    assert standing(pool).trust is Trust.OBSERVE
    own_tick(pool)
    suspect = pool.alerts[-1]
    assert (suspect.detector, suspect.severity, suspect.state) == (
        "self.detector_suspect",
        Severity.WARNING,
        AlertState.FIRING,
    )
    assert dict(suspect.labels)["suspect"] == ODD
    assert suspect.value == 4
    assert suspect.evidence["nodes"] == ["n0", "n1", "n2", "n3"]
    odd.values = {}
    for _ in range(20):
        pool.round()
        own_tick(pool)
    assert pool.alerts[-1] is suspect, "nothing but an ack ends it"
    pool.state = decode_state(encode_state(pool.state))
    ack(pool)
    assert (pool.alerts[-1].state, pool.alerts[-1].reason) == (AlertState.RESOLVED, "acked")
    assert standing(pool).trust is Trust.OBSERVE


def test_a_suspected_detector_rises_only_after_an_ack_and_clean_windows(odd: Odd) -> None:
    pool = pool_of(node__odd=Trust.WARN)
    fast(pool, WINDOW // 2)
    odd.values = dict.fromkeys(pool.nodes, 1)
    pool.rounds(3)
    own_tick(pool)
    assert standing(pool).checks < 5, "what was half a window counts for nothing now"
    fast(pool, WINDOW + 5)
    assert standing(pool).everywhere
    odd.values = {}
    fast(pool, 2 * WINDOW)
    assert standing(pool).trust is Trust.OBSERVE, "nobody has acknowledged it"
    ack(pool)
    fast(pool, WINDOW)
    assert standing(pool).trust is Trust.WARN
    fast(pool, WINDOW)
    assert standing(pool).trust is Trust.WARN, "as configured"


def test_in_observe_it_is_noted_and_nobody_is_bothered(odd: Odd) -> None:
    pool = pool_of()
    odd.values = dict.fromkeys(pool.nodes, 2)
    pool.rounds(3)
    own_tick(pool)
    assert pool.alerts == []
    assert row(pool)["everywhere"] is True
    fast(pool, 3 * WINDOW)
    assert standing(pool).trust is Trust.OBSERVE, "also where nothing new comes to what fails everywhere"
    odd.values = {"n1": 2}
    fast(pool, 2 * WINDOW)
    assert standing(pool).trust is Trust.WARN


@pytest.mark.parametrize(
    ("providers", "failing", "suspected"),
    [
        (("a", "b"), ("n0", "n1"), False),
        (("a", "a", "a"), ("n0", "n1", "n2"), False),
        (("a", "a", "b"), ("n0", "n1", "n2"), True),
        (("a", "b", "c", "d"), ("n0", "n1", "n2"), False),
    ],
)
def test_all_means_three_nodes_of_two_groups_at_least_and_every_one(
    odd: Odd,
    providers: tuple[str, ...],
    failing: tuple[str, ...],
    suspected: bool,  # noqa: FBT001
) -> None:
    pool = pool_of(providers, node__odd=Trust.ENFORCE)
    odd.values = dict.fromkeys(failing, 2)
    pool.rounds(3)
    assert (level_of(pool) is Trust.OBSERVE) is suspected


def level_of(pool: Ticking) -> Trust:
    return trust.level(pool.state.chains["sim"].trust, ODD)


def test_nodes_that_it_cannot_judge_do_not_count_and_a_silent_one_neither(
    odd: Odd, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(node__odd=Trust.ENFORCE)
    detector = ChainDetector(
        id=ODD, params=OddParams, run=odd.run, judges=lambda node: node.settings.name != "n3", starts=Trust.ENFORCE
    )
    install(monkeypatch, detector)
    odd.values = dict.fromkeys(("n0", "n1", "n2"), 2)
    pool.rounds(3)
    assert level_of(pool) is Trust.OBSERVE


def test_two_nodes_that_it_can_judge_are_too_few_however_many_it_names(
    odd: Odd, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(node__odd=Trust.ENFORCE)
    few = ("n0", "n1")
    install(
        monkeypatch,
        ChainDetector(id=ODD, params=OddParams, run=odd.run, judges=lambda node: node.settings.name in few),
    )
    odd.values = dict.fromkeys(("n0", "n1", "n2"), 2)
    pool.rounds(3)
    assert level_of(pool) is Trust.ENFORCE


def test_what_is_news_when_it_is_so_everywhere_is_never_suspected(odd: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ChainDetector(id=ODD, params=OddParams, run=odd.run, everywhere=True))
    pool = pool_of()
    odd.values = dict.fromkeys(pool.nodes, 2)
    pool.rounds(3)
    assert len([alert for alert in pool.alerts if alert.reason == "fired"]) == 4


def test_when_nobody_answers_or_all_are_of_another_chain_it_is_no_check_that_is_wrong() -> None:
    pool = pool_of()
    for name in pool.nodes:
        pool.answers[name] = lambda node, request: node.answer(request).replace(b'"0x539"', b'"0x1"')
    pool.rounds(5)
    assert {detector for detector, _, _ in pool.fired()} == {"node.wrong_chain", "pool.quorum_lost"}
    for name in pool.nodes:
        pool.answers[name] = fails()
    pool.rounds(30)
    own_tick(pool)
    assert all(alert.detector != "self.detector_suspect" for alert in pool.alerts)


def unknown_fork(node: SimNode, request: bytes) -> bytes:
    """Headers as after an upgrade that changed what is hashed: none hashes to its hash."""
    answers = orjson.loads(node.answer(request))
    for entry in answers:
        result = entry.get("result")
        if isinstance(result, dict) and "parentHash" in result:
            result["gasUsed"] = hex(int(result["gasUsed"], 16) ^ 1)
    return orjson.dumps(answers)


def test_a_fork_with_headers_that_we_do_not_know_blinds_nobody() -> None:
    pool = pool_of(slot_s=12)
    upgraded: Answer = unknown_fork
    for name in pool.nodes:
        pool.answers[name] = upgraded
    pool.rounds(40)
    own_tick(pool)
    chain = pool.state.chains["sim"]
    assert trust.level(chain.trust, "node.corrupt_header") is Trust.OBSERVE
    assert chain.head.grade is Grade.QUORUM, "the headers count as ones that cannot be verified"
    assert {record.corrupt for record in chain.nodes.values()} == {None}
    assert [(alert.detector, alert.state) for alert in pool.alerts if alert.state is AlertState.FIRING] == [
        ("self.detector_suspect", AlertState.FIRING)
    ]
    pool.answers["n0"] = fails()
    pool.rounds(2)
    silent = pool.state.chains["sim"].nodes["n0"]
    assert silent.mismatch is not None, "a silence takes nothing back"
    assert silent.is_confirmed
    pool.answers["n0"] = upgraded
    before = chain.head.block
    pool.rounds(30)
    after = pool.state.chains["sim"].head.block
    assert before is not None
    assert after is not None
    assert after.number > before.number
    for name in pool.nodes:
        pool.answers[name] = healthy
    pool.rounds(20)
    assert {record.mismatch for record in pool.state.chains["sim"].nodes.values()} == {None}


def test_a_single_liar_is_no_reason_to_doubt_the_check() -> None:
    pool = pool_of(slot_s=12)
    pool.answers["n0"] = unknown_fork
    pool.rounds(10)
    assert pool.fired() == {("node.corrupt_header", "n0", "critical")}
    assert trust.level(pool.state.chains["sim"].trust, "node.corrupt_header") is Trust.ENFORCE


def test_unreachable_nodes_keep_their_alerts_whatever_is_observed_beside() -> None:
    settings = settings_for(FOUR, **{"node.unreachable": UnreachableParams(warning=Over(over=2))})
    pool = Ticking(trusting(settings, node__lag=Trust.OBSERVE))
    pool.rounds(10)
    pool.answers["n0"] = fails()
    pool.rounds(6)
    assert pool.open() == {("node.unreachable", "n0")}
