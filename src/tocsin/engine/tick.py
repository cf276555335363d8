"""One evaluation tick of one chain: take what came, agree, look, judge, and say what changed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tocsin.alerting.silences import Silences
from tocsin.alerting.tracked import Moment
from tocsin.chain.gaps import noted, p99
from tocsin.chain.tree import (
    BACKFILL,
    HeaderTree,
    apart,
    insert,
    is_bridgeable,
    is_doubted,
    pruned,
    relation,
    settled,
)
from tocsin.detect import CHAIN_DETECTORS
from tocsin.detect.provider_unreachable import ID as OUTAGE
from tocsin.detect.provider_unreachable import PROVIDER
from tocsin.engine import (
    backfill,
    beacons,
    blockstate,
    capabilities,
    charges,
    common,
    doubt,
    feeds,
    fees,
    finality,
    gateways,
    indexes,
    intake,
    leads,
    maintenance,
    markets,
    pinning,
    truth,
    wanted,
    watching,
)
from tocsin.engine.keeping import kept_firing
from tocsin.engine.labels import chain_labels, node_labels
from tocsin.engine.lives import live
from tocsin.engine.pool import groups_of
from tocsin.engine.state import ChainState
from tocsin.engine.trust import judge
from tocsin.engine.truth import unplaced
from tocsin.engine.voting import SILENT_POLLS, has_answered, is_sound, may_vote, voters
from tocsin.model.alert import Alert, Finding, Labels, Subject
from tocsin.model.block import Breach, Header, Verification
from tocsin.model.contract import Charge
from tocsin.model.effect import Fetch
from tocsin.model.event import BeaconPolled, Fetched, Polled, Ticked
from tocsin.model.evolve import evolve
from tocsin.model.feed import GatewayRecord
from tocsin.model.settings import ChainSettings, Settings
from tocsin.model.view import (
    Agreement,
    ChainView,
    Forked,
    NeverObserved,
    NodeRecord,
    NodeView,
    Relation,
    Unlinked,
)

WARM_UP_POLLS = 3
"""After a start nothing is judged before every node was asked, or for this many polls."""

_DEFAULTS = {detector.id: detector.params() for detector in CHAIN_DETECTORS}
"""For settings that name no Params, as tests make them; frozen, so that one of each is enough."""

NO_GATEWAYS: Mapping[str, GatewayRecord] = {}

_PRUNE_BATCH = 64
"""Pruning looks at every header: done once per so many new ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A tick's result for one chain."""

    chain: ChainState
    findings: tuple[Finding, ...] = ()
    alerts: tuple[Alert, ...] = ()
    fetches: tuple[Fetch, ...] = ()
    request: int
    judged: bool = True
    """False while a start is warming up: nothing is known yet, so nothing is said."""
    has_changed: bool = True
    """False when a tick without observations decided nothing."""


def tick(
    state: ChainState,
    news: Sequence[Polled | BeaconPolled | Fetched],
    settings: Settings,
    chain: ChainSettings,
    event: Ticked,
    request: int,
    silences: Silences,
    prices: Mapping[str, GatewayRecord] = NO_GATEWAYS,
) -> Looked:
    """Return the chain after one tick over the news since the last. `request` is the number last used for a fetch.

    `prices` is what gateways have shown.
    """
    has_news = bool(news)
    state = maintenance.ended(state, maintenance.expired(state.maintenance, event.t_ns))
    folded = doubt.heard(_fold(state, news, chain), news)
    if not _is_warm(folded, chain, event.t_ns):
        return Looked(chain=folded, request=request, judged=False)
    # Votes change with observations only; what waits for links changes with time too.
    is_settled = not has_news and not folded.unlinked and folded.head.block is not None
    agreed = folded if is_settled else _timed(folded, truth.agreed(folded, settings, chain, event), chain)
    placed, relations = _place(agreed, chain, event.t_ns)
    placed = _followed(placed, relations, chain, event) if has_news else placed
    placed = (
        blockstate.settled(placed, chain, event.t_ns)
        if wanted.is_anything(chain) or placed.contracts.suspicions
        else placed
    )
    view = _view(placed, relations, settings, chain, event, prices)
    findings = tuple(_run(view, chain))
    subjects = _subjects(view, unplaced(placed, chain, event.t_ns))
    for one in placed.alerts.tracked.values():
        if one.finding.detector == OUTAGE:  # a provider is as well observed as its chain
            subjects[one.finding.labels] = Subject(sample=view.tick)
    height = placed.head.block.number if placed.head.block is not None else None
    moment = Moment(now_ns=event.t_ns, wall_ns=event.wall_ns, height=height, rules=settings.alerts, silences=silences)
    judged = judge(placed, view, findings, subjects, moment)
    said = judged.alerts
    lived = live(judged.chain, view, chain)
    lived = pinning.told(lived, said, event.t_ns) if said and chain.contracts else lived
    lived = markets.told(lived, said) if said and chain.markets else lived
    asked, fetches = _asked(lived, chain, event.t_ns, request) if has_news else (lived, ())
    return Looked(
        chain=_pruned(asked, len(state.tree.headers)) if has_news else lived,
        has_changed=has_news or bool(said) or lived.lives != state.lives,
        findings=findings,
        alerts=said,
        fetches=fetches,
        request=fetches[-1].request if fetches else request,
    )


