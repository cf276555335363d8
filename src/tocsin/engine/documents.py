"""What the retained topics of chains and nodes say. Published when they change, without what changes at every look.

`age_s`, lag and latency are as of publishing: a subscriber who needs them by the second reads the heartbeat.
"""

from collections.abc import Mapping
from dataclasses import replace

from tocsin.chain.nodelife import NodeLife
from tocsin.engine.state import ChainState, EngineState
from tocsin.model.alert import Json
from tocsin.model.block import BlockRef
from tocsin.model.effect import StateChanged
from tocsin.model.settings import ChainSettings
from tocsin.model.view import Agreement, NodeRecord
from tocsin.wire import topics

_MOMENTARY = ("age_s", "lag_blocks", "lag_s", "latency_ms")


def changed(state: EngineState, wall_ns: int, t_ns: int, chain: str) -> tuple[EngineState, tuple[StateChanged, ...]]:
    """Return the documents of one chain that say something new, and the state that remembers them."""
    settings = state.settings
    if settings is None:
        return state, ()
    published = dict(state.published)
    out = []
    for chain_settings in settings.chains:
        if chain_settings.name != chain:
            continue
        for topic, kind, document in _of_chain(chain_settings, state.chains[chain], t_ns):
            lasting = {key: value for key, value in document.items() if key not in _MOMENTARY}
            if published.get(topic) != lasting:
                published[topic] = lasting
                out.append(StateChanged(topic=topic, kind=kind, wall_ns=wall_ns, document=document))
    return (replace(state, published=published), tuple(out)) if out else (state, ())


def cleared(state: EngineState, wall_ns: int) -> tuple[EngineState, tuple[StateChanged, ...]]:
    """Return the messages that clear the topics of what is configured no longer."""
    settings = state.settings
    chains = settings.chains if settings is not None else ()
    wanted = {topics.chain_head(chain.name) for chain in chains}
    wanted |= {topics.node(chain.name, node.name) for chain in chains for node in chain.nodes}
    gone = sorted(state.published.keys() - wanted)
    published = {topic: document for topic, document in state.published.items() if topic in wanted}
    effects = tuple(StateChanged(topic=topic, kind="cleared", wall_ns=wall_ns, document=None) for topic in gone)
    return replace(state, published=published), effects


def _of_chain(chain: ChainSettings, state: ChainState, t_ns: int) -> list[tuple[str, str, Json]]:
    out: list[tuple[str, str, Json]] = [(topics.chain_head(chain.name), "head", _head(chain, state, t_ns))]
    for node in chain.nodes:
        life, record = state.lives.get(node.name), state.nodes[node.name]
        if life is not None:
            document = _node(node.id, life, record, lag_blocks(state.head, record), chain)
            out.append((topics.node(chain.name, node.name), "node", document))
    return out


def _head(chain: ChainSettings, state: ChainState, t_ns: int) -> Json:
    head, finalized = state.head, state.finalized
    return {
        "chain": f"eip155:{chain.id}",
        "head": block(head.block),
        "grade": head.grade.value,
        "age_s": seconds(t_ns - head.since_ns) if head.since_ns is not None else None,
        "finalized": block(finalized.block),
        "finalized_grade": finalized.grade.value,
        "votes": head.votes,
        "voting_groups": head.voting_groups,
        "groups": head.groups,
    }


def _node(
    node_id: str, life: NodeLife, record: NodeRecord, lag: int | None, chain: ChainSettings
) -> Mapping[str, object]:
    return {
        "id": node_id,
        "state": life.state.value,
        "reason": life.reason,
        "flags": [{"detector": flag, "reason": reason} for flag, reason in life.flags],
        "head": block(record.head.ref) if record.head is not None else None,
        "lag_blocks": lag,
        "lag_s": None if lag is None else seconds(lag * chain.block_time_ns),
        "latency_ms": None if record.latency_ns is None else record.latency_ns // 10**6,
    }


def lag_blocks(head: Agreement, record: NodeRecord) -> int | None:
    """Return by how many blocks a node is below the agreed head, None where either is unknown; at least 0."""
    if head.block is None or record.head is None:
        return None
    return max(0, head.block.number - record.head.number)


def seconds(ns: int) -> float:
    """Return seconds to the millisecond, for display."""
    return ns // 10**6 / 1000


def block(ref: BlockRef | None) -> dict[str, object] | None:
    """Return a block as documents show it."""
    return None if ref is None else {"number": ref.number, "hash": ref.hash}
