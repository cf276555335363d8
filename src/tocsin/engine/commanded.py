"""What people tell the daemon to do: acknowledge an alert, silence some, take a node out of judgement."""

from tocsin.alerting.lifecycle import acknowledge
from tocsin.alerting.tracked import Moment
from tocsin.detect import chain_finality_violation, node_call_mismatch, node_proof_invalid, risk_param_changed
from tocsin.engine import charges, documents, finality, maintenance, markets, pinning, selfwatch, silencing
from tocsin.engine.state import ChainState, EngineState
from tocsin.engine.stream import numbered
from tocsin.model.alert import Alert
from tocsin.model.contract import Charge
from tocsin.model.effect import Effect
from tocsin.model.event import Commanded
from tocsin.model.evolve import evolve

Outcome = tuple[EngineState, tuple[Effect, ...]]


def commanded(state: EngineState, event: Commanded) -> Outcome:
    """Carry out a person's command: `ack` (args `fingerprint`, `why`), `maintenance`, `silence` or `unsilence`.

    What means nothing changes nothing: whoever passes commands on says so to the person before.
    """
    state = evolve(state, wall_ns=event.wall_ns)
    match event.verb:
        case "ack":
            return _acknowledged(state, event)
        case maintenance.VERB:
            return _maintained(state, event)
        case silencing.VERB | silencing.END_VERB:
            return _silenced(state, event), ()
        case _:
            return state, ()


def _silenced(state: EngineState, event: Commanded) -> EngineState:
    try:
        return silencing.begun(state, event) if event.verb == silencing.VERB else silencing.ended(state, event)
    except silencing.Refused:
        return state


def _maintained(state: EngineState, event: Commanded) -> Outcome:
    """Begin or end the maintenance of a node: see `tocsin.engine.maintenance`."""
    settings = state.settings
    # A person is told until when by the wall clock; how long it lasts is counted in engine time, from now.
    event = evolve(event, t_ns=state.t_ns)
    wanted = maintenance.window_of(event, settings) if settings is not None else None
    if settings is None or wanted is None:
        return state, ()
    chain, node, window = wanted
    moment = _moment(state, event)
    before = state.chains[chain.name]
    said: tuple[Alert, ...] = ()
    if window is None:
        after = maintenance.ended(before, (node.name,))
    else:
        after, said = maintenance.begun(before, settings, chain, node, window, moment)
    if after is before:
        return state, ()
    state, effects = numbered(evolve(state, chains={**state.chains, chain.name: after}), said, event.wall_ns)
    state, told = documents.changed(state, event.wall_ns, event.t_ns, chain.name)
    return state, (*effects, *told)


def _moment(state: EngineState, event: Commanded) -> Moment:
    return Moment(now_ns=event.t_ns, wall_ns=event.wall_ns, silences=silencing.in_force(state, event.wall_ns))


def _acknowledged(state: EngineState, event: Commanded) -> Outcome:
    key = dict(event.args).get("fingerprint", "")
    moment = _moment(state, event)
    if state.settings is not None and (own_alert := state.alerts.tracked.get(key)) is not None:
        state = selfwatch.acknowledged(state, state.settings, own_alert)
    alerts, said = acknowledge(state.alerts, key, event.by, moment)
    state = evolve(state, alerts=alerts)
    judged: tuple[str, ...] = ()
    for name in sorted(state.chains):
        chain = state.chains[name]
        alerts, more = acknowledge(chain.alerts, key, event.by, moment)
        if more:
            chain = evolve(chain, alerts=alerts)
            chain, ended = _judged(state, name, chain, key, more[0], event)
            state = evolve(state, chains={**state.chains, name: chain})
            said = (*said, *more, *ended)
            judged += (name,) if ended else ()
    state, effects = numbered(state, said, event.wall_ns)
    told: list[Effect] = []
    for name in judged:
        state, more_told = documents.changed(state, event.wall_ns, state.t_ns, name)
        told += more_told
    return state, (*effects, *told)


_CHARGES = {
    node_proof_invalid.ID: (Charge.PROOF, Charge.RECEIPTS),
    node_call_mismatch.ID: (Charge.VALUE, Charge.LOGS),
}


def _judged(
    state: EngineState, name: str, chain: ChainState, key: str, alert: Alert, event: Commanded
) -> tuple[ChainState, tuple[Alert, ...]]:
    """Return a chain after a person has judged what an alert was about, and what ends with that."""
    if alert.detector == chain_finality_violation.ID:
        return finality.released(chain), ()
    if alert.detector in pinning.DETECTORS:
        return pinning.accepted(chain, key, alert, event, _moment(state, event))
    if alert.detector == risk_param_changed.ID:
        return markets.accepted(chain, key, alert, _moment(state, event))
    accusations = _CHARGES.get(alert.detector, ())
    settings = state.settings.chain(name) if state.settings else None
    node = next((each.name for each in settings.nodes if ("node", each.id) in alert.labels), "") if settings else ""
    for charge in accusations if node else ():
        chain = charges.forgiven(chain, charge, node)
    return chain, ()
