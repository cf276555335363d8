"""`tocsin explain`: what an alert means and what to do, for somebody who has only the program at hand.

The pages live in `docs/detectors/` of the source tree; the wheel carries the same files beside this module.
"""

import difflib
import json
import re
from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli import _fast
from tocsin.cli._options import AsJson
from tocsin.errors import TocsinError, UsageError

_HERE = Path(__file__).parent
_FOLDERS = (_HERE / "pages", _HERE.parents[2] / "docs" / "detectors")
_INDEX = "README"
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


def command(
    detector: Annotated[str, typer.Argument(help="The alert, such as node.lag; all are listed without it.")] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Say what an alert means, what to check and what to do."""
    found = pages()
    if not detector:
        _print(sorted(found), "\n".join(sorted(found)), "alerts", as_json=as_json)
        return
    if detector not in found:
        close = difflib.get_close_matches(detector, found, n=1)
        hint = f"did you mean {close[0]}?" if close else "tocsin explain lists them"
        raise UsageError(f"no alert is called {detector[:64]!r}; {hint}")
    text = found[detector].read_text(encoding="utf-8").strip()
    _print(text, _LINK.sub(r"\1", text), "page", as_json=as_json)


def pages() -> dict[str, Path]:
    """Return the file of every alert's page. Raises TocsinError where the installation lacks them."""
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), None)
    if folder is None:
        raise TocsinError("this installation has no pages about alerts; install Tocsin again")
    return {file.stem: file for file in folder.glob("*.md") if file.stem != _INDEX}


def _print(value: object, text: str, key: str, *, as_json: bool) -> None:
    _fast.print_out((json.dumps({"schema": 1, key: value}, indent=2) if as_json else text) + "\n")
