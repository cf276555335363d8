from dataclasses import replace

import pytest
from tests.support.alertlife import CHAIN, NODE, SECOND, Life, finding

from tocsin.alerting.inhibition import CAP_NS, SOURCES
from tocsin.alerting.takeover import resumed, revived
from tocsin.detect import REGISTRY
from tocsin.ids import fingerprint
from tocsin.model.alert import AlertState, Limits, Over, Severity, Under
from tocsin.model.settings import AlertRules


def test_it_fires_in_the_second_sample_and_not_in_the_second_tick() -> None:
    life = Life()
    assert life.tick(finding(3, 1), sample=1) == []
    assert life.tick(finding(3, 1), sample=1) == []
    assert life.tick(finding(3, 2), sample=2) == [("firing", "fired")]


def test_one_good_sample_in_between_starts_the_count_again() -> None:
    life = Life()
    life.tick(finding(3, 1))
    life.tick(finding(2, 2))
    assert life.tick(finding(3, 3)) == []
    assert life.tick(finding(3, 4)) == [("firing", "fired")]


def test_between_limit_and_clear_threshold_nothing_changes() -> None:
    life = Life()
    life.tick(finding(3, 1))
    life.tick(finding(3, 2))
    assert [life.tick(finding(2, sample)) for sample in range(3, 9)] == [[]] * 6
    assert [life.tick(finding(1, sample)) for sample in range(9, 12)] == [[], [], [("resolved", "cleared")]]


def test_a_subject_at_rest_clears_without_a_finding() -> None:
    life = Life()
    life.tick(finding(3, 1))
    life.tick(finding(3, 2))
    assert [life.tick() for _ in range(3)] == [[], [], [("resolved", "cleared")]]
    assert life.last[0].summary == "value 3", "a resolved alert still says what it was about"
    assert life.last[0].value == 0


def test_missing_data_neither_begins_nor_ends_anything() -> None:
    life = Life()
    life.tick(finding(3, 1))
    assert life.silence() == []
    assert life.tick(finding(3, 2)) == [("firing", "fired")]
    assert life.silence(lost=False) == [], "one missed poll is not worth a word"
    assert life.silence() == [("unknown", "data-missing")]
    assert life.silence() == []
    assert life.tick(finding(3, 3)) == [("firing", "data-back")]
    life.silence()
    assert [life.tick(sample=50 + n) for n in range(3)] == [[("firing", "data-back")], [], [("resolved", "cleared")]]


def test_severity_rises_and_never_falls_before_it_resolves() -> None:
    life = Life()
    life.tick(finding(4, 1))
    life.tick(finding(4, 2))
    assert life.tick(finding(15, 3)) == []
    assert life.tick(finding(15, 4)) == [("firing", "raised")]
    assert life.last[0].severity is Severity.CRITICAL
    assert life.last[0].limit == 15
    assert life.tick(finding(4, 5)) == []


def test_a_duration_is_waited_for() -> None:
    limits = Limits(warning=Over(over=1, for_ns=3 * SECOND), clear=Under(under=1, for_ns=2 * SECOND))
    life = Life()
    assert [life.tick(finding(1, n, limits=limits)) for n in range(4)] == [[], [], [], [("firing", "fired")]]
    assert [life.tick() for _ in range(3)] == [[], [], [("resolved", "cleared")]]


BLOCKS = Limits(warning=Over(over=1, blocks=2), clear=Under(under=1, blocks=1))


def test_agreed_blocks_are_waited_for() -> None:
    life = Life()
    heights = (100, 100, 101, 101, 102)
    said = [life.tick(finding(1, n, limits=BLOCKS), height=height) for n, height in enumerate(heights)]
    assert said == [[], [], [], [], [("firing", "fired")]]
    assert [life.tick(height=height) for height in (102, 102, 103)] == [[], [], [("resolved", "cleared")]]


def test_no_block_passes_while_nothing_is_agreed_and_none_twice() -> None:
    life = Life()
    heights = (None, None, 100, None, 99, 100, 101, 101, 100, 102)
    said = [life.tick(finding(1, n, limits=BLOCKS), height=height) for n, height in enumerate(heights)]
    assert said == [[]] * 9 + [[("firing", "fired")]]


