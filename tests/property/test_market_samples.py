"""Whatever a valuation says of a market, the core goes on, says it in bounds, and ends no alert for lack of data."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from tests.support.samples import ALICE, BOB, CAROL, WETH, MarketPool, lending

from tocsin.clock import NS
from tocsin.engine.codec import decode_state, encode_state
from tocsin.engine.marketdocs import LIMIT
from tocsin.engine.state import EngineState
from tocsin.engine.status import status
from tocsin.engine.step import step
from tocsin.model.alert import AlertState, Exactness, Grade
from tocsin.model.block import BlockRef
from tocsin.model.effect import AlertChanged, Effect, StateChanged
from tocsin.model.event import Commanded, Event, MarketValued, Ticked
from tocsin.model.market import AccountSample, AccountSettings, AtRisk, Held, MarketSample, Mismatch
from tocsin.model.observation import CHAIN_ID, LATEST
from tocsin.mqtt.models import Risk

OWN = AccountSettings(
    name="treasury",
    address=ALICE,
    health_floor_ppm=1_200_000,
    most_leverage_ppm=5_000_000,
    most_asset_ppm=(("WETH", 1),),
    most_market="0.000001",
)
SETTINGS = lending(replace(WETH, watched=(OWN,)))

UNITS = st.one_of(st.integers(0, 10**12), st.integers(0, 2**256)).map(str)
COUNTS = st.one_of(st.integers(0, 5), st.integers(0, 10**9))
WORDS = st.one_of(st.sampled_from(["", "WETH", "usdc"]), st.text(max_size=80))
NUMBERS = {
    **dict.fromkeys(("collateral", "debt", "bad_debt"), UNITS),
    **dict.fromkeys(("accounts", "indebted", "liquidatable", "blocked", "underwater", "near_count"), COUNTS),
}
ACCOUNTS = st.builds(
    AccountSample,
    account=st.sampled_from([ALICE, BOB, CAROL]),
    health_ppm=st.none() | st.integers(0, 2 * 10**6) | st.integers(0, 2**80),
    collateral=UNITS,
    debt=UNITS,
    liquidatable=st.sampled_from([None, True, False]),
    blocked=WORDS,
    exactness=st.sampled_from(Exactness),
    asset=WORDS,
    price=st.none() | UNITS,
    distance_ppm=st.none() | st.integers(-(10**6), 10**6) | st.integers(-(2**90), 2**90),
    seconds_left=st.none() | st.integers(0, 10**8),
    held=st.lists(st.builds(Held, asset=WORDS, collateral=UNITS, debt=UNITS), max_size=3).map(tuple),
    unknown=WORDS,
)
POINTS = st.builds(
    AtRisk, shock_bps=st.integers(-10_000, -1), accounts=COUNTS, unsure=COUNTS, collateral=UNITS, debt=UNITS,
    bad_debt=UNITS,
)  # fmt: skip
SAMPLES = st.builds(
    MarketSample,
    identity=st.just(WETH.identity),
    time_s=st.none() | st.integers(0, 2**33),
    grade=st.none() | st.sampled_from(Grade),
    revision=WORDS,
    exactness=st.sampled_from(Exactness),
    base=WORDS,
    base_decimals=st.integers(0, 77),
    **NUMBERS,
    unknown=st.sampled_from([0, 0, 1]),
    curve=st.lists(POINTS, max_size=3).map(tuple),
    near=st.lists(ACCOUNTS, max_size=4).map(tuple),
    watched=st.lists(ACCOUNTS, max_size=3).map(tuple),
    shares_ppm=st.lists(st.tuples(WORDS, st.integers(0, 10**6)), max_size=3).map(tuple),
    largest=st.sampled_from(["", BOB]),
    largest_ppm=st.integers(0, 10**6),
    parameters=st.lists(st.tuples(WORDS, WORDS), max_size=3, unique_by=lambda one: one[0]).map(tuple),
    checked=COUNTS,
    mismatched=st.lists(st.builds(Mismatch, account=st.just(BOB), what=WORDS, ours=WORDS, chain=WORDS), max_size=2).map(
        tuple
    ),
    mismatches=st.integers(0, 3),
    lag_blocks=st.integers(0, 40),
    problem=WORDS,
    backend=WORDS,
)
PLACES = st.sampled_from(["head", "head", "head", "below", "far", "other", "none"])


@lru_cache(maxsize=1)
def pool() -> MarketPool:
    return MarketPool(SETTINGS)


def placed(sample: MarketSample, place: str, head: BlockRef) -> MarketSample:
    match place:
        case "head":
            return replace(sample, block=head)
        case "below":
            return replace(sample, block=replace(head, number=head.number - 3, hash="0x" + "03" * 32))
        case "far":
            return replace(sample, block=replace(head, number=head.number - 30, hash="0x" + "30" * 32))
        case "other":
            return replace(sample, block=replace(head, hash="0x" + "ee" * 32))
    return replace(sample, block=None)


def told(state: EngineState, samples: list[tuple[MarketSample, str]]) -> tuple[EngineState, list[Effect]]:
    """The state after these valuations, a tick after each, and what was said; every alert is acknowledged once."""
    head = state.chains["sim"].head.block
    assert head is not None
    effects: list[Effect] = []

    def take(event: Event) -> None:
        nonlocal state
        done = step(state, event)
        state = done.state
        effects.extend(done.effects)

    for at, (sample, place) in enumerate(samples, 1):
        t_ns, wall_ns = pool().now + at * NS // 4, pool().clock.wall_ns() + at * NS // 4
        take(MarketValued(t_ns=t_ns, chain="sim", market="aave", sample=placed(sample, place, head)))
        take(Ticked(t_ns=t_ns, wall_ns=wall_ns, chain="sim"))
        take(pool()._poll("n0", (CHAIN_ID, LATEST)))
        take(Ticked(t_ns=t_ns + 1, wall_ns=wall_ns + 1, chain="sim"))
        assert decode_state(encode_state(state)) == state
        for key in list(state.chains["sim"].alerts.tracked)[:2]:
            args = (("fingerprint", key), ("why", "seen"))
            take(Commanded(t_ns=t_ns + 2, wall_ns=wall_ns + 2, verb="ack", by="me", args=args))
    return state, effects


@hypothesis(max_examples=20, deadline=None)
@given(samples=st.lists(st.tuples(SAMPLES, PLACES), min_size=1, max_size=2))
def test_the_core_goes_on_whatever_is_said_and_says_it_in_bounds(samples: list[tuple[MarketSample, str]]) -> None:
    is_said_in_bounds(samples)


@pytest.mark.slow
@hypothesis(max_examples=100, deadline=None)
@given(samples=st.lists(st.tuples(SAMPLES, PLACES), min_size=1, max_size=4))
def test_the_core_goes_on_at_length_whatever_is_said(samples: list[tuple[MarketSample, str]]) -> None:
    is_said_in_bounds(samples)


@hypothesis(max_examples=20, deadline=None)
@given(samples=st.lists(st.tuples(SAMPLES, PLACES), min_size=2, max_size=2))
def test_no_alert_that_counts_accounts_ends_while_some_are_unknown(samples: list[tuple[MarketSample, str]]) -> None:
    ends_no_count(samples)


@pytest.mark.slow
@hypothesis(max_examples=100, deadline=None)
@given(samples=st.lists(st.tuples(SAMPLES, PLACES), min_size=2, max_size=4))
def test_at_length_no_alert_that_counts_accounts_ends_while_some_are_unknown(
    samples: list[tuple[MarketSample, str]],
) -> None:
    ends_no_count(samples)


def test_numbers_too_large_for_any_market_are_kept_as_they_are() -> None:
    point = AtRisk(shock_bps=-1_000, accounts=1, unsure=0, collateral=str(3**150), debt="0", bad_debt="0")
    sample = MarketSample(identity=WETH.identity, accounts=1, indebted=1, collateral="1", debt="1", curve=(point,))
    is_said_in_bounds([(sample, "head")])


def is_said_in_bounds(samples: list[tuple[MarketSample, str]]) -> None:
    state, effects = told(pool().state, samples)
    for effect in effects:
        if isinstance(effect, StateChanged) and effect.kind == "risk":
            raw = orjson.dumps(effect.document)
            assert len(raw) <= LIMIT
            Risk.model_validate_json(raw, strict=True)
    orjson.dumps(status(state, pool().now + 10 * NS))


def ends_no_count(samples: list[tuple[MarketSample, str]]) -> None:
    lacking = [(replace(sample, unknown=1), place) for sample, place in samples[1:]]
    sick: dict[str, Any] = {"liquidatable": 3, "blocked": 2, "bad_debt": str(10**30), "debt": str(10**30), "unknown": 0}
    _, effects = told(pool().state, [(replace(samples[0][0], **sick), "head"), *lacking])
    ended = {
        effect.alert.detector
        for effect in effects
        if isinstance(effect, AlertChanged) and effect.alert.state is AlertState.RESOLVED
    }
    assert not ended & {"risk.liquidatable", "risk.bad_debt", "risk.blocked_liquidation", "risk.near_threshold"}
