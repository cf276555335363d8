"""What of a scenario only holds together: names that others refer to, times in order, every source used."""

from collections.abc import Collection, Iterator, Sequence

from tocsin.config.documents import Document
from tocsin.config.locate import Path as Keys
from tocsin.config.problems import Problems, suggestion
from tocsin.detect import REGISTRY
from tocsin.lab.scenario.tables import ScenarioTable
from tocsin.testing.simchain import MAIN

Window = tuple[Keys, int, int | None]


def check(table: ScenarioTable, branches: Collection[str], document: Document, problems: Problems) -> None:
    """Report what does not hold together. `branches` are those that faults part."""
    for keys, message in _found(table, branches, document):
        problems.error(document.place(keys), keys, message)


def _found(table: ScenarioTable, branches: Collection[str], document: Document) -> Iterator[tuple[Keys, str]]:
    yield from _nodes(table)
    yield from _verdict(table, {MAIN, *branches})
    yield from _times(table)
    yield from _sources(table, document)


def _nodes(table: ScenarioTable) -> Iterator[tuple[Keys, str]]:
    names = [node.name for node in table.nodes]
    for at, node in enumerate(table.nodes):
        if node.name in names[:at]:
            yield ("node", at, "name"), f"there are two nodes {node.name}"
        if isinstance(node.arrival, str) and node.arrival not in ("default", *table.arrival):
            yield (
                ("node", at, "arrival"),
                f"there is no [arrival.{node.arrival}]" + suggestion(node.arrival, table.arrival),
            )


def _verdict(table: ScenarioTable, branches: Collection[str]) -> Iterator[tuple[Keys, str]]:
    names = [node.name for node in table.nodes]
    for at, alert in enumerate(table.expect.alerts):
        if alert.detector not in REGISTRY:
            message = "there is no such detector" + suggestion(alert.detector, REGISTRY)
            yield ("expect", "alert", at, "detector"), message
        if alert.node is not None and alert.node not in names:
            yield ("expect", "alert", at, "node"), "there is no such node" + suggestion(alert.node, names)
    for at, head in enumerate(table.expect.heads):
        for key, wanted in (("branch", head.branch and (head.branch,)), ("not_branch", head.not_branch)):
            for branch in wanted or ():
                if branch not in branches:
                    message = f"no fault parts a branch {branch}" + suggestion(branch, branches)
                    yield ("expect", "head", at, key), message


def _times(table: ScenarioTable) -> Iterator[tuple[Keys, str]]:
    windows: list[Window] = []
    for at, alert in enumerate(table.expect.alerts):
        windows.append((("expect", "alert", at), alert.from_ns, alert.to_ns))
    for at, head in enumerate(table.expect.heads):
        windows.append((("expect", "head", at), head.from_ns, head.to_ns))
    for keys, from_ns, to_ns in windows:
        if not from_ns < (to_ns or table.duration_ns) <= table.duration_ns:
            yield keys, "from and to are no window within the scenario's duration"


def _sources(table: ScenarioTable, document: Document) -> Iterator[tuple[Keys, str]]:
    known = [source.id for source in table.sources]
    used: set[str] = set()
    for group in ("node", "fault"):
        for at, entry in enumerate(document.data.get(group, ())):
            for name in _listed(entry.get("source", [])):
                used.add(name)
                if name not in known:
                    message = f"there is no [[source]] with id {name}" + suggestion(name, known)
                    yield (group, at, "source"), message
    for at, name in enumerate(known):
        if name not in used:
            yield ("source", at, "id"), f"nothing rests on the source {name}"


def _listed(value: object) -> Sequence[str]:
    """Return the names in a value as it is written; what is none of them is told where the tables are checked."""
    names = value if isinstance(value, list) else [value]
    return [name for name in names if isinstance(name, str)]
