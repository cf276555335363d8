"""The state of every node of a chain after one look: from its alerts, its newest poll and what a person ordered."""

from collections.abc import Mapping

from tocsin.alerting.inhibition import is_held_back
from tocsin.alerting.tracked import Tracked
from tocsin.chain import nodelife
from tocsin.chain.nodelife import IllegalTransition, LifeParams, NodeLife, NodeState
from tocsin.engine.state import ChainState
from tocsin.engine.verify import checks
from tocsin.model.alert import AlertState, Labels, Severity
from tocsin.model.evolve import evolve
from tocsin.model.settings import ChainSettings
from tocsin.model.view import ChainView, IllegalMove, NodeView

_REMEMBERED = 8
"""Transitions against the rules are a defect of this program: the first ones say all there is to say."""

CLOSED_CAP = 32
CLOSED_NS = 86_400 * 10**9
"""For how long the end of a node is shown, and its relapses count if it comes back."""


def live(state: ChainState, view: ChainView, chain: ChainSettings) -> ChainState:
    """Return the chain with the states of its nodes after this tick; what is only observed has no part in it."""
    params = LifeParams.for_poll(chain.poll_ns)
    firing = _firing(state, view.now_ns)
    lives: dict[str, NodeLife] = {}
    illegal = state.illegal
    for node in view.nodes:
        name = node.settings.name
        life = state.lives.get(name) or NodeLife(since_ns=view.now_ns)
        if life.state is NodeState.HEALTHY and not life.flags and node.labels not in firing:
            lives[name] = life
            continue
        try:
            lives[name] = _advanced(state, node, life, firing.get(node.labels, {}), view.now_ns, chain, params)
        except IllegalTransition as error:
            lives[name] = error.life
            illegal = noted(illegal, f"{chain.name}/{name}", error, view.wall_ns)
    for name, window in state.maintenance.items():
        if name not in state.nodes:
            continue
        lives[name] = nodelife.maintain(state.lives.get(name) or NodeLife(), window.why, view.now_ns)
    return evolve(state, lives=lives, illegal=illegal)


def noted(
    illegal: tuple[IllegalMove, ...], node: str, error: IllegalTransition, wall_ns: int
) -> tuple[IllegalMove, ...]:
    """Return what is known of illegal transitions with one more; of many the first are kept."""
    move = IllegalMove(
        node=node, old=error.old.value, new=error.life.state.value, reason=error.life.reason, wall_ns=wall_ns
    )
    return (*illegal, move)[:_REMEMBERED]


def closed(state: ChainState, names: Mapping[str, NodeLife], t_ns: int) -> Mapping[str, NodeLife]:
    """Return the lives that have ended, with those of some nodes that are configured no longer; bounded."""
    ended = {name: life for name, life in state.closed.items() if t_ns - life.since_ns < CLOSED_NS}
    for name, life in names.items():
        ended[name] = nodelife.close(life, "configured no longer", t_ns)
    newest = sorted(ended, key=lambda name: (ended[name].since_ns, name))[-CLOSED_CAP:]
    return {name: ended[name] for name in sorted(newest)}


def _firing(state: ChainState, now_ns: int) -> dict[Labels, dict[str, str]]:
    """Return what fires, and for who has nothing that does what is held back: of a blind pool no node looks healthy."""
    tracked = state.alerts.tracked.values()
    firing: dict[Labels, dict[str, str]] = {}
    for one in tracked:
        if one.state is not AlertState.PENDING and not _is_remark(one):
            firing.setdefault(one.finding.labels, {})[one.finding.detector] = one.finding.summary
    held: dict[Labels, dict[str, str]] = {}
    for one in tracked:
        if one.finding.labels not in firing and is_held_back(one, now_ns) and not _is_remark(one):
            held.setdefault(one.finding.labels, {})[one.finding.detector] = one.finding.summary
    return {**held, **firing}


def _is_remark(one: Tracked) -> bool:
    """Tell whether an alert is information alone: good to know, and no worse a node for it."""
    if one.finding.detector in nodelife.STATE_OF_FLAG:
        return False
    if one.severity is not None:
        return one.severity is Severity.INFO
    return one.finding.limits.warning is None and one.finding.limits.critical is None


def _advanced(
    state: ChainState,
    node: NodeView,
    life: NodeLife,
    firing: Mapping[str, str],
    now_ns: int,
    chain: ChainSettings,
    params: LifeParams,
) -> NodeLife:
    life = nodelife.release(life, "maintenance is over", now_ns)
    before = state.judged_polls.get(node.settings.name, 0)
    polled_ok = node.seen.missed == 0 if node.seen.polls != before else None
    known = None
    if life.state is NodeState.VERIFYING:
        known = checks(node.seen, chain, state.tree, state.finalized.block)
    return nodelife.advance(life, firing, polled_ok, now_ns, params, known)
