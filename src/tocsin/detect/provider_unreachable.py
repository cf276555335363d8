"""A provider of which no node answers: its outage, told once instead of once for each of its nodes.

Told only of a provider with two nodes on the chain or more, and not of one that has them all: that is `pool.blind`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.failures import is_throttled
from tocsin.model.alert import Finding, Labels, Limits, Over, Under
from tocsin.model.settings import NodeSettings
from tocsin.model.view import ChainView, NodeView

ID = "provider.unreachable"
PROVIDER = "provider"

_SEVERAL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderUnreachableParams:
    """In polls that each of its nodes failed. With the second it begins to stand for them, with the fifth it fires."""

    warning: Over | None = Over(over=2, polls=4)
    clear: Under = Under(under=1)


def labels_of(chain: Labels, provider: str) -> Labels:
    """Return the labels of a provider on a chain."""
    return tuple(sorted((*chain, (PROVIDER, provider))))


def providers(nodes: tuple[NodeSettings, ...]) -> list[str]:
    """Return the providers that several of these nodes share."""
    names = [node.provider for node in nodes]
    return sorted({name for name in names if names.count(name) >= _SEVERAL})


def provider_unreachable(view: ChainView, params: ProviderUnreachableParams) -> Iterator[Finding]:
    """Yield one finding per provider whose nodes all fail; `value` in leaky failures of the one that fails least."""
    if sum(node.seen.failures > 0 for node in view.nodes) < _SEVERAL:
        return
    failing: dict[str, list[NodeView]] = {}
    for node in view.nodes:
        failing.setdefault(node.settings.provider, []).append(node)
    for provider, nodes in sorted(failing.items()):
        fewest = min(0 if is_throttled(node.seen) else node.seen.failures for node in nodes)
        if fewest and _SEVERAL <= len(nodes) < len(view.nodes):
            yield _finding(view, params, provider, nodes, fewest)


def _finding(
    view: ChainView, params: ProviderUnreachableParams, provider: str, nodes: list[NodeView], fewest: int
) -> Finding:
    fault = next((node.seen.fault for node in nodes if node.seen.fault is not None), None)
    why = f" ({fault.kind}: {fault.detail})" if fault is not None else ""
    return Finding(
        detector=ID,
        labels=labels_of(view.labels, provider),
        value=fewest,
        unit="failures",
        limits=Limits(warning=params.warning, clear=params.clear),
        sample=min(node.seen.polls for node in nodes),
        summary=f"none of the {len(nodes)} nodes of {provider} on {view.settings.name} gives a usable answer{why}",
        grade=view.head.grade,
        evidence={
            "nodes": {node.settings.name: node.seen.failures for node in nodes},
            "faults": {node.settings.name: node.seen.fault.kind.value for node in nodes if node.seen.fault},
        },
    )


DETECTOR = ChainDetector(id=ID, params=ProviderUnreachableParams, run=provider_unreachable, everywhere=True)
