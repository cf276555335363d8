"""Markets in the core: which valuations count, how long nothing was valued, and what outlives a restart."""

from dataclasses import replace

from tests.support.samples import CALM, PARAMETERS, WETH, MarketPool, account, lending

from tocsin.engine.codec import decode_event, decode_state, encode_event, encode_state
from tocsin.model.event import ConfigRevised, MarketValued
from tocsin.model.market import MarketSample


def nothing(problem: str = "the index is being built") -> MarketSample:
    return MarketSample(identity=WETH.identity, problem=problem)


def test_a_valuation_is_kept_and_survives_journal_and_snapshot() -> None:
    pool = MarketPool()
    sample = replace(CALM, near=(account("0x" + "a" * 40),), near_count=1, watched=(account("0x" + "b" * 40, None),))
    pool.value(sample)
    assert pool.seen.sample.near == sample.near
    event = MarketValued(t_ns=1, chain="sim", market="aave", sample=sample)
    assert decode_event(*encode_event(event)) == event
    assert decode_state(encode_state(pool.state)) == pool.state


def test_what_is_said_of_an_unknown_market_or_of_another_one_changes_nothing() -> None:
    pool = MarketPool()
    before = pool.state.chains
    pool.value(market="other")
    pool.value(identity="aave-v3 0x00")
    pool.take(MarketValued(t_ns=pool.now, chain="other", market="aave", sample=CALM))
    assert pool.state.chains == before


def test_a_market_is_another_one_with_another_pool_or_id_and_the_same_with_other_limits() -> None:
    assert WETH.identity != replace(WETH, pool="0x" + "a2" * 20).identity
    assert WETH.identity != replace(WETH, id="0x" + "01" * 32).identity
    assert WETH.identity == replace(WETH, near_ppm=1, shocks_bps=(-1,), name="other").identity


def test_it_is_remembered_since_when_nothing_was_valued() -> None:
    pool = MarketPool()
    pool.value(nothing())
    since = pool.seen.stuck_ns
    assert since is not None
    pool.round()
    pool.value(nothing("no node answers"))
    assert pool.seen.stuck_ns == since
    pool.value()
    assert pool.seen.stuck_ns is None
    pool.value(problem="one account could not be read", block=replace(CALM.block, number=7) if CALM.block else None)
    assert pool.seen.stuck_ns is None, "a new block was valued, if not wholly"
    stood = pool.seen.sample
    pool.round()
    pool.value(stood, problem="the nodes disagree", block=stood.block)
    assert pool.seen.stuck_ns is not None


def test_parameters_are_accepted_at_first_sight_and_no_later() -> None:
    pool = MarketPool()
    pool.value(replace(nothing(), parameters=(("WETH.paused", "?"),)))
    assert pool.seen.accepted == ()
    pool.value()
    assert pool.seen.accepted == PARAMETERS
    pool.value(parameters=(("WETH.liquidation_threshold", "1"),))
    assert pool.seen.accepted == PARAMETERS


def test_of_a_market_that_is_removed_or_another_one_nothing_is_kept() -> None:
    pool = MarketPool()
    pool.value()
    pool.take(ConfigRevised(t_ns=pool.now, settings=lending(replace(WETH, near_ppm=1))))
    assert pool.seen.sample.accounts == CALM.accounts
    pool.take(ConfigRevised(t_ns=pool.now, settings=lending(replace(WETH, pool="0x" + "a2" * 20))))
    assert not pool.state.chains["sim"].markets
