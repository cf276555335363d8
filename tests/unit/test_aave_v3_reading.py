"""Reading Aave v3 from answers alone: what cannot be read is said to be so, and keeps nothing else from being read."""

from dataclasses import replace
from typing import Any, Final

import pytest

from tocsin.chain.abi import Value
from tocsin.model.block import BlockRef
from tocsin.protocols import kind_of, rules_of
from tocsin.protocols.aave_v3.market import Account, Category, Configuration, Holding, Market, Reserve
from tocsin.protocols.aave_v3.revisions import REVISIONS
from tocsin.protocols.aave_v3.rules import AaveRules
from tocsin.protocols.base import Liquidation, Question, Reading, UnknownStateError
from tocsin.protocols.places import Base, Parts, Target, Unread
from tocsin.risk.book import Book
from tocsin.risk.evaluate import evaluate
from tocsin.risk.factors import Factors
from tocsin.risk.health import Flag, screen

POOL, PROVIDER, ORACLE, CONFIGURATOR, SENTINEL, SOURCE = (bytes([number]) * 20 for number in range(1, 7))
NOWHERE: Final = bytes(20)
RAY: Final = 10**27
BLOCK: Final = BlockRef(number=5, hash="0x" + "05" * 32)
TARGET: Final = Target(pool=POOL)
WORD: Final = 8_000 | 8_500 << 16 | 10_500 << 32 | 18 << 48 | 1 << 56 | 1 << 58


def asset(number: int) -> bytes:
    return (0xA0000 + number).to_bytes(20)


def token(side: int, number: int) -> bytes:
    return (0xB0000 + 0x1000 * side + number).to_bytes(20)


class Fake:
    """A pool whose reserves are all alike, answering by function; `says` of a name overrides it."""

    def __init__(self, reserves: int = 3, revision: int = 10) -> None:
        self.reserves = reserves
        self.revision = revision
        self.says: dict[str, Any] = {}

    def answer(self, question: Question) -> Value | None:
        name = question.read.asks.name
        if name in self.says:
            found = self.says[name]
            told: Value | None = found(question) if callable(found) else found
            return told
        return self._usual(name, question)

    def _usual(self, name: str, question: Question) -> Value | None:
        fixed: dict[str, Value | None] = {
            "POOL_REVISION": self.revision,
            "ADDRESSES_PROVIDER": PROVIDER,
            "getPriceOracle": ORACLE,
            "getPoolConfigurator": CONFIGURATOR,
            "getPriceOracleSentinel": NOWHERE,
            "getReservesList": tuple(asset(number) for number in range(self.reserves)),
            "getSourceOfAsset": SOURCE,
            "getDiscountToken": None,
            "BASE_CURRENCY": NOWHERE,
            "BASE_CURRENCY_UNIT": 10**8,
            "getAssetPrice": 10**8,
            "getLiquidationGracePeriod": 0,
            "getEModeCategoryCollateralBitmap": 0b011,
            "getEModeCategoryBorrowableBitmap": 0b001,
            "getEModeCategoryLtvzeroBitmap": 0b010,
            "getUserEMode": 0,
            "getUserConfiguration": (0b0110,),
            "scaledBalanceOf": 10**18,
            "isLiquidationAllowed": True,
        }
        if name == "getReserveData":
            return self.data(question.arguments[0])
        if name == "getEModeCategoryCollateralConfig":
            return (9_000, 9_300, 10_100) if question.arguments == (2,) else (0, 0, 0)
        if name == "symbol":
            return f"T{int.from_bytes(question.to) - 0xA0000}"
        return fixed[name]

    def data(self, which: Value, number: int | None = None) -> Value:
        assert isinstance(which, bytes)
        at = int.from_bytes(which) - 0xA0000 if number is None else number
        indexes = RAY, 0, RAY, 0, 0, 100
        return ((WORD,), *indexes, at, token(0, at), NOWHERE, token(2, at), NOWHERE, 0, 0, 0)

    def read(self, reading: Reading[Any]) -> Any:
        answers: list[Any] | None = None
        while True:
            try:
                questions = next(reading) if answers is None else reading.send(answers)
            except StopIteration as done:
                return done.value
            answers = [self.answer(each) for each in questions]


