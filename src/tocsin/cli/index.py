"""`tocsin index`: how far the log indexes are, by the daemon, or by their files where none runs."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin.cli import _client, _fast, _where
from tocsin.cli._indexes import lines
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.cli._words import rows, say
from tocsin.errors import ControlError, StoreError
from tocsin.model.index import IndexSample, IndexSettings
from tocsin.model.settings import ChainSettings

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)

Row = Mapping[str, Any]


@app.callback()
def _index() -> None:
    """Show log indexes."""


@app.command("status")
def status(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="As it is configured; all without it.")] = "",
    *,
    chain: Annotated[str, typer.Option("--chain", metavar="CHAIN", help="Those of this chain only.")] = "",
    digest: Annotated[bool, typer.Option("--digest", help="Read each index whole, and name its content.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Show how far each index is: blocks, logs, accounts, rate, the time that is left, and why it waits."""
    source, found = _found(daemon_dir(config, runtime_dir), config)
    chosen = chosen_of(found, name, chain)
    if digest:
        chosen = list(_with_digest(chosen, config))
    if as_json:
        document = {"schema": 1, "source": source, "indexes": [{"on": on, **row} for on, row in chosen]}
        _fast.print_out(json.dumps(document, indent=2) + "\n")
        return
    if source == "file":
        _fast.print_out("no daemon runs: this is what the files say\n")
    _fast.print_out("\n".join(line for on, row in chosen for line in lines(on, row)) + "\n")


def chosen_of(found: list[tuple[str, Row]], name: str, chain: str) -> list[tuple[str, Row]]:
    """Return the indexes that are asked for, with their chains. Raises ControlError for none."""
    chosen = [(on, row) for on, row in found if name in ("", row.get("name")) and chain in ("", on)]
    if chosen:
        return chosen
    known = ", ".join(sorted({f"{say(row, 'name')} on {on}" for on, row in found}))
    said = f"no index is called {name[:64]!r}" if name else "there is no index"
    raise ControlError(said + (f" on {chain[:64]}" if chain else "") + (f"; there are {known}" if known else ""))


def _found(runtime_dir: str, config: str | None) -> tuple[str, list[tuple[str, Row]]]:
    """Return the rows by chain: of the daemon, or of the files that the configuration names where none runs."""
    try:
        document = _client.ask(runtime_dir, "status")
    except _client.Unreachable as error:
        if error.why not in ("absent", "refused"):
            raise
        return "file", list(_of_files(config))
    document = document if isinstance(document, dict) else {}
    return "daemon", [(say(on, "name"), row) for on in rows(document, "chains") for row in rows(on, "indexes")]


def _of_files(config: str | None) -> Iterator[tuple[str, Row]]:
    from tocsin.engine.indexdocs import document  # noqa: PLC0415 - only where no daemon runs
    from tocsin.state.indexfile import sample_of  # noqa: PLC0415
    from tocsin.state.keeper import origin_of  # noqa: PLC0415

    for chain, one, path in _configured(config):
        try:
            sample = sample_of(path, one, origin_of(chain))
        except StoreError as error:
            sample = IndexSample(stuck=str(error))
        yield chain.name, {**document(one, sample, chain.id), "name": one.name, "age_s": None}


def _with_digest(chosen: list[tuple[str, Row]], config: str | None) -> Iterator[tuple[str, Row]]:
    """Yield the rows with what names the content of each, and the block that it is of. Raises StoreError."""
    from tocsin.state.indexfile import digest_in  # noqa: PLC0415 - only where files are read
    from tocsin.state.keeper import origin_of  # noqa: PLC0415

    known = {(chain.name, one.name): (path, one, origin_of(chain)) for chain, one, path in _configured(config)}
    for on, row in chosen:
        found = known.get((on, say(row, "name")))
        if found is None:
            raise ControlError(f"the daemon has an index {say(row, 'name')} that this configuration has not")
        through, digest = digest_in(*found)
        yield on, {**row, "digest": f"0x{digest.hex()}", "digest_block": through.number}


def _configured(config: str | None) -> Iterator[tuple[ChainSettings, IndexSettings, Path]]:
    """Yield each index that is configured, with its chain and the place of its file."""
    from tocsin.runtime.configuration import read_config  # noqa: PLC0415 - only where files are read
    from tocsin.state.keeper import path_of  # noqa: PLC0415

    loaded = read_config(Path(_where.needed_config(config, os.environ)), os.environ)
    state_dir = Path(loaded.tree.watchdog.state_dir)
    for chain in loaded.settings.chains:
        for one in chain.indexes:
            yield chain, one, path_of(state_dir, chain.name, one.name)
