"""Who comes and goes says so once, and then neither comes nor goes until it has been quiet."""

import pytest
from tests.support.alertlife import NODE, SECOND, Life, finding

from tocsin.alerting.takeover import resumed, revived
from tocsin.ids import fingerprint
from tocsin.model.alert import Limits, Over
from tocsin.model.settings import AlertRules

RULES = AlertRules(remind_critical_ns=(), remind_warning_ns=())
LIMITS = Limits(warning=Over(over=1))
QUIET = 600
FIRED, CLEARED, FLAPPING = ("firing", "fired"), ("resolved", "cleared"), ("firing", "flapping")
STEADY = ("firing", "steady")


def bad(life: Life, *, seconds: int = 10) -> list[tuple[str, str]]:
    return life.tick(finding(1, life.now, limits=LIMITS), seconds=seconds)


def good(life: Life, *, seconds: int = 10) -> list[tuple[str, str]]:
    return life.tick(seconds=seconds)


def flapping() -> Life:
    life = Life(RULES)
    assert [bad(life), good(life), bad(life), good(life)] == [[FIRED], [CLEARED], [FIRED], [FLAPPING]]
    return life


def test_the_fourth_turn_is_told_as_flapping_and_nothing_after_it() -> None:
    life = flapping()
    assert life.last[0].flapping
    assert [turn(life) for _ in range(50) for turn in (bad, good)] == [[]] * 100


def test_it_resolves_once_when_it_has_been_clear_for_long() -> None:
    life = flapping()
    first = life.last[0]
    bad(life)
    good(life)
    assert good(life, seconds=QUIET - 1) == []
    assert good(life, seconds=1) == [CLEARED]
    assert (life.last[0].activation, life.last[0].flapping) == (first.activation, False)
    assert life.alerts.tracked == {}
    assert bad(life) == [FIRED], "it begins anew"
    assert good(life) == [CLEARED]


def test_it_fires_on_as_any_other_when_it_has_been_bad_for_long() -> None:
    life = flapping()
    bad(life)
    assert bad(life, seconds=QUIET) == [STEADY]
    assert not life.last[0].flapping
    assert good(life) == [CLEARED]


def test_a_fourth_turn_that_is_a_firing_counts_as_well() -> None:
    life = Life(RULES)
    bad(life)
    assert good(life, seconds=QUIET) == [CLEARED]
    assert [bad(life), good(life), bad(life)] == [[FIRED], [CLEARED], [FIRED]]
    assert bad(life) == [FLAPPING]


def test_turns_that_lie_apart_are_none() -> None:
    life = Life(RULES)
    said = [turn(life, seconds=QUIET // 3) for _ in range(20) for turn in (bad, good)]
    assert said == [[FIRED], [CLEARED]] * 20


def test_it_never_flaps_where_that_is_switched_off() -> None:
    life = Life(AlertRules(flap_transitions=0, remind_warning_ns=()))
    assert [turn(life) for _ in range(20) for turn in (bad, good)] == [[FIRED], [CLEARED]] * 20
    assert life.alerts.turns == {}


def test_a_latched_alert_does_not_flap() -> None:
    limits = Limits(critical=Over(over=1), latched=True)
    life = Life(RULES)
    for _ in range(6):
        assert life.tick(finding(1, life.now, limits=limits)) == [FIRED]
        life.ack(fingerprint("node.lag", NODE))
        assert life.tick() == [("resolved", "acked")]


def test_missing_data_ends_no_flapping() -> None:
    life = flapping()
    assert life.silence() == [("unknown", "data-missing")]
    life.now += QUIET
    assert life.silence() == []
    assert good(life) == [CLEARED]


@pytest.mark.parametrize("pause", [QUIET // 2, 10 * QUIET])
def test_a_time_in_which_nobody_looked_is_no_quiet(pause: int) -> None:
    life = flapping()
    life.alerts = resumed(life.alerts, pause * SECOND)
    assert good(life, seconds=pause + QUIET - 1) == []
    assert good(life, seconds=1) == [CLEARED]
    again = flapping()
    again.now += pause
    again.alerts = revived(again.alerts, again.now * SECOND)
    assert good(again, seconds=QUIET - 1) == []
    assert good(again, seconds=1) == [CLEARED]


def test_what_is_watched_no_longer_resolves_at_once_and_is_forgotten() -> None:
    life = flapping()
    assert life.retire([]) == [("resolved", "unconfigured")]
    assert life.alerts.turns == {}
    assert [bad(life), good(life), bad(life), good(life)] == [[FIRED], [CLEARED], [FIRED], [FLAPPING]]


def test_turns_of_long_ago_are_forgotten() -> None:
    life = Life(RULES)
    bad(life)
    good(life)
    assert life.alerts.turns
    bad(life, seconds=QUIET)
    assert len(life.alerts.turns[fingerprint("node.lag", NODE)]) <= RULES.flap_transitions
    good(life, seconds=QUIET)
    life.tick(finding(1, 0, limits=LIMITS, detector="node.stale"), seconds=QUIET)
    assert set(life.alerts.turns) == {fingerprint("node.stale", NODE)}
