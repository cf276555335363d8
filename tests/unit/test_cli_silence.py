"""`tocsin silence` and `unsilence`: what they ask for, what they say, and which mistakes they name before they ask."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.cli import _client, _report, _silences, _words, main
from tocsin.clock import NS, SystemClock

NOON_NS = 1_795_348_800 * NS  # 2026-11-22T12:00:00Z
HOUR = 3600 * NS


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A shell one hour ahead of UTC."""
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What the daemon was asked; it begins and ends whatever is wanted."""
    heard: list[tuple[str, dict[str, Any]]] = []

    def ask(_: str, verb: str, args: dict[str, Any] | None = None) -> dict[str, Any]:
        heard.append((verb, args or {}))
        return answer()

    monkeypatch.setattr(_client, "ask", ask)
    monkeypatch.setattr(SystemClock, "wall_ns", lambda _: NOON_NS)
    return heard


def answer(**change: Any) -> dict[str, Any]:
    silence = {
        "id": "s3",
        "match": "node=geth",
        "by": "ann",
        "reason": "disk",
        "from_wall_ns": NOON_NS,
        "until_wall_ns": NOON_NS + 2 * HOUR,
        "critical": False,
        "active": True,
    }
    nothing = {"count": 0, "alerts": []}
    return {"silence": silence, "covered": nothing, "spared": nothing, "hints": [], **change}


def some(count: int, severity: str = "warning") -> dict[str, Any]:
    alert = {"fingerprint": "ab" * 16, "detector": "node.lag", "severity": severity, "summary": "geth is behind"}
    return {"count": count, "alerts": [alert] * min(count, 2)}


def run(*words: str) -> int:
    return main.run([*words, "--runtime-dir", "/nowhere"])


def test_a_silence_is_asked_for_in_seconds_or_until_a_time(asked: list[tuple[str, dict[str, Any]]]) -> None:
    assert run("silence", "node=geth", "--for", "2h", "--why", "disk") == 0
    assert run("silence", "node=geth", "chain=dev", "--until", "14:30", "--why", "disk", "--critical") == 0
    assert run("silence", "node=geth", "--until", "12:30", "--why", "disk") == 0
    assert run("silence", "node=geth", "--from", "2026-11-22T14:00Z", "--until", "2026-11-23T01:00", "--why", "x") == 0
    base = {"match": "node=geth", "why": "disk"}
    assert [args for _, args in asked] == [
        {**base, "for_s": 7200},
        {**base, "match": "node=geth chain=dev", "until_wall_ns": NOON_NS + 3 * HOUR // 2, "critical": True},
        {**base, "until_wall_ns": NOON_NS + 47 * HOUR // 2},
        {**base, "why": "x", "from_wall_ns": NOON_NS + 2 * HOUR, "until_wall_ns": NOON_NS + 12 * HOUR},
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["node=geth", "--for", "2h"], "--why TEXT is missing"),
        (["node=geth", "--for", "2h", "--why", " "], "--why TEXT is missing"),
        (["node=geth", "--why", "x"], "give --for SPAN, such as --for 2h, or --until TIME"),
        (["node=geth", "--for", "2h", "--until", "18:00", "--why", "x"], "give --for SPAN"),
        (["node=geth", "2h", "--why", "x", "--for", "1h"], "'node=geth 2h': character 11: write key=pattern"),
        (["", "--why", "x", "--for", "1h"], "'': character 1: names no alerts; write detector=* for all"),
        (["node=geth", "--why", "x", "--for", "soon"], "--for: 'soon' is not a duration"),
        (["node=geth", "--why", "x", "--for", "8d"], "--for: from 1s to 7d"),
        (["node=geth", "--why", "x", "--for", "10ms"], "--for: from 1s to 7d"),
        (["node=geth", "--why", "x", "--until", "soon"], "--until: 'soon' is no time; write 18:00"),
        (["node=geth", "--why", "x", "--until", "25:00"], "--until: '25:00' is no time"),
        (["node=geth", "--why", "x", "--until", "2026-11-22T11:59Z"], "is past; it is 2026-11-22T13:00+01:00"),
        (["node=geth", "--why", "x", "--until", "2026-12-22"], "is not within the 7 days after now"),
        (["node=geth", "--why", "x", "--for", "1h", "--from", "2020-01-01"], "--from: 2020-01-01 is past"),
        (
            ["node=geth", "--why", "x", "--from", "14:00", "--until", "13:30"],
            "--until: 13:30 comes before --from 14:00, and again 23 h 30 min after it; write 2026-11-23T13:30 if",
        ),
        (["--for", "2h"], "say which alerts: tocsin silence 'detector=node.* chain=ethereum' --for 2h --why TEXT"),
        (["severity<warn", "--why", "x", "--for", "1h"], "a severity is one of info, warning, critical"),
    ],
)
def test_a_mistake_is_named_before_anybody_is_asked(
    asked: list[tuple[str, dict[str, Any]]], capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run("silence", *words) == main.MISTAKE
    assert said in capsys.readouterr().err
    assert asked == []


def test_a_silence_from_evening_until_morning_is_one_of_a_night(asked: list[tuple[str, dict[str, Any]]]) -> None:
    assert run("silence", "node=geth", "--from", "22:00", "--until", "06:00", "--why", "x") == 0
    assert run("silence", "node=geth", "--from", "14:00", "--until", "2026-11-23T13:30", "--why", "x") == 0
    assert run("silence", "node=geth", "--from", "14:00", "--until", "23:30", "--why", "x") == 0
    spans = [(args["until_wall_ns"] - args["from_wall_ns"]) / HOUR for _, args in asked]
    assert spans == [8, 23.5, 9.5]


@pytest.mark.parametrize(
    ("until", "note"), [("12:30", "12:30 is past for today, so it is that of Monday"), ("13:30", "")]
)
def test_an_hour_that_is_past_for_today_is_said_to_be_tomorrows(
    asked: list[tuple[str, dict[str, Any]]], capsysbinary: pytest.CaptureFixture[bytes], until: str, note: str
) -> None:
    assert run("silence", "node=geth", "--until", until, "--why", "x") == 0
    out = capsysbinary.readouterr().out.decode()
    assert note in out
    assert ("note:" in out) is bool(note)
    assert len(asked) == 1


def test_without_a_match_it_lists(
    asked: list[tuple[str, dict[str, Any]]], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run("silence") == 0
    assert capsysbinary.readouterr().out == b"nothing is silenced\n"
    assert asked == [("silence", {})]


def test_the_answer_says_until_when_in_both_clocks_what_it_does_and_how_to_end_it() -> None:
    said = list(_silences.begun(answer(covered=some(3), spared=some(1, "critical"), hints=["odd"]), NOON_NS))
    assert said == [
        "s3  node=geth  until 2026-11-22 14:00 UTC (15:00 CET), 2 h 00 min left",
        "  silences 3 open alerts now:",
        "    warning  node.lag  geth is behind",
        "    warning  node.lag  geth is behind",
        "    and 1 more",
        "  NOT silenced by it: 1 critical alert matches; only --critical silences them",
        "    critical  node.lag  geth is behind",
        "  note: odd",
        "  to end it: tocsin unsilence s3",
    ]


def test_a_silence_that_covers_nothing_says_so_and_one_to_come_says_when() -> None:
    assert "  no open alert matches now" in _silences.begun(answer(), NOON_NS)
    assert "  silences no open alert now" in _silences.begun(answer(spared=some(2)), NOON_NS)
    later = answer(covered=some(1))
    later["silence"] |= {"active": False, "from_wall_ns": NOON_NS + HOUR}
    assert list(_silences.begun(later, NOON_NS))[:2] == [
        "s3  node=geth  from 2026-11-22 13:00 UTC (14:00 CET) for 1 h 00 min",
        "  matches 1 open alert now:",
    ]


def test_the_end_of_a_silence_says_how_early_it_is_and_that_people_are_told_now() -> None:
    assert list(_silences.ended(answer(covered=some(2)), NOON_NS)) == [
        "s3  node=geth is over, 2 h 00 min early",
        "  2 open alerts it covered",
        "  what fires and nobody heard of is told now",
    ]
    assert list(_silences.ended(answer(covered=some(2), still_silenced=2), NOON_NS))[1:] == [
        "  2 open alerts it covered, of which 2 under another silence"
    ]
    assert list(_silences.ended(answer(), NOON_NS)) == ["s3  node=geth is over, 2 h 00 min early"]


def test_both_print_json_when_asked(
    asked: list[tuple[str, dict[str, Any]]], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run("unsilence", "s3", "--why", "done", "--json") == 0
    assert json.loads(capsysbinary.readouterr().out) == {"schema": 1, **answer()}
    assert asked == [("unsilence", {"id": "s3", "why": "done"})]


@pytest.mark.parametrize(
    ("zone", "wall_ns", "said"),
    [
        ("UTC", NOON_NS, "2026-11-22 12:00 UTC"),
        ("CET-1", NOON_NS, "2026-11-22 12:00 UTC (13:00 CET)"),
        ("NZT-13", NOON_NS, "2026-11-22 12:00 UTC (2026-11-23 01:00 NZT)"),
        ("UTC", None, "?"),
        ("UTC", "soon", "?"),
        ("UTC", 10**40, "?"),
    ],
)
def test_a_moment_is_told_in_utc_and_by_the_readers_clock(
    monkeypatch: pytest.MonkeyPatch, zone: str, wall_ns: object, said: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    assert _words.moment(wall_ns) == said


# -- the page of status

ROW = {**answer()["silence"], "covers": 1, "spares": 2}
ALERT = {
    "fingerprint": "ab" * 16,
    "detector": "node.lag",
    "severity": "warning",
    "state": "firing",
    "labels": {"node": "ams.geth"},
    "summary": "geth is behind",
    "since_wall_ns": NOON_NS - HOUR,
    "acked_by": "bob",
    "silenced_by": ["s3"],
    "flapping": True,
    "inhibited_by": "cd" * 16,
}


def page(**change: Any) -> str:
    document = {
        "schema": 1,
        "written_wall_ns": NOON_NS,
        "stale_after_s": 15,
        "level": "warning",
        "alerts": [ALERT],
        "silences": [ROW],
        "chains": [],
        **change,
    }
    verdict = _report.judge(document, source="socket", now_wall_ns=NOON_NS)
    return _report.text(verdict, now_wall_ns=NOON_NS)


def test_the_page_tells_of_each_alert_why_nobody_hears_of_it_and_lists_the_silences() -> None:
    source = {
        **ALERT,
        "fingerprint": "cd" * 16,
        "detector": "provider.unreachable",
        "silenced_by": [],
        "acked_by": None,
    }
    shown = page(alerts=[ALERT, {**source, "flapping": False, "inhibited_by": None}])
    assert (
        shown.partition("alerts ")[2]
        == """2 (1 silenced, 1 acknowledged, 1 flapping)
  WARNING  firing  node.lag  node=ams.geth  for 1 h 00 min  flapping  acked by bob
    geth is behind  (ack abababababab)
    silenced until 2026-11-22 14:00 UTC (15:00 CET) by ann: disk (s3)
    covered by provider.unreachable (cdcdcdcdcdcd)
  WARNING  firing  provider.unreachable  node=ams.geth  for 1 h 00 min
    geth is behind  (ack cdcdcdcdcdcd)
