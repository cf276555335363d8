"""Which nodes are asked about the watched contracts, at which block, and how each of them can be asked.

Two lanes. At the parent of the agreed head, whenever that moves, all contracts are read: of each node in one batch, at
that block's hash, or between two looks at it where a node takes no hashes. At each newly finalized block nodes are held
against each other once more. What a node can do is known from its survey, and from what it refused lately.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from tocsin.chain.count import QUORUM_GROUPS
from tocsin.chain.nodelife import NodeState
from tocsin.clock import NS
from tocsin.engine import common
from tocsin.engine.readback import cannot, parts_of
from tocsin.engine.sitting import Sitting, Way
from tocsin.engine.state import ChainState
from tocsin.engine.voting import is_sound
from tocsin.model.alert import Grade
from tocsin.model.block import Header, Verification
from tocsin.model.contract import FUNCTIONS, ContractSettings, Watch
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.evolve import evolve
from tocsin.model.question import Ability
from tocsin.model.reading import CallOf, CodeOf, Item, Pin, ProofOf, SlotOf, parse, reading
from tocsin.model.settings import ChainSettings
from tocsin.model.traits import Capabilities
from tocsin.model.view import Agreement, NodeRecord

HEAD: Final = "head"
FINAL: Final = "final"

AGAIN_NS: Final = 600 * NS
"""What a node could not answer is tried again after this time."""

NOTHING_REFUSED: Final = Way()
_PINS: Final = ((Pin.OBJECT, Ability.PIN_OBJECT), (Pin.HASH, Ability.PIN_HASH))


def plan(state: ChainState, chain: ChainSettings, now_ns: int, request: int) -> tuple[ChainState, tuple[Fetch, ...]]:
    """Return what nodes are asked about contracts now, and the state that waits for it."""
    asked: list[Fetch] = []
    for lane, header in _due(state, chain):
        fetches = tuple(
            Fetch(request=request + len(asked) + at, chain=chain.name, node=name, call=call)
            for at, (name, call) in enumerate(_questions(state, chain, header, now_ns), 1)
        )
        if not fetches:
            continue
        asked += fetches
        sitting = Sitting(
            block=header.ref,
            root=_root(header),
            began_ns=now_ns,
            asked={str(fetch.request): fetch.node for fetch in fetches},
        )
        known = state.contracts
        sittings, begun = {**known.sittings, lane: sitting}, {**known.begun, lane: header.hash}
        state = evolve(state, contracts=evolve(known, sittings=sittings, begun=begun))
    return state, tuple(asked)


def is_agreed(agreed: Agreement) -> bool:
    """Tell whether a block is agreed on well enough to read at: by a quorum, or by the one group that there is."""
    if agreed.block is None or agreed.grade in (Grade.SPLIT, Grade.BLIND):
        return False
    return agreed.grade is not Grade.UNCORROBORATED or agreed.groups < QUORUM_GROUPS


def _due(state: ChainState, chain: ChainSettings) -> Iterator[tuple[str, Header]]:
    """Yield the lanes on which there is a new block to read at, and nothing under way."""
    known = state.contracts
    for lane, agreed in ((HEAD, state.head), (FINAL, state.finalized)):
        if lane in known.sittings or agreed.block is None or not is_agreed(agreed):
            continue
        header = state.tree.headers.get(agreed.block.hash)
        if lane == HEAD and header is not None:
            # The state of the newest block is the one that a client may still be changing.
            header = state.tree.headers.get(header.parent_hash) or (header if common.is_fast(chain) else None)
        if header is not None and header.hash != known.begun.get(lane):
            yield lane, header


def _root(header: Header) -> str:
    return header.state_root if header.verification is Verification.MATCH else ""


def _questions(state: ChainState, chain: ChainSettings, header: Header, now_ns: int) -> Iterator[tuple[str, str]]:
    """Yield each node that may have the state of a block, and what it is asked."""
    for node in chain.nodes:
        record, way = state.nodes[node.name], state.contracts.ways.get(node.name, NOTHING_REFUSED)
        if not _may_answer(state, chain, node.name, record, header.number, now_ns):
            continue
        depth = record.head.number - header.number if record.head is not None else 0
        proofs = bool(_root(header)) and way.no_proofs_ns <= now_ns and has(record.capabilities, Ability.PROOFS, depth)
        items = [item for one in chain.contracts for item in items_of(one, proofs=proofs)]
        yield node.name, reading(header.ref, pin_of(record.capabilities, way, now_ns), items)


def _may_answer(
    state: ChainState, chain: ChainSettings, name: str, record: NodeRecord, number: int, now_ns: int
) -> bool:
    """Tell whether a node is worth asking: it answers, is of this chain and as far, and lacks no such state."""
    life = state.lives.get(name)
    if name in state.maintenance or (life is not None and life.state is NodeState.WRONG_CHAIN) or record.missed:
        return False
    if record.head is None or record.head.number < number or record.forked_since_ns is not None:
        return False
    if record.limited_until_ns is not None and now_ns < record.limited_until_ns:
        return False
    return is_sound(record, chain, state.started_ns) and has(
        record.capabilities, Ability.STATE, record.head.number - number
    )


def has(known: Capabilities, ability: Ability, depth: int) -> bool:
    """Tell whether a node may answer so far down, as far as was tried."""
    reach = known.reach.get(ability.value)
    if reach is None or not reach.tries:
        return True
    if reach.missing:
        return False
    return reach.whole or (reach.depth is not None and depth <= reach.depth)


def knows_state(known: Capabilities, depth: int) -> bool:
    """Tell whether a node was found to have the state so far down: what it says there is no default of it."""
    reach = known.reach.get(Ability.STATE.value)
    return reach is not None and bool(reach.tries) and has(known, Ability.STATE, depth)


def pin_of(known: Capabilities, way: Way, now_ns: int) -> Pin:
    """Return how a node is told of the block: by its hash if it can be, or may be, else by its number."""
    for pin, ability in _PINS:
        can = known.pins.get(ability.value, pin is Pin.OBJECT)
        if can and way.no_pins_ns.get(pin.value, 0) <= now_ns:
            return pin
    return Pin.NUMBER


def is_sure(known: Capabilities, pin: Pin) -> bool:
    """Tell whether a node was found to answer at just the block that is named so."""
    return any(known.pins.get(ability.value, False) for name, ability in _PINS if name is pin)


def items_of(one: ContractSettings, *, proofs: bool) -> tuple[Item, ...]:
    """Return what is read of a contract; each thing without proof as well, since that is what others are given."""
    address = bytes.fromhex(one.address[2:])
    slots = [bytes.fromhex(at.slot[2:]) for watch in one.watches if (at := one.layout(watch)) is not None]
    keys = tuple(dict.fromkeys(slots))
    calls = [bytes.fromhex(FUNCTIONS[watch][2:]) for watch in one.watches if watch in FUNCTIONS]
    return (
        *((ProofOf(address=address, keys=keys),) if proofs else ()),
        *((CodeOf(address=address),) if Watch.CODE in one.watches else ()),
        *(SlotOf(address=address, key=key) for key in keys),
        *(CallOf(to=address, data=data) for data in calls),
    )


def noted(ways: Mapping[str, Way], event: Fetched) -> Mapping[str, Way]:
    """Return what nodes refuse after one more answer: the next one is asked for less, or otherwise."""
    found, parts = parse(event.call), parts_of(event)
    before = ways.get(event.node, NOTHING_REFUSED)
    if found is None or not parts:
        return ways
    until_ns, after = event.t_ns + AGAIN_NS, before
    if cannot(parts, proofs=False):
        # Of a node that answers nothing at all it is not known whether the proofs or the pin are to blame.
        if found.pin is not Pin.NUMBER:
            after = evolve(before, no_pins_ns={**before.no_pins_ns, found.pin.value: until_ns})
        elif any(isinstance(item, ProofOf) for item in found.items):
            after = evolve(before, no_proofs_ns=until_ns)
    elif cannot(parts, proofs=True):
        after = evolve(before, no_proofs_ns=until_ns)
    return ways if after is before else {**ways, event.node: after}
