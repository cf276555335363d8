"""What a node says of itself, from the answers to the slow questions. Any bytes give a value, none are a failure."""

from collections.abc import Mapping, Sequence
from typing import Final

from tocsin.engine.quantity import count_of, json_of
from tocsin.model.evolve import evolve
from tocsin.model.observation import Part, RpcErrorKind
from tocsin.model.question import CLIENT_VERSION, PEERS, TXPOOL
from tocsin.model.traits import Vitals
from tocsin.wire.quirks import clean

SLOW: Final = frozenset({CLIENT_VERSION, PEERS, TXPOOL})

_VERSION_CHARS: Final = 200
_VERSIONS: Final = 4
_MOST_PEERS: Final = 100_000
"""A quantity beyond this is no number of peers."""
_MOST_PENDING: Final = 100_000_000

_WINDOW: Final = 60
"""Answers that make up what is usual: an hour."""
_LEAST: Final = 30
_SIGMA_PER_MAD: Final = (14_826, 10_000)
"""The median deviation of a normal distribution is its standard deviation divided by this."""
_FLOOR_SHARE: Final = 20
_FLOOR: Final = 10
"""A deviation below a twentieth of the median, or ten transactions, is taken for that: pools of a few are not news."""


def observe(vitals: Vitals, parts: Mapping[str, Part], t_ns: int) -> Vitals:
    """Return what is known after the slow answers among these parts; what came as an error leaves the old value."""
    changes: dict[str, object] = {}
    missing = set(vitals.missing)
    for call in SLOW & parts.keys():
        part = parts[call]
        if part.error is not None:
            if part.error.kind is RpcErrorKind.METHOD_MISSING:
                missing.add(call)
            continue
        missing.discard(call)
        changes |= _READERS[call](vitals, json_of(part.result), t_ns)
    if missing != set(vitals.missing):
        changes["missing"] = tuple(sorted(missing))
    return evolve(vitals, **changes) if changes else vitals


def _version(vitals: Vitals, said: object, t_ns: int) -> dict[str, object]:
    if said is not None and said == vitals.client:  # as nearly always, and to clean a text takes long
        return {}
    client = clean(said)[:_VERSION_CHARS] if isinstance(said, str) else ""
    if not client or client == vitals.client:
        return {}
    others = tuple(version for version in vitals.versions if version != client)
    return {
        "client": client,
        "versions": (client, *others)[:_VERSIONS],
        "changed_ns": t_ns if vitals.client is not None else None,
        "renewed_ns": t_ns if vitals.client is not None and client not in vitals.versions else vitals.renewed_ns,
    }


def _peers(vitals: Vitals, said: object, _: int) -> dict[str, object]:
    peers = count_of(said, _MOST_PEERS)
    return {} if peers is None else {"peers": peers, "peer_answers": vitals.peer_answers + 1}


def _pool(vitals: Vitals, said: object, t_ns: int) -> dict[str, object]:
    pending = count_of(said.get("pending"), _MOST_PENDING) if isinstance(said, dict) else None
    if pending is None:
        return {}
    usual = median(vitals.pendings)
    is_empty = pending == 0 and usual > 0
    pendings = vitals.pendings if is_empty else (*vitals.pendings[1 - _WINDOW :], pending)
    return {
        "pending": pending,
        "pendings": pendings,
        "pool_answers": vitals.pool_answers + 1,
        "deviation": deviation(vitals.pendings, pending),
        "empty_since_ns": (vitals.empty_since_ns or t_ns) if is_empty else None,
    }


_READERS: Final = {CLIENT_VERSION: _version, PEERS: _peers, TXPOOL: _pool}


def median(values: Sequence[int]) -> int:
    """Return the upper median, 0 of none."""
    return sorted(values)[len(values) // 2] if values else 0


def deviation(usual: Sequence[int], value: int) -> int:
    """Return how far a value is from the usual ones, in tenths of a standard deviation; 0 while too few are known.

    Robust: half of the usual values may be anything. Source: Iglewicz and Hoaglin, the modified z-score.
    """
    if len(usual) < _LEAST:
        return 0
    middle = median(usual)
    spread = median([abs(each - middle) for each in usual])
    numerator, denominator = _SIGMA_PER_MAD
    sigma = max(spread * numerator // denominator, middle // _FLOOR_SHARE, _FLOOR)
    return 10 * abs(value - middle) // sigma
