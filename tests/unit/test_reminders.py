"""An alert that nobody acknowledges is said again, at growing gaps, and never for another reason."""

from tests.support.alertlife import CHAIN, NODE, SILENT, Life, finding

from tocsin.ids import fingerprint
from tocsin.model.alert import Limits, Over, Severity, Under
from tocsin.model.settings import AlertRules

MINUTE = 60
RULES = AlertRules(flap_transitions=0)
CRITICAL = Limits(critical=Over(over=1))
EITHER = Limits(info=Over(over=1), warning=Over(over=2), critical=Over(over=3))
KEY = fingerprint("node.lag", NODE)


def reminded(life: Life, limits: Limits, minutes: int, value: int = 1) -> list[int]:
    """Return the minutes, counted from now, in which it was said again."""
    said = []
    for minute in range(1, minutes + 1):
        for _, reason in life.tick(finding(value, life.now, limits=limits), seconds=MINUTE):
            assert reason == "reminder"
            said.append(minute)
    return said


def test_the_gaps_grow_and_the_last_one_stays() -> None:
    life = Life(RULES)
    life.tick(finding(1, 0, limits=CRITICAL))
    assert reminded(life, CRITICAL, 700) == [10, 40, 160, 400, 640]


def test_each_severity_has_gaps_of_its_own_and_information_has_none() -> None:
    life = Life(RULES)
    life.tick(finding(1, 0, limits=EITHER))
    assert life.last[0].severity is Severity.INFO
    assert reminded(life, EITHER, 1500) == []
    life.tick(finding(2, 0, limits=EITHER))
    assert life.last[0].reason == "raised"
    assert reminded(life, EITHER, 700, value=2) == [120, 600]


def test_what_gets_worse_begins_anew() -> None:
    life = Life(RULES)
    life.tick(finding(2, 0, limits=EITHER))
    assert reminded(life, EITHER, 130, value=2) == [120]
    life.tick(finding(3, 0, limits=EITHER))
    assert reminded(life, EITHER, 45, value=3) == [10, 40]


def test_who_has_acknowledged_is_not_reminded() -> None:
    life = Life(RULES)
    life.tick(finding(1, 0, limits=CRITICAL))
    life.ack(KEY)
    assert reminded(life, CRITICAL, 600) == []


def test_a_latched_alert_reminds_of_itself_after_it_is_over() -> None:
    limits = Limits(critical=Over(over=1), latched=True)
    life = Life(RULES)
    life.tick(finding(1, 0, limits=limits))
    said = [reason for _ in range(45) for _, reason in life.tick(seconds=MINUTE)]
    assert said == ["reminder", "reminder"]


def test_nothing_is_said_again_of_what_is_clearing_unknown_or_covered() -> None:
    life = Life(RULES)
    slow = Limits(critical=Over(over=1), clear=Under(under=1, for_ns=10**15))
    life.tick(finding(1, 0, limits=slow))
    assert [life.tick(seconds=MINUTE) for _ in range(30)] == [[]] * 30
    life.silence()
    assert [life.silence() for _ in range(1000)] == [[]] * 1000

    covered = Life(RULES)
    unreachable = Limits(warning=Over(over=1))
    covered.tick(finding(1, 0, detector="node.unreachable", limits=unreachable))
    said = [
        alert.reason
        for _ in range(59)
        for alert in (
            covered.tick(
                finding(1, 0, detector="node.unreachable", limits=unreachable),
                finding(1, 0, detector="pool.blind", labels=CHAIN, limits=CRITICAL),
                seconds=MINUTE,
            )
            and covered.last
        )
        if alert.detector == "node.unreachable"
    ]
    assert said == []


def test_a_pause_of_days_is_followed_by_one_reminder() -> None:
    life = Life(RULES)
    life.tick(finding(1, 0, limits=CRITICAL))
    assert life.tick(finding(1, 1, limits=CRITICAL), seconds=5 * 86_400) == [("firing", "reminder")]
    assert life.tick(finding(1, 2, limits=CRITICAL)) == []


def test_without_gaps_nothing_is_said_again() -> None:
    life = Life(SILENT)
    life.tick(finding(1, 0, limits=CRITICAL))
    assert reminded(life, CRITICAL, 600) == []
