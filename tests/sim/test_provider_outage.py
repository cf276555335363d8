"""The outage of a provider is told once, and not once for each of its nodes."""

from collections.abc import Callable

import pytest
from tests.support.pool import Answer, Pool, healthy, settings_for

from tocsin.alerting.inhibition import CAP_NS
from tocsin.model.event import ConfigRevised
from tocsin.model.observation import Fault, FaultKind


def dead(_node: object, _request: bytes) -> Fault:
    return Fault(kind=FaultKind.REFUSED, detail="x")


@pytest.fixture
def pool() -> Pool:
    pool = Pool(settings_for(("a", "b", "b", "b", "c"), own=(0,)))
    pool.rounds(20)
    assert pool.alerts == []
    return pool


def answer(pool: Pool, answers: Answer, *nodes: str) -> None:
    pool.answers |= dict.fromkeys(nodes, answers)


def about(pool: Pool, detector: str) -> list[tuple[str, str]]:
    labels: Callable[[tuple[tuple[str, str], ...]], str] = lambda pairs: pairs[-1][1]  # noqa: E731
    return [(labels(alert.labels), alert.reason) for alert in pool.alerts if alert.detector == detector]


def test_the_outage_of_a_provider_is_one_alert(pool: Pool) -> None:
    answer(pool, dead, "n1", "n2", "n3")
    pool.rounds(60)
    assert about(pool, "provider.unreachable") == [("b", "fired")]
    assert about(pool, "node.unreachable") == []
    assert dict(pool.alerts[0].labels) == {"chain": "eip155:1337", "environment": "test", "provider": "b"}
    assert pool.alerts[0].value == 5
    assert {pool.state.chains["sim"].lives[name].state.value for name in ("n1", "n2", "n3")} == {"unreachable"}
    answer(pool, healthy, "n1", "n2", "n3")
    pool.rounds(60)
    assert about(pool, "provider.unreachable") == [("b", "fired"), ("b", "cleared")]
    assert about(pool, "node.unreachable") == []


def test_who_stays_away_when_the_others_are_back_is_told_of_by_itself(pool: Pool) -> None:
    answer(pool, dead, "n1", "n2", "n3")
    pool.rounds(20)
    answer(pool, healthy, "n1", "n2")
    pool.rounds(20)
    assert about(pool, "provider.unreachable") == [("b", "fired"), ("b", "cleared")]
    assert about(pool, "node.unreachable") == [("sim.n3", "fired")]


def test_one_node_of_a_provider_is_no_outage(pool: Pool) -> None:
    answer(pool, dead, "n1", "n2", "n4")
    pool.rounds(20)
    assert about(pool, "provider.unreachable") == []
    assert sorted(about(pool, "node.unreachable")) == [("sim.n1", "fired"), ("sim.n2", "fired"), ("sim.n4", "fired")]


def test_who_was_told_of_before_names_what_covers_it_from_then_on(pool: Pool) -> None:
    answer(pool, dead, "n1")
    pool.rounds(20)
    assert about(pool, "node.unreachable") == [("sim.n1", "fired")]
    answer(pool, dead, "n2", "n3")
    pool.rounds(20)
    assert about(pool, "node.unreachable") == [("sim.n1", "fired")]
    source = next(alert for alert in pool.alerts if alert.detector == "provider.unreachable")
    answer(pool, healthy, "n1")
    pool.rounds(20)
    ended = pool.alerts[-1]
    assert pool.alerts[0].inhibited_by is None
    tracked = pool.state.chains["sim"].alerts.tracked
    assert {ended.reason, *about(pool, "node.unreachable")} >= {"fired", ("sim.n1", "cleared")}
    assert source.fingerprint not in tracked


def test_all_nodes_together_are_blindness_and_nothing_else(pool: Pool) -> None:
    answer(pool, dead, *pool.nodes)
    pool.rounds(60)
    assert {alert.detector for alert in pool.alerts} == {"pool.blind"}


def test_after_an_hour_each_node_is_news_of_its_own(pool: Pool) -> None:
    answer(pool, dead, "n1", "n2", "n3")
    pool.rounds(CAP_NS // (2 * 10**9) + 20)
    assert sorted(about(pool, "node.unreachable")) == [("sim.n1", "fired"), ("sim.n2", "fired"), ("sim.n3", "fired")]
    assert all(alert.inhibited_by is None for alert in pool.alerts)


def test_a_provider_that_is_configured_no_longer_resolves(pool: Pool) -> None:
    answer(pool, dead, "n1", "n2", "n3")
    pool.rounds(20)
    pool.take(ConfigRevised(t_ns=pool.now, settings=settings_for(("a", "c", "d", "b"), own=(0,))))
    assert about(pool, "provider.unreachable") == [("b", "fired"), ("b", "unconfigured")]
