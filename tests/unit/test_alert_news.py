"""What an alert tells that becomes something else is said again at once, and nothing else is."""

from tests.support.alertlife import SILENT, Life, finding

from tocsin.alerting.silences import Silences
from tocsin.model.alert import Finding, Limits, Over
from tocsin.model.evolve import evolve
from tocsin.model.settings import AlertRules
from tocsin.model.silence import Silence

NOW = Limits(critical=Over(over=1), latched=True)


def news(text: str, sample: int, value: int = 1) -> Finding:
    return evolve(finding(value, sample, limits=NOW), news=text)


def test_it_is_said_at_once_and_once() -> None:
    life = Life(SILENT)
    assert life.tick(news("a", 0)) == [("firing", "fired")]
    assert life.tick(news("a", 1, value=2)) == []
    assert life.tick(news("b", 2)) == [("firing", "changed")]
    assert life.last[0].activation == 1
    assert life.tick(news("b", 3)) == []
    assert life.tick(news("a", 4)) == [("firing", "changed")]


def test_where_it_is_at_rest_nothing_is_new() -> None:
    life = Life(SILENT)
    life.tick(news("a", 0))
    assert life.tick() == []
    assert life.tick(news("a", 2)) == []


def test_what_has_no_news_is_never_said_again_for_them() -> None:
    life = Life(SILENT)
    life.tick(finding(1, 0, limits=NOW))
    assert life.tick(finding(7, 1, limits=NOW)) == []


def test_after_data_were_missing_the_new_value_is_told_with_the_data() -> None:
    life = Life(SILENT)
    life.tick(news("a", 0))
    assert life.silence() == [("unknown", "data-missing")]
    assert life.tick(news("b", 1)) == [("firing", "data-back")]
    assert life.tick(news("b", 2)) == []


def test_who_forgets_is_reminded_from_the_change_on() -> None:
    life = Life(AlertRules(remind_critical_ns=(10**10, 10**12), flap_transitions=0))
    life.tick(news("a", 0))
    assert life.tick(news("a", 1), seconds=10) == [("firing", "reminder")]
    assert life.tick(news("b", 2)) == [("firing", "changed")]
    assert life.tick(news("b", 3), seconds=9) == []
    assert life.tick(news("b", 4)) == [("firing", "reminder")]


def test_what_has_changed_under_a_silence_is_told_at_its_end() -> None:
    life = Life(SILENT)
    life.tick(news("a", 0))
    silence = Silence(id="s", match="detector=*", by="a", reason="b", from_wall_ns=0, until_wall_ns=10**18)
    life.silences = Silences(active=(evolve(silence, critical=True),))
    assert life.tick(news("b", 1)) == [("firing", "changed")]
    assert life.last[0].silenced
    life.silences = Silences()
    assert life.tick(news("b", 2)) == [("firing", "unsilenced")]
