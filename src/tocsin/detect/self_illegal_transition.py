"""A node's state changed as no rule allows: a defect of Tocsin itself, which goes on watching all the same."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import SelfDetector
from tocsin.model.alert import Finding, Grade, Limits, Over
from tocsin.model.view import SelfView

ID = "self.illegal_transition"


@dataclass(frozen=True, slots=True, kw_only=True)
class IllegalTransitionParams:
    """In transitions since the last `ack`. `latched`: resolves only after it."""

    warning: Over | None = Over(over=1)
    latched: bool = True


def self_illegal_transition(view: SelfView, params: IllegalTransitionParams) -> Iterator[Finding]:
    """Yield a finding while there are transitions that nobody has acknowledged; `value` is how many."""
    if view.illegal:
        first = view.illegal[0]
        yield Finding(
            detector=ID,
            labels=view.labels,
            value=len(view.illegal),
            unit="transitions",
            limits=Limits(warning=params.warning, latched=params.latched),
            sample=view.tick,
            summary=f"{first.node} went from {first.old} to {first.new}, which no rule allows; please report it",
            grade=Grade.PROVEN,
            evidence={
                "transitions": [
                    {"node": move.node, "from": move.old, "to": move.new, "reason": move.reason}
                    for move in view.illegal
                ]
            },
        )


DETECTOR = SelfDetector(id=ID, params=IllegalTransitionParams, run=self_illegal_transition)
