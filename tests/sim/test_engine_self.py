"""What the watchdog says of itself: alerts about its own loop and its own configuration, through the whole core."""

from tests.support.pool import Pool, settings_for

from tocsin.clock import MS, NS
from tocsin.model.event import Booted, ConfigRejected, ConfigRevised, Ticked


def own_ticks(pool: Pool, *lags_ms: int) -> list[tuple[str, str, str]]:
    """Tick the watchdog itself once a second with these delays of the loop; return what was said of it."""
    for lag_ms in lags_ms:
        pool.clock.advance(ns=NS)
        pool.take(Ticked(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), chain="", loop_lag_ns=lag_ms * MS))
    return [
        (alert.detector, alert.state.value, dict(alert.labels)["watchdog"])
        for alert in pool.alerts
        if alert.detector.startswith("self.")
    ]


def test_a_loop_that_is_late_in_three_ticks_is_told_and_over_after_five_good_ones() -> None:
    pool = Pool(settings_for(("a", "b", "c")))
    assert own_ticks(pool, 300, 300, 20, 300, 300) == []
    assert own_ticks(pool, 300) == [("self.loop_lag", "firing", "sim/w")]
    assert len(own_ticks(pool, 20, 20, 20, 20)) == 1
    assert own_ticks(pool, 20)[1:] == [("self.loop_lag", "resolved", "sim/w")]


def test_a_refused_configuration_is_told_until_one_is_taken() -> None:
    pool = Pool(settings_for(("a", "b", "c")))
    pool.take(ConfigRejected(t_ns=pool.now, problems=("tocsin.toml:3: chain.0.id: missing",)))
    assert own_ticks(pool, 0, 0) == [("self.config", "firing", "sim/w")]
    assert "tocsin.toml:3" in pool.alerts[-1].summary
    pool.take(ConfigRevised(t_ns=pool.now, settings=pool.settings))
    assert own_ticks(pool, 0)[1:] == [("self.config", "resolved", "sim/w")]


def test_what_the_watchdog_says_of_itself_blames_no_chain() -> None:
    pool = Pool(settings_for(("a", "b", "c")))
    pool.rounds(3)
    own_ticks(pool, 900, 900, 900, 900)
    assert pool.state.chains["sim"].alerts.tracked == {}


def test_a_standstill_of_the_watchdog_is_told_and_over_after_a_minute_in_time() -> None:
    pool = Pool(settings_for(("a", "b", "c")))
    assert own_ticks(pool, *[0] * 10) == []
    pool.clock.advance(s=4)
    assert own_ticks(pool, 0) == []
    pool.clock.advance(s=5)
    assert own_ticks(pool, 0) == [("self.heartbeat", "firing", "sim/w")]
    assert pool.alerts[-1].value == 5
    assert len(own_ticks(pool, *[0] * 59)) == 1
    assert own_ticks(pool, 0)[1:] == [("self.heartbeat", "resolved", "sim/w")]


def test_the_time_between_two_lives_is_no_standstill() -> None:
    pool = Pool(settings_for(("a", "b", "c")))
    own_ticks(pool, 0, 0)
    pool.clock.advance(s=600)
    pool.take(Booted(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), boot="b1", version="test"))
    assert own_ticks(pool, 0, 0) == []
