"""Whose word counts: nodes that are heard, of this chain, and in a state that leaves them a vote."""

from tocsin.chain import nodelife
from tocsin.engine.state import ChainState
from tocsin.model.settings import ChainSettings
from tocsin.model.view import NodeRecord

SILENT_POLLS = 3
"""A node that missed this many polls in a row is no voter, and its last word is no data any more."""


def has_answered(record: NodeRecord, since_ns: int) -> bool:
    """Tell whether the node has answered since then; what it said before may be a day old."""
    return record.last_answer_ns is not None and record.last_answer_ns >= since_ns


def is_sound(record: NodeRecord, chain: ChainSettings, since_ns: int) -> bool:
    """Tell whether the node's head may be a vote: fresh, of this chain, and not disowned by its own hash."""
    return (
        record.head is not None
        and has_answered(record, since_ns)
        and record.missed < SILENT_POLLS
        and record.corrupt is None
        and record.chain_id == chain.id
        and (chain.network_id is None or record.network_id in (None, chain.network_id))
        and (chain.genesis_hash is None or record.genesis_hash in (None, chain.genesis_hash))
    )


def may_vote(state: ChainState, name: str) -> bool:
    """Tell whether a node's state leaves it a vote; whether what it shows is one is another question."""
    life = state.lives.get(name)
    return name not in state.maintenance and (life is None or life.state not in nodelife.MUTE)


def voters(state: ChainState, chain: ChainSettings) -> dict[str, NodeRecord]:
    """Return the nodes whose heads are votes, by rising name."""
    return {
        name: record
        for name, record in sorted(state.nodes.items())
        if is_sound(record, chain, state.started_ns) and may_vote(state, name)
    }
