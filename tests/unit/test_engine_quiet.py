"""What people are told of silences: what one covers and spares, what of it means nothing, what status shows."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.pool import Pool, settings_for
from tests.support.ticking import fails

from tocsin.clock import NS
from tocsin.engine import delivery, host, peers, quiet, selfwatch
from tocsin.engine.labels import KEYS
from tocsin.engine.quiet import counts, hints, reach, told, told_of_end, wanted
from tocsin.engine.silencing import Refused, named
from tocsin.engine.status import status
from tocsin.model.alert import Severity
from tocsin.model.event import CalendarRevised, Commanded, ConfigRevised
from tocsin.model.settings import ChannelSettings, ConsumerSettings, HostSettings
from tocsin.model.silence import Silence, Span, WeeklyWindow

HOUR = 3600 * NS


def command(pool: Pool, verb: str, **args: str) -> Commanded:
    known = tuple(sorted(args.items()))
    return Commanded(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), verb=verb, args=known, by="ann")


def asked(pool: Pool, match: str, **more: str) -> Silence:
    return wanted(pool.state, command(pool, "silence", match=match, why="disk", for_ns=str(HOUR), **more))


def begin(pool: Pool, match: str, **more: str) -> None:
    pool.take(command(pool, "silence", match=match, why="disk", for_ns=str(HOUR), **more))


@pytest.fixture
def ill() -> Pool:
    """Two nodes do not answer, one of which is our own and critical."""
    pool = Pool(settings_for(("a", "b", "c", "d", "e"), own=(0,)))
    pool.rounds(10)
    pool.answers["n1"] = pool.answers["n2"] = fails()
    pool.rounds(8)
    tracked = dict(pool.state.chains["sim"].alerts.tracked)
    assert len(tracked) == 2
    first = min(tracked)
    tracked[first] = replace(tracked[first], severity=Severity.CRITICAL)
    chain = pool.state.chains["sim"]
    chain = replace(chain, alerts=replace(chain.alerts, tracked=tracked))
    pool.state = replace(pool.state, chains={"sim": chain})
    return pool


def alerts(pool: Pool) -> list[dict[str, Any]]:
    return status(pool.state, pool.now)["alerts"]  # type: ignore[return-value]


def test_a_silence_covers_what_it_means_and_spares_what_is_critical(ill: Pool) -> None:
    for match, covered, spared in (("detector=*", 1, 1), ("node=n3", 0, 0), ("severity=critical", 0, 1)):
        meant = reach(ill.state, asked(ill, match))
        assert (len(meant.covered), len(meant.spared)) == (covered, spared)
    meant = reach(ill.state, asked(ill, "detector=*", critical="true"))
    assert (len(meant.covered), len(meant.spared)) == (2, 0)


def test_asking_changes_nothing_and_names_the_silence_that_will_be(ill: Pool) -> None:
    before = ill.state
    silence = asked(ill, "node=n1")
    assert ill.state is before
    begin(ill, "node=n1")
    assert ill.state.silences == (silence,)


def test_what_is_told_names_the_alerts_and_counts_those_beyond(ill: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    said: Any = told(ill.state, asked(ill, "detector=*", critical="true"), ill.clock.wall_ns())
    assert (said["silence"]["id"], said["silence"]["active"], said["silence"]["by"]) == ("s1", True, "ann")
    assert {alert["severity"] for alert in said["covered"]["alerts"]} == {"info", "critical"}
    monkeypatch.setattr(quiet, "_MOST_SHOWN", 1)
    said = told(ill.state, asked(ill, "detector=*", critical="true"), ill.clock.wall_ns())
    assert (said["covered"]["count"], len(said["covered"]["alerts"])) == (2, 1)


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ("nod=n1", r"no alert has a label 'nod' \(did you mean node\?\); there are detector, severity, chain, node"),
        ("detector=node.* zzzz=1", "no alert has a label 'zzzz'; there are"),
        ("node", "match: character 1"),
    ],
)
def test_a_key_that_no_alert_has_is_refused_with_those_that_there_are(ill: Pool, match: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        asked(ill, match)


def test_the_keys_are_those_of_all_that_is_watched_besides_chains() -> None:
    settings = replace(
        settings_for(("a",)),
        host=HostSettings(disks=("/",), units=("geth.service",), ntp=("time",), certificates=("https://node:8545",)),
        peers=("fra/host-b",),
        consumers=(ConsumerSettings(name="pager", silent_after_ns=60 * NS),),
        channels=(ChannelSettings(name="team"),),
    )
    watched = [*host.own_subjects(settings), *peers.own_subjects(settings), *delivery.own_subjects(settings)]
    used = {key for labels in (*watched, *selfwatch.own_subjects(settings)) for key, _ in labels}
    assert {"disk", "unit", "endpoint", "peer", "consumer", "channel"} <= used <= set(KEYS)


def test_the_keys_are_the_labels_that_alerts_have(ill: Pool) -> None:
    used = {key for alert in alerts(ill) for key in alert["labels"]}
    assert used
    assert used <= set(KEYS)
    named = [f"{key}!=x" for key in KEYS if key != "severity"]
    for some in (named[::2], named[1::2]):  # a match has at most 16 terms
        assert asked(ill, " ".join(some))


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ("detector=node.lagg", "no detector is called node.lagg (did you mean node.lag?)"),
        ("chain=sum", "no chain is called sum (did you mean sim?); there are sim"),
        ("node=n9|n8", "no node is called n9|n8; there are n0, n1, n2, n3, n4"),
        ("provider=zz", "no provider is called zz; there are a, b, c, d, e"),
        ("severity=critical", "it means critical alerts alone, and spares those"),
        ("severity>warning node=n1", "it means critical alerts alone, and spares those"),
    ],
)
def test_what_can_mean_nothing_is_told(ill: Pool, match: str, said: str) -> None:
    [hint] = hints(ill.state, asked(ill, match))
    assert hint.startswith(said)


@pytest.mark.parametrize(
    "match",
    [
        "detector=node.*",
        "detector!=node.lagg",
        "chain=sim",
        "chain=eip155:1337",
        "node=sim.n1",
        "node=n?",
        "node=",
        "provider=a|zz",
        "severity>=warning",
        "environment=elsewhere",
    ],
)
def test_what_may_mean_something_is_taken_without_a_word(ill: Pool, match: str) -> None:
    assert hints(ill.state, asked(ill, match)) == ()


def test_whoever_says_critical_is_not_told_that_it_spares_them(ill: Pool) -> None:
    assert hints(ill.state, asked(ill, "severity=critical", critical="true")) == ()


def test_one_that_is_there_already_is_told(ill: Pool) -> None:
    begin(ill, "node=n1")
    begin(ill, "node=n1")
    assert hints(ill.state, asked(ill, "node=n1")) == ("there is one with the same match already: s1, s2",)
    assert hints(ill.state, ill.state.silences[0]) == ("there is one with the same match already: s2",)


@pytest.mark.parametrize("match", ["detector=*", "node=n1", "node!=n1", "severity<=info", "provider=c", "chain=other"])
@pytest.mark.parametrize("critical", ["true", "false"])
def test_what_is_told_is_what_then_is_silenced(ill: Pool, match: str, critical: str) -> None:
    meant = reach(ill.state, asked(ill, match, critical=critical))
    begin(ill, match, critical=critical)
    silenced = {alert["fingerprint"] for alert in alerts(ill) if alert["silenced_by"] == ["s1"]}
    assert silenced == {key for key, _ in meant.covered}
    counted = counts(ill.state)
    assert counted["silenced"] == len(silenced)
    assert sum(counted.values()) == 2


def test_the_end_tells_what_another_silence_still_covers(ill: Pool) -> None:
    begin(ill, "detector=*", critical="true")
    begin(ill, "detector=*")
    one, two = ill.state.silences
    wall, before = ill.clock.wall_ns(), ill.state
    for ended, covered, still in ((one, 2, 1), (two, 1, 1)):
        ill.state = before
        ill.take(command(ill, "unsilence", id=ended.id))
        said: Any = told_of_end(before, ill.state, ended, wall)
        assert (said["covered"]["count"], said["still_silenced"]) == (covered, still)
    begin(ill, "node=n1", from_wall_ns=str(wall + HOUR))
    later = ill.state.silences[-1]
    assert told_of_end(ill.state, before, later, wall)["covered"] == {"count": 0, "alerts": []}


def test_only_a_silence_by_command_ends_by_command(ill: Pool) -> None:
    wall = ill.clock.wall_ns()
    one = Silence(id="config:1", match="node=n1", by="ann", reason="b", from_wall_ns=wall, until_wall_ns=wall + HOUR)
    window = WeeklyWindow(
        name="night", match="chain=sim", by="ann", reason="x", days=(0,), from_minute=0, to_minute=60, zone="UTC"
    )
    with pytest.raises(Refused, match=r"id 's1' \(now: there is none\); tocsin silence lists them"):
        named(ill.state, "s1")
    ill.take(ConfigRevised(t_ns=ill.now, settings=replace(ill.settings, silences=(one,), windows=(window,))))
    for _ in range(10):
        begin(ill, "node=n1")
    assert named(ill.state, "s10").id == "s10"
    with pytest.raises(Refused, match=r"id 's99' \(now: s1, s2, .*, s8 and 2 more\)"):
        named(ill.state, "s99")
    for configured in ("config:1", "maintenance:night"):
        with pytest.raises(Refused, match=f"{configured} is of the configuration: take it out there"):
            named(ill.state, configured)
    with pytest.raises(Refused) as caught:
        named(ill.state, "x" * 60_000)
    assert len(str(caught.value)) < 300


def test_status_shows_who_silenced_what_until_when_and_what_flaps_or_is_covered(ill: Pool) -> None:
    assert [(alert["silenced_by"], alert["flapping"], alert["inhibited_by"]) for alert in alerts(ill)] == [
        ([], False, None)
    ] * 2
    begin(ill, "detector=node.unreachable")
    begin(ill, "node=*", critical="true")
    begin(ill, "node=n1", from_wall_ns=str(ill.clock.wall_ns() + HOUR))
    assert [(alert["severity"], alert["silenced_by"]) for alert in alerts(ill)] == [
        ("critical", ["s2"]),
        ("info", ["s1", "s2"]),
    ]
    shown: Any = status(ill.state, ill.now)["silences"]
    assert [(row["id"], row["active"], row["covers"], row["spares"]) for row in shown][:2] == [
        ("s1", True, 1, 1),
        ("s2", True, 2, 0),
    ]
    assert shown[2]["active"] is False
    assert {row["by"] for row in shown} == {"ann"}
    assert shown[0]["until_wall_ns"] - shown[0]["from_wall_ns"] == HOUR


def test_status_shows_what_the_configuration_silences_and_weekly_windows_while_they_last(ill: Pool) -> None:
    wall = ill.clock.wall_ns()
    one = Silence(id="config:1", match="node=n1", by="ann", reason="b", from_wall_ns=wall, until_wall_ns=wall + HOUR)
    window = WeeklyWindow(
        name="night", match="chain=sim", by="bob", reason="x", days=(0,), from_minute=0, to_minute=60, zone="UTC"
    )
    ill.take(ConfigRevised(t_ns=ill.now, settings=replace(ill.settings, silences=(one,), windows=(window,))))
    spans = (Span(window="night", from_wall_ns=wall, until_wall_ns=wall + HOUR),)
    ill.take(CalendarRevised(t_ns=ill.now, spans=spans))
    ill.tick()
    shown: Any = status(ill.state, ill.now)["silences"]
    assert [(row["id"], row["by"]) for row in shown] == [("config:1", "ann"), ("maintenance:night", "bob")]


def test_of_a_weekly_window_that_is_not_on_status_shows_when_it_comes_next(ill: Pool) -> None:
    wall = ill.clock.wall_ns()
    windows = tuple(
        WeeklyWindow(
            name=name, match="node=*", by="bob", reason="x", days=(0,), from_minute=0, to_minute=60, zone="UTC"
        )
        for name in ("night", "noon", "never")
    )
    ill.take(ConfigRevised(t_ns=ill.now, settings=replace(ill.settings, windows=windows)))
    times = (("night", 5), ("noon", 0), ("night", 2), ("noon", 3))
    spans = [
        Span(window=name, from_wall_ns=wall + at * HOUR, until_wall_ns=wall + (at + 1) * HOUR) for name, at in times
    ]
    ill.take(CalendarRevised(t_ns=ill.now, spans=tuple(spans)))
    ill.tick()
    shown: Any = status(ill.state, ill.now)["silences"]
    assert [(row["id"], row["active"], (row["from_wall_ns"] - wall) // HOUR, row["covers"]) for row in shown] == [
        ("maintenance:noon", True, 0, 1),
        ("maintenance:night", False, 2, None),
    ]
    silenced = [alert["silenced_by"] for alert in alerts(ill) if alert["severity"] == "info"]
    assert silenced == [["maintenance:noon"]], "what comes silences nothing yet"


def test_of_too_many_alerts_the_worst_are_looked_at_and_nothing_is_counted(
    ill: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(ill, "detector=*", critical="true")
    begin(ill, "node=n1")
    monkeypatch.setattr(quiet, "_MOST_PAIRS", 3)
    assert [(alert["severity"], alert["silenced_by"]) for alert in alerts(ill)][1] == ("info", None)
    assert "s1" in alerts(ill)[0]["silenced_by"]
    shown: Any = status(ill.state, ill.now)["silences"]
    assert [(row["id"], row["covers"], row["spares"]) for row in shown] == [("s1", None, None), ("s2", None, None)]
    assert counts(ill.state)["silenced"] == 1, "what is not looked at counts as heard"


def test_status_shows_a_flapping_alert_as_such(ill: Pool) -> None:
    ill.answers["n1"], healthy = ill.answers["n3"], ill.answers["n1"]
    for _ in range(3):
        ill.rounds(12)
        ill.answers["n1"], healthy = healthy, ill.answers["n1"]
    assert any(alert["flapping"] for alert in alerts(ill))