silences 1
  s3  node=geth  until 2026-11-22 14:00 UTC (15:00 CET), 2 h 00 min left  by ann: disk
    covers 1 open alert, spares 2 critical ones
"""
    )


def test_a_silence_that_is_still_to_come_is_not_said_to_cover_anything() -> None:
    shown = page(alerts=[], silences=[{**ROW, "active": False, "from_wall_ns": NOON_NS + HOUR}])
    assert "    matches 1 open alert, spares 2 critical ones\n" in shown
    assert "covers" not in shown


def test_what_was_not_counted_is_said_to_be_so() -> None:
    shown = page(alerts=[{**ALERT, "silenced_by": None}], silences=[{**ROW, "covers": None, "spares": None}])
    assert "too many alerts are open to count those that it covers\n" in shown


def test_the_page_lists_nodes_in_maintenance_with_their_end_and_its_command() -> None:
    window = {"by": "bob", "reason": "", "since_wall_ns": NOON_NS, "until_wall_ns": NOON_NS + HOUR}
    chain = {"name": "dev", "nodes": [{"name": "geth", "maintenance": window}, {"name": "reth", "maintenance": None}]}
    shown = page(alerts=[], silences=[], chains=[chain])
    assert shown.endswith("""no alerts
in maintenance 1
  dev/geth  until 2026-11-22 13:00 UTC (14:00 CET) by bob
    to end it: tocsin maintenance node dev/geth --end
