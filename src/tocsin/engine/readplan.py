"""Which nodes are asked for the state of which block, and how each of them can be asked.

Two lanes. At the parent of the agreed head, whenever that moves, all that is wanted is read: of each node in one batch,
at that block's hash, or between two looks at it where a node takes no hashes. At each newly finalized block nodes are
held against each other once more. What only then turns out to be wanted is read in a second phase, at the same block.
What a node can do is known from its survey, and from what it refused lately.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tocsin.chain.count import QUORUM_GROUPS
from tocsin.chain.nodelife import NodeState
from tocsin.clock import NS
from tocsin.engine import common, wanted
from tocsin.engine.readback import cannot, parts_of
from tocsin.engine.sitting import Sitting, Way
from tocsin.engine.state import ChainState
from tocsin.engine.voting import is_sound
from tocsin.engine.watching import NOTHING
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef, Header, Verification
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.evolve import evolve
from tocsin.model.question import Ability
from tocsin.model.reading import Item, Pin, ProofOf, SlotOf, parse, reading
from tocsin.model.settings import ChainSettings
from tocsin.model.traits import Capabilities
from tocsin.model.view import Agreement, NodeRecord

HEAD: Final = "head"
FINAL: Final = "final"

AGAIN_NS: Final = 600 * NS
"""What a node could not answer is tried again after this time."""

MANY_SLOTS: Final = 8
"""Of one account: beyond this each slot is not asked for by itself where it is proven."""

Placed = tuple[BlockRef, str]
"""A block to read at, and its state root (0x), empty where its header is not verified and nothing can be proven."""

NOTHING_REFUSED: Final = Way()
_NO_BLOCK: Final = BlockRef(number=0, hash=f"0x{bytes(32).hex()}")
_PINS: Final = ((Pin.OBJECT, Ability.PIN_OBJECT), (Pin.HASH, Ability.PIN_HASH))


def plan(state: ChainState, chain: ChainSettings, now_ns: int, request: int) -> tuple[ChainState, tuple[Fetch, ...]]:
    """Return what nodes are asked about the state of blocks now, and the state that waits for it."""
    asked: list[Fetch] = []
    for lane, sitting in (*_second(state), *_first(state, chain, now_ns)):
        items = _items(sitting.more)
        fetches = tuple(
            Fetch(request=request + len(asked) + at, chain=chain.name, node=name, call=call)
            for at, (name, call) in enumerate(_questions(state, chain, sitting, items, now_ns), 1)
        )
        if not fetches and sitting.phase == 1:
            continue
        asked += fetches
        begun = evolve(
            sitting,
            more="",
            had=(*sitting.had, sitting.more),
            began_ns=now_ns,
            asked={str(fetch.request): fetch.node for fetch in fetches},
        )
        known = state.contracts
        sittings, ends = {**known.sittings, lane: begun}, {**known.begun, lane: sitting.block.hash}
        state = evolve(state, contracts=evolve(known, sittings=sittings, begun=ends))
    return state, tuple(asked)


def written(items: Sequence[Item]) -> str:
    """Return some things to read as text, without how any node is told of the block."""
    return reading(_NO_BLOCK, Pin.OBJECT, items)


def _items(text: str) -> tuple[Item, ...]:
    found = parse(text)
    return found.items if found is not None else ()


def _first(state: ChainState, chain: ChainSettings, now_ns: int) -> Iterator[tuple[str, Sitting]]:
    for lane, (block, root) in _due(state, chain):
        recall = wanted.recalled(state, chain, block) if lane == HEAD else NOTHING
        if items := wanted.items(chain, state.contracts.values, state.feeds, recall):
            yield lane, Sitting(block=block, root=root, began_ns=now_ns, more=written(items))


def _second(state: ChainState) -> Iterator[tuple[str, Sitting]]:
    return ((lane, sitting) for lane, sitting in sorted(state.contracts.sittings.items()) if sitting.more)


def is_agreed(agreed: Agreement) -> bool:
    """Tell whether a block is agreed on well enough to read at: by a quorum, or by the one group that there is."""
    if agreed.block is None or agreed.grade in (Grade.SPLIT, Grade.BLIND):
        return False
    return agreed.grade is not Grade.UNCORROBORATED or agreed.groups < QUORUM_GROUPS


def _due(state: ChainState, chain: ChainSettings) -> Iterator[tuple[str, Placed]]:
    """Yield the lanes on which there is a new block to read at, and nothing under way."""
    known = state.contracts
    for lane in (HEAD, FINAL):
        found = None if lane in known.sittings else place(state, chain, lane)
        # The header of a development chain's first block need not bind its state: anvil's (1.7) is of an empty one.
        if found is not None and found[0].number and found[0].hash != known.begun.get(lane):
            yield lane, found


def place(state: ChainState, chain: ChainSettings, lane: str) -> Placed | None:
    """Return the block to read at on a lane, and its state root; None while none is agreed on."""
    agreed = state.head if lane == HEAD else state.finalized
    if agreed.block is None or not is_agreed(agreed):
        return None
    header = state.tree.headers.get(agreed.block.hash)
    if lane == FINAL and header is None:
        return _shown(state, agreed.block)
    if lane == HEAD and header is not None:
        # The state of the newest block is the one that a client may still be changing.
        header = state.tree.headers.get(header.parent_hash) or (header if common.is_fast(chain) else None)
    return None if header is None else (header.ref, root_of(header))


def _shown(state: ChainState, block: BlockRef) -> Placed | None:
    """Return a finalized block that is older than all that is kept, as those show it who call it final."""
    # A header that hashes to its hash says one thing, whoever shows it; of all others nothing is kept.
    roots = {record.finalized_root for record in state.nodes.values() if record.finalized == block}
    return (block, max(roots)) if roots else None


def root_of(header: Header) -> str:
    """Return the state root of a block, empty where its header is not verified and nothing can be proven."""
    return header.state_root if header.verification is Verification.MATCH else ""


def _questions(
    state: ChainState, chain: ChainSettings, sitting: Sitting, items: Sequence[Item], now_ns: int
) -> Iterator[tuple[str, str]]:
    """Yield each node that may have the state of a block, and what it is asked."""
    plain = tuple(item for item in items if not isinstance(item, ProofOf))
    for node in chain.nodes:
        way = means(state, chain, node.name, sitting.block, sitting.root, now_ns)
        if way is not None and (asked := without_doubles(items) if way[1] else plain):
            yield node.name, reading(sitting.block, way[0], asked)


def means(
    state: ChainState, chain: ChainSettings, node: str, block: BlockRef, root: str, now_ns: int
) -> tuple[Pin, bool] | None:
    """Return how a node is told of a block, and whether it is asked for proofs; None where it is not to be asked."""
    record, way = state.nodes[node], state.contracts.ways.get(node, NOTHING_REFUSED)
    if not _may_answer(state, chain, node, record, block.number, now_ns):
        return None
    depth = record.head.number - block.number if record.head is not None else 0
    proofs = bool(root) and way.no_proofs_ns <= now_ns and has(record.capabilities, Ability.PROOFS, depth)
    return pin_of(record.capabilities, way, now_ns), proofs


def without_doubles(items: Sequence[Item]) -> tuple[Item, ...]:
    """Return what a node that gives proofs is asked: of an account with many slots the proof alone.

    Where there are few, each slot is asked for without proof as well: that is what others are given by this node.
    """
    many = {item.address for item in items if isinstance(item, ProofOf) and len(item.keys) > MANY_SLOTS}
    return tuple(item for item in items if not (isinstance(item, SlotOf) and item.address in many))


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
