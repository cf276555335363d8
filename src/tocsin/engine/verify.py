"""What a node has to show before it is called healthy: the chain's id, its genesis, a finalized block on it."""

from tocsin.chain.nodelife import Checks
from tocsin.chain.tree import HeaderTree, relation
from tocsin.model.block import BlockRef
from tocsin.model.settings import ChainSettings
from tocsin.model.view import Ahead, Behind, Forked, Level, NodeRecord

_FINALIZED = "finalized"


def checks(record: NodeRecord, chain: ChainSettings, tree: HeaderTree, finalized: BlockRef | None) -> Checks:
    """Return what is missing, and what contradicts the agreed `finalized` block.

    A wrong chain id or genesis is not named here: `node.wrong_chain` fires for it.
    """
    missing = []
    if record.chain_id is None:
        missing.append("chain id")
    if chain.genesis_hash is not None and record.genesis_hash is None:
        missing.append("genesis")
    if _FINALIZED not in chain.tags:
        return Checks(missing=tuple(missing))
    refuted = None
    if record.finalized is None or finalized is None:
        missing.append("finalized block")
    elif not _is_on_one_chain(tree, record.finalized, finalized):
        refuted = _contradiction(tree, record.finalized, finalized)
        missing += [] if refuted else ["link of its finalized block"]
    return Checks(missing=tuple(missing), refuted=refuted)


def _is_on_one_chain(tree: HeaderTree, shown: BlockRef, agreed: BlockRef) -> bool:
    return shown.hash == agreed.hash or isinstance(relation(tree, shown, agreed), Level | Behind | Ahead)


def _contradiction(tree: HeaderTree, shown: BlockRef, agreed: BlockRef) -> str | None:
    """Say how two finalized blocks contradict each other; None while the headers between them are not known."""
    if shown.number == agreed.number or isinstance(relation(tree, shown, agreed), Forked):
        return f"its finalized block {shown.number} is not on the chain of the agreed one, {agreed.number}"
    return None
