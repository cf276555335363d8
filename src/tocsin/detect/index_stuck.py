"""A log index that does not get on: whoever holds positions since then is not in it.

An index waits for many reasons and tells each: too few groups answer for logs or for old blocks, groups contradict each
other and nobody shows receipts, the disk is full, the file cannot be written or is of another chain. Most of them pass
within a poll or two. One that moves, however slowly, is not stuck; nor is one whose finalized block stands still.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import NS
from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.index import IndexView
from tocsin.model.view import ChainView

ID = "index.stuck"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexStuckParams:
    """In seconds for which it has not got on. Critical is for those who act by who holds positions."""

    warning: Over | None = Over(over=600)
    critical: Over | None = None
    clear: Under = Under(under=1)


def index_stuck(view: ChainView, params: IndexStuckParams) -> Iterator[Finding]:
    """Yield one finding per index that waits; `value` in seconds."""
    for one in view.indexes:
        if one.seen.stuck_ns is None:
            continue
        waits_s = max(0, view.now_ns - one.seen.stuck_ns) // NS
        yield Finding(
            detector=ID,
            labels=one.labels,
            value=waits_s,
            unit="s",
            limits=Limits(warning=params.warning, critical=params.critical, clear=params.clear),
            sample=view.tick,
            summary=f"{one.settings.name} has not got on for {waits_s} s{_where(one)}: {one.seen.sample.stuck}",
            grade=Grade.PROVEN,
            evidence=_evidence(one),
        )


def _where(one: IndexView) -> str:
    through, target = one.seen.sample.through, one.seen.sample.target
    if through is None or through.number < one.settings.start:
        return ""
    lack = 0 if target is None else max(0, target - through.number)
    return f" at block {through.number}" + (f", {lack} below the finalized one" if lack else "")


def _evidence(one: IndexView) -> dict[str, object]:
    sample = one.seen.sample
    return {
        "reason": sample.stuck,
        "through": None if sample.through is None else sample.through.number,
        "finalized": sample.target,
        "tail": None if sample.tail is None else sample.tail.number,
    }


DETECTOR = ChainDetector(id=ID, params=IndexStuckParams, run=index_stuck, everywhere=True)