def test_blocks_that_nobody_saw_pass_are_not_counted() -> None:
    life = Life()
    life.tick(finding(1, 1, limits=BLOCKS), height=100)
    life.tick(finding(1, 2, limits=BLOCKS), height=101)
    life.alerts = resumed(life.alerts, 3600 * SECOND)
    life.now += 3600
    assert life.tick(finding(1, 3, limits=BLOCKS), height=400) == []
    assert life.tick(finding(1, 4, limits=BLOCKS), height=401) == [("firing", "fired")]


KEPT = Limits(warning=Over(over=3), clear=Under(under=2, polls=2), keep_firing_ns=5 * SECOND)


def test_it_keeps_firing_for_a_time_after_it_is_clear() -> None:
    life = Life()
    life.tick(finding(3, 0, limits=KEPT))
    assert [life.tick(finding(1, n, limits=KEPT)) for n in range(1, 7)] == [[]] * 6
    assert life.tick(finding(1, 7, limits=KEPT)) == [("resolved", "cleared")]


@pytest.mark.parametrize("value", [2, 3])
def test_what_is_not_clear_any_more_is_kept_anew(value: int) -> None:
    life = Life()
    life.tick(finding(3, 0, limits=KEPT))
    for n in range(1, 6):
        life.tick(finding(1, n, limits=KEPT))
    life.tick(finding(value, 6, limits=KEPT))
    assert [life.tick(finding(1, n, limits=KEPT)) for n in range(7, 13)] == [[]] * 6
    assert life.tick(finding(1, 13, limits=KEPT)) == [("resolved", "cleared")]


def test_a_new_life_sees_for_itself_that_it_stays_clear() -> None:
    life = Life()
    life.tick(finding(3, 0, limits=KEPT))
    life.tick()
    life.tick()
    life.alerts = revived(life.alerts, life.now * SECOND)
    life.now += 3600
    assert [life.tick() for _ in range(6)] == [[]] * 6
    assert life.tick() == [("resolved", "cleared")]


def test_a_latched_alert_waits_for_a_person() -> None:
    limits = Limits(critical=Over(over=1), clear=Under(under=1), latched=True)
    life = Life()
    life.tick(finding(1, 1, limits=limits))
    key = fingerprint("node.lag", NODE)
    assert [life.tick() for _ in range(5)] == [[]] * 5
    assert life.ack(key) == [("firing", "acked")]
    assert life.tick() == [("resolved", "acked")]
    assert life.last[0].acked_by == "uid 0"


def test_an_ack_before_it_is_over_resolves_nothing() -> None:
    limits = Limits(critical=Over(over=1), clear=Under(under=1), latched=True)
    life = Life()
    life.tick(finding(1, 1, limits=limits))
    life.ack(fingerprint("node.lag", NODE))
    assert life.tick(finding(1, 2, limits=limits)) == []
    assert life.tick() == [("resolved", "acked")]


def test_an_ack_of_nothing_is_nothing() -> None:
    life = Life()
    assert life.ack("0" * 32) == []
    life.tick(finding(3, 1))
    assert life.ack(fingerprint("node.lag", NODE)) == [], "a pending alert was never shown to anybody"


def test_each_firing_has_a_number_of_its_own() -> None:
    limits = Limits(warning=Over(over=1))
    life = Life()
    seen = []
    for sample in range(3):
        life.tick(finding(1, sample, limits=limits))
        seen.append(life.last[0].activation)
        life.tick()
        assert life.last[0].count == 2
    assert seen == [1, 2, 3]


def test_what_is_no_longer_watched_resolves_as_unconfigured() -> None:
    life = Life()
    life.tick(finding(3, 1))
    life.tick(finding(3, 2))
    assert life.retire([NODE]) == []
    assert life.retire([CHAIN]) == [("resolved", "unconfigured")]
    assert life.retire([CHAIN]) == []


def test_blindness_is_one_alert_and_not_one_per_node() -> None:
    unreachable = Limits(warning=Over(over=5))
    blind = Limits(critical=Over(over=3))
    life = Life()
    for missed in range(1, 9):
        said = life.tick(
            finding(missed, missed, detector="node.unreachable", limits=unreachable),
            finding(missed, missed, detector="pool.blind", labels=CHAIN, limits=blind),
        )
        assert [alert.detector for alert in life.last] == (["pool.blind"] if missed == 3 else []), said


