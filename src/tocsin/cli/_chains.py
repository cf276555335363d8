"""What `tocsin status` says of the chains: head, nodes, beacon nodes, and detectors on trial."""

from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.cli._feeds import feed_lines, gateway_lines
from tocsin.cli._indexes import brief
from tocsin.cli._markets import market_lines
from tocsin.cli._words import NS, clean, counts, level_of, number, paint, part, rows, say, span, table, whole

_QUORUM_GROUPS = 2
"""Fewer groups than this have nobody to contradict them, whatever they say."""


def chain_lines(document: Mapping[str, Any], shift_ns: int, *, colour: bool) -> Iterator[str]:
    """Yield the chains with their nodes; `shift_ns` is how old the document is by now."""
    yield ""
    for row in rows(document, "chains"):
        head, final = part(row, "head"), part(row, "finalized")
        height = f"head {say(head, 'number')}" if head else "no agreed head"
        age_s = number(row.get("head_age_s"))
        aged = f"{span(int(age_s * NS) + shift_ns)} old" if age_s is not None else ""
        votes = f"{say(row, 'votes')} of {say(row, 'groups')} groups agree, {say(row, 'voting_groups')} vote"
        finalized = f"finalized {say(final, 'number')}" if final else ""
        level = paint(level_of(row), colour=colour)
        parts = [say(row, "name"), level, height, aged, finalized, _grade(row), votes]
        yield "  ".join(part for part in parts if part)
        yield from _finality_lines(row)
        yield from table([_NODE_HEAD, *(_node_cells(node) for node in rows(row, "nodes"))])
        yield from _ability_lines(row)
        if contracts := rows(row, "contracts"):
            yield from table([_CONTRACT_HEAD, *(_contract_cells(one) for one in contracts)])
        yield from map(brief, rows(row, "indexes"))
        yield from market_lines(row)
        yield from feed_lines(row)
        if beacons := rows(row, "beacons"):
            yield from table([_BEACON_HEAD, *(_beacon_cells(beacon) for beacon in beacons)])
        yield from _trial_lines(row)
        yield from _surplus_lines(row)
        yield ""
    yield from gateway_lines(document)


def _finality_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield why the finalized block is less than a quorum's, where that is not said of the head as well."""
    why = row.get("finalized_explanation")
    if why and why != row.get("explanation"):
        yield f"  finalized: {clean(str(why))}"


def _trial_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield one line about the detectors that are on trial on a chain, if there are any."""
    trials = rows(row, "detectors")
    if not trials:
        return
    by_trust = {word: sum(trial.get("trust") == word for trial in trials) for word in ("observe", "warn")}
    said = {"observe": "observed", "warn": "warn at most"}
    parts = [f"{count} {said[word]}" for word, count in by_trust.items() if count]
    suspects = [say(trial, "id") for trial in trials if trial.get("suspected_wall_ns") is not None]
    found = [f"{say(trial, 'id')} {trial['since_cases']}" for trial in trials if counts(trial.get("since_cases"))]
    line = "  detectors on trial: " + ", ".join(parts)
    line += f"; would have fired: {', '.join(found)}" if found else ""
    yield line + (f"; suspected: {', '.join(suspects)}" if suspects else "")


def _surplus_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield one line where nodes show more headers than are kept."""
    forgotten = part(row, "tree").get("forgotten")
    if counts(forgotten):
        yield f"  {forgotten} headers dropped unseen: a node shows more than any chain has"


def _grade(row: Mapping[str, Any]) -> str:
    """Return how the head is known, with what that rests on."""
    grade, groups = say(row, "grade"), row.get("groups")
    if grade == "uncorroborated" and whole(groups) and groups < _QUORUM_GROUPS:
        return f"{grade} by configuration"
    why = "; ".join(say(row, key) for key in ("explanation", "assumption") if row.get(key))
    return f"{grade} ({why})" if why else grade


