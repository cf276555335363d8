"""Every shipped scenario gives the verdict that it expects, all of it and nothing else."""

from pathlib import Path

import pytest

from tocsin.lab.scenario import read, run

SCENARIOS = Path(__file__).parents[2] / "configs" / "scenarios"


@pytest.mark.parametrize("file", sorted(SCENARIOS.glob("*.toml")), ids=lambda file: file.stem)
def test_the_scenario_gives_its_verdict(file: Path) -> None:
    assert run(read(file)).problems() == ()
