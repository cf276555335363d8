"""Trust under any course of findings: bounded, deterministic, never more than was earned, and gone when all fail."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.pool import settings_for
from tests.support.views import HEAD, at, seen, view

from tocsin.alerting.tracked import Moment
from tocsin.detect.base import ChainDetector
from tocsin.engine import trust
from tocsin.engine.codec import encode_state
from tocsin.engine.state import ChainState, EngineState
from tocsin.engine.trust import judge
from tocsin.model.alert import AlertState, Finding, Grade, Limits, Over, Severity, Subject
from tocsin.model.block import BlockRef
from tocsin.model.evolve import evolve
from tocsin.model.trust import Standing, Trust
from tocsin.model.view import ChainView
from tocsin.wire.records import Blobs, Codec

SECOND = 10**9
CODEC = Codec()
NODES = ("n0", "n1", "n2")
KINDS = ("node.a", "node.b")
LEVELS = {name: rank for rank, name in enumerate(Trust)}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoParams:
    """Nothing to set."""


def detectors() -> tuple[ChainDetector, ...]:
    return tuple(ChainDetector(id=kind, params=NoParams, run=lambda _view, _params: iter(())) for kind in KINDS)


readings = st.dictionaries(st.tuples(st.sampled_from(KINDS), st.sampled_from(NODES)), st.sampled_from([1, 1, 5]))
steps = st.lists(st.tuples(readings, st.booleans()), max_size=30)


def looked(number: int, advanced: int) -> ChainView:
    nodes = [at(name, seen(polls=number)) for name in NODES]
    base = view(*nodes)
    block = BlockRef(number=advanced, hash=f"0x{advanced:064x}")
    chain = settings_for(("a", "b", "c")).chains[0]
    return evolve(base, settings=chain, head=evolve(base.head, block=block), now_ns=number * SECOND)


def findings(reading: dict[tuple[str, str], int], looked_at: ChainView, number: int) -> list[Finding]:
    labels = {node.settings.name: node.labels for node in looked_at.nodes}
    return [
        Finding(
            detector=kind,
            labels=labels[name],
            value=value,
            unit="",
            limits=Limits(warning=Over(over=1), critical=Over(over=5)),
            sample=number,
            summary=f"{name} {kind}",
            grade=Grade.QUORUM,
        )
        for (kind, name), value in reading.items()
    ]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "CHAIN_DETECTORS", detectors())
    monkeypatch.setattr(trust, "WINDOW", 6)


@settings(deadline=None, max_examples=40)
@given(course=steps, start=st.sampled_from(Trust))
def test_trust_is_earned_step_by_step_and_lost_at_once(
    course: list[tuple[dict[tuple[str, str], int], bool]], start: Trust
) -> None:
    first = {KINDS[0]: Standing(trust=start)} if start is not Trust.ENFORCE else {}
    state, advanced, checks = ChainState(started_ns=0, trust=first), HEAD.number, 0
    for number, (reading, moved) in enumerate(course, 1):
        advanced += moved
        looked_at = looked(number, advanced)
        found = findings(reading, looked_at, number)
        subjects = {node.labels: Subject(sample=number) for node in looked_at.nodes}
        moment = Moment(now_ns=number * SECOND, wall_ns=number)
        before, done = state, judge(state, looked_at, found, subjects, moment)
        again = judge(state, looked_at, list(reversed(found)), subjects, moment)
        assert done.alerts == again.alerts, "the order of findings decides nothing"
        state = done.chain
        assert encode_state(EngineState(chains={"sim": state})) == encode_state(
            EngineState(chains={"sim": again.chain})
        )
        blobs: Blobs = {}
        restored: ChainState = CODEC.decode(ChainState, CODEC.encode(ChainState, state, blobs), blobs)
        assert restored.trust == state.trust
        for kind in KINDS:
            was, now = trust.level(before.trust, kind), trust.level(state.trust, kind)
            assert LEVELS[now] <= LEVELS[was] + 1, "one step at a time"
            if LEVELS[now] < LEVELS[was]:
                assert now is Trust.OBSERVE
                assert {name for found_kind, name in reading if found_kind == kind} == set(NODES)
                standing = state.trust[kind]
                assert standing.suspicion is not None
                assert not [one for one in state.alerts.tracked.values() if one.finding.detector == kind]
        for alert in done.alerts:
            level = trust.level(before.trust, alert.detector)
            assert level is not Trust.OBSERVE or alert.reason != "fired"
            assert (
                level is not Trust.WARN or alert.severity is not Severity.CRITICAL or alert.state is AlertState.RESOLVED
            )
        assert all(standing.checks < trust.WINDOW for standing in state.trust.values())
        checks += state.counted != before.counted
        assert all(standing.since_checks <= checks for standing in state.trust.values())
