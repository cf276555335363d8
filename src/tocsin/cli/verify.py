"""`tocsin verify`: check evidence against a node again, offline, and say what of it holds."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli import _fast, _where, _words
from tocsin.cli._options import AsJson, ConfigFile
from tocsin.errors import ConfigError

if TYPE_CHECKING:
    from tocsin.engine.recheck import Report
    from tocsin.lab.exhibits import Exhibit

PROVES, FAILS, UNDECIDED = 0, 1, 2
_COLOURS = {"holds": "32", "fails": "31", "open": "33", "note": "2"}
_SAID = {
    PROVES: "the evidence proves what it claims",
    FAILS: "the evidence does not prove what it claims",
    UNDECIDED: "it cannot be decided from this evidence alone",
}
_CHUNK = 1 << 20


def command(
    file: Annotated[
        str, typer.Argument(metavar="EVIDENCE", help="An alert's JSON, an incident, or evidence; - for standard input.")
    ],
    *,
    kept: Annotated[
        str | None, typer.Option("--kept", metavar="DIR", help="Where evidence too long for its alert lies, by digest.")
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Check the evidence of an alert again: no node is asked, and nothing in the file is believed.

    Exit code: 0 the evidence proves what it claims, 1 it does not, 2 it cannot be read, or not be decided from it.
    """
    from tocsin.lab.exhibits import NothingToCheck, exhibits  # noqa: PLC0415 - see tocsin.cli.main

    try:
        found = exhibits(_read(file), _finder(file, kept, config))
    except OSError as error:
        raise _cannot(f"{file}: cannot be read: {error.strerror or error}") from None
    except NothingToCheck as error:
        raise _cannot(f"{file}: {error}") from None
    looked = [(one, *_looked_at(one)) for one in found]
    code = _worst(code for _, _, code, _ in looked)
    if as_json:
        _fast.print_out(json.dumps({"schema": 1, **_document(file, code, looked)}, indent=2) + "\n")
    else:
        for one, report, verdict, why in looked:
            _fast.print_out("\n".join(_lines(one, report, verdict, why)) + "\n")
    raise typer.Exit(code)


def _cannot(said: str) -> typer.Exit:
    """Say why nothing was checked; return what ends the command."""
    sys.stderr.write(f"tocsin: {_words.clean(said)}\n")
    return typer.Exit(UNDECIDED)


# -- what is to be checked


def _read(file: str) -> bytes:
    """Return what is in a file, or on standard input, as far as it may go. Raises OSError."""
    from tocsin.lab.exhibits import MOST_BYTES  # noqa: PLC0415 - costs start-up

    if file == "-":
        return sys.stdin.buffer.read(MOST_BYTES + 1)
    with Path(file).open("rb") as source:
        return source.read(MOST_BYTES + 1)


def _finder(file: str, kept: str | None, config: str | None) -> Callable[[str], bytes | None]:
    """Return who looks for long evidence: in the folder named, or beside the file and in the state directory."""

    def find(name: str) -> bytes | None:
        for folder in [Path(kept)] if kept else [Path(file).parent, *_state_dir(config)]:
            for place in (folder, folder / "evidence"):
                data = _kept_in(place, name)
                if data is not None:
                    return data
        return None

    return find


def _kept_in(folder: Path, name: str) -> bytes | None:
    """Return evidence that lies in a folder under its digest, which has still to be looked at."""
    try:
        return _read(str(folder / f"{Path(name).name}.json"))
    except (OSError, ValueError):
        return None


def _state_dir(config: str | None) -> list[Path]:
    """Return where the state directory is, if that can be told without more ado."""
    try:
        return [Path(_where.state_dir(config, os.environ))]
    except (ConfigError, OSError):
        return []


# -- what came of it


def _looked_at(one: "Exhibit") -> tuple["Report | None", int, str]:
    """Return the report on evidence with its exit code, or why there is none."""
    from tocsin.engine.recheck import Unreadable, Verdict, rechecked  # noqa: PLC0415 - costs start-up

    if one.evidence is None:
        return None, UNDECIDED, one.why
    try:
        report = rechecked(one.evidence)
    except Unreadable as error:
        return None, UNDECIDED, str(error)
    codes = {Verdict.PROVES: PROVES, Verdict.FAILS: FAILS, Verdict.UNDECIDED: UNDECIDED}
    return report, codes[report.verdict], ""


def _worst(codes: Iterator[int]) -> int:
    """Return the exit code for several: one that does not prove what it claims outweighs one that is open."""
    found = set(codes)
    return FAILS if FAILS in found else max(found)


def _document(file: str, code: int, looked: list[tuple["Exhibit", "Report | None", int, str]]) -> Mapping[str, Any]:
    return {"file": file, "exit": code, "evidence": [_row(*each) for each in looked]}


def _row(one: "Exhibit", report: "Report | None", code: int, why: str) -> dict[str, Any]:
    verdict = {PROVES: "proves", FAILS: "fails", UNDECIDED: "undecided"}[code]
    checks = [{"outcome": check.outcome.value, "text": check.text} for check in report.checks] if report else []
    return {
        "event": one.event or None,
        "detector": one.detector or None,
        "subject": one.subject or None,
        "kind": report.kind if report else None,
        "claim": report.claim if report else None,
        "verdict": verdict,
        "why": why or None,
        "checks": checks,
    }


def _lines(one: "Exhibit", report: "Report | None", code: int, why: str) -> Iterator[str]:
    if one.detector:
        yield _words.clean(f"{one.detector} {one.subject}: {one.summary}")
    if report is None:
        yield _words.clean(f"cannot be checked: {why}")
        return
    yield _words.clean(f"claims: {report.claim}")
    for check in report.checks:
        word = f"{check.outcome.value:<5}"
        shown = f"\x1b[{_COLOURS[check.outcome.value]}m{word}\x1b[0m" if _fast.wants_colour() else word
        yield f"  {shown} {_words.clean(check.text)}"
    yield _SAID[code]
