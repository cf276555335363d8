"""A rollup whose sequencer is down, or is back for less than its grace.

While it is down nobody but those who can force transactions through L1 gets anything done, and prices are those of
before. When it is back, everything happens at once: protocols that look at the uptime feed wait for a grace period
before they liquidate, others do not. Where the sequencer stands, the chain stands too (`chain.halt`): the feed tells of
it after the fact.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import NS
from tocsin.detect.base import ChainDetector
from tocsin.detect.oracle_base import feed_evidence, read_feeds
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.feed import FeedKind
from tocsin.model.view import ChainView
from tocsin.units import span_text

ID = "oracle.sequencer_down"

_GRACE, _DOWN = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SequencerDownParams:
    """1 while the sequencer is back for less than the `grace` of the feed, 2 while it is down."""

    warning: Over | None = Over(over=_GRACE)
    critical: Over | None = Over(over=_DOWN)
    clear: Under = Under(under=_GRACE)


def oracle_sequencer_down(view: ChainView, params: SequencerDownParams) -> Iterator[Finding]:
    """Yield one finding per uptime feed that does not say that all is well."""
    for one, latest in read_feeds(view):
        if one.settings.kind is not FeedKind.SEQUENCER or latest.started_s is None:
            continue
        since_s, grace_s = max(0, latest.at_s - latest.started_s), one.settings.grace_ns // NS
        is_down = latest.value != "0"
        if not is_down and since_s >= grace_s:
            continue
        since, grace = span_text(since_s * NS), span_text(grace_s * NS)
        said = f"has been down for {since}" if is_down else f"has been back for {since}, of {grace} of grace"
        yield Finding(
            detector=ID,
            labels=one.labels,
            value=_DOWN if is_down else _GRACE,
            unit="state",
            limits=Limits(warning=params.warning, critical=params.critical, clear=params.clear),
            sample=one.seen.samples,
            summary=f"the sequencer {said}, as {one.settings.name} says",
            grade=latest.grade,
            block=latest.block,
            evidence={**feed_evidence(one), "grace_s": grace_s},
        )


DETECTOR = ChainDetector(id=ID, params=SequencerDownParams, run=oracle_sequencer_down, everywhere=True)
