"""Consumers of the alert stream as subjects: how far each is, and whether that can be known now."""

from tocsin.engine.labels import CONSUMER, self_labels
from tocsin.engine.state import EngineState
from tocsin.model.alert import Labels, Subject
from tocsin.model.settings import Settings
from tocsin.model.view import ConsumerView


def labels_of(settings: Settings, consumer: str) -> Labels:
    """Return the labels of a consumer of this watchdog."""
    return ((CONSUMER, consumer), *self_labels(settings))


def own_subjects(settings: Settings) -> list[Labels]:
    """Return the labels of all consumers."""
    return [labels_of(settings, consumer.name) for consumer in settings.consumers]


def views(state: EngineState, settings: Settings, t_ns: int) -> tuple[ConsumerView, ...]:
    """Return how each consumer stands at engine time `t_ns`, if it can be heard."""
    sampled = state.delivery
    if sampled is None:
        return ()
    patience = {consumer.name: consumer.silent_after_ns for consumer in settings.consumers}
    since_ns = max(0, t_ns - sampled.t_ns)
    return tuple(
        [
            ConsumerView(
                name=one.name,
                labels=labels_of(settings, one.name),
                silent_after_ns=patience[one.name],
                silent_ns=one.silent_ns + since_ns,
                stuck_ns=one.stuck_ns + since_ns,
                lag=one.lag,
            )
            for one in sampled.consumers
            if one.silent_ns is not None and one.name in patience
        ]
    )


def subjects(state: EngineState, settings: Settings, seen: tuple[ConsumerView, ...]) -> dict[Labels, Subject]:
    """Return how well each consumer is observed: not at all while the broker gives us nothing of it."""
    heard = {view.labels for view in seen}
    return {labels: Subject(sample=state.tick if labels in heard else None) for labels in own_subjects(settings)}
