"""What is read of Morpho Blue, and what is said where nothing can be counted: no guess, always a reason."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

import pytest
from tests.unit.test_morpho_blue_by_hand import COLLATERAL, DEEP, LOAN, ONE, PER_SHARE_1_5, UPDATED_S, account, market

from tocsin.chain.abi import encode, signature
from tocsin.chain.keccak import keccak256
from tocsin.chain.logrules import Topic
from tocsin.model.block import BlockRef
from tocsin.model.log import Log
from tocsin.model.market import MarketSettings
from tocsin.protocols import kind_of, rules_of
from tocsin.protocols.base import (
    WAD,
    Exactness,
    Liquidation,
    Question,
    Reach,
    Reading,
    Refusal,
    UnknownRevisionError,
    UnknownStateError,
)
from tocsin.protocols.horizon import seconds_to_liquidation
from tocsin.protocols.kind import followed, touched
from tocsin.protocols.morpho_blue import reading
from tocsin.protocols.morpho_blue.accrual import accrued
from tocsin.protocols.morpho_blue.liquidation import settle
from tocsin.protocols.morpho_blue.market import Account, Market, Totals
from tocsin.protocols.morpho_blue.rules import MorphoRules
from tocsin.protocols.places import Base, Parts, Target, Unread
from tocsin.risk.book import Book
from tocsin.risk.evaluate import evaluate
from tocsin.risk.factors import Factors
from tocsin.risk.health import Flag, screen
from tocsin.valuation.packing import Packed, pack, unpack
from tocsin.valuation.situation import Situation
from tocsin.valuation.valuing import value

RULES: Final = MorphoRules()
MORPHO, ORACLE, IRM = b"\x09" * 20, b"\x03" * 20, b"\x04" * 20
TERMS: Final = (LOAN, COLLATERAL, ORACLE, IRM, 86 * WAD // 100)
ID: Final = keccak256(encode(signature("x(address,address,address,address,uint256)").takes, TERMS))
TARGET: Final = Target(pool=MORPHO, id=ID)
STORED: Final = (5_000_000, 0, 2_999_999, 1_000_000, UPDATED_S, WAD // 10)
BLOCK: Final = BlockRef(number=7, hash="0x" + "ab" * 32)
ALICE, BOB = b"\x0a" * 20, b"\x0b" * 20
ANSWERS: Final = {
    "idToMarketParams": TERMS,
    "market": STORED,
    "price": 3 * ONE,
    "borrowRateView": 10**9,
    "decimals": 6,
    "symbol": None,
    "position": (99, 3, 10),
}


def driven(what: Reading[Any], **changes: Any) -> tuple[Any, list[Question]]:
    """Let a reading have its answers, by the names of functions, and return what it read and asked."""
    answers, asked = {**ANSWERS, **changes}, list[Question]()
    sent: Sequence[Any] | None = None
    while True:
        try:
            questions = next(what) if sent is None else what.send(sent)
        except StopIteration as done:
            return done.value, asked
        asked += questions
        sent = [answers[one.read.asks.name] for one in questions]


def parts(**changes: Any) -> Parts:
    found: Parts = driven(RULES.parts(TARGET), **changes)[0]
    return found


def read(**changes: Any) -> Market:
    found: Market = driven(RULES.market(parts(), BLOCK), **changes)[0]
    return found


# -- reading


def test_a_market_is_read_with_its_price_and_the_rate_that_its_model_says_of_what_is_stored() -> None:
    found, asked = driven(RULES.market(parts(), BLOCK))
    assert found.terms.lltv == 86 * WAD // 100
    assert (found.totals, found.updated_s, found.fee) == (replace(PER_SHARE_1_5), UPDATED_S, WAD // 10)
    assert (found.price, found.rate, found.loan_decimals) == (3 * ONE, 10**9, 6)
    to = {one.read.asks.name: one.to for one in asked}
    assert to == {
        "idToMarketParams": MORPHO,
        "market": MORPHO,
        "price": ORACLE,
        "borrowRateView": IRM,
        "decimals": LOAN,
    }
    (rate,) = [one for one in asked if one.read is reading.RATE]
    assert rate.arguments == (TERMS, STORED)
    assert rate.data[:4] == signature(reading.RATE.signature).selector


def test_the_parts_of_a_market_are_those_that_its_terms_name() -> None:
    assert {part: parts().one(part) for part in (reading.MORPHO, reading.ORACLE, reading.IRM)} == {
        reading.MORPHO: MORPHO,
        reading.ORACLE: ORACLE,
        reading.IRM: IRM,
    }
    assert RULES.base(replace(parts(), names={LOAN: "USDC"}), read()) == Base(name="USDC", decimals=6)


def test_the_id_of_a_market_is_the_hash_of_its_terms() -> None:
    # wstETH against WETH on Ethereum, as it is published.
    places = (
        "c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2",
        "7f39c581f595b53c5cb19bd0b3f8da6c935e2ca0",
        "2a01eb9496094da03c4e364def50f5ad1280ad72",
        "870ac11d48b15db9a138cf899d20f13f79ba00bc",
    )
    published = bytes.fromhex("c54d7acf14de29e0e5527cabd7a576506870346a78a11a6762e2cca66322ec41")
    target = replace(TARGET, id=published)
    said = (*map(bytes.fromhex, places), 945 * WAD // 1000)
    found = driven(RULES.parts(target), idToMarketParams=said)[0]
    assert found.one(reading.IRM).hex() == places[3]


def test_a_market_for_idle_money_has_no_collateral_no_oracle_no_model_and_nobody_who_can_fall() -> None:
    terms = (LOAN, bytes(20), bytes(20), bytes(20), 0)
    target = replace(TARGET, id=keccak256(encode(signature("x(address,address,address,address,uint256)").takes, terms)))
    found, _ = driven(RULES.parts(target), idToMarketParams=terms)
    assert set(found.at) == {reading.MORPHO, reading.LOAN}
    idle, asked = driven(RULES.market(found, BLOCK), idToMarketParams=terms, price=None)
    assert reading.RATE not in [one.read for one in asked]
    later_s = UPDATED_S + 10**6
    assert accrued(idle, later_s) == idle.totals
    assert not RULES.verdict(idle, account(0, 0), later_s).liquidatable
    assert len(RULES.columns(idle, later_s).all) == 2


@pytest.mark.parametrize("said", [(bytes(20),) * 4 + (0,), (*TERMS[:4], 1), (COLLATERAL, *TERMS[1:])])
def test_terms_that_the_id_is_not_the_hash_of_are_of_no_market(said: tuple[Any, ...]) -> None:
    for what in (RULES.parts(TARGET), RULES.market(parts(), BLOCK), kind_of("morpho-blue").revision(TARGET)):
        with pytest.raises(UnknownStateError, match=f"has no market 0x{ID.hex()}: market not created"):
            driven(what, idToMarketParams=said)


@pytest.mark.parametrize("name", ["idToMarketParams", "market"])
def test_a_contract_that_does_not_answer_as_morpho_blue_does_is_none(name: str) -> None:
    with pytest.raises(UnknownStateError, match=rf"morpho: {name}\(\) failed"):
        driven(RULES.market(parts(), BLOCK), **{name: None})


def test_accounts_are_read_in_their_order_and_one_that_cannot_be_keeps_no_other_from_being() -> None:
    asked = RULES.accounts(parts(), read(), (ALICE, BOB))
    (questions,) = [next(asked)]
    assert [one.arguments for one in questions] == [(ID, ALICE), (ID, BOB)]
    with pytest.raises(StopIteration) as done:
        asked.send([None, (99, 3, 10)])
    failed, found = done.value.value
    assert isinstance(failed, Unread)
    assert failed.account == ALICE
    assert "position() failed" in failed.reason
    assert found == Account(address=BOB, collateral=10, shares=3)


def test_an_account_that_differs_from_what_is_stored_of_it_is_told_and_nothing_is_said_of_its_health() -> None:
    (said,), _ = driven(RULES.view(parts(), (ALICE,)))
    assert RULES.differs(market(), account(10, 3), said, UPDATED_S) == ()
    told = [(one.what, one.ours, one.chain) for one in RULES.differs(market(), account(11, 2), said, UPDATED_S)]
    assert told == [("borrowShares", "2", "3"), ("collateral", "11", "10")]
    with pytest.raises(UnknownStateError, match="no view"):
        RULES.view_verdict(said)


def test_there_is_one_revision_and_of_another_only_what_to_read_is_known() -> None:
    assert driven(kind_of("morpho-blue").revision(TARGET))[0] == RULES.revision
    assert (RULES.kind, RULES.exactness) == ("morpho-blue", Exactness.VERIFIED)
    other = rules_of("morpho-blue", "2")
    assert other.exactness is Exactness.CHAIN
    with pytest.raises(UnknownRevisionError):
        other.verdict(market(), DEEP, UPDATED_S)


# -- following


def test_the_index_names_who_borrows_in_this_market_and_no_other() -> None:
    (event,) = kind_of("morpho-blue").index(TARGET)
    assert (event.account, event.addresses) == ("topic2", (f"0x{MORPHO.hex()}",))
    with pytest.raises(ValueError, match="is named by its id"):
        kind_of("morpho-blue").check(Target(pool=MORPHO))


def test_the_one_contract_is_asked_for_logs_of_this_market_alone() -> None:
    wanted = followed(reading.PLAN, parts())
    assert (wanted.addresses, wanted.first_arguments) == ((MORPHO,), (ID,))
    assert set(wanted.topics) == {event.topic0 for event in (*reading.PLAN.touches, *reading.PLAN.changes)}
    # Where some event has no id, or has it elsewhere, logs of all markets have to be asked for.
    for other in (None, Topic(2)):
        mixed = replace(reading.PLAN, changes=(replace(reading.PLAN.changes[0], market=other),))
        assert followed(mixed, parts()).first_arguments == ()


def test_logs_of_this_market_touch_whom_they_name_and_those_of_others_nobody() -> None:
    def log(event: int, who: bytes, of: bytes = ID) -> Log:
        found = reading.PLAN.touches[event]
        assert isinstance(found.account, Topic)
        topics = [found.topic0, of, bytes(32), bytes(32)]
        topics[found.account.number] = bytes(12) + who
        return Log(address=MORPHO, topics=tuple(topics), data=b"", index=0)

    whom = [bytes([number]) * 20 for number in range(1, 6)]
    logs = [log(at, who) for at, who in enumerate(whom)] + [log(0, ALICE, bytes(32))]
    assert touched(reading.PLAN, parts(), logs).accounts == frozenset(whom)
    fee = Log(address=MORPHO, topics=(reading.PLAN.changes[1].topic0, ID), data=bytes(32), index=1)
    assert touched(reading.PLAN, parts(), [fee]).changed
    assert not touched(reading.PLAN, parts(), [replace(fee, topics=(fee.topics[0], bytes(32)))]).changed


def test_parameters_are_named_and_a_market_that_goes_back_is_doubted() -> None:
    now = read()
    assert dict(RULES.parameters(parts(), now))["fee"] == str(WAD // 10)
    assert dict(RULES.parameters(parts(), now))["oracle"] == f"0x{ORACLE.hex()}"
    assert RULES.doubt(now, replace(now, updated_s=UPDATED_S + 1)) == ""
    assert "interest was last added" in RULES.doubt(replace(now, updated_s=UPDATED_S + 1), now)
    assert "terms" in RULES.doubt(now, replace(now, terms=replace(now.terms, lltv=1)))


# -- where nothing can be counted, or not as usual

SILENT: Final = replace(market(), price=None)
STUCK: Final = replace(market(), rate=None)
HUGE: Final = 2**128 - 1
UNKNOWN: Final[Sequence[tuple[str, Market, Account, int, str]]] = (
    ("a silent oracle", SILENT, DEEP, 0, "the oracle reverts"),
    ("a silent oracle, of who owes nothing", SILENT, account(10, 0), 0, "the oracle reverts"),
    ("a silent model", STUCK, DEEP, 1, "the interest rate model reverts"),
    ("a market that was never created", replace(market(), updated_s=0), DEEP, 0, "market not created"),
    ("a time before the last update", market(), DEEP, -1, "was updated at 1000, after 999"),
    ("a price beyond all numbers", market(2**255), DEEP, 0, "arithmetic overflow"),
    ("a rate beyond all numbers", replace(market(), rate=2**255), DEEP, 2, "arithmetic overflow"),
    ("interest that no total holds", replace(market(), rate=10**26), DEEP, 10**5, "max uint128 exceeded"),
    (
        "a total that is full",
        market(
            totals=Totals(**dict.fromkeys(("supply_assets", "supply_shares", "borrow_assets", "borrow_shares"), HUGE))
        ),
        DEEP,
        1,
        "arithmetic overflow",
    ),
)


@pytest.mark.parametrize("case", UNKNOWN, ids=lambda case: case[0])
def test_what_the_contract_reverts_of_is_unknown_and_says_why(case: tuple[str, Market, Account, int, str]) -> None:
    _, of, has, seconds, reason = case
    with pytest.raises(UnknownStateError, match=reason):
        RULES.verdict(of, has, UPDATED_S + seconds)


REFUSED: Final[Sequence[tuple[str, Market, dict[str, int], str]]] = (
    ("both asked", market(), {"seized": 1, "shares": 1}, "inconsistent input"),
    ("a silent oracle", SILENT, {"shares": 1}, "the oracle reverts"),
    ("more shares than owed", market(), {"shares": 101}, "arithmetic underflow"),
    ("more collateral than there is", market(), {"seized": 101}, "arithmetic underflow"),
    ("shares beyond all numbers", market(), {"shares": 2**129}, "max uint128 exceeded"),
    ("a price of nothing, for shares", market(0), {"shares": 1}, "division by zero"),
    ("a loan-to-value above one", market(lltv=WAD + 1, price=ONE // 1000), {"shares": 1}, "arithmetic underflow"),
)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case[0])
def test_a_liquidation_that_the_contract_reverts_of_is_refused_and_says_why(
    case: tuple[str, Market, dict[str, int], str],
) -> None:
    _, of, wanted, reason = case
    assert settle(of, DEEP, UPDATED_S, **wanted) == Refusal(reason=reason)


def test_a_pair_that_the_market_is_not_of_is_refused() -> None:
    refused = RULES.liquidation(market(), DEEP, LOAN, COLLATERAL, None, UPDATED_S)
    assert refused == Refusal(reason="no such pair in the market")


def test_at_a_price_of_nothing_all_collateral_is_free_and_who_owes_nothing_is_safe() -> None:
    assert RULES.verdict(market(0), DEEP, UPDATED_S).health_wad == 0
    found = settle(market(0), DEEP, UPDATED_S, seized=100)
    assert not isinstance(found, Refusal)
    assert (found.repaid, found.seized, found.bad_shares) == (0, 100, 100)
    offer = RULES.liquidation(market(0), DEEP, COLLATERAL, LOAN, None, UPDATED_S)
    assert offer == Liquidation(repaid=0, seized=100, deficits=((LOAN, 150),))
    verdict = RULES.verdict(market(0), account(10, 0), UPDATED_S)
    assert (verdict.liquidatable, verdict.health_wad) == (False, None)


def test_who_has_nothing_needs_no_price() -> None:
    assert not RULES.verdict(SILENT, account(0, 0), UPDATED_S).liquidatable


def test_loan_to_values_at_the_ends_are_counted_as_all_others() -> None:
    # One can't be set: it would let somebody owe all that the collateral is worth.
    verdicts = [RULES.verdict(market(lltv=lltv), account(150, 100), UPDATED_S) for lltv in (0, WAD // 2, WAD)]
    assert [one.liquidatable for one in verdicts] == [True, True, False]
    assert [RULES.critical_price(market(lltv=lltv), DEEP, COLLATERAL, UPDATED_S).reach for lltv in (0, WAD)] == [
        Reach.ALWAYS,
        Reach.BELOW,
    ]


def test_critical_prices_where_there_is_none() -> None:
    def reach(has: Account, asset: bytes = COLLATERAL, of: Market | None = None) -> Reach:
        return RULES.critical_price(of or market(), has, asset, UPDATED_S).reach

    assert reach(account(10, 0)) is Reach.NEVER
    assert reach(account(0, 10)) is Reach.ALWAYS
    # The loan token is what prices are in, and no other asset is anything to the market.
    assert [reach(DEEP, asset) for asset in (LOAN, b"\x77" * 20)] == [Reach.ALWAYS] * 2
    assert reach(account(1_000, 100), LOAN) is Reach.NEVER
    # At a price at which it could owe so much the product with its collateral is no number any more.
    whole = replace(PER_SHARE_1_5, borrow_assets=HUGE - 10**6, borrow_shares=1)
    assert reach(account(HUGE, 1), of=market(lltv=1, totals=whole)) is Reach.ALWAYS
    # It needs no price of today.
    assert reach(DEEP, of=SILENT) is Reach.BELOW


def test_an_account_falls_at_last_by_interest_alone() -> None:
    found = seconds_to_liquidation(RULES, market(rate=10**9), account(310, 100), UPDATED_S)
    assert found is not None
    verdicts = [RULES.verdict(market(rate=10**9), account(310, 100), UPDATED_S + found - less) for less in (1, 0)]
    assert [one.liquidatable for one in verdicts] == [False, True]
    assert seconds_to_liquidation(RULES, market(rate=0), account(310, 100), UPDATED_S) is None


# -- books


def test_columns_are_what_a_unit_of_collateral_counts_and_what_a_share_owes() -> None:
    held, owed = RULES.columns(market(3 * ONE // 10), UPDATED_S).all
    assert (held.collateral, held.raw) == (Fraction(3, 20), Fraction(3, 10))
    assert (held.collateral_step, owed.debt_step, owed.debt) == (2, 1, Fraction(3, 2))
    assert held.asset != owed.asset
    assert RULES.columns(SILENT, UPDATED_S).all[0].raw is None


def _flag(of: Market, has: Account) -> Flag:
    columns = RULES.columns(of, UPDATED_S)
    book = Book.of(columns.names, {has.address: RULES.legs(of, has, UPDATED_S)})
    return Flag(int(screen(evaluate(book, Factors.of(columns)))[0]))


@pytest.mark.parametrize("of", [market(0), SILENT, market(2**255), market(2**150)], ids=["0", "none", "2^255", "2^150"])
def test_floats_judge_nobody_whose_price_is_none_or_nothing_or_makes_the_contract_overflow(of: Market) -> None:
    assert _flag(of, account(2**120, 100)) is Flag.UNSURE


def test_floats_judge_nobody_who_is_a_base_unit_or_two_from_the_line() -> None:
    assert [_flag(market(), account(held, 100)) for held in (10, 290, 300, 310, 1_000)] == [
        Flag.LIQUIDATABLE,
        Flag.LIQUIDATABLE,
        Flag.UNSURE,
        Flag.SAFE,
        Flag.SAFE,
    ]


SETTINGS: Final = MarketSettings(
    name="lab", kind="morpho-blue", pool=f"0x{MORPHO.hex()}", id=f"0x{ID.hex()}", sample_one_in=1
)


def situation(of: Market, accounts: Sequence[Account]) -> Situation:
    legs = {one.address: RULES.legs(of, one, UPDATED_S) for one in accounts}
    return Situation(
        rules=RULES,
        parts=replace(parts(), names={LOAN: "USDC", COLLATERAL: "WETH"}),
        market=of,
        accounts=Packed(Account, {one.address: pack(one) for one in accounts}),
        book=Book.of(RULES.columns(of, UPDATED_S).names, legs),
        block=BLOCK,
        time_s=UPDATED_S,
    )


def test_a_valuation_moves_the_collateral_alone_and_names_the_price_at_which_the_next_one_falls() -> None:
    accounts = [Account(address=ALICE, collateral=310, shares=100), Account(address=BOB, collateral=290, shares=100)]
    sample = value(situation(replace(market(), loan_decimals=6), accounts), SETTINGS, salt=b"").sample
    assert (sample.base, sample.base_decimals, sample.exactness, sample.problem) == ("USDC", 6, "exact", "")
    assert (sample.collateral, sample.debt, sample.liquidatable) == ("600", "300", 1)
    assert [point.accounts for point in sample.curve] == [2, 2, 2, 2]
    bob, alice = sample.near
    assert (bob.liquidatable, alice.liquidatable) == (True, False)
    assert (alice.asset, alice.price) == ("WETH", str((300 * ONE - 1) // 310))
    assert alice.distance_ppm == -32_258


def test_what_is_read_of_morpho_blue_comes_back_from_where_it_is_kept() -> None:
    for one in (read(), account(2**128 - 1, 3)):
        kept = unpack(type(one), pack(one))
        assert pack(kept) == pack(one)
        assert type(kept) is type(one)