def _asked(state: ChainState, chain: ChainSettings, now_ns: int, request: int) -> tuple[ChainState, tuple[Fetch, ...]]:
    """Return all that is asked outside the polls: links, doubts, what was final, contracts, what nodes can do."""
    asked: list[Fetch] = []

    def last() -> int:
        return asked[-1].request if asked else request

    sought, links = backfill.plan(state, chain, now_ns, last())
    asked += links
    state, again = doubt.plan(evolve(state, sought=sought), chain, last())
    asked += again
    state, compared = common.plan(state, chain, now_ns, last())
    asked += compared
    state, traced = finality.plan(state, chain, now_ns, last())
    asked += traced
    state, read = blockstate.plan(state, chain, now_ns, last())
    asked += read
    if now_ns >= state.survey_due_ns:
        surveys, due_ns, trials = capabilities.plan(state, chain, now_ns, last())
        state = evolve(state, surveys=surveys, survey_due_ns=due_ns)
        asked += trials
    return state, tuple(asked)


def _fold(state: ChainState, news: Sequence[Polled | BeaconPolled | Fetched], chain: ChainSettings) -> ChainState:
    if not news:
        return evolve(state, tick=state.tick + 1)
    after, headers = intake.taken(state, news, chain)
    tree = _grown(after, headers, chain)
    # What was known of a hash before may have been somebody's claim: judged is what the tree holds anew.
    fresh = [header for header in headers if tree.headers.get(header.hash) is not state.tree.headers.get(header.hash)]
    final = after.finality if tree is state.tree else evolve(after.finality, is_stale=True)
    folded = evolve(after, tick=state.tick + 1, tree=tree, finality=final)
    return truth.judge_headers(folded, fresh, chain)


def _grown(state: ChainState, headers: Sequence[Header], chain: ChainSettings) -> HeaderTree:
    """Return the tree with what came; of what cannot be verified, as two groups say it is."""
    tree = state.tree
    if tree.verifies != chain.hashes_as_ethereum:
        tree = evolve(tree, verifies=chain.hashes_as_ethereum)
    tree = insert(tree, *headers) if headers else tree
    if not tree.contested and all(header.verification is Verification.MATCH for header in headers):
        return tree
    return settled(tree, _words(state, chain))


def _words(state: ChainState, chain: ChainSettings) -> list[list[tuple[Header, ...]]]:
    """Return by group what each of its nodes has shown lately and could not prove.

    As in a vote, who has none is silent, and so is who was ruled out.
    """
    heard = {name: record for name, record in voters(state, chain).items() if name not in state.ruled_out}
    return [
        [heard[name].unproven if name in heard else () for name in group.nodes] for group in groups_of(chain).groups
    ]


def _is_warm(state: ChainState, chain: ChainSettings, now_ns: int) -> bool:
    return not state.awaited or now_ns - state.started_ns >= WARM_UP_POLLS * chain.poll_ns


def _place(state: ChainState, chain: ChainSettings, now_ns: int) -> tuple[ChainState, dict[str, Relation]]:
    """Say how each node stands to the agreed head, and since when it has been on another branch."""
    relations: dict[str, Relation] = {}
    nodes = dict(state.nodes)
    waiting = unplaced(state, chain, now_ns) if state.unlinked else set()
    for node in chain.nodes:
        record = nodes[node.name]
        placed = _relation(state, chain, node.name)
        relations[node.name] = placed
        forked, outrun = _is_forked(state, record, placed, node.name, waiting), _is_outrun(record, state.head)
        if forked != (record.forked_since_ns is not None) or outrun != (record.outrun_since_ns is not None):
            nodes[node.name] = evolve(
                record,
                forked_since_ns=_since(record.forked_since_ns, now_ns, holds=forked),
                outrun_since_ns=_since(record.outrun_since_ns, now_ns, holds=outrun),
            )
    return evolve(state, nodes=nodes), relations