RULES: Final = AaveRules(REVISIONS["10"])


def loaded(fake: Fake) -> tuple[Parts, Market]:
    parts = fake.read(RULES.parts(TARGET))
    return parts, fake.read(RULES.market(parts, BLOCK))


def accounts(fake: Fake, *addresses: bytes) -> list[Account | Unread]:
    parts, market = loaded(fake)
    return list(fake.read(RULES.accounts(parts, market, addresses)))


def test_a_pool_leads_to_all_its_parts_and_to_names_for_them() -> None:
    fake = Fake()
    parts, market = loaded(fake)
    assert parts.at == {
        "pool": (POOL,),
        "addresses provider": (PROVIDER,),
        "oracle": (ORACLE,),
        "configurator": (CONFIGURATOR,),
        "sentinel": (),
        "supply token": tuple(token(0, number) for number in range(3)),
        "variable debt token": tuple(token(2, number) for number in range(3)),
        "stable debt token": (),
    }
    assert parts.numbers == {"categories": (2,)}
    assert parts.name(asset(1)) == "T1"
    assert market.categories[2] == Category(
        number=2, ltv=9_000, threshold=9_300, bonus=10_100, collateral=3, borrowable=1, zero_ltv=2
    )
    assert RULES.base(parts, market) == Base(name="USD", decimals=8)
    assert fake.read(kind_of("aave-v3").revision(TARGET)) == "10"


def test_parameters_are_what_governance_sets_by_names_that_people_know() -> None:
    fake = Fake()
    before = dict(RULES.parameters(*loaded(fake)))
    assert before["T0 liquidation threshold"] == "8500 bps"
    assert before["T2 price source"] == f"0x{SOURCE.hex()}"
    assert (before["eMode 2 collateral"], before["eMode 2 ltv zero"]) == ("T0 T1", "T1")
    assert (before["sentinel"], before["revision"]) == ("none", "10")
    fake.says["getReserveData"] = lambda question: ((WORD | 1 << 60,), *fake.data(question.arguments[0])[1:])
    fake.says["getPriceOracleSentinel"] = SENTINEL
    after = dict(RULES.parameters(*loaded(fake)))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"sentinel", "T0 paused", "T1 paused", "T2 paused"}


def test_a_base_of_its_own_is_called_by_its_name_and_one_that_is_no_power_of_ten_is_refused() -> None:
    fake = Fake()
    fake.says |= {"BASE_CURRENCY": asset(1), "BASE_CURRENCY_UNIT": 10**18}
    assert RULES.base(*loaded(fake)) == Base(name="T1", decimals=18)
    fake.says["BASE_CURRENCY_UNIT"] = 12
    with pytest.raises(UnknownStateError, match="12, which is no power of ten"):
        RULES.base(*loaded(fake))


def test_128_reserves_are_read_and_one_more_is_refused_as_is_an_id_that_has_no_place_in_an_account() -> None:
    last = Fake(reserves=128)
    last.says["getUserConfiguration"] = (2 << 2 * 127,)
    (account,) = accounts(last, b"\x11" * 20)
    assert isinstance(account, Account)
    assert list(account.holdings) == [127]
    assert account.uses(127)
    with pytest.raises(UnknownStateError, match="a pool lists 128 reserves at most, and this one says 129"):
        loaded(Fake(reserves=129))
    strange = Fake()
    strange.says["getReserveData"] = lambda question: strange.data(question.arguments[0], 200)
    with pytest.raises(UnknownStateError, match="has the id 200, and accounts have room for 128"):
        loaded(strange)
    strange.says["getReserveData"] = lambda question: strange.data(question.arguments[0], 1)
    with pytest.raises(UnknownStateError, match="are both reserve 1"):
        loaded(strange)


