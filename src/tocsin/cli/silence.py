"""`tocsin silence`: what people are not told of for a time. Nothing is taken from the event stream."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated

import typer

from tocsin.alerting.matching import MatchError, parse
from tocsin.cli import _client, _fast, _silences, _words
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.clock import NS, SystemClock
from tocsin.errors import UsageError
from tocsin.units import duration_ns

_LONGEST_NS = 7 * 86_400 * NS
"""Longer ones the daemon refuses."""
_HOUR = re.compile(r"\d\d:\d\d")
_NIGHT_NS = 12 * 3600 * NS
"""From 22:00 until 06:00 is a night. From 14:00 until 13:00 is a slip of the pen, and would be 23 hours."""


def command(
    match: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MATCH", help="Which alerts, such as 'detector=node.* chain=ethereum severity<=warning'."
        ),
    ] = None,
    *,
    for_: Annotated[
        str, typer.Option("--for", metavar="SPAN", help="For how long, such as 30m or 2h; 7d at most.")
    ] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="Until when instead: 18:00, or 2026-11-22T18:00Z.")
    ] = "",
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="From when, if not from now on.")] = "",
    why: Annotated[str, typer.Option("--why", "--reason", metavar="TEXT", help="For those who ask; required.")] = "",
    critical: Annotated[bool, typer.Option("--critical", help="Critical alerts, too, which it spares else.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Silence alerts for a time: people are not told of them, programs are. Without MATCH, show what is silenced.

    What fires and was said only under the silence is told when it ends. A time without an offset is that of this shell.
    """
    folder, now_ns = daemon_dir(config, runtime_dir), SystemClock().wall_ns()
    if not match:
        if for_ or until or from_ or why or critical:
            raise UsageError("say which alerts: tocsin silence 'detector=node.* chain=ethereum' --for 2h --why TEXT")
        answer = _client.ask(folder, "silence")
        lines = list(_silences.listed(answer, now_ns)) or ["nothing is silenced"]
    else:
        request = _request(" ".join(match), for_, until, from_, why, now_ns)
        answer = _client.ask(folder, "silence", request | ({"critical": True} if critical else {}))
        lines = [*_silences.begun(answer, now_ns), *_notes(until, request, now_ns)]
    said = json.dumps({"schema": 1, **answer}, indent=2) if as_json else "\n".join(lines)
    _fast.print_out(said + "\n")


def _request(match: str, for_: str, until: str, from_: str, why: str, now_ns: int) -> dict[str, object]:
    try:
        parse(match)
    except MatchError as error:
        raise UsageError(f"{match!r}: {error}") from None
    if not why.strip():
        raise UsageError("--why TEXT is missing: others will ask why nobody told them")
    if bool(for_) is bool(until):
        raise UsageError("give --for SPAN, such as --for 2h, or --until TIME")
    request: dict[str, object] = {"match": match, "why": why}
    begins_ns = now_ns
    if from_:
        request["from_wall_ns"] = begins_ns = _instant("--from", from_, now_ns)
    if for_:
        return request | {"for_s": _seconds(for_)}
    ends_ns = _instant("--until", until, begins_ns)
    if not 0 < ends_ns - begins_ns <= _LONGEST_NS:
        raise UsageError(f"--until: {until} is not within the 7 days after {'--from' if from_ else 'now'}")
    if from_ and _HOUR.fullmatch(until) and ends_ns - begins_ns > _NIGHT_NS and _is_of_another_day(begins_ns, ends_ns):
        at = _local(ends_ns)
        raise UsageError(
            f"--until: {until} comes before --from {from_}, and again {_words.span(ends_ns - begins_ns)} after it;"
            f" write {at:%Y-%m-%dT%H:%M} if you mean that"
        )
    return request | {"until_wall_ns": ends_ns}


def _notes(until: str, request: Mapping[str, object], now_ns: int) -> Iterator[str]:
    """Yield what a person may not have meant: an hour that is past today is one of tomorrow."""
    ends_ns = request.get("until_wall_ns")
    if "from_wall_ns" in request or not isinstance(ends_ns, int) or not _HOUR.fullmatch(until):
        return
    if _is_of_another_day(now_ns, ends_ns):
        yield f"  note: {until} is past for today, so it is that of {_local(ends_ns):%A}"


def _is_of_another_day(begins_ns: int, ends_ns: int) -> bool:
    return _local(begins_ns).date() != _local(ends_ns).date()


def _local(wall_ns: int) -> datetime:
    return datetime.fromtimestamp(wall_ns // NS).astimezone()


def _seconds(text: str) -> int:
    try:
        asked_ns = duration_ns(text)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from error
    if not NS <= asked_ns <= _LONGEST_NS:
        raise UsageError(
            "--for: from 1s to 7d; what is to be quiet for longer is to be mended, or taken out of the file"
        )
    return asked_ns // NS


def _instant(option: str, text: str, after_ns: int) -> int:
    """Return the wall nanoseconds of a time, for an hour of the day the next one. Raises UsageError for one past."""
    after = _local(after_ns)
    try:
        if _HOUR.fullmatch(text):
            hour, minute = map(int, text.split(":"))
            found = after.replace(hour=hour, minute=minute, second=0, tzinfo=None)
            found = (found if found > after.replace(tzinfo=None) else found + timedelta(days=1)).astimezone()
        else:
            found = datetime.fromisoformat(text).astimezone()
        at_ns = int(found.timestamp()) * NS
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{option}: {text!r} is no time; write 18:00, 2026-11-22T18:00 or 2026-11-22T18:00Z") from None
    if at_ns <= after_ns:
        raise UsageError(f"{option}: {text} is past; it is {after.isoformat(timespec='minutes')}")
    return at_ns