def _is_forked(state: ChainState, record: NodeRecord, placed: Relation, name: str, waiting: Collection[str]) -> bool:
    """Tell whether a node is on another branch; while its head waits for links, whether it was so before."""
    if name in waiting:
        return record.forked_since_ns is not None
    return isinstance(placed, Forked) or (name in state.unlinked and isinstance(placed, Unlinked))


def _since(since_ns: int | None, now_ns: int, *, holds: bool) -> int | None:
    """Return since when a condition holds, given since when it did a moment ago."""
    if not holds:
        return None
    return now_ns if since_ns is None else since_ns


def _timed(before: ChainState, after: ChainState, chain: ChainSettings) -> ChainState:
    """Note how long the agreed head stood, when it has moved. What a start or a change of grade made of it is none."""
    begun, ended = before.head.since_ns, after.head.since_ns
    if begun is None or ended is None or ended == begun or begun < before.started_ns:
        return after
    if after.head.grade is not before.head.grade:
        return after
    return evolve(after, gaps=noted(after.gaps, ended - begun, chain.pace_ns))


def _is_outrun(record: NodeRecord, agreed: Agreement) -> bool:
    return record.head is not None and agreed.block is not None and agreed.block.number > record.head.number


def _relation(state: ChainState, chain: ChainSettings, name: str) -> Relation:
    head, agreed = state.nodes[name].head, state.head.block
    if head is None or agreed is None:
        return NeverObserved()
    if common.is_fast(chain):
        return common.relation_to(state, chain, name, head, agreed)
    return relation(state.tree, head, agreed)


def _node_views(
    state: ChainState, relations: Mapping[str, Relation], settings: Settings, chain: ChainSettings, now_ns: int
) -> tuple[NodeView, ...]:
    waiting = unplaced(state, chain, now_ns) if state.unlinked else ()
    broken = _broken(state) if state.breaches else {}
    # Nearly always nobody is accused and no chain is fast: this runs for each node at each tick.
    is_anyone_accused, fast = bool(state.contracts.accused), common.is_fast(chain)
    views = []
    for node in chain.nodes:
        name = node.name
        if name in state.maintenance:
            continue
        record, placed = state.nodes[name], relations[name]
        severed, beside = _severance(state, chain, name, placed) if isinstance(placed, Unlinked) else (False, False)
        votes = may_vote(state, name)
        views.append(
            NodeView(
                settings=node,
                labels=node_labels(settings, chain, node),
                seen=record,
                relation=placed,
                voting=votes and is_sound(record, chain, state.started_ns),
                muted="" if votes else state.lives[name].state.value,
                severed=severed,
                apart=beside or (fast and _has_gone_back(state, chain, record, name)),
                withheld=name in state.unlinked and name not in waiting,
                ruled_out=state.ruled_out.get(name, ""),
                breaches=broken.get(record.head.hash, ()) if broken and record.head is not None else (),
                refuted=charges.standing(state, name, Charge.PROOF, Charge.RECEIPTS) if is_anyone_accused else None,
                mismatched=charges.standing(state, name, Charge.VALUE, Charge.LOGS) if is_anyone_accused else None,
            )
        )
    return tuple(views)


def _has_gone_back(state: ChainState, chain: ChainSettings, record: NodeRecord, name: str) -> bool:
    """Tell whether a node of a fast chain is below the block by which it was placed: the next round places it anew."""
    at = common.point(state, chain, name)
    return at is not None and record.head is not None and record.head.number < at.number


def _view(
    state: ChainState,
    relations: Mapping[str, Relation],
    settings: Settings,
    chain: ChainSettings,
    event: Ticked,
    prices: Mapping[str, GatewayRecord],
) -> ChainView:
    nodes = _node_views(state, relations, settings, chain, event.t_ns)
    block = state.head.block
    layer = beacons.views(state, settings, chain)
    return ChainView(
        settings=chain,
        labels=chain_labels(settings, chain),
        answering=tuple([node for node in nodes if _is_answering(node.seen, state.started_ns)]),
        tick=state.tick,
        now_ns=event.t_ns,
        wall_ns=event.wall_ns,
        started_ns=state.started_ns,
        nodes=nodes,
        head=state.head,
        finalized=state.finalized,
        head_header=state.tree.headers.get(block.hash) if block is not None else None,
        reorg=state.reorg,
        branches=state.branches,
        split_since_ns=state.split_since_ns,
        usual_gap=p99(state.gaps),
        fresh=state.fresh,
        lead=state.lead,
        lone=state.lone,
        conflicts=state.conflicts,
        revoked=state.finality.revoked,
        head_breaches=state.breaches.get(block.hash, ()) if block is not None and state.breaches else (),
        fee_median=state.fee_median,
        beacons=layer,
        checkpoint=beacons.checkpoint(layer, chain),
        slots=beacons.slot_clock(layer, chain),
        contracts=watching.views(state, settings, chain, event.t_ns) if chain.contracts else (),
        feeds=feeds.views(state, settings, chain, event.t_ns) if chain.feeds else (),
        gateways=gateways.views(settings, chain, prices, event.wall_ns) if chain.gateways else (),
        quotes=feeds.quotes(state, chain, prices, event.t_ns, event.wall_ns) if chain.feeds else (),
        indexes=indexes.views(state, settings, chain) if chain.indexes else (),
        markets=markets.views(state, settings, chain, event.t_ns) if chain.markets else (),
    )