@pytest.mark.parametrize("missing", ["getUserConfiguration", "getUserEMode", "scaledBalanceOf"])
def test_an_account_that_cannot_be_read_keeps_no_other_from_being(missing: str) -> None:
    fake, (mine, other) = Fake(), (b"\x11" * 20, b"\x12" * 20)
    usual: dict[str, Value] = {"getUserConfiguration": (0b0110,), "getUserEMode": 0, "scaledBalanceOf": 7}
    fake.says[missing] = lambda question: None if question.arguments == (mine,) else usual[missing]
    first, second = accounts(fake, mine, other)
    assert isinstance(first, Unread)
    assert (first.account, "could not be read" in first.reason) == (mine, True)
    assert isinstance(second, Account)
    assert second.address == other


def test_an_account_in_a_category_that_is_not_known_is_not_judged_by_other_terms() -> None:
    fake = Fake()
    fake.says["getUserEMode"] = 9
    (found,) = accounts(fake, b"\x11" * 20)
    assert found == Unread(account=b"\x11" * 20, reason="eMode category 9 is not known of the market")
    fake.says["getUserEMode"] = 2
    (found,) = accounts(fake, b"\x11" * 20)
    assert isinstance(found, Account)
    assert found.category == 2


@pytest.mark.parametrize("name", ["getReservesList", "getReserveData", "BASE_CURRENCY", "BASE_CURRENCY_UNIT"])
def test_a_market_that_does_not_answer_is_none_and_says_which_part(name: str) -> None:
    fake = Fake()
    parts, _ = loaded(fake)
    fake.says[name] = None
    with pytest.raises(UnknownStateError, match=rf"{name}\(\) failed, or what it returned is no "):
        fake.read(RULES.market(parts, BLOCK))


@pytest.mark.parametrize("name", ["ADDRESSES_PROVIDER", "getPriceOracle"])
def test_a_pool_without_a_provider_or_an_oracle_is_none(name: str) -> None:
    fake = Fake()
    fake.says[name] = NOWHERE
    with pytest.raises(UnknownStateError, match=rf"{name}\(\) says that there is none"):
        loaded(fake)


def test_indexes_and_times_that_go_back_are_doubted_but_not_those_of_a_reserve_that_was_listed_anew() -> None:
    _, before = loaded(Fake())
    first, *rest = before.reserves
    assert first is not None
    assert RULES.doubt(before, before) == ""
    for name, value in (("liquidity_index", RAY - 1), ("variable_index", RAY - 1), ("updated_s", 99)):
        after = replace(before, reserves=(replace(first, **{name: value}), *rest))
        assert RULES.doubt(before, after).startswith("reserve 0: its ")
        assert RULES.doubt(after, before) == ""
        anew = replace(first, **{name: value}, supply_token=token(0, 99))
        assert RULES.doubt(before, replace(before, reserves=(anew, *rest))) == ""


def reserve(number: int, **more: Any) -> Reserve:
    return Reserve(
        id=number,
        asset=asset(number),
        configuration=Configuration(threshold=8_000, bonus=10_500, decimals=0),
        liquidity_index=RAY,
        liquidity_rate=0,
        variable_index=RAY,
        variable_rate=0,
        updated_s=0,
        price=10**8,
        **more,
    )


@pytest.mark.parametrize("revision", ["1", "8", "10"])
def test_a_reserve_whose_indexes_overflow_is_unknown_to_those_who_use_it_and_to_nobody_else(revision: str) -> None:
    rules, year_s = AaveRules(REVISIONS[revision]), 365 * 86_400
    broken = replace(reserve(1), variable_rate=2**128 - 1, liquidity_rate=2**128 - 1, variable_index=2**128 - 1)
    market = Market(block=BLOCK, reserves=(reserve(0), broken, reserve(2)))
    fine = Account(address=b"\x11" * 20, flags=0b010010, holdings={0: Holding(supplied=10), 2: Holding(borrowed=4)})
    assert rules.verdict(market, fine, year_s).health_wad == 2 * 10**18
    assert rules.critical_price(market, fine, asset(0), year_s).edge is not None
    owes = replace(fine, flags=0b000110, holdings={0: Holding(supplied=10), 1: Holding(borrowed=4)})
    uses = replace(fine, flags=0b011000, holdings={1: Holding(supplied=10), 2: Holding(borrowed=4)})
    for account in (owes, uses):
        for asked in (
            lambda one: rules.verdict(market, one, year_s),
            lambda one: rules.critical_price(market, one, asset(1), year_s),
            lambda one: rules.liquidation(market, one, asset(0), asset(1), None, year_s),
        ):
            with pytest.raises(UnknownStateError, match="reserve 1: a number of more than 256 bits"):
                asked(account)
    columns = rules.columns(market, year_s)
    legs = {each.address: rules.legs(market, each, year_s) for each in (fine, replace(owes, address=b"\x12" * 20))}
    book = Book.of(columns.names, legs)
    flags = screen(evaluate(book, Factors.of(columns)))
    assert {book.account(row): flags[row] for row in range(2)} == {
        b"\x11" * 20: Flag.SAFE,
        b"\x12" * 20: Flag.UNSURE,
    }


