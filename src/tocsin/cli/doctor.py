"""`tocsin doctor`: test everything that the daemon needs, beside a running one, and say what to do."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tocsin.cli import _fast, _where, _words
from tocsin.cli._options import AsJson, ConfigFile
from tocsin.errors import ConfigError
from tocsin.secret import redact

if TYPE_CHECKING:
    from tocsin.cli._doctor.nodes import Stamp
    from tocsin.cli._doctor.result import Result
    from tocsin.clock import EngineClock
    from tocsin.config.load import Loaded
    from tocsin.config.tree import Beacon, Chain, Node, Tree

SCHEMA = 1
NOT_ASKED = "not asked: a secret of it is missing here, see above"
_COLOURS = {"ok": "32", "warn": "33", "fail": "31", "skip": "2"}


def command(*, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Test nodes, clock, broker, access rights, secrets and folders, and say what to do.

    It asks each node a few dozen calls. Exit code: 0 nothing fails, 1 something does, 3 a broken configuration.
    """
    from tocsin.cli._doctor.result import Level  # noqa: PLC0415 - see tocsin.cli.main

    path = _where.needed_config(config, os.environ)
    results: list[Result] = []
    for result in examine(path):
        results.append(result)
        if not as_json:
            _fast.print_out(line(result, colour=_fast.wants_colour()))
    failed = sum(result.level is Level.FAIL for result in results)
    warned = sum(result.level is Level.WARN for result in results)
    if as_json:
        document = {"schema": SCHEMA, "ok": not failed, "results": [dict(result.as_json()) for result in results]}
        _fast.print_out(json.dumps(document, indent=2) + "\n")
    else:
        _fast.print_out(f"\n{len(results)} looked at, {failed} to mend, {warned} to improve\n")
    raise typer.Exit(1 if failed else 0)


def line(result: "Result", *, colour: bool) -> str:
    """Return one result as it is shown: what was seen, and below it what to do."""
    word = f"{result.level.value:<4}"
    shown = f"\x1b[{_COLOURS[result.level.value]}m{word}\x1b[0m" if colour else word
    text = f"{shown}  {_words.clean(redact(f'{result.subject}: {result.said}'))}\n"
    return text + (f"      -> {_words.clean(redact(result.todo))}\n" if result.todo else "")


def examine(path: str) -> "Iterator[Result]":
    """Look at everything, the host first. Raises ConfigError when there is no configuration to go by."""
    from tocsin.cli._doctor import host  # noqa: PLC0415 - see tocsin.cli.main
    from tocsin.config.secrets import Sources  # noqa: PLC0415 - see tocsin.cli.main

    loaded = _load(path)
    tree = loaded.tree
    yield host.configuration_file(path)
    for warning in loaded.warnings:
        yield _warning(warning)
    yield from host.folders(tree)
    sources = Sources(environ=os.environ, folder=Path(path).absolute().parent)
    yield from host.secrets(tree, sources)
    yield host.descriptors(tree)
    yield host.service_manager(os.environ)
    yield from asyncio.run(_remote(loaded, host.lacking(tree, sources)))
    yield host.running(tree.watchdog.runtime_dir)


def _warning(text: str) -> "Result":
    from tocsin.cli._doctor.result import warn  # noqa: PLC0415 - see tocsin.cli.main

    return warn("configuration", text, "see docs/reference/configuration.md")