def _followed(state: ChainState, relations: Mapping[str, Relation], chain: ChainSettings, event: Ticked) -> ChainState:
    """Note what moves at the head: blocks above it, and its base fee."""
    return fees.note(leads.follow(state, relations, chain, event), event.t_ns)


def _broken(state: ChainState) -> dict[str, tuple[Breach, ...]]:
    return truth.broken_heads(state, [record.head for record in state.nodes.values() if record.head is not None])


def _is_answering(record: NodeRecord, since_ns: int) -> bool:
    return not record.missed and has_answered(record, since_ns)


def _severance(state: ChainState, chain: ChainSettings, name: str, placed: Unlinked) -> tuple[bool, bool]:
    """Tell whether a head is on a branch of its own for longer than a back-fill looks back, and whether it is on one.

    It is on one where both chains are known at one height; else only a head near the agreed one is severed.
    """
    head, block = common.point(state, chain, name), state.head.block
    if head is None or block is None:
        return False, False
    beside = apart(state.tree, head, block) > 0
    if is_bridgeable(state.tree, head, block):
        return False, beside
    if beside or abs(placed.ahead) > BACKFILL:
        return beside, beside
    return head.number == block.number or not is_doubted(state.tree, head, block), False


def _run(view: ChainView, chain: ChainSettings) -> Iterator[Finding]:
    for detector in CHAIN_DETECTORS:
        found = detector.run(view, chain.detectors.get(detector.id) or _DEFAULTS[detector.id])
        yield from kept_firing(found, chain.keep_firing[detector.id]) if detector.id in chain.keep_firing else found


def _subjects(view: ChainView, unplaced: Collection[str]) -> dict[Labels, Subject]:
    """Return how well each subject is observed: a node by its newest poll if that was answered, the chain by tick."""
    answering = {node.labels for node in view.answering if node.settings.name not in unplaced}
    subjects = {
        node.labels: Subject(
            sample=node.seen.polls if node.labels in answering else None,
            lost=node.seen.missed >= SILENT_POLLS,
            part_of=((PROVIDER, node.settings.provider),),
        )
        for node in view.nodes
    }
    for beacon in view.beacons:
        sample = beacon.seen.polls if beacon.answering else None
        subjects[beacon.labels] = Subject(sample=sample, lost=beacon.seen.missed >= SILENT_POLLS)
    for one in view.contracts:
        subjects[one.labels] = watching.subject(one, view.settings, view.now_ns)
    for feed in view.feeds:
        subjects[feed.labels] = feeds.observed(feed, view.settings, view.now_ns)
    for gateway in view.gateways:
        subjects[gateway.labels] = gateways.observed(gateway)
    for index in view.indexes:
        subjects[index.labels] = Subject(sample=view.tick)
    for market in view.markets:
        subjects.update(markets.subjects(market))
    subjects[view.labels] = Subject(sample=view.tick)
    return subjects


def _pruned(state: ChainState, before: int) -> ChainState:
    """Forget what is too old whenever the tree grew by a batch; note which polls the node states have seen."""
    judged = {name: record.polls for name, record in state.nodes.items()}
    heads = [record.head for record in state.nodes.values() if record.head is not None]
    if len(state.tree.headers) // _PRUNE_BATCH == before // _PRUNE_BATCH or not heads:
        return evolve(state, judged_polls=judged)
    agreed = state.head.block
    # Without an agreed head the lowest one shown counts: one far ahead must not cost the others their ancestors.
    anchor = agreed.number if agreed is not None else min(head.number for head in heads)
    keep = [block.hash for block in (agreed, state.finalized.block) if block is not None]
    keep += [head.hash for head in heads]
    keep += [one.block.hash for one in state.contracts.sittings.values()]
    keep += [name for one in (state.round, state.settled) if one is not None for name in one.shown.values()]
    tree, surplus = pruned(state.tree, keep=keep, anchor=anchor)
    return evolve(state, judged_polls=judged, tree=tree, forgotten=state.forgotten + surplus)
