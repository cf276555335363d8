"""What the retained topics of chains and nodes say. Published when they change, without what changes at every look.

`age_s`, lag and latency are as of publishing: a subscriber who needs them by the second reads the heartbeat.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tocsin.chain.nodelife import NodeLife
from tocsin.engine import beacondocs, contractdocs, feeddocs, indexdocs, marketdocs, traitdocs
from tocsin.engine.pool import groups_of
from tocsin.engine.shown import block, seconds
from tocsin.engine.state import ChainState, Document, EngineState, Lasting
from tocsin.model.alert import Json
from tocsin.model.block import BlockRef
from tocsin.model.effect import StateChanged
from tocsin.model.evolve import evolve
from tocsin.model.settings import ChainSettings
from tocsin.model.view import Agreement, NodeRecord
from tocsin.wire import topics


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What a topic says: what of it lasts, and the whole, which is made where something of that is new."""

    topic: str
    kind: str
    lasting: Lasting
    document: Document


def changed(state: EngineState, wall_ns: int, t_ns: int, chain: str) -> tuple[EngineState, tuple[StateChanged, ...]]:
    """Return the documents of one chain that say something new, and the state that remembers them."""
    settings = state.settings.chain(chain) if state.settings else None
    if settings is None:
        return state, ()
    now = state.chains[chain]
    fresh: dict[str, Lasting] = {}
    out = []
    topic, lasting = topics.chain_head(chain), _lasting_head(now)
    if state.published.get(topic) != lasting:
        fresh[topic] = lasting
        out.append(StateChanged(topic=topic, kind="head", wall_ns=wall_ns, document=_head(settings, now, t_ns)))
    for node in settings.nodes:
        life, record = now.lives.get(node.name), now.nodes[node.name]
        if life is None:
            continue
        topic, lasting = topics.node(chain, node.name), _lasting_node(life, record)
        if state.published.get(topic) != lasting:
            fresh[topic] = lasting
            document = _node(node.id, life, record, lag_blocks(now.head, record), settings)
            out.append(StateChanged(topic=topic, kind="node", wall_ns=wall_ns, document=document))
    for told in _others(state, settings, wall_ns, t_ns):
        if state.published.get(told.topic) != told.lasting:
            fresh[told.topic] = told.lasting
            out.append(StateChanged(topic=told.topic, kind=told.kind, wall_ns=wall_ns, document=told.document()))
    return (evolve(state, published={**state.published, **fresh}), tuple(out)) if out else (state, ())


def _others(state: EngineState, chain: ChainSettings, wall_ns: int, t_ns: int) -> Iterator[_Told]:
    """Yield what is told of all that is no node; they are looked at many times a second."""
    now, settings = state.chains[chain.name], state.settings
    if settings is None:
        return
    for one, lasting, document in beacondocs.told(now, settings, chain):
        yield _Told(topic=topics.node(chain.name, one.node.name), kind="node", lasting=lasting, document=document)
    for contract, lasting, document in contractdocs.told(now, chain):
        yield _Told(
            topic=topics.contract(chain.name, contract.name), kind="contract", lasting=lasting, document=document
        )
    for index, lasting, document in indexdocs.told(now, chain):
        yield _Told(topic=topics.index(chain.name, index.name), kind="index", lasting=lasting, document=document)
    for market, lasting, document in marketdocs.told(now, chain) if chain.markets else ():
        yield _Told(topic=topics.risk(chain.name, market.name), kind="risk", lasting=lasting, document=document)
    for feed, lasting, document in feeddocs.told(state, chain, t_ns, wall_ns) if chain.feeds else ():
        yield _Told(topic=topics.feed(chain.name, feed.name), kind="feed", lasting=lasting, document=document)
    for gateway, lasting, document in feeddocs.gateways_told(state, settings, chain, t_ns, wall_ns):
        yield _Told(topic=topics.gateway(gateway.name), kind="gateway", lasting=lasting, document=document)


def _lasting_head(chain: ChainState) -> Lasting:
    head, finalized = chain.head, chain.finalized
    return (
        _hash(head.block),
        head.grade.value,
        _hash(finalized.block),
        finalized.grade.value,
        f"{head.votes}/{head.voting_groups}/{head.groups}",
        head.explanation,
        _hash(chain.fresh),
    )


def _lasting_node(life: NodeLife, record: NodeRecord) -> Lasting:
    flags = tuple(text for flag in life.flags for text in flag)
    return (str(life.number), record.head.hash if record.head is not None else "", *traitdocs.lasting(record), *flags)


def _hash(ref: BlockRef | None) -> str:
    return ref.hash if ref is not None else ""


def cleared(state: EngineState, wall_ns: int) -> tuple[EngineState, tuple[StateChanged, ...]]:
    """Return the messages that clear the topics of what is configured no longer."""
    settings = state.settings
    chains = settings.chains if settings is not None else ()
    wanted = {topics.chain_head(chain.name) for chain in chains}
    wanted |= {topics.node(chain.name, node.name) for chain in chains for node in chain.everyone}
    wanted |= {topics.contract(chain.name, one.name) for chain in chains for one in chain.contracts}
    wanted |= {topics.index(chain.name, one.name) for chain in chains for one in chain.indexes}
    wanted |= {topics.risk(chain.name, one.name) for chain in chains for one in chain.markets}
    wanted |= {topics.feed(chain.name, one.name) for chain in chains for one in chain.feeds}
    wanted |= {topics.gateway(one.name) for chain in chains for one in chain.gateways}
    gone = sorted(state.published.keys() - wanted)
    published = {topic: document for topic, document in state.published.items() if topic in wanted}
    effects = tuple(StateChanged(topic=topic, kind="cleared", wall_ns=wall_ns, document=None) for topic in gone)
    return evolve(state, published=published), effects


def _head(chain: ChainSettings, state: ChainState, t_ns: int) -> Json:
    head, finalized = state.head, state.finalized
    return {
        "chain": f"eip155:{chain.id}",
        "head": block(head.block),
        "grade": head.grade.value,
        "explanation": head.explanation or None,
        "assumption": groups_of(chain).assumption,
        "fresh": block(state.fresh),
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
        **traitdocs.traits(record),
    }


def lag_blocks(head: Agreement, record: NodeRecord) -> int | None:
    """Return by how many blocks a node is below the agreed head, None where either is unknown; at least 0."""
    if head.block is None or record.head is None:
        return None
    return max(0, head.block.number - record.head.number)
