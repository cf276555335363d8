"""What people read: how bad, how many, what, where, since when, and what to do; whatever a node put into a summary."""

from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st

from tocsin.clock import NS
from tocsin.model.alert import AlertState, Severity
from tocsin.model.effect import Notify
from tocsin.model.notice import News, Notice, Told
from tocsin.wire.envelope import Origin
from tocsin.wire.notices import LONGEST_TITLE, payload, text, title

ORIGIN = Origin(site="ams", watchdog="host-a")
WALL = 1_790_000_000 * NS
ONE = Told(
    fingerprint="5c2f0d0b9a44" + "0" * 20,
    activation=1,
    news=News.FIRING,
    detector="node.unreachable",
    severity=Severity.CRITICAL,
    state=AlertState.FIRING,
    labels=(("chain", "eip155:1"), ("environment", "prod"), ("node", "ams.geth")),
    names=(("chain", "ethereum"), ("node", "geth"), ("provider", "self")),
    summary="geth does not answer: connection refused",
    reason="fired",
    started_wall_ns=WALL - 90 * NS,
    changed_wall_ns=WALL,
)
OVER = replace(ONE, news=News.RESOLVED, state=AlertState.RESOLVED, reason="cleared")


def notify(*told: Told, more: int = 0, groups: int = 1) -> Notify:
    ended = sum(one.news is News.RESOLVED for one in told)
    notice = Notice(
        firing=len(told) - ended + more,
        resolved=ended,
        groups=groups,
        told=told,
        detectors=(("node.unreachable", len(told) + more),),
    )
    return Notify(number=1, channel="c", group="g", severity=Severity.CRITICAL, wall_ns=WALL, notice=notice)


def words(*told: Told, more: int = 0) -> str:
    return text(notify(*told, more=more), ORIGIN, environment="prod", runbook="https://wiki.example/{detector}")


def test_one_alert_says_what_where_since_when_and_what_to_do_and_nothing_twice() -> None:
    assert title(notify(ONE).notice) == "CRITICAL: geth does not answer: connection refused"
    assert words(ONE).splitlines() == [
        "geth on ethereum, since 21 Sep 14:11:50 UTC (1 min 30 s)",
        "what to do: https://wiki.example/node.unreachable (tocsin explain node.unreachable)",
        "take it: tocsin ack 5c2f0d0b9a44",
        "prod, seen by ams/host-a, 21 Sep 14:13:20 UTC",
    ]


def test_the_end_says_for_how_long_it_was_and_asks_for_nothing() -> None:
    assert title(notify(OVER).notice) == "OVER: geth on ethereum (node.unreachable)"
    assert words(OVER).splitlines() == ["over after 1 min 30 s", "prod, seen by ams/host-a, 21 Sep 14:13:20 UTC"]
    assert words(replace(OVER, reason="maintenance")).startswith("over after 1 min 30 s (taken into maintenance)")


def test_of_many_the_count_comes_first_and_the_rest_is_counted_by_kind() -> None:
    said = notify(ONE, replace(ONE, activation=2), more=9_998)
    assert title(said.notice) == "CRITICAL, 10000 alerts: geth does not answer: connection refused"
    assert "and 9998 more; in all 10000 firing, 0 over: 10000 node.unreachable" in words(
        ONE, replace(ONE, activation=2), more=9_998
    )
    assert title(notify(ONE, OVER).notice).startswith("CRITICAL, 1 firing, 1 over: geth")


def test_what_is_acknowledged_unknown_or_unheard_says_so() -> None:
    assert "acknowledged by ann" in words(replace(ONE, acked_by="ann"))
    assert "take it" not in words(replace(ONE, acked_by="ann"))
    assert "no data now" in words(replace(ONE, state=AlertState.UNKNOWN))
    assert "no subscriber is there" in words(replace(ONE, reason="nobody"))
    assert "nobody has acknowledged it" in words(replace(ONE, reason="reminder"))


def test_a_watchdog_says_of_which_channel_or_disk_it_speaks() -> None:
    own = replace(ONE, labels=(("channel", "team"), ("environment", "prod"), ("watchdog", "ams/host-a")), names=())
    assert words(own).startswith("team, since")
    alone = replace(own, labels=own.labels[1:])
    assert words(alone).startswith("ams/host-a, since")


@given(summary=st.text(max_size=2_000), many=st.integers(1, 4))
def test_whatever_a_summary_holds_a_title_is_one_short_line_and_the_event_is_json(summary: str, many: int) -> None:
    alerts = [replace(ONE, summary=summary, activation=at) for at in range(many)]
    line = title(notify(*alerts).notice)
    assert len(line) <= LONGEST_TITLE
    assert all(char.isprintable() for char in line)
    event = orjson.loads(payload(notify(*alerts), ORIGIN, "b0", environment="prod", runbook="{detector}"))
    assert event["type"] == "dev.tocsin.notice.v1"
    assert event["data"]["title"] == line
    assert event["data"]["alerts"][0]["runbook"] == "node.unreachable"


def test_what_has_changed_once_more_is_said_to_have() -> None:
    assert "it has changed once more since it was told" in words(replace(ONE, reason="changed"))
