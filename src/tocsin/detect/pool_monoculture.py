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
from tocsin.model.view import ChainView

ID = "pool.monoculture"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonocultureParams:
    """In percent of the nodes whose client is known, from `least` nodes on."""

    warning: Over | None = Over(over=67, for_ns=600 * 10**9)
    clear: Under = Under(under=67)
    least: int = 3


def pool_monoculture(view: ChainView, params: MonocultureParams) -> Iterator[Finding]:
    """Yield a finding while one client has most of the nodes; `value` in percent.

    A node that says nothing is taken for what it is configured to be.
    """
    said = tuple([node.seen.vitals.client or node.settings.client for node in view.nodes])
    first, share, known = _first(said, tuple([node.settings.own for node in view.nodes]), params.least)
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
        evidence={
            "clients": {node.settings.name: family(text) for node, text in zip(view.nodes, said, strict=True)},
            "known": known,
        },
    )


def family(said: str) -> str:
    """Return the client that a text names, empty for none and for tools that make a chain of their own."""
    client = client_of(said)
    return "" if client is None or client.family in DEVELOPMENT else client.family


@lru_cache(maxsize=256)
def _first(said: tuple[str, ...], is_own: tuple[bool, ...], least: int) -> tuple[str, int, int]:
    """Return the client that most have, its share in percent and how many are known; a share of 0 below `least`."""
    families = [(family(text), own) for text, own in zip(said, is_own, strict=True)]
    everyone = [name for name, _ in families if name]
    ours = [name for name, own in families if name and own]
    known = ours if len(ours) >= least else everyone
    if len(known) < least:
        return "", 0, len(known)
    name, count = min(Counter(known).items(), key=lambda entry: (-entry[1], entry[0]))
    return name, 100 * count // len(known), len(known)


DETECTOR = ChainDetector(id=ID, params=MonocultureParams, run=pool_monoculture, everywhere=True)
