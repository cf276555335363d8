"""A node that comes back from an outage and refuses most of its clients: throttled, and not down any more."""

from tests.support.pool import settings_for
from tests.support.ticking import Ticking, fails

from tocsin.model.observation import FaultKind


def test_a_node_that_refuses_after_an_outage_is_throttled_and_not_unreachable_as_well() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(10)
    pool.answers["n0"] = fails()
    pool.rounds(12)
    assert ("node.unreachable", "n0") in pool.open()
    pool.answers["n0"] = fails(FaultKind.RATE_LIMITED)
    pool.rounds(6)
    assert {detector for detector, node in pool.open() if node == "n0"} == {"node.rate_limited"}
    assert "refuses" in [alert.summary for alert in pool.alerts if alert.detector == "node.unreachable"][-1]
    pool.answers["n0"] = fails()
    pool.rounds(8)
    assert ("node.unreachable", "n0") in pool.open(), "down again"


def test_a_single_refusal_between_failures_ends_no_outage() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(10)
    for _ in range(6):
        pool.answers["n0"] = fails()
        pool.rounds(3)
        pool.answers["n0"] = fails(FaultKind.RATE_LIMITED)
        pool.round()
    told = [alert.state.value for alert in pool.alerts if alert.detector == "node.unreachable"]
    assert set(told) == {"firing"}
