"""What people have accepted of contracts: what an `ack` has changed, and what an earlier one had."""

from collections.abc import Iterator

from tocsin.engine import pinning
from tocsin.engine.labels import contract_labels
from tocsin.engine.shown import block
from tocsin.engine.state import EngineState
from tocsin.ids import fingerprint
from tocsin.model.contract import Pinned, Watched, watch_of

Row = dict[str, object]


def accepted(before: EngineState, after: EngineState) -> list[Row]:
    """Return what became the baseline of contracts from one state to the next by a person's word."""
    return list(_accepted(before, after))


def _accepted(before: EngineState, after: EngineState) -> Iterator[Row]:
    for name, chain in after.chains.items():
        was = before.chains[name].contracts.watched if name in before.chains else {}
        for contract, seen in chain.contracts.watched.items():
            old = was[contract].baseline if contract in was else {}
            for value, pin in seen.baseline.items():
                if pin.by and old.get(value) != pin:
                    yield _row(name, contract, value, pin, seen, old.get(value))


def earlier(state: EngineState, beginning: str) -> list[Row]:
    """Return what somebody has accepted, of alerts of contracts whose fingerprint begins so."""
    return list(_earlier(state, beginning)) if beginning else []


def _earlier(state: EngineState, beginning: str) -> Iterator[Row]:
    settings = state.settings
    if settings is None:
        return
    for chain in settings.chains:
        for contract, seen in state.chains[chain.name].contracts.watched.items():
            labels = contract_labels(settings, chain, contract)
            for detector, watches in pinning.DETECTORS.items():
                if not fingerprint(detector, labels).startswith(beginning):
                    continue
                for value, pin in seen.baseline.items():
                    if pin.by and watch_of(value) in watches:
                        yield _row(chain.name, contract, value, pin, seen, None)


def _row(chain: str, contract: str, value: str, pin: Pinned, seen: Watched, old: Pinned | None) -> Row:
    known = seen.latest.get(value)
    return {
        "chain": chain,
        "contract": contract,
        "watch": value,
        "before": None if old is None else old.value,
        "accepted": pin.value,
        "grade": pin.grade.value,
        "block": block(pin.block),
        "by": pin.by,
        "why": pin.why or None,
        "now": None if known is None else known.value,
    }
