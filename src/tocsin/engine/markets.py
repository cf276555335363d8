"""Markets: what the newest valuation of each says, and what its parameters were when they were accepted.

Books and valuations are no part of the state: they are functions of the chain. What is decided on is the sample that a
valuation ends in, as the runtime tells it.
"""

from collections.abc import Mapping

from tocsin.engine.state import ChainState, EngineState
from tocsin.model.event import MarketValued
from tocsin.model.evolve import evolve
from tocsin.model.market import MarketSample, MarketSeen, MarketSettings
from tocsin.model.settings import ChainSettings


def valued(state: EngineState, event: MarketValued) -> EngineState:
    """Note what a valuation says. Of a market that is unknown, or that is another one by now: nothing."""
    found = _found(state, event.chain, event.market)
    if found is None or found[1].identity != event.sample.identity:
        return state
    chain, _ = found
    before = chain.markets.get(event.market)
    seen = MarketSeen(
        sample=event.sample,
        at_ns=state.t_ns,
        number=(before.number if before is not None else 0) + _is_new(before, event.sample),
        accepted=_accepted(before, event.sample),
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
    settings = next((each for each in state.settings.chains if each.name == chain), None) if state.settings else None
    one = next((each for each in settings.markets if each.name == market), None) if settings is not None else None
    return None if one is None or chain not in state.chains else (state.chains[chain], one)


def kept(seen: Mapping[str, MarketSeen], chain: ChainSettings) -> Mapping[str, MarketSeen]:
    """Return what is known under a configuration: of markets that stay what they are."""
    wanted = {one.name: one.identity for one in chain.markets}
    return {name: one for name, one in seen.items() if wanted.get(name) == one.sample.identity} if seen else seen