async def _remote(loaded: "Loaded", lacking: frozenset[str]) -> "list[Result]":
    """Ask all nodes and the broker at once; the report keeps the order of the configuration."""
    from tocsin.cli._doctor import nodes, watched  # noqa: PLC0415 - see tocsin.cli.main
    from tocsin.clock import EngineClock, SystemClock  # noqa: PLC0415 - see tocsin.cli.main

    tree, clock = loaded.tree, EngineClock(SystemClock())
    async with asyncio.TaskGroup() as group:
        own = group.create_task(watched.examine(loaded, os.environ))
        layer = [
            group.create_task(_beacon(chain, one, clock, lacking)) for chain in tree.chains for one in chain.beacons
        ]
        asked = [group.create_task(_node(chain, node, clock, lacking)) for chain in tree.chains for node in chain.nodes]
        published = group.create_task(_broker(tree, lacking))
        told = group.create_task(_people(tree, lacking))
        quoted = group.create_task(_gateways(tree, clock, lacking))
    answers = [task.result() for task in asked]
    results = [*own.result(), *(result for found, _ in answers for result in found)]
    results += [result for task in layer for result in task.result()]
    stamps = [stamp for _, stamp in answers if stamp is not None]
    results.append(watched.clock_by_heads(nodes.ages(stamps, tree.chains)))
    return results + quoted.result() + published.result() + told.result()


async def _node(
    chain: "Chain", node: "Node", clock: "EngineClock", lacking: frozenset[str]
) -> "tuple[list[Result], Stamp | None]":
    from tocsin.cli._doctor import nodes  # noqa: PLC0415 - see tocsin.cli.main
    from tocsin.cli._doctor.result import skip  # noqa: PLC0415 - see tocsin.cli.main

    subject = f"{chain.name}/{node.name}"
    if subject in lacking:
        return [skip(subject, NOT_ASKED)], None
    return await nodes.examine(chain, node, clock)


async def _beacon(chain: "Chain", one: "Beacon", clock: "EngineClock", lacking: frozenset[str]) -> "list[Result]":
    from tocsin.cli._doctor import beacons  # noqa: PLC0415 - see tocsin.cli.main
    from tocsin.cli._doctor.result import skip  # noqa: PLC0415 - see tocsin.cli.main

    subject = f"{chain.name}/{one.name}"
    return [skip(subject, NOT_ASKED)] if subject in lacking else await beacons.examine(chain, one, clock)


async def _broker(tree: "Tree", lacking: frozenset[str]) -> "list[Result]":
    from tocsin.cli._doctor import broker, host  # noqa: PLC0415 - see tocsin.cli.main
    from tocsin.cli._doctor.result import skip  # noqa: PLC0415 - see tocsin.cli.main

    if tree.mqtt is None:
        return [broker.absent()]
    return [skip("broker", NOT_ASKED)] if host.MQTT in lacking else await broker.examine(tree, tree.mqtt)


async def _gateways(tree: "Tree", clock: "EngineClock", lacking: frozenset[str]) -> "list[Result]":
    from tocsin.cli._doctor import gateways  # noqa: PLC0415 - see tocsin.cli.main
    from tocsin.cli._doctor.result import skip  # noqa: PLC0415 - see tocsin.cli.main

    return [
        skip(subject, NOT_ASKED) if subject in lacking else await gateways.examine(one, clock)
        for one in tree.gateways
        if (subject := gateways.subject_of(one))
    ]


async def _people(tree: "Tree", lacking: frozenset[str]) -> "list[Result]":
    from tocsin.cli._doctor import people  # noqa: PLC0415 - see tocsin.cli.main
    from tocsin.cli._doctor.result import skip  # noqa: PLC0415 - see tocsin.cli.main

    found = [
        skip(f"channel {one.name}", NOT_ASKED) if f"channel {one.name}" in lacking else await people.examine(one)
        for one in tree.channels
    ]
    return found or [people.absent()]


def _load(path: str) -> "Loaded":
    from tocsin.config.load import load  # noqa: PLC0415 - see tocsin.cli.main
    from tocsin.config.registry import registry_of  # noqa: PLC0415 - see tocsin.cli.main
    from tocsin.detect import REGISTRY  # noqa: PLC0415 - see tocsin.cli.main

    registry = registry_of(REGISTRY)
    try:
        return load(path, registry=registry, environ=os.environ)
    except ConfigError:
        # A secret that is not here is one finding among others; any other mistake comes up again.
        return load(path, registry=registry, environ=os.environ, require_secrets=False)
