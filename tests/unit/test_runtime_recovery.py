"""Where a life goes on: state, numbers and the alerts that subscribers know of."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from tests.support.manager import Manager
from tests.support.pool import healthy, settings_for
from tests.support.statepool import VAULT, StatePool, about, lying
from tests.support.ticking import Ticking, fails

from tocsin.clock import NS
from tocsin.detect import CHAIN_DETECTORS
from tocsin.detect.node_lag import LagParams
from tocsin.engine import tick as ticks
from tocsin.engine.codec import encode_event, encode_state
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.model.alert import AlertState, Over
from tocsin.model.event import Booted, ConfigRejected, ConfigRevised, Event, Ticked
from tocsin.model.observation import FaultKind
from tocsin.runtime.core import Core
from tocsin.runtime.orphans import orphans
from tocsin.runtime.recovery import TELL_NS, Past, recover
from tocsin.store import Group, Record, RetainedRow, Snapshot, Store
from tocsin.testing import ManualClock, SimNode


def other_chain(node: SimNode, request: bytes) -> bytes:
    return node.answer(request).replace(b'"0x539"', b'"0x1"')


class Slow(ManualClock):
    """Each look at it takes long."""

    def monotonic_ns(self) -> int:
        self.advance(ns=TELL_NS // 20)
        return super().monotonic_ns()


async def opened(folder: Path) -> Store:
    return await Store.open(folder, clock=ManualClock())


async def lived(folder: Path, events: list[Event], *, snapshot_at: int | None = None) -> EngineState:
    """Let a core live through events on a real disk; return its state at the end."""
    async with await opened(folder) as store:
        past = await recover(store)
        core = Core(
            store,
            past.state,
            event_no=past.event_no,
            effect_no=past.effect_no,
            wall_ns=lambda: 1,
            on_request=lambda _: None,
            on_alert=lambda _: None,
        )
        task = asyncio.create_task(core.run(lambda: None))
        for at, event in enumerate(events):
            core.take(event)
            if at == snapshot_at:
                await core.drained()
                snapshot = Snapshot(event_no=past.event_no + at + 1, data=encode_state(core.state))
                await store.commit(Group(t_ns=core.state.t_ns, wall_ns=1, effect_no=0, snapshot=snapshot))
        await core.drained()
        task.cancel()
        return core.state


async def past_of(folder: Path) -> Past:
    async with await opened(folder) as store:
        return await recover(store)


def outage(rounds: int = 14, *, heal: bool = False) -> list[Event]:
    pool = Ticking(settings_for(("a", "b", "c")), keep_events=True)
    pool.rounds(8)
    pool.answers["n0"] = fails(FaultKind.REFUSED)
    pool.rounds(rounds)
    if heal:
        pool.answers["n0"] = healthy
        pool.rounds(20)
    assert [alert.reason for alert in pool.alerts] == (["fired", "cleared"] if heal else ["fired"])
    return pool.events


def lagging() -> list[Event]:
    """A node that falls behind and catches up: pending for a poll, then firing, then resolved."""
    twice = LagParams(warning=Over(over=3, polls=2))
    pool = Ticking(settings_for(("a", "b", "c"), **{"node.lag": twice}), keep_events=True)
    pool.rounds(8)
    pool.nodes["n0"].view.freeze()
    while not pool.alerts:
        pool.round()
    pool.nodes["n0"].view.thaw()
    pool.rounds(10)
    assert [alert.reason for alert in pool.alerts] == ["fired", "cleared"]
    return pool.events


def accusing() -> list[Event]:
    """A node that gives code of which the evidence is longer than an alert may be."""
    pool = StatePool(keep_events=True)
    pool.rounds(20)
    pool.answers["n1"] = lying("eth_getCode", lambda _: "0x" + "60" * 24_576, about(VAULT))
    pool.rounds(7)
    assert len(pool.alerts) == 1
    return pool.events


async def test_evidence_that_a_crash_left_unwritten_is_written_at_the_next_start(tmp_path: Path) -> None:
    await lived(tmp_path, accusing())
    [written] = (tmp_path / "evidence").iterdir()
    whole = written.read_bytes()
    written.unlink()
    await past_of(tmp_path)
    assert written.read_bytes() == whole


@pytest.mark.parametrize("snapshot_at", [None, 3, 100])
async def test_a_life_goes_on_from_where_the_last_one_was(tmp_path: Path, snapshot_at: int | None) -> None:
    state = await lived(tmp_path, outage(), snapshot_at=snapshot_at)
    past = await past_of(tmp_path)
    assert encode_state(past.state) == encode_state(state)
    assert (past.seq, past.orphans) == (state.seq, ())
    assert past.t_ns == state.t_ns


async def test_the_service_manager_is_told_of_a_replay_again_and_again_and_waits_for_it(tmp_path: Path) -> None:
    events = outage()
    await lived(tmp_path / "state", events)
    manager = Manager(str(tmp_path / "notify"))
    try:
        async with await opened(tmp_path / "state") as store:
            await recover(store, Slow(), manager.notifier().starting)
        said = manager.waiting()
    finally:
        manager.close()
    assert len(said) > 2
    assert {one["EXTEND_TIMEOUT_USEC"] for one in said} == {str(60 * 10**6)}
    assert said[0]["STATUS"] == f"replaying what came before the start: 0 of {len(events)} events"
    assert said[1]["STATUS"] != said[0]["STATUS"]


async def test_a_fresh_folder_has_no_past(tmp_path: Path) -> None:
    past = await past_of(tmp_path)
    assert (past.event_no, past.effect_no, past.t_ns, past.seq, past.orphans) == (0, 0, 0, 0, ())


async def lose_state(folder: Path) -> None:
    """Make the newest snapshot and all before it unreadable: what is left are outbox and retained topics."""
    async with await opened(folder) as store:
        found = await store.recover()
        async for _ in found.tail:
            pass
        record, bodies = encode_event(ConfigRejected(t_ns=1, problems=()))
        number = found.last_event_no + 1
        await store.commit(
            Group(
                t_ns=found.last_t_ns,
                wall_ns=1,
                effect_no=0,
                records=(Record(event_no=number, data=record[:-3], bodies=bodies),),
            )
        )


async def test_alerts_of_a_lost_state_are_orphans_and_become_unknown(tmp_path: Path) -> None:
    before = await lived(tmp_path, outage())
    await lose_state(tmp_path)
    past = await past_of(tmp_path)
    assert past.state == EngineState()
    assert past.seq == before.seq
    (orphan,) = orphans(past.orphans)
    assert orphan.detector == "node.unreachable"
    assert (orphan.activation, orphan.count, orphan.is_open) == (1, 1, True)
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.alerts.clear()
    pool.state = past.state
    pool.take(Booted(t_ns=pool.now, wall_ns=5, boot="b", version="t", seq=past.seq, orphans=(orphan,)))
    pool.take(ConfigRevised(t_ns=pool.now, settings=pool.settings))
    assert [(alert.state, alert.reason, alert.count) for alert in pool.alerts] == [
        (AlertState.UNKNOWN, "state-lost", 2)
    ]
    assert pool.state.seq == before.seq + 1
    pool.hung = {"n0"}
    pool.rounds(20)
    assert len(pool.alerts) == 1, "without an answer nothing is resolved"
    pool.hung.clear()
    pool.rounds(5)
    assert [alert.reason for alert in pool.alerts] == ["state-lost", "cleared"]


async def test_numbers_of_activations_survive_a_lost_state(tmp_path: Path) -> None:
    await lived(tmp_path, outage(heal=True))
    await lose_state(tmp_path)
    past = await past_of(tmp_path)
    (orphan,) = orphans(past.orphans)
    assert not orphan.is_open
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.take(Booted(t_ns=pool.now, wall_ns=5, boot="b", version="t", seq=past.seq, orphans=(orphan,)))
    pool.take(ConfigRevised(t_ns=pool.now, settings=pool.settings))
    assert pool.alerts == []
    pool.answers["n0"] = fails(FaultKind.REFUSED)
    pool.rounds(8)
    assert [(alert.reason, alert.activation) for alert in pool.alerts] == [("fired", 2)]


@pytest.mark.parametrize("kept", ["pending", "firing"])
async def test_what_was_published_after_the_state_was_saved_is_not_said_again(tmp_path: Path, kept: str) -> None:
    """As after a full disk: the journal stops, alerts go on."""
    events = lagging()
    state, said = EngineState(), 0
    for event in events:
        done = step(state, event)
        alerts = [tracked for chain in done.state.chains.values() for tracked in chain.alerts.tracked.values()]
        state, said = done.state, done.state.seq
        if any(tracked.state == kept for tracked in alerts):
            break
    assert said == (0 if kept == "pending" else 1)
    await lived(tmp_path, events)
    async with await opened(tmp_path) as store:
        found = await store.recover()
        async for _ in found.tail:
            pass
        snapshot = Snapshot(event_no=found.last_event_no, data=encode_state(state))
        await store.commit(Group(t_ns=found.last_t_ns, wall_ns=1, effect_no=0, snapshot=snapshot))
    past = await past_of(tmp_path)
    assert past.seq == 2
    (orphan,) = orphans(past.orphans)
    assert not orphan.is_open
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.alerts.clear()
    pool.state = past.state
    pool.take(Booted(t_ns=past.t_ns, wall_ns=5, boot="b", version="t", seq=past.seq, orphans=(orphan,)))
    pool.take(ConfigRevised(t_ns=past.t_ns, settings=pool.settings))
    tracked = pool.state.chains["sim"].alerts
    assert tracked.tracked == {}
    assert tracked.activations[orphan.fingerprint] == 1
    assert pool.alerts == []


async def test_an_event_that_cannot_be_decided_again_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    events = outage()
    last = next(event for event in reversed(events) if isinstance(event, Ticked))
    await lived(tmp_path, events)
    good, bodies = encode_event(ConfigRevised(t_ns=2, settings=settings_for(("a", "b"))))
    bad = orjson.loads(good)
    bad["settings"]["chains"][0] |= {"poll_ns": 0, "block_time_ns": 0}
    tick, _ = encode_event(replace(last, t_ns=last.t_ns + NS, wall_ns=last.wall_ns + NS))
    async with await opened(tmp_path) as store:
        found = await store.recover()
        async for _ in found.tail:
            pass
        records = tuple(
            Record(event_no=found.last_event_no + at, data=data, bodies=bodies)
            for at, data in enumerate([orjson.dumps(bad), tick], 1)
        )
        await store.commit(Group(t_ns=found.last_t_ns, wall_ns=1, effect_no=0, records=records))
    past = await past_of(tmp_path)
    assert past.state == EngineState()
    assert len(past.orphans) == 1
    assert "cannot be decided again" in caplog.text


RETAINED = {
    "tocsin/v1/sim/w/alert/" + "a" * 32: b"no JSON",
    "tocsin/v1/sim/w/alert/" + "b" * 32: b"{}",
    "tocsin/v1/sim/w/alert/" + "c" * 32: b"[1]",
    "tocsin/v1/sim/w/alert/"
    + "d" * 32: b'{"subject":"d","data":{"seq":"x","activation":1,"count":1,"state":"firing"}}',
    "tocsin/v1/sim/w/alert/" + "e" * 32: b'{"subject":"e","data":{"seq":7,"activation":1,"count":1,"state":"firing"}}',
    "tocsin/v1/alert/w/description": b'{"data":{"version":"0"}}',
    "tocsin/v1/sim/alert/status": b'{"data":{"state":"ready"}}',
    "tocsin/v1/sim/w/node/alert/x": b'{"data":{"state":"healthy"}}',
    "tocsin/v1/sim/w/chain/alert/head": b'{"data":{}}',
}


async def test_no_retained_topic_keeps_a_daemon_from_starting(tmp_path: Path) -> None:
    async with await opened(tmp_path) as store:
        rows = tuple(RetainedRow(topic=topic, payload=payload) for topic, payload in RETAINED.items())
        await store.commit(Group(t_ns=1, wall_ns=1, effect_no=0, retained=rows))
    past = await past_of(tmp_path)
    assert past.seq == 7
    assert [fingerprint for fingerprint, _ in past.orphans] == ["e"]
    assert list(orphans(past.orphans)) == [], "what lacks half its fields is left to expire on the broker"


def message(**changes: object) -> bytes:
    data: Mapping[str, object] = {
        "detector": "node.lag",
        "labels": {"node": "sim.n0", "chain": "eip155:1337"},
        "severity": "warning",
        "state": "firing",
        "summary": "s",
        "activation": 3,
        "count": 4,
        "started_at": "2026-11-21T10:00:00.123456Z",
    }
    return orjson.dumps({"data": {**data, **changes}})


def test_an_orphan_is_read_back_as_it_was_published() -> None:
    (orphan,) = orphans((("f", message()),))
    assert orphan.labels == (("chain", "eip155:1337"), ("node", "sim.n0"))
    assert (orphan.activation, orphan.count, orphan.severity) == (3, 4, "warning")
    assert orphan.started_wall_ns == 1_795_255_200_123_456_000


@pytest.mark.parametrize(
    "changes",
    [
        {"severity": "terrible"},
        {"labels": []},
        {"labels": None},
        {"activation": "x"},
        {"started_at": "yesterday"},
        {"started_at": None},
        {"state": None, "severity": None},
    ],
)
def test_an_orphan_that_cannot_be_read_is_left_out(changes: dict[str, object]) -> None:
    found = list(orphans((("f", message(**changes)), ("g", message()))))
    assert [orphan.fingerprint for orphan in found] == ["g"]


def test_every_orphan_that_can_be_read_can_be_adopted() -> None:
    (orphan,) = orphans((("f", message()),))
    state = step(EngineState(), Booted(t_ns=1, wall_ns=1, boot="b", version="t", orphans=(orphan, orphan))).state
    done = step(state, ConfigRevised(t_ns=1, settings=replace(settings_for(("a",)), environment="other")))
    assert [effect.alert.reason for effect in done.effects] == ["unconfigured"]  # type: ignore[union-attr]


async def test_what_only_this_version_finds_in_the_past_is_told_though_its_effects_left_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version before knew one detector less and crashed: replayed, its past has an alert that nobody heard of."""
    pool = Ticking(settings_for(("a", "b", "c")), keep_events=True)
    pool.rounds(8)
    pool.answers["n0"], pool.answers["n1"] = fails(FaultKind.REFUSED), other_chain
    pool.rounds(14)
    fired = [(alert.detector, alert.reason) for alert in pool.alerts]
    assert ("node.unreachable", "fired") in fired
    assert fired[0] == ("node.wrong_chain", "fired")
    with monkeypatch.context() as older:
        older.setattr(ticks, "CHAIN_DETECTORS", [one for one in CHAIN_DETECTORS if one.id != "node.unreachable"])
        before = await lived(tmp_path, pool.events)
    past = await past_of(tmp_path)
    assert past.seq == past.state.seq == before.seq, "the numbers of what never left are used for what comes"
    pool.state, pool.alerts = past.state, []
    pool.take(Booted(t_ns=pool.now, wall_ns=5, boot="b", version="t", seq=past.seq, orphans=(*orphans(past.orphans),)))
    pool.take(ConfigRevised(t_ns=pool.now, settings=pool.settings))
    pool.rounds(14)
    said = [(alert.detector, alert.reason, alert.activation) for alert in pool.alerts]
    assert ("node.unreachable", "fired", 1) in said
    assert "node.wrong_chain" not in {detector for detector, *_ in said}, "it was told before, and still holds"
