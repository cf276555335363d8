"""Which alerts are open, over all scopes."""

from collections.abc import Iterator

from tocsin.alerting.tracked import Alerts, Tracked
from tocsin.engine.state import EngineState
from tocsin.model.alert import AlertState

Open = tuple[str, Tracked]
"""An alert that is no longer only pending, with its fingerprint."""


def open_alerts(state: EngineState) -> Iterator[Open]:
    """Yield the alerts that fire or are unknown, in no order that anything may follow from."""
    for alerts in _scopes(state):
        for key, tracked in alerts.tracked.items():
            if tracked.state is not AlertState.PENDING:
                yield key, tracked


def open_alert(state: EngineState, key: str) -> Tracked | None:
    """Return the alert with a fingerprint, if it fires or is unknown."""
    for alerts in _scopes(state):
        tracked = alerts.tracked.get(key)
        if tracked is not None and tracked.state is not AlertState.PENDING:
            return tracked
    return None


def _scopes(state: EngineState) -> Iterator[Alerts]:
    yield state.alerts
    for chain in state.chains.values():
        yield chain.alerts
