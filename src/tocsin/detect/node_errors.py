"""A node that fails most of its questions and answers in between, again and again.

One that fails without a break is `node.unreachable`, and one that came back has left its failures behind: a flaky node
is told from both by how often its outcome changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.settings import ChainSettings
from tocsin.model.trust import Trust
from tocsin.model.view import ChainView

ID = "node.errors"
_MOST = 64
"""Outcomes that a record keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsParams:
    """In percent of the questions of the last minute, at least `least` and at most 64 of them.

    `turns` is how often they must have gone from well to bad or back.
    """

    warning: Over | None = Over(over=51)
    clear: Under = Under(under=20)
    least: int = 10
    turns: int = 4


def window(chain: ChainSettings, least: int) -> int:
    """Return how many outcomes make a minute on this chain."""
    return max(min(least, _MOST), min(_MOST, 60 * 10**9 // max(1, chain.poll_ns)))


def node_errors(view: ChainView, params: ErrorsParams) -> Iterator[Finding]:
    """Yield one finding per node that fails now and then; `value` in percent."""
    count = window(view.settings, params.least)
    for node in view.nodes:
        outcomes = node.seen.outcomes & ((1 << count) - 1)
        if not outcomes or node.seen.polls < count:
            continue
        failed, turns = outcomes.bit_count(), (outcomes ^ outcomes >> 1).bit_count()
        if turns < params.turns or node.seen.missed:
            continue
        yield Finding(
            detector=ID,
            labels=node.labels,
            value=100 * failed // count,
            unit="%",
            # Its failures have leaked away: it came back from an outage, and that minute is told of already.
            limits=Limits(warning=params.warning if node.seen.failures else None, clear=params.clear),
            sample=node.seen.polls,
            summary=f"{node.settings.name} failed {failed} of its last {count} questions, now and then",
            grade=view.head.grade,
            evidence={"failed": failed, "asked": count, "bodies": dict(node.seen.bodies)},
        )


DETECTOR = ChainDetector(id=ID, params=ErrorsParams, run=node_errors, starts=Trust.OBSERVE)
