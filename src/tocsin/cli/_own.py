"""What `tocsin status` says of the watchdog itself: configuration, broker, disk, consumers, peers, host and costs."""

from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.cli._words import NS, clean, counts, number, part, rows, say, span, stamp, whole

_FAR_H = 1000
"""A disk that will be full in more hours than this is not about to be."""


def own_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what there is to say of the watchdog itself, a line for each thing."""
    config = part(document, "config")
    if config.get("ok") is True:
        yield f"config    ok  loaded {stamp(config, 'loaded_at')}  {say(config, 'hash')[:12]}"
    else:
        yield "config    the last reload was refused, the old configuration stays:"
        problems = config.get("problems")
        yield from (f"          {clean(line)}" for line in (problems if isinstance(problems, list) else []))
    broker = part(document, "broker")
    if broker.get("state") == "none":
        yield f"broker    none configured  {say(broker, 'outbox')} kept"
    else:
        yield f"broker    {say(broker, 'state')}  {say(broker, 'outbox')} to send  {say(broker, 'detail')}"
    yield from _store_lines(part(document, "store"))
    if test := part(document, "self_test"):
        yield f"self-test {_self_test(test)}"
    if switch := part(document, "deadman"):
        yield f"deadman   {_deadman(switch)}"
    if consumers := rows(document, "consumers"):
        yield f"consumers {'; '.join(_consumer(row) for row in consumers)}"
    if channels := rows(document, "channels"):
        yield "people"
        yield from (f"  {_channel(row)}" for row in channels)
    if peers := rows(document, "peers"):
        yield f"peers     {'; '.join(_peer(row) for row in peers)}"
    yield from _host_lines(part(document, "host"))
    if bill := [row for row in rows(document, "bill") if whole(row.get("forecast_calls"))]:
        yield f"asks      {'; '.join(_cost(row) for row in bill)}"


def _store_lines(store: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the state directory."""
    if store.get("state") != "ok":
        yield f"store     {say(store, 'state')}  {say(store, 'detail')}"
    if counts(store.get("damaged")):
        yield f"store     {store['damaged']} messages were damaged on disk and are lost: check it"


def _host_lines(host: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each kind of thing that is watched of the host."""
    disks = [_disk(row) for row in rows(host, "disks")]
    units = [f"{say(row, 'unit')} {say(row, 'active')}" for row in rows(host, "units")]
    certificates = [_certificate(row) for row in rows(host, "certificates")]
    for name, parts in (("disks", disks), ("units", units), ("certs", certificates)):
        if parts:
            yield f"{name:<10}{'; '.join(parts)}"
    if clock := part(host, "clock"):
        offset = clock.get("offset_ms")
        known = f"within {abs(offset)} ms of {say(clock, 'usable')} time servers" if whole(offset) else "unknown"
        troubles = [clean(str(each)) for key in ("problems", "false") for each in clock.get(key) or []]
        yield f"clock     {known}" + (f"  ({'; '.join(troubles)})" if troubles else "")


def _disk(row: Mapping[str, Any]) -> str:
    used, hours = row.get("used_permille"), row.get("full_in_h")
    if not whole(used):
        return f"{say(row, 'path')} unknown: {say(row, 'problem')}"
    filling = f", full in {hours} h" if whole(hours) and hours < _FAR_H else ""
    return f"{say(row, 'path')} {used / 10:.0f} %{filling}"


def _certificate(row: Mapping[str, Any]) -> str:
    days, distrust = row.get("days_left"), say(row, "distrust")
    words = f"{days} days" if whole(days) else f"unknown: {say(row, 'problem')}"
    return f"{say(row, 'endpoint')} {words}" + (f", {distrust}" if row.get("distrust") else "")


def _self_test(test: Mapping[str, Any]) -> str:
    """Say how long the self-test took, and how long ago that was."""
    echo_ms, silent_s = test.get("echo_ms"), number(test.get("silent_s"))
    ago = span(int((silent_s or 0) * NS))
    return f"heard back after {echo_ms} ms, {ago} ago" if whole(echo_ms) else f"not heard back for {ago}"


def _deadman(switch: Mapping[str, Any]) -> str:
    """Say whether the ping goes out, and why not."""
    why = f"  {say(switch, 'detail')}" if switch.get("detail") else ""
    last = f", last {stamp(switch, 'last_at')}" if switch.get("last_at") else ", never yet"
    return f"{say(switch, 'state')}  {say(switch, 'url')}{last}, {say(switch, 'failed')} failed{why}"


def _consumer(row: Mapping[str, Any]) -> str:
    """Say how far a consumer of the stream is, and when it said so."""
    lag = row.get("lag")
    words = f"{say(row, 'name')} {'has everything' if lag == 0 else f'lacks {clean(str(lag))}'}"
    return words + (f", acknowledged {stamp(row, 'heard_at')}" if row.get("heard_at") else ", never acknowledged")


def _channel(row: Mapping[str, Any]) -> str:
    """Say what waits for a channel of people, what it got last, and what is wrong with it."""
    words = f"{say(row, 'name')}  {say(row, 'kind')}  {say(row, 'waiting')} to send"
    words += f", last sent {stamp(row, 'sent_at')}" if row.get("sent_at") else ", nothing sent yet"
    words += f", {row['given_up']} given up" if counts(row.get("given_up")) else ""
    if row.get("failing_since"):
        return f"{words}, FAILING since {say(row, 'failing_since')}: {say(row, 'error')}"
    return words + (f", last error {stamp(row, 'error_at')}: {say(row, 'error')}" if row.get("error") else "")


def _peer(row: Mapping[str, Any]) -> str:
    """Say how another watchdog stands, and when it spoke last."""
    words = f"{say(row, 'name')} {say(row, 'state')}"
    heard_s = number(row.get("heard_s_ago"))
    words += f", heard {span(int(heard_s * NS))} ago" if heard_s is not None else ""
    return words + (f", {row['ignored']} messages ignored" if counts(row.get("ignored")) else "")


def _cost(row: Mapping[str, Any]) -> str:
    """Say what the nodes of one provider cost a day as things go, and what they may."""
    forecast, units, budget = row.get("forecast_calls"), row.get("forecast_units"), row.get("budget")
    words = f"{say(row, 'provider')} about {_short(forecast)} calls a day"
    if whole(budget):
        words += f", {_short(units)} of {_short(budget)} units"
    return words


def _short(count: object) -> str:
    """Say a number to two digits: 86k, 1.2M."""
    if not whole(count):
        return "?"
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.1f}{unit}" if count < 10 * size else f"{count // size}{unit}"
    return str(count)
