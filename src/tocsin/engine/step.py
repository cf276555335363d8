"""The one function that decides: `step(state, event)`. No clock, no randomness, no I/O.

What cannot apply (a node that is configured no longer, a tick of an unknown chain) changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tocsin.alerting.lifecycle import Moment, acknowledge, adopt, advance, resumed, retire, revived
from tocsin.chain.nodelife import NodeLife, redial
from tocsin.clock import NS
from tocsin.detect import REGISTRY, SELF_DETECTORS
from tocsin.engine import documents, host, maintenance, pace, peers, retired, selfwatch, trust
from tocsin.engine.labels import chain_labels, node_labels, self_labels
from tocsin.engine.lives import closed
from tocsin.engine.state import ChainState, EngineState
from tocsin.engine.tick import tick
from tocsin.model.alert import Alert, Finding, Grade, Labels, Limits, Subject, Under
from tocsin.model.beacon import BeaconRecord
from tocsin.model.effect import AlertChanged, Effect, StateChanged
from tocsin.model.event import (
    BeaconPolled,
    Booted,
    Commanded,
    ConfigRejected,
    ConfigRevised,
    Event,
    Fetched,
    HostSampled,
    PeerHeard,
    PeersListened,
    Polled,
    Ticked,
    Woken,
)
from tocsin.model.evolve import evolve
from tocsin.model.settings import ChainSettings, Settings
from tocsin.model.view import NodeRecord, SelfView

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


def step(state: EngineState, event: Event) -> Step:
    """Return the state after the event, what the detectors said, and what is to leave."""
    if isinstance(event, Polled | BeaconPolled | Fetched):
        return Step(state=_received(state, event))
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
            return _configured(state, event.settings, state.t_ns)
        case ConfigRejected():
            return Step(state=evolve(state, config_problems=event.problems))
        case Commanded():
            return _commanded(state, event)
        case HostSampled():
            return Step(state=host.sampled(state, event))
        case PeerHeard() | PeersListened():
            return Step(state=evolve(state, peers=peers.taken(state, event)))
        case Woken():
            return Step(state=_heard(state, event))


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
    return evolve(state, wall_ahead_ns=ahead, chains=chains)


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
    )


def _tick_chain(state: EngineState, event: Ticked) -> Step:
    chain = state.chains.get(event.chain)
    settings = state.settings
    if chain is None or settings is None:
        return Step(state=state)
    wanted = next(each for each in settings.chains if each.name == event.chain)
    news = [received for received in state.inbox if received.chain == event.chain]
    gap_ns = _unwatched_ns(chain, wanted, event.t_ns)
    chain = _resumed(chain, event.t_ns, gap_ns) if gap_ns else chain
    looked = tick(chain, news, settings, wanted, event, state.request)
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
    state, alerts = _numbered(state, looked.alerts, event.wall_ns)
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
    )
    if settings is None:
        return Step(state=state)
    others = peers.views(state, settings, event.t_ns)
    view = SelfView(
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
        peers=others,
    )
    findings = tuple(
        [
            finding
            for detector in SELF_DETECTORS
            for finding in detector.run(view, settings.detectors.get(detector.id) or _DEFAULTS[detector.id])
        ]
    )
    subjects = {
        view.labels: Subject(sample=state.tick),
        **host.subjects(state, settings),
        **selfwatch.seen_subjects(state),
        **peers.subjects(state, others, event.t_ns),
    }
    alerts, said = advance(state.alerts, findings, subjects, Moment(now_ns=event.t_ns, wall_ns=event.wall_ns))
    state, effects = _numbered(evolve(state, alerts=alerts), said, event.wall_ns)
    state, told = retired.forgotten(state) if state.retired else (state, ())
    return Step(state=state, findings=findings, effects=(*effects, *told))


def _numbered(
    state: EngineState, alerts: tuple[Alert, ...], wall_ns: int
) -> tuple[EngineState, tuple[AlertChanged, ...]]:
    """Give each change its place in the one stream."""
    effects = tuple(
        AlertChanged(seq=state.seq + at, boot=state.boot, wall_ns=wall_ns, alert=alert)
        for at, alert in enumerate(alerts, 1)
    )
    return (evolve(state, seq=state.seq + len(alerts)) if alerts else state), effects


def _booted(state: EngineState, event: Booted) -> EngineState:
    """Begin a new life: what is known stays, but nothing is judged before the nodes were asked again."""
    chains = {
        name: evolve(
            _anew(chain, state.t_ns),
            head=evolve(chain.head, grade=Grade.BLIND, votes=0, voting_groups=0),
            split_since_ns=None,
            pace=None,  # those who poll are new, too
            alerts=revived(chain.alerts),
            observed=revived(chain.observed),
            lives={node: redial(life, "a new start", state.t_ns) for node, life in chain.lives.items()},
        )
        for name, chain in state.chains.items()
    }
    seq = max(state.seq, event.seq)
    orphans = {orphan.fingerprint: orphan for orphan in (*state.orphans, *event.orphans)}
    return evolve(
        state,
        boot=event.boot,
        wall_ns=event.wall_ns,
        wall_ahead_ns=event.wall_ns - state.t_ns,
        chains=chains,
        alerts=revived(state.alerts),
        host=host.anew(state.host),
        self_ticked_ns=None,
        peers=peers.anew(state.peers, state.t_ns),
        inbox=(),
        seq=seq,
        orphans=tuple(orphans.values()),
    )


def _configured(state: EngineState, settings: Settings, t_ns: int) -> Step:
    """Take a new configuration: keep what is still watched, resolve and clear what is not."""
    old_state = state
    before = {chain.name: chain.id for chain in state.settings.chains} if state.settings is not None else {}
    moved = _moved(state.settings, settings)
    moment = Moment(now_ns=t_ns, wall_ns=state.wall_ns)
    said: list[Alert] = []
    chains: dict[str, ChainState] = {}
    for chain in settings.chains:
        old = state.chains.get(chain.name) if before.get(chain.name) == chain.id else None
        chains[chain.name] = _with_nodes(old or ChainState(started_ns=t_ns), chain, t_ns, moved.get(chain.name, ()))
    # What waits of a chain that goes, or becomes another one, would be taken for news of it later.
    stays = {chain.name for chain in settings.chains if before.get(chain.name) == chain.id}
    inbox = tuple([received for received in state.inbox if received.chain in stays])
    for name in sorted(state.chains):
        kept = chains.get(name)
        subjects = _subjects(settings, name) if kept is not None else ()
        alerts, resolved = retire(state.chains[name].alerts, subjects, moment)
        said += resolved
        if kept is not None:
            observed, _ = retire(kept.observed, subjects, moment)
            chains[name] = evolve(kept, alerts=alerts, observed=evolve(observed, activations={}))
    alerts, resolved = retire(state.alerts, _own_subjects(settings), moment)
    said += resolved
    state = evolve(
        state,
        settings=settings,
        chains=chains,
        alerts=alerts,
        inbox=inbox,
        config_problems=(),
        host=host.kept(state.host, settings),
        peers=peers.kept(state.peers, settings),
    )
    state, adopted = _adopted(state, settings, moment)
    said += adopted
    watched = {chain.name: _subjects(settings, chain.name) for chain in settings.chains}
    state = retired.parted(old_state, state, watched, _own_subjects(settings), old_state.orphans)
    state, changes = _numbered(state, tuple(said), state.wall_ns)
    state, told = documents.cleared(state, state.wall_ns)
    return Step(state=state, effects=(*changes, *told))


def _adopted(state: EngineState, settings: Settings, moment: Moment) -> tuple[EngineState, list[Alert]]:
    """Take over open alerts whose state was lost: unknown where the subject is still watched, else unconfigured."""
    said: list[Alert] = []
    chains = dict(state.chains)
    own = state.alerts
    for orphan in state.orphans:
        name = next((name for name in chains if orphan.labels in _subjects(settings, name)), None)
        if name is not None:
            own_params = next(each.detectors for each in settings.chains if each.name == name)
            limits = _limits_of(orphan.detector, own_params)
            alerts, told = adopt(chains[name].alerts, orphan, moment, watched=True, limits=limits)
            chains[name] = evolve(chains[name], alerts=alerts)
        else:
            watched = orphan.labels in _own_subjects(settings)
            limits = _limits_of(orphan.detector, settings.detectors)
            own, told = adopt(own, orphan, moment, watched=watched, limits=limits)
        said += told
    for each in settings.chains if state.orphans else ():
        chains[each.name], quiet = maintenance.quieted(chains[each.name], settings, each, moment)
        said += quiet
    return evolve(state, chains=chains, alerts=own, orphans=()), said


def _own_subjects(settings: Settings) -> list[Labels]:
    """Return the labels of all that is watched besides chains: the watchdog itself, its host, its peers."""
    return [*host.own_subjects(settings), *selfwatch.own_subjects(settings), *peers.own_subjects(settings)]


def _limits_of(detector: str, configured: Mapping[str, object]) -> Limits:
    """Return how an alert of a detector ends, as far as its Params alone tell."""
    known = REGISTRY.get(detector)
    params = configured.get(detector) or (known.params() if known is not None else None)
    clear, latched = getattr(params, "clear", None), getattr(params, "latched", False)
    return Limits(clear=clear if isinstance(clear, Under) else Under(under=1), latched=latched is True)


def _moved(before: Settings | None, after: Settings) -> dict[str, list[str]]:
    """Return the nodes of each chain whose address is another one now: what was seen there says nothing of them."""
    were = {
        (chain.name, node.name): node.endpoint
        for chain in (before.chains if before is not None else ())
        for node in chain.nodes
    }
    return {
        chain.name: [
            node.name for node in chain.nodes if were.get((chain.name, node.name), node.endpoint) != node.endpoint
        ]
        for chain in after.chains
    }


def _with_nodes(state: ChainState, chain: ChainSettings, t_ns: int, moved: Sequence[str]) -> ChainState:
    names = [node.name for node in chain.nodes]
    everyone = {node.name for node in chain.everyone}
    fresh = [name for name in names if name not in state.nodes or name in moved]
    gone = {name: life for name, life in state.lives.items() if name not in names}
    ended = closed(state, gone, t_ns) if gone or state.closed else state.closed
    redialled = {
        name: redial(state.lives[name], "it has another address", t_ns) for name in moved if name in state.lives
    }
    return evolve(
        state,
        nodes={name: _record(state.nodes.get(name), is_moved=name in moved) for name in names},
        closed={name: life for name, life in ended.items() if name not in names},
        maintenance={name: window for name, window in state.maintenance.items() if name in everyone},
        doubts={name: doubt for name, doubt in state.doubts.items() if name in names and name not in moved},
        trust=trust.configured(state.trust, chain),
        beacons={one.node.name: state.beacons.get(one.node.name, BeaconRecord()) for one in chain.beacons},
        lives={
            name: life
            for name in names
            if (life := redialled.get(name) or state.lives.get(name) or _back(ended.get(name), t_ns)) is not None
        },
        judged_polls={name: state.judged_polls[name] for name in names if name in state.judged_polls},
        awaited=tuple(sorted({*(name for name in state.awaited if name in names), *fresh})),
    )


def _record(known: NodeRecord | None, *, is_moved: bool) -> NodeRecord:
    """Return what is known of a node; of one that moved only how often it was asked, which numbers its samples."""
    if known is None or not is_moved:
        return known or NodeRecord()
    return NodeRecord(polls=known.polls, answers=known.answers)


def _back(ended: NodeLife | None, t_ns: int) -> NodeLife | None:
    """Return the life of a node that was closed lately and is back: a new one, that remembers its relapses."""
    return NodeLife(since_ns=t_ns, relapses=ended.relapses) if ended is not None and ended.relapses else None


def _subjects(settings: Settings, name: str) -> list[Labels]:
    chain = next(each for each in settings.chains if each.name == name)
    return [chain_labels(settings, chain), *(node_labels(settings, chain, node) for node in chain.everyone)]


def _commanded(state: EngineState, event: Commanded) -> Step:
    """Carry out a person's command: `ack` (args `fingerprint`, `why`) or `maintenance`."""
    state = evolve(state, wall_ns=event.wall_ns)
    match event.verb:
        case "ack":
            return _acknowledged(state, event)
        case maintenance.VERB:
            return _maintained(state, event)
        case _:
            return Step(state=state)


