"""What the engine is told in a scenario: a configuration made from it, so that shipped defaults and profiles apply."""

from pathlib import Path
from typing import Any, Final

from tocsin.clock import NS
from tocsin.config.documents import Document
from tocsin.config.load import Loaded, settle
from tocsin.config.problems import Problems
from tocsin.config.registry import registry_of
from tocsin.config.secrets import Sources
from tocsin.detect import REGISTRY
from tocsin.lab.scenario.tables import ChainTable, NodeTable, ScenarioTable
from tocsin.units import duration_text

SITE: Final = "sim"
START_S: Final = 1_700_000_000
"""Unix time at which a scenario starts, in whole slots at or before it."""
_PLAIN: Final = {"id": 1337, "block_time": "12s", "poll": "2s"}
"""A chain without a profile."""

_TAGS = ("provider", "operator", "client", "region", "host")


def configuration_of(table: ScenarioTable, document: Document, problems: Problems) -> Loaded:
    """Return the configuration, with URLs that lead nowhere. Raises ConfigError with the scenario's lines."""
    chain = _chain(table.chain)
    chain["node"] = [_node(node) for node in table.nodes]
    data = {
        "schema": 1,
        "watchdog": {"site": SITE, "name": "watchdog", "environment": "sim"},
        "chain": [chain],
        "detector": dict(table.detector),
    }
    places = {}
    for keys, place in document.places.items():
        if keys[:1] == ("detector",):
            places[keys] = place
        elif keys[:1] in (("chain",), ("node",)):
            places["chain", 0, *(keys[1:] if keys[0] == "chain" else keys)] = place
    made = Document(data=data, places=places, files=list(document.files))
    sources = Sources(environ={}, folder=Path(), required=False)
    return settle(made, sources, problems, registry=registry_of(REGISTRY))


def _chain(chain: ChainTable) -> dict[str, Any]:
    said: dict[str, Any] = {"name": chain.name} | ({} if chain.profile else _PLAIN)
    times = {"block_time": chain.block_time_ns, "poll": chain.poll_ns, "tick": chain.tick_ns}
    said |= {key: duration_text(ns) for key, ns in times.items() if ns is not None}
    plain = {"profile": chain.profile, "id": chain.id, "vote_by": chain.vote_by and list(chain.vote_by)}
    forks = {name: START_S + ns // NS for name, ns in chain.forks.items()}
    return (
        said | {key: value for key, value in plain.items() if value is not None} | ({"forks": forks} if forks else {})
    )


def _node(node: NodeTable) -> dict[str, Any]:
    tags = {tag: value for tag in _TAGS if (value := getattr(node, tag)) is not None}
    return {"name": node.name, "url": f"http://{node.name}.invalid", "own": node.own, **tags}
