"""From a scenario file to a scenario: everything checked, every mistake told with file and line at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tocsin.config.documents import Document, read_documents
from tocsin.config.locate import Path as Keys
from tocsin.config.problems import Problems, suggestion
from tocsin.config.registry import given, table_of
from tocsin.config.tree import Tree
from tocsin.config.wording import describe_value
from tocsin.errors import UsageError
from tocsin.lab.scenario.check import check
from tocsin.lab.scenario.settings import configuration_of
from tocsin.lab.scenario.tables import (
    DEFAULT_ARRIVAL,
    ArrivalTable,
    ExpectTable,
    FaultTable,
    NodeTable,
    ScenarioTable,
)
from tocsin.model.settings import Settings
from tocsin.testing.simfaults import WORLD_FAULTS, Fork, WorldFault

T = TypeVar("T", bound=BaseModel)

_AIMS = ("node", "provider", "operator", "client_of", "region")
_COMMON = {field.alias or name for name, field in FaultTable.model_fields.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A fault of the timeline; times from the start, `until_ns` None for one that lasts."""

    at_ns: int
    until_ns: int | None
    nodes: tuple[str, ...]
    fault: WorldFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A scenario that holds. `table` is the file, `settings` what the engine gets."""

    path: Path
    table: ScenarioTable
    settings: Settings
    tree: Tree
    """The configuration that the settings were made from: for whoever asks the nodes over real connections."""
    timeline: tuple[Timed, ...]

    @property
    def expect(self) -> ExpectTable:
        """The verdict that must come of it."""
        return self.table.expect

    def arrival(self, node: NodeTable) -> ArrivalTable:
        """Return how late blocks reach a node."""
        if isinstance(node.arrival, ArrivalTable):
            return node.arrival
        return self.table.arrival.get(node.arrival, DEFAULT_ARRIVAL)


def read(path: Path | str) -> Scenario:
    """Read a scenario file and what it includes. Raises ConfigError with every problem found."""
    main = Path(path)
    problems = Problems()
    document = read_documents(main, problems)
    if not document.data:
        problems.raise_if_any()
    table = _checked(ScenarioTable, document.data, (), document, problems)
    timeline = tuple(_timeline(table, document, problems)) if table is not None else ()
    if table is not None:
        branches = [timed.fault.branch for timed in timeline if isinstance(timed.fault, Fork)]
        check(table, branches, document, problems)
    problems.raise_if_any()
    if table is None:  # pragma: no cover - what was wrong is a problem
        raise AssertionError("a scenario that failed left no problem")
    loaded = configuration_of(table, document, problems)
    return Scenario(path=main, table=table, settings=loaded.settings, tree=loaded.tree, timeline=timeline)


def _checked(model: type[T], data: Mapping[str, Any], at: Keys, document: Document, problems: Problems) -> T | None:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for found in error.errors(include_input=False, include_url=False):
            keys = (*at, *(key for key in found["loc"] if key not in ("str", "ArrivalTable")))
            message = describe_value(found, keys)
            if found["type"] == "extra_forbidden":
                message = "unknown key" + suggestion(str(keys[-1]), _keys(model, found["loc"][:-1]))
            problems.error(document.place(keys), keys, message)
    return None


def _keys(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """Return the keys of the table that a path leads to, for suggestions."""
    schema = model.model_json_schema(by_alias=True)
    node = schema
    for key in path:
        node = node.get("properties", {}).get(key, {}) if isinstance(key, str) else node.get("items", {})
        reference = next((option["$ref"] for option in [node, *node.get("anyOf", [])] if "$ref" in option), None)
        node = schema["$defs"][reference.rpartition("/")[2]] if reference else node
    return list(node.get("properties", {}))


def _timeline(table: ScenarioTable, document: Document, problems: Problems) -> Iterator[Timed]:
    for at, entry in enumerate(table.faults):
        keys: Keys = ("fault", at)
        common = _checked(FaultTable, {key: entry[key] for key in entry if key in _COMMON}, keys, document, problems)
        kind = WORLD_FAULTS.get(str(entry.get("fault")))
        if kind is None and "fault" in entry:
            known = suggestion(str(entry["fault"]), WORLD_FAULTS) or f"; known are {', '.join(WORLD_FAULTS)}"
            problems.error(document.place((*keys, "fault")), (*keys, "fault"), "there is no such fault" + known)
        if common is None or kind is None:
            continue
        arguments = {key: entry[key] for key in entry if key not in _COMMON}
        fault = _fault(kind, arguments, keys, document, problems)
        nodes = _aim(common, kind, table, keys, document, problems)
        until_ns = None if common.for_ns is None else common.at_ns + common.for_ns
        if max(common.at_ns, until_ns or 0) > table.duration_ns:
            problems.error(document.place(keys), keys, "lies beyond the end of the scenario; see duration")
        if fault is not None and nodes is not None:
            yield Timed(at_ns=common.at_ns, until_ns=until_ns, nodes=nodes, fault=fault)


def _fault(
    kind: type[Any], arguments: Mapping[str, Any], keys: Keys, document: Document, problems: Problems
) -> WorldFault | None:
    table = _checked(table_of(kind), arguments, keys, document, problems)
    if table is None:
        return None
    try:
        made: WorldFault = kind(**given(table))
    except TypeError as error:  # an argument without a default
        missing = str(error).partition("'")[2].partition("'")[0].removesuffix("_ns")
        problems.error(document.place((*keys, missing)), (*keys, missing), f"missing; {kind.name} needs it")
    except (ValueError, UsageError) as error:
        problems.error(document.place(keys), keys, str(error))
    else:
        return made
    return None


def _aim(
    common: FaultTable, kind: type[WorldFault], table: ScenarioTable, keys: Keys, document: Document, problems: Problems
) -> tuple[str, ...] | None:
    """Return the nodes that a fault strikes, in the order of the file."""
    given_aims = [aim for aim in _AIMS if getattr(common, aim)]
    place = document.place(keys)
    if kind.aim != "nodes":
        if given_aims:
            problems.error(place, (*keys, given_aims[0]), f"{kind.name} strikes the {kind.aim}, not nodes")
            return None
        return ()
    if not given_aims:
        problems.error(place, keys, f"{kind.name} strikes nodes: name them by {', '.join(_AIMS)}")
        return None
    struck: list[str] = []
    for aim in given_aims:
        tag = "name" if aim == "node" else "client" if aim == "client_of" else aim
        for wanted in getattr(common, aim):
            found = [node.name for node in table.nodes if _tag(node, tag) == wanted]
            if not found:
                known = suggestion(wanted, {_tag(node, tag) for node in table.nodes} - {""})
                problems.error(document.place((*keys, aim)), (*keys, aim), f"no node has it: {wanted}{known}")
            struck += found
    return tuple(node.name for node in table.nodes if node.name in struck)


def _tag(node: NodeTable, tag: str) -> str:
    value = getattr(node, tag) or ""
    return str(
        value or (_tag(node, "provider") if tag == "operator" else "self" if tag == "provider" and node.own else "")
    )