def _maintained(state: EngineState, event: Commanded) -> Step:
    """Begin or end the maintenance of a node: see `tocsin.engine.maintenance`."""
    settings = state.settings
    # A person is told until when by the wall clock; how long it lasts is counted in engine time, from now.
    event = evolve(event, t_ns=state.t_ns)
    wanted = maintenance.window_of(event, settings) if settings is not None else None
    if settings is None or wanted is None:
        return Step(state=state)
    chain, node, window = wanted
    moment = Moment(now_ns=event.t_ns, wall_ns=event.wall_ns)
    before = state.chains[chain.name]
    said: tuple[Alert, ...] = ()
    if window is None:
        after = maintenance.ended(before, (node.name,))
    else:
        after, said = maintenance.begun(before, settings, chain, node, window, moment)
    if after is before:
        return Step(state=state)
    state, effects = _numbered(evolve(state, chains={**state.chains, chain.name: after}), said, event.wall_ns)
    state, told = documents.changed(state, event.wall_ns, event.t_ns, chain.name)
    return Step(state=state, effects=(*effects, *told))


def _acknowledged(state: EngineState, event: Commanded) -> Step:
    key = dict(event.args).get("fingerprint", "")
    moment = Moment(now_ns=event.t_ns, wall_ns=event.wall_ns)
    if state.settings is not None and (own_alert := state.alerts.tracked.get(key)) is not None:
        state = selfwatch.acknowledged(state, state.settings, own_alert)
    alerts, said = acknowledge(state.alerts, key, event.by, moment)
    state = evolve(state, alerts=alerts)
    for name in sorted(state.chains):
        chain = state.chains[name]
        alerts, more = acknowledge(chain.alerts, key, event.by, moment)
        if more:
            state = evolve(state, chains={**state.chains, name: evolve(chain, alerts=alerts)})
            said = (*said, *more)
    state, effects = _numbered(state, said, event.wall_ns)
    return Step(state=state, effects=effects)
