"""A feed whose rounds go back: a lower number than before, or the same number with another answer.

A proxy's round is its phase and the aggregator's own round, and both only rise; what was answered is never answered
again otherwise. Rounds that were read at a block which a reorg has replaced are forgotten, and say nothing. What is
left is an aggregator that was exchanged for one that does not keep to this, or an answer that was made up.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.oracle_base import feed_evidence, read_feeds
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.feed import Round
from tocsin.model.view import ChainView

ID = "oracle.round_regress"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRegressParams:
    """In readings that cannot follow. `latched`: stays until a person has seen it."""

    critical: Over | None = Over(over=1, polls=2)
    clear: Under = Under(under=1, polls=2)
    latched: bool = True


def oracle_round_regress(view: ChainView, params: RoundRegressParams) -> Iterator[Finding]:
    """Yield one finding per feed whose newest round cannot follow the one before; `value` is 1."""
    for one, latest in read_feeds(view):
        regress = one.seen.regress
        if regress is None:
            continue
        yield Finding(
            detector=ID,
            labels=one.labels,
            value=1,
            unit="readings",
            limits=Limits(critical=params.critical, clear=params.clear, latched=params.latched),
            sample=one.seen.samples,
            summary=f"{one.settings.name}: {regress.reason}",
            grade=latest.grade,
            block=latest.block,
            evidence={**feed_evidence(one), "before": _row(regress.before), "after": _row(regress.after)},
        )


def _row(one: Round) -> dict[str, object]:
    block = {"number": one.block.number, "hash": one.block.hash}
    return {"round": one.number, "answer": one.answer, "updated_at": one.updated_s, "seen_at": block}


DETECTOR = ChainDetector(id=ID, params=RoundRegressParams, run=oracle_round_regress, everywhere=True)
