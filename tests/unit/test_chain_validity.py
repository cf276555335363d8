"""Headers that hash rightly and are wrong all the same: base fees, slots and the order of time."""

from dataclasses import replace
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.chains import header

from tocsin.chain.header import decode_header
from tocsin.chain.validity import breaches, next_base_fee
from tocsin.clock import NS
from tocsin.model.block import Breach, Header, Rule, Verification
from tocsin.model.settings import BaseFeeRule, ChainSettings
from tocsin.testing import ChainSpec, ManualClock, SimChain

EIP1559 = BaseFeeRule(denominator=8, elasticity=2)
GENESIS_S = 1_700_000_000
CHAIN = ChainSettings(
    name="sim",
    id=1,
    block_time_ns=12 * NS,
    poll_ns=2 * NS,
    tick_ns=NS // 4,
    vote_by=("provider",),
    nodes=(),
    base_fee=EIP1559,
    genesis_time_s=GENESIS_S,
)


def block(
    number: int, *, fee: int | None = 10**9, used: int = 15_000_000, late_s: int = 0, **changes: object
) -> Header:
    plain = replace(header(number), base_fee=fee, gas_used=used, gas_limit=30_000_000)
    return replace(plain, timestamp=GENESIS_S + 12 * number + late_s, **changes)


@pytest.mark.parametrize(
    ("fee", "used", "limit", "right"),
    [
        # mainnet: blocks 17,000,000 and its neighbours are of this size; the figures are worked by hand from EIP-1559
        (100, 15_000_000, 30_000_000, 100),
        (10**9, 30_000_000, 30_000_000, 1_125_000_000),
        (10**9, 0, 30_000_000, 875_000_000),
        (10**9, 20_000_000, 30_000_000, 1_041_666_666),
        (7, 15_000_001, 30_000_000, 8),  # rises by one wei at least
        (7, 14_999_999, 30_000_000, 7),  # and need not fall
        (7, 0, 30_000_000, 7),
        (2**53 + 1, 30_000_000, 30_000_000, 2**53 + 1 + 2**50),  # whole wei, however large the fee
    ],
)
def test_the_base_fee_follows_from_the_block_before(fee: int, used: int, limit: int, right: int) -> None:
    parent = replace(block(1, fee=fee, used=used), gas_limit=limit)
    assert next_base_fee(parent, EIP1559) == right


@given(st.integers(0, 2**62), st.integers(0, 10**9), st.integers(1, 10**9), st.integers(2, 250), st.integers(1, 10))
def test_a_base_fee_never_moves_by_more_than_its_share_and_never_below_nothing(
    fee: int, used: int, limit: int, denominator: int, elasticity: int
) -> None:
    rule = BaseFeeRule(denominator=denominator, elasticity=elasticity)
    used = min(used, limit)
    right = next_base_fee(replace(block(1, fee=fee, used=used), gas_limit=limit), rule)
    if limit < elasticity:
        assert right is None
        return
    assert right is not None
    target = limit // elasticity
    assert right >= 0
    assert right - fee <= max(1, fee * (limit - target) // target // denominator)
    assert fee - right <= fee // denominator


def test_a_fee_that_does_not_follow_is_told_with_the_right_one() -> None:
    wrong = block(11, fee=10**9 + 1)
    assert breaches(wrong, block(10), CHAIN) == (Breach(rule=Rule.BASE_FEE, shown=10**9 + 1, right=10**9),)


@pytest.mark.parametrize(
    ("parent", "chain"),
    [
        (block(10), replace(CHAIN, base_fee=None)),
        (replace(block(10), verification=Verification.CANNOT_VERIFY), CHAIN),
        (block(10, fee=None), CHAIN),
        (None, CHAIN),
    ],
)
def test_a_fee_that_cannot_be_derived_is_no_breach(parent: Header | None, chain: ChainSettings) -> None:
    assert breaches(block(11, fee=5), parent, chain) == ()


@pytest.mark.parametrize("field", ["base_fee", "gas_used", "gas_limit"])
def test_a_parent_that_lacks_any_part_of_the_rule_tells_no_fee(field: str) -> None:
    assert next_base_fee(replace(block(10), **{field: None}), EIP1559) is None
    assert breaches(block(11, fee=5), replace(block(10), **{field: None}), CHAIN) == ()


def test_an_unverified_header_breaks_nothing() -> None:
    odd = replace(block(11, fee=5, late_s=1), verification=Verification.CANNOT_VERIFY)
    assert breaches(odd, block(10), CHAIN) == ()


def test_a_time_between_slots_is_a_breach_where_the_chain_has_slots() -> None:
    odd = block(11, late_s=5)
    assert breaches(odd, None, CHAIN) == (Breach(rule=Rule.SLOT, shown=odd.timestamp, right=odd.timestamp - 5),)
    assert breaches(odd, None, replace(CHAIN, genesis_time_s=None)) == ()
    assert breaches(odd, None, replace(CHAIN, block_time_ns=NS // 4)) == ()


@pytest.mark.parametrize(("late_s", "slots", "is_breach"), [(-12, True, True), (-12, False, False), (-24, False, True)])
def test_time_goes_on_from_block_to_block(late_s: int, slots: bool, is_breach: bool) -> None:  # noqa: FBT001
    chain = CHAIN if slots else replace(CHAIN, genesis_time_s=None)
    found = breaches(block(11, late_s=late_s), block(10), chain)
    assert [one.rule for one in found] == ([Rule.ORDER] if is_breach else [])
    for one in found:
        earliest = block(10).timestamp + (1 if slots else 0)
        assert (one.shown, one.right) == (block(11, late_s=late_s).timestamp, earliest)


def test_every_rule_that_a_header_breaks_is_told_at_once() -> None:
    wrong = block(11, fee=5, late_s=-20)
    assert [one.rule for one in breaches(wrong, block(10), CHAIN)] == [Rule.SLOT, Rule.ORDER, Rule.BASE_FEE]
    assert [one.rule for one in breaches(wrong, None, CHAIN)] == [Rule.SLOT]


@given(st.integers(0, 2**58), st.integers(1, 11))
def test_a_time_between_slots_is_told_to_the_second_however_far_away_it_is(slot: int, off: int) -> None:
    right = GENESIS_S + 12 * slot
    odd = replace(block(11), timestamp=right + off)
    assert breaches(odd, None, CHAIN) == (Breach(rule=Rule.SLOT, shown=right + off, right=right),)


def test_missed_slots_and_the_first_block_are_no_breach() -> None:
    assert breaches(block(11, late_s=120), block(10), CHAIN) == ()
    assert breaches(block(0, late_s=7), None, CHAIN) == ()


def test_a_simulated_chain_keeps_every_rule() -> None:
    sim = SimChain(ManualClock(), ChainSpec(seed=5, missed=0.1, history=60))
    blocks = [decode_header(orjson.dumps(one.head())) for one in sim.branch().blocks]
    headers = [one for one in blocks if isinstance(one, Header)]
    assert len(headers) > 50
    slotted = replace(CHAIN, genesis_time_s=headers[0].timestamp)
    for before, after in pairwise(headers):
        assert after.base_fee is not None
        assert breaches(after, before, slotted) == ()
        assert breaches(replace(after, base_fee=after.base_fee + 1), before, slotted)
