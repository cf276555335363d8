"""What is told of watched contracts: their retained topics, and their rows in the status."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from tocsin.engine.shown import block, seconds
from tocsin.engine.state import ChainState, Document, Lasting
from tocsin.model.contract import Bounds, ContractSettings, Watched
from tocsin.model.settings import ChainSettings

_NOT_READ: Final = "it was not read yet"


def told(state: ChainState, chain: ChainSettings) -> Iterator[tuple[ContractSettings, Lasting, Document]]:
    """Yield, for each contract that was read, what of its document lasts, and what makes that."""
    for one in chain.contracts:
        seen = state.contracts.watched.get(one.name)
        if seen is not None and seen.samples:
            yield one, _lasting(seen), partial(_document, one, seen, chain)


def rows(state: ChainState, chain: ChainSettings, t_ns: int) -> list[dict[str, object]]:
    """Return the rows of the status, in the order of the configuration."""
    found = []
    for one in chain.contracts:
        seen = state.contracts.watched.get(one.name) or Watched(identity=one.identity)
        age_s = None if seen.read_ns is None else seconds(t_ns - seen.read_ns)
        problem = seen.problem or (None if seen.samples else _NOT_READ)
        found.append({**_document(one, seen, chain), "name": one.name, "age_s": age_s, "problem": problem})
    return found


def _lasting(seen: Watched) -> Lasting:
    """Return what is worth publishing the document again; that it was read at another block is not."""
    values = [text for name, known in sorted(seen.latest.items()) for text in (name, known.value, known.grade.value)]
    pins = [text for name, pin in sorted(seen.baseline.items()) for text in (name, pin.value, pin.by)]
    return (*values, *pins, seen.problem)


def _document(one: ContractSettings, seen: Watched, chain: ChainSettings) -> dict[str, object]:
    return {
        "chain": f"eip155:{chain.id}",
        "address": one.address,
        "block": block(seen.block),
        "audited": block(seen.audited),
        "values": {name: _value(one, seen, name) for name in one.parts},
        "problem": seen.problem or None,
    }


def _value(one: ContractSettings, seen: Watched, name: str) -> dict[str, object]:
    bounds = one.bounds(name)
    known, pin = seen.latest.get(name), seen.baseline.get(name)
    return {
        "value": None if known is None else known.value,
        "grade": None if known is None else known.grade.value,
        "block": None if known is None else block(known.block),
        "votes": None if known is None else known.votes,
        "groups": None if known is None else known.groups,
        "baseline": None if pin is None else pin.value,
        "baseline_block": None if pin is None else block(pin.block),
        "accepted_by": (pin.by or None) if pin is not None else None,
        "accepted_why": (pin.why or None) if pin is not None else None,
        **({} if bounds is None else _limits(bounds)),
    }


def _limits(bounds: Bounds) -> dict[str, object]:
    return {"least": bounds.least or None, "most": bounds.most or None, "decimals": bounds.decimals}
