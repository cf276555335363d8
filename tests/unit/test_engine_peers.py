"""Watchdogs that watch each other: who is dead, who is away, and when nothing may be concluded."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.peers import PEER, WATCHING, Watcher, settled

from tocsin.clock import NS
from tocsin.detect.peer_watchdog_dead import WatchdogDeadParams
from tocsin.engine.codec import decode_state, encode_state
from tocsin.model.alert import Over
from tocsin.model.event import ConfigRevised, PeerHeard, PeersListened

FIRED = ("firing", "critical")
RESOLVED = ("resolved", "critical")


def test_a_peer_that_beats_is_alive_and_nothing_is_said() -> None:
    watcher = settled()
    watcher.run(3600)
    assert watcher.said == []


def test_three_missed_heartbeats_are_a_dead_watchdog_and_one_more_resolves_it() -> None:
    watcher = settled()
    watcher.beats = {}
    watcher.run(29)
    assert watcher.said == []
    watcher.run(1)
    assert watcher.said == [FIRED]
    assert watcher.alerts[-1].labels == (("environment", "test"), ("peer", PEER))
    watcher.beat()
    watcher.run(1)
    assert watcher.said == [FIRED, RESOLVED]


def test_the_period_that_a_peer_names_is_the_one_that_counts() -> None:
    watcher = settled()
    watcher.beats = {}
    watcher.beat(period_s=60)
    watcher.run(179)
    assert watcher.said == []
    watcher.run(1)
    assert watcher.said == [FIRED]


@pytest.mark.parametrize(("period_s", "reminders"), [(0, 1), (10**6, 0)])
def test_no_period_that_a_peer_names_makes_it_immortal_or_dead_at_once(period_s: int, reminders: int) -> None:
    watcher = settled()
    watcher.beats = {}
    watcher.beat(period_s=period_s)
    watcher.run(5)
    assert watcher.said == []
    watcher.run(900)
    assert watcher.said == [FIRED] * (1 + reminders)


def test_a_last_will_is_believed_within_two_ticks() -> None:
    watcher = settled()
    watcher.status("lost")
    watcher.beats = {}
    watcher.run(2)
    assert watcher.said == [FIRED]
    assert watcher.shown == "lost"


def test_a_last_will_that_is_put_right_at_once_is_nothing() -> None:
    watcher = settled()
    watcher.status("lost")
    watcher.t_s += 0.25
    watcher.tick()
    watcher.t_s += 0.25
    watcher.status("ready")
    watcher.t_s += 0.5
    watcher.run(60)
    assert watcher.said == []


def test_a_late_will_of_an_earlier_life_says_nothing_of_this_one() -> None:
    watcher = settled()
    watcher.beats = {"b1": 10}
    watcher.status("init", "b1")
    watcher.run(3)
    watcher.status("lost", "b0")
    watcher.run(60)
    assert watcher.said == []


def test_a_restart_within_the_grace_is_nothing() -> None:
    watcher = settled()
    watcher.beats = {}
    watcher.run(11)
    watcher.status("init", "b1")
    watcher.status("lost", "b0")
    watcher.beats = {"b1": 10}
    watcher.run(120)
    assert watcher.said == []


def test_a_goodbye_is_no_death_but_ten_minutes_later_a_warning() -> None:
    watcher = settled()
    watcher.status("draining")
    watcher.beat()  # one more on its way out
    watcher.status("disconnected")
    watcher.beats = {}
    watcher.run(599)
    assert watcher.said == []
    assert watcher.shown == "away"
    watcher.run(1)
    assert watcher.said == [("firing", "warning")]
    watcher.status("init", "b1")
    watcher.beats = {"b1": 10}
    watcher.run(1)
    assert watcher.said == [("firing", "warning"), ("resolved", "warning")]


def test_a_peer_that_is_ended_while_it_drains_said_goodbye_all_the_same() -> None:
    watcher = settled()
    watcher.status("draining")
    watcher.beats = {}
    watcher.run(5)
    watcher.status("lost")
    watcher.run(120)
    assert watcher.said == []


def test_a_goodbye_is_not_forgotten_for_a_will_that_the_broker_kept() -> None:
    watcher = settled()
    watcher.status("draining")
    watcher.beats = {}
    watcher.disconnect()
    watcher.run(5)
    watcher.connect()
    watcher.status("lost", kept=True)
    watcher.run(120)
    assert watcher.said == []
    assert watcher.shown == "away"


def test_a_goodbye_that_the_broker_kept_by_mistake_is_over_with_the_next_heartbeat() -> None:
    watcher = Watcher()
    for _ in range(2):
        watcher.connect()
        watcher.status("disconnected", kept=True)
        watcher.disconnect()
    watcher.connect()
    watcher.status("disconnected", kept=True)
    watcher.beat()
    watcher.run(1)
    assert watcher.shown == "alive"


def test_a_peer_that_goes_on_after_its_goodbye_is_watched_again() -> None:
    watcher = settled()
    watcher.status("draining")
    watcher.run(60)
    assert watcher.shown == "alive"
    watcher.beats = {}
    watcher.run(30)
    assert watcher.said == [FIRED]


def test_a_goodbye_that_the_broker_kept_counts_from_when_it_was_found() -> None:
    watcher = Watcher()
    watcher.connect()
    watcher.status("disconnected", kept=True)
    watcher.run(599)
    assert watcher.said == []
    watcher.run(1)
    assert watcher.said == [("firing", "warning")]


@pytest.mark.parametrize("kept", [None, "ready", "lost"])
def test_a_peer_never_heard_is_missed_after_a_minute_of_listening(kept: str | None) -> None:
    watcher = Watcher()
    watcher.run(300)  # no connection: nothing is concluded
    watcher.connect()
    if kept is not None:
        watcher.status(kept, kept=True)
    watcher.run(59)
    assert watcher.said == []
    watcher.run(1)
    assert watcher.said == [FIRED]


def test_while_we_hear_nobody_nobody_is_silent() -> None:
    watcher = settled()
    watcher.beats = {}
    watcher.run(20)
    watcher.disconnect()
    watcher.run(3600)
    assert watcher.said == []
    assert watcher.shown == "unknown"


def test_after_a_failure_of_the_broker_the_others_have_time_to_come_back() -> None:
    watcher = settled()
    watcher.beats = {}
    watcher.run(15)
    watcher.disconnect()
    watcher.run(40)
    watcher.connect()
    watcher.status("lost")  # the broker noticed that they were gone, as we were
    watcher.run(45)
    watcher.status("ready")
    watcher.beats = {"b0": 10}
    watcher.run(300)
    assert watcher.said == []


def test_a_peer_that_died_with_the_broker_is_missed_a_minute_after_its_return() -> None:
    watcher = settled()
    watcher.beats = {}
    watcher.disconnect()
    watcher.run(100)
    watcher.connect()
    watcher.run(60)
    assert watcher.said == [FIRED]


def test_an_open_alert_becomes_unknown_where_we_hear_nothing_for_long() -> None:
    watcher = settled()
    watcher.beats = {}
    watcher.run(30)
    watcher.disconnect()
    watcher.run(59)
    assert watcher.said == [FIRED]
    watcher.run(1)
    assert watcher.said == [FIRED, ("unknown", "critical")]
    watcher.connect()
    watcher.beats = {"b0": 10}
    watcher.run(20)
    assert watcher.said[-1] == RESOLVED


def test_a_standstill_of_our_own_makes_nobody_silent() -> None:
    watcher = settled()
    watcher.t_s += 120
    watcher.tick()
    watcher.run(20)
    assert watcher.said == []


def test_a_topic_more_that_is_subscribed_gives_nobody_a_new_grace() -> None:
    watcher = Watcher()
    watcher.connect()
    watcher.run(40)
    watcher.connect()
    watcher.run(20)
    assert watcher.said == [FIRED]


def test_a_link_whose_death_is_noticed_late_makes_silence_last_longer() -> None:
    watcher = settled()
    watcher.take(PeersListened(t_ns=watcher.now, connected=True, peers=(PEER,), unnoticed_ns=122 * NS))
    watcher.beats = {}
    watcher.run(120)
    assert watcher.said == []
    watcher.run(2)
    assert watcher.said == [FIRED]


def test_a_new_life_of_ours_concludes_nothing_from_what_the_old_one_did_not_hear() -> None:
    watcher = settled()
    watcher.beats = {}
    watcher.t_s += 600
    watcher.boot("us1")
    watcher.run(30)
    watcher.connect()
    watcher.run(59)
    assert watcher.said == []
    watcher.run(1)
    assert watcher.said == [FIRED]


def test_a_peer_that_is_configured_no_longer_takes_its_alert_with_it() -> None:
    watcher = settled()
    watcher.beats = {}
    watcher.run(30)
    watcher.take(ConfigRevised(t_ns=watcher.now, settings=replace(WATCHING, peers=())))
    assert watcher.alerts[-1].reason == "unconfigured"
    assert watcher.state.peers.known == {}
    watcher.beat()
    assert watcher.state.peers.known == {}


def test_limits_can_be_set_and_switched_off() -> None:
    params = WatchdogDeadParams(critical=Over(over=6), away=None)
    watcher = Watcher(settings=replace(WATCHING, detectors={"peer.watchdog_dead": params}), beats={"b0": 10})
    watcher.connect()
    watcher.run(10)
    watcher.status("disconnected")
    watcher.beats = {}
    watcher.run(1200)
    assert watcher.said == []
    watcher.status("ready")
    watcher.run(59)
    assert watcher.said == []
    watcher.run(1)
    assert watcher.said == [FIRED]


words = st.builds(
    PeerHeard,
    t_ns=st.integers(0, 10**13),
    peer=st.sampled_from([PEER, "ams/stranger"]),
    boot=st.sampled_from(["b0", "b1", "b2"]),
    state=st.sampled_from(["", "init", "ready", "degraded", "draining", "disconnected", "lost"]),
    period_ns=st.integers(0, 2**62),
    kept=st.booleans(),
)
links = st.builds(
    PeersListened,
    t_ns=st.integers(0, 10**13),
    connected=st.booleans(),
    peers=st.sampled_from([(), (PEER,)]),
    unnoticed_ns=st.integers(0, 10**11),
)


@given(events=st.lists(st.one_of(words, links, st.integers(1, 90)), max_size=60))
def test_whatever_is_said_the_state_stays_small_survives_a_snapshot_and_the_peer_can_come_back(
    events: list[PeerHeard | PeersListened | int],
) -> None:
    watcher = Watcher()
    for event in events:
        watcher.run(event) if isinstance(event, int) else watcher.take(event)
        assert decode_state(encode_state(watcher.state)) == watcher.state
    assert set(watcher.state.peers.known) <= {PEER}
    watcher.t_s = max(watcher.t_s, watcher.state.t_ns // NS + 1)
    watcher.connect()
    watcher.status("ready", "b3")
    watcher.beats = {"b3": 10}
    watcher.run(70)
    assert watcher.shown == "alive"
    assert watcher.said[-1:] in ([], [RESOLVED], [("resolved", "warning")])
