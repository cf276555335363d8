"""`tocsin config`: check, show and describe a configuration, and say what another one would change.

All of them work without a daemon. `check` asks for everything that `run` would need; the others look, and put up with
secrets that are not there for the person who looks.
"""

import json
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli import _where
from tocsin.cli._options import AsJson, ConfigFile
from tocsin.clock import NS
from tocsin.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from tocsin.config.load import Loaded

SCHEMA = 1
"""Version of what --json prints."""
_COUNTED = ("chains", "nodes", "beacons", "groups", "markets", "detectors")
_WHERE_THERE_ARE = ("beacons", "markets")
"""What is counted only where there is any."""

MISTAKE = 3

app = typer.Typer(no_args_is_help=True)

File = Annotated[str | None, typer.Argument(metavar="FILE", help="The same as --config FILE.", show_default=False)]
WithoutSecrets = Annotated[
    bool, typer.Option("--without-secrets", help="Put up with secrets that are missing here, such as credentials.")
]


@app.command()
def check(
    *, file: File = None, config: ConfigFile = None, without_secrets: WithoutSecrets = False, as_json: AsJson = False
) -> None:
    """Check a configuration and everything it refers to. Exit code: 0 good, 3 with every mistake listed."""
    path = _path(file, config)
    try:
        loaded = _load(path, require_secrets=not without_secrets)
    except ConfigError as error:
        if as_json:
            _print_json({"ok": False, "errors": list(error.problems), "warnings": []})
        else:
            _complain(error.problems)
        raise typer.Exit(MISTAKE) from None
    from tocsin.cli._audits import audits_of  # noqa: PLC0415 - see tocsin.cli.main

    counts, audits = _counts(loaded), list(audits_of(loaded.settings))
    if as_json:
        told = [
            {
                "chain": one.chain,
                "one_in": one.one_in,
                "groups": one.groups,
                "readings": one.readings,
                "seconds": None if one.block_ns is None else one.block_ns / NS,
            }
            for one in audits
        ]
        _print_json({"ok": True, "errors": [], "warnings": list(loaded.warnings), **counts, "audits": told})
        return
    _complain(f"{line} (warning)" for line in loaded.warnings)
    sys.stdout.write(f"ok: {_sentence(counts)}\n" + "".join(f"{one.sentence()}\n" for one in audits))


@app.command()
def show(*, file: File = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show what takes effect: files merged, defaults filled in, secrets by their source."""
    from tocsin.config.show import as_toml  # noqa: PLC0415 - see tocsin.cli.main

    loaded = _load_or_exit(_path(file, config))
    if as_json:
        _print_json(
            {"config_hash": loaded.settings.config_hash, "files": list(loaded.files), "config": loaded.document}
        )
    else:
        sys.stdout.write(f"# {loaded.settings.config_hash}\n{as_toml(loaded.document)}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from tocsin.config.registry import registry_of  # noqa: PLC0415 - see tocsin.cli.main
    from tocsin.config.schema import json_schema  # noqa: PLC0415 - see tocsin.cli.main
    from tocsin.detect import REGISTRY  # noqa: PLC0415 - see tocsin.cli.main

    sys.stdout.write(json.dumps(json_schema(registry_of(REGISTRY)), indent=2) + "\n")


@app.command()
def diff(old: str, new: str, *, as_json: AsJson = False) -> None:
    """Say what a reload from OLD to NEW would change. Exit code: 0 also when they differ, 3 for a broken one."""
    from tocsin.config.reload import changes  # noqa: PLC0415 - see tocsin.cli.main

    found = changes(_load_or_exit(old), _load_or_exit(new))
    lines = tuple(found.lines())
    if as_json:
        _print_json({"equal": not found, "refused": list(found.refused), "lines": list(lines)})
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines) or "nothing changes\n")


def _path(file: str | None, config: str | None) -> str:
    if file and config:
        raise UsageError("give the file once, as FILE or as --config FILE")
    return _where.needed_config(file or config, os.environ)


def _load(path: str, *, require_secrets: bool) -> "Loaded":
    from tocsin.config.load import load  # noqa: PLC0415 - see tocsin.cli.main
    from tocsin.config.registry import registry_of  # noqa: PLC0415 - see tocsin.cli.main
    from tocsin.detect import REGISTRY  # noqa: PLC0415 - see tocsin.cli.main

    return load(path, registry=registry_of(REGISTRY), environ=os.environ, require_secrets=require_secrets)


def _load_or_exit(path: str) -> "Loaded":
    try:
        return _load(path, require_secrets=False)
    except ConfigError as error:
        _complain(error.problems)
        raise typer.Exit(MISTAKE) from None


def _counts(loaded: "Loaded") -> dict[str, int]:
    from tocsin.chain.groups import group_nodes  # noqa: PLC0415 - see tocsin.cli.main
    from tocsin.config import calls  # noqa: PLC0415 - see tocsin.cli.main

    chains = loaded.settings.chains
    indexing = sum(calls.index_units_per_day(chain, node, {}) for chain in chains for node in chain.nodes)
    return {
        "chains": len(chains),
        "nodes": sum(len(chain.nodes) for chain in chains),
        "beacons": sum(len(chain.beacons) for chain in chains),
        "groups": sum(len(group_nodes(chain.nodes, chain.vote_by).groups) for chain in chains),
        "markets": sum(len(chain.markets) for chain in chains),
        "detectors": len({*loaded.settings.detectors, *(name for chain in chains for name in chain.detectors)}),
        "calls_per_day": sum(
            sum(calls.calls_per_day(chain, node) for node in chain.nodes)
            + len(chain.beacons) * calls.beacon_requests_per_day(chain)
            for chain in chains
        )
        + indexing,
        "indexes": sum(len(chain.indexes) for chain in chains),
        "index_calls_per_day": indexing,
        "backfill_calls_per_million_blocks": sum(map(calls.backfill_calls, chains)),
    }


def _word(key: str, count: int) -> str:
    plural = "beacon nodes" if key == "beacons" else key
    return plural if count != 1 else plural[:-1]


def _sentence(counts: dict[str, int]) -> str:
    words = [
        f"{counts[key]} {_word(key, counts[key])}" for key in _COUNTED if counts[key] or key not in _WHERE_THERE_ARE
    ]
    said = f"{', '.join(words)}; about {_rounded(counts['calls_per_day'])} calls a day"
    if not counts["indexes"]:
        return said
    whose = "a log index" if counts["indexes"] == 1 else f"{counts['indexes']} log indexes"
    once = _rounded(counts["backfill_calls_per_million_blocks"])
    indexing = _rounded(counts["index_calls_per_day"])
    return f"{said}, {indexing} of them for {whose}; back-fill takes about {once} for each million blocks"


def _rounded(calls: int) -> str:
    """Round an estimate to a thousand, or a tenth of a million, as it pretends to no more."""
    thousand, million = 1000, 1_000_000
    if calls >= million:
        return f"{calls / million:.1f}M"
    return f"{calls / thousand:.0f}k" if calls >= thousand else str(calls)


def _complain(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stderr.write(f"{line}\n")


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"schema": SCHEMA, **document}, indent=2) + "\n")
