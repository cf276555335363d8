"""Incidents that happened: each is judged as expected, and no longer is once the rule that judges it is taken away."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tocsin.engine import truth
from tocsin.lab.scenario import read, run
from tocsin.lab.scenario.file import Scenario
from tocsin.model.alert import Over
from tocsin.model.settings import ChainSettings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "configs" / "scenarios" / "incidents"
FILES = sorted(FOLDER.glob("*.toml"))
PAGE = (ROOT / "docs" / "explanation" / "incidents.md").read_text()

Change = Callable[[ChainSettings], ChainSettings]


def changed(scenario: Scenario, change: Change) -> Scenario:
    [chain] = scenario.settings.chains
    return replace(scenario, settings=replace(scenario.settings, chains=(change(chain),)))


def without(detector: str) -> Change:
    """A detector that has no limits raises nothing."""

    def change(chain: ChainSettings) -> ChainSettings:
        params: Any = chain.detectors[detector]
        names = [field.name for field in dataclasses.fields(params)]
        limits = {name: None for name in names if isinstance(getattr(params, name), Over)}
        never = {name: 10**9 for name in names if name.endswith(("_percent", "lasting_slots", "polls"))}
        return replace(chain, detectors={**chain.detectors, detector: replace(params, **limits, **never)})

    return change


def by_node(chain: ChainSettings) -> ChainSettings:
    """Every node is a witness of its own, whoever runs it."""
    nodes = tuple(replace(node, provider=node.name, operator=node.name) for node in chain.nodes)
    return replace(chain, nodes=nodes)


def by_operator(chain: ChainSettings) -> ChainSettings:
    return replace(chain, vote_by=("provider", "operator"))


def no_upgrade(chain: ChainSettings) -> ChainSettings:
    return replace(chain, forks=())


def every_reorg(chain: ChainSettings) -> ChainSettings:
    """A reorg of one block is worth an alert."""
    params: Any = chain.detectors["chain.reorg"]
    return replace(chain, detectors={**chain.detectors, "chain.reorg": replace(params, warning=Over(over=1))})


RULES: Mapping[str, Mapping[str, Change]] = {
    "besu-18947893": {"`node.lag`": without("node.lag"), "`node.stale`": without("node.stale")},
    "erpc-phantom-head": {"`node.phantom_head`": without("node.phantom_head")},
    "finality-may-2023": {"`chain.finality_stall`": without("chain.finality_stall")},
    "geth-split-11234873": {
        "`node.fork`": without("node.fork"),
        "one vote for each group": by_node,
        "`pool.monoculture`": without("pool.monoculture"),
    },
    "holesky-pectra": {"one group more around upgrades": no_upgrade, "`pool.split`": without("pool.split")},
    "nethermind-23188016": {"one vote for each group": by_node, "`node.stale`": without("node.stale")},
    "nethermind-jan-2024": {"`node.lag`": without("node.lag"), "`node.stale`": without("node.stale")},
    "optimism-one-block-reorg": {"a reorg counts from two blocks on": every_reorg},
    "polygon-reorg-feb-2023": {"`chain.reorg`": without("chain.reorg"), "`node.fork`": without("node.fork")},
    "reth-23272427": {"own nodes vote by client": by_operator, "`node.stale`": without("node.stale")},
}
"""Each incident with the rules without which it would be judged otherwise, the foremost first."""

LONG = {"erpc-phantom-head", "finality-may-2023"}
CASES = [
    pytest.param(name, rule, id=f"{name}, {rule}", marks=[pytest.mark.slow] * bool(at or name in LONG))
    for name, rules in RULES.items()
    for at, rule in enumerate(rules)
]
"""The first of each runs every time, the others and those of the longest incidents with the batteries."""


def problems(scenario: Scenario) -> tuple[str, ...]:
    return run(scenario).problems()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_incident_is_judged_as_it_should_have_been(file: Path) -> None:
    assert problems(read(file)) == ()


@pytest.mark.parametrize(("name", "rule"), CASES)
def test_without_the_responsible_rule_it_is_judged_otherwise(name: str, rule: str) -> None:
    assert problems(changed(read(FOLDER / f"{name}.toml"), RULES[name][rule])) != ()


def test_a_wrong_majority_would_win_if_the_raised_quorum_ended_with_the_upgrade(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = truth.agreed

    def forgetful(state: Any, *rest: Any) -> Any:
        return replace(real(state, *rest), raised_until_ns=0)

    monkeypatch.setattr(truth, "agreed", forgetful)
    found = problems(read(FOLDER / "holesky-pectra.toml"))
    assert any("has grade quorum" in problem and "which it never may" in problem for problem in found)


def test_a_deep_reorg_would_pass_unseen_if_only_known_ancestors_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth, "apart", lambda *_: 0)
    assert problems(read(FOLDER / "polygon-reorg-feb-2023.toml")) == ("chain.reorg critical was never raised",)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_fault_of_an_incident_rests_on_a_source_that_can_be_read(file: Path) -> None:
    table = read(file).table
    assert all(source.cite.startswith("https://") and len(source.fact) > 60 for source in table.sources)
    assert all(fault["source"] for fault in table.faults)
    assert table.title


def test_the_page_has_every_incident_its_sources_and_its_rules() -> None:
    assert sorted(RULES) == [file.stem for file in FILES]
    rows = {line.split("|")[1].strip().split("`")[1]: line for line in PAGE.splitlines() if line.startswith("| [`")}
    assert sorted(rows) == sorted(RULES)
    for name, rules in RULES.items():
        assert [rule for rule in rules if rule not in rows[name]] == []