@pytest.mark.parametrize("revision", ["1", "7"])
def test_a_debt_with_a_discount_counts_whole_in_health_and_is_not_guessed_at_in_liquidations(revision: str) -> None:
    rules = AaveRules(REVISIONS[revision])
    holdings = {0: Holding(supplied=1_000), 1: Holding(borrowed=900), 2: Holding(borrowed=1)}
    account = Account(address=b"\x11" * 20, flags=0b010110, holdings=holdings)
    plain = Market(block=BLOCK, reserves=(reserve(0), reserve(1), reserve(2)))
    gho = replace(plain, reserves=(reserve(0), replace(reserve(1), discounted=True), reserve(2)))
    assert rules.verdict(gho, account, 1) == rules.verdict(plain, account, 1)
    assert isinstance(rules.liquidation(plain, account, asset(0), asset(2), None, 1), Liquidation)
    with pytest.raises(UnknownStateError, match="have a discount on interest"):
        rules.liquidation(gho, account, asset(0), asset(1), None, 1)


def test_which_debts_have_a_discount_is_asked_of_their_tokens() -> None:
    fake = Fake()
    fake.says["getDiscountToken"] = lambda question: SOURCE if question.to == token(2, 1) else None
    _, market = loaded(fake)
    assert [each.discounted for each in market.reserves if each is not None] == [False, True, False]


def test_of_an_unknown_revision_the_view_is_asked_and_what_does_not_answer_is_left_out() -> None:
    fake = Fake(revision=99)
    rules = rules_of("aave-v3", fake.read(kind_of("aave-v3").revision(TARGET)))
    fake.says["getReserveData"] = lambda question: None if question.arguments == (asset(1),) else fake.data(asset(0))
    parts = fake.read(rules.parts(TARGET))
    assert len(parts.all("supply token")) == 2
    fake.says["getUserAccountData"] = (10, 9, 0, 8_000, 7_500, 10**18 - 1)
    ((answer),) = fake.read(rules.view(parts, (b"\x11" * 20,)))
    verdict = rules.view_verdict(answer)
    assert (verdict.liquidatable, verdict.health_wad, verdict.collateral_base) == (True, 10**18 - 1, 10)
    assert verdict.details == {"availableBorrowsBase": 0, "currentLiquidationThreshold": 8_000, "ltv": 7_500}
    assert rules.view_verdict((0, 0, 0, 0, 0, 2**256 - 1)).health_wad is None
    with pytest.raises(UnknownStateError, match="answers six numbers"):
        rules.view_verdict(7)


def test_ours_is_held_against_each_of_the_six_numbers() -> None:
    market = Market(block=BLOCK, reserves=(reserve(0), reserve(1)))
    account = Account(address=b"\x11" * 20, flags=0b0110, holdings={0: Holding(supplied=10), 1: Holding(borrowed=4)})
    unit = 10**8
    right = (10 * unit, 4 * unit, 0, 8_000, 0, 2 * 10**18)
    assert RULES.differs(market, account, right, 1) == ()
    for at in range(6):
        wrong = tuple(number + (place == at) for place, number in enumerate(right))
        (found,) = RULES.differs(market, account, wrong, 1)
        assert (found.ours, found.chain) == (str(right[at]), str(right[at] + 1))
