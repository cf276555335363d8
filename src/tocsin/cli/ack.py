"""`tocsin ack`: tell the daemon and its subscribers that somebody has seen an alert."""

import json
import re
from typing import Annotated, Any, Final

import typer

from tocsin.cli import _client, _fast, _words
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.errors import ControlError

_WHOLE: Final = re.compile(r"[0-9a-f]{32}")
"""See `tocsin.ids.fingerprint`."""


def command(
    fingerprint: Annotated[str, typer.Argument(help="The alert, by its fingerprint or the beginning of it.")],
    *,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="For those who read it later.")] = "",
    as_json: AsJson = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Acknowledge an alert. One that is latched resolves once its cause is gone and it is acknowledged."""
    folder = daemon_dir(config, runtime_dir)
    whole = complete(fingerprint.lower(), _client.ask(folder, "status"))
    answer = _client.ask(folder, "ack", {"fingerprint": whole, "why": why})
    if as_json:
        _fast.print_out(json.dumps({"schema": 1, **answer}, indent=2) + "\n")
    else:
        _fast.print_out(f"acknowledged {whole}\n")


def complete(beginning: str, status: Any) -> str:
    """Return the one fingerprint in a status document that begins so. Raises ControlError for none or several.

    A whole one need not be there: in a storm a status does not list every alert. An empty one, as of a variable that
    a script forgot to set, means none: not the only alert that is open.
    """
    if _WHOLE.fullmatch(beginning):
        return beginning
    if not beginning.strip():
        raise ControlError("write the fingerprint of an alert, or the beginning of it; tocsin status lists them")
    alerts = _words.rows(status if isinstance(status, dict) else {}, "alerts")
    matches = sorted(
        {str(row.get("fingerprint")) for row in alerts if str(row.get("fingerprint")).startswith(beginning)}
    )
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise ControlError(f"no alert begins with {beginning}; tocsin status lists them")
    raise ControlError(f"{beginning} fits {len(matches)} alerts; give more of it: {', '.join(matches)}")
