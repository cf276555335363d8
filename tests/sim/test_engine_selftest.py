"""The self-test through the whole core: said every period while the broker is there, heard back, else missed."""

import dataclasses

import orjson
import pytest
from tests.support.pool import Pool, settings_for

from tocsin.clock import NS
from tocsin.engine.codec import decode_event, decode_state, encode_event, encode_state
from tocsin.engine.selftest import MOST_WAITING
from tocsin.engine.state import EngineState
from tocsin.engine.status import status
from tocsin.engine.step import step
from tocsin.ids import fingerprint
from tocsin.model.alert import Alert, AlertState
from tocsin.model.effect import AlertChanged
from tocsin.model.event import Booted, Commanded, ConfigRevised, DeliverySampled, Echoed, Event, Orphan, Ticked
from tocsin.model.selftest import ID
from tocsin.model.settings import AlertRules
from tocsin.model.silence import Silence
from tocsin.wire.envelope import Origin, render

EVERY_S = 60


def pool_with(every_s: int = EVERY_S, **more: object) -> Pool:
    base = dataclasses.replace(settings_for(("a", "b", "c")), self_test_ns=every_s * NS)
    return Pool(dataclasses.replace(base, **more), keep_events=True)  # type: ignore[arg-type]


def sample(pool: Pool, *, connected: bool = True) -> None:
    pool.take(
        DeliverySampled(
            t_ns=pool.now, connected=connected, durable=True, filled=0, critical_filled=0, waiting=0, owed=0
        )
    )


def look(pool: Pool) -> None:
    pool.take(Ticked(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), chain=""))


def looks(pool: Pool, count: int, *, answered: bool = False) -> None:
    """Look once a second, as the daemon does; each word comes back 7 ms after it was said."""
    for _ in range(count):
        pool.clock.advance(s=1)
        before = len(said(pool))
        look(pool)
        if answered and len(said(pool)) > before:
            answer(pool)


def answer(pool: Pool, seq: int | None = None, *, after_ms: int = 7) -> None:
    pool.clock.advance(ns=after_ms * 10**6)
    event = Echoed(t_ns=pool.now, seq=pool.state.seq if seq is None else seq)
    assert decode_event(*encode_event(event)) == event
    pool.take(event)


def said(pool: Pool) -> list[Alert]:
    return [alert for alert in pool.alerts if alert.detector == ID]


def missing(pool: Pool) -> list[tuple[str, str]]:
    return [(alert.state.value, alert.severity.value) for alert in pool.alerts if alert.detector == "self.echo_missing"]


def begun(every_s: int = EVERY_S, **more: object) -> Pool:
    pool = pool_with(every_s, **more)
    sample(pool)
    look(pool)
    return pool


def test_a_word_is_said_at_once_and_every_period_and_what_came_back_is_measured() -> None:
    pool = begun()
    assert [alert.reason for alert in said(pool)] == ["fired"]
    answer(pool, after_ms=12)
    assert status(pool.state, pool.now)["self_test"] == {
        "every_s": 60,
        "echo_ms": 12,
        "silent_s": 0,
        "unanswered": 0,
    }
    looks(pool, 600, answered=True)
    words = said(pool)
    assert [alert.count for alert in words] == list(range(1, 12))
    assert {alert.activation for alert in words} == {1}
    assert [alert.value for alert in words[:3]] == [None, 12, 7]
    assert missing(pool) == []


def test_it_is_marked_as_not_meant_for_people_and_ends_up_in_no_list_of_what_is_wrong() -> None:
    pool = begun()
    assert all(alert.silenced and alert.state is AlertState.FIRING for alert in said(pool))
    assert status(pool.state, pool.now)["alerts"] == []
    assert pool.state.alerts.tracked == {}


@pytest.mark.parametrize("gaps", [(), (NS,)])
def test_reminders_flapping_acks_and_silences_leave_it_alone(gaps: tuple[int, ...]) -> None:
    rules = AlertRules(remind_info_ns=gaps, flap_transitions=2)
    everything = Silence(id="s", match="detector=*", by="a", reason="b", from_wall_ns=0, until_wall_ns=2**62)
    pool = begun(alerts=rules, silences=(everything,))
    answer(pool)
    key = said(pool)[0].fingerprint
    args = (("fingerprint", key), ("why", "x"))
    pool.take(Commanded(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), verb="ack", args=args, by="ann"))
    looks(pool, 300, answered=True)
    assert [alert.reason for alert in said(pool)] == ["fired", *["test"] * 5]
    assert not any(alert.flapping or alert.acked_by for alert in said(pool))


def test_while_the_broker_is_away_nothing_is_said_and_the_missing_echo_is_an_alert_until_one_comes() -> None:
    pool = begun()
    answer(pool)
    sample(pool, connected=False)
    looks(pool, 3 * EVERY_S - 1)
    assert missing(pool) == []
    looks(pool, 2)
    assert missing(pool) == [("firing", "warning")]
    assert "no self-test was heard back for 3 min 00 s: the broker cannot be reached" in pool.alerts[-1].summary
    looks(pool, 3600)
    assert len(said(pool)) == 1
    sample(pool)
    looks(pool, 1, answered=True)
    looks(pool, 1)
    assert missing(pool)[-1] == ("resolved", "warning")


