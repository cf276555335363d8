"""What detectors of watched contracts say alike: which values are not what they were pinned to, or beyond a limit."""

from collections.abc import Iterable, Iterator, Sequence

from tocsin.ids import digest
from tocsin.model.alert import Finding, Grade, Limits
from tocsin.model.contract import UNREADABLE, Bounds, ContractView, Known, Watch, is_list, is_other, listed, watch_of
from tocsin.model.evolve import evolve
from tocsin.model.view import ChainView
from tocsin.units import amount_text

_WORST_FIRST = (Grade.UNCORROBORATED, Grade.MAJORITY, Grade.QUORUM, Grade.PROVEN)

Row = dict[str, str]


def changed(view: ChainView, detector: str, watches: tuple[Watch, ...], limits: Limits, what: str) -> Iterator[Finding]:
    """Yield one finding per contract of which any of the watched values differs; `value` in values that do."""
    for one in view.contracts:
        # In an order that does not depend on how they came to be known.
        names = sorted(name for name in one.seen.baseline if has_changed(one, name) and watch_of(name) in watches)
        if not names or not one.is_current:
            continue
        rows = [_row(one, name) for name in sorted(names, key=lambda name: watches.index(watch_of(name)))]
        said = "; ".join(_said(row) for row in rows)
        found = _finding(one, detector, rows, limits, f"{one.settings.name} {what}: {said}", "changes")
        # Somebody may change it again after people have looked, and an `ack` accepts what they were told last.
        yield evolve(found, news=digest("\n".join(f"{row['watch']}={row['now']}" for row in rows).encode()))


def beyond(view: ChainView, detector: str, watches: tuple[Watch, ...], limits: Limits) -> Iterator[Finding]:
    """Yield one finding per contract of which any amount is beyond its limits; `value` in amounts that are."""
    for one in view.contracts:
        names = sorted(name for name in one.seen.latest if watch_of(name) in watches)
        rows = [row for name in names if (row := _level(one, name)) is not None]
        if not rows or not one.is_current:
            continue
        said = "; ".join(f"{row['watch']} is {row['now']}, {row['limit']}{_doubted(row)}" for row in rows)
        yield _finding(one, detector, rows, limits, f"{one.settings.name}: {said}", "levels")


def _finding(one: ContractView, detector: str, rows: Sequence[Row], limits: Limits, summary: str, kind: str) -> Finding:
    known = [one.seen.latest[row["watch"]] for row in rows]
    return Finding(
        detector=detector,
        labels=one.labels,
        value=len(rows),
        unit="values",
        limits=limits,
        sample=one.seen.samples,
        summary=summary,
        grade=worst(each.grade for each in known),
        block=known[0].block,
        evidence={"contract": one.settings.name, "address": one.settings.address, kind: list(rows)},
    )


def worst(grades: Iterable[Grade]) -> Grade:
    """Return how several things together are known."""
    return min(grades, key=_WORST_FIRST.index)


# -- against what is pinned


def has_changed(one: ContractView, name: str) -> bool:
    """Tell whether a value is news against what it was pinned to."""
    known, pinned = one.seen.latest.get(name), one.seen.baseline.get(name)
    return known is not None and pinned is not None and is_other(name, pinned.value, known.value)


def _row(one: ContractView, name: str) -> Row:
    known, pinned = one.seen.latest[name], one.seen.baseline[name]
    return {
        "watch": name,
        "baseline": pinned.value,
        "baseline_block": pinned.block.hash,
        "accepted_by": pinned.by,
        "now": known.value,
        "grade": known.grade.value,
        "block": known.block.hash,
    }


def _said(row: Row) -> str:
    name, before, now = row["watch"], row["baseline"], row["now"]
    if not is_list(name) or UNREADABLE in (before, now):
        return f"{name} was {_short(before)}, is {_short(now)}"
    were, are = listed(before), listed(now)
    more = [_short(one) for one in are if one not in were]
    less = [_short(one) for one in were if one not in are]
    said = [f"{word} {_few(these)}" for word, these in (("has now", more), ("no longer", less)) if these]
    return f"{name} {' and '.join(said)}"


def _few(members: Sequence[str]) -> str:
    """Return the first few of many: the evidence has them all."""
    most = 3
    left = len(members) - most
    return ", ".join(members[:most]) + (f" and {left} more" if left > 0 else "")


def _short(value: str) -> str:
    """Return a hash as people compare it: its two ends. An address is told whole."""
    head, slash, tail = value.partition("/")
    if slash:
        return f"{_short(head)}/{_short(tail)}"
    return value if len(value) <= len("0x") + 40 else f"{value[:10]}...{value[-8:]}"


# -- against limits


def _level(one: ContractView, name: str) -> Row | None:
    known, bounds = one.seen.latest[name], one.settings.bounds(name)
    if bounds is None or not known.value.isdigit():
        return None
    amount, said = int(known.value), None
    if bounds.least and amount < int(bounds.least):
        said = f"less than {_amount(bounds.least, bounds)}"
    elif bounds.most and amount > int(bounds.most):
        said = f"more than {_amount(bounds.most, bounds)}"
    elif name == Watch.SUPPLY.value and (cap := one.seen.latest.get(f"{name}.cap")) is not None:
        said = _above_cap(amount, cap, bounds)
    if said is None:
        return None
    return {
        "watch": name,
        "now": _amount(known.value, bounds),
        "limit": said,
        "units": known.value,
        "decimals": str(bounds.decimals),
        "grade": known.grade.value,
        "block": known.block.hash,
        **({"doubted": one.seen.wrong[name].value} if name in one.seen.wrong else {}),
    }


def _doubted(row: Row) -> str:
    """Say that an amount, and so its limit, may not be what was meant, such as for other decimals."""
    return f" (but {row['doubted']})" if "doubted" in row else ""


def _above_cap(amount: int, cap: Known, bounds: Bounds) -> str | None:
    is_above = cap.value.isdigit() and amount > int(cap.value)
    return f"more than its cap() of {_amount(cap.value, bounds)}" if is_above else None


def _amount(units: str, bounds: Bounds) -> str:
    return amount_text(int(units), bounds.decimals)
