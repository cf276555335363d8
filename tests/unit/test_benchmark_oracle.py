"""The series that the benchmark of oracles makes follows its law, and what is silenced in it is what is found."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from benchmarks import oracle
from benchmarks._rounds import BLOCK_S, EARLY_AFTER_EARLY, HEARTBEAT_S, Answer, from_file, generated, looks, silenced

from tocsin.clock import NS

COUNT = 1_500


def test_a_made_series_is_never_called_stale_and_every_silence_in_it_is() -> None:
    found = oracle.figures([generated(COUNT, 7)], HEARTBEAT_S, 10)
    assert (found["false_alarms"], found["false_alarms_injected"]) == (0, 0)
    assert found["found"] == found["paged"] == found["injected"] == (COUNT - 1) // 10
    [row] = found["series"]  # type: ignore[misc]
    assert row["other_alarms"] == {}
    assert row["found_after_s"] == HEARTBEAT_S + 120


def test_a_grace_that_is_too_short_would_be_found_and_a_silence_that_is_not_long_is_none() -> None:
    series = generated(COUNT, 7)
    feed = oracle.feed_of(HEARTBEAT_S)
    assert oracle.told(series, replace(feed, grace_ns=24 * NS)).stale
    short, _ = silenced(series, 10, HEARTBEAT_S)
    assert oracle.told(short, feed).stale == set()


def test_a_made_series_has_the_law_of_real_ones() -> None:
    gaps = generated(20_000, 3).gaps_s
    assert max(gaps) <= HEARTBEAT_S + 120
    assert min(gaps) >= BLOCK_S
    assert all(gap % BLOCK_S == 0 for gap in gaps)
    early = [gap < HEARTBEAT_S - BLOCK_S for gap in gaps]
    again = sum(a and b for a, b in pairwise(early)) / sum(early)
    assert again == pytest.approx(EARLY_AFTER_EARLY, abs=0.02)
    ranked = sorted(gaps)
    # As measured: median 3,024 s (ETH/USD) and 3,300 s (BTC/USD), 99 of 100 gaps up to 3,660 s.
    assert 2_900 <= ranked[len(ranked) // 2] <= 3_400
    assert 3_636 <= ranked[len(ranked) * 99 // 100] <= 3_672


def test_a_made_series_is_the_same_for_a_seed_and_another_for_another() -> None:
    assert generated(50, 1) == generated(50, 1)
    assert generated(50, 1).rounds != generated(50, 2).rounds


def test_a_file_is_read_in_the_order_of_its_rounds_without_what_is_no_round(tmp_path: Path) -> None:
    file = tmp_path / "rounds.csv"
    file.write_text(",round,answer,start,update,answeredInRound\n0,9,300,50,50,9\n1,8,200,40,40,8\n2,7,0,0,0,7\n")
    found = from_file(file)
    assert found.rounds == (Answer(8, 200, 40), Answer(9, 300, 50))
    assert found.dropped == 1
    file.write_text("round,answer,update\n1,2.5,3\n")
    with pytest.raises(ValueError, match=r"rounds\.csv:2: needs whole numbers"):
        from_file(file)


def test_a_feed_is_looked_at_when_it_answers_when_it_is_late_and_just_before_it_answers() -> None:
    series = replace(generated(3, 1), rounds=(Answer(1, 5, 0), Answer(2, 5, 100), Answer(3, 5, 5_000)))
    assert list(looks(series, 3_720)) == [(0, 0), (88, 0), (100, 1), (3_820, 1), (4_988, 1), (5_000, 2)]
