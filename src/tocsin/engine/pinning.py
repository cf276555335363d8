"""What watched values are held against: pinned when they are first known for sure, changed only by a person.

A value is pinned at first sight once it is proven, or a quorum says it; where one group is configured, as that group
proves or says it, since nothing there is ever known any better. If its block is replaced before it is final, it is
pinned anew. An `ack` of an alert accepts the values of which the alert told, not what they have become since.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from tocsin.alerting.tracked import Moment
from tocsin.alerting.withdrawal import withdraw
from tocsin.chain.count import QUORUM_GROUPS
from tocsin.chain.tree import apart, relation
from tocsin.clock import NS
from tocsin.detect import (
    contract_code_changed,
    contract_owner_changed,
    contract_paused,
    contract_proxy_upgraded,
    contract_role_granted,
    contract_safe_changed,
)
from tocsin.engine.silencing import LONGEST_WHY
from tocsin.engine.state import ChainState
from tocsin.ids import fingerprint
from tocsin.model.alert import Alert, Grade
from tocsin.model.block import BlockRef
from tocsin.model.contract import CONTRACT, LEVELS, NONCE, UNREADABLE, Known, Pinned, Watch, Watched, is_other, watch_of
from tocsin.model.event import Commanded, LostPins
from tocsin.model.evolve import evolve
from tocsin.model.settings import ChainSettings
from tocsin.model.view import Ahead, Forked, Level

DETECTORS: Final = {
    contract_code_changed.ID: contract_code_changed.WATCHES,
    contract_owner_changed.ID: contract_owner_changed.WATCHES,
    contract_paused.ID: contract_paused.WATCHES,
    contract_proxy_upgraded.ID: contract_proxy_upgraded.WATCHES,
    contract_role_granted.ID: contract_role_granted.WATCHES,
    contract_safe_changed.ID: contract_safe_changed.WATCHES,
}
"""Which watches each detector compares with what is pinned. What is held against limits is pinned to nothing."""

READING_NS: Final = 60 * NS
"""So long people take at least to read what a value was changed to once more, before what they acknowledge is that."""

_SURE: Final = (Grade.PROVEN, Grade.QUORUM)


def pinned(seen: Watched, state: ChainState) -> Watched:
    """Return a contract with all pinned that is known for sure, and nothing that rests on a replaced block."""
    baseline = {name: at for name, one in seen.baseline.items() if (at := _standing(one, state)) is not None}
    for name, known in seen.latest.items():
        is_alone = known.grade is Grade.UNCORROBORATED and state.head.groups < QUORUM_GROUPS
        if known.block != seen.block or not (known.grade in _SURE or is_alone):
            continue
        if name in baseline and not _has_passed(name, baseline[name].value, known.value):
            continue
        if watch_of(name) not in LEVELS and known.value != UNREADABLE:
            baseline[name] = Pinned(value=known.value, grade=known.grade, block=known.block)
    return seen if baseline == seen.baseline else evolve(seen, baseline=baseline)


def _has_passed(name: str, pinned: str, now: str) -> bool:
    """Tell whether a value is another one in the course of things, so that it is pinned anew.

    Who was paused at first sight, and is not any more, is told of when it is paused again; and a Safe's nonce rises.
    """
    return name in (Watch.PAUSED.value, NONCE) and pinned != now and not is_other(name, pinned, now)


def _standing(one: Pinned, state: ChainState) -> Pinned | None:
    """Return what is pinned, None where its block was replaced; noted is once that cannot happen any more."""
    if one.is_final or one.by:
        return one
    head, final = state.head.block, state.finalized.block
    if head is not None and is_replaced(state, head, one.block):
        return None
    if final is not None and final.number >= one.block.number:
        is_on = isinstance(relation(state.tree, final, one.block), Level | Ahead)
        has_gone = one.block.hash not in state.tree.headers
        return evolve(one, is_final=True) if is_on or has_gone else one
    return one


def is_replaced(state: ChainState, head: BlockRef, block: BlockRef) -> bool:
    """Tell whether another block is known to be in the place of one, however far below they part."""
    return isinstance(relation(state.tree, head, block), Forked) or apart(state.tree, head, block) > 0


def adopted(state: ChainState, chain: ChainSettings, lost: Iterable[LostPins]) -> ChainState:
    """Return the chain with its contracts pinned to what they were in a state that was lost.

    What has become another value meanwhile is told then, as it would have been. Only of contracts of which nothing is
    known, and of what is still watched: where it lies, and what it is, the configuration says now.
    """
    watched = dict(state.contracts.watched)
    contracts = {(one.name, one.address): one for one in chain.contracts}
    for pins in lost:
        one = contracts.get((pins.contract, pins.address))
        if pins.chain != chain.id or one is None or one.name in watched:
            continue
        baseline = {
            name: at for name, at in pins.baseline.items() if name in one.parts and watch_of(name) not in LEVELS
        }
        if baseline:
            watched[one.name] = Watched(identity=one.identity, baseline=baseline, parts=one.parts)
    return evolve(state, contracts=evolve(state.contracts, watched=watched))


def told(state: ChainState, alerts: Iterable[Alert], now_ns: int) -> ChainState:
    """Note which values people were told of, and as of which block; of an alert that is over, that it tells nothing."""
    watched = dict(state.contracts.watched)
    for alert in alerts:
        name = dict(alert.labels).get(CONTRACT, "")
        seen, watches = watched.get(name), DETECTORS.get(alert.detector)
        if watches is None or seen is None:
            continue
        watched[name] = _with_told(seen, watches, _told_by(alert, seen) if _is_open(alert) else {}, now_ns)
    return evolve(state, contracts=evolve(state.contracts, watched=watched))


def _is_open(alert: Alert) -> bool:
    return alert.resolved_wall_ns is None


def _with_told(seen: Watched, watches: Collection[Watch], found: Mapping[str, Known], now_ns: int) -> Watched:
    """Return a contract of which an alert tells these values, and no others of what it watches."""
    fresh = {one for one, known in found.items() if one not in seen.told or seen.told[one].value != known.value}
    earlier = {one: _read(seen, one, now_ns) for one in fresh if one in seen.told}
    kept = {one: known for one, known in seen.kept.items() if one in found and one not in fresh}
    since = {one: now_ns if one in fresh else seen.told_ns.get(one, now_ns) for one in found}
    others = [one for one in seen.told if watch_of(one) not in watches]
    return evolve(
        seen,
        told={**{one: seen.told[one] for one in others}, **found},
        kept={**{one: seen.kept[one] for one in others if one in seen.kept}, **kept, **earlier},
        told_ns={**{one: seen.told_ns[one] for one in others if one in seen.told_ns}, **since},
    )


def _read(seen: Watched, name: str, now_ns: int) -> Known:
    """Return what people have read of a value: what was told last, or before that if that was only just now."""
    is_new = now_ns - seen.told_ns.get(name, 0) < READING_NS
    return seen.kept.get(name, seen.told[name]) if is_new else seen.told[name]


def _told_by(alert: Alert, seen: Watched) -> dict[str, Known]:
    """Return what an alert tells of the values of a contract; an old one that is said again tells what it told."""
    rows = alert.evidence.get("changes")
    changes = [row for row in (rows if isinstance(rows, list | tuple) else ()) if isinstance(row, Mapping)]
    found: dict[str, Known] = {}
    for row in changes:
        name = str(row.get("watch"))
        before, now = seen.told.get(name), seen.latest.get(name)
        one = next((one for one in (now, before) if one is not None and one.value == row.get("now")), None)
        if one is not None:
            found[name] = one
    return found


def accepted(
    state: ChainState, key: str, alert: Alert, event: Commanded, moment: Moment
) -> tuple[ChainState, tuple[Alert, ...]]:
    """Return the chain after a person has accepted what an alert told of a contract, and the end of that alert.

    Accepted is the value that was told, as of the block at which it was told, and as it was known then. Where it has
    become another one since, the next look finds that, and it is an alert of its own. What was told within the last
    minute is not accepted where something else was told before: whoever makes changes may wait for an `ack`.
    """
    name = dict(alert.labels).get(CONTRACT, "")
    seen = state.contracts.watched.get(name)
    if seen is None:
        return state, ()
    baseline = dict(seen.baseline)
    why = dict(event.args).get("why", "")[:LONGEST_WHY]
    watches = DETECTORS.get(alert.detector, ())
    for one in [one for one in seen.told if watch_of(one) in watches]:
        shown, known, old = _read(seen, one, event.t_ns), seen.latest.get(one), baseline.get(one)
        if known is None or old is None or known.value == old.value:
            continue  # what is as it was again needs nobody's consent
        baseline[one] = Pinned(value=shown.value, grade=shown.grade, block=shown.block, by=event.by, why=why)
    watched = {**state.contracts.watched, name: _with_told(evolve(seen, baseline=baseline), watches, {}, event.t_ns)}
    state = evolve(state, contracts=evolve(state.contracts, watched=watched))
    alerts, said = withdraw(
        state.alerts, lambda one: fingerprint(one.finding.detector, one.finding.labels) == key, moment, "acked"
    )
    return evolve(state, alerts=alerts), said
