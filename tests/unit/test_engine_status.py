"""The level of a status is never better than what is known."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from tests.support.pool import settings_for
from tests.support.ticking import Ticking, fails

from tocsin.clock import NS
from tocsin.detect.pool_blind import BlindParams
from tocsin.engine.state import EngineState
from tocsin.engine.status import overall, status
from tocsin.model.event import ConfigRejected, ConfigRevised, Ticked
from tocsin.model.observation import FaultKind


def level(pool: Ticking) -> str:
    told = status(pool.state, pool.now)
    orjson.dumps(told)
    chains = told["chains"]
    assert isinstance(chains, list)
    assert told["level"] == overall([chain["level"] for chain in chains])
    return str(told["level"])


def healthy_pool(providers: tuple[str, ...] = ("a", "b", "c")) -> Ticking:
    pool = Ticking(settings_for(providers))
    pool.rounds(20)
    assert level(pool) == "ok"
    return pool


def test_without_a_configuration_or_a_chain_nothing_is_known() -> None:
    assert status(EngineState(), 0)["level"] == "unknown"
    pool = healthy_pool()
    pool.take(ConfigRevised(t_ns=pool.now, settings=replace(pool.settings, chains=())))
    assert status(pool.state, pool.now)["level"] == "unknown"


def test_without_an_agreed_head_nothing_is_known() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    assert level(pool) == "unknown"
    pool.hung = {"n1", "n2"}
    pool.rounds(5)
    assert level(pool) == "unknown"


def test_a_node_on_another_branch_is_shown_as_that_and_not_as_level() -> None:
    pool = healthy_pool()
    pool.chain.fork("bad")
    pool.nodes["n1"].view.branch = "bad"
    pool.rounds(20)
    chains = status(pool.state, pool.now)["chains"]
    assert isinstance(chains, list)
    rows = {row["name"]: row for row in chains[0]["nodes"]}
    assert rows["n1"]["head"] == rows["n0"]["head"]
    assert (rows["n1"]["forked"], rows["n1"]["behind"]) == (True, None)
    assert (rows["n0"]["forked"], rows["n0"]["behind"]) == (False, 0)


def test_a_split_is_critical_from_the_first_moment() -> None:
    pool = healthy_pool(("a", "b"))
    pool.chain.fork("bad")
    pool.nodes["n1"].view.branch = "bad"
    levels = set()
    for _ in range(40):
        pool.round()
        levels.add((pool.state.chains["sim"].head.grade.value, level(pool)))
    assert ("split", "critical") in levels
    assert not {told for grade, told in levels if grade == "split"} - {"critical"}


def test_a_blind_pool_is_unknown_and_then_critical() -> None:
    pool = healthy_pool()
    for name in pool.nodes:
        pool.answers[name] = fails()
    levels = []
    for _ in range(6):
        pool.round()
        levels.append(level(pool))
    assert levels[-1] == "critical"
    assert "ok" not in levels[2:]


def test_a_blind_pool_whose_alert_is_switched_off_is_unknown() -> None:
    settings = settings_for(("a", "b"), **{"pool.blind": BlindParams(critical=None)})
    pool = Ticking(settings)
    pool.rounds(10)
    for name in pool.nodes:
        pool.answers[name] = fails(FaultKind.BUDGET)
    pool.rounds(4)
    assert level(pool) == "unknown"


def test_somebody_elses_outage_is_ok_and_an_own_one_a_warning() -> None:
    pool = healthy_pool(("a", "b", "c", "d"))
    pool.answers["n3"] = fails()
    pool.rounds(10)
    assert level(pool) == "ok"
    pool.answers["n0"] = fails()
    pool.rounds(6)
    assert level(pool) == "warning"


def test_an_alert_without_data_keeps_its_level() -> None:
    pool = healthy_pool(("a", "b", "c", "d", "e"))
    pool.nodes["n0"].view.freeze()
    pool.rounds(110)
    assert level(pool) == "critical"
    pool.answers["n0"] = fails()
    pool.rounds(10)
    assert ("node.lag", "n0", "unknown") in pool.said()
    assert level(pool) == "critical"


def test_a_critical_chain_is_not_hidden_behind_an_unknown_one() -> None:
    pool = healthy_pool()
    other = replace(pool.settings.chains[0], name="other", id=7)
    pool.take(ConfigRevised(t_ns=pool.now, settings=replace(pool.settings, chains=(other, pool.settings.chains[0]))))
    pool.answers["n0"] = lambda node, request: node.answer(request).replace(b'"0x539"', b'"0x1"')
    pool.rounds(2)
    told = status(pool.state, pool.now)
    assert [chain["level"] for chain in told["chains"]] == ["unknown", "critical"]  # type: ignore[attr-defined]
    assert told["level"] == "critical"


def test_a_refused_configuration_is_a_warning() -> None:
    pool = healthy_pool()
    pool.take(ConfigRejected(t_ns=pool.now, problems=("x",)))
    pool.take(Ticked(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), chain="", loop_lag_ns=0))
    assert status(pool.state, pool.now)["level"] == "warning"


def test_open_alerts_stand_worst_first_and_pending_ones_not_at_all() -> None:
    pool = healthy_pool(("a", "b", "c", "d", "e"))
    pool.nodes["n0"].view.freeze()
    pool.answers["n4"] = fails()
    pool.rounds(110)
    alerts = status(pool.state, pool.now)["alerts"]
    assert isinstance(alerts, list)
    ranks = [{"critical": 0, "warning": 1, "info": 2}[alert["severity"]] for alert in alerts]
    assert ranks == sorted(ranks)
    assert {alert["state"] for alert in alerts} == {"firing"}


def test_of_an_alert_that_fires_on_it_is_told_for_how_long_it_has_been_well() -> None:
    pool = healthy_pool(("a", "b", "c", "d", "e"))
    pool.nodes["n0"].view.freeze()
    pool.rounds(20)
    assert well_s(pool) == [None]
    pool.nodes["n0"].view.thaw()
    while well_s(pool) == [None]:
        pool.rounds(1)
    (now,), (later,) = well_s(pool), well_s(pool, later_ns=5 * NS)
    assert now is not None
    assert later == pytest.approx(now + 5)
    pool.answers["n0"] = fails()
    pool.rounds(10)
    alerts = {alert["detector"]: (alert["state"], alert["well_s"]) for alert in listed(pool)}
    assert alerts["node.lag"] == ("unknown", None), "of what nobody sees it is not said that it is well"


def listed(pool: Any, *, later_ns: int = 0) -> list[dict[str, Any]]:
    alerts = status(pool.state, pool.now + later_ns)["alerts"]
    assert isinstance(alerts, list)
    return alerts


def well_s(pool: Any, *, later_ns: int = 0) -> list[float | None]:
    return [alert["well_s"] for alert in listed(pool, later_ns=later_ns)]


def test_of_many_alerts_the_worst_are_listed_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = healthy_pool(("a", "b", "c", "d", "e"))
    pool.nodes["n0"].view.freeze()
    pool.answers["n4"] = fails()
    pool.rounds(110)
    whole = status(pool.state, pool.now)
    every = whole["alerts"]
    assert isinstance(every, list)
    assert whole["alerts_total"] == len(every) > 1
    monkeypatch.setattr("tocsin.engine.status.MOST_ALERTS", 1)
    cut = status(pool.state, pool.now)
    assert (cut["alerts"], cut["alerts_total"]) == (every[:1], len(every))
    assert cut["level"] == whole["level"]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([], "ok"),
        (["ok", "warning"], "warning"),
        (["warning", "unknown"], "unknown"),
        (["unknown", "critical", "ok"], "critical"),
    ],
)
def test_what_is_critical_says_more_than_what_is_unknown(levels: list[str], expected: str) -> None:
    assert overall(levels) == expected


def test_ages_and_lags_are_of_the_moment_asked_for() -> None:
    pool = healthy_pool()
    first = status(pool.state, pool.now)["chains"][0]["head_age_s"]  # type: ignore[index]
    later = status(pool.state, pool.now + 5 * NS)["chains"][0]["head_age_s"]  # type: ignore[index]
    assert later == pytest.approx(first + 5)
