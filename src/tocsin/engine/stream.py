"""The one stream of alerts: each change has its place in it."""

from tocsin.engine.state import EngineState
from tocsin.model.alert import Alert
from tocsin.model.effect import AlertChanged
from tocsin.model.evolve import evolve


def numbered(
    state: EngineState, alerts: tuple[Alert, ...], wall_ns: int
) -> tuple[EngineState, tuple[AlertChanged, ...]]:
    """Give each change its place in the one stream."""
    effects = tuple(
        AlertChanged(seq=state.seq + at, boot=state.boot, wall_ns=wall_ns, alert=alert, stream=state.stream)
        for at, alert in enumerate(alerts, 1)
    )
    return (evolve(state, seq=state.seq + len(alerts)) if alerts else state), effects
