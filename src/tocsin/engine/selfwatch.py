"""What the watchdog has to say of itself that lies in its chains: suspected detectors, and states no rule allows."""

from tocsin.alerting.tracked import Tracked
from tocsin.clock import NS
from tocsin.detect import CHAIN_DETECTORS, self_detector_suspect, self_illegal_transition
from tocsin.engine.labels import SUSPECT, chain_labels, self_labels
from tocsin.engine.state import EngineState
from tocsin.engine.trust import acquitted
from tocsin.model.alert import Labels, Subject
from tocsin.model.evolve import evolve
from tocsin.model.settings import ChainSettings, Settings
from tocsin.model.view import IllegalMove, Suspect

TICK_NS = NS
"""Between two looks of the watchdog at itself."""

_CHAIN = "chain"


def suspect_labels(settings: Settings, chain: ChainSettings, detector: str) -> Labels:
    """Return the labels of a detector of a chain as a subject: it is this watchdog's opinion of its own check."""
    both = {*chain_labels(settings, chain), *self_labels(settings), (SUSPECT, detector)}
    return tuple(sorted(both))


def own_subjects(settings: Settings) -> list[Labels]:
    """Return every detector of every chain as a subject."""
    return [suspect_labels(settings, chain, detector.id) for chain in settings.chains for detector in CHAIN_DETECTORS]


def seen_subjects(state: EngineState) -> dict[Labels, Subject]:
    """Return those that alerts are about: whoever watches himself always has data."""
    tracked = (one.finding.labels for one in state.alerts.tracked.values())
    return {labels: Subject(sample=state.tick) for labels in tracked if any(key == SUSPECT for key, _ in labels)}


def suspects(state: EngineState, settings: Settings) -> tuple[Suspect, ...]:
    """Return the detectors that failed on all nodes at once, until somebody has acknowledged it."""
    return tuple(
        [
            Suspect(
                chain=chain.name,
                labels=suspect_labels(settings, chain, detector),
                detector=detector,
                suspicion=standing.suspicion,
            )
            for chain in settings.chains
            for detector, standing in sorted(state.chains[chain.name].trust.items())
            if standing.suspicion is not None
        ]
    )


def illegal(state: EngineState) -> tuple[IllegalMove, ...]:
    """Return the transitions that no rule allows, of all chains."""
    return tuple([move for name in sorted(state.chains) for move in state.chains[name].illegal])


def acknowledged(state: EngineState, settings: Settings, tracked: Tracked) -> EngineState:
    """Return the state after an alert about the watchdog itself was acknowledged: what that ends is over."""
    finding = tracked.finding
    if finding.detector == self_illegal_transition.ID:
        chains = {name: evolve(chain, illegal=()) if chain.illegal else chain for name, chain in state.chains.items()}
        return evolve(state, chains=chains)
    if finding.detector != self_detector_suspect.ID:
        return state
    labels = dict(finding.labels)
    found = next((one for one in settings.chains if labels.get(_CHAIN) == f"eip155:{one.id}"), None)
    if found is None:
        return state
    chain = state.chains[found.name]
    after = evolve(chain, trust=acquitted(chain.trust, labels.get(SUSPECT, "")))
    return evolve(state, chains={**state.chains, found.name: after})
