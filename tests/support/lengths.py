"""State machines that a fast run walks a little, and the batteries at length."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine


def at_length(machine: type[RuleBasedStateMachine], *, examples: int, steps: int) -> Any:
    """Return the test of a state machine with so many examples of so many steps, which is slow."""
    walked = settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    return pytest.mark.slow(type("AtLength", (machine.TestCase,), {"settings": walked}))
