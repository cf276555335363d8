"""`[alerts]`, `[[silence]]` and `[[maintenance]]`: what they become, and mistakes in them."""

from pathlib import Path

import pytest
from tests.support.configs import MINIMAL, loaded, problems

from tocsin.config.reload import changes
from tocsin.config.show import as_toml
from tocsin.config.times import instant
from tocsin.model.settings import AlertRules
from tocsin.model.silence import Silence, WeeklyWindow

MINUTE = 60 * 10**9
UNTIL = instant("2026-11-22T18:00:00Z")

SILENCE = """[[silence]]
match = "node=geth"
author = "ann"
reason = "disk"
until = "2026-11-22T18:00:00Z"
"""
WINDOW = """[[maintenance]]
name = "night"
match = "detector=*"
author = "ann"
reason = "updates"
days = ["sun", "mon"]
from = "02:00"
to = "01:30"
zone = "Europe/Berlin"
"""


def test_without_a_word_the_rules_are_the_programs_own(tmp_path: Path) -> None:
    settings = loaded(tmp_path).settings
    assert (settings.alerts, settings.silences, settings.windows) == (AlertRules(), (), ())


def test_tables_become_what_the_core_has_and_what_is_shown_loads_to_the_same(tmp_path: Path) -> None:
    alerts = '[alerts]\nremind_critical = ["5m", "1h"]\nremind_warning = []\nflap_transitions = 0\n'
    first = loaded(tmp_path, MINIMAL + alerts + SILENCE + WINDOW)
    settings = first.settings
    assert settings.alerts == AlertRules(
        remind_critical_ns=(5 * MINUTE, 60 * MINUTE), remind_warning_ns=(), flap_transitions=0
    )
    assert settings.silences == (
        Silence(
            id="config:1",
            match="node=geth",
            by="ann",
            reason="disk",
            from_wall_ns=UNTIL - 7 * 86_400 * 10**9,
            until_wall_ns=UNTIL,
        ),
    )
    assert settings.windows == (
        WeeklyWindow(
            name="night",
            match="detector=*",
            by="ann",
            reason="updates",
            days=(0, 6),
            from_minute=120,
            to_minute=90,
            zone="Europe/Berlin",
        ),
    )
    assert loaded(tmp_path, as_toml(first.document)).settings == settings


@pytest.mark.parametrize("written", ["2026-11-22T18:00:00Z", '"2026-11-22T19:00:00+01:00"', "2026-11-22 18:00:00Z"])
def test_a_time_is_one_however_it_is_written(tmp_path: Path, written: str) -> None:
    text = SILENCE.replace('"2026-11-22T18:00:00Z"', written)
    assert loaded(tmp_path, MINIMAL + text).settings.silences[0].until_wall_ns == UNTIL


def test_a_reload_tells_what_differs(tmp_path: Path) -> None:
    first = loaded(tmp_path, MINIMAL + "[alerts]\n" + SILENCE + WINDOW)
    for old, new, told in (
        ("[alerts]\n", "[alerts]\nflap_transitions = 5\n", "~ alerts"),
        ('reason = "disk"', 'reason = "disks"', "~ silences"),
        ('"night"', '"nights"', "~ maintenance"),
    ):
        other = loaded(tmp_path, (MINIMAL + "[alerts]\n" + SILENCE + WINDOW).replace(old, new))
        assert list(changes(first, other).lines()) == [told]


@pytest.mark.parametrize(
    ("text", "old", "new", "said"),
    [
        (SILENCE, "node=geth", "node", "silence.0.match: character 1: write key=pattern"),
        (SILENCE, '"ann"', '" "', "silence.0.author: must not be empty"),
        (SILENCE, 'reason = "disk"\n', "", "silence.0.reason: missing"),
        (SILENCE, '"2026-11-22T18:00:00Z"', "2026-11-22T18:00:00", "silence.0.until: is no time with its offset"),
        (SILENCE, '"2026-11-22T18:00:00Z"', '"tomorrow"', "silence.0.until: is no time with its offset"),
        (SILENCE, "until", "from = 2026-11-15T17:59:59Z\nuntil", "silence.0: a silence ends after it begins, and"),
        (SILENCE, "until", "from = 2026-11-22T18:00:00Z\nuntil", "silence.0: a silence ends after it begins, and"),
        (SILENCE, "match", "matches", "silence.0.matches: unknown key (did you mean match?)"),
        (WINDOW, '"02:00"', '"2:00"', "maintenance.0.from: is no hour of the day"),
        (WINDOW, '"02:00"', '"24:00"', "maintenance.0: begins at 24:00"),
        (WINDOW, '"02:00"', '"01:30"', "maintenance.0: ends when it begins"),
        (WINDOW, '["sun", "mon"]', '["sunday"]', "maintenance.0.days.0: write one of mon, tue"),
        (WINDOW, '["sun", "mon"]', "[]", "maintenance.0.days: must not be empty"),
        (WINDOW, "Europe/Berlin", "Berlin", "maintenance.0.zone: is no time zone that this system knows"),
        (WINDOW, "Europe/Berlin", "/etc/passwd", "maintenance.0.zone: is no time zone that this system knows"),
        (WINDOW, "[[maintenance]]", WINDOW + "[[maintenance]]", "maintenance.1.name: the same name is given"),
        ("[alerts]\nflap_transitions = 1\n", "1", "1", "alerts: flap_transitions is 2 at least, or 0"),
        ('[alerts]\nremind_info = ["30s"]\n', "30s", "30s", "alerts.remind_info.0: must be between 1m and 30d"),
    ],
)
def test_a_mistake_is_told_with_its_path(tmp_path: Path, text: str, old: str, new: str, said: str) -> None:
    lines = problems(tmp_path, MINIMAL + text.replace(old, new, 1))
    assert [line for line in lines if f": {said}" in line], lines


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ("chain=etherium", "silence.0.match: no chain is etherium: it means nothing"),
        ("node=gethh|reeth", "silence.0.match: no node is gethh|reeth: it means nothing"),
        ("chain=ethereum node=geth", ""),
        ("chain=eip155:1 node=ams.geth", ""),
        ("chain!=etherium node=g*", ""),
        ('node=""', ""),
    ],
)
def test_a_match_of_a_chain_or_node_that_is_not_there_is_warned_of(tmp_path: Path, match: str, said: str) -> None:
    text = MINIMAL + SILENCE.replace("node=geth", match.replace('"', r"\""))
    told = [line for line in loaded(tmp_path, text).warnings if "it means nothing" in line]
    assert [said in line for line in told] == ([True] if said else [])


def test_a_match_of_no_detector_is_warned_of(tmp_path: Path) -> None:
    for match, is_known in (("detector=node.*", True), ("detector=nodes.*", False), ("detector!=nodes.*", True)):
        warnings = loaded(tmp_path, MINIMAL + SILENCE.replace("node=geth", match)).warnings
        assert any("no detector is" in line for line in warnings) is not is_known