""")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda kids: st.lists(kids, max_size=2) | st.dictionaries(st.sampled_from([*ROW, *answer(), "count"]), kids),
    max_leaves=6,
)


@given(
    junk=JUNK,
    key=st.sampled_from([*answer(), "still_silenced", "id", "until_wall_ns", "from_wall_ns", "covers", "active"]),
)
def test_whatever_an_answer_holds_is_put_into_words(junk: Any, key: str) -> None:
    broken = {**answer(covered=some(3), still_silenced=1), key: junk}
    row = {**ROW, key: junk}
    for line in (
        *_silences.begun(broken, NOON_NS),
        *_silences.ended(broken, NOON_NS),
        *_silences.listed({"silences": [row, junk]}, NOON_NS),
    ):
        assert line.isprintable()


def test_a_weekly_silence_that_is_not_on_now_is_shown_with_its_next_time_in_one_line() -> None:
    times = {"from_wall_ns": NOON_NS + 10 * HOUR, "until_wall_ns": NOON_NS + 12 * HOUR}
    weekly = {**ROW, **times, "id": "maintenance:night", "active": False, "covers": None, "spares": None}
    assert page(alerts=[], silences=[weekly]).partition("no alerts\n")[2] == (
        "silences 0, 1 to come\n"
        "  maintenance:night  node=geth  from 2026-11-22 22:00 UTC (23:00 CET) for 2 h 00 min  by ann: disk\n"
    )
    assert "silences 1, 1 to come\n" in page(alerts=[], silences=[ROW, weekly])