def test_a_muted_alert_fires_when_its_source_is_over() -> None:
    life = Life()
    source = Limits(critical=Over(over=1))
    target = Limits(warning=Over(over=1))
    life.tick(
        finding(1, 1, detector="node.unreachable", limits=target),
        finding(1, 1, detector="pool.blind", labels=CHAIN, limits=source),
    )
    life.tick(finding(1, 2, detector="node.unreachable", limits=target))
    assert [(alert.detector, alert.state) for alert in life.last] == [("pool.blind", AlertState.RESOLVED)]
    life.tick(finding(1, 3, detector="node.unreachable", limits=target))
    assert [(alert.detector, alert.state) for alert in life.last] == [("node.unreachable", AlertState.FIRING)]


def test_a_source_that_is_clear_and_flaps_mutes_nothing() -> None:
    life = Life(AlertRules(remind_critical_ns=(), remind_warning_ns=()))
    source, target = Limits(critical=Over(over=1)), Limits(warning=Over(over=1))

    def tick(blind: int, unreachable: int) -> list[tuple[str, str]]:
        return life.tick(
            finding(blind, life.now, detector="pool.blind", labels=CHAIN, limits=source),
            finding(unreachable, life.now, detector="node.unreachable", limits=target),
        )

    assert [tick(blind, 0) for blind in (1, 0, 1, 0)][-1] == [("firing", "flapping")]
    assert [*tick(1, 0), *tick(1, 1), *tick(1, 1)] == [], "as long as it is so, it mutes"
    tick(0, 0)
    assert tick(0, 1) == [("firing", "fired")]
    assert life.last[0].detector == "node.unreachable"


def test_a_source_that_is_clear_and_kept_firing_mutes_nothing() -> None:
    life = Life()
    source, target = Limits(critical=Over(over=1), keep_firing_ns=3600 * SECOND), Limits(warning=Over(over=1))
    life.tick(finding(1, 1, detector="pool.blind", labels=CHAIN, limits=source))
    for _ in range(2):
        life.tick(finding(0, life.now, detector="pool.blind", labels=CHAIN, limits=source))
    life.tick(finding(1, life.now, detector="node.unreachable", limits=target))
    assert [alert.detector for alert in life.last] == ["node.unreachable"]


def test_what_fades_when_its_source_is_over_begins_nothing_and_ends_nothing() -> None:
    life = Life()
    limits = Limits(warning=Over(over=1))

    def tick(blind: int, unreachable: int, *, fading: bool = False) -> list[tuple[str, str]]:
        found = finding(unreachable, life.now, detector="node.unreachable", limits=limits)
        source = finding(blind, life.now, detector="pool.blind", labels=CHAIN, limits=limits)
        return life.tick(source, replace(found, fading=fading))

    assert [*tick(1, 9), *tick(0, 8, fading=True)] == [("firing", "fired"), ("resolved", "cleared")]
    assert [*tick(0, 7, fading=True), *tick(0, 6, fading=True)] == []
    assert tick(0, 7) == [("firing", "fired")], "it is bad again"
    assert tick(0, 6, fading=True) == []
    assert tick(0, 0) == [("resolved", "cleared")]


def test_no_mute_outlasts_its_cap() -> None:
    life = Life()
    source = Limits(critical=Over(over=1))
    target = Limits(warning=Over(over=1))

    def both() -> list[tuple[str, str]]:
        return life.tick(
            finding(1, life.now, detector="node.unreachable", limits=target),
            finding(1, life.now, detector="pool.blind", labels=CHAIN, limits=source),
            seconds=CAP_NS // SECOND // 4,
        )

    both()
    assert [both() for _ in range(3)] == [[], [], []]
    assert both() == [("firing", "fired")]


def test_the_inhibition_table_names_detectors_that_exist_and_spares_what_may_never_be_muted() -> None:
    for target, sources in SOURCES.items():
        assert target in REGISTRY
        assert not target.startswith(("contract.", "oracle.", "risk."))
        assert target != "chain.finality_violation"
        for source in sources:
            assert source in REGISTRY
            assert target not in SOURCES.get(source, ()), "two alerts may not mute each other"
