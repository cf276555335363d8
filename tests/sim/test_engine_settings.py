"""What a configuration decides in the core: names of subjects, and Params per chain."""

from dataclasses import replace

from tests.support.pool import Pool, settings_for

from tocsin.clock import NS
from tocsin.detect.node_unreachable import UnreachableParams
from tocsin.detect.self_loop_lag import LoopLagParams
from tocsin.model.alert import Over
from tocsin.model.event import Ticked
from tocsin.model.observation import Fault, FaultKind
from tocsin.model.settings import Settings


def after_an_outage(settings: Settings, polls: int) -> Pool:
    pool = Pool(settings)
    pool.rounds(3)
    pool.answers["n0"] = lambda _node, _request: Fault(kind=FaultKind.RESET, detail="x")
    pool.rounds(polls)
    return pool


def test_an_alert_names_chain_node_and_environment_by_their_global_names() -> None:
    (alert,) = after_an_outage(settings_for(("a", "b", "c")), 6).alerts
    assert alert.labels == (("chain", "eip155:1337"), ("environment", "test"), ("node", "sim.n0"))


def test_the_params_of_a_chain_decide_on_it() -> None:
    eager = UnreachableParams(warning=Over(over=2))
    never = UnreachableParams(warning=None)
    assert after_an_outage(settings_for(("a", "b", "c")), 2).alerts == []
    assert [
        alert.limit for alert in after_an_outage(settings_for(("a", "b", "c"), **{"node.unreachable": eager}), 2).alerts
    ] == [2]
    assert after_an_outage(settings_for(("a", "b", "c"), **{"node.unreachable": never}), 9).alerts == []


def test_params_of_the_watchdog_itself_decide_about_it() -> None:
    settings = replace(settings_for(("a", "b")), detectors={"self.loop_lag": LoopLagParams(warning=Over(over=5))})
    pool = Pool(settings)
    pool.take(Ticked(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), chain="", loop_lag_ns=NS // 5))
    assert [(alert.detector, alert.limit) for alert in pool.alerts] == [("self.loop_lag", 5)]
