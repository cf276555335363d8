"""Where to go on from after a start: the newest snapshot that can be read, and the events behind it.

Replaying the tail decides again what was decided before the stop; its effects are committed already, so none leaves a
second time. What may not be on disk yet is evidence: alerts do not wait for it.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import orjson

from tocsin.alerting.routing import Routing
from tocsin.alerting.tracked import Alerts
from tocsin.clock import NS, Clock, SystemClock
from tocsin.engine.codec import decode_event, decode_state
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.errors import CorruptRecord
from tocsin.model.alert import AlertState
from tocsin.model.effect import AlertChanged
from tocsin.model.evolve import evolve
from tocsin.runtime.core import long_evidence
from tocsin.runtime.orphans import OPEN
from tocsin.store import Recovered, Store
from tocsin.wire import topics

log = logging.getLogger(__name__)

TELL_NS = 5 * NS
"""Twelve times within what each word asks of a service manager (`runtime.systemd.EXTEND_S`)."""


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
    """Fingerprint and last published message of alerts of which the state remembers less than subscribers do."""
    contracts: tuple[bytes, ...] = ()
    """The last published message of each contract of which the state remembers nothing."""


Progress = Callable[[str], None]


async def recover(store: Store, clock: Clock | None = None, tell: Progress = lambda _: None) -> Past:
    """Return the past of a store. A snapshot that cannot be read gives way to the one before it.

    To replay minutes of a large pool takes long on a slow disk: `tell` is given a line about it every few seconds of
    `clock`, and at the start.
    """
    clock = clock or SystemClock()
    before: int | None = None
    while True:
        found = await store.recover(before=before)
        try:
            state = await _replayed(store, found, clock, tell)
            break
        except CorruptRecord as error:
            if found.snapshot is None and before == 0:
                raise
            log.warning("the journal cannot be read from event %s on: %s", found.snapshot_event_no, error)
            before = found.snapshot_event_no if found.snapshot is not None else 0
    said = await _published(store)
    published = max((one.seq for one in said), default=0)
    if 0 < found.last_seq < state.seq:
        state = _as_told(state, {one.fingerprint: one for one in said}, seq=max(found.last_seq, published))
    return Past(
        state=state,
        event_no=found.last_event_no,
        effect_no=found.last_effect_no,
        t_ns=max(found.last_t_ns, state.t_ns),
        wall_ns=found.last_wall_ns,
        seq=max(state.seq, found.last_seq, published),
        orphans=tuple((one.fingerprint, one.payload) for one in said if one.is_news_to(state)),
        contracts=tuple([payload async for payload in _contracts(store, state)]),
    )


async def _replayed(store: Store, found: Recovered, clock: Clock, tell: Progress) -> EngineState:
    state = decode_state(found.snapshot) if found.snapshot is not None else EngineState()
    done, told_ns = 0, None
    async for entry in found.tail:
        now_ns = clock.monotonic_ns()
        if told_ns is None or now_ns - told_ns >= TELL_NS:
            told_ns = now_ns
            tell(f"replaying what came before the start: {done} of {found.tail_events} events")
        done += 1
        event = decode_event(entry.data, entry.bodies)
        try:
            decided = step(state, event)
        except Exception as error:
            # Whatever decided this before cannot do it again: better to begin anew than to fail at every start.
            raise CorruptRecord(f"event {entry.event_no} cannot be decided again: {error!r}") from error
        state = decided.state
        for effect in decided.effects:
            if isinstance(effect, AlertChanged) and (evidence := long_evidence(effect.alert)):
                await store.keep_evidence(evidence)
    return state


def _as_told(state: EngineState, said: Mapping[str, "_Published"], *, seq: int) -> EngineState:
    """Return the state without open alerts that nobody was told of; what still holds of them fires anew.

    More numbers than were ever committed mean that other code than ours lived through these events: it decided less,
    and what we decide of them now does not leave any more.
    """
    log.warning("this version of tocsin finds more in what came before the start than the one that ran then")
    return evolve(
        state,
        seq=seq,
        alerts=_told(state.alerts, said),
        chains={name: evolve(chain, alerts=_told(chain.alerts, said)) for name, chain in state.chains.items()},
        # Whom of people it would have told nobody knows: they are told of what is open then.
        routing=Routing(number=state.routing.number),
    )


def _told(alerts: Alerts, said: Mapping[str, "_Published"]) -> Alerts:
    untold = {
        key
        for key, tracked in alerts.tracked.items()
        if tracked.state in OPEN and not (key in said and said[key].is_open_at(tracked.activation))
    }
    activations = {key: said[key].activation for key in untold if key in said}
    return Alerts(
        tracked={key: tracked for key, tracked in alerts.tracked.items() if key not in untold},
        activations={key: count for key, count in alerts.activations.items() if key not in untold} | activations,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Published:
    """An alert as subscribers know it."""

    fingerprint: str
    payload: bytes
    seq: int
    activation: int
    count: int
    is_open: bool

    def is_open_at(self, activation: int) -> bool:
        """Tell whether subscribers know of this activation, and not of its end."""
        return self.is_open and self.activation >= activation

    def is_news_to(self, state: EngineState) -> bool:
        """Tell whether more of this alert was published than the state remembers."""
        activation = 0
        for alerts in (state.alerts, *(chain.alerts for chain in state.chains.values())):
            activation = max(activation, alerts.activations.get(self.fingerprint, 0))
            tracked = alerts.tracked.get(self.fingerprint)
            if tracked is not None and tracked.state is not AlertState.PENDING:
                return (self.activation, self.count) > (tracked.activation, tracked.count)
        return self.is_open or self.activation > activation


async def _contracts(store: Store, state: EngineState) -> AsyncIterator[bytes]:
    """Yield what was published of contracts of which a state remembers nothing, by topic."""
    known = {topics.contract(name, one) for name, chain in state.chains.items() for one in chain.contracts.watched}
    for one in sorted(await store.retained_all(), key=lambda one: one.topic):
        if one.payload and topics.is_contract(one.topic) and "/".join(one.topic.split("/")[-3:]) not in known:
            yield one.payload


async def _published(store: Store) -> list[_Published]:
    """Return the alerts that were published, by topic. One that cannot be read is left to expire on the broker."""
    found = []
    for one in sorted(await store.retained_all(), key=lambda one: one.topic):
        if not one.payload or not topics.is_alert(one.topic):
            continue
        try:
            message = orjson.loads(one.payload)
            data = message["data"]
            found.append(
                _Published(
                    fingerprint=str(message["subject"]),
                    payload=one.payload,
                    seq=int(data["seq"]),
                    activation=int(data["activation"]),
                    count=int(data["count"]),
                    is_open=data["state"] in OPEN,
                )
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("%s: what was published last cannot be read: %r", one.topic, error)
    return found
