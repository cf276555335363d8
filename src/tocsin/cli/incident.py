"""`tocsin incident`: everything about one alert in one file, for those who have to explain it later."""

import base64
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli import _client, _fast, _words
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.cli._where import config_path
from tocsin.errors import StoreError, UsageError
from tocsin.units import duration_ns

if TYPE_CHECKING:
    from tocsin.config.load import Loaded
    from tocsin.lab.incident import Incident

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)

_GONE = frozenset({"absent", "refused"})
"""Why a daemon does not answer that does not run: its state directory can be read instead."""

_LONGEST_MARGIN_S = 3600


@app.callback()
def _incident() -> None:
    """Export an incident, or list them."""


@app.command("list")
def list_(
    *,
    last: Annotated[int, typer.Option("--last", "-n", metavar="N", min=1, max=1000, help="So many.")] = 20,
    as_json: AsJson = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Show the incidents that changed last, the newest first: one line for each time that an alert fired."""
    try:
        found = _client.ask(daemon_dir(config, runtime_dir), "incidents", {"n": last})["incidents"]
    except _client.Unreachable as error:
        from tocsin.lab.incident import recent  # noqa: PLC0415 - costs start-up
        from tocsin.store import History  # noqa: PLC0415

        found = recent(History(Path(_loaded(config, error).tree.watchdog.state_dir)), last)
    if as_json:
        _fast.print_out(json.dumps({"schema": 1, "incidents": found}, indent=2) + "\n")
        return
    for one in found:
        _fast.print_out(_line(one) + "\n")


@app.command("export")
def export(
    wanted: Annotated[
        str,
        typer.Argument(metavar="ID", help="A fingerprint or its beginning, fingerprint:activation, or an event's id."),
    ],
    out: Annotated[
        Path | None,
        typer.Argument(metavar="OUT", help="The file to write; default incident-<alert>-<activation>.tsi here."),
    ] = None,
    *,
    margin: Annotated[str, typer.Option("--margin", metavar="SPAN", help="Of the journal before and after.")] = "2m",
    as_json: AsJson = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Write one file with all there is about an incident: events, evidence, configuration, record, and the journal.

    `tocsin replay` reads it; its first line is JSON. Only you can read it. No secret of the configuration is in it.
    """
    try:
        margin_s = duration_ns(margin) // 10**9
    except ValueError as error:
        raise UsageError(f"--margin: {error}") from error
    if margin_s > _LONGEST_MARGIN_S:
        raise UsageError("--margin: an hour at most")
    folder = Path.cwd() if out is None else out.absolute().parent
    with _scratch(folder) as part:
        try:
            taken = _asked(daemon_dir(config, runtime_dir), wanted, margin_s, part)
        except _client.Unreachable as error:
            taken = _found(_loaded(config, error), wanted, margin_s, part.with_name("found"))
        target, about = _written(taken, out, folder, margin_s)
    if as_json:
        _fast.print_out(json.dumps({"schema": 1, "path": str(target), "incident": about}, indent=2) + "\n")
        return
    _fast.print_out(_said(target, about))


@dataclass(slots=True, kw_only=True)
class _Taken:
    """What was asked for. `recording` is None where the journal has nothing of it."""

    about: Mapping[str, Any]
    incident: "Incident"
    missing: list[str]
    kept: Mapping[str, bytes]
    """Evidence by digest that was too long for the events."""
    recording: Path | None


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Give a name for the recording, in a directory of ours beside the file that is to be written."""
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".tocsin-") as made:
            yield Path(made) / "recording"
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror}") from error


def _asked(runtime_dir: str, wanted: str, margin_s: int, part: Path) -> _Taken:
    """Take an incident from the running daemon. Raises Unreachable, or Refused with what the daemon says."""
    from tocsin.lab.incident import joined  # noqa: PLC0415 - costs start-up

    about: Mapping[str, Any] = {}
    missing: list[str] = []
    kept: dict[str, bytes] = {}
    pieces = []
    with part.open("wb") as file:
        for piece in _client.stream(runtime_dir, "incident", {"id": wanted, "margin_s": margin_s}):
            match piece.get("kind"):
                case "about":
                    about = piece
                case "recording":
                    file.write(base64.b64decode(piece["data"]))
                case "evidence":
                    kept[piece["digest"]] = kept.get(piece["digest"], b"") + base64.b64decode(piece["data"])
                case "recorded":
                    missing = piece["missing"]
                case _:
                    pieces.append(piece)
    recording = part if part.stat().st_size else None
    return _Taken(about=about, incident=joined(pieces), missing=missing, kept=kept, recording=recording)


def _loaded(config: str | None, error: _client.Unreachable) -> "Loaded":
    """Return the configuration of a daemon that does not run. Raises `error` where it does, or has none."""
    from tocsin.config.load import load  # noqa: PLC0415 - costs start-up
    from tocsin.config.registry import registry_of  # noqa: PLC0415
    from tocsin.detect import REGISTRY  # noqa: PLC0415

    path = Path(config_path(config, os.environ))
    if error.why not in _GONE or not path.exists():
        raise error
    return load(path, registry=registry_of(REGISTRY), environ=os.environ, require_secrets=False)


def _found(loaded: "Loaded", wanted: str, margin_s: int, part: Path) -> _Taken:
    """Take an incident from the state directory of a daemon that does not run."""
    from tocsin.clock import NS, SystemClock  # noqa: PLC0415 - costs start-up
    from tocsin.lab.incident import seek, span  # noqa: PLC0415
    from tocsin.runtime.incidents import about, kept, missing  # noqa: PLC0415
    from tocsin.store import EvidenceFolder, History, export_at_rest  # noqa: PLC0415

    state_dir, now_wall_ns = Path(loaded.tree.watchdog.state_dir), SystemClock().wall_ns()
    incident = seek(History(state_dir), wanted)
    since, until = span(incident, margin_s * NS, now_wall_ns)
    try:
        lacking = missing(export_at_rest(state_dir, part, from_wall_ns=since, to_wall_ns=until))
    except StoreError as error:
        lacking = [str(error)]
    return _Taken(
        about=about(loaded, now_wall_ns),
        incident=incident,
        missing=lacking,
        kept=kept(incident, EvidenceFolder(state_dir)),
        recording=part if part.exists() else None,
    )


def _written(taken: _Taken, out: Path | None, folder: Path, margin_s: int) -> tuple[Path, Mapping[str, Any]]:
    from tocsin.clock import NS  # noqa: PLC0415 - costs start-up
    from tocsin.lab.bundle import Around, document, write  # noqa: PLC0415

    incident = taken.incident
    around = Around(
        watchdog=taken.about["watchdog"],
        exported_wall_ns=taken.about["now_wall_ns"],
        margin_ns=margin_s * NS,
        config_hash=taken.about["config_hash"],
        shown=taken.about["shown"],
        missing=tuple(taken.missing),
    )
    about = document(incident, around, taken.recording, taken.kept)
    target = out or folder / f"incident-{incident.fingerprint[:12]}-{incident.activation}.tsi"
    write(target, about, taken.recording)
    return target, about


def _said(target: Path, about: Mapping[str, Any]) -> str:
    """Return what was exported, in words."""
    alert, recording = about["alert"], about["recording"]
    lines = [f"{target}: {alert['detector']}, {len(about['events'])} events of it, {len(about['others'])} of others"]
    if about["left_out"]:
        lines.append(f"left out: {about['left_out']} more events of others")
    lines += [f"missing: {line}" for line in recording["missing"]]
    if recording["not_reproduced"] and recording.get("events"):
        seqs = ", ".join(map(str, recording["not_reproduced"][:10]))
        lines.append(f"a replay of the recording does not give the events {seqs} byte for byte")
    lines.append(f"tocsin replay {target}" if recording.get("events") else "there is no recording to replay")
    deadlines = about["record"]["deadlines"]
    lines.append(f"an initial report, where one is due, by {deadlines['initial_latest']} at the latest")
    return "\n".join(_words.clean(line) for line in lines) + "\n"


def _line(one: Mapping[str, Any]) -> str:
    labels = " ".join(f"{key}={value}" for key, value in sorted(one["labels"].items()))
    ended = f"to {one['resolved_at']}" if one["resolved_at"] else one["state"]
    name = f"{one['fingerprint'][:12]}:{one['activation']}"
    words = (name, one["started_at"], ended, one["severity"].upper(), one["detector"], labels, one["summary"])
    return "  ".join(_words.clean(str(word)) for word in words)
