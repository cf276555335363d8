"""What a person is told of silences: what one does, until when, how to take it back. Pure, and wary of its input."""

from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.cli._words import clean, counts, moment, part, rows, say, span, whole


def begun(answer: Mapping[str, Any], now_wall_ns: int) -> Iterator[str]:
    """Yield the lines about a silence that was begun."""
    silence = part(answer, "silence")
    yield f"{_name(silence)}  {_period(silence, now_wall_ns)}"
    covered, spared = part(answer, "covered"), part(answer, "spared")
    if not covered.get("count"):
        yield "  silences no open alert now" if spared.get("count") else "  no open alert matches now"
    else:
        verb = "silences" if silence.get("active") else "matches"
        yield f"  {verb} {_alerts(covered)} now:"
        yield from _shown(covered)
    yield from _spared(spared)
    hints = answer.get("hints")
    yield from (f"  note: {clean(str(hint))}" for hint in (hints if isinstance(hints, list) else []))
    yield f"  to end it: tocsin unsilence {say(silence, 'id')}"


def ended(answer: Mapping[str, Any], now_wall_ns: int) -> Iterator[str]:
    """Yield the lines about a silence that was ended."""
    silence, covered = part(answer, "silence"), part(answer, "covered")
    until = silence.get("until_wall_ns")
    left = f", {span(until - now_wall_ns)} early" if whole(until) else ""
    yield f"{_name(silence)} is over{left}"
    if not covered.get("count"):
        return
    still = answer.get("still_silenced")
    yield f"  {_alerts(covered)} it covered" + (f", of which {still} under another silence" if counts(still) else "")
    if covered.get("count") != still:
        yield "  what fires and nobody heard of is told now"


def listed(document: Mapping[str, Any], now_wall_ns: int) -> Iterator[str]:
    """Yield a line for each silence, with what it does now."""
    for silence in rows(document, "silences"):
        yield f"  {_name(silence)}  {_period(silence, now_wall_ns)}  {_author(silence)}"
        if silence.get("active") is not False or whole(silence.get("covers")):  # what a weekly one will mean, who knows
            yield f"    {_does(silence)}"


def whose(silence: Mapping[str, Any]) -> str:
    """Say until when, by whom and why an alert is silenced."""
    return f"until {moment(silence.get('until_wall_ns'))} {_author(silence)}"


def _author(silence: Mapping[str, Any]) -> str:
    by = f"by {say(silence, 'by')}"
    return f"{by}: {say(silence, 'reason')}" if silence.get("reason") else by


def _does(silence: Mapping[str, Any]) -> str:
    covers, spares = silence.get("covers"), silence.get("spares")
    many = f"{_counted(covers, 'open alert')}" if covers else "no open alert"
    verb = "matches" if silence.get("active") is False else "covers"  # one that is still to come covers nothing yet
    words = [f"{verb} {many}" if whole(covers) else "too many alerts are open to count those that it covers"]
    if spares:
        words.append(f"spares {_counted(spares, 'critical one')}")
    if silence.get("critical"):
        words.append("critical ones too")
    return ", ".join(words)


def _name(silence: Mapping[str, Any]) -> str:
    return f"{say(silence, 'id')}  {say(silence, 'match')}"


def _period(silence: Mapping[str, Any], now_wall_ns: int) -> str:
    begins, ends = silence.get("from_wall_ns"), silence.get("until_wall_ns")
    if not whole(begins) or not whole(ends):
        return "until ?"
    if silence.get("active") is False and begins > now_wall_ns:
        return f"from {moment(begins)} for {span(ends - begins)}"
    return f"until {moment(ends)}, {span(ends - now_wall_ns)} left"


def _spared(spared: Mapping[str, Any]) -> Iterator[str]:
    if spared.get("count"):
        alerts, verb = (
            _counted(spared.get("count"), "critical alert"),
            "matches" if spared.get("count") == 1 else "match",
        )
        yield f"  NOT silenced by it: {alerts} {verb}; only --critical silences them"
        yield from _shown(spared)


def _shown(part_: Mapping[str, Any]) -> Iterator[str]:
    alerts = rows(part_, "alerts")
    for alert in alerts:
        yield f"    {say(alert, 'severity')}  {say(alert, 'detector')}  {say(alert, 'summary')}"
    count = part_.get("count")
    if whole(count) and count > len(alerts):
        yield f"    and {count - len(alerts)} more"


def _alerts(part_: Mapping[str, Any]) -> str:
    return _counted(part_.get("count"), "open alert")


def _counted(number: object, noun: str) -> str:
    return f"{clean(str(number))} {noun}{'' if number == 1 else 's'}"
