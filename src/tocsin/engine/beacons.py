"""Beacon nodes: what one answer says about the node that gave it, and what they say together.

Beacon nodes vote in groups like all others. What more than half of the groups call final is the checkpoint: the one
fact about a chain that execution clients cannot tell by themselves. A beacon node that syncs, or follows its head
without an execution client to validate it, takes part in nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeVar

from tocsin.chain.groups import group_nodes
from tocsin.chain.tree import HeaderTree, Point, parent, relation
from tocsin.clock import NS
from tocsin.engine.fold import FAILURE_CAP, known_use
from tocsin.engine.labels import node_labels
from tocsin.engine.state import ChainState
from tocsin.ids import digest
from tocsin.model import beacon
from tocsin.model.beacon import BeaconHead, BeaconRecord, BeaconView, Checkpoint, Pairing, SlotClock
from tocsin.model.block import BlockRef
from tocsin.model.event import BeaconPolled
from tocsin.model.evolve import evolve
from tocsin.model.observation import Fault, FaultKind, Part
from tocsin.model.settings import BeaconSettings, ChainSettings, Settings
from tocsin.model.view import Ahead, Behind, Forked, Level, NodeRecord
from tocsin.wire import beacon as wire

T = TypeVar("T")

_REFUSALS = (FaultKind.RATE_LIMITED, FaultKind.BUDGET)
_NEWS_SLOTS = 4
"""Finality is asked for once a slot; what was not said again for so many slots is of before."""

_LOOK_BACK = 64
"""How many blocks an execution client may be ahead of its beacon node and still be compared with it."""


# -- one answer


def take(records: Mapping[str, BeaconRecord], event: BeaconPolled) -> Mapping[str, BeaconRecord]:
    """Return the records after one poll; of a node that is configured no longer nothing is kept."""
    record = records.get(event.node)
    return records if record is None else {**records, event.node: fold(record, event)}


def fold(record: BeaconRecord, event: BeaconPolled) -> BeaconRecord:
    """Return the record after one poll. A failure while our own loop stood still says nothing."""
    if event.budget is not None or record.budget is not None:
        record = evolve(record, budget=known_use(record.budget, event.budget))
    if event.fault is not None:
        return record if event.stalled else _failed(record, event.fault)
    parts = {part.call: part for part in event.parts}
    head = wire.values(parts.get(beacon.HEAD))
    root, slot = wire.root(head, "data.root"), wire.number(head, "data.header.message.slot")
    if root is None or slot is None:
        return _failed(record, Fault(kind=FaultKind.MALFORMED, detail="the head of the node has no slot or no root"))
    payloads = {
        found: block
        for call, part in parts.items()
        if (found := beacon.root_of(call)) is not None and (block := wire.payload(part)) is not None
    }
    advanced = record.head is None or slot > record.head.slot
    final = wire.values(parts.get(beacon.FINALITY))
    return evolve(
        record,
        polls=record.polls + 1,
        answers=record.answers + 1,
        failures=max(0, record.failures - 1),
        missed=0,
        refusals=0,
        fault=None,
        last_answer_ns=event.t_ns,
        latency_ns=event.t_ns - event.started_ns,
        head=BeaconHead(slot=slot, root=root, payload=payloads.get(root) or _known_payload(record, root)),
        head_since_ns=event.t_ns if advanced else record.head_since_ns,
        finals=_finals(record.finals, final, payloads),
        finals_ns=event.t_ns if wire.number(final, "data.finalized.epoch") is not None else record.finals_ns,
        bodies=tuple([(call, digest(part.result)) for call, part in parts.items() if part.result is not None]),
        **_sync(wire.values(parts.get(beacon.SYNC)), head),
        **_identity(parts),
    )


def _failed(record: BeaconRecord, fault: Fault) -> BeaconRecord:
    refused = fault.kind in _REFUSALS
    return evolve(
        record,
        polls=record.polls + 1,
        failures=record.failures if refused else min(FAILURE_CAP, record.failures + 1),
        missed=record.missed + 1,
        refusals=record.refusals + 1 if refused else 0,
        fault=fault,
    )


def _known_payload(record: BeaconRecord, root: str) -> BlockRef | None:
    known: list[BeaconHead | Checkpoint] = [*record.finals, *([record.head] if record.head is not None else [])]
    return next((one.payload for one in known if one.root == root and one.payload is not None), None)


def _finals(
    finals: tuple[Checkpoint, ...], found: wire.Values, payloads: Mapping[str, BlockRef]
) -> tuple[Checkpoint, ...]:
    """Add the checkpoint that a node calls finalized now; one that it went back on is forgotten with all above it."""
    finals = tuple([one if one.payload else evolve(one, payload=payloads.get(one.root)) for one in finals])
    epoch, root = wire.number(found, "data.finalized.epoch"), wire.root(found, "data.finalized.root")
    if epoch is None or root is None or not int(root, 16):
        return finals  # nothing is final before the third epoch
    if any(one.epoch == epoch and one.root == root for one in finals[-1:]):
        return finals
    below = [one for one in finals if one.epoch < epoch]
    fresh = Checkpoint(epoch=epoch, root=root, payload=payloads.get(root))
    return (*below, fresh)[-beacon.FINALS_KEPT :]


def _sync(found: wire.Values, head: wire.Values) -> dict[str, object]:
    """Return the flags of a node; what did not come leaves the old value."""
    own, optimistic = wire.flag(found, "data.is_optimistic"), wire.flag(head, "execution_optimistic")
    changes: dict[str, object] = {
        "syncing": wire.flag(found, "data.is_syncing"),
        "optimistic": optimistic if own is None else own or bool(optimistic),
        "el_offline": wire.flag(found, "data.el_offline"),
        "sync_distance": wire.number(found, "data.sync_distance"),
    }
    return {name: value for name, value in changes.items() if value is not None}


def _identity(parts: Mapping[str, Part]) -> dict[str, object]:
    """Return what a node is, as far as this poll asked for it."""
    genesis, spec = wire.values(parts.get(beacon.GENESIS)), wire.values(parts.get(beacon.SPEC))
    changes: dict[str, object] = {
        "peers": wire.number(wire.values(parts.get(beacon.PEERS)), "data.connected"),
        "version": wire.text(wire.values(parts.get(beacon.VERSION)), "data.version") or None,
        "chain_id": wire.number(wire.values(parts.get(beacon.DEPOSIT)), "data.chain_id"),
        "genesis_root": wire.root(genesis, "data.genesis_validators_root"),
        "genesis_time_s": wire.number(genesis, "data.genesis_time"),
        "slot_ns": wire.slot_ns(spec),
    }
    return {name: value for name, value in changes.items() if value is not None}


# -- all of them together


def views(state: ChainState, settings: Settings, chain: ChainSettings) -> tuple[BeaconView, ...]:
    """Return how the beacon nodes stand to each other, to the chain and to their execution clients.

    Who is in maintenance stands nowhere.
    """
    if not chain.beacons:
        return ()
    found = tuple(_view(state, settings, chain, one) for one in chain.beacons if one.node.name not in state.maintenance)
    groups = groups_of(chain)
    roots = {one.settings.node.name: one.seen.genesis_root for one in found if one.answering and one.seen.genesis_root}
    right = _majority(groups, roots)
    told = [_identified(one, chain, right) for one in found]
    finals = {one.settings.node.name: one.seen.finals for one in told if one.sound}
    clashes = _clashes(groups, finals)
    return tuple(evolve(one, **_clash_of(clashes.get(one.settings.node.name))) for one in told)


def _clash_of(clash: tuple[str, bool] | None) -> dict[str, object]:
    return {} if clash is None else {"clash": clash[0], "contested": clash[1]}


def checkpoint(found: tuple[BeaconView, ...], chain: ChainSettings) -> BlockRef | None:
    """Return the newest finalized execution block that more than half of the beacon groups call so."""
    if not found:
        return None
    groups = groups_of(chain)
    finals = {one.settings.node.name: one.seen.finals for one in found if one.sound}
    for epoch in sorted({one.epoch for each in finals.values() for one in each}, reverse=True):
        blocks = {
            name: one.payload
            for name, each in finals.items()
            for one in each
            if one.epoch == epoch and one.payload is not None
        }
        agreed = _majority(groups, blocks)
        if agreed is not None:
            return agreed
    return None


def slot_clock(found: tuple[BeaconView, ...], chain: ChainSettings) -> SlotClock | None:
    """Return when slots begin: as configured, else as most of the beacon nodes say; None where they do not agree."""
    if chain.genesis_time_s is not None:
        return _configured(chain.genesis_time_s, chain.block_time_ns)
    if not found:
        return None
    said = [
        SlotClock(genesis_ns=one.seen.genesis_time_s * NS, slot_ns=one.seen.slot_ns)
        for one in found
        if one.seen.genesis_time_s is not None and one.seen.slot_ns and not one.wrong_chain
    ]
    return _most(said, len(said))


def _view(state: ChainState, settings: Settings, chain: ChainSettings, one: BeaconSettings) -> BeaconView:
    seen = state.beacons.get(one.node.name, BeaconRecord())
    answering = not seen.missed and seen.last_answer_ns is not None and seen.last_answer_ns >= state.started_ns
    driven = state.nodes.get(one.execution) if one.execution is not None else None
    return BeaconView(
        settings=one,
        labels=node_labels(settings, chain, one.node),
        seen=seen,
        answering=answering,
        pairing=_pairing(state, chain, driven, seen, one.execution or "") if answering and driven is not None else None,
    )


def _identified(one: BeaconView, chain: ChainSettings, genesis_root: str | None) -> BeaconView:
    seen, wrong = one.seen, ""
    if seen.chain_id is not None and seen.chain_id != chain.id:
        wrong = f"its deposit contract is on chain {seen.chain_id} instead of {chain.id}"
    elif seen.genesis_root and genesis_root and seen.genesis_root != genesis_root:
        wrong = f"its genesis is {seen.genesis_root}, that of most others {genesis_root}"
    elif seen.genesis_time_s is not None and chain.genesis_time_s not in (None, seen.genesis_time_s):
        wrong = f"its genesis was at {seen.genesis_time_s} instead of {chain.genesis_time_s}"
    doubtful = wrong or seen.syncing or seen.optimistic or seen.el_offline
    return evolve(one, wrong_chain=wrong, sound=one.answering and not doubtful)


def _pairing(
    state: ChainState, chain: ChainSettings, driven: NodeRecord, seen: BeaconRecord, name: str
) -> Pairing | None:
    """Hold an execution client against its beacon node; None while it does not answer.

    What a beacon node called final before it went silent about that is no evidence of how far it is now.
    """
    fresh = driven.last_answer_ns is not None and driven.last_answer_ns >= state.started_ns
    if driven.missed or not fresh or driven.head is None or seen.head is None:
        return None
    behind, forked = None, False
    if seen.head.payload is not None:
        behind, forked = _apart(state.tree, driven.head, seen.head.payload)
    final_behind, final_forked = _finals_apart(driven.finalized, seen.finals)
    if seen.finals_ns is None or (seen.last_answer_ns or 0) - seen.finals_ns > _NEWS_SLOTS * chain.pace_ns:
        final_behind = None
    return Pairing(node=name, behind=behind, forked=forked, final_behind=final_behind, final_forked=final_forked)


def _apart(tree: HeaderTree, head: Point, payload: BlockRef) -> tuple[int | None, bool]:
    """Return by how many blocks a head is behind a payload, and whether the two are on different branches.

    The tree may not know the payload: then the block that the head descends from at that height tells.
    """
    match relation(tree, head, payload):
        case Level():
            return 0, False
        case Behind(blocks=count):
            return count, False
        case Ahead(blocks=count):
            return -count, False
        case Forked():
            return None, True
    if payload.number > head.number:
        return payload.number - head.number, False
    at: Point | None = head
    while at is not None and at.number > max(payload.number, head.number - _LOOK_BACK):
        at = parent(tree, at)
    forked = at is not None and at.number == payload.number and at.hash != payload.hash
    return (None, True) if forked else (payload.number - head.number, False)


def _finals_apart(finalized: BlockRef | None, finals: tuple[Checkpoint, ...]) -> tuple[int | None, bool]:
    blocks = [one.payload for one in finals if one.payload is not None]
    if finalized is None or not blocks:
        return None, False
    forked = any(block.number == finalized.number and block.hash != finalized.hash for block in blocks)
    return blocks[-1].number - finalized.number, forked


def _clashes(
    groups: tuple[tuple[str, ...], ...], finals: Mapping[str, tuple[Checkpoint, ...]]
) -> dict[str, tuple[str, bool]]:
    """Return, by node, how its finalized root of an epoch contradicts the others, and whether that may be decided yet.

    Without a majority all contradict.
    """
    clashes: dict[str, tuple[str, bool]] = {}
    for epoch in sorted({one.epoch for each in finals.values() for one in each}):
        roots = {name: one.root for name, each in finals.items() for one in each if one.epoch == epoch}
        if len(set(roots.values())) > 1:
            right = _majority(groups, roots)
            contested = right is None and _is_open(groups, roots, finals, epoch)
            for name, root in roots.items():
                if root != right:
                    others = ", ".join(sorted(other for other in roots if roots[other] != root))
                    said = f"epoch {epoch} is final with root {root[:10]} there, with another root at {others}"
                    clashes[name] = said, contested
    return clashes


def _is_open(
    groups: tuple[tuple[str, ...], ...],
    roots: Mapping[str, str],
    finals: Mapping[str, tuple[Checkpoint, ...]],
    epoch: int,
) -> bool:
    """Tell whether nodes that are not as far as this epoch can still give one of its roots a majority."""
    late = [name for name, each in finals.items() if name not in roots and not (each and each[-1].epoch > epoch)]
    return any(
        _majority(groups, {**roots, **dict.fromkeys(late, root)}) is not None for root in sorted(set(roots.values()))
    )


def _majority(groups: tuple[tuple[str, ...], ...], said: Mapping[str, T]) -> T | None:
    """Return what more than half of the groups say. A group says what more than half of its nodes say."""
    votes: Counter[T] = Counter()
    for names in groups:
        voice = _most([said[name] for name in names if name in said], len(names))
        if voice is not None:
            votes[voice] += 1
    return next((word for word, count in votes.items() if 2 * count > len(groups)), None)


def _most(words: Iterable[T], of: int) -> T | None:
    return next((word for word, count in Counter(words).items() if 2 * count > of), None)


@lru_cache(maxsize=64)
def _configured(genesis_s: int, slot_ns: int) -> SlotClock:
    return SlotClock(genesis_ns=genesis_s * NS, slot_ns=slot_ns)


def groups_of(chain: ChainSettings) -> tuple[tuple[str, ...], ...]:
    """Return the beacon nodes of a chain by the groups in which they vote."""
    return _groups(chain.beacons, chain.vote_by)


@lru_cache(maxsize=64)
def _groups(beacons: tuple[BeaconSettings, ...], vote_by: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(group.nodes for group in group_nodes([one.node for one in beacons], vote_by).groups)
