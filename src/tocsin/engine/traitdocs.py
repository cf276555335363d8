"""What a node says of itself and what it can answer, as documents show it."""

from tocsin.model.alert import Json
from tocsin.model.traits import Capabilities
from tocsin.model.view import NodeRecord


def traits(record: NodeRecord) -> dict[str, object]:
    """Return the part of a node's document that changes rarely."""
    return {
        "client": record.vitals.client,
        "peers": record.vitals.peers,
        "capabilities": _capabilities(record.capabilities),
    }


def lasting(record: NodeRecord) -> tuple[str, str]:
    """Return what of it is worth publishing the document again."""
    return record.vitals.client or "", str(record.capabilities.number)


def row(record: NodeRecord, t_ns: int) -> dict[str, object]:
    """Return the part of a node's row in `status --json`."""
    heard_ns = record.heard_ns
    return {
        **traits(record),
        "pending": record.vitals.pending,
        "heard_s": None if heard_ns is None else (t_ns - heard_ns) // 10**6 / 1000,
        "p95_ms": record.p95_ms or None,
    }


def _capabilities(known: Capabilities) -> Json:
    return {
        "reach": {
            name: {"depth": reach.depth, "whole": reach.whole, "missing": reach.missing}
            for name, reach in sorted(known.reach.items())
        },
        "pins": dict(sorted(known.pins.items())),
        "offered": dict(sorted(known.offered.items())),
    }
