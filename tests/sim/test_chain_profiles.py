"""Every shipped profile lets an honest chain be, and tells of a node that stands still, forks or lags on it."""

import tomllib
from pathlib import Path

import pytest

from tocsin.config.profile import shipped
from tocsin.lab.scenario import read, run
from tocsin.lab.scenario.verdict import Outcome
from tocsin.model.alert import Severity

PROFILES = [name for name in shipped().names() if name != "dev"]
SLOW = {"ethereum", "sepolia", "hoodi"}
KINDS = [name for name in PROFILES if name not in {"sepolia", "hoodi"}]
"""Each kind of chain once: the test networks are as Ethereum."""
QUICK = {"ethereum", "gnosis", "base"}
FAULTED = [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in KINDS]
"""With blocks of twelve, five and two seconds every time, the others with the batteries."""

POOL = """
schema = 1
title = "{title}"
seed = {seed}
duration = "{duration}"

[chain]
profile = "{profile}"
history = 300
missed = "{missed}"
finalized_after = {finalized}
safe_after = {finalized}

[arrival.near]
median = "{near}"
sigma = 0.35

[arrival.far]
median = "{far}"
sigma = 0.5

[[node]]
name = "one"
own = true
client = "one"
arrival = "near"

[[node]]
name = "two"
own = true
client = "two"
arrival = "near"

[[node]]
name = "alpha"
provider = "alpha"
client = "one"
arrival = "far"

[[node]]
name = "beta"
provider = "beta"
client = "two"
arrival = "far"
"""
EXPECT = "\n[expect]\n"


def played(
    folder: Path, profile: str, seed: int, faults: str = "", duration: str = "8m", finalized: int | None = None
) -> Outcome:
    """Watch four nodes of this chain; blocks reach them as late as they do on chains of its speed."""
    near, far = ("1.2s", "2s") if profile in SLOW else ("250ms", "500ms")
    usual = tomllib.loads((shipped().folder / f"{profile}.toml").read_text()).get("finality_slots", 64)
    file = folder / "scenario.toml"
    text = POOL.format(
        title=f"{profile} as usual",
        seed=seed,
        duration=duration,
        profile=profile,
        missed="1%" if profile in {*SLOW, "gnosis"} else "0%",
        finalized=min(64, usual) if finalized is None else finalized,
        near=near,
        far=far,
    )
    file.write_text(text + faults + EXPECT)
    return run(read(file))


@pytest.mark.parametrize("profile", PROFILES)
def test_an_honest_chain_raises_nothing(tmp_path: Path, profile: str) -> None:
    outcome = played(tmp_path, profile, 1)
    assert outcome.reached == {}
    assert outcome.unsupported == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("profile", PROFILES)
def test_an_honest_chain_raises_nothing_for_hours(tmp_path: Path, profile: str, seed: int) -> None:
    assert played(tmp_path, profile, seed, duration="2h").reached == {}


def fault(name: str, node: str, **arguments: object) -> str:
    lines = [f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in arguments.items()]
    return "\n".join(["\n[[fault]]", 'at = "3m"', f'fault = "{name}"', f'node = "{node}"', *lines, ""])


@pytest.mark.parametrize("profile", FAULTED)
def test_a_node_that_stands_still_is_told_of_within_minutes_and_nobody_else(tmp_path: Path, profile: str) -> None:
    outcome = played(tmp_path, profile, 1, fault("freeze", "one"), "8m")
    assert {subject for _, subject, _ in outcome.reached} == {"one"}
    stale = {severity: at for (detector, _, severity), at in outcome.reached.items() if detector == "node.stale"}
    assert stale[Severity.CRITICAL] - 180 * 10**9 <= 100 * 10**9
    assert ("node.lag", "one", Severity.CRITICAL) in outcome.reached


@pytest.mark.parametrize("profile", FAULTED)
def test_a_node_on_a_branch_of_its_own_is_told_of_and_nobody_else(tmp_path: Path, profile: str) -> None:
    # Nothing becomes final meanwhile: two finalized blocks at one height would be another alert, about the chain.
    outcome = played(tmp_path, profile, 1, fault("fork", "beta", depth=1), "6m", finalized=5_000)
    assert {subject for _, subject, _ in outcome.reached} == {"beta"}
    assert ("node.fork", "beta", Severity.CRITICAL) in outcome.reached
