"""`tocsin ack`: tell the daemon and its subscribers that somebody has seen an alert."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer

from tocsin.cli import _client, _fast, _words
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.cli._words import part, say
from tocsin.errors import ControlError

_WHOLE: Final = re.compile(r"[0-9a-f]{32}")
"""See `tocsin.ids.fingerprint`."""
_HEX: Final = re.compile(r"[0-9a-f]{6,32}")


class NoSuchAlert(ControlError):  # noqa: N818 - reads as the condition
    """No open alert has a fingerprint that begins so."""


def command(
    fingerprint: Annotated[str, typer.Argument(help="The alert, by its fingerprint or the beginning of it.")],
    *,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="For those who read it later.")] = "",
    as_json: AsJson = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Acknowledge an alert. One that is latched resolves once its cause is gone and it is acknowledged.

    Of a contract that has changed it accepts what the alert told of, which is what is right from then on, and says so.
    """
    folder = daemon_dir(config, runtime_dir)
    wanted = fingerprint.lower()
    try:
        wanted = complete(wanted, _client.ask(folder, "status"))
    except NoSuchAlert:
        if not _HEX.fullmatch(wanted):  # else it may be over: the daemon knows what was accepted with it
            raise
    answer = _client.ask(folder, "ack", {"fingerprint": wanted, "why": why})
    if as_json:
        _fast.print_out(json.dumps({"schema": 1, **answer}, indent=2) + "\n")
    else:
        _fast.print_out("\n".join(lines(wanted, answer if isinstance(answer, dict) else {})) + "\n")


def lines(fingerprint: str, answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a person reads of an acknowledged alert: what of a contract that has accepted, from what to what."""
    if before := _words.rows(answer, "accepted_before"):
        yield f"nothing is open with {fingerprint}: what it told of is accepted already"
        yield from (f"  {_subject(row)} is {say(row, 'accepted')}, {_how(row)}{_by(row)}" for row in before)
        return
    yield f"acknowledged {fingerprint}"
    for row in _words.rows(answer, "accepted"):
        yield f"  accepted: {_subject(row)} was {say(row, 'before')}, is {say(row, 'accepted')}, {_how(row)}{_by(row)}"
        if row.get("now") not in (None, row.get("accepted")):
            yield f"  but it is {say(row, 'now')} by now, of which it did not tell: that is an alert of its own"


def _subject(row: Mapping[str, Any]) -> str:
    return f"{say(row, 'watch')} of {say(row, 'contract')} on {say(row, 'chain')}"


def _how(row: Mapping[str, Any]) -> str:
    return f"{say(row, 'grade')} at block {say(part(row, 'block'), 'number')}"


def _by(row: Mapping[str, Any]) -> str:
    return f", by {say(row, 'by')}" + (f": {say(row, 'why')}" if row.get("why") else "")


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
        raise NoSuchAlert(f"no alert begins with {beginning}; tocsin status lists them")
    raise ControlError(f"{beginning} fits {len(matches)} alerts; give more of it: {', '.join(matches)}")
