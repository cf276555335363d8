"""Delivery that does not work is news itself: a full outbox, consumers that are not heard; through the whole core."""

import dataclasses

from tests.support.pool import Pool, settings_for

from tocsin.clock import NS
from tocsin.engine.codec import decode_event, encode_event
from tocsin.model.alert import AlertState, Severity
from tocsin.model.event import ChannelSample, ConfigRevised, ConsumerSample, DeliverySampled, Ticked
from tocsin.model.settings import ChannelSettings, ConsumerSettings

PAGER = ConsumerSettings(name="pager", silent_after_ns=60 * NS)


def pool_with(*consumers: ConsumerSettings) -> Pool:
    return Pool(dataclasses.replace(settings_for(("a", "b", "c")), consumers=consumers))


def sampled(pool: Pool, *consumers: ConsumerSample, **values: object) -> None:
    """Tell how the stream leaves, a second later, and let the watchdog look at itself."""
    fields = {"connected": True, "durable": True, "filled": 0, "critical_filled": 0, "waiting": 0, "owed": 0}
    pool.clock.advance(ns=NS)
    event = DeliverySampled(t_ns=pool.now, consumers=consumers, **{**fields, **values})  # type: ignore[arg-type]
    assert decode_event(*encode_event(event)) == event
    pool.take(event)
    pool.take(Ticked(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), chain=""))


def said(pool: Pool) -> list[tuple[str, str, Severity]]:
    return [
        (alert.detector, alert.state.value, alert.severity)
        for alert in pool.alerts
        if alert.detector in ("self.outbox_saturated", "self.consumer_silent")
    ]


def sample(**values: int | None) -> ConsumerSample:
    return ConsumerSample(name="pager", **{"lag": 0, "stuck_ns": 0, "silent_ns": 0, **values})  # type: ignore[arg-type]


def test_an_outbox_at_its_bound_is_warned_of_until_it_has_drained() -> None:
    pool = pool_with()
    sampled(pool, filled=94)
    assert said(pool) == []
    sampled(pool, filled=95, waiting=900, owed=50, connected=False)
    assert said(pool) == [("self.outbox_saturated", "firing", Severity.WARNING)]
    assert (
        "95 % full: 900 wait for the broker, 50 for consumers; the broker cannot be reached" in pool.alerts[-1].summary
    )
    sampled(pool, filled=85)
    for _ in range(4):
        sampled(pool, filled=79)
    assert len(said(pool)) == 1
    sampled(pool, filled=79)
    assert said(pool)[1:] == [("self.outbox_saturated", "resolved", Severity.WARNING)]


def test_critical_rows_that_fill_it_alone_are_critical() -> None:
    pool = pool_with()
    sampled(pool, filled=99, critical_filled=95)
    assert said(pool) == [("self.outbox_saturated", "firing", Severity.CRITICAL)]


def test_alerts_that_cannot_be_written_down_are_critical_however_few() -> None:
    pool = pool_with()
    sampled(pool, durable=False, unsaved=3)
    assert said(pool) == [("self.outbox_saturated", "firing", Severity.CRITICAL)]
    assert "3 are in memory alone" in pool.alerts[-1].summary


def test_a_consumer_that_falls_silent_is_told_of_and_back_with_its_next_ack() -> None:
    pool = pool_with(PAGER)
    sampled(pool, sample(silent_ns=59 * NS, lag=5))
    assert said(pool) == []
    sampled(pool, sample(silent_ns=60 * NS, lag=7))
    assert said(pool) == [("self.consumer_silent", "firing", Severity.WARNING)]
    assert dict(pool.alerts[-1].labels)["consumer"] == "pager"
    assert "no ack of pager was believed for 1 min 00 s; it lacks 7 messages" in pool.alerts[-1].summary
    sampled(pool, sample(silent_ns=NS))
    assert said(pool)[1:] == [("self.consumer_silent", "resolved", Severity.WARNING)]


def test_time_passes_for_a_consumer_between_two_samples() -> None:
    pool = pool_with(PAGER)
    sampled(pool, sample(silent_ns=55 * NS))
    pool.clock.advance(s=5)
    pool.take(Ticked(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), chain=""))
    assert said(pool) == [("self.consumer_silent", "firing", Severity.WARNING)]


def test_a_consumer_that_is_far_behind_and_does_not_move_is_told_of_though_it_speaks() -> None:
    pool = pool_with(PAGER)
    sampled(pool, sample(lag=999, stuck_ns=90 * NS))
    sampled(pool, sample(lag=5000, stuck_ns=30 * NS))
    assert said(pool) == []
    sampled(pool, sample(lag=1000, stuck_ns=60 * NS))
    assert said(pool) == [("self.consumer_silent", "firing", Severity.WARNING)]


def test_nobody_is_blamed_while_the_broker_brings_nothing() -> None:
    pool = pool_with(PAGER)
    sampled(pool, sample(silent_ns=None, lag=5000, stuck_ns=900 * NS), connected=False)
    assert said(pool) == []


def test_the_alert_of_a_consumer_ends_with_its_registration() -> None:
    pool = pool_with(PAGER)
    sampled(pool, sample(silent_ns=90 * NS))
    pool.take(ConfigRevised(t_ns=pool.now, settings=dataclasses.replace(pool.settings, consumers=())))
    assert said(pool)[1:] == [("self.consumer_silent", "resolved", Severity.WARNING)]
    assert pool.alerts[-1].reason == "unconfigured"


def test_a_stranger_in_a_sample_is_left_out() -> None:
    pool = pool_with()
    sampled(pool, sample(silent_ns=900 * NS))
    assert said(pool) == []


def channel_sampled(pool: Pool, **values: int) -> None:
    sampled(pool, channels=(ChannelSample(name="team", error="HTTP 503", **values),))


def test_a_channel_through_which_nothing_gets_is_told_of_and_what_is_given_up_is_critical() -> None:
    pool = Pool(dataclasses.replace(settings_for(("a", "b", "c")), channels=(ChannelSettings(name="team"),)))
    heard = pool.alerts
    channel_sampled(pool, failing_ns=299 * NS, waiting=2)
    assert heard == []
    channel_sampled(pool, failing_ns=300 * NS, waiting=2)
    assert (heard[-1].detector, heard[-1].severity) == ("self.channel_failing", Severity.WARNING)
    assert heard[-1].summary == "nothing gets through the channel team for 5 min 00 s, 2 messages wait: HTTP 503"
    channel_sampled(pool, given_up=1)
    assert (heard[-1].reason, heard[-1].severity) == ("raised", Severity.CRITICAL)
    channel_sampled(pool)
    assert heard[-1].state is AlertState.RESOLVED
    channel_sampled(pool, failing_ns=300 * NS)
    pool.take(ConfigRevised(t_ns=pool.now, settings=dataclasses.replace(pool.settings, channels=())))
    assert heard[-1].reason == "unconfigured"
