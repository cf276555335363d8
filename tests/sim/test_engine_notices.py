"""People told by the whole core: which channels, when, and that a replay tells the same."""

from dataclasses import replace

import pytest
from tests.support.pool import settings_for
from tests.support.ticking import Ticking, fails

from tocsin.clock import NS
from tocsin.engine.codec import decode_event, decode_state, encode_event, encode_state
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.errors import CorruptRecord
from tocsin.model.alert import Severity
from tocsin.model.effect import Notify
from tocsin.model.event import Booted, Commanded, ConfigRevised, Orphan, Unheard, Why
from tocsin.model.notice import News
from tocsin.model.settings import ChannelSettings, PerSeverity, Settings

TEAM = ChannelSettings(name="team", wait=PerSeverity(warning=10 * NS), interval=PerSeverity(warning=60 * NS))
PAGER = ChannelSettings(name="pager", match="detector=node.unreachable", gathers=False)
SPARE = ChannelSettings(name="spare", is_fallback=True)


def with_channels(*channels: ChannelSettings) -> Settings:
    return replace(settings_for(("a", "b", "c", "d"), own=(0,)), channels=channels)


def pool_of(*channels: ChannelSettings) -> Ticking:
    pool = Ticking(with_channels(*channels), keep_events=True)
    pool.rounds(20)
    assert notices(pool) == []
    return pool


def notices(pool: Ticking) -> list[Notify]:
    return [effect for effect in pool.effects if isinstance(effect, Notify)]


def said(pool: Ticking, channel: str) -> list[tuple[str, str, str]]:
    return [
        (told.detector, told.news.value, told.reason)
        for notice in notices(pool)
        if notice.channel == channel
        for told in notice.notice.told
    ]


def test_people_are_told_once_by_the_names_they_know_and_told_when_it_is_over() -> None:
    pool = pool_of(TEAM, PAGER)
    pool.answers["n0"] = fails()
    pool.rounds(12)
    assert said(pool, "pager") == [("node.unreachable", "firing", "fired")]
    [told] = next(notice for notice in notices(pool) if notice.channel == "team").notice.told
    assert (dict(told.names)["chain"], dict(told.names)["node"], told.severity) == ("sim", "n0", Severity.WARNING)
    assert [notice.number for notice in notices(pool)] == [1, 2]
    del pool.answers["n0"]
    pool.answers["n0"] = pool.answers["n1"]
    pool.rounds(60)
    over = ("node.unreachable", "resolved", "cleared")
    assert said(pool, "pager")[1:] == said(pool, "team")[1:] == [over]
    assert not any(channel.heard for channel in pool.state.routing.channels.values())


def test_a_replay_in_a_life_of_its_own_tells_the_same_and_snapshots_are_canonical() -> None:
    pool = pool_of(TEAM, PAGER, SPARE)
    pool.answers["n0"] = fails()
    pool.rounds(12)
    state, again = EngineState(), []
    for at, event in enumerate(pool.events):
        record, bodies = encode_event(event)
        done = step(state, decode_event(record, bodies))
        again += [effect for effect in done.effects if isinstance(effect, Notify)]
        state = decode_state(encode_state(done.state)) if at % 97 == 0 else done.state
    assert again == notices(pool) != []
    assert encode_state(state) == encode_state(pool.state)


def test_a_short_failure_is_told_to_nobody_who_waits_for_more() -> None:
    pool = pool_of(replace(TEAM, wait=PerSeverity(warning=600 * NS)))
    pool.answers["n0"] = fails()
    pool.rounds(12)
    assert pool.said()
    pool.answers["n0"] = pool.answers["n1"]
    pool.rounds(60)
    assert notices(pool) == []
    assert pool.state.routing.due_ns is None


def test_a_channel_that_is_new_is_told_of_what_fires_and_one_that_goes_is_forgotten() -> None:
    pool = pool_of(TEAM)
    pool.answers["n0"] = fails()
    pool.rounds(12)
    pool.take(ConfigRevised(t_ns=pool.now, settings=with_channels(PAGER)))
    assert said(pool, "pager") == [("node.unreachable", "firing", "open")]
    assert list(pool.state.routing.channels) == ["pager"]
    pool.take(ConfigRevised(t_ns=pool.now, settings=with_channels(PAGER)))
    assert len(said(pool, "pager")) == 1
    pool.take(ConfigRevised(t_ns=pool.now, settings=with_channels()))
    assert pool.state.routing.channels == {}


