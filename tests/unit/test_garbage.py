"""Looks for garbage are short: what stays is looked at a little at a time, and what is there at the start never."""

import gc
from collections.abc import Iterator

import pytest

from tocsin.runtime import garbage

MOST_AT_ONCE = 40_000
"""Objects: some 7 ms, on a starved core up to 50."""


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_in_a_storm_in_which_all_stays_no_look_is_long() -> None:
    garbage.begin()
    sizes: list[int] = []

    def look(phase: str, found: dict[str, int]) -> None:
        if phase == "start":
            sizes.append(sum(len(gc.get_objects(generation)) for generation in range(found["generation"] + 1)))

    gc.callbacks.append(look)
    try:
        kept = [[number] for number in range(600_000)]
    finally:
        gc.callbacks.remove(look)
    assert len(kept) == 600_000
    assert len(sizes) > 20
    assert max(sizes) < MOST_AT_ONCE


def test_what_is_there_after_the_start_is_not_looked_at_again() -> None:
    garbage.begin()
    kept = [[number] for number in range(1_000)]
    before = gc.get_freeze_count()
    garbage.settled()
    assert gc.get_freeze_count() >= before + len(kept)
