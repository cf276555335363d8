"""Price gateways: what each has shown, and how it stands. They are graded as nodes are, and none is believed alone.

A gateway that fails says nothing; one whose price is old says nothing any more; one whose price is far from the median
of at least three independent sources is told of, and moves that median no further than to what the others say.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from tocsin.clock import NS
from tocsin.engine.labels import gateway_labels
from tocsin.model.alert import Subject
from tocsin.model.event import GatewayPolled
from tocsin.model.evolve import evolve
from tocsin.model.feed import GatewayRecord, GatewaySettings, GatewayState, GatewayView, Quote, Role
from tocsin.model.observation import FaultKind
from tocsin.model.settings import ChainSettings, Settings
from tocsin.units import span_text

SILENT_POLLS: Final = 3
"""Polls in a row without a price after which a gateway is told of."""

_AHEAD_NS: Final = 60 * NS
"""A gateway's clock may be so much ahead of ours; a price that is of later is of no time at all."""
_BROKEN: Final = (FaultKind.NOT_JSON, FaultKind.MALFORMED, FaultKind.TOO_LARGE)


def taken(known: Mapping[str, GatewayRecord], event: GatewayPolled) -> Mapping[str, GatewayRecord]:
    """Return what is known after one more poll; one of a gateway that is configured no longer changes nothing."""
    record = known.get(event.gateway)
    if record is None:
        return known
    if event.fault is not None:
        if event.stalled:
            return known
        missed = evolve(record, polls=record.polls + 1, missed=record.missed + 1, fault=event.fault)
        return {**known, event.gateway: missed}
    wall_ns = event.wall_ns if event.price_ns is None else event.price_ns
    heard = evolve(
        record,
        polls=record.polls + 1,
        answers=record.answers + 1,
        missed=0,
        fault=None,
        price=event.price,
        price_wall_ns=wall_ns,
        latency_ns=event.t_ns - event.started_ns,
    )
    return {**known, event.gateway: heard}


def age_ns(record: GatewayRecord, wall_ns: int) -> int | None:
    """Return how old a gateway's price is by the wall clock, None where it has none; below 0 where it is of later."""
    return None if record.price_wall_ns is None else wall_ns - record.price_wall_ns


def fit(one: GatewaySettings, record: GatewayRecord, wall_ns: int) -> tuple[GatewayState, str]:
    """Return how a gateway stands by itself, and why."""
    age = age_ns(record, wall_ns)
    if record.missed >= SILENT_POLLS or (record.missed and age is None):
        fault = record.fault
        is_broken = fault is not None and fault.kind in _BROKEN
        why = "it does not answer" if fault is None else f"{fault.kind.value}: {fault.detail}"
        return (GatewayState.BROKEN if is_broken else GatewayState.UNREACHABLE), why
    if age is None:
        return GatewayState.NEW, "it was not asked yet"
    if age > one.max_age_ns:
        return GatewayState.STALE, f"its price is {span_text(age)} old"
    if age < -_AHEAD_NS:
        return GatewayState.STALE, f"its price is of {span_text(-age)} from now"
    return GatewayState.OK, ""


def quotes(chain: ChainSettings, known: Mapping[str, GatewayRecord], wall_ns: int) -> Iterator[Quote]:
    """Yield what gateways say of the prices that feeds of a chain have."""
    for one in chain.gateways:
        record = known.get(one.name)
        if record is None or not record.price:
            continue
        state, why = fit(one, record, wall_ns)
        yield Quote(
            source=one.name,
            prices=one.prices,
            provider=one.provider,
            role=Role.MARKET,
            value=record.price,
            is_usable=state is GatewayState.OK,
            is_gateway=True,
            why=why,
        )


def views(
    settings: Settings, chain: ChainSettings, known: Mapping[str, GatewayRecord], wall_ns: int
) -> tuple[GatewayView, ...]:
    """Return the gateways of which alerts belong to this chain."""
    return tuple(
        GatewayView(
            settings=one,
            labels=gateway_labels(settings, chain, one.name),
            seen=record,
            age_ns=age_ns(record, wall_ns),
        )
        for one in chain.gateways
        if one.judged and (record := known.get(one.name)) is not None
    )


def observed(view: GatewayView) -> Subject:
    """Return how well a gateway is observed: also by polls that failed, since that is what is told of it."""
    return Subject(sample=view.seen.polls)


def kept(known: Mapping[str, GatewayRecord], settings: Settings, before: Settings | None) -> dict[str, GatewayRecord]:
    """Return what is known under a configuration: of gateways that are where they were."""
    were = {one.name: (one.endpoint, one.prices) for chain in before.chains for one in chain.gateways} if before else {}
    return {
        one.name: known[one.name]
        if one.name in known and were.get(one.name) == (one.endpoint, one.prices)
        else GatewayRecord()
        for chain in settings.chains
        for one in chain.gateways
    }
