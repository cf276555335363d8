"""A pool in which one client outnumbers all others: a defect of that client is a defect of the quorum.

A majority that shares its mistakes agrees on them (Holesky in February 2025: three clients with one wrong address, and
the wrong chain was justified). Counted are the own nodes where three are known, otherwise all.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tocsin.detect.base import ChainDetector
from tocsin.detect.clients import DEVELOPMENT, client_of
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView, NodeView

ID = "pool.monoculture"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonocultureParams:
    """In percent of the nodes whose client is known, from `least` nodes on."""

    warning: Over | None = Over(over=67, for_ns=600 * 10**9)
    clear: Under = Under(under=67)
    least: int = 3


def family(node: NodeView) -> str:
    """Return the client of a node as it says or, where it says nothing, as it is configured; empty for none."""
    said = node.seen.vitals.client
    client = client_of(said) if said is not None else None
    name = client.family if client is not None else node.settings.client.lower()
    return "" if name in DEVELOPMENT else name


def pool_monoculture(view: ChainView, params: MonocultureParams) -> Iterator[Finding]:
    """Yield a finding while one client has most of the nodes; `value` in percent."""
    families = tuple([(family(node), node.settings.own) for node in view.nodes])
    first, share, known = _first(families, params.least)
    if share < params.clear.under:
        return
    yield Finding(
        detector=ID,
        labels=view.labels,
        value=share,
        unit="%",
        limits=Limits(warning=params.warning, clear=params.clear),
        sample=view.tick,
        summary=f"{share} % of the nodes of {view.settings.name} run {first}",
        grade=view.head.grade,
        evidence={"clients": {node.settings.name: family(node) for node in view.nodes}, "known": known},
    )


@lru_cache(maxsize=256)
def _first(families: tuple[tuple[str, bool], ...], least: int) -> tuple[str, int, int]:
    """Return the client that most have, its share in percent and how many are known; a share of 0 below `least`."""
    everyone = [name for name, _ in families if name]
    own = [name for name, is_own in families if name and is_own]
    known = own if len(own) >= least else everyone
    if len(known) < least:
        return "", 0, len(known)
    name, count = min(Counter(known).items(), key=lambda entry: (-entry[1], entry[0]))
    return name, 100 * count // len(known), len(known)


DETECTOR = ChainDetector(id=ID, params=MonocultureParams, run=pool_monoculture, everywhere=True)
