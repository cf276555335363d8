"""The one function that decides: `step(state, event)`. No clock, no randomness, no I/O.

What cannot apply (a node that is configured no longer, a tick of an unknown chain) changes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.alerting.lifecycle import advance
from tocsin.alerting.takeover import resumed, revived
from tocsin.alerting.tracked import Moment
from tocsin.chain.nodelife import redial
from tocsin.clock import NS
from tocsin.detect import SELF_DETECTORS
from tocsin.engine import (
    blockstate,
    charges,
    delivery,
    documents,
    finality,
    gateways,
    host,
    indexes,
    markets,
    notices,
    pace,
    peers,
    retired,
    selftest,
    selfwatch,
    silencing,
)
from tocsin.engine.commanded import commanded
from tocsin.engine.configured import configured
from tocsin.engine.keeping import kept_firing
from tocsin.engine.labels import self_labels
from tocsin.engine.state import ChainState, EngineState
from tocsin.engine.stream import numbered
from tocsin.engine.tick import tick
from tocsin.model.alert import Finding, Grade, Labels, Subject
from tocsin.model.effect import Effect, StateChanged
from tocsin.model.event import (
    AmountsRead,
    BeaconPolled,
    Booted,
    CalendarRevised,
    Commanded,
    ConfigRejected,
    ConfigRevised,
    DeliverySampled,
    Echoed,
    Event,
    Fetched,
    GatewayPolled,
    HostSampled,
    IndexSampled,
    LogsRefuted,
    MarketValued,
    PeerHeard,
    PeersListened,
    Polled,
    ReadDoubted,
    Ticked,
    Unheard,
    Woken,
)
from tocsin.model.evolve import evolve
from tocsin.model.host import ClockRecord
from tocsin.model.settings import ChainSettings, Settings
from tocsin.model.view import SelfView

INBOX_CAP = 10_000
"""Observations that may wait for a tick. More mean that no tick comes; the oldest then say the least."""

JUMP_NS = 10 * NS
"""Wall clock and engine time drift by milliseconds an hour; a jump like this is a suspend, or a clock that was set."""

CALM_NS = 60 * NS
"""So long at least lies between two beginnings: a clock that jumps all the time must not end all judgement."""

STILL_NS = 2 * NS
"""Chains are looked at every second, or at every poll where that is rarer. Twice that long without a look means that
this process stood still: it was stopped, or its machine was, clocks and all."""

_DEFAULTS = {detector.id: detector.params() for detector in SELF_DETECTORS}
"""For settings that name no Params, as tests make them; frozen, so that one of each is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one event led to."""

    state: EngineState
    findings: tuple[Finding, ...] = ()
    effects: tuple[Effect, ...] = ()


Noted = (
    ConfigRejected
    | CalendarRevised
    | HostSampled
    | PeerHeard
    | PeersListened
    | DeliverySampled
    | IndexSampled
    | AmountsRead
    | MarketValued
    | LogsRefuted
    | ReadDoubted
    | Echoed
    | Woken
)
"""Events that nothing follows from before the next look."""

Decisive = Noted | Booted | ConfigRevised | Ticked | Commanded | Unheard
"""Events that are taken as they come. What nodes answer waits for a tick."""


def step(state: EngineState, event: Event) -> Step:
    """Return the state after the event, what the detectors said, and what is to leave."""
    if isinstance(event, Polled | BeaconPolled | Fetched):
        return Step(state=_received(state, event))
    if isinstance(event, GatewayPolled):
        known = gateways.taken(state.gateways, event)
        return Step(state=evolve(state, t_ns=max(state.t_ns, event.t_ns), gateways=known))
    decided = _decided(state, event)
    after, told = notices.notified(state, event, decided.state, decided.effects)
    if after is decided.state:
        return decided
    return Step(state=after, findings=decided.findings, effects=(*decided.effects, *told))


def _decided(state: EngineState, event: Decisive) -> Step:
    state = evolve(state, t_ns=max(state.t_ns, event.t_ns))
    match event:
        case Ticked():
            # Engine time never goes back, whatever the order in which ticks were taken.
            event = event if event.t_ns == state.t_ns else evolve(event, t_ns=state.t_ns)
            state = _awake(state, event)
            return _tick_chain(state, event) if event.chain else _tick_self(state, event)
        case Booted():
            return Step(state=_booted(state, event))
        case ConfigRevised():
            return _told(*configured(state, event.settings, state.t_ns))
        case Commanded():
            return _told(*commanded(state, event))
        case Unheard():
            return Step(state=state)
        case _:
            return Step(state=_noted(state, event))


def _noted(state: EngineState, event: Noted) -> EngineState:
    match event:
        case ConfigRejected():
            return evolve(state, config_problems=event.problems)
        case CalendarRevised():
            return evolve(state, calendar=event.spans[: silencing.MOST_SPANS])
        case HostSampled():
            return host.sampled(state, event)
        case PeerHeard() | PeersListened():
            return evolve(state, peers=peers.taken(state, event))
        case DeliverySampled():
            return evolve(state, delivery=event)
        case IndexSampled() | AmountsRead() | MarketValued():
            return _measured(state, event)
        case LogsRefuted() | ReadDoubted():
            return indexes.refuted(state, event) if isinstance(event, LogsRefuted) else _doubted(state, event)
        case Echoed():
            return selftest.echoed(state, event)
        case Woken():
            return _heard(state, event)


def _measured(state: EngineState, event: IndexSampled | AmountsRead | MarketValued) -> EngineState:
    match event:
        case IndexSampled():
            return indexes.sampled(state, event)
        case AmountsRead():
            return indexes.valued(state, event)
        case MarketValued():
            return markets.valued(state, event)


def _doubted(state: EngineState, event: ReadDoubted) -> EngineState:
    chain = state.chains.get(event.chain)
    settings = state.settings.chain(event.chain) if state.settings else None
    if chain is None or settings is None or event.node not in chain.nodes:
        return state
    return evolve(state, chains={**state.chains, event.chain: charges.doubted(chain, settings, event)})


def _told(state: EngineState, effects: tuple[Effect, ...]) -> Step:
    return Step(state=state, effects=effects)


def _received(state: EngineState, event: Polled | BeaconPolled | Fetched) -> EngineState:
    if event.chain not in state.chains:
        return state
    return evolve(state, t_ns=max(state.t_ns, event.t_ns), inbox=(*state.inbox[-INBOX_CAP:], event))


def _heard(state: EngineState, event: Woken) -> EngineState:
    """Note the head that a websocket announced last, and when; in which order the events are taken is no matter."""
    chain = state.chains.get(event.chain)
    record = chain.nodes.get(event.node) if chain is not None else None
    if chain is None or record is None:
        return state
    heard_ns, number = max((event.t_ns, event.number), (record.heard_ns or 0, record.heard_number or 0))
    after = evolve(record, heard_number=number, heard_ns=heard_ns)
    heard = evolve(chain, nodes={**chain.nodes, event.node: after})
    return evolve(state, chains={**state.chains, event.chain: heard})


def _awake(state: EngineState, event: Ticked) -> EngineState:
    """Begin to watch anew where the wall clock left engine time: the host slept, and what is known is of before.

    A clock that was set looks the same; then a poll of each node is all that is lost.
    """
    ahead, before = event.wall_ns - event.t_ns, state.wall_ahead_ns
    if before is None or abs(ahead - before) < JUMP_NS:
        return state if ahead == before else evolve(state, wall_ahead_ns=ahead)
    chains = {
        name: _anew(chain, event.t_ns) if event.t_ns - chain.started_ns >= CALM_NS else chain
        for name, chain in state.chains.items()
    }
    # By how much the clock was wrong before tells nothing of how wrong it is now.
    return evolve(state, wall_ahead_ns=ahead, chains=chains, host=evolve(state.host, clock=ClockRecord()))


def _unwatched_ns(state: ChainState, chain: ChainSettings, t_ns: int) -> int:
    """Return for how long this process stood still before this tick, 0 where it did not."""
    gap = 0 if state.ticked_ns is None else t_ns - state.ticked_ns
    return gap if gap >= max(STILL_NS, 2 * chain.poll_ns) else 0


def _resumed(state: ChainState, t_ns: int, gap_ns: int) -> ChainState:
    """Watch anew, and let what was watched before count on as if the time in between had not passed."""
    watched_since = max(state.started_ns, state.head.since_ns or 0)
    watched_ns = max(0, t_ns - gap_ns - watched_since)
    split = state.split_since_ns
    return evolve(
        _anew(state, t_ns - watched_ns),
        alerts=resumed(state.alerts, gap_ns),
        observed=resumed(state.observed, gap_ns),
        split_since_ns=None if split is None else split + gap_ns,
    )


def _anew(chain: ChainState, t_ns: int) -> ChainState:
    """Watch from here on: nothing is judged before the nodes were asked again, and what was asked for is."""
    return evolve(
        chain,
        started_ns=t_ns,
        awaited=tuple(sorted(chain.nodes)),
        unlinked={},
        sought={},
        round=None,
        settled=None,
        ages_ns=(),
        finality=finality.anew(chain.finality),
        contracts=blockstate.anew(chain.contracts),
    )


def _tick_chain(state: EngineState, event: Ticked) -> Step:
    chain = state.chains.get(event.chain)
    settings = state.settings
    if chain is None or settings is None:
        return Step(state=state)
    wanted = settings.chain(event.chain)
    if wanted is None:
        # Who never judges again must not look alive: the state knows no chain that is not configured.
        raise LookupError(f"chain {event.chain} is in the state, and not in the settings")
    news = [received for received in state.inbox if received.chain == event.chain]
    gap_ns = _unwatched_ns(chain, wanted, event.t_ns)
    chain = _resumed(chain, event.t_ns, gap_ns) if gap_ns else chain
    silences = silencing.in_force(state, event.wall_ns)
    looked = tick(chain, news, settings, wanted, event, state.request, silences, state.gateways)
    after = pace.follow(chain, looked.chain, wanted, event.wall_ns - event.t_ns) if looked.judged else looked.chain
    after = host.aged(chain, after, event.wall_ns)
    paced = (after.pace,) if after.pace is not None and after.pace is not chain.pace else ()
    state = evolve(
        state,
        inbox=tuple([received for received in state.inbox if received.chain != event.chain]),
        wall_ns=event.wall_ns,
        request=looked.request,
        chains={**state.chains, event.chain: evolve(after, ticked_ns=event.t_ns)},
    )
    state, alerts = numbered(state, looked.alerts, event.wall_ns)
    told: tuple[StateChanged, ...] = ()
    if looked.judged and looked.has_changed:
        state, told = documents.changed(state, event.wall_ns, event.t_ns, event.chain)
    return Step(state=state, findings=looked.findings, effects=(*alerts, *told, *looked.fetches, *paced))


def _tick_self(state: EngineState, event: Ticked) -> Step:
    settings = state.settings
    gap_ns = 0 if state.self_ticked_ns is None else event.t_ns - state.self_ticked_ns
    state = evolve(
        state,
        wall_ns=event.wall_ns,
        tick=state.tick + 1,
        loop_lag_ns=event.loop_lag_ns,
        self_ticked_ns=event.t_ns,
        peers=peers.resumed(state.peers, event.t_ns, gap_ns) if gap_ns >= STILL_NS else state.peers,
        self_test=selftest.resumed(state.self_test, event.t_ns) if gap_ns >= STILL_NS else state.self_test,
    )
    if settings is None:
        return Step(state=state)
    view = _self_view(state, settings, event, gap_ns)
    findings = tuple(_run(view, settings))
    state = silencing.expired(state, event.wall_ns)
    silences = silencing.in_force(state, event.wall_ns)
    moment = Moment(now_ns=event.t_ns, wall_ns=event.wall_ns, rules=settings.alerts, silences=silences)
    alerts, said = advance(state.alerts, findings, _self_subjects(state, settings, view), moment)
    state, effects = numbered(evolve(state, alerts=alerts), said, event.wall_ns)
    state, told = retired.forgotten(state) if state.retired else (state, ())
    state, tests = selftest.look(state, settings, event.t_ns)
    return Step(state=state, findings=findings, effects=(*effects, *told, *tests))


def _run(view: SelfView, settings: Settings) -> Iterator[Finding]:
    for detector in SELF_DETECTORS:
        found = detector.run(view, settings.detectors.get(detector.id) or _DEFAULTS[detector.id])
        kept = settings.keep_firing.get(detector.id)
        yield from found if kept is None else kept_firing(found, kept)


def _self_view(state: EngineState, settings: Settings, event: Ticked, gap_ns: int) -> SelfView:
    return SelfView(
        labels=self_labels(settings),
        tick=state.tick,
        now_ns=event.t_ns,
        loop_lag_ns=event.loop_lag_ns,
        config_problems=state.config_problems,
        illegal=selfwatch.illegal(state),
        suspects=selfwatch.suspects(state, settings),
        wall_ns=event.wall_ns,
        host=host.view(state, settings),
        ages=host.ages(state, settings),
        missed_ticks=max(0, gap_ns // selfwatch.TICK_NS - 1),
        peers=peers.views(state, settings, event.t_ns),
        delivery=state.delivery,
        consumers=delivery.views(state, settings, event.t_ns),
        channels=delivery.channels(state, settings),
        echo=selftest.view(state, settings, event.t_ns),
    )


def _self_subjects(state: EngineState, settings: Settings, view: SelfView) -> dict[Labels, Subject]:
    """Return how well the watchdog itself, its host, its chains and its peers are observed."""
    return {
        view.labels: Subject(sample=state.tick),
        **host.subjects(state, settings),
        **selfwatch.seen_subjects(state),
        **peers.subjects(state, view.peers, view.now_ns),
        **delivery.subjects(state, settings, view.consumers, view.channels),
    }


def _booted(state: EngineState, event: Booted) -> EngineState:
    """Begin a new life: what is known stays, but nothing is judged before the nodes were asked again."""
    chains = {
        name: evolve(
            _anew(chain, state.t_ns),
            head=evolve(chain.head, grade=Grade.BLIND, votes=0, voting_groups=0),
            split_since_ns=None,
            pace=None,  # those who poll are new, too
            alerts=revived(chain.alerts, state.t_ns),
            observed=revived(chain.observed, state.t_ns),
            lives={node: redial(life, "a new start", state.t_ns) for node, life in chain.lives.items()},
        )
        for name, chain in state.chains.items()
    }
    seq = max(state.seq, event.seq)
    orphans = {orphan.fingerprint: orphan for orphan in (*state.orphans, *event.orphans)}
    return evolve(
        state,
        boot=event.boot,
        stream=event.stream or state.stream,
        wall_ns=event.wall_ns,
        wall_ahead_ns=event.wall_ns - state.t_ns,
        chains=chains,
        alerts=revived(state.alerts, state.t_ns),
        host=host.anew(state.host),
        self_ticked_ns=None,
        peers=peers.anew(state.peers, state.t_ns),
        self_test=selftest.anew(state.self_test, state.t_ns),
        inbox=(),
        seq=seq,
        orphans=tuple(orphans.values()),
        pins=(*state.pins, *event.pins),
    )