def test_whoever_acknowledges_is_told_to_the_pager_alone() -> None:
    pool = pool_of(TEAM, PAGER)
    pool.answers["n0"] = fails()
    pool.rounds(12)
    key = pool.alerts[0].fingerprint
    pool.take(
        Commanded(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), verb="ack", args=(("fingerprint", key),), by="ann")
    )
    assert said(pool, "pager")[1:] == [("node.unreachable", "seen", "acked")]
    assert len(said(pool, "team")) == 1


def critical(pool: Ticking) -> tuple[str, int]:
    for name in pool.nodes:
        pool.answers[name] = fails()
    pool.rounds(40)
    alert = next(alert for alert in pool.alerts if alert.severity is Severity.CRITICAL)
    return alert.fingerprint, alert.activation


def test_a_fallback_is_told_once_of_what_reached_nobody_and_when_it_is_over() -> None:
    pool = pool_of(SPARE)
    key, activation = critical(pool)
    assert notices(pool) == []
    for _ in range(3):
        pool.take(Unheard(t_ns=pool.now, fingerprint=key, activation=activation, why=Why.LATE))
    pool.take(Unheard(t_ns=pool.now, fingerprint=key, activation=activation + 1, why=Why.LATE))
    pool.take(Unheard(t_ns=pool.now, fingerprint="0" * 32, activation=1, why=Why.LATE))
    [told] = [told for notice in notices(pool) for told in notice.notice.told]
    assert (told.fingerprint, told.reason, told.news) == (key, "late", News.FIRING)
    for name in pool.nodes:
        pool.answers[name] = lambda node, request: node.answer(request)
    pool.rounds(120)
    assert [told.news for notice in notices(pool)[1:] for told in notice.notice.told] == [News.RESOLVED]


def test_what_is_silenced_while_it_waits_is_told_when_the_silence_ends() -> None:
    pool = pool_of(TEAM)
    pool.answers["n0"] = fails()
    while not pool.alerts:
        pool.round()
    args = (("for_ns", str(120 * NS)), ("match", "node=n0"), ("why", "disk"))
    pool.take(Commanded(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), verb="silence", args=args, by="ann"))
    pool.rounds(30)
    assert notices(pool) == []
    pool.rounds(90)
    assert said(pool, "team") == [("node.unreachable", "firing", "fired")]


def test_numbers_go_on_where_a_lost_state_had_come_to_and_ends_are_told_all_the_same() -> None:
    pool = pool_of(PAGER)
    pool.answers["n0"] = fails()
    pool.rounds(12)
    alert = pool.alerts[-1]
    lost = Orphan(
        fingerprint=alert.fingerprint,
        detector=alert.detector,
        labels=alert.labels,
        severity=alert.severity.value,
        summary=alert.summary,
        activation=1,
        count=1,
        started_wall_ns=alert.started_wall_ns,
    )
    booted = Booted(t_ns=1, wall_ns=pool.clock.wall_ns(), boot="b1", version="t", seq=9, orphans=(lost,), notice=77)
    state = step(EngineState(), booted).state
    fresh = with_channels(PAGER)
    done = step(state, ConfigRevised(t_ns=2, settings=fresh))
    [notice] = [effect for effect in done.effects if isinstance(effect, Notify)]
    assert (notice.number, notice.notice.told[0].reason) == (78, "state-lost")
    gone = replace(fresh, chains=(replace(fresh.chains[0], nodes=fresh.chains[0].nodes[1:]),))
    done = step(state, ConfigRevised(t_ns=2, settings=gone))
    [notice] = [effect for effect in done.effects if isinstance(effect, Notify)]
    assert (notice.notice.told[0].news, notice.notice.told[0].reason) == (News.RESOLVED, "unconfigured")


@pytest.mark.parametrize("channel", [replace(TEAM, match="node"), replace(TEAM, per_minute=0)])
def test_a_snapshot_with_a_channel_that_makes_no_sense_is_not_believed(channel: ChannelSettings) -> None:
    state = step(EngineState(boot="b"), ConfigRevised(t_ns=1, settings=with_channels())).state
    odd = replace(state, settings=with_channels(channel))
    with pytest.raises(CorruptRecord, match="told of no alerts"):
        decode_state(encode_state(odd))
