"""Where to go on from after a start: the newest snapshot that can be read, and the events behind it.

Replaying the tail decides again what was decided before the stop; its effects are committed already, so none leaves a
second time.
"""

import logging
from dataclasses import dataclass

import orjson

from tocsin.engine.codec import decode_event, decode_state
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.errors import CorruptRecord
from tocsin.model.alert import AlertState
from tocsin.store import Recovered, Store

log = logging.getLogger(__name__)

_OPEN = (AlertState.FIRING.value, AlertState.UNKNOWN.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is known of the lives before this one."""

    state: EngineState
    event_no: int = 0
    effect_no: int = 0
    t_ns: int = 0
    wall_ns: int = 0
    seq: int = 0
    """The highest number that the event stream has used, whatever the state remembers."""
    orphans: tuple[tuple[str, bytes], ...] = ()
    """Fingerprint and last published message of alerts that are open for subscribers and unknown to the state."""


async def recover(store: Store) -> Past:
    """Return the past of a store. A snapshot that cannot be read gives way to the one before it."""
    before: int | None = None
    while True:
        found = await store.recover(before=before)
        try:
            state = await _replayed(found)
            break
        except CorruptRecord as error:
            if found.snapshot is None and before == 0:
                raise
            log.warning("the journal cannot be read from event %s on: %s", found.snapshot_event_no, error)
            before = found.snapshot_event_no if found.snapshot is not None else 0
    retained = {one.topic: one.payload for one in await store.retained_all() if one.payload}
    messages = {topic: orjson.loads(payload) for topic, payload in retained.items() if "/alert/" in topic}
    known = {
        key for scope in (state.alerts, *(chain.alerts for chain in state.chains.values())) for key in scope.tracked
    }
    orphans = tuple(
        (str(message["subject"]), retained[topic] or b"")
        for topic, message in sorted(messages.items())
        if message["data"]["state"] in _OPEN and message["subject"] not in known
    )
    published = max((int(message["data"]["seq"]) for message in messages.values()), default=0)
    pending = max((one.row.seq for one in await store.pending(1_000_000)), default=0)
    return Past(
        state=state,
        event_no=found.last_event_no,
        effect_no=found.last_effect_no,
        t_ns=max(found.last_t_ns, state.t_ns),
        wall_ns=found.last_wall_ns,
        seq=max(state.seq, found.last_seq, published, pending),
        orphans=orphans,
    )


async def _replayed(found: Recovered) -> EngineState:
    state = decode_state(found.snapshot) if found.snapshot is not None else EngineState()
    async for entry in found.tail:
        state = step(state, decode_event(entry.data, entry.bodies)).state
    return state
