"""Where values are read beside the polls, and of whom: as the core knows the chain at this moment."""

from collections.abc import Callable

from tocsin.engine import blockstate, charges, readplan
from tocsin.engine.facts import holds
from tocsin.engine.state import ChainState, EngineState
from tocsin.model.block import BlockRef
from tocsin.model.contract import Charge
from tocsin.model.settings import ChainSettings
from tocsin.state.ground import Lane, Means, Place

_LANES = {Lane.HEAD: readplan.HEAD, Lane.FINAL: readplan.FINAL}


class CoreGround:
    """The `Ground` of one chain. Who is held to have given something wrong is not asked, nor who has no vote."""

    def __init__(self, chain: str, *, state: Callable[[], EngineState], now_ns: Callable[[], int]) -> None:
        self._name = chain
        self._state = state
        self._now_ns = now_ns

    def place(self, lane: Lane) -> Place | None:
        """Return the block to read at, None while none is agreed on well enough."""
        known = self._known()
        found = None if known is None else readplan.place(*known, _LANES[lane])
        return None if found is None else Place(block=found[0], root=found[1])

    def holds(self, block: BlockRef) -> bool:
        """Tell whether a block is still on the chain."""
        known = self._known()
        return known is not None and holds(known[0], block)

    def means(self, node: str, place: Place) -> Means | None:
        """Return how a node is asked at a block; None where it is not, or cannot have it."""
        known = self._known()
        if known is None or node not in known[0].nodes or not is_trusted(known[0], node):
            return None
        found = readplan.means(*known, node, place.block, place.root, self._now_ns())
        return None if found is None else Means(pin=found[0], proofs=found[1])

    def _known(self) -> tuple[ChainState, ChainSettings] | None:
        state = self._state()
        settings = state.settings.chain(self._name) if state.settings is not None else None
        chain = state.chains.get(self._name)
        return None if settings is None or chain is None else (chain, settings)


def is_trusted(state: ChainState, node: str) -> bool:
    """Tell whether one node may be believed of what no other is asked."""
    return blockstate.counts(state, node) and not charges.stands(state, Charge.VALUE, node)
