"""The state of blocks: what nodes said of it, judged, and handed to those who want it.

A proof that leads from the header's state root to what it says settles a value, whoever gives it; what nobody proves
takes a quorum on equal bytes. A node that cannot answer says nothing, and is never reproached for it. Who gives a proof
of something else, or a result that is not what is proven (or what a quorum says), is asked once more before it is said:
`tocsin.engine.charges`. What was read at a block that has left the chain counts for nothing.

How it is asked: `tocsin.engine.readplan`. Who wants what: `tocsin.engine.wanted`.
"""

from collections.abc import Collection, Mapping
from typing import Final

from tocsin.engine import charges, readplan, relapses, wanted, watch_logs, watching
from tocsin.engine.facts import Fact, facts_of, is_on_chain
from tocsin.engine.readback import address_of, heard, is_void
from tocsin.engine.sitting import NO_CONTRACTS, Contracts, Heard, Sitting, key
from tocsin.engine.state import ChainState
from tocsin.engine.voting import may_vote
from tocsin.model.block import BlockRef
from tocsin.model.contract import Charge, ContractSettings, Watched
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.evolve import evolve
from tocsin.model.settings import ChainSettings

PATIENCE_POLLS: Final = 3
"""For so long an answer is waited for; what comes later says nothing any more."""

PHASES: Final = 2
"""What the first one tells may lead to more at the same block; what that leads to is read at the next block."""


def plan(state: ChainState, chain: ChainSettings, now_ns: int, request: int) -> tuple[ChainState, tuple[Fetch, ...]]:
    """Return all that nodes are asked about contracts now, and the state that waits for it."""
    if not wanted.is_anything(chain) and not state.contracts.suspicions:
        return state, ()
    state, again = charges.plan(state, chain, now_ns, request)
    state, fresh = readplan.plan(state, chain, now_ns, again[-1].request if again else request)
    return state, (*again, *fresh)


def take(known: Contracts, event: Fetched) -> Contracts:
    """Return what is known after one more answer; one that nobody waits for changes nothing."""
    request = str(event.request)
    for lane, sitting in known.sittings.items():
        if sitting.asked.get(request) != event.node:
            continue
        left = {asked: node for asked, node in sitting.asked.items() if asked != request}
        before = known.values if relapses.has_relapsed(known, event.node) else None
        one = heard(event, sitting.block, sitting.root, before)
        earlier = sitting.heard.get(event.node)
        said = {**sitting.heard, event.node: one if earlier is None else earlier.joined(one)}
        sittings = {**known.sittings, lane: evolve(sitting, asked=left, heard=said)}
        # What is refused far down is refused for that: it says nothing of how a node is asked about new blocks.
        ways = readplan.noted(known.ways, event) if lane == readplan.HEAD else known.ways
        return evolve(known, sittings=sittings, ways=ways)
    return charges.take(known, event)


def settled(state: ChainState, chain: ChainSettings, now_ns: int) -> ChainState:
    """Return the chain after what was read to the end, or was waited for long enough, is judged."""
    for lane, sitting in sorted(state.contracts.sittings.items()):
        is_awaited = sitting.asked and now_ns - sitting.began_ns < PATIENCE_POLLS * chain.poll_ns
        if not is_awaited and not sitting.more:
            state = _ended(state, chain, lane, sitting, now_ns)
    state = watching.unread(state, chain, now_ns)
    return charges.concluded(state, now_ns, chain.poll_ns) if state.contracts.suspicions else state


def _ended(state: ChainState, chain: ChainSettings, lane: str, sitting: Sitting, now_ns: int) -> ChainState:
    """Return the chain after all have answered: with the second phase to be asked, or with all of it judged."""
    others = {name: other for name, other in state.contracts.sittings.items() if name != lane}
    if not is_on_chain(state, sitting.block):
        return evolve(state, contracts=evolve(state.contracts, sittings=others))
    said = {
        name: known_to(state, name, one, sitting.block)
        for name, one in sorted(sitting.heard.items())
        if name in state.nodes
    }
    facts = facts_of({name: one for name, one in said.items() if is_believed(state, name, one)}, chain, state)
    values = {subject: fact.value for subject, fact in facts.items() if fact.value is not None}
    recall = wanted.recalled(state, chain, sitting.block) if lane == readplan.HEAD else watching.NOTHING
    wants = wanted.items(chain, values, state.feeds, recall)
    more = wanted.missing(wants, sitting.items) if sitting.phase < PHASES else ()
    if more:
        again = evolve(sitting, asked={}, more=readplan.written(more), phase=sitting.phase + 1)
        return evolve(state, contracts=evolve(state.contracts, sittings={**others, lane: again}))
    state = evolve(state, contracts=evolve(state.contracts, sittings=others))
    return _judged(state, chain, lane, sitting, said, facts, now_ns)


