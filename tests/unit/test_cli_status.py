"""What readers conclude from a status: never OK from what is stale, foreign or broken."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.daemon import FINGERPRINT, status_document

from tocsin.cli import _check, _report, _words
from tocsin.cli._own import own_lines
from tocsin.clock import NS

NOW = 1_800_000_000 * NS
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def judged(document: object, *, source: str = "socket") -> _report.Verdict:
    return _report.judge(document, source=source, now_wall_ns=NOW)


@pytest.mark.parametrize(("level", "code"), [("ok", 0), ("warning", 1), ("critical", 2), ("unknown", 3)])
def test_a_fresh_status_gives_its_own_level(level: str, code: int) -> None:
    verdict = judged(status_document(now_wall_ns=NOW, level=level))
    assert (verdict.level, verdict.exit) == (level, code)


def test_a_status_older_than_it_may_be_is_unknown_and_says_so() -> None:
    assert judged(status_document(now_wall_ns=NOW, level="ok", age_s=15)).exit == 0
    verdict = judged(status_document(now_wall_ns=NOW, level="ok", age_s=15.001))
    assert verdict.exit == 3
    assert "too old" in verdict.reason


def test_a_status_from_the_future_is_unknown() -> None:
    verdict = judged(status_document(now_wall_ns=NOW, level="ok", age_s=-16))
    assert verdict.exit == 3
    assert "future" in verdict.reason


def test_a_daemon_that_is_stuck_is_unknown_however_fresh_its_words_are() -> None:
    verdict = judged({**status_document(now_wall_ns=NOW, level="ok"), "late": ["tick"]})
    assert verdict.exit == 3
    assert "tick" in verdict.reason


def test_a_status_cannot_declare_itself_fresh_for_ever() -> None:
    document = status_document(now_wall_ns=NOW, level="ok", age_s=2 * 3600)
    assert judged({**document, "stale_after_s": 10**12}).exit == 3


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"schema": None},
        {"level": "splendid"},
        {"level": ["ok"]},
        {"written_wall_ns": "now"},
        {"written_wall_ns": True},
        {"stale_after_s": None},
    ],
)
def test_a_status_of_another_make_is_unknown(change: dict[str, object]) -> None:
    assert judged({**status_document(now_wall_ns=NOW, level="ok"), **change}).exit == 3


@given(document=JSON)
def test_no_json_at_all_reads_as_ok_or_breaks_the_reader(document: object) -> None:
    verdict = judged(document)
    assert verdict.exit == 3
    page = _report.text(verdict, now_wall_ns=NOW)
    assert page.startswith("UNKNOWN")
    assert _check.nagios(verdict)[1] == 3


@given(data=st.data())
def test_junk_in_any_field_never_breaks_the_pages_and_never_reaches_the_terminal_raw(data: st.DataObject) -> None:
    document = status_document(now_wall_ns=NOW)
    place: object = document
    while isinstance(place, dict | list) and place:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if data.draw(st.booleans()) or not isinstance(place[key], dict | list):
            place[key] = data.draw(JSON)
            break
        place = place[key]
    verdict = judged(document)
    for colour in (False, True):
        assert _report.text(verdict, now_wall_ns=NOW, colour=colour)
    page = _report.text(verdict, now_wall_ns=NOW)
    assert all(line.isprintable() for line in page.split("\n"))
    for chain in (None, "ethereum"):
        line, code = _check.nagios(verdict, chain)
        assert line.isprintable()
        assert line.count("|") <= 1
        assert code == _words.EXITS[line.split()[0].lower()]


def test_without_a_broker_alerts_are_kept_and_not_about_to_be_sent() -> None:
    document = status_document(now_wall_ns=NOW)
    document["broker"] = {"state": "none", "outbox": 2, "detail": ""}
    assert "\nbroker    none configured  2 kept\n" in _report.text(judged(document), now_wall_ns=NOW)


def test_the_page_shows_chains_nodes_and_alerts_with_ages_at_the_time_of_reading() -> None:
    page = _report.text(judged(status_document(now_wall_ns=NOW, age_s=4)), now_wall_ns=NOW)
    assert page.splitlines()[0].startswith("CRITICAL  ams/host-a  prod  up ")
    assert "4 s ago" in page
    assert (
        "ethereum  CRITICAL  head 21004131  10 s old  finalized 21004067  quorum  2 of 3 groups agree, 3 vote" in page
    )
    assert "reth  forked   21004118  13 (156 s)  4 ms" in page
    assert "node.fork  chain=eip155:1 node=ams.reth  for 3 min 16 s" in page
    assert f"(ack {FINGERPRINT[:12]})" in page


def test_times_are_told_to_the_second() -> None:
    document = status_document(now_wall_ns=NOW)
    document["config"]["loaded_at"] = "2026-01-01T00:00:00.123456Z"
    assert "loaded 2026-01-01T00:00:00Z  " in _report.text(judged(document), now_wall_ns=NOW)


def test_alerts_that_are_left_out_of_a_status_count_all_the_same() -> None:
    document = status_document(now_wall_ns=NOW) | {"alerts_total": 9_000}
    assert "\nalerts 9000, the worst 1 of them (1 silenced)\n" in _report.text(judged(document), now_wall_ns=NOW)
    assert "alerts=9000;;;0" in _check.nagios(judged(document))[0]
    document["alerts_total"] = 1
    assert "\nalerts 1 (1 silenced)\n" in _report.text(judged(document), now_wall_ns=NOW)


def test_a_node_on_another_branch_is_called_so_where_others_are_behind() -> None:
    document = status_document(now_wall_ns=NOW)
    document["chains"][0]["nodes"][1] |= {"forked": True, "behind": None, "behind_s": None}
    assert "another branch" in _report.text(judged(document), now_wall_ns=NOW)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"grade": "uncorroborated", "groups": 1}, "uncorroborated by configuration  "),
        ({"grade": "uncorroborated", "groups": 2}, "uncorroborated  "),
        ({"grade": "quorum", "assumption": "own nodes vote by host"}, "quorum (own nodes vote by host)  "),
        ({"grade": "majority", "explanation": "only geth agrees"}, "majority (only geth agrees)  "),
        ({"grade": "majority", "explanation": "x", "assumption": "y"}, "majority (x; y)  "),
        ({"tree": {"headers": 2048, "forgotten": 70}}, "70 headers dropped unseen"),
        ({"tree": {"headers": 300, "forgotten": 0}}, "quorum  "),
        ({"finalized_explanation": "revoked: seen"}, "finalized: revoked: seen"),
    ],
)
def test_a_grade_says_what_it_rests_on(change: dict[str, object], said: str) -> None:
    document = status_document(now_wall_ns=NOW)
    document["chains"][0] |= change
    assert f"  {said}" in _report.text(judged(document), now_wall_ns=NOW)


def test_a_refused_reload_is_on_the_page_with_file_and_line() -> None:
    document = status_document(now_wall_ns=NOW, level="warning")
    document["config"] |= {"ok": False, "problems": ["tocsin.toml:14: chain.0.pol: unknown key (did you mean poll?)"]}
    page = _report.text(judged(document), now_wall_ns=NOW)
    assert "the last reload was refused" in page
    assert "tocsin.toml:14: chain.0.pol: unknown key (did you mean poll?)" in page


def test_colours_change_nothing_but_the_looks() -> None:
    verdict = judged(status_document(now_wall_ns=NOW))
    plain = _report.text(verdict, now_wall_ns=NOW)
    coloured = _report.text(verdict, now_wall_ns=NOW, colour=True)
    for code in ("\x1b[31m", "\x1b[32m", "\x1b[0m"):
        assert code in coloured
        coloured = coloured.replace(code, "")
    assert coloured == plain


def test_a_check_is_one_line_with_performance_data() -> None:
    line, code = _check.nagios(judged(status_document(now_wall_ns=NOW)))
    assert code == 2
    assert line == (
        "CRITICAL - ethereum/reth left the agreed chain at 21004118"
        " | ethereum_head_age=6.0s;;;0 ethereum_lag=13;;;0 ethereum_votes=2;;;0;3"
        " base_head_age=6.0s;;;0 base_lag=0;;;0 base_votes=2;;;0;3 alerts=1;;;0"
    )


def test_a_check_of_one_chain_judges_that_chain_alone() -> None:
    verdict = judged(status_document(now_wall_ns=NOW))
    line, code = _check.nagios(verdict, "base")
    assert code == 0
    assert line.startswith("OK - 1 chain, 1 node, no alerts | base_head_age=")
    assert _check.nagios(verdict, "ethereum")[1] == 2


def test_a_check_of_one_chain_is_not_unknown_because_another_is() -> None:
    assert _check.nagios(judged(status_document(now_wall_ns=NOW, level="unknown")), "base")[1] == 0


def test_a_check_of_one_chain_is_unknown_when_the_status_is_stale_or_the_chain_is_not_watched() -> None:
    assert _check.nagios(judged(status_document(now_wall_ns=NOW, age_s=60)), "base")[1] == 3
    line, code = _check.nagios(judged(status_document(now_wall_ns=NOW)), "bsc")
    assert code == 3
    assert line.startswith("UNKNOWN - no chain 'bsc'; watched: ethereum, base")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"flapping": False, "well_s": None}, ""),
        ({"flapping": True, "well_s": None}, "flapping: "),
        ({"flapping": True, "well_s": 130.2}, "flapping: well for 2 min 10 s; before: "),
        ({"flapping": False, "well_s": 4.0}, "well for 4 s; before: "),
    ],
)
def test_what_an_alert_said_last_is_not_told_as_what_is_now(change: dict[str, Any], words: str) -> None:
    document = status_document(now_wall_ns=NOW)
    document["alerts"][0] |= change
    line, code = _check.nagios(judged(document))
    assert code == 2
    assert line.startswith(f"CRITICAL - {words}ethereum/reth left the agreed chain")
    page = _report.text(judged(document), now_wall_ns=NOW)
    assert f"    {words.removeprefix('flapping: ')}ethereum/reth left the agreed chain" in page
    assert ("  flapping" in page) == bool(change.get("flapping"))


def test_a_text_cannot_start_performance_data_of_its_own() -> None:
    document = status_document(now_wall_ns=NOW)
    document["alerts"][0]["summary"] = "evil | votes=9\nOK - all fine"
    line, _ = _check.nagios(judged(document))
    assert line.startswith("CRITICAL - evil / votes=9 OK - all fine | ethereum_head_age")
    assert "\n" not in line


def test_the_envelope_is_json_with_the_verdict_beside_the_document() -> None:
    document = status_document(now_wall_ns=NOW, level="ok", age_s=60)
    envelope = json.loads(json.dumps(_report.envelope(judged(document, source="file"))))
    assert envelope["status"] == document
    assert (envelope["schema"], envelope["level"], envelope["exit"]) == (1, "unknown", 3)
    assert (envelope["source"], envelope["age_s"]) == ("file", 60.0)


@given(ns=st.integers(min_value=0, max_value=10**18))
def test_spans_name_two_units_at_most(ns: int) -> None:
    assert len(_words.span(ns).split()) in (2, 4)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (192, "3 min 12 s"), (18_240, "5 h 04 min"), (273_600, "3 d 04 h")]
)
def test_spans_read_well(seconds: int, text: str) -> None:
    assert _words.span(seconds * NS) == text


def on_trial(**changes: object) -> dict[str, object]:
    blank = {"id": "node.latency", "trust": "observe", "since_cases": 0, "suspected_wall_ns": None}
    return {**blank, **changes}


def page(*trials: dict[str, object]) -> str:
    document = status_document(now_wall_ns=NOW, level="ok")
    document["chains"][0]["detectors"] = list(trials)
    return _report.text(judged(document), now_wall_ns=NOW)


def test_detectors_on_trial_are_one_line_of_a_chain() -> None:
    assert "on trial" not in page()
    assert "detectors on trial: 2 observed\n" in page(on_trial(), on_trial(id="node.errors"))
    text = page(
        on_trial(since_cases=3),
        on_trial(id="node.errors", trust="warn"),
        on_trial(id="node.tag_order", suspected_wall_ns=5),
    )
    assert (
        "detectors on trial: 2 observed, 1 warn at most; would have fired: node.latency 3; suspected: node.tag_order\n"
        in text
    )


def test_a_node_in_maintenance_is_named_and_its_lag_is_nobodys_business() -> None:
    document = status_document(now_wall_ns=NOW, level="ok")
    away = document["chains"][0]["nodes"][1]
    away |= {"state": "maintenance", "behind": 500}
    line, code = _check.nagios(judged(document))
    assert code == 0
    assert "2 chains, 3 nodes, no alerts, 1 in maintenance" in line
    assert "ethereum_lag=0;" in line


@pytest.mark.parametrize(
    ("test", "line"),
    [
        ({"every_s": 60, "echo_ms": 12, "silent_s": 7, "unanswered": 0}, "self-test heard back after 12 ms, 7 s ago"),
        ({"every_s": 60, "echo_ms": None, "silent_s": 190, "unanswered": 3}, "self-test not heard back for 3 min 10 s"),
    ],
)
def test_the_status_says_how_the_self_test_fares(test: dict[str, object], line: str) -> None:
    assert line in list(own_lines({"config": {"ok": True}, "self_test": test}))


@pytest.mark.parametrize(
    ("life", "said"),
    [
        (
            {"state": "probation", "reason": "lagging is over", "probation_left_s": 41.6},
            "lagging is over; healthy in 42 s",
        ),
        ({"state": "verifying", "reason": "first answer", "probation_left_s": None}, "first answer"),
        ({"state": "healthy", "reason": "passed", "probation_left_s": None}, "8123"),
        ({"state": "probation", "probation_left_s": "soon"}, "-"),
    ],
)
def test_a_node_that_is_on_trial_says_why_and_for_how_long(life: dict[str, object], said: str) -> None:
    document = status_document(now_wall_ns=NOW, level="ok")
    [node, *_] = document["chains"][0]["nodes"]
    node |= {"reasons": [], **life}
    page = _report.text(judged(document), now_wall_ns=NOW)
    [line] = [line for line in page.splitlines() if line.startswith(f"  {node['name']} ") and "8123" in line]
    assert line.removesuffix(" if it stays well").endswith(f"  {said}")
