"""What is final: the finalized blocks of the nodes counted, and what contradicts the one that was agreed."""

from collections.abc import Mapping

from tocsin.chain.agreement import Circumstances, agree_finalized
from tocsin.chain.tree import BACKFILL, relation
from tocsin.engine.pool import groups_of
from tocsin.engine.state import ChainState
from tocsin.model.block import BlockRef
from tocsin.model.evolve import evolve
from tocsin.model.settings import ChainSettings
from tocsin.model.view import Conflict, Forked, NodeRecord


def counted(
    state: ChainState,
    chain: ChainSettings,
    sound: Mapping[str, NodeRecord],
    circumstances: Circumstances,
    now_ns: int,
) -> ChainState:
    """Count the finalized blocks when one changed, and note contradictions, also of the agreed head itself."""
    finals = {name: final for name, record in sound.items() if (final := _final(record)) is not None}
    has_reorg = state.reorg is not None and state.reorg.at_ns == now_ns
    if finals == state.finals and not has_reorg:
        return state
    found = agree_finalized(state.tree, finals, groups_of(chain), state.finalized, now_ns, circumstances)
    head, final = state.head.block, found.agreement.block
    left: tuple[Conflict, ...] = ()
    if head is not None and final is not None and isinstance(relation(state.tree, head, final), Forked):
        left = (Conflict(node="", block=head, against=final),)
    return evolve(state, finalized=found.agreement, finals=finals, conflicts=(*left, *found.conflicts))


def _final(record: NodeRecord) -> BlockRef | None:
    """Return what a node calls final; nothing where it is above its own head by more than comes while it is asked.

    The agreed block never goes down: one that is not there yet would stand until the chain has passed it.
    """
    final, head = record.finalized, record.head
    return None if final is None or head is None or final.number > head.number + BACKFILL else final