def _judged(
    state: ChainState,
    chain: ChainSettings,
    lane: str,
    sitting: Sitting,
    said: Mapping[str, Heard],
    facts: Mapping[str, Fact],
    now_ns: int,
) -> ChainState:
    proves = state.contracts.proves or any(one.proven for name, one in said.items() if counts(state, name))
    state = evolve(state, contracts=evolve(state.contracts, proves=proves))
    # A node that has pruned old logs may say that there were none.
    sure = {name: _sure(fact) for name, fact in facts.items() if not watch_logs.is_stretch(name)}
    state = charges.weighed(state, chain, sitting, said, sure, now_ns)
    if lane == readplan.FINAL:
        return watching.audited(state, chain, sitting.block)
    values = {subject: fact.value for subject, fact in facts.items() if fact.value is not None}
    state = evolve(state, contracts=evolve(state.contracts, values=values))
    return wanted.read(state, chain, facts, sitting.block, now_ns)


def known_to(state: ChainState, name: str, said: Heard, block: BlockRef) -> Heard:
    """Return what a node said, but for contracts of which it has no state, or may have none."""
    record = state.nodes[name]
    depth = record.head.number - block.number if record.head is not None else 0
    if readplan.knows_state(record.capabilities, depth):
        return said
    addresses = {address_of(subject) for subject in said.facts}
    proven = {address_of(subject) for subject in said.proven}
    void = {address for address in addresses - proven if is_void(said.facts, address)}
    if not void:
        return said
    return evolve(said, facts={name: value for name, value in said.facts.items() if address_of(name) not in void})


def is_believed(state: ChainState, name: str, said: Heard) -> bool:
    """Tell whether what a node says of a block counts: not where it gave a wrong proof just now.

    Whether it is to blame is found out when it is asked once more; several of them must not be a quorum meanwhile.
    """
    return counts(state, name) and not (said.refuted and state.contracts.proves)


def counts(state: ChainState, name: str) -> bool:
    """Tell whether what a node says of state counts: it has a vote, and was not caught with a wrong proof."""
    return may_vote(state, name) and name not in state.ruled_out and not charges.stands(state, Charge.PROOF, name)


def _sure(fact: Fact) -> tuple[str, str]:
    """Return what a node's word is held against, and how that is known; two empty texts where nothing is known."""
    return (fact.value, fact.grade.value) if fact.value is not None and fact.is_sure else ("", "")


# -- what stays


def anew(known: Contracts) -> Contracts:
    """Return what is known where watching begins anew: whoever was asked will not answer any more."""
    if known is NO_CONTRACTS:
        return known
    return evolve(known, sittings={}, begun={}, suspicions={})


def kept(known: Contracts, chain: ChainSettings, moved: Collection[str]) -> Contracts:
    """Return what is known under a configuration: of contracts that stay what they are, and nodes that stay."""
    if known == NO_CONTRACTS:
        return known
    settings = {one.name: one for one in chain.contracts}
    watched = {
        name: _of(seen, settings[name])
        for name, seen in known.watched.items()
        if name in settings and settings[name].identity == seen.identity
    }
    nodes = {node.name for node in chain.nodes} - set(moved)
    charged = {key(charge, name) for charge in Charge for name in nodes}
    return evolve(
        anew(known),
        watched=watched,
        accused={at: one for at, one in known.accused.items() if at in charged},
        relapses={at: blocks for at, blocks in known.relapses.items() if at in charged},
        ways={name: way for name, way in known.ways.items() if name in nodes},
    )


def _of(seen: Watched, one: ContractSettings) -> Watched:
    """Return what is known of what is still watched, and is what it was."""
    names = {name for name, of in one.parts.items() if seen.parts.get(name, of) == of}
    if names >= {*seen.latest, *seen.baseline, *seen.told, *seen.gone}:
        return seen
    return evolve(
        seen,
        latest={name: value for name, value in seen.latest.items() if name in names},
        baseline={name: value for name, value in seen.baseline.items() if name in names},
        told={name: value for name, value in seen.told.items() if name in names},
        told_ns={name: at_ns for name, at_ns in seen.told_ns.items() if name in names},
        kept={name: value for name, value in seen.kept.items() if name in names},
        gone=tuple(name for name in seen.gone if name in names),
    )


def changed(before: ChainSettings | None, after: ChainSettings) -> frozenset[str]:
    """Return the names of contracts that are not the same ones any more: what was said of them is of others."""
    were = {one.name: one.identity for one in before.contracts} if before is not None else {}
    return frozenset(one.name for one in after.contracts if were.get(one.name, one.identity) != one.identity)
