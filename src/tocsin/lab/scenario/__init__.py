"""Scenarios: a simulated chain and its nodes, a timeline of faults, and the verdict that must come of it.

The file format is described in docs/reference/scenarios.md. `read` gives a `Scenario`, `run` plays it through the real
engine, and `Outcome.problems()` says where the verdict differs from the one expected.
"""

from tocsin.lab.scenario.file import Scenario, read
from tocsin.lab.scenario.run import run
from tocsin.lab.scenario.verdict import Outcome

__all__ = ["Outcome", "Scenario", "read", "run"]
