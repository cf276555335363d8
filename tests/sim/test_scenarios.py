"""Every shipped scenario gives the verdict that it expects, all of it and no more: without sockets, and over them."""

from collections import Counter
from pathlib import Path

import pytest
from tests.support.wire import run_over_wire

from tocsin.lab.scenario import read, run
from tocsin.lab.scenario.nodes import InProcess
from tocsin.rpc.channel import Progress, Reply
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


QUIET = """
schema = 1
title = "Nothing happens"
seed = 1
duration = "{duration}"
[chain]
profile = "ethereum"
[[node]]
name = "ours"
own = true
client = "geth"
[[node]]
name = "alpha"
provider = "alpha"
client = "besu"
[[node]]
name = "beta"
provider = "beta"
client = "reth"
[[expect.head]]
grades = ["quorum"]
"""


def asked_in(folder: Path, duration: str, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return how many requests each node got, and how many of all asked for the network's id."""
    asked: Counter[str] = Counter()
    real = InProcess.post

    async def post(self: InProcess, body: bytes, progress: Progress) -> Reply:
        asked[self._node.name] += 1
        asked["net_version"] += b"net_version" in body
        return await real(self, body, progress)

    monkeypatch.setattr(InProcess, "post", post)
    file = folder / "quiet.toml"
    file.write_text(QUIET.format(duration=duration))
    run(read(file))
    return asked


def test_nodes_are_asked_at_the_pace_that_the_engine_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the chain's slots are known, own nodes are asked every 2 s, providers' four times in 12 s."""
    with monkeypatch.context() as until:
        short = asked_in(tmp_path, "3m", until)
    assert short["net_version"] == 3, "with block 0, then by the hour, as the daemon asks where the profile tells it"
    long = asked_in(tmp_path, "7m", monkeypatch) - short
    assert 120 <= long["ours"] <= 120 + 4 * 4
    for name in ("alpha", "beta"):
        assert 80 <= long[name] <= 80 + 2 * 4


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
