"""Every shipped scenario gives the verdict that it expects, all of it and no more: without sockets, and over them."""

from pathlib import Path

import pytest
from tests.support.wire import run_over_wire

from tocsin.lab.scenario import read, run
from tocsin.testing.simfaults import WORLD_FAULTS

SCENARIOS = Path(__file__).parents[2] / "configs" / "scenarios"
FAULTS = sorted((SCENARIOS / "faults").glob("*.toml"))
FILES = [*sorted(SCENARIOS.glob("*.toml")), *FAULTS]
OVER_WIRE = ("fork", "provider-outage", "batch-erigon", "clock-jump")
"""What goes over real connections each time; the others do in the slow tests."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_scenario_gives_its_verdict(file: Path) -> None:
    assert run(read(file)).problems() == ()


@pytest.mark.parametrize("name", OVER_WIRE)
def test_the_daemons_own_prober_over_real_connections_gives_the_same_verdict(name: str) -> None:
    assert run_over_wire(read(SCENARIOS / "faults" / f"{name}.toml")).problems() == ()


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_scenario_gives_the_same_verdict_over_real_connections(file: Path) -> None:
    assert run_over_wire(read(file)).problems() == ()


def test_every_kind_of_fault_has_a_scenario() -> None:
    played = {timed.fault.name for file in FILES for timed in read(file).timeline}
    # Announcements need a websocket, and `chaos` is any fault of the proxy, each of which has tests of its own.
    assert set(WORLD_FAULTS) - played == {"ws_silent", "chaos"}


def test_the_same_scenario_gives_the_same_outcome_to_the_nanosecond() -> None:
    file = SCENARIOS / "faults" / "fork.toml"
    first, second = run(read(file)), run(read(file))
    assert first.reached == second.reached
    assert first.heads == second.heads


def test_what_differs_from_the_verdict_is_told(tmp_path: Path) -> None:
    text = (SCENARIOS / "frozen-node.toml").read_text()
    changed = text.replace('severity = "critical"\nfrom = "280s"', 'severity = "info"\nfrom = "280s"')
    changed = changed.replace('from = "140s"\nto = "180s"', 'from = "1s"\nto = "2s"')
    changed = changed.replace('grades = ["quorum"]', 'grades = ["split"]\nreaches = ["blind"]\nstands = true')
    changed = changed.replace('ends = "resolved"\n\n[[expect.head]]', 'ends = "open"\n\n[[expect.head]]')
    file = tmp_path / "changed.toml"
    file.write_text(changed)
    told = "\n".join(run(read(file)).problems())
    for what in (
        "node.lag critical of geth was raised at",
        "node.lag info of geth was never raised",
        "not from 1s to 2s",
        "is resolved at the end, not open",
        "has grade quorum at",
        "never reaches grade blind",
        "moves, although it must stand",
    ):
        assert what in told
