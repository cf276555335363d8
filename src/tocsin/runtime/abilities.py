"""What each node can answer, in one word each: what the engine has tried, and what only the connection knows.

`unknown` is what was not tried yet, or where there is nothing to try.
"""

from tocsin.model.question import Ability
from tocsin.model.traits import Capabilities
from tocsin.rpc.batching import BatchLimit
from tocsin.rpc.heads import HeadStats


def abilities(known: Capabilities, batch: BatchLimit | None, socket: HeadStats | None) -> dict[str, object]:
    """Return the abilities of a node as `status` shows them."""
    state, proofs = known.reach.get(Ability.STATE.value), known.reach.get(Ability.PROOFS.value)
    return {
        "batch": _word(None if batch is None else batch.works),
        "batch_limit": None if batch is None else batch.learned,
        "eip1898": _word(known.pins.get(Ability.PIN_OBJECT.value)),
        "proofs": _word(None if proofs is None else proofs.depth is not None),
        "depth": _word(None if state is None else bool(state.depth)),
        "depth_blocks": None if state is None or state.whole else state.depth,
        "websocket": _word(None if socket is None else _announces(socket)),
    }


def _announces(socket: HeadStats) -> bool | None:
    """Tell whether heads ever came over a websocket; one that lost them can do it all the same."""
    return True if socket.heads else None if socket.fault is None else False


def _word(can: bool | None) -> str:  # noqa: FBT001 - three words for three values
    return "unknown" if can is None else "yes" if can else "no"
