"""The status document: what is wrong with broker, disk or configuration is named in it, and lowers the level."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.configs import MINIMAL, loaded
from tests.support.pool import Pool, settings_for

from tocsin.cli import _own
from tocsin.cli._own import own_lines
from tocsin.clock import EngineClock
from tocsin.engine.state import EngineState
from tocsin.model.observation import Fault, FaultKind
from tocsin.mqtt.health import Health as BrokerHealth
from tocsin.mqtt.health import Link, Tally
from tocsin.rpc.batching import BatchLimit
from tocsin.rpc.bill import Bill
from tocsin.rpc.heads import HeadStats
from tocsin.runtime import report
from tocsin.store import Counts, Cursor, Mode
from tocsin.store import Health as StoreHealth
from tocsin.testing import ManualClock

WELL = BrokerHealth(
    link=Link.CONNECTED, broker="mqtt://h:1883", since_wall_ns=0, error="", refused=(), rival="", tally=Tally()
)
SOUND = StoreHealth(
    mode=Mode.NORMAL,
    reason="",
    gap=None,
    saturated=False,
    counts=Counts(pending=3, pending_bytes=10, critical=0, unsaved=2, sent=0),
    last_seq=7,
    event_no=1,
    effect_no=1,
    segment=1,
    segment_bytes=0,
    unsealed=0,
    seal_error="",
)


def agreed() -> EngineState:
    pool = Pool(settings_for(("a", "b", "c")))
    pool.rounds(10)
    return pool.state


AGREED = agreed()


def test_what_is_counted_of_broker_and_websockets_is_told(tmp_path: Path) -> None:
    fault = Fault(kind=FaultKind.REFUSED, detail="connection refused")
    told = report.document(
        loaded=loaded(tmp_path, MINIMAL),
        loaded_wall_ns=0,
        started_wall_ns=0,
        state=AGREED,
        clock=EngineClock(ManualClock()),
        broker=replace(WELL, since_wall_ns=7, tally=Tally(connects=2, sent=5)),
        store=SOUND,
        late=(),
        sockets=[("ethereum", "geth", HeadStats(heads=9, gaps=1)), ("ethereum", "reth", HeadStats(fault=fault))],
    )
    assert (told["broker"]["since_wall_ns"], told["broker"]["counts"]["sent"]) == (7, 5)  # type: ignore[index]
    geth, reth = told["sockets"]  # type: ignore[misc]
    assert (geth["node"], geth["heads"], geth["gaps"], geth["fault"]) == ("geth", 9, 1, None)  # type: ignore[index]
    assert reth["fault"] == "connection refused"  # type: ignore[index]


def test_what_each_node_can_answer_is_in_its_row(tmp_path: Path) -> None:
    limit = BatchLimit()
    limit.refused(8)
    told = report.document(
        loaded=loaded(tmp_path, MINIMAL),
        loaded_wall_ns=0,
        started_wall_ns=0,
        state=AGREED,
        clock=EngineClock(ManualClock()),
        broker=WELL,
        store=SOUND,
        late=(),
        sockets=[("sim", "n1", HeadStats(heads=3))],
        batches=[("sim", "n0", limit)],
    )
    [chain] = told["chains"]  # type: ignore[misc]
    rows = {node["name"]: node["abilities"] for node in chain["nodes"]}  # type: ignore[index]
    assert (rows["n0"]["batch_limit"], rows["n1"]["batch_limit"]) == (4, None)
    assert (rows["n0"]["websocket"], rows["n1"]["websocket"]) == ("unknown", "yes")


def document(
    folder: Path, *, broker: BrokerHealth = WELL, store: StoreHealth = SOUND, late: tuple[str, ...] = ()
) -> dict[str, Any]:
    return report.document(
        loaded=loaded(folder, MINIMAL),
        loaded_wall_ns=0,
        started_wall_ns=0,
        state=AGREED,
        clock=EngineClock(ManualClock()),
        broker=broker,
        store=store,
        late=late,
    )


def test_where_all_is_well_nothing_is_said(tmp_path: Path) -> None:
    said = document(tmp_path)
    assert said["level"] == "ok"
    link = {key: said["broker"][key] for key in ("state", "detail", "outbox")}
    assert link == {"state": "connected", "detail": "mqtt://h:1883", "outbox": 3}, "what is not on disk is among them"
    assert said["store"] == {"state": "ok", "detail": "", "damaged": 0}
    assert document(tmp_path, store=replace(SOUND, damaged=3))["store"]["damaged"] == 3


@pytest.mark.parametrize(
    ("change", "state", "says"),
    [
        ({"link": Link.DOWN, "error": "broker h: refused; is it running?"}, "down", "is it running?"),
        ({"link": Link.CONNECTING}, "down", "not connected to mqtt://h:1883"),
        ({"refused": ("the broker refused a/b: not authorised",)}, "refused", "the broker refused a/b: not authorised"),
        ({"rival": "b00700000000"}, "connected", "another daemon (boot b00700000000) speaks under this site and name"),
    ],
)
def test_what_is_wrong_with_the_broker_is_named_and_a_warning(
    tmp_path: Path, change: dict[str, Any], state: str, says: str
) -> None:
    said = document(tmp_path, broker=replace(WELL, **change))
    assert said["level"] == "warning"
    assert (said["broker"]["state"], says in said["broker"]["detail"]) == (state, True)
    assert not said["broker"]["detail"].endswith("; ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mode": Mode.JOURNAL_STOPPED, "reason": "/s: cannot be written: disk full"}, "disk full"),
        ({"seal_error": "/s/journal: sealing failed"}, "sealing failed"),
        ({"saturated": True}, "3 messages wait for the broker"),
    ],
)
def test_what_is_wrong_with_the_disk_is_named_and_a_warning(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    said = document(tmp_path, store=replace(SOUND, **change))
    assert said["level"] == "warning"
    assert (said["store"]["state"], says in said["store"]["detail"]) == ("degraded", True)


def test_a_task_that_is_late_makes_everything_unknown(tmp_path: Path) -> None:
    said = document(tmp_path, late=("tick",))
    assert (said["level"], said["late"]) == ("unknown", ["tick"])


BEACON = '[[chain.beacon]]\nname = "lighthouse"\nurl = "http://10.9.9.9:5052"\nprovider = "layer"\n'


def test_the_bill_sums_what_each_provider_s_nodes_cost(tmp_path: Path) -> None:
    text = MINIMAL + 'provider = "cheap"\n' + BEACON + '[[provider]]\nname = "cheap"\nbudget = "1M/day"\n'
    taken = loaded(tmp_path, text)
    names = [one.name for one in taken.tree.chains[0].everyone]
    assert "lighthouse" in names
    chain = taken.tree.chains[0].name
    cost = Bill(calls=1, units=2, forecast_calls=30, forecast_units=40)
    written = report.document(
        loaded=taken,
        loaded_wall_ns=0,
        started_wall_ns=0,
        state=AGREED,
        clock=EngineClock(ManualClock()),
        broker=WELL,
        store=SOUND,
        late=(),
        bills=[*((chain, name, cost) for name in names), (chain, "gone", cost)],
    )
    bill = {row["provider"]: row for row in written["bill"]}
    assert [one["node"] for one in bill["layer"]["nodes"]] == ["lighthouse"]
    assert bill["cheap"]["budget"] == 1_000_000
    assert sum(row["calls"] for row in bill.values()) == len(names)
    assert all(row["forecast_units"] == 40 * len(row["nodes"]) for row in bill.values())
    shown = "\n".join(_own.own_lines(written))
    assert "cheap about 30 calls a day, 40 of 1.0M units" in shown


def test_consumers_are_shown_with_what_they_lack_and_when_they_said_so() -> None:
    cursors = (
        Cursor(name="log", max=7, at=0, missing=(), heard_wall_ns=10**18),
        Cursor(name="pager", max=5, at=9, missing=(2, 3), heard_wall_ns=10**18),
    )
    store = replace(SOUND, last_seq=7, consumers=cursors)
    shown = report._consumers(store)
    assert shown == [
        {"name": "log", "max": 7, "lag": 0, "missing": 0, "heard_at": None},
        {"name": "pager", "max": 5, "lag": 4, "missing": 2, "heard_at": "2001-09-09T01:46:40.000000Z"},
    ]
    lines = list(own_lines({"consumers": shown}))
    assert "consumers log has everything, never acknowledged; pager lacks 4, acknowledged 2001-09-09T01:46:40Z" in lines
