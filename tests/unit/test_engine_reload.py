"""A new configuration keeps what is still watched, ends what is not, and never takes old news for new."""

from dataclasses import replace

import pytest
from tests.support.pool import healthy, settings_for
from tests.support.ticking import Ticking, fails

from tocsin.detect.node_lag import LagParams
from tocsin.engine.codec import encode_state
from tocsin.engine.labels import node_labels
from tocsin.engine.step import step
from tocsin.ids import fingerprint
from tocsin.model.alert import AlertState, Over, Severity
from tocsin.model.effect import AlertChanged, StateChanged
from tocsin.model.event import (
    Booted,
    Commanded,
    ConfigRejected,
    ConfigRevised,
    Fetched,
    Orphan,
    Polled,
    Ticked,
    Woken,
)
from tocsin.model.observation import FaultKind
from tocsin.model.settings import ChainSettings, Settings

FOUR = ("a", "b", "b", "c")


def with_chain(settings: Settings, **changes: object) -> Settings:
    return replace(settings, chains=(replace(settings.chains[0], **changes),))


def troubled() -> Ticking:
    """A pool with a lagging and stale n0 and an unreachable n3."""
    pool = Ticking(settings_for(("a", "b", "c", "d", "e")))
    pool.rounds(20)
    pool.nodes["n0"].view.freeze()
    pool.answers["n3"] = fails(FaultKind.REFUSED)
    pool.rounds(60)
    assert pool.open() == {("node.lag", "n0"), ("node.stale", "n0"), ("node.unreachable", "n3")}
    pool.alerts.clear()
    return pool


def test_a_chain_that_is_removed_ends_its_alerts_and_clears_its_topics() -> None:
    pool = troubled()
    done = step(pool.state, ConfigRevised(t_ns=pool.now, settings=replace(pool.settings, chains=())))
    alerts = [effect.alert for effect in done.effects if isinstance(effect, AlertChanged)]
    assert {(alert.detector, alert.state, alert.reason) for alert in alerts} == {
        (detector, AlertState.RESOLVED, "unconfigured") for detector in ("node.lag", "node.stale", "node.unreachable")
    }
    cleared = {effect.topic for effect in done.effects if isinstance(effect, StateChanged) and effect.document is None}
    assert cleared == {"chain/sim/head", *(f"node/sim/n{at}" for at in range(5))}
    assert done.state.published == {}
    assert done.state.chains == {}


def test_a_node_that_is_removed_ends_its_alerts_and_no_others() -> None:
    pool = troubled()
    chain = pool.settings.chains[0]
    pool.reload(with_chain(pool.settings, nodes=tuple(node for node in chain.nodes if node.name != "n0")))
    assert {(detector, node, state) for detector, node, state in pool.said()} == {
        ("node.lag", "n0", "resolved"),
        ("node.stale", "n0", "resolved"),
    }
    assert pool.open() == {("node.unreachable", "n3")}
    del pool.nodes["n0"]
    pool.rounds(20)
    assert len(pool.alerts) == 2


def test_a_node_that_is_renamed_is_another_node() -> None:
    pool = troubled()
    chain = pool.settings.chains[0]
    renamed = replace(chain.nodes[3], name="m3", id="sim.m3")
    pool.reload(with_chain(pool.settings, nodes=(*chain.nodes[:3], renamed, *chain.nodes[4:])))
    assert pool.said() == [("node.unreachable", "n3", "resolved")]
    pool.nodes["m3"] = pool.nodes.pop("n3")
    pool.answers["m3"] = fails(FaultKind.REFUSED)
    pool.rounds(8)
    assert ("node.unreachable", "m3", "firing") in pool.said()


def test_the_same_configuration_again_changes_nothing() -> None:
    pool = troubled()
    before = encode_state(pool.state)
    done = step(pool.state, ConfigRevised(t_ns=pool.state.t_ns, settings=pool.settings))
    assert done.effects == ()
    assert encode_state(done.state) == before


def test_other_limits_keep_what_fires_and_count_from_then_on() -> None:
    pool = troubled()
    touchy = LagParams(warning=Over(over=1), provider_warning=Over(over=1), critical=Over(over=2))
    pool.reload(with_chain(pool.settings, detectors={"node.lag": touchy}))
    assert pool.alerts == []
    pool.round()
    raised = [alert for alert in pool.alerts if alert.detector == "node.lag"]
    assert [(alert.severity, alert.reason, alert.activation) for alert in raised] == [(Severity.CRITICAL, "raised", 1)]
    pool.nodes["n0"].view.thaw()
    pool.answers["n3"] = healthy
    pool.rounds(20)
    assert pool.open() == set()


def test_a_limit_that_is_taken_away_begins_nothing_and_ends_what_fires_by_itself() -> None:
    pool = troubled()
    quiet = LagParams(warning=None, provider_warning=None, critical=None)
    pool.reload(with_chain(pool.settings, detectors={"node.lag": quiet}))
    pool.rounds(5)
    assert ("node.lag", "n0") in pool.open()
    pool.nodes["n0"].view.thaw()
    pool.rounds(20)
    assert ("node.lag", "n0") not in pool.open()


