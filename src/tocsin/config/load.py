"""Load a configuration: files in, one checked tree and the core's settings out, or every mistake at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from tocsin.config.checks import (
    check_consumers,
    check_deadman,
    check_files,
    check_homeassistant,
    check_indexes,
    check_markets,
    check_names,
    check_peers,
    check_providers,
    warn_of_limits,
    warn_of_pools,
    warn_of_secrets,
)
from tocsin.config.documents import Document, read_documents
from tocsin.config.locate import Path
from tocsin.config.people import check_channels
from tocsin.config.problems import MOST, Problems
from tocsin.config.profile import Profiles, apply_profiles, shipped
from tocsin.config.quiet import warn_of_matches
from tocsin.config.registry import Registry
from tocsin.config.resolve import DetectorTables, Overrides, complete, keeping, resolved, settings_of, trusted
from tocsin.config.secrets import Sources
from tocsin.config.show import canonical, effective
from tocsin.config.tree import Tree
from tocsin.config.wording import MISSING, describe
from tocsin.ids import digest
from tocsin.model import selftest
from tocsin.model.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration that holds. `document` is what takes effect, without secrets (see `tocsin.config.show`)."""

    tree: Tree
    settings: Settings
    document: Mapping[str, Any]
    warnings: tuple[str, ...]
    files: tuple[str, ...]


def load(
    path: FilePath | str,
    *,
    registry: Registry,
    environ: Mapping[str, str],
    profiles: Profiles | None = None,
    require_secrets: bool = True,
) -> Loaded:
    """Load a configuration file and all that it includes.

    `registry` maps detector ids to their Params classes. With `require_secrets=False` a missing secret is no error and
    a stand-in takes its place: good for looking, not for running. Raises ConfigError with every problem found.
    """
    main = FilePath(path)
    problems = Problems()
    document = read_documents(main, problems)
    sources = Sources(environ=environ, folder=main.absolute().parent, required=require_secrets)
    return settle(document, sources, problems, registry=registry, profiles=profiles)


def settle(
    document: Document, sources: Sources, problems: Problems, *, registry: Registry, profiles: Profiles | None = None
) -> Loaded:
    """Check a document that was read, or made, and resolve it. Raises ConfigError with every problem found."""
    if not document.data:
        problems.raise_if_any()
    from_profiles = apply_profiles(document, profiles or shipped(), problems)
    check_names(document, problems)
    tables = DetectorTables(document, registry, problems)
    common, layers = tables.common(), _layers(document, tables, from_profiles)
    tree = _tree(document, sources, problems)
    settings = settings_of(tree, registry, common, layers)
    warn_of_secrets(tree, document, sources, problems)
    warn_of_limits(tree, document, problems)
    warn_of_pools(settings, tree, document, problems)
    warn_of_matches(_matches(tree), _names(settings, registry), document, problems)
    shown = effective(tree, settings, resolved(registry, common), trusted(common), keeping(registry, common))
    return Loaded(
        tree=tree,
        settings=replace(settings, config_hash=digest(canonical(shown, settings))),
        document=shown,
        warnings=problems.warning_lines(),
        files=tuple(document.files),
    )


def _names(settings: Settings, registry: Registry) -> dict[str, list[str]]:
    """Return what a match may call detectors, chains and nodes, by key."""
    nodes = [node for chain in settings.chains for node in chain.everyone]
    return {
        "detector": [*registry, selftest.ID],
        "chain": [name for chain in settings.chains for name in (chain.name, f"eip155:{chain.id}")],
        "node": [name for node in nodes for name in (node.name, node.id)],
    }


def _matches(tree: Tree) -> Iterator[tuple[Path, str]]:
    for at, silence in enumerate(tree.silences):
        yield ("silence", at), silence.match
    for at, window in enumerate(tree.maintenance):
        yield ("maintenance", at), window.match
    for at, channel in enumerate(tree.channels):
        yield ("notify", at), channel.match


def _layers(
    document: Document, tables: DetectorTables, from_profiles: Mapping[int, Mapping[str, Any]]
) -> list[tuple[Overrides, Overrides]]:
    """Return what the profile of each chain sets for detectors, and what the chain itself does."""
    chains = document.data.get("chain")
    if not isinstance(chains, list) or not all(isinstance(item, dict) for item in chains):
        return []  # the tree says what is wrong
    return [(tables.of_profile(from_profiles.get(at, {}), at), tables.of_chain(at)) for at in range(len(chains))]


def _tree(document: Document, sources: Sources, problems: Problems) -> Tree:
    """Return the complete tree. Raises ConfigError with all that was found up to here."""
    tree = _validated(document, sources, problems)
    problems.raise_if_any()
    if tree is None:  # pragma: no cover - _validated reports why
        raise AssertionError("a tree that failed left no problem")
    tree = complete(tree, sources.folder)
    check_files(tree, document, problems)
    check_providers(tree, document, problems)
    check_indexes(tree, document, problems)
    check_markets(tree, document, problems)
    check_peers(tree, document, problems)
    check_consumers(tree, document, problems)
    check_deadman(tree, document, problems)
    check_homeassistant(tree, document, problems)
    check_channels(tree.channels, document, problems, has_broker=tree.mqtt is not None)
    problems.raise_if_any()
    return tree


def _validated(document: Document, sources: Sources, problems: Problems) -> Tree | None:
    try:
        return Tree.model_validate(document.data, context=sources)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
    except RecursionError:
        problems.error(document.place(()), (), "tables are nested too deeply")
        return None
    for one in found[:MOST]:
        path = tuple(key for key in one["loc"] if key != "[key]")
        if one["type"] == MISSING and document.lacks(path):
            continue
        if one["type"] == "too_short" and not document.empty(path):
            continue  # its elements are wrong, and that is told already
        problems.error(document.place(path), path, describe(one, path))
    return None
