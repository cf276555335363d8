"""A channel of people that nothing gets through: whoever relies on it is not woken."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import NS
from tocsin.detect.base import SelfDetector
from tocsin.model.alert import Finding, Grade, Limits, Over
from tocsin.model.view import ChannelView, SelfView
from tocsin.units import span_text

ID = "self.channel_failing"
DAY_S = 86_400
"""What a message that is given up counts as: it was tried for as long, or is one that will never be taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFailingParams:
    """In seconds for which nothing got through; a message that was given up counts as a day."""

    warning: Over | None = Over(over=300)
    critical: Over | None = Over(over=DAY_S)


def self_channel_failing(view: SelfView, params: ChannelFailingParams) -> Iterator[Finding]:
    """Yield one finding per channel that fails; `value` in seconds."""
    for channel in view.channels:
        value = max(channel.seen.failing_ns // NS, DAY_S if channel.seen.given_up else 0)
        if value:
            yield Finding(
                detector=ID,
                labels=channel.labels,
                value=value,
                unit="s",
                limits=Limits(warning=params.warning, critical=params.critical),
                sample=view.tick,
                summary=_said(channel),
                grade=Grade.PROVEN,
                evidence={
                    "waiting": channel.seen.waiting,
                    "given_up": channel.seen.given_up,
                    "error": channel.seen.error,
                },
            )


def _said(channel: ChannelView) -> str:
    seen = channel.seen
    if seen.given_up:
        return f"people were not told of {seen.given_up} messages through the channel {seen.name}: {seen.error}"
    return (
        f"nothing gets through the channel {seen.name} for {span_text(seen.failing_ns)},"
        f" {seen.waiting} messages wait: {seen.error}"
    )


DETECTOR = SelfDetector(id=ID, params=ChannelFailingParams, run=self_channel_failing)
