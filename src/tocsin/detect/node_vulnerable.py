"""A node whose client, in the version that it names, has a published defect.

Nobody is told of the most harmful defects before they are exploited, and most operators update within weeks: what is
published is the least that somebody with bad intentions knows (geth's disclosure policy says so of its own).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.advisories import Advisory, Harm, advisories_for
from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView, NodeView

ID = "node.vulnerable"
_GRAVITY = {Harm.CRASH: 1, Harm.CONSENSUS: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class VulnerableParams:
    """In gravity: 1 for a defect that can take the node down, 2 for one that can take it off the chain.

    `advisories` are yours beside those that come along, `ignore` the ids of defects that do not concern you.
    """

    warning: Over | None = Over(over=1)
    critical: Over | None = Over(over=2)
    clear: Under = Under(under=1)
    advisories: tuple[Advisory, ...] = ()
    ignore: tuple[str, ...] = ()


def node_vulnerable(view: ChainView, params: VulnerableParams) -> Iterator[Finding]:
    """Yield one finding per node with a published defect; `value` is the gravity of the worst."""
    for node in view.answering:
        said = node.seen.vitals.client
        found = advisories_for(said, view.settings.id, params.advisories, params.ignore) if said is not None else ()
        if found:
            yield _finding(view, node, params, found)


def _finding(view: ChainView, node: NodeView, params: VulnerableParams, found: tuple[Advisory, ...]) -> Finding:
    worst, more = found[0], f" and {len(found) - 1} more" if len(found) > 1 else ""
    return Finding(
        detector=ID,
        labels=node.labels,
        value=_GRAVITY[worst.harm],
        unit="gravity",
        limits=Limits(warning=params.warning, critical=params.critical, clear=params.clear),
        sample=node.seen.polls,
        summary=f"{node.settings.name} runs {node.seen.vitals.client}, which has {worst.id}{more}; "
        f"fixed in {worst.before}",
        grade=view.head.grade,
        evidence={
            "client": node.seen.vitals.client,
            "advisories": [
                {"id": each.id, "harm": each.harm.value, "fixed_in": each.before, "source": each.source}
                for each in found
            ],
        },
    )


DETECTOR = ChainDetector(
    id=ID,
    params=VulnerableParams,
    run=node_vulnerable,
    everywhere=True,
    judges=lambda node: node.seen.vitals.client is not None,
)
