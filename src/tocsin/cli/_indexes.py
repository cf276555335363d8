"""What is said of log indexes: one line each on the page of the status, some more in `tocsin index status`."""

from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.cli._words import NS, amount, clean, counts, number, part, say, span, whole

_WHY = (("stuck", "waits"), ("problem", "problem"))


def brief(row: Mapping[str, Any]) -> str:
    """Return one line about an index."""
    why = "; ".join(f"{word}: {say(row, key)}" for key, word in _WHY if row.get(key))
    found = [f"index {say(row, 'name')}", _place(row), _left(row)]
    return "  " + ", ".join(part for part in found if part) + (f"; {why}" if why else "")


def lines(on: str, row: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a person reads of an index of a chain."""
    yield f"{say(row, 'name')} on {on}, from block {_count(row.get('from'))}"
    verb = "names" if row.get("logs") == 1 else "name"
    found = f"{_counted(row.get('logs'), 'log')} {verb} {_counted(row.get('accounts'), 'account')}"
    yield f"  {_place(row)}; {found}, {say(row, 'grade')}"
    rates = [(number(row.get("blocks_per_s")), "blocks/s"), (number(row.get("logs_per_s")), "logs/s")]
    told = [f"{rate:,.1f} {unit}" for rate, unit in rates if rate is not None]
    if told:
        yield "  " + ", ".join([*told, _left(row)] if _left(row) else told)
    tail = part(row, "tail")
    if tail:
        yield f"  followed to block {_count(tail.get('number'))} {say(tail, 'hash')}"
    if counts(row.get("audited")):
        yield f"  {_count(row['audited'])} blocks held against their receipts since the start"
    if counts(row.get("unreadable")):
        yield f"  {_count(row['unreadable'])} logs name no account where one should stand: check account of its events"
    for key, word in _WHY:
        if row.get(key):
            yield f"  {word}: {say(row, key)}"
    amounts = part(row, "amounts")
    if amounts:
        yield from _amounts(amounts)
    if row.get("digest"):
        yield f"  digest {say(row, 'digest')} at block {_count(row.get('digest_block'))}"


def _amounts(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the accounts hold, and how that is known."""
    at = part(row, "block")
    if at:
        held = f"{_count(row.get('holding'))} of {_count(row.get('accounts'))} accounts hold {amount(row, 'total')}"
        yield f"  {held} at block {_count(at.get('number'))} by {say(row, 'call')} of {say(row, 'contract')}"
        how = [say(row, "grade")] if row.get("grade") else []
        how.append(f"{_count(row.get('audited'))} asked of a second group as well")
        how += [f"{_count(row[key])} {key}" for key in ("disputed", "unknown") if counts(row.get(key))]
        yield f"  amounts: {', '.join(how)}"
    if row.get("problem"):
        yield f"  amounts: {say(row, 'problem')}"


def _place(row: Mapping[str, Any]) -> str:
    through, done = part(row, "through"), number(row.get("done"))
    if not through:
        return "no block yet" + (f" of {_count(row['finalized'])}" if whole(row.get("finalized")) else "")
    share = "" if done is None or done >= 1 else f" ({int(done * 1000) / 10:g} %)"
    of = f" of {_count(row['finalized'])}" if whole(row.get("finalized")) else ""
    return f"block {_count(through.get('number'))}{of}{share}"


def _left(row: Mapping[str, Any]) -> str:
    eta_s = number(row.get("eta_s"))
    return "" if eta_s is None else f"{span(int(eta_s) * NS)} left"


def _counted(value: object, what: str) -> str:
    return f"{_count(value)} {what if value == 1 else f'{what}s'}"


def _count(value: object) -> str:
    return f"{value:,}" if whole(value) else clean(str(value)) if value is not None else "-"
