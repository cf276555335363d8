"""What a new configuration does to what is known: nodes come, go and move, and alerts with them."""

from collections.abc import Collection, Mapping, Sequence

from tocsin.alerting.takeover import adopt
from tocsin.alerting.tracked import Moment
from tocsin.alerting.withdrawal import retire
from tocsin.chain.nodelife import NodeLife, redial
from tocsin.detect import REGISTRY
from tocsin.detect.provider_unreachable import providers
from tocsin.engine import (
    blockstate,
    delivery,
    documents,
    feeds,
    gateways,
    host,
    indexes,
    maintenance,
    markets,
    peers,
    pinning,
    retired,
    selftest,
    selfwatch,
    silencing,
    trust,
)
from tocsin.engine.labels import (
    chain_labels,
    contract_labels,
    feed_labels,
    gateway_labels,
    index_labels,
    node_labels,
    provider_labels,
)
from tocsin.engine.lives import closed
from tocsin.engine.state import ChainState, EngineState
from tocsin.engine.stream import numbered
from tocsin.model.alert import Alert, Labels, Limits, Under
from tocsin.model.beacon import BeaconRecord
from tocsin.model.effect import Effect
from tocsin.model.evolve import evolve
from tocsin.model.selftest import ID as SELF_TEST
from tocsin.model.settings import ChainSettings, Settings
from tocsin.model.view import NodeRecord


def configured(state: EngineState, settings: Settings, t_ns: int) -> tuple[EngineState, tuple[Effect, ...]]:
    """Take a new configuration: keep what is still watched, resolve and clear what is not."""
    moment = Moment(now_ns=t_ns, wall_ns=state.wall_ns, silences=silencing.in_force(state, state.wall_ns))
    staying = _staying(state.settings, settings)
    chains, said = _kept_chains(state, settings, staying, moment)
    alerts, resolved = retire(state.alerts, _own_subjects(settings), moment)
    after = evolve(
        state,
        settings=settings,
        chains=chains,
        alerts=alerts,
        # What waits of a chain that goes, or becomes another one, would be taken for news of it later.
        inbox=tuple([received for received in state.inbox if received.chain in staying]),
        config_problems=(),
        host=host.kept(state.host, settings),
        peers=peers.kept(state.peers, settings),
        gateways=gateways.kept(state.gateways, settings, state.settings),
    )
    after, adopted = _adopted(after, settings, moment)
    watched = {chain.name: _subjects(settings, chain.name) for chain in settings.chains}
    orphans = [orphan for orphan in state.orphans if orphan.detector != SELF_TEST]
    after = retired.parted(state, after, watched, _own_subjects(settings), orphans)
    after, tested = selftest.configured(after, state.settings, settings)
    after, changes = numbered(after, (*said, *resolved, *adopted, *tested), after.wall_ns)
    after, told = documents.cleared(after, after.wall_ns)
    return after, (*changes, *told)


def _staying(before: Settings | None, after: Settings) -> frozenset[str]:
    """Return the names of the chains that stay what they are."""
    were = {chain.name: chain.id for chain in before.chains} if before is not None else {}
    return frozenset(chain.name for chain in after.chains if were.get(chain.name) == chain.id)


def _kept_chains(
    state: EngineState, settings: Settings, staying: Collection[str], moment: Moment
) -> tuple[dict[str, ChainState], list[Alert]]:
    """Return the chains under a new configuration, and the alerts about what is watched no longer."""
    moved = _moved(state.settings, settings)
    said: list[Alert] = []
    chains: dict[str, ChainState] = {}
    for chain in settings.chains:
        old = state.chains.get(chain.name) if chain.name in staying else None
        fresh = old or ChainState(started_ns=moment.now_ns)
        chains[chain.name] = _with_nodes(fresh, chain, moment.now_ns, moved.get(chain.name, ()))
    for name in sorted(state.chains):
        kept = chains.get(name)
        subjects = _same_subjects(state.settings, settings, name) if kept is not None else ()
        alerts, resolved = retire(state.chains[name].alerts, subjects, moment)
        said += resolved
        if kept is not None:
            observed, _ = retire(kept.observed, subjects, moment)
            chains[name] = evolve(kept, alerts=alerts, observed=evolve(observed, activations={}))
    return chains, said


