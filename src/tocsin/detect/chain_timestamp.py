"""The agreed head has a time that it cannot have: between two slots, before its parent, or in the future.

A single node with a head from the future is `node.phantom_head`. Where the agreed head is in the future it is the chain
or our own clock, and the text says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import NS
from tocsin.detect.base import ChainDetector, block_evidence
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.block import Rule
from tocsin.model.trust import Trust
from tocsin.model.view import ChainView
from tocsin.units import span_text

ID = "chain.timestamp"
_WORDS = {Rule.SLOT: "between two slots", Rule.ORDER: "not after its parent's"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampParams:
    """In seconds off. How far in the future is too far is the chain's `clock_drift`."""

    warning: Over | None = Over(over=1)
    clear_slots: int = 3


def chain_timestamp(view: ChainView, params: TimestampParams) -> Iterator[Finding]:
    """Yield a finding while the agreed head has a wrong time; `value` in seconds."""
    header = view.head_header
    if header is None:
        return
    late_s = header.timestamp - view.wall_ns // NS
    wrong = next((breach for breach in view.head_breaches if breach.rule in _WORDS), None)
    if wrong is not None:
        value, what = max(1, abs(wrong.shown - wrong.right)), _WORDS[wrong.rule]
    elif late_s * NS > view.settings.clock_drift_ns:
        value, what = late_s, f"{span_text(late_s * NS)} in the future, or this host's clock is late"
    else:
        return
    pace_ns = view.settings.pace_ns
    yield Finding(
        detector=ID,
        labels=view.labels,
        value=value,
        unit="s",
        limits=Limits(warning=params.warning, clear=Under(under=1, for_ns=params.clear_slots * pace_ns)),
        sample=view.tick,
        summary=f"the time of block {header.number} of {view.settings.name} is {what}",
        grade=view.head.grade,
        block=header.ref,
        evidence={"header": block_evidence(header), "right": wrong.right if wrong is not None else None},
    )


DETECTOR = ChainDetector(id=ID, params=TimestampParams, run=chain_timestamp, starts=Trust.OBSERVE)
