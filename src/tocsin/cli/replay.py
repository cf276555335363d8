"""`tocsin replay`: recorded events through the same core again."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli import _fast
from tocsin.errors import UsageError

if TYPE_CHECKING:
    from tocsin.lab.replay import Replay
    from tocsin.model.settings import Settings


def command(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A recording, the bundle of an incident, or a segment of the journal."),
    ],
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Decide with this configuration instead of the recorded one."),
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="With --config: show what it would have raised, and what not.")
    ] = False,
    retained: Annotated[
        bool, typer.Option("--retained", help="Retained topics as well: one topic and payload per line.")
    ] = False,
    prefix: Annotated[bool, typer.Option("--prefix", help="Take what is sound of a file that was cut short.")] = False,
) -> None:
    """Print the event stream of a recording: one CloudEvent per line, byte for byte as it was published.

    Nothing is published and no node is asked. A damaged file is refused. Exit code with --diff: 0 equal, 1 different.
    """
    import gc  # noqa: PLC0415

    from tocsin.lab.replay import Replay  # noqa: PLC0415 - costs start-up

    # Decided values are frozen and hold no circles: looking for them costs a tenth of a replay.
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)

    if diff and config is None:
        raise UsageError("--diff compares with another configuration: give --config as well")
    settings = _settings(config) if config is not None else None
    if diff:
        raise typer.Exit(
            _compare(Replay(path=file, prefix=prefix), Replay(path=file, prefix=prefix, settings=settings))
        )
    replay = Replay(path=file, settings=settings, prefix=prefix)
    for message in replay.messages():
        if message.seq is not None and not retained:
            _fast.print_out(message.payload.decode() + "\n")
        elif retained:
            _fast.print_out(f"{message.topic} {message.payload.decode()}\n")
    _note(replay.warnings)
    _note([f"{replay.events} events replayed"])


def _settings(path: Path) -> "Settings":
    import os  # noqa: PLC0415

    from tocsin.config.load import load  # noqa: PLC0415
    from tocsin.config.registry import registry_of  # noqa: PLC0415
    from tocsin.detect import REGISTRY  # noqa: PLC0415

    return load(path, registry=registry_of(REGISTRY), environ=os.environ, require_secrets=False).settings


def _compare(recorded: "Replay", other: "Replay") -> int:
    """Print both runs as one list, `-` for what only the recorded one says, `+` for what only the other one does."""
    from tocsin.lab.replay import compare  # noqa: PLC0415

    different = False
    for mark, text in compare(recorded, other):
        different = different or mark != " "
        _fast.print_out(f"{mark} {text}\n")
    _note(recorded.warnings)
    return 1 if different else 0


def _note(lines: list[str]) -> None:
    for line in lines:
        sys.stderr.write(json.dumps(line)[1:-1] + "\n")
