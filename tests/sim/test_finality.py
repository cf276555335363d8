"""Revoked finality in a scenario: told because nodes are asked for the block that was final, and by nothing else."""

from pathlib import Path

import pytest

from tocsin.engine import finality
from tocsin.engine.state import ChainState
from tocsin.lab.scenario import read, run

DEEP = Path(__file__).parents[2] / "configs" / "scenarios" / "faults" / "finality-revoked.toml"


def test_without_the_question_a_deep_revocation_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def asks_nobody(state: ChainState, *_: object) -> tuple[ChainState, tuple[()]]:
        return state, ()

    monkeypatch.setattr(finality, "plan", asks_nobody)
    [problem] = run(read(DEEP)).problems()
    assert problem == "chain.finality_violation critical was never raised"
