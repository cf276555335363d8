"""Which alerts are open, over all scopes."""

from collections.abc import Iterator

from tocsin.alerting.tracked import Tracked
from tocsin.engine.state import EngineState
from tocsin.model.alert import AlertState

Open = tuple[str, Tracked]
"""An alert that is no longer only pending, with its fingerprint."""


def open_alerts(state: EngineState) -> Iterator[Open]:
    """Yield the alerts that fire or are unknown, in no order that anything may follow from."""
    scopes = [state.alerts, *(chain.alerts for chain in state.chains.values())]
    for alerts in scopes:
        for key, tracked in alerts.tracked.items():
            if tracked.state is not AlertState.PENDING:
                yield key, tracked
