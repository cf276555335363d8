"""A price that is too old: an answer past its heartbeat, or a gateway without a fresh price.

An aggregator answers when the price has moved by its threshold, and otherwise when its heartbeat is over. The answer
then takes some blocks to get into one: on 21,797 rounds of ETH/USD and BTC/USD (heartbeat 1 h) it was late by 12 to
120 s, on 744 of stETH/ETH (24 h) by 208 s at most. So an answer is late only after a grace (`grace` of the feed), and
has certainly been missed at twice the heartbeat. Protocols that do not look at its age liquidate by it all the same.

An answer that is of a time after its block has no age at all: none could ever be too old. That is told in its stead.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import NS
from tocsin.detect.base import ChainDetector
from tocsin.detect.oracle_base import feed_evidence, read_feeds
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.feed import FeedKind, FeedView, GatewayView, Reading
from tocsin.model.view import ChainView
from tocsin.units import span_text

ID = "oracle.stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleStaleParams:
    """When the limits are reached follows from the heartbeat of each feed, and the `max_age` of each gateway."""

    polls: int = 1
    """Readings in a row that are too old."""
    clear_polls: int = 1
    critical_heartbeats: int | None = 2
    """So many heartbeats without an answer are critical; `false` for never."""
    gateway_polls: int = 3
    """The same as `polls` of a gateway: others may have a price where it has none."""
    ahead_s: int = 60
    """So far after its block an answer may be: who signs prices elsewhere has a clock of his own."""


def oracle_stale(view: ChainView, params: OracleStaleParams) -> Iterator[Finding]:
    """Yield one finding per feed or gateway whose price is too old; `value` in seconds of age."""
    for one, latest in read_feeds(view):
        if latest.updated_s is None:
            continue
        ahead_s = latest.updated_s - latest.at_s
        if ahead_s > params.ahead_s:
            yield _ahead(one, latest, ahead_s, params)
        elif one.settings.kind is FeedKind.CHAINLINK and one.settings.heartbeat_ns:
            yield from _feed(one, -ahead_s, params)
    for gateway in view.gateways:
        yield from _gateway(view, gateway, params)


def _feed(one: FeedView, age_s: int, params: OracleStaleParams) -> Iterator[Finding]:
    heartbeat_s = one.settings.heartbeat_ns // NS
    allowed_s = heartbeat_s + one.settings.grace_ns // NS
    if age_s < allowed_s:
        return
    several = params.critical_heartbeats
    critical = None if several is None else Over(over=max(allowed_s, several * heartbeat_s), polls=params.polls)
    latest = one.seen.latest
    yield Finding(
        detector=ID,
        labels=one.labels,
        value=age_s,
        unit="s",
        limits=Limits(
            warning=Over(over=allowed_s, polls=params.polls),
            critical=critical,
            clear=Under(under=allowed_s, polls=params.clear_polls),
        ),
        sample=one.seen.samples,
        summary=f"{one.settings.name} has not answered for {span_text(age_s * NS)}; "
        f"its heartbeat is {span_text(heartbeat_s * NS)}",
        grade=latest.grade if latest is not None else Grade.BLIND,
        block=latest.block if latest is not None else None,
        evidence={**feed_evidence(one), "heartbeat_s": heartbeat_s, "grace_s": allowed_s - heartbeat_s},
    )


def _ahead(one: FeedView, latest: Reading, ahead_s: int, params: OracleStaleParams) -> Finding:
    """Return the finding of an answer of the future; `value` in seconds after its block."""
    return Finding(
        detector=ID,
        labels=one.labels,
        value=ahead_s,
        unit="s",
        limits=Limits(
            warning=Over(over=params.ahead_s + 1, polls=params.polls),
            clear=Under(under=params.ahead_s + 1, polls=params.clear_polls),
        ),
        sample=one.seen.samples,
        summary=f"{one.settings.name} has an answer of the future, {span_text(ahead_s * NS)} after the block at which "
        "it was read: nobody can tell how old it is",
        grade=latest.grade,
        block=latest.block,
        evidence={**feed_evidence(one), "ahead_s": ahead_s},
    )


def _gateway(view: ChainView, one: GatewayView, params: OracleStaleParams) -> Iterator[Finding]:
    """Yield a finding of a gateway: its age counts from its last price, or from when it was watched."""
    age_ns = one.age_ns if one.age_ns is not None else _unheard_ns(view, one)
    allowed_ns = one.settings.max_age_ns
    if age_ns < allowed_ns:
        return
    fault = one.seen.fault
    said = f"; {fault.kind.value}: {fault.detail}" if fault is not None else ""
    yield Finding(
        detector=ID,
        labels=one.labels,
        value=age_ns // NS,
        unit="s",
        limits=Limits(
            warning=Over(over=allowed_ns // NS, polls=params.gateway_polls),
            clear=Under(under=allowed_ns // NS, polls=params.clear_polls),
        ),
        sample=one.seen.polls,
        summary=f"price gateway {one.settings.name} has given no fresh price for {span_text(age_ns)}{said}"[:300],
        grade=Grade.UNCORROBORATED,
        evidence={
            "gateway": one.settings.name,
            "endpoint": one.settings.endpoint,
            "prices": one.settings.prices,
            "value": one.seen.price or None,
            "missed": one.seen.missed,
        },
    )


def _unheard_ns(view: ChainView, one: GatewayView) -> int:
    """Return for how long a gateway that never gave a price was asked, by how often it was."""
    return one.seen.missed * one.settings.poll_ns if view.now_ns > view.started_ns else 0


DETECTOR = ChainDetector(id=ID, params=OracleStaleParams, run=oracle_stale, everywhere=True)
