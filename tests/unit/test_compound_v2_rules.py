"""What is read of comptrollers and what is made of it: pauses, pools, rights, and answers that are none."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

import pytest

from tocsin.model.block import BlockRef
from tocsin.protocols.base import WAD, Liquidation, Question, Read, Reading, Refusal, UnknownStateError
from tocsin.protocols.compound_v2 import KIND, locating, reading
from tocsin.protocols.compound_v2.accrual import accrued
from tocsin.protocols.compound_v2.liquidation import (
    NO_BONUS,
    NOT_COLLATERAL,
    PAUSED,
    PROTOCOL_PAUSED,
    SHORT_TOTAL,
    TOO_MUCH,
    UNLISTED,
    VAI_FIRST,
    VAI_PAUSED,
)
from tocsin.protocols.compound_v2.market import (
    Account,
    Borrow,
    Liquidator,
    Market,
    Pool,
    Terms,
    Token,
    Vai,
    VaiDebt,
    doubt,
)
from tocsin.protocols.compound_v2.revisions import REVISIONS
from tocsin.protocols.compound_v2.rules import CompoundRules
from tocsin.protocols.places import Parts, Target, Unread

COMPOUND: Final = CompoundRules(REVISIONS["compound"])
VENUS: Final = CompoundRules(REVISIONS["venus-10"])
POOL: Final = b"\xc0" * 20
ORACLE: Final = b"\x0a" * 20
CONTROLLER: Final = b"\x99" * 20
WHO: Final = b"\x77" * 20
BLOCK: Final = BlockRef(number=100, hash="0x01")
RATE: Final = 5 * 10**12


def address(number: int) -> bytes:
    return number.to_bytes(20)


def of(number: int, price: int | None = WAD, **more: Any) -> Token:
    values: dict[str, Any] = {
        "cash": 0,
        "borrows": 10**30,
        "reserves": 0,
        "supply": 0,
        "borrow_index": WAD,
        "accrued_at": 100,
        "rate": 0,
        "reserve_factor": 0,
        "stored_exchange_rate": WAD,
        "terms": Terms(threshold=8 * WAD // 10, incentive=11 * WAD // 10),
    }
    return Token(address=address(number), price=price, **values | more)


def market(*tokens: Token, **more: Any) -> Market:
    return Market(block=BLOCK, tokens=tokens, **{"time_s": 1_000, "close_factor": WAD // 2, "pace_ms": 1_000} | more)


def account(balances: Mapping[int, int], borrows: Mapping[int, int], **more: Any) -> Account:
    debts = {at: Borrow(principal=amount, index=WAD) for at, amount in borrows.items()}
    entered = tuple(sorted({*balances, *borrows}))
    return Account(address=WHO, balances=balances, borrows=debts, **{"entered": entered} | more)


FALLS: Final = account({0: 100}, {1: 90})


def tried(rules: CompoundRules, of_market: Market, of_account: Account = FALLS, amount: int | None = None) -> object:
    return rules.liquidation(of_market, of_account, address(0), address(1), amount, 1_000)


# -- pauses and rights


@pytest.mark.parametrize(
    ("seized", "owed", "more", "refused"),
    [
        ({}, {"liquidation_paused": True}, {}, PAUSED),
        ({}, {"repayment_paused": True}, {}, PAUSED),
        ({"seizure_paused": True}, {}, {}, PAUSED),
        ({"listed": False}, {}, {}, UNLISTED),
        ({}, {"listed": False}, {}, UNLISTED),
        ({}, {}, {"paused": True}, PROTOCOL_PAUSED),
        ({"accrued_at": 99, "rate": None}, {}, {}, Refusal(reason="the interest rate model reverts")),
        ({}, {"accrued_at": 99, "rate": RATE + 1}, {}, Refusal(reason="borrow rate is absurdly high")),
    ],
)
def test_a_pause_refuses_what_it_is_about_and_blocks_who_has_nothing_else(
    seized: Any, owed: Any, more: Any, refused: Refusal
) -> None:
    of_market = market(of(0, **seized), of(1, **owed), **more)
    assert tried(VENUS, of_market) == refused
    verdict = VENUS.verdict(of_market, FALLS, 1_000)
    assert (verdict.liquidatable, verdict.blocked) == (True, refused.reason)
    assert isinstance(tried(VENUS, market(of(0), of(1))), Liquidation)
    assert VENUS.verdict(market(of(0), of(1)), FALLS, 1_000).blocked == ""


def test_transfers_that_are_paused_matter_where_all_goes_through_one_contract() -> None:
    tokens, way = (of(0, transfer_paused=True), of(1)), Liquidator(address=bytes(20))
    assert isinstance(tried(VENUS, market(*tokens)), Liquidation)
    assert tried(VENUS, market(*tokens, liquidator=way)) == PAUSED


def test_whoever_may_be_liquidated_in_any_case_may_be_in_full() -> None:
    healthy = account({0: 1_000}, {1: 90})
    assert tried(VENUS, market(of(0), of(1)), healthy) == Refusal(reason="INSUFFICIENT_SHORTFALL")
    for rules, forced, who in (
        (VENUS, market(of(0), of(1, forced=True)), healthy),
        (COMPOUND, market(of(0), of(1, forced=True)), healthy),
        (VENUS, market(of(0), of(1)), replace(healthy, forced=frozenset({1}))),
    ):
        found = tried(rules, forced, who)
        assert isinstance(found, Liquidation)
        assert (found.repaid, found.debt_left) == (90, 0)
        assert tried(rules, forced, who, 91) == TOO_MUCH
    # Other markets without a price are no matter then.
    assert isinstance(
        tried(VENUS, market(of(0), of(1, forced=True), of(2, None)), replace(healthy, entered=(0, 1, 2))), Liquidation
    )


def test_venus_seizes_collateral_alone_and_compound_was_not_read_further() -> None:
    elsewhere = account({}, {1: 90})
    assert tried(VENUS, market(of(0), of(1)), elsewhere, 10) == Refusal(reason="LIQUIDATE_SEIZE_TOO_MUCH")
    worthless = market(of(0, terms=Terms(threshold=0, incentive=0)), of(1))
    assert tried(VENUS, worthless, elsewhere, 10) == NOT_COLLATERAL
    with pytest.raises(UnknownStateError, match="was not read"):
        tried(COMPOUND, market(of(0), of(1)), elsewhere, 10)


def test_what_all_owe_may_come_to_less_than_one_owes() -> None:
    assert tried(VENUS, market(of(0), of(1, borrows=44)), amount=45) == SHORT_TOTAL
    assert isinstance(tried(VENUS, market(of(0), of(1, borrows=45)), amount=45), Liquidation)


# -- pools


def test_a_pool_counts_by_its_own_terms_while_it_is_active_and_without_them_not_at_all() -> None:
    own = {0: Terms(threshold=WAD // 2, incentive=WAD)}
    held, chosen = account({0: 100, 1: 100}, {}), {"pool": 1}
    for pool, weighted in (
        (Pool(number=1, terms=own), 50),
        (Pool(number=1, terms=own, falls_back=True), 130),
        (Pool(number=1, terms=own, active=False), 160),
    ):
        of_market = market(of(0), of(1), pools={1: pool})
        found = VENUS.verdict(of_market, replace(held, **chosen), 1_000)
        assert found.details["liquidity"] == weighted
        assert VENUS.verdict(of_market, held, 1_000).details["liquidity"] == 160
        legs, columns = VENUS.legs(of_market, replace(held, **chosen), 1_000), VENUS.columns(of_market, 1_000)
        told = [columns.all[at].raw for at in legs.collateral]
        assert told == [Fraction(1)] * 2
        counted = sum((columns.all[at].collateral or Fraction(0)) * amount for at, amount in legs.collateral.items())
        assert counted == weighted


def test_one_contract_for_all_keeps_no_share_where_the_pool_has_no_incentive() -> None:
    way, pools = Liquidator(address=bytes(20), treasury_share=WAD), {1: Pool(number=1)}
    chosen = replace(FALLS, pool=1)
    assert tried(VENUS, market(of(0), of(1), pools=pools, liquidator=way), chosen, 10) == NO_BONUS
    found = tried(VENUS, market(of(0), of(1), pools=pools), chosen, 10)
    assert found == Liquidation(repaid=10, seized=0, debt_left=80, collateral_left=100)


# -- VAI


def test_vai_is_owed_besides_and_may_have_to_be_repaid_first() -> None:
    vai = Vai(controller=CONTROLLER, index=WAD, rate=WAD // 10, accrued_at=99)
    owes = replace(FALLS, vai=VaiDebt(minted=30, past_interest=10, index=WAD))
    verdict = VENUS.verdict(market(of(0), of(1), vai=vai), owes, 1_000)
    # A tenth of the 20 that were minted is added in a block, and none where it is not known since when.
    assert (verdict.debt_base, verdict.details["shortfall"]) == (90 + 32, 90 + 30 - 80)
    unknown = replace(vai, accrued_at=None)
    assert VENUS.verdict(market(of(0), of(1), vai=unknown), owes, 1_000).debt_base == 120
    legs = VENUS.legs(market(of(0), of(1), vai=vai), owes, 1_000)
    assert legs.always_exact
    assert min(legs.debt.values()) == 32
    for least, refused in ((32, VAI_FIRST), (33, None)):
        way = Liquidator(address=bytes(20), vai_first=True, least_vai=least)
        found = tried(VENUS, market(of(0), of(1), vai=vai, liquidator=way), owes)
        assert found == refused if refused else isinstance(found, Liquidation)
    for more, refused in (({"liquidation_paused": True}, PAUSED), ({"paused": True}, VAI_PAUSED)):
        of_market = market(of(0), of(1), vai=replace(vai, **more))
        assert VENUS.liquidation(of_market, owes, address(0), CONTROLLER, 5, 1_000) == refused
    with pytest.raises(UnknownStateError, match="rate of VAI"):
        VENUS.verdict(market(of(0), of(1), vai=replace(vai, rate=None)), owes, 1_000)


# -- what nobody can know


def test_without_a_price_the_account_is_unknown_and_what_is_empty_needs_none_with_venus_alone() -> None:
    for price, said in ((0, "PRICE_ERROR"), (None, "reverts")):
        of_market = market(of(0), of(1), of(2, price))
        with pytest.raises(UnknownStateError, match=said):
            VENUS.verdict(of_market, account({0: 100, 2: 1}, {1: 10}), 1_000)
        with pytest.raises(UnknownStateError, match=said):
            tried(VENUS, of_market, account({0: 100, 2: 1}, {1: 90}))
        empty = replace(FALLS, entered=(0, 1, 2))
        assert VENUS.verdict(of_market, empty, 1_000).liquidatable
        with pytest.raises(UnknownStateError, match=said):
            COMPOUND.verdict(of_market, empty, 1_000)
        columns = VENUS.columns(of_market, 1_000)
        assert [column.debt is None for column in columns.all] == [False, False, True]
        assert VENUS.prices(of_market)[address(2)] is None


def test_reserves_beyond_what_there_is_leave_an_account_unknown() -> None:
    short = of(0, supply=10, cash=1, borrows=1, reserves=3)
    with pytest.raises(UnknownStateError, match="SNAPSHOT_ERROR"):
        VENUS.verdict(market(short, of(1)), FALLS, 1_000)
    assert VENUS.columns(market(short, of(1)), 1_000).all[0].collateral is None


@pytest.mark.parametrize("decimals", [2, 36])
def test_assets_of_few_and_of_many_decimals_come_to_the_same_value(decimals: int) -> None:
    unit, price = 10**decimals, 5 * 10 ** (36 - decimals)
    few = of(0, price, stored_exchange_rate=2 * 10 ** (decimals + 8))
    held = account({0: 50 * 10**8}, {1: 3 * WAD})
    verdict = VENUS.verdict(market(few, of(1)), held, 1_000)
    assert (verdict.collateral_base, verdict.debt_base, verdict.liquidatable) == (5 * WAD, 3 * WAD, False)
    owes = VENUS.verdict(market(of(0), of(1, price)), account({0: 10 * WAD}, {1: unit}), 1_000)
    assert (owes.collateral_base, owes.debt_base) == (10 * WAD, 5 * WAD)


def test_what_overflows_in_the_contracts_is_unknown() -> None:
    with pytest.raises(UnknownStateError, match="256 bits"):
        VENUS.verdict(market(of(0, 2**200), of(1)), account({0: 2**100}, {1: 1}), 1_000)


def test_blocks_and_indexes_that_go_back_are_no_reading() -> None:
    with pytest.raises(UnknownStateError, match="interest up to 101, after 100"):
        VENUS.verdict(market(of(0), of(1, accrued_at=101)), FALLS, 1_000)
    with pytest.raises(UnknownStateError, match="is of 1000, after 999"):
        VENUS.verdict(market(of(0), of(1)), FALLS, 999)
    later = account({0: 100}, {})
    later = replace(later, entered=(0, 1), borrows={1: Borrow(principal=9, index=WAD + 1)})
    with pytest.raises(UnknownStateError, match="it never falls"):
        VENUS.verdict(market(of(0), of(1)), later, 1_000)
    before, after = market(of(0), of(1)), market(of(0, borrow_index=WAD + 1), of(1, borrow_index=WAD - 1))
    assert doubt(before, after) == f"the borrow index of 0x{address(1).hex()} went back from {WAD} to {WAD - 1}"
    assert doubt(before, market(of(1), of(0), of(2, borrow_index=1))) == ""


def test_a_unit_that_was_cut_when_it_was_read_makes_an_account_unknown_only_where_it_decides() -> None:
    of_market = market(of(0, terms=Terms(threshold=WAD, incentive=WAD)), of(1, rate=RATE, accrued_at=100))

    def falls(held: int, *, is_cut: bool) -> bool:
        debt = Borrow(principal=90, index=WAD, is_cut=is_cut)
        who = Account(address=WHO, entered=(0, 1), balances={0: held}, borrows={1: debt})
        # 4,000 blocks make 91.8 of 90, cut 91, and of 91, which is just more than was cut, 92.82.
        return VENUS.verdict(of_market, who, 5_000).liquidatable

    assert falls(90, is_cut=True)
    assert not falls(92, is_cut=True)
    with pytest.raises(UnknownStateError, match="a unit of debt"):
        falls(91, is_cut=True)
    assert not falls(91, is_cut=False)


def test_the_view_is_held_against_what_is_stored_and_its_errors_are_told() -> None:
    of_market = market(of(0), of(1, rate=RATE, accrued_at=0))
    assert VENUS.differs(of_market, FALLS, (0, 0, 10), 1_000) == ()
    (difference,) = VENUS.differs(of_market, FALLS, (0, 0, 11), 1_000)
    assert (difference.what, difference.ours, difference.chain) == ("shortfall", "10", "11")
    (error,) = VENUS.differs(of_market, FALLS, (13, 0, 0), 1_000)
    assert (error.what, error.chain) == ("error", "13")
    assert len(VENUS.differs(of_market, FALLS, (0, 5, 5), 1_000)) == 2
    # Read some blocks ago and cut, it may be one unit more by now.
    old = replace(FALLS, borrows={1: Borrow(principal=90, index=WAD - WAD // 50, is_cut=True)})
    assert [VENUS.differs(of_market, old, (0, 0, short), 1_000) == () for short in (10, 11, 12, 13)] == [
        False,
        True,
        True,
        False,
    ]
    assert VENUS.view_verdict((0, 0, 5)).liquidatable
    assert not VENUS.view_verdict((0, 0, 0)).liquidatable
    for junk, said in (((13, 0, 0), "error 13"), ((0, 1), "three numbers"), (7, "three numbers")):
        with pytest.raises(UnknownStateError, match=said):
            VENUS.view_verdict(junk)


# -- reading


Answer = Callable[[Question], Any]


def drive(asks: Reading[Any], answer: Answer) -> Any:
    """Answer a reading, question by question."""
    questions = next(asks)
    while True:
        try:
            questions = asks.send([answer(one) for one in questions])
        except StopIteration as done:
            return done.value


SAID: Final[dict[str, Any]] = {
    "getAllMarkets": (address(1), address(2)),
    "oracle": ORACLE,
    "closeFactorMantissa": WAD // 2,
    "liquidationIncentiveMantissa": 11 * WAD // 10,
    "seizeGuardianPaused": False,
    "markets": (True, 3 * WAD // 4, False),
    "isDeprecated": False,
    "borrowGuardianPaused": False,
    "borrowCaps": 0,
    "accrualBlockNumber": 90,
    "borrowRatePerBlock": 7,
    "protocolSeizeShareMantissa": 28 * 10**15,
    "getCurrentBlockTimestamp": 1_234,
    "blocksPerYear": 2_102_400,
    "interestRateModel": b"\x1d" * 20,
    "underlying": b"\x1e" * 20,
    "symbol": "USDC",
    "getUnderlyingPrice": WAD,
    "getCash": 5,
    "totalBorrows": 6,
    "totalReserves": 1,
    "totalSupply": 10,
    "borrowIndex": WAD,
    "reserveFactorMantissa": 0,
    "exchangeRateStored": WAD,
    "getAssetsIn": (address(1), address(2)),
    "balanceOf": 4,
    "borrowBalanceStored": 3,
}


def told(**other: Any) -> Answer:
    """Return what answers by the name of what is asked; None for all else, as what reverts."""
    said = SAID | other
    return lambda question: said.get(question.read.asks.name)


def read(answer: Answer) -> tuple[Parts, Market]:
    parts = drive(COMPOUND.parts(Target(pool=POOL, tokens=(address(1),))), answer)
    return parts, drive(COMPOUND.market(parts, BLOCK), answer)


def test_a_market_is_read_with_its_prices_and_the_length_of_a_block() -> None:
    parts, found = read(told())
    assert [token.address for token in found.tokens] == [address(1), address(2)]
    assert (found.time_s, found.pace_ms, found.oracle) == (1_234, 15_000, ORACLE)
    assert {token.seize_share for token in found.tokens} == {28 * 10**15}
    assert accrued(COMPOUND.of, found, 1_234 + 30)[0].index == WAD + 7 * 12
    assert COMPOUND.base(parts, found).decimals == 18
    before = dict(COMPOUND.parameters(parts, found))
    after = dict(COMPOUND.parameters(parts, read(told(markets=(True, WAD // 2, False), oracle=POOL))[1]))
    names = {name for name in before if before[name] != after[name]}
    assert {name.partition(" ")[2] or name for name in names} == {
        "oracle",
        "collateral factor",
        "liquidation threshold",
    }
    assert before["close factor"] == "50 %"


def test_without_a_clock_times_to_come_are_the_block_itself() -> None:
    _, found = read(told(getCurrentBlockTimestamp=None, blocksPerYear=None))
    assert (found.time_s, found.pace_ms) == (None, 12_000)
    assert accrued(COMPOUND.of, found, 10**9)[0].index == WAD + 7 * 10


@pytest.mark.parametrize("missing", ["getAllMarkets", "closeFactorMantissa", "markets", "getCash", "borrowIndex"])
def test_a_comptroller_or_a_token_that_does_not_answer_is_named(missing: str) -> None:
    with pytest.raises(UnknownStateError, match=missing):
        read(told(**{missing: None}))


def test_a_rate_a_price_and_an_exchange_rate_may_be_missing() -> None:
    _, found = read(told(borrowRatePerBlock=None, getUnderlyingPrice=None, protocolSeizeShareMantissa=None))
    assert {(token.rate, token.price, token.seize_share) for token in found.tokens} == {(None, None, 0)}


def test_lists_that_no_comptroller_has_are_refused() -> None:
    with pytest.raises(UnknownStateError, match="513 tokens"):
        read(told(getAllMarkets=tuple(address(one) for one in range(513))))
    assert locating.tokens_of((address(1), address(1))) == (address(1),)


def test_accounts_are_read_and_who_cannot_be_keeps_no_other_from_it() -> None:
    parts, found = read(told())
    other = b"\x78" * 20

    def silent(broken: Read) -> Answer:
        return lambda asked: None if asked.arguments == (other,) and asked.read is broken else told()(asked)

    for broken, said in (
        (reading.ENTERED, "which markets it entered"),
        (reading.BALANCE, "what it has or owes"),
        (reading.OWED, "what it has or owes"),
    ):
        unread, mine = drive(COMPOUND.accounts(parts, found, (other, WHO)), silent(broken))
        assert isinstance(unread, Unread)
        assert said in unread.reason
        assert mine.balances == {0: 4, 1: 4}
        assert mine.borrows[1] == Borrow(principal=3, index=WAD, is_cut=True)
    (stranger,) = drive(COMPOUND.accounts(parts, found, (WHO,)), told(getAssetsIn=(address(9),)))
    assert isinstance(stranger, Unread)
    assert "does not list" in stranger.reason


@pytest.mark.parametrize(
    ("answers", "revision"),
    [
        ({}, "compound"),
        ({"isDeprecated": None, "accrualBlockNumber": None, "accrualBlockTimestamp": 5}, "moonwell"),
        ({"comptrollerLens": ORACLE, "getEffectiveLtvFactor": 0}, "venus-10"),
        ({"comptrollerLens": ORACLE}, "unknown"),
        ({"isDeprecated": None}, "unknown"),
        ({"accrualBlockNumber": None}, "unknown"),
        ({"getAllMarkets": ()}, "compound"),
    ],
)
def test_comptrollers_are_told_apart_by_what_they_answer(answers: dict[str, Any], revision: str) -> None:
    target = Target(pool=POOL, tokens=(address(1),))
    assert drive(KIND.revision(target), told(**answers)) == revision
    assert KIND.rules(revision).revision == revision


def test_what_is_no_comptroller_is_said_to_be_none() -> None:
    with pytest.raises(UnknownStateError, match="getAllMarkets"):
        drive(KIND.revision(Target(pool=POOL, tokens=(address(1),))), lambda _: None)
