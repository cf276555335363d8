# ruff: noqa: E501 - a table
"""Scenario files: every mistake is told with its line, and what is read is what was written."""

from pathlib import Path

import pytest

from tocsin.errors import ConfigError
from tocsin.lab.scenario import read
from tocsin.testing.simfaults import WORLD_FAULTS, Fork

SCENARIOS = Path(__file__).parents[2] / "configs" / "scenarios"
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "scenarios.md"

HEAD = """\
schema = 1
title = "t"
duration = "5m"
[[node]]
name = "a"
own = true
client = "geth"
[[node]]
name = "b"
provider = "far"
client = "besu"
"""


def told(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "s.toml"
    file.write_text(HEAD + text)
    with pytest.raises(ConfigError) as caught:
        read(file)
    return [problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


@pytest.mark.parametrize(
    "file",
    sorted(set(SCENARIOS.rglob("*.toml")) - set((SCENARIOS / "pools").glob("*.toml"))),
    ids=lambda file: file.stem,
)
def test_every_shipped_scenario_reads(file: Path) -> None:
    assert read(file).timeline


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[fault]]\nat = "1s"\nfault = "freze"\nnode = "a"', "s.toml:14: fault.0.fault: there is no such fault (did you"),
        ('[[fault]]\nat = "1s"\nfault = "freeze"\nnode = "c"', "s.toml:15: fault.0.node: no node has it: c"),
        ('[[fault]]\nat = "1s"\nfault = "freeze"', "s.toml:12: fault.0: freeze strikes nodes: name them by"),
        ('[[fault]]\nat = "1s"\nfault = "freeze"\nnode = "a"\ndepht = 2', "s.toml:16: fault.0.depht: unknown key"),
        ('[[fault]]\nat = "1s"\nfault = "fork"\nnode = "a"\ndepht = 2', "fault.0.depht: unknown key (did you mean depth?)"),
        ('[[fault]]\nat = "1s"\nfault = "fork"\nnode = "a"\ndepth = "2"', "s.toml:16: fault.0.depth: write a whole number"),
        ('[[fault]]\nat = "1s"\nfault = "deep_reorg"\nlower = 7', "s.toml:12: fault.0: lower = 7: must be at least 0 and"),
        ('[[fault]]\nat = "1s"\nfault = "chain_halt"\nnode = "a"', "chain_halt strikes the chain, not nodes"),
        ('[[fault]]\nat = "1s"\nfault = "version"\nnode = "a"', "fault.0.client: missing; version needs it"),
        ('[[fault]]\nat = "1s"\nfault = "lag"\nnode = "a"', "s.toml:12: fault.0: a lag needs blocks or by"),
        ('[[fault]]\nat = "1s"\nfault = "chaos"\nnode = "a"\nwhat = "nonsense"', "fault 'nonsense': unknown"),
        ('[[fault]]\nat = "6m"\nfault = "freeze"\nnode = "a"', "s.toml:12: fault.0: lies beyond the end"),
        ('[[fault]]\nat = "4m"\nfor = "2m"\nfault = "freeze"\nnode = "a"', "s.toml:12: fault.0: lies beyond the end"),
        ('[[fault]]\nat = 1\nfault = "freeze"\nnode = "a"', "s.toml:13: fault.0.at: write a duration as a string"),
        ('[[node]]\nname = "a"', "s.toml:13: node.2.name: there are two nodes a"),
        ('[[node]]\nname = "c"\narrival = "near"', "s.toml:14: node.2.arrival: there is no [arrival.near]"),
        ('[[expect.alert]]\ndetector = "node.lag"\nnode = "c"', "s.toml:14: expect.alert.0.node: there is no such node"),
        ('[[expect.alert]]\ndetector = "node.lagg"', "s.toml:13: expect.alert.0.detector: there is no such detector"),
        ('[[expect.alert]]\ndetector = "node.lag"\nseverity = "bad"', "write one of info, warning, critical"),
        ('[[expect.head]]\ngrades = ["sure"]', "expect.head.0.grades.0: write one of proven, quorum"),
        ('[[expect.head]]\nbranch = "fork"', "s.toml:13: expect.head.0.branch: no fault parts a branch fork"),
        ('[[expect.head]]\nfrom = "2m"\nto = "1m"', "s.toml:12: expect.head.0: from and to are no window"),
        ('[[source]]\nid = "x"\ncite = "y"\nfact = "z"', "s.toml:13: source.0.id: nothing rests on the source x"),
        ('[[node]]\nname = "c"\nsource = "x"', "s.toml:14: node.2.source: there is no [[source]] with id x"),
        ("[chain]\nmissed = 0.1", "s.toml:13: chain.missed: write a share as a string"),
        ('[chain]\nprofile = "etherum"', "s.toml:13: chain.0.profile: there is no such profile (did you mean ethereum?)"),
        ('[detector."node.lagg"]', 's.toml:12: detector."node.lagg": unknown detector (did you mean node.lag?)'),
        ('[chain]\nmised = "1%"', "s.toml:13: chain.mised: unknown key (did you mean missed?)"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    problems = told(tmp_path, text)
    assert len(problems) == 1, problems
    assert said in problems[0]


@pytest.mark.parametrize("value", ["1979-05-27", "[['a']]", "7", "{ a = 1 }", "[1, {}]"])
def test_a_source_that_is_no_name_is_told_with_its_line(tmp_path: Path, value: str) -> None:
    said = told(tmp_path, f'[[fault]]\nat = "1s"\nfault = "freeze"\nnode = "a"\nsource = {value}\n')
    assert [problem for problem in said if problem.startswith("s.toml:16: fault.0.source")]


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = '[[fault]]\nat = "1s"\nfault = "freze"\nnode = "a"\n[[node]]\nname = "a"'
    assert len(told(tmp_path, text)) == 2


def test_a_fault_strikes_whom_its_aims_name_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """
[[node]]
name = "c"
provider = "far"
client = "geth"
[[fault]]
at = "1s"
fault = "provider_outage"
provider = "far"
[[fault]]
at = "2s"
for = "3s"
fault = "fork"
client_of = "geth"
depth = 4
[[fault]]
at = "3s"
fault = "chain_halt"
"""
    file = tmp_path / "s.toml"
    file.write_text(HEAD + text)
    outage, fork, halt = read(file).timeline
    assert outage.nodes == ("b", "c")
    assert (fork.nodes, fork.fault, fork.until_ns) == (("a", "c"), Fork(depth=4), 5 * 10**9)
    assert (halt.nodes, halt.until_ns) == ((), None)


def test_shipped_defaults_and_profiles_apply_to_a_scenario(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(HEAD + '[chain]\nprofile = "ethereum"\n[detector."node.lag"]\nwarning = { over = 9 }\n')
    chain = read(file).settings.chains[0]
    assert (chain.id, chain.block_time_ns) == (1, 12 * 10**9)
    assert chain.detectors["node.lag"].warning.over == 9  # type: ignore[attr-defined]
    assert chain.nodes[0].provider == "self"


def test_the_reference_lists_every_fault() -> None:
    text = REFERENCE.read_text()
    assert [name for name in WORLD_FAULTS if f"| `{name}` |" not in text] == []
