"""Maintenance by command: a node that a person works on is asked on, but nobody judges it, and it does not vote.

It is no silence. A silence mutes people's channels and leaves the event stream alone; here the node is out of
judgement, so that there is nothing to say: its open alerts resolve, with a reason of their own, and what is still wrong
when the window ends fires anew. Latched alerts are the exception: they wait for their `ack`, since a repair does not
explain a lie. The node still counts in the size of its group and in the weight of the pool, so that no quorum comes
cheaper for it.
"""

from collections.abc import Collection, Mapping

from tocsin.alerting.tracked import Alerts, Moment
from tocsin.alerting.withdrawal import withdraw
from tocsin.chain import nodelife
from tocsin.chain.nodelife import NodeLife
from tocsin.clock import NS
from tocsin.engine.labels import node_labels
from tocsin.engine.state import ChainState, Window
from tocsin.model.alert import Alert, Labels
from tocsin.model.event import Commanded
from tocsin.model.evolve import evolve
from tocsin.model.settings import ChainSettings, NodeSettings, Settings

VERB = "maintenance"
LONGEST_NS = 30 * 86_400 * NS
"""A month: what is away for longer is no node of this pool."""


def window_of(event: Commanded, settings: Settings) -> tuple[ChainSettings, NodeSettings, Window | None] | None:
    """Return what a command means: chain, node and window, None for its end. None for what means nothing.

    Args: `chain`, `node`, `for_ns` (0 ends it) and `why`.
    """
    args = dict(event.args)
    chain = settings.chain(args.get("chain", ""))
    node = next((each for each in chain.everyone if each.name == args.get("node")), None) if chain is not None else None
    try:
        for_ns = int(args.get("for_ns", ""))
    except ValueError:
        return None
    if chain is None or node is None or not 0 <= for_ns <= LONGEST_NS:
        return None
    if not for_ns:
        return chain, node, None
    window = Window(
        since_wall_ns=event.wall_ns,
        until_ns=event.t_ns + for_ns,
        until_wall_ns=event.wall_ns + for_ns,
        by=event.by,
        reason=args.get("why", ""),
    )
    return chain, node, window


def begun(
    state: ChainState, settings: Settings, chain: ChainSettings, node: NodeSettings, window: Window, moment: Moment
) -> tuple[ChainState, tuple[Alert, ...]]:
    """Return the chain with a node in maintenance, and the alerts that this resolves."""
    labels = node_labels(settings, chain, node)
    alerts, said = _quiet(state.alerts, (labels,), moment)
    observed, _ = withdraw(state.observed, lambda tracked: tracked.finding.labels == labels, moment, VERB)
    lives = state.lives
    if node.name in state.nodes:  # a beacon node has no life of its own
        life = nodelife.maintain(lives.get(node.name) or NodeLife(), window.why, moment.now_ns)
        lives = {**lives, node.name: life}
    after = evolve(
        state,
        alerts=alerts,
        observed=observed,
        lives=lives,
        maintenance={**state.maintenance, node.name: window},
    )
    return after, said


def quieted(
    state: ChainState, settings: Settings, chain: ChainSettings, moment: Moment
) -> tuple[ChainState, tuple[Alert, ...]]:
    """Return the chain without alerts that were adopted about nodes in maintenance: a lost state told of them."""
    if not state.maintenance:
        return state, ()
    away = [node_labels(settings, chain, node) for node in chain.everyone if node.name in state.maintenance]
    alerts, said = _quiet(state.alerts, away, moment)
    return evolve(state, alerts=alerts), said


def _quiet(alerts: Alerts, away: Collection[Labels], moment: Moment) -> tuple[Alerts, tuple[Alert, ...]]:
    return withdraw(
        alerts,
        lambda tracked: tracked.finding.labels in away and not tracked.finding.limits.latched,
        moment,
        VERB,
    )


def ended(state: ChainState, names: tuple[str, ...]) -> ChainState:
    """Return the chain without the windows of some nodes: at the next look they are verified like new ones."""
    if not any(name in state.maintenance for name in names):
        return state
    return evolve(state, maintenance={name: window for name, window in state.maintenance.items() if name not in names})


def expired(maintenance: Mapping[str, Window], now_ns: int) -> tuple[str, ...]:
    """Return the nodes whose window is over."""
    return tuple([name for name, window in maintenance.items() if window.until_ns <= now_ns])
