"""kill -9 of daemon, broker and consumer, by the clock and between every two durable writes: no alert lost, none twice.

The stage is that of the benchmark, with a real mosquitto of default persistence, the real daemon but for the nodes that
it watches, and a real consumer. Beside it a publisher without an outbox must lose alerts, or the run proves nothing.
What is asserted of time is generous: the benchmark publishes the figures.
"""

from pathlib import Path
from typing import Any

import pytest
from benchmarks._delivery import away, calm, full, links, outage, poison, shocks, storm
from benchmarks._delivery.battery import ALL, BROKER, CONSUMER, DAEMON, Plan, battery
from benchmarks._delivery.points import OF_CONSUMER, OF_DAEMON
from benchmarks._delivery.verdict import WRONG

pytestmark = pytest.mark.usefixtures("mosquitto_installed")


def check(run: dict[str, Any], alerts: int) -> None:
    assert run["raised"] >= alerts
    assert {key: run[key] for key in WRONG} == dict.fromkeys(WRONG, 0)


async def test_a_few_deaths_lose_nothing(tmp_path: Path) -> None:
    run = await battery(tmp_path / "stage", Plan(seed=1, alerts=150, kills=5, is_exact=True, may_be_void=True))
    check(run, 150)
    assert sum(run["kills"].values()) >= 5


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(1, 11))
async def test_ten_thousand_alerts_arrive_once_each_whoever_is_killed(tmp_path: Path, seed: int) -> None:
    run = await battery(tmp_path / "stage", Plan(seed=seed, alerts=10_000))
    check(run, 10_000)
    assert run["naive_lost"] > 0
    assert min(run["kills"].values()) >= 3
    assert sum(run["kills"].values()) >= 15
    assert run["points"], "points are reached"
    heals = sorted(run["heals_s"])
    assert heals[len(heals) // 2] < 10
    assert heals[-1] < 30


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_a_death_of_each_of_them_at_every_point_costs_nothing(tmp_path: Path) -> None:
    every = len(ALL) * (len(OF_DAEMON) + len(OF_CONSUMER))
    run = await battery(tmp_path / "stage", Plan(seed=3, alerts=2_000, kills=every, is_exact=True, points_share=1.0))
    check(run, 2_000)
    assert len(run["points"]) > every / 2, "most points are on the way that alerts take at any time"


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("victim", ALL)
async def test_fifty_deaths_of_one_of_them_cost_nothing(tmp_path: Path, victim: str) -> None:
    run = await battery(tmp_path / "stage", Plan(seed=7, alerts=5_000, victims=(victim,), kills=50, is_exact=True))
    check(run, 5_000)
    assert run["kills"] == {**dict.fromkeys((DAEMON, BROKER, CONSUMER), 0), victim: 50}


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_a_broker_that_is_away_for_ten_minutes_costs_time_and_nothing_else(tmp_path: Path) -> None:
    found = await outage.outage(tmp_path / "stage", seconds=600, rate=50)
    assert found["outage_rows"] > 20_000
    assert found["outage_wrong"] == 0
    assert found["outage_rss_mb"] < 40
    assert found["drain_s"] < 300


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_a_consumer_that_was_away_gets_more_than_a_broker_keeps_for_it(tmp_path: Path) -> None:
    found = await away.consumer_away(tmp_path / "stage", alerts=2500)
    assert found["away_wrong"] == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_words_of_the_self_test_that_expired_leave_no_hole_in_what_a_consumer_has(tmp_path: Path) -> None:
    found = await away.words_expire(tmp_path / "stage")
    assert found["expired_words"] >= 5
    assert found["expired_wrong"] == 0
    assert found["expired_position"] >= 100


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_broker_that_comes_back_with_nothing_has_the_whole_picture_again(tmp_path: Path) -> None:
    found = await away.broker_wiped(tmp_path / "stage")
    assert found["wiped_topics"] > 20
    assert (found["wiped_missing"], found["wiped_wrong"]) == (0, 0)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_link_that_goes_dead_without_a_word_is_noticed_and_costs_nothing(tmp_path: Path) -> None:
    found = await links.half_open(tmp_path / "stage")
    assert found["half_open_wrong"] == 0
    assert found["half_open_reconnect_s"] < 40
    assert found["half_open_lost_s"] < 90


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_daemon_that_stands_still_is_called_lost_and_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    found = await links.standstill(tmp_path / "stage", seconds=60)
    assert found["stopped_wrong"] == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_what_an_access_list_denies_is_told_and_never_counts_as_sent(tmp_path: Path) -> None:
    found = await links.denied(tmp_path / "stage")
    assert found == {"denied_silent": 0, "denied_told": 1, "denied_wrong": 0}


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_two_daemons_of_one_name_do_not_contend_for_the_word(tmp_path: Path) -> None:
    found = await links.rivals(tmp_path / "stage")
    assert found == {"rivals_flaps": 0, "rivals_told": 1, "rivals_wrong": 0}


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_clocks_that_jump_by_hours_lose_and_repeat_nothing(tmp_path: Path) -> None:
    found = await shocks.clock_steps(tmp_path / "stage")
    assert found["clock_steps_wrong"] == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_damaged_database_is_set_aside_told_of_and_no_reason_not_to_watch(tmp_path: Path) -> None:
    found = await shocks.damaged(tmp_path / "stage")
    assert found["damaged_silent"] == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_on_a_full_disk_alerts_go_on_marked_and_nothing_is_lost_once_there_is_room(tmp_path: Path) -> None:
    try:
        found = await full.disk_full(tmp_path / "stage")
    except full.NoMount as reason:
        pytest.skip(str(reason))
    assert found["full_marked"] >= 100
    assert (found["full_told"], found["full_gaps"], found["full_wrong"]) == (1, 1, 0)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_flood_of_junk_and_lies_is_counted_and_never_believed_while_alerts_go_on(tmp_path: Path) -> None:
    found = await poison.poison(tmp_path / "stage", seconds=20)
    assert (found["poison_believed"], found["poison_wrong"]) == (0, 0)
    counted = found["poison_counted"]
    assert not [reason for reason, times in counted.items() if not times and reason not in ("malformed", "retained")]
    assert found["poison_answers"]
    assert found["loop_stall_ms"] < 50, found["loop_stall_in"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_in_a_storm_all_are_heard_critical_ones_before_the_others_and_people_of_groups(tmp_path: Path) -> None:
    found = await storm.storm(tmp_path / "stage", alerts=10_000, within_s=10, after_s=20)
    assert found["storm_alerts"] == 10_000
    assert (found["storm_missing"], found["storm_foreign"]) == (0, 0)
    assert found["storm_critical"] == found["storm_critical_expected"]
    assert found["storm_critical_p99_s"] < found["storm_others_p99_s"]
    assert found["people_messages"]
    assert found["people_too_soon"] == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_while_nobody_dies_each_alert_is_with_its_consumer_before_the_next_one(tmp_path: Path) -> None:
    found = await calm.idle(tmp_path / "stage", 60)
    assert found["idle_alerts"] >= 50
    assert found["idle_p50_ms"] < 1000 / calm.RATE
