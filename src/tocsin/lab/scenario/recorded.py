"""A recording held against the verdict of a scenario: what real nodes did must be judged as what simulated ones do."""

from pathlib import Path

from tocsin.engine.step import Step
from tocsin.lab.replay import Replay
from tocsin.lab.scenario.file import Scenario
from tocsin.lab.scenario.verdict import Outcome


def replayed(scenario: Scenario, recording: Path) -> Outcome:
    """Decide a recording again and return what came of it. Raises CorruptRecord, StoreError.

    The recording's own configuration decides; nodes and chain have the names that the scenario has for them. Times
    count from the first effect. What branches there were a recording does not know, so `branch` is not judged.
    """
    outcome, begun_ns = Outcome(scenario=scenario), None
    for state, effect in Replay(path=recording).effects():
        begun_ns = state.t_ns if begun_ns is None else begun_ns
        outcome.note(state.t_ns - begun_ns, Step(state=state, effects=(effect,)))
    return outcome
