"""What all detectors of watched contracts say alike: which values are not what they were pinned to."""

from collections.abc import Iterator

from tocsin.model.alert import Finding, Grade, Limits
from tocsin.model.contract import ContractView, Watch
from tocsin.model.view import ChainView

_WORST_FIRST = (Grade.UNCORROBORATED, Grade.MAJORITY, Grade.QUORUM, Grade.PROVEN)


def changed(view: ChainView, detector: str, watches: tuple[Watch, ...], limits: Limits, what: str) -> Iterator[Finding]:
    """Yield one finding per contract of which any of the watched values differs; `value` in values that do."""
    for one in view.contracts:
        rows = [row for watch in watches if (row := _row(one, watch)) is not None]
        if not rows or not one.is_current:
            continue
        first = one.seen.latest[rows[0]["watch"]]
        said = "; ".join(f"{row['watch']} was {_short(row['baseline'])}, is {_short(row['now'])}" for row in rows)
        yield Finding(
            detector=detector,
            labels=one.labels,
            value=len(rows),
            unit="values",
            limits=limits,
            sample=one.seen.samples,
            summary=f"{one.settings.name} {what}: {said}",
            grade=min((one.seen.latest[row["watch"]].grade for row in rows), key=_WORST_FIRST.index),
            block=first.block,
            evidence={"contract": one.settings.name, "address": one.settings.address, "changes": rows},
        )


def _row(one: ContractView, watch: Watch) -> dict[str, str] | None:
    known, pinned = one.seen.latest.get(watch.value), one.seen.baseline.get(watch.value)
    if known is None or pinned is None or known.value == pinned.value:
        return None
    return {
        "watch": watch.value,
        "baseline": pinned.value,
        "baseline_block": pinned.block.hash,
        "accepted_by": pinned.by,
        "now": known.value,
        "grade": known.grade.value,
        "block": known.block.hash,
    }


def _short(value: str) -> str:
    """Return a hash as people compare it: its two ends. An address is told whole."""
    return value if len(value) <= len("0x") + 40 else f"{value[:10]}...{value[-8:]}"