def _adopted(state: EngineState, settings: Settings, moment: Moment) -> tuple[EngineState, list[Alert]]:
    """Take over open alerts whose state was lost: unknown where the subject is still watched, else unconfigured."""
    said: list[Alert] = []
    chains = dict(state.chains)
    own = state.alerts
    for orphan in state.orphans:
        if orphan.detector == SELF_TEST:
            state = selftest.adopted(state, orphan)
            continue
        name = next((name for name in chains if orphan.labels in _subjects(settings, name)), None)
        chain = settings.chain(name) if name is not None else None
        if name is not None and chain is not None:
            limits = _limits_of(orphan.detector, chain.detectors, chain.keep_firing)
            alerts, told = adopt(chains[name].alerts, orphan, moment, watched=True, limits=limits)
            chains[name] = evolve(chains[name], alerts=alerts)
        else:
            watched = orphan.labels in _own_subjects(settings)
            limits = _limits_of(orphan.detector, settings.detectors, settings.keep_firing)
            own, told = adopt(own, orphan, moment, watched=watched, limits=limits)
        said += told
    for each in settings.chains if state.orphans else ():
        chains[each.name], quiet = maintenance.quieted(chains[each.name], settings, each, moment)
        said += quiet
    for each in settings.chains if state.pins else ():
        chains[each.name] = pinning.adopted(chains[each.name], each, state.pins)
    return evolve(state, chains=chains, alerts=own, orphans=(), pins=()), said


def _own_subjects(settings: Settings) -> list[Labels]:
    """Return the labels of all that is watched besides chains: the watchdog itself, its host, peers and consumers."""
    return [
        *host.own_subjects(settings),
        *selfwatch.own_subjects(settings),
        *peers.own_subjects(settings),
        *delivery.own_subjects(settings),
    ]


def _limits_of(detector: str, configured: Mapping[str, object], keep_firing: Mapping[str, int]) -> Limits:
    """Return how an alert of a detector ends, as far as its Params alone tell."""
    known = REGISTRY.get(detector)
    params = configured.get(detector) or (known.params() if known is not None else None)
    clear, latched = getattr(params, "clear", None), getattr(params, "latched", False)
    return Limits(
        clear=clear if isinstance(clear, Under) else Under(under=1),
        latched=latched is True,
        keep_firing_ns=keep_firing.get(detector, 0),
    )


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
        contracts=blockstate.kept(state.contracts, chain, moved),
        indexes=indexes.kept(state.indexes, chain),
        amounts=indexes.kept_amounts(state.amounts, chain),
        markets=markets.kept(state.markets, chain),
        feeds=feeds.kept(state.feeds, chain),
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


def _same_subjects(before: Settings | None, settings: Settings, name: str) -> list[Labels]:
    """Return the labels of all that is watched of a chain, but for contracts that are others now."""
    chain = settings.chain(name)
    if chain is None:
        return []
    was = before.chain(name) if before is not None else None
    others = {contract_labels(settings, chain, one) for one in blockstate.changed(was, chain)}
    others |= {feed_labels(settings, chain, one) for one in feeds.changed(was, chain)}
    others |= {index_labels(settings, chain, one) for one in indexes.changed(was, chain)}
    others |= set(markets.others(was, settings, chain))
    return [labels for labels in _subjects(settings, name) if labels not in others]


def _subjects(settings: Settings, name: str) -> list[Labels]:
    chain = settings.chain(name)
    if chain is None:
        return []
    return [
        chain_labels(settings, chain),
        *(node_labels(settings, chain, node) for node in chain.everyone),
        *(provider_labels(settings, chain, provider) for provider in providers(chain.nodes)),
        *(contract_labels(settings, chain, one.name) for one in chain.contracts),
        *(feed_labels(settings, chain, one.name) for one in chain.feeds),
        *(gateway_labels(settings, chain, one.name) for one in chain.gateways if one.judged),
        *(index_labels(settings, chain, one.name) for one in chain.indexes),
        *(labels for one in chain.markets for labels in markets.labels_of(settings, chain, one)),
    ]
