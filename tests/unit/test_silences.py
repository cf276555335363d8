"""A silence marks and takes nothing away; at its end people are told what they were not told, and that only."""

from collections.abc import Iterator

import pytest
from tests.support.alertlife import NODE, SILENT, Life, finding

from tocsin.alerting.silences import Silences, at
from tocsin.model.alert import Limits, Over
from tocsin.model.silence import Silence

EITHER = Limits(warning=Over(over=1), critical=Over(over=2))


def silence(match: str = "detector=*", *, critical: bool = False) -> Silence:
    return Silence(id="s1", match=match, by="a", reason="b", from_wall_ns=0, until_wall_ns=10**18, critical=critical)


def quiet(life: Life, match: str = "detector=*", *, critical: bool = False) -> None:
    life.silences = Silences(active=(silence(match, critical=critical),))


def words(life: Life) -> Iterator[tuple[str, bool]]:
    return ((alert.reason, alert.silenced) for alert in life.last)


def test_the_stream_goes_on_with_a_mark() -> None:
    life = Life(SILENT)
    quiet(life)
    life.tick(finding(1, 0, limits=EITHER))
    assert list(words(life)) == [("fired", True)]
    life.tick()
    assert list(words(life)) == [("cleared", True)]


def test_the_end_of_what_was_told_before_is_told() -> None:
    life = Life(SILENT)
    life.tick(finding(1, 0, limits=EITHER))
    quiet(life)
    life.tick()
    assert list(words(life)) == [("cleared", False)]


def test_what_fires_at_the_end_and_was_never_told_is_told_once() -> None:
    life = Life(SILENT)
    quiet(life)
    life.tick(finding(1, 0, limits=EITHER))
    life.silences = Silences()
    life.tick(finding(1, 1, limits=EITHER))
    assert list(words(life)) == [("unsilenced", False)]
    assert life.last[0].state.value == "firing"
    assert life.tick(finding(1, 2, limits=EITHER)) == []
    life.tick()
    assert list(words(life)) == [("cleared", False)]


def test_what_fired_before_and_still_does_is_not_said_again() -> None:
    life = Life(SILENT)
    life.tick(finding(1, 0, limits=EITHER))
    quiet(life)
    assert life.tick(finding(1, 1, limits=EITHER)) == []
    life.silences = Silences()
    assert life.tick(finding(1, 2, limits=EITHER)) == []


def test_what_got_worse_meanwhile_is_told() -> None:
    life = Life(SILENT)
    life.tick(finding(1, 0, limits=EITHER))
    quiet(life, critical=True)
    life.tick(finding(2, 1, limits=EITHER))
    assert list(words(life)) == [("raised", True)]
    life.silences = Silences()
    life.tick(finding(2, 2, limits=EITHER))
    assert list(words(life)) == [("unsilenced", False)]


def test_what_is_unknown_at_the_end_is_told_as_unknown() -> None:
    life = Life(SILENT)
    quiet(life)
    life.tick(finding(1, 0, limits=EITHER))
    life.silence()
    life.silences = Silences()
    assert life.silence() == [("unknown", "unsilenced")]
    assert life.silence() == []


@pytest.mark.parametrize(("critical", "marked"), [(False, False), (True, True)])
def test_a_critical_alert_is_silenced_only_expressly(critical: bool, marked: bool) -> None:  # noqa: FBT001
    life = Life(SILENT)
    quiet(life, critical=critical)
    life.tick(finding(2, 0, limits=EITHER))
    assert list(words(life)) == [("fired", marked)]


def test_only_what_it_means_is_silenced() -> None:
    life = Life(SILENT)
    quiet(life, "detector=pool.*")
    life.tick(finding(1, 0, limits=EITHER, labels=NODE))
    assert list(words(life)) == [("fired", False)]


def test_a_silence_holds_from_its_beginning_up_to_its_end() -> None:
    one = Silence(id="s", match="detector=*", by="a", reason="b", from_wall_ns=5, until_wall_ns=7)
    assert [bool(at((one,), now)) for now in (4, 5, 6, 7)] == [False, True, True, False]