def test_after_a_broker_was_away_the_way_is_not_blamed_before_words_went_it_in_vain() -> None:
    pool = begun()
    answer(pool)
    sample(pool, connected=False)
    looks(pool, 3 * EVERY_S + 1)
    sample(pool)
    looks(pool, 1)
    [found] = [one.finding for one in pool.state.alerts.tracked.values() if one.finding.detector == "self.echo_missing"]
    assert found.summary.endswith("the broker was away, and the next one is on its way")
    looks(pool, 20 * EVERY_S)
    [found] = [one.finding for one in pool.state.alerts.tracked.values() if one.finding.detector == "self.echo_missing"]
    assert found.summary.endswith("may the daemon read event/info/self.test there?")


def test_a_daemon_that_never_heard_one_says_so_as_well() -> None:
    pool = pool_with()
    look(pool)
    looks(pool, 3 * EVERY_S + 1)
    assert said(pool) == []
    assert missing(pool) == [("firing", "warning")]


def test_words_that_nobody_gives_back_come_ever_more_rarely_and_do_not_pile_up() -> None:
    pool = begun()
    looks(pool, 6 * 3600)
    assert 45 <= len(said(pool)) <= 52
    assert len(pool.state.self_test.waiting) == MOST_WAITING
    answer(pool)
    before = len(said(pool))
    looks(pool, 10 * EVERY_S, answered=True)
    assert len(said(pool)) - before in (9, 10)


def test_an_echo_of_a_word_that_is_not_awaited_changes_nothing() -> None:
    pool = begun()
    before = pool.state.self_test
    for seq in (0, pool.state.seq + 1, 2**52):
        answer(pool, seq)
        assert pool.state.self_test == before
    answer(pool, 1)
    done = pool.state.self_test
    answer(pool, 1, after_ms=500)
    assert pool.state.self_test == done


def test_a_late_echo_counts_from_its_own_word_and_leaves_later_ones_awaited() -> None:
    pool = begun()
    looks(pool, EVERY_S)
    first, second = [word.seq for word in pool.state.self_test.waiting]
    answer(pool, first)
    assert pool.state.self_test.echo_ns == EVERY_S * NS + 7 * 10**6
    assert [word.seq for word in pool.state.self_test.waiting] == [second]
    assert pool.state.self_test.unanswered == 1


def test_switched_off_it_ends_with_one_word_and_on_again_it_is_a_new_firing() -> None:
    pool = begun()
    off = dataclasses.replace(pool.settings, self_test_ns=0)
    pool.take(ConfigRevised(t_ns=pool.now, settings=off))
    pool.take(ConfigRevised(t_ns=pool.now, settings=off))
    looks(pool, 200)
    pool.take(ConfigRevised(t_ns=pool.now, settings=pool.settings))
    looks(pool, 1)
    assert [(a.state.value, a.reason, a.activation, a.count) for a in said(pool)] == [
        ("firing", "fired", 1, 1),
        ("resolved", "unconfigured", 1, 2),
        ("firing", "fired", 2, 1),
    ]
    assert missing(pool) == []
    assert status(dataclasses.replace(pool.state, settings=off), pool.now)["self_test"] is None


def test_a_new_life_says_a_word_at_once_and_silence_counts_from_its_start() -> None:
    pool = begun()
    answer(pool)
    pool.clock.advance(s=3600)
    pool.take(Booted(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), boot="b1", version="test"))
    sample(pool)
    look(pool)
    assert [alert.count for alert in said(pool)] == [1, 2]
    looks(pool, 2 * EVERY_S)
    assert missing(pool) == []


def test_a_time_in_which_nobody_looked_is_no_missing_echo() -> None:
    pool = begun()
    answer(pool)
    pool.clock.advance(s=3600)
    look(pool)
    assert missing(pool) == []


def test_a_lost_state_goes_on_counting_what_was_published_and_clears_nothing() -> None:
    pool = pool_with()
    labels = (("environment", "test"), ("watchdog", "sim/w"))
    known = Orphan(
        fingerprint=fingerprint(ID, labels),
        detector=ID,
        labels=labels,
        severity="info",
        summary="",
        activation=2,
        count=900,
        started_wall_ns=1,
    )
    pool.take(Booted(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), boot="b1", version="test", orphans=(known,)))
    pool.take(ConfigRevised(t_ns=pool.now, settings=pool.settings))
    sample(pool)
    looks(pool, 1)
    assert [(alert.activation, alert.count, alert.state.value) for alert in pool.alerts] == [(2, 901, "firing")]
    assert pool.state.retired == {}
    pool.take(ConfigRevised(t_ns=pool.now, settings=dataclasses.replace(pool.settings, self_test_ns=0)))
    assert [(alert.activation, alert.count, alert.state.value) for alert in pool.alerts[1:]] == [(2, 902, "resolved")]


def test_what_was_decided_is_decided_again_byte_for_byte_also_from_a_snapshot_in_between() -> None:
    pool = begun()
    for _ in range(5):
        looks(pool, 70, answered=True)
        sample(pool, connected=len(pool.events) % 2 == 0)
    half = len(pool.events) // 2
    first, _ = _published(EngineState(), pool.events)
    before, state = _published(EngineState(), pool.events[:half])
    after, _ = _published(decode_state(encode_state(state)), pool.events[half:])
    assert [orjson.loads(payload)["data"]["detector"] for payload in first].count(ID) >= 5
    assert before + after == first


def _published(state: EngineState, events: list[Event]) -> tuple[list[bytes], EngineState]:
    out = []
    for event in events:
        done = step(state, event)
        state = done.state
        for effect in done.effects:
            if isinstance(effect, AlertChanged):
                out += [message.payload for message in render(effect, Origin(site="sim", watchdog="w"), state.boot)]
    return out, state
