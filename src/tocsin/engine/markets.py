"""Markets: what the newest valuation of each says, and what its parameters were when they were accepted.

Books and valuations are no part of the state: they are functions of the chain. What is decided on is the sample that a
valuation ends in, as the runtime tells it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from tocsin.alerting.tracked import Moment
from tocsin.alerting.withdrawal import withdraw
from tocsin.detect import risk_param_changed
from tocsin.engine import marketsound, pinning
from tocsin.engine.labels import market_labels
from tocsin.engine.state import ChainState, EngineState
from tocsin.ids import fingerprint
from tocsin.model.alert import Alert, Labels, Subject
from tocsin.model.event import MarketValued
from tocsin.model.evolve import evolve
from tocsin.model.market import (
    MARKET,
    MarketSample,
    MarketSeen,
    MarketSettings,
    MarketView,
    account_labels,
)
from tocsin.model.settings import ChainSettings, Settings

_STALE_BLOCKS: Final = 5
_LOST_BLOCKS: Final = 25
"""A market that was not valued for so many blocks is not known any more, as contracts and feeds."""


def valued(state: EngineState, event: MarketValued) -> EngineState:
    """Note what a valuation says. Of a market that is unknown, or that is another one by now: nothing."""
    found = _found(state, event.chain, event.market)
    if found is None or found[1].identity != event.sample.identity or not marketsound.is_sound(event.sample):
        return state
    chain, _ = found
    before = chain.markets.get(event.market)
    seen = MarketSeen(
        sample=event.sample,
        at_ns=state.t_ns,
        number=(before.number if before is not None else 0) + _is_new(before, event.sample),
        accepted=_accepted(before, event.sample),
        told=before.told if before is not None else (),
        stuck_ns=_stuck_ns(before, event.sample, state.t_ns),
    )
    chain = evolve(chain, markets={**chain.markets, event.market: seen})
    return evolve(state, chains={**state.chains, event.chain: chain})


def _accepted(before: MarketSeen | None, sample: MarketSample) -> tuple[tuple[str, str], ...]:
    """Return the accepted parameters: those of the first valuation, until somebody accepts others."""
    if before is not None and before.accepted:
        return before.accepted
    return sample.parameters if sample.is_known else ()


def _stuck_ns(before: MarketSeen | None, sample: MarketSample, t_ns: int) -> int | None:
    """Return since when nothing new was valued: a problem alone, with a new block, is no standstill."""
    if _is_new(before, sample) or (sample.is_known and not sample.problem):
        return None
    return t_ns if before is None or before.stuck_ns is None else before.stuck_ns


def _is_new(before: MarketSeen | None, sample: MarketSample) -> bool:
    return sample.is_known and (before is None or before.sample.block != sample.block)


def _found(state: EngineState, chain: str, market: str) -> tuple[ChainState, MarketSettings] | None:
    settings = state.settings.chain(chain) if state.settings else None
    one = next((each for each in settings.markets if each.name == market), None) if settings is not None else None
    return None if one is None or chain not in state.chains else (state.chains[chain], one)


# -- what is seen of it


def views(state: ChainState, settings: Settings, chain: ChainSettings, now_ns: int) -> tuple[MarketView, ...]:
    """Return the markets as detectors look at them: those of which a valuation has told."""
    return tuple(
        _view(state, one, seen, market_labels(settings, chain, one.name), chain, now_ns)
        for one in chain.markets
        if (seen := state.markets.get(one.name)) is not None
    )


def _view(
    state: ChainState, one: MarketSettings, seen: MarketSeen, labels: Labels, chain: ChainSettings, now_ns: int
) -> MarketView:
    block, head = seen.sample.block, state.head.block
    lag = max(0, head.number - block.number) if head is not None and block is not None else 0
    is_replaced = head is not None and block is not None and pinning.is_replaced(state, head, block)
    stands_ns = 0 if seen.stuck_ns is None else now_ns - seen.stuck_ns
    return MarketView(
        settings=one,
        labels=labels,
        seen=seen,
        is_current=block is not None and lag <= _STALE_BLOCKS and not is_replaced,
        lag_blocks=lag,
        is_lost=lag > _LOST_BLOCKS or stands_ns > _LOST_BLOCKS * chain.pace_ns,
    )


def subjects(view: MarketView) -> Iterator[tuple[Labels, Subject]]:
    """Yield how well a market and the accounts of one's own in it are observed.

    Detectors give a finding of 0 where they know that all is well. Where one gives none of a market that is valued,
    something is missing that it needs: its alert is unknown then, and never over.
    """
    subject = Subject(sample=None, lost=view.is_current or view.is_lost)
    yield view.labels, subject
    for one in view.settings.watched:
        yield account_labels(view.labels, one.name), subject


# -- parameters that a person accepts


def told(state: ChainState, alerts: Iterable[Alert]) -> ChainState:
    """Note which parameters people were told of; of an alert that is over, that it tells nothing."""
    markets = dict(state.markets)
    for alert in alerts:
        seen = markets.get(dict(alert.labels).get(MARKET, ""))
        if alert.detector == risk_param_changed.ID and seen is not None:
            markets[dict(alert.labels)[MARKET]] = evolve(seen, told=_told_by(alert))
    return evolve(state, markets=markets)


def _told_by(alert: Alert) -> tuple[tuple[str, str | None], ...]:
    rows = alert.evidence.get("changes") if alert.resolved_wall_ns is None else ()
    changes = [row for row in (rows if isinstance(rows, list | tuple) else ()) if isinstance(row, Mapping)]
    return tuple((str(row.get("name")), None if row.get("now") is None else str(row["now"])) for row in changes)


def accepted(state: ChainState, key: str, alert: Alert, moment: Moment) -> tuple[ChainState, tuple[Alert, ...]]:
    """Return the chain after a person has accepted the parameters that an alert told of, and the end of that alert.

    Those that are other ones by now, or that it did not tell of, are an alert of their own.
    """
    name = dict(alert.labels).get(MARKET, "")
    seen = state.markets.get(name)
    if seen is None:
        return state, ()
    now = dict(seen.accepted)
    for parameter, value in seen.told:
        now.pop(parameter, None)
        now |= {} if value is None else {parameter: value}
    seen = evolve(seen, accepted=tuple(sorted(now.items())), told=())
    alerts, said = withdraw(
        state.alerts, lambda one: fingerprint(one.finding.detector, one.finding.labels) == key, moment, "acked"
    )
    return evolve(state, alerts=alerts, markets={**state.markets, name: seen}), said


# -- what stays


def labels_of(settings: Settings, chain: ChainSettings, one: MarketSettings) -> Iterator[Labels]:
    """Yield the labels of a market, and of the accounts of one's own in it."""
    market = market_labels(settings, chain, one.name)
    yield market
    for own in one.watched:
        yield account_labels(market, own.name)


def others(before: ChainSettings | None, settings: Settings, chain: ChainSettings) -> Iterator[Labels]:
    """Yield the labels of markets and accounts that are not the same ones any more: what was said is of others."""
    were = {one.name: one for one in before.markets} if before is not None else {}
    for one in chain.markets:
        was = were.get(one.name, one)
        if was.identity != one.identity:
            yield from labels_of(settings, chain, one)
        addresses = {own.name: own.address for own in was.watched}
        for own in one.watched:
            if addresses.get(own.name, own.address) != own.address:
                yield account_labels(market_labels(settings, chain, one.name), own.name)


def kept(seen: Mapping[str, MarketSeen], chain: ChainSettings) -> Mapping[str, MarketSeen]:
    """Return what is known under a configuration: of markets that stay what they are."""
    wanted = {one.name: one.identity for one in chain.markets}
    return {name: one for name, one in seen.items() if wanted.get(name) == one.sample.identity} if seen else seen