def test_nodes_that_come_are_not_judged_before_they_were_asked() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    fewer = with_chain(pool.settings, nodes=pool.settings.chains[0].nodes[:2])
    whole = pool.settings
    pool.reload(fewer)
    third = pool.nodes.pop("n2")
    pool.rounds(30)
    pool.reload(whole)
    pool.nodes["n2"] = third
    pool.hung = {"n2"}
    pool.rounds(10)
    assert pool.alerts == []
    pool.hung.clear()
    pool.rounds(10)
    assert pool.alerts == []
    assert pool.state.chains["sim"].head.voting_groups == 3


def test_what_waits_of_a_chain_that_goes_is_forgotten() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(10)
    stale = [pool._poll(name, ("chain_id", "latest")) for name in pool.nodes]
    for event in stale:
        pool.take(event)
    pool.take(ConfigRevised(t_ns=pool.now, settings=replace(pool.settings, chains=())))
    assert pool.state.inbox == ()
    pool.clock.advance(s=3600)
    pool.take(ConfigRevised(t_ns=pool.now, settings=pool.settings))
    pool.tick()
    assert all(record.head is None for record in pool.state.chains["sim"].nodes.values())


def test_a_chain_that_becomes_another_one_takes_no_news_of_the_old_one() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(10)
    for name in pool.nodes:
        pool.take(pool._poll(name, ("chain_id", "latest")))
    pool.take(ConfigRevised(t_ns=pool.now, settings=with_chain(pool.settings, id=5)))
    assert pool.state.inbox == ()
    for _ in range(20):
        pool.tick()
        pool.clock.advance(s=1)
    assert pool.alerts == [], "nobody was asked as a node of the new chain"


def test_events_of_what_is_not_configured_change_nothing() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(10)
    state = pool.state
    t = state.t_ns
    for event in (
        Ticked(t_ns=t, wall_ns=state.wall_ns, chain="gone"),
        Polled(t_ns=t, started_ns=t, chain="gone", node="n0", poll=1),
        Fetched(t_ns=t, chain="gone", node="n0", request=1, call="latest"),
        Woken(t_ns=t, chain="gone", node="n0", number=1, hash="0x"),
        Commanded(t_ns=t, wall_ns=state.wall_ns, verb="ack", args=(("fingerprint", "gone"),), by="x"),
        Commanded(t_ns=t, wall_ns=state.wall_ns, verb="", args=(), by=""),
    ):
        done = step(state, event)
        assert done.effects == ()
        assert encode_state(done.state) == encode_state(state)
    pool.take(Polled(t_ns=t, started_ns=t, chain="sim", node="ghost", poll=1))
    pool.tick()
    assert set(pool.state.chains["sim"].nodes) == {"n0", "n1", "n2"}


def test_a_refused_configuration_is_told_until_one_is_taken() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(5)
    pool.take(ConfigRejected(t_ns=pool.now, problems=("tocsin.toml:3: chain: missing",)))
    wall = pool.clock.wall_ns()
    pool.take(Ticked(t_ns=pool.now, wall_ns=wall, chain=""))
    assert [(alert.detector, alert.state) for alert in pool.alerts] == [("self.config", AlertState.FIRING)]
    pool.reload(pool.settings)
    pool.clock.advance(s=1)
    pool.take(Ticked(t_ns=pool.now, wall_ns=wall, chain=""))
    assert pool.alerts[-1].state is AlertState.RESOLVED


# -- alerts of a lost state


def orphan(
    settings: Settings, detector: str = "node.lag", *, chain: ChainSettings | None = None, **changes: object
) -> Orphan:
    chain = chain or settings.chains[0]
    labels = node_labels(settings, chain, chain.nodes[0])
    blank = Orphan(
        fingerprint=fingerprint(detector, labels),
        detector=detector,
        labels=labels,
        severity="critical",
        summary="was lost",
        activation=4,
        count=9,
        started_wall_ns=123,
    )
    return replace(blank, **changes)  # type: ignore[arg-type]


def reborn(*orphans: Orphan, settings: Settings | None = None) -> Ticking:
    pool = Ticking(settings or settings_for(("a", "b", "c")))
    pool.take(Booted(t_ns=pool.now, wall_ns=1, boot="b1", version="t", seq=500, orphans=orphans))
    pool.take(ConfigRevised(t_ns=pool.now, settings=pool.settings))
    return pool


def test_an_orphan_of_what_is_watched_becomes_unknown_and_the_numbers_go_on() -> None:
    settings = settings_for(("a", "b", "c"))
    pool = reborn(orphan(settings))
    (alert,) = pool.alerts
    assert (alert.state, alert.reason, alert.severity) == (AlertState.UNKNOWN, "state-lost", Severity.CRITICAL)
    assert (alert.activation, alert.count, alert.started_wall_ns) == (4, 10, 123)
    assert pool.state.seq == 501