_CONTRACT_HEAD = ("contract", "read at", "known", "changed", "problem")


def _contract_cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    values = {name: part(part(one, "values"), name) for name in part(one, "values")}
    grades = sorted({say(value, "grade") for value in values.values() if value.get("grade")})
    differs = [name for name, value in values.items() if _is_other(value)]
    return (
        say(one, "name"),
        say(part(one, "block"), "number"),
        ", ".join(grades) or "-",
        clean(", ".join(differs)) or "-",
        say(one, "problem") if one.get("problem") else "",
    )


def _is_other(value: Mapping[str, Any]) -> bool:
    """Tell whether a value is not what it was pinned to, or an amount is beyond its limits."""
    if "decimals" not in value:
        return bool(value.get("baseline")) and value.get("baseline") != value.get("value")
    amount, least, most = (str(value.get(key) or "") for key in ("value", "least", "most"))
    if not amount.isdecimal():
        return False
    is_less = least.isdecimal() and int(amount) < int(least)
    return is_less or (most.isdecimal() and int(amount) > int(most))


_BEACON_HEAD = ("beacon node", "state", "slot", "final epoch", "peers", "latency", "polls", "reasons")


def _beacon_cells(beacon: Mapping[str, Any]) -> tuple[str, ...]:
    latency, reasons = number(beacon.get("latency_ms")), beacon.get("reasons")
    return (
        *(say(beacon, key) for key in ("name", "state", "slot", "finalized_epoch", "peers")),
        "-" if latency is None else f"{latency:.0f} ms",
        say(beacon, "polls"),
        ", ".join(clean(str(reason)) for reason in (reasons if isinstance(reasons, list) else [])),
    )


_NODE_HEAD = ("node", "state", "head", "behind", "latency", "polls", "reasons")


def _node_cells(node: Mapping[str, Any]) -> tuple[str, ...]:
    behind, behind_s = node.get("behind"), number(node.get("behind_s"))
    lag = "-" if behind is None else clean(str(behind)) + (f" ({behind_s:g} s)" if behind and behind_s else "")
    lag = "another branch" if node.get("forked") is True else lag
    latency = number(node.get("latency_ms"))
    reasons = node.get("reasons")
    return (
        say(node, "name"),
        say(node, "state"),
        say(node, "head"),
        lag,
        "-" if latency is None else f"{latency:.0f} ms",
        say(node, "polls"),
        ", ".join(clean(str(reason)) for reason in (reasons if isinstance(reasons, list) else [])) or _on_trial(node),
    )


def _on_trial(node: Mapping[str, Any]) -> str:
    """Say of a node that nothing is wrong with, and that is not healthy yet, why and for how long."""
    left_s = number(node.get("probation_left_s"))
    if node.get("state") not in ("verifying", "probation"):
        return ""
    return say(node, "reason") + ("" if left_s is None else f"; healthy in {left_s:.0f} s if it stays well")


_ABILITIES = (("batch", "batch_limit"), ("eip1898", ""), ("proofs", ""), ("depth", "depth_blocks"), ("websocket", ""))
"""What is told of a node's abilities, and where the number stands that goes before a mere yes."""


def _ability_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield what each node can answer, once anything is known of any."""
    known = [(node, part(node, "abilities")) for node in rows(row, "nodes")]
    if not any(abilities.get(name) in ("yes", "no") for _, abilities in known for name, _ in _ABILITIES):
        return
    head = ("can answer", *(name for name, _ in _ABILITIES))
    yield from table([head, *((say(node, "name"), *_ability_cells(abilities)) for node, abilities in known)])


def _ability_cells(abilities: Mapping[str, Any]) -> Iterator[str]:
    for name, size in _ABILITIES:
        word = say(abilities, name)
        if word == "yes" and size and whole(abilities.get(size)):
            yield f"{abilities[size]}"
        else:
            yield "?" if word in ("unknown", "-") else word
