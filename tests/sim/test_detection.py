"""The published figures of detection: latencies, false alarms, and honest nodes under attack, on the real engine.

The fast tests hold them on fewer trials; the slow ones on as many as are published. Seeds are fixed, so nothing here is
left to chance.
"""

import pytest
from benchmarks.detection import attacks, false_alarms, latencies

from tocsin.lab.detection.attacks import ATTACKS, POOLS, attack, liars_of
from tocsin.lab.detection.noise import noise, poisson_upper
from tocsin.lab.detection.trials import (
    FORK,
    FORK_BY_ONE,
    FROZEN,
    KINDS,
    QUORUM_LOSS,
    UNREACHABLE,
    WRONG_CHAIN,
    Kind,
    quantile,
    trial,
)

FEW, MANY = 30, 400


def test_a_frozen_own_node_is_told_of_in_35_s_at_the_median_and_50_s_at_the_99th() -> None:
    figures = latencies(FROZEN, FEW, 1)
    assert figures["undetected"] == 0
    assert figures["p50_s"] <= 35
    assert figures["p99_s"] <= 50


def test_an_unreachable_own_node_is_told_of_in_15_s_whether_it_refuses_or_hangs() -> None:
    figures = latencies(UNREACHABLE, FEW, 1)
    assert figures["undetected"] == 0
    assert figures["max_s"] <= 15


def test_a_node_of_another_chain_is_told_of_in_its_first_poll() -> None:
    figures = latencies(WRONG_CHAIN, FEW, 1)
    assert (figures["undetected"], figures["polls_max"]) == (0, 1)


def test_a_fork_at_the_same_height_is_told_of_within_two_polls_of_both_branches_being_visible() -> None:
    figures = latencies(FORK, FEW, 1)
    assert figures["undetected"] == 0
    assert figures["polls_max"] <= 2


def test_a_fork_of_one_block_is_told_of_once_it_lasts() -> None:
    figures = latencies(FORK_BY_ONE, FEW, 1)
    assert figures["undetected"] == 0
    assert figures["max_s"] <= 36


def test_a_lost_quorum_is_told_of_in_30_s() -> None:
    figures = latencies(QUORUM_LOSS, FEW, 1)
    assert figures["undetected"] == 0
    assert figures["max_s"] <= 30


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_fault_accuses_nobody_else(kind: Kind) -> None:
    victims = {"node.unreachable own0", "node.unreachable own1", "node.unreachable far0", "node.unreachable far1"}
    allowed = victims if kind is QUORUM_LOSS else set()
    assert {other for seed in range(5) for other in trial(kind, seed).others} <= allowed


@pytest.mark.parametrize("name", ATTACKS)
def test_no_single_group_has_an_honest_node_accused_or_moves_the_agreed_head_alone(name: str) -> None:
    for pool in ("2 groups", "3 groups"):
        found = attack(name, pool, liars_of(pool)[-1], seed=0)
        assert (found.evicted, found.unsupported) == ((), ()), pool


def test_an_hour_of_an_honest_pool_raises_nothing_but_what_is_right() -> None:
    found = noise(seed=3, days=1 / 24)
    assert found.polls == 12 * 1_800 + 12 * 1_200 + 2, (
        "nodes of others are polled by the slots, four times instead of six"
    )
    assert (found.own, found.provider, found.chain, found.unsupported) == ({}, {}, {}, 0)
    assert found.heads > 250


@pytest.mark.parametrize(("count", "upper"), [(0, 2.996), (1, 4.744), (3, 7.754), (10, 16.962)])
def test_the_poisson_bound_is_that_of_the_tables(count: int, upper: float) -> None:
    assert poisson_upper(count) == pytest.approx(upper, abs=0.001)


def test_quantiles_are_values_that_were_seen() -> None:
    assert [quantile(range(1, 101), share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert quantile([7], 0.5) == 7


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_every_latency_holds_on_hundreds_of_trials() -> None:
    frozen = latencies(FROZEN, MANY, 2)
    assert frozen["p50_s"] <= 35
    assert frozen["p99_s"] <= 50
    assert latencies(UNREACHABLE, MANY, 2)["max_s"] <= 15
    assert latencies(WRONG_CHAIN, MANY, 2)["polls_max"] == 1
    assert latencies(FORK, MANY, 2)["polls_max"] <= 2
    assert latencies(QUORUM_LOSS, MANY, 2)["max_s"] <= 30


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_no_honest_node_is_evicted_in_any_single_group_attack() -> None:
    count, harmed = attacks(seeds=2, processes=2)
    assert count == 2 * sum(len(liars_of(pool)) for pool in POOLS) * len(ATTACKS)
    assert harmed == []


@pytest.mark.slow
@pytest.mark.timeout(14_400)
def test_false_alarms_of_sixty_node_months_keep_to_one_a_month_and_one_a_week() -> None:
    figures = false_alarms(60, 2)
    assert figures["node_months"] >= 60
    assert figures["false_alarms_own_month_95"] <= 1
    assert figures["false_alarms_provider_week_95"] <= 1
    assert figures["false_alarms_chain"] == {}
    assert figures["heads_under_two_groups"] == 0
