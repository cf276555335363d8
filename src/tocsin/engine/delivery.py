"""Consumers of the alert stream and channels of people as subjects: how each is, and whether that is known now."""

from tocsin.engine.labels import CHANNEL, CONSUMER, self_labels
from tocsin.engine.state import EngineState
from tocsin.model.alert import Labels, Subject
from tocsin.model.settings import Settings
from tocsin.model.view import ChannelView, ConsumerView


def labels_of(settings: Settings, consumer: str) -> Labels:
    """Return the labels of a consumer of this watchdog."""
    return ((CONSUMER, consumer), *self_labels(settings))


def own_subjects(settings: Settings) -> list[Labels]:
    """Return the labels of all consumers and channels."""
    channels = [channel_labels(settings, channel.name) for channel in settings.channels]
    return [*(labels_of(settings, consumer.name) for consumer in settings.consumers), *channels]


def channel_labels(settings: Settings, channel: str) -> Labels:
    """Return the labels of a channel of people."""
    return ((CHANNEL, channel), *self_labels(settings))


def channels(state: EngineState, settings: Settings) -> tuple[ChannelView, ...]:
    """Return how each channel of people was when that was looked at last."""
    configured = {channel.name for channel in settings.channels}
    sampled = state.delivery.channels if state.delivery is not None else ()
    return tuple(
        [ChannelView(labels=channel_labels(settings, one.name), seen=one) for one in sampled if one.name in configured]
    )


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


def subjects(
    state: EngineState, settings: Settings, seen: tuple[ConsumerView, ...], channels: tuple[ChannelView, ...]
) -> dict[Labels, Subject]:
    """Return how well each is observed: consumers not at all while the broker gives us nothing of them."""
    heard = {view.labels for view in seen} | {view.labels for view in channels}
    return {labels: Subject(sample=state.tick if labels in heard else None) for labels in own_subjects(settings)}