def test_an_orphan_of_what_is_watched_no_longer_is_resolved_as_such() -> None:
    settings = settings_for(("a", "b", "c"))
    gone = orphan(settings, labels=(("chain", "eip155:1"), ("node", "x")), fingerprint="f" * 32)
    pool = reborn(gone)
    assert [(alert.state, alert.reason) for alert in pool.alerts] == [(AlertState.RESOLVED, "unconfigured")]


def test_an_orphan_is_not_resolved_without_data() -> None:
    pool = reborn(orphan(settings_for(("a", "b", "c"))))
    pool.hung = {"n0"}
    pool.rounds(30)
    assert [alert.reason for alert in pool.alerts] == ["state-lost"]
    pool.hung.clear()
    pool.rounds(10)
    assert [alert.reason for alert in pool.alerts] == ["state-lost", "data-back", "cleared"]


def test_an_orphan_clears_as_its_detector_would() -> None:
    pool = reborn(orphan(settings_for(("a", "b", "c"))))
    pool.rounds(2)
    assert pool.alerts[-1].state is not AlertState.RESOLVED, "lag clears in three polls"
    pool.rounds(2)
    assert pool.alerts[-1].state is AlertState.RESOLVED


def test_an_orphan_keeps_firing_as_long_as_its_detector_says() -> None:
    base = settings_for(("a", "b", "c"))
    kept = replace(base, chains=(replace(base.chains[0], keep_firing={"node.lag": 60 * 10**9}),))
    pool = reborn(orphan(kept), settings=kept)
    pool.rounds(20)
    assert pool.alerts[-1].state is not AlertState.RESOLVED, "it has been clear for half a minute"
    pool.rounds(20)
    assert [(alert.state, alert.reason) for alert in pool.alerts][-1] == (AlertState.RESOLVED, "cleared")


def test_a_latched_orphan_waits_for_a_person() -> None:
    lost = orphan(settings_for(("a", "b", "c")), "node.corrupt_header")
    pool = reborn(lost)
    pool.rounds(30)
    assert pool.open() == {("node.corrupt_header", "n0")}
    pool.take(Commanded(t_ns=pool.now, wall_ns=1, verb="ack", args=(("fingerprint", lost.fingerprint),), by="uid 0"))
    pool.rounds(1)
    assert pool.open() == set()


def test_an_orphan_that_still_holds_fires_on() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(20)
    pool.nodes["n0"].view.freeze()
    pool.rounds(30)
    lost = orphan(pool.settings)
    pool.state = replace(pool.state, chains={}, settings=None, seq=0)
    pool.alerts.clear()
    pool.take(Booted(t_ns=pool.now, wall_ns=1, boot="b1", version="t", seq=500, orphans=(lost,)))
    pool.take(ConfigRevised(t_ns=pool.now, settings=pool.settings))
    pool.rounds(4)
    assert [alert.reason for alert in pool.alerts if alert.detector == "node.lag"] == ["state-lost", "data-back"]


@pytest.mark.parametrize(("activation", "count"), [(4, 9), (4, 10), (3, 99), (5, 1)])
def test_what_the_state_remembers_as_well_is_no_orphan(activation: int, count: int) -> None:
    settings = settings_for(("a", "b", "c"))
    pool = reborn(orphan(settings))
    pool.alerts.clear()
    again = orphan(settings, activation=activation, count=count)
    pool.take(Booted(t_ns=pool.now, wall_ns=1, boot="b2", version="t", orphans=(again,)))
    pool.take(ConfigRevised(t_ns=pool.now, settings=pool.settings))
    assert len(pool.alerts) == (1 if (activation, count) > (4, 10) else 0)


def test_an_orphan_that_was_resolved_meanwhile_is_neither_said_again_nor_counted_again() -> None:
    settings = settings_for(("a", "b", "c"))
    pool = reborn(orphan(settings))
    pool.alerts.clear()
    over = orphan(settings, count=11, is_open=False)
    pool.take(Booted(t_ns=pool.now, wall_ns=1, boot="b2", version="t", orphans=(over,)))
    pool.take(ConfigRevised(t_ns=pool.now, settings=pool.settings))
    assert pool.alerts == []
    assert pool.open() == set()
    pool.rounds(20)
    pool.nodes["n0"].view.freeze()
    pool.rounds(30)
    fired = [alert for alert in pool.alerts if alert.detector == "node.lag" and alert.reason == "fired"]
    assert [alert.activation for alert in fired] == [5]


def test_orphans_wait_for_a_configuration_and_are_taken_once() -> None:
    settings = settings_for(("a", "b", "c"))
    lost = orphan(settings)
    pool = Ticking(settings)
    pool.take(Booted(t_ns=pool.now, wall_ns=1, boot="b1", version="t", orphans=(lost, lost)))
    pool.take(Booted(t_ns=pool.now, wall_ns=1, boot="b2", version="t", orphans=(lost,)))
    assert len(pool.state.orphans) == 1
    pool.take(ConfigRevised(t_ns=pool.now, settings=settings))
    assert pool.state.orphans == ()
    assert len(pool.alerts) == 1
