"""A node that says another client version than before: an update, a roll-back, or another machine behind the address.

What somebody did on purpose is good to have in the record when the trouble begins an hour later.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView, NodeView
from tocsin.units import DurationNs

ID = "node.version_change"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionChangeParams:
    """Told once, and open until it is acknowledged. Of other people's nodes only versions that are new count."""

    info: Over | None = Over(over=1)
    latched: bool = True
    hold: DurationNs = DurationNs(60 * 10**9)
    """For how long a change is news."""


def _changed_ns(node: NodeView) -> int | None:
    """Return when the version changed: of a provider's node, behind which there are several, only to an unknown one."""
    vitals = node.seen.vitals
    return vitals.changed_ns if node.settings.own else vitals.renewed_ns


def node_version_change(view: ChainView, params: VersionChangeParams) -> Iterator[Finding]:
    """Yield one finding per node that says a new version since a moment ago; `value` is 1."""
    for node in view.answering:
        changed_ns = _changed_ns(node)
        if changed_ns is None or view.now_ns - changed_ns >= params.hold:
            continue
        now, *before = node.seen.vitals.versions
        yield Finding(
            detector=ID,
            labels=node.labels,
            value=1,
            unit="flag",
            limits=Limits(info=params.info, clear=Under(under=1), latched=params.latched),
            sample=node.seen.polls,
            summary=f"{node.settings.name} says {now}, before {before[0] if before else 'nothing'}",
            grade=view.head.grade,
            evidence={"versions": list(node.seen.vitals.versions)},
        )


DETECTOR = ChainDetector(
    id=ID,
    params=VersionChangeParams,
    run=node_version_change,
    everywhere=True,
    judges=lambda node: node.seen.vitals.client is not None,
)
