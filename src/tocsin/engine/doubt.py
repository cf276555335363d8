"""A header that does not hash to its hash accuses its node, so the node is asked for it once more before it is said.

By the header's hash: an answer to that comes fresh from the node, where `latest` said twice may be one wrong copy on
the way that was served twice. The doubt is confirmed when the node gives the same contradiction again, when the next
wrong header is another one, or when it goes on showing one header that it gives no better copy of, three times asked.

The last good head is kept beside the bad header all the while; nothing is forgotten for it.
"""

from collections.abc import Mapping, Sequence

from tocsin.detect.node_corrupt_header import ID
from tocsin.engine.fold import header_of
from tocsin.engine.state import ChainState, Doubt
from tocsin.engine.trust import level
from tocsin.model.block import Header, Verification
from tocsin.model.effect import Fetch
from tocsin.model.event import Event, Fetched
from tocsin.model.evolve import evolve
from tocsin.model.observation import by_hash
from tocsin.model.settings import ChainSettings
from tocsin.model.trust import Trust
from tocsin.model.view import NodeRecord

TRIES = 3
_PATIENCE_POLLS = 3


def is_believed(state: ChainState) -> bool:
    """Tell whether a header that does not hash to its hash is held against the node that showed it."""
    return level(state.trust, ID) is not Trust.OBSERVE


def weighed(before: NodeRecord, after: NodeRecord, *, believed: bool) -> NodeRecord:
    """Return the record after a poll as this chain's trust in header hashes has it.

    Where the check is only observed the header counts as one that cannot be verified; what was found stays noted.
    """
    if after.corrupt is None:
        is_over = after.mismatch is not None or after.is_confirmed
        if not is_over or after.answers == before.answers:
            return after
        return evolve(after, mismatch=None, corrupt_shown={}, is_confirmed=False)
    if believed:
        return after if after.mismatch is None else evolve(after, mismatch=None)
    head = evolve(after.corrupt, verification=Verification.CANNOT_VERIFY)
    is_higher = after.head is None or head.number > after.head.number
    since_ns = after.last_answer_ns if is_higher else after.head_since_ns
    return evolve(after, head=head, head_since_ns=since_ns, corrupt=None, mismatch=after.corrupt)


def heard(state: ChainState, news: Sequence[Event]) -> ChainState:
    """Take the answers to what was asked once more."""
    for event in news if state.doubts else ():
        if isinstance(event, Fetched):
            state = _answered(state, event)
    return state


def _answered(state: ChainState, event: Fetched) -> ChainState:
    doubt, record = state.doubts.get(event.node), state.nodes.get(event.node)
    if doubt is None or record is None or doubt.request != event.request or _wrong(record) is None:
        return state
    result = event.part.result if event.part is not None else None
    header = header_of(result) if result is not None else None
    if isinstance(header, Header) and header.hash == doubt.hash and header.verification is Verification.MISMATCH:
        return _confirmed(state, event.node, record)
    return evolve(state, doubts={**state.doubts, event.node: evolve(doubt, is_answered=True)})


def plan(state: ChainState, chain: ChainSettings, request: int) -> tuple[ChainState, tuple[Fetch, ...]]:
    """Return what to ask once more, and the state that waits for it; called after every tick with news."""
    fetches: list[Fetch] = []
    accused = {name for name, record in state.nodes.items() if record.corrupt or record.mismatch}
    for name in sorted(accused | state.doubts.keys()) if accused or state.doubts else ():
        record = state.nodes[name]
        wrong = _wrong(record)
        doubt = state.doubts.get(name)
        if wrong is None or record.is_confirmed:
            state = state if doubt is None else evolve(state, doubts=_less(state.doubts, name))
        elif doubt is not None and doubt.hash != wrong.hash:
            state = _confirmed(state, name, record)
        elif doubt is not None and not _is_shown_again(doubt, record):
            continue
        elif doubt is not None and doubt.tries == TRIES:
            state = _confirmed(state, name, record)
        else:
            request += 1
            tries = doubt.tries + 1 if doubt is not None else 1
            asked = Doubt(hash=wrong.hash, request=request, polls=record.polls, tries=tries)
            state = evolve(state, doubts={**state.doubts, name: asked})
            fetches.append(Fetch(request=request, chain=chain.name, node=name, call=by_hash(wrong.hash)))
    return state, tuple(fetches)


def _is_shown_again(doubt: Doubt, record: NodeRecord) -> bool:
    """Tell whether a poll after the answer, or so many without one, showed the header still."""
    since = record.polls - doubt.polls
    return since >= (1 if doubt.is_answered else _PATIENCE_POLLS)


def _wrong(record: NodeRecord) -> Header | None:
    return record.corrupt or record.mismatch


def _confirmed(state: ChainState, name: str, record: NodeRecord) -> ChainState:
    nodes = {**state.nodes, name: evolve(record, is_confirmed=True)}
    return evolve(state, nodes=nodes, doubts=_less(state.doubts, name))


def _less(doubts: Mapping[str, Doubt], name: str) -> dict[str, Doubt]:
    return {node: doubt for node, doubt in doubts.items() if node != name}
