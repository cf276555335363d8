"""The death of a watchdog is told by another one within 30 s, and no life is taken for a death."""

import pytest

from tocsin.clock import NS
from tocsin.lab.detection.watchers import DEATHS, Death, watcher_death

LIMIT_NS = 30 * NS
WITHOUT_A_WILL_NS = 31 * NS
"""Three heartbeats, and the tick that looks."""


@pytest.mark.parametrize("death", DEATHS)
def test_a_death_is_told_within_its_limit_whenever_it_comes(death: Death) -> None:
    found = [watcher_death(death, seed) for seed in range(60)]
    assert [one.early for one in found] == [0] * 60
    limit_ns = WITHOUT_A_WILL_NS if death == "silent" else LIMIT_NS
    assert all(one.after_ns is not None and one.after_ns < limit_ns for one in found)


def test_a_trial_is_the_same_again() -> None:
    assert watcher_death("gone", 7) == watcher_death("gone", 7)
    assert watcher_death("gone", 7) != watcher_death("gone", 8)
