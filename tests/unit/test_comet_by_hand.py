"""Comet worked by hand: small numbers, each on the edge of a rounding.

Everything is cut, debts as well, whose size is divided towards zero; what is tried is that each division that rounds up
instead fails a case. Which way is from Comet.sol, CometCore.sol and CometMath.sol of compound-finance/comet at d5a30b0.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from tests.support import roundings

from tocsin.model.block import BlockRef
from tocsin.protocols.base import Liquidation, Reach, Reading, Refusal, UnknownStateError
from tocsin.protocols.comet import KIND, critical, liquidation, reading, valuation
from tocsin.protocols.comet.liquidation import BAD_PRICE, HEALTHY, NOT_FOR_SALE, PAUSED, SHORT
from tocsin.protocols.comet.market import FACTOR, INDEX, PAUSED_ABSORB, PAUSED_BUY, Account, Asset, Market, doubt
from tocsin.protocols.comet.rules import CometRules
from tocsin.protocols.comet.valuation import Indexes, accrued, position, stored
from tocsin.protocols.places import Parts, Target, Unread

TENTH: Final = FACTOR // 10
BASE: Final = b"\xba" * 20
RULES: Final = CometRules()


def address(number: int) -> bytes:
    return number.to_bytes(20)


def of(number: int, price: int | None = 1, *, scale: int = 1, counts: int = 8, credits_: int = 9) -> Asset:
    """Return an asset of which a unit has this price; tenths of it that count, and that are credited."""
    return Asset(
        asset=address(number),
        feed=b"",
        scale=scale,
        price=price,
        borrow_factor=7 * TENTH,
        liquidate_factor=counts * TENTH,
        liquidation_factor=credits_ * TENTH,
        reserves=1_000,
    )


def market(*assets: Asset, **more: Any) -> Market:
    """Return a market that stands still, whose base token has a price of 1 a unit."""
    values: dict[str, Any] = {"base_scale": 1, "base_price": 1, "supply_index": INDEX, "borrow_index": INDEX}
    values |= {"supply_principal": 0, "borrow_principal": 0, "supply_rate": 0, "borrow_rate": 0, "accrued_s": 0}
    block = BlockRef(number=0, hash="")
    return Market(block=block, base=BASE, base_feed=b"", assets=assets, **values | more)


def account(owes: int, *balances: int) -> Account:
    return Account(address=bytes(20), principal=-owes, balances=dict(enumerate(balances)))


def at(of_market: Market, of_account: Account) -> tuple[int, int, int, int]:
    found = position(of_market, of_account, stored(of_market))
    return found.debt, found.weighted, found.collateral, found.lending


def absorbed(of_market: Market, of_account: Account, at_s: int = 0) -> object:
    found = liquidation.absorption(of_market, of_account, at_s)
    return found if isinstance(found, Refusal) else (found.paid_out, found.credited, found.deficit)


def edge(of_market: Market, of_account: Account, asset: bytes) -> object:
    found = critical.critical_price(of_market, of_account, asset, stored(of_market))
    return found.reach, found.edge, found.exact


@dataclass(frozen=True)
class Case:
    """What is worked out, and what comes out of it."""

    name: str
    work: Callable[[], object]
    comes_to: object


CASES: Final = (
    Case(
        # 10 % a second for 3 seconds of 7 are 2.1; 5 % of 11 for 3 are 1.65.
        "interest is simple, and what it adds to an index is cut",
        lambda: accrued(market(supply_index=7, supply_rate=TENTH, borrow_index=11, borrow_rate=TENTH // 2), 3),
        Indexes(supply=9, borrow=12),
    ),
    Case(
        # 5 at 1.5 are 7.5.
        "what is owed is cut, and what is supplied",
        lambda: (
            at(market(borrow_index=3 * INDEX // 2), account(5)),
            valuation.supplied(5, Indexes(supply=3 * INDEX // 2, borrow=INDEX)),
        ),
        ((7, 0, 0, 0), 7),
    ),
    Case(
        # 3 at 5 of a scale of 2: 7.5.
        "a debt's value is divided towards zero",
        lambda: at(market(base_price=5, base_scale=2), account(3)),
        (7, 0, 0, 0),
    ),
    Case(
        # 3 at 5 of a scale of 4: 3.75, of which 80 % are 2.4, and 70 % 2.1.
        "collateral is cut to a unit of prices, and again behind its factor",
        lambda: at(market(of(0, 5, scale=4)), account(0, 3)),
        (0, 2, 3, 2),
    ),
    Case(
        # 0.8 and 0.8 are nothing, not 1.6.
        "collaterals are cut one by one",
        lambda: at(market(of(0), of(1)), account(0, 1, 1)),
        (0, 0, 2, 0),
    ),
    Case(
        # 8 against 9 is 0.888; 8 against 8 is the line.
        "at the line nobody can be liquidated, and health is cut",
        lambda: [
            (found.falls, found.health_wad)
            for owes in (9, 8, 0)
            for found in (position(market(of(0)), account(owes, 10), Indexes(supply=INDEX, borrow=INDEX)),)
        ],
        [(True, 888888888888888888), (False, FACTOR), (False, None)],
    ),
    # -- absorptions
    Case(
        # 3 at 5 of a scale of 4: 3, of which 90 % are 2.7: 2 for a debt of 7.
        "what is credited is cut twice, and reserves pay the rest",
        lambda: absorbed(market(of(0, 5, scale=4)), account(7, 3)),
        (7, 0, 5),
    ),
    Case(
        # 9 of value at a price of 5 for a scale of 3 are 5.4 of the base token; 7 are owed, worth 11.
        "what it comes to of the base token is cut",
        lambda: absorbed(market(of(0), base_price=5, base_scale=3), account(7, 10)),
        (7, 0, 2),
    ),
    Case(
        # 9 are credited against 9 of a principal of 6: nothing is left. 18 for 15 leave 3, at 1.5 a principal of 2.
        "what is left to the account is a supply, cut to a principal",
        lambda: [
            absorbed(
                market(of(0, counts=6), borrow_index=3 * INDEX // 2, supply_index=7 * INDEX // 5), account(owes, has)
            )
            for owes, has in ((6, 10), (10, 20))
        ],
        [(9, 0, 0), (18, 2, 0)],
    ),
    Case(
        # 8 seconds of 5 % let 10 owe 14, which 8 of 11 do not count for; at once 10 of 13 do.
        "interest is added before",
        lambda: [absorbed(market(of(0), borrow_rate=TENTH // 2), account(10, 13), at_s) for at_s in (0, 8)],
        [HEALTHY, (14, 0, 3)],
    ),
    # -- sales
    Case(
        # 50 % of the tenth that is kept are 5 %: 95 % of 33 are 31.35. 31 at 10 of a scale of 3 buy 930 / 31.
        "a discount is a part of what is kept, and what is sold is cut",
        lambda: liquidation.quote(
            market(of(0, 33, scale=3), base_price=10, store_front_factor=5 * TENTH), address(0), 31
        ),
        30,
    ),
    Case(
        # 3 of 18 decimals of the tenth, half of it 1.5 of them: cut, one, so of 10 ** 18 all but one.
        "a discount itself is cut",
        lambda: liquidation.quote(
            market(
                replace(of(0, FACTOR, scale=FACTOR), liquidation_factor=FACTOR - 3),
                base_price=FACTOR - 1,
                store_front_factor=5 * TENTH,
            ),
            address(0),
            1,
        ),
        FACTOR,
    ),
    Case(
        # 13 at 3 by 2 for a base scale of 4, at 7: 78 / 7 are 11, of which 4 make 2.
        "first behind the price, then behind the scale of the base token",
        lambda: liquidation.quote(market(of(0, 7, scale=2), base_price=3, base_scale=4), address(0), 13),
        2,
    ),
    Case(
        # 7 supplied at 1.5 are 10, 5 borrowed are 7: 20 - 10 + 7.
        "reserves are what is there and lent beyond what is supplied, each cut",
        lambda: liquidation.reserves(
            market(
                supply_index=3 * INDEX // 2,
                borrow_index=3 * INDEX // 2,
                supply_principal=7,
                borrow_principal=5,
                base_balance=20,
            ),
            0,
        ),
        17,
    ),
    # -- prices
    Case(
        # 10 at p count 8 p; 12 are owed: 1 counts 8, 2 count 16.
        "collateral falls up to a price",
        lambda: edge(market(of(0)), account(12, 10), address(0)),
        (Reach.BELOW, 1, True),
    ),
    Case(
        # 3 at p of a scale of 4, cut, 80 % of it, cut: for 4, 5 is needed, that 6 is not enough for and 7 is.
        "what is cut makes steps of the price",
        lambda: edge(market(of(0, scale=4)), account(4, 3), address(0)),
        (Reach.BELOW, 6, True),
    ),
    Case(
        # 7 count; 3 at p of a scale of 2: 7.5 at 5, cut 7; 9 at 6.
        "a debt falls from a price on",
        lambda: edge(market(of(0), base_scale=2), account(3, 9), BASE),
        (Reach.ABOVE, 6, True),
    ),
    Case(
        # 3 at 5 of a scale of 2 are 7 owed, not 8: 8 count for 10 at 1.
        "what is owed is cut before prices of collateral are compared",
        lambda: edge(market(of(0), base_price=5, base_scale=2), account(3, 9), address(0)),
        (Reach.NEVER, None, True),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_worked_by_hand(case: Case) -> None:
    assert case.work() == case.comes_to


def _failing() -> set[str]:
    found = set()
    for case in CASES:
        try:
            right = case.work() == case.comes_to
        except (ArithmeticError, UnknownStateError):
            right = False
        found |= set() if right else {case.name}
    return found


def test_each_division_that_rounds_up_fails_a_case() -> None:
    assert not _failing()
    silent, noticing = roundings.unnoticed((valuation, liquidation, critical), _failing)
    assert silent == set()
    assert len(noticing) >= 10


# -- what is refused, and what is not known


def test_absorptions_are_refused_by_the_contract_s_own_words() -> None:
    falls, healthy = account(9, 10), account(8, 10)
    assert liquidation.absorption(market(of(0), pauses=PAUSED_ABSORB), falls, 0) == PAUSED
    assert liquidation.absorption(market(of(0)), healthy, 0) == HEALTHY
    # The base token's buyers' pause is another one.
    assert not isinstance(liquidation.absorption(market(of(0), pauses=PAUSED_BUY), falls, 0), Refusal)
    verdict = RULES.verdict(market(of(0), pauses=PAUSED_ABSORB), falls, 0)
    assert (verdict.liquidatable, verdict.blocked) == (True, "Paused")


def test_what_comes_behind_enough_collateral_needs_no_price_and_nothing_is_absorbed_without_one() -> None:
    priceless = market(of(0), of(1, None))
    enough, short = account(8, 10, 5), account(9, 10, 5)
    assert not RULES.verdict(priceless, enough, 0).liquidatable
    assert not position(priceless, enough, stored(priceless)).whole
    for asks in (RULES.verdict, liquidation.absorption):
        with pytest.raises(UnknownStateError, match=f"0x{address(1).hex()} has no price: BadPrice"):
            asks(priceless, short, 0)
    with pytest.raises(UnknownStateError, match="base token has no price: BadPrice"):
        RULES.verdict(market(of(0), base_price=None), short, 0)
    # Who owes nothing needs none for it.
    assert not RULES.verdict(market(of(0), base_price=None), account(0, 10), 0).liquidatable
    assert liquidation.blocked(market(of(0, None)), falls := account(9, 10)) == BAD_PRICE.reason
    assert liquidation.blocked(market(of(0)), falls) == ""


def test_an_absorption_takes_all_collateral_and_reserves_pay_what_it_does_not_cover() -> None:
    found = RULES.liquidation(market(of(0), of(1)), account(30, 10, 20), address(1), BASE, None, 0)
    assert found == Liquidation(repaid=30, seized=20, deficits=((BASE, 3),))
    covered = RULES.liquidation(market(of(0), of(1)), account(26, 10, 20), address(0), BASE, 1, 0)
    assert covered == Liquidation(repaid=27, seized=10)
    with pytest.raises(UnknownStateError, match="lends"):
        RULES.liquidation(market(of(0)), account(9, 10), address(0), address(0), None, 0)


def test_collateral_is_for_sale_while_reserves_are_below_their_target_and_as_long_as_there_is_some() -> None:
    rich = market(of(0), base_balance=100, target_reserves=100)
    poor = replace(rich, base_balance=99)
    assert liquidation.purchase(rich, address(0), 5, 0) == NOT_FOR_SALE
    assert liquidation.purchase(poor, address(0), 5, 0) == 5
    assert liquidation.purchase(replace(rich, base_balance=0, supply_principal=7), address(0), 5, 0) == 5
    assert liquidation.purchase(poor, address(0), 1_001, 0) == SHORT
    assert liquidation.purchase(replace(poor, pauses=PAUSED_BUY), address(0), 5, 0) == PAUSED


def test_indexes_that_go_back_and_times_before_the_last_interest_are_named() -> None:
    first = market(of(0), accrued_s=10)
    assert (
        doubt(first, replace(first, borrow_index=INDEX - 1))
        == f"the base borrow index went back from {INDEX} to {INDEX - 1}"
    )
    assert doubt(first, replace(first, supply_index=INDEX + 1)) == ""
    with pytest.raises(UnknownStateError, match="added up to 10, after 9"):
        RULES.verdict(first, account(9, 10), 9)
    with pytest.raises(UnknownStateError, match="64 bits"):
        accrued(replace(first, borrow_rate=10**30), 11)
    with pytest.raises(UnknownStateError, match="255 bits"):
        RULES.verdict(market(of(0, 2**200)), account(9, 2**100), 0)


def test_the_view_is_held_against_what_is_stored_and_says_yes_or_no() -> None:
    grows, owes = market(of(0), borrow_rate=TENTH), account(8, 10)
    assert RULES.verdict(grows, owes, 2).liquidatable
    assert RULES.differs(grows, owes, False, 2) == ()  # noqa: FBT003 - what the view answers
    (difference,) = RULES.differs(grows, owes, True, 2)  # noqa: FBT003
    assert (difference.what, difference.ours, difference.chain) == ("isLiquidatable", "False", "True")
    for junk in (1, (True,), b"\x01"):
        with pytest.raises(UnknownStateError, match="yes or no"):
            RULES.view_verdict(junk)
    assert RULES.view_verdict(True).liquidatable  # noqa: FBT003


def test_columns_come_to_what_the_rules_do_within_their_steps() -> None:
    of_market = market(
        of(0, 5, scale=4), of(1, 7, scale=3, counts=6), base_price=5, base_scale=2, borrow_rate=TENTH // 3
    )
    of_account = account(11, 13, 17)
    columns, legs = RULES.columns(of_market, 5), RULES.legs(of_market, of_account, 5)
    found = position(of_market, of_account, accrued(of_market, 5))
    for side, factor, exact in (
        (legs.collateral, "collateral", found.weighted),
        (legs.collateral, "raw", found.collateral),
        (legs.debt, "debt", found.debt),
    ):
        told = sum(getattr(columns.all[at_], factor) * amount for at_, amount in side.items())
        steps = sum(
            columns.all[at_].debt_step if factor == "debt" else columns.all[at_].collateral_step for at_ in side
        )
        assert exact <= told <= exact + steps


def test_a_parameter_that_governance_changes_is_another_text() -> None:
    parts = Parts(target=Target(pool=bytes(20)), at={}, names={address(0): "WETH"})
    before = dict(RULES.parameters(parts, market(of(0))))
    assert before["WETH liquidate collateral factor"] == "80 %"
    after = dict(RULES.parameters(parts, market(of(0, counts=7), pauses=PAUSED_BUY, target_reserves=5)))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"WETH liquidate collateral factor", "buy paused", "target reserves"}


# -- reading


SAID: Final[dict[str, Any]] = {
    "version": "0",
    "baseToken": BASE,
    "baseTokenPriceFeed": b"\xfe" * 20,
    "baseScale": 10**6,
    "numAssets": 1,
    "getAssetInfo": (0, address(5), b"\xfd" * 20, 10**18, 7 * TENTH, 8 * TENTH, 9 * TENTH, 10**24),
    "totalsBasic": (INDEX, 2 * INDEX, 0, 0, 50, 40, 1_000, PAUSED_BUY),
    "getUtilization": 16 * TENTH,
    "getPrice": 10**8,
    "getSupplyRate": 3,
    "getBorrowRate": 4,
    "balanceOf": 77,
    "getCollateralReserves": 5,
    "storeFrontPriceFactor": 5 * TENTH,
    "baseBorrowMin": 100,
    "targetReserves": 1_000,
    "description": "USDC / USD",
    "symbol": "USDC",
    "userBasic": (-9, 0, 0, 1, 0),
    "userCollateral": (12, 0),
} | {read.asks.name: 1 for read in reading.RATES}
TARGET: Final = Target(pool=b"\xc0" * 20)


def drive(asks: Reading[Any], **other: Any) -> Any:
    """Answer a reading by the names of what it asks; what is None reverts."""
    said, questions = SAID | other, next(asks)
    while True:
        try:
            questions = asks.send([said.get(one.read.asks.name) for one in questions])
        except StopIteration as done:
            return done.value


def read(**other: Any) -> Market:
    found: Market = drive(RULES.market(drive(RULES.parts(TARGET), **other), BLOCK), **other)
    return found


BLOCK: Final = BlockRef(number=7, hash="0x07")


def test_a_comet_and_its_accounts_are_read() -> None:
    assert drive(KIND.revision(TARGET)) == "0"
    parts, found = drive(RULES.parts(TARGET)), read()
    assert (found.borrow_index, found.borrow_rate, found.accrued_s, found.base_balance) == (2 * INDEX, 4, 1_000, 77)
    assert found.assets[0].liquidate_factor == 8 * TENTH
    (mine,) = drive(RULES.accounts(parts, found, (address(1),)))
    assert (mine.principal, mine.balances) == (-9, {0: 12})
    assert RULES.base(parts, found).name == "USD"
    in_ether = {"description": "Constant price feed", "symbol": "WETH"}
    assert RULES.base(drive(RULES.parts(TARGET), **in_ether), read(**in_ether)).name.startswith("WETH")


def test_a_price_that_is_missing_is_part_of_a_market_and_what_is_no_comet_is_named() -> None:
    found = read(getPrice=None)
    assert (found.base_price, found.assets[0].price) == (None, None)
    for other, said in (
        ({"numAssets": 25}, "25 assets"),
        ({"totalsBasic": (0, 0, 0, 0, 0, 0, 0, 0)}, "never initialized"),
        ({"getAssetInfo": (1, *SAID["getAssetInfo"][1:])}, "says that it is number 1"),
        ({"getAssetInfo": None}, "getAssetInfo"),
        ({"baseScale": None}, "baseScale"),
    ):
        with pytest.raises(UnknownStateError, match=said):
            read(**other)
    with pytest.raises(UnknownStateError, match="version"):
        drive(KIND.revision(TARGET), version=None)


def test_an_account_that_cannot_be_read_says_why() -> None:
    parts, found = drive(RULES.parts(TARGET)), read()
    for other, said in (
        ({"userBasic": None}, "principal"),
        ({"userCollateral": None}, "balance of asset 0"),
        ({"userBasic": (-9, 0, 0, 3, 0)}, "a bit set"),
        ({"userBasic": (-9, 0, 0, 0, 1)}, "a bit set"),
    ):
        (unread,) = drive(RULES.accounts(parts, found, (address(1),)), **other)
        assert isinstance(unread, Unread)
        assert said in unread.reason


def test_a_bit_of_the_second_word_is_of_an_asset_from_the_seventeenth_on() -> None:
    many = market(*(of(number) for number in range(20)))
    (mine,) = drive(RULES.accounts(drive(RULES.parts(TARGET)), many, (address(1),)), userBasic=(-9, 0, 0, 2, 4))
    assert mine.balances == {1: 12, 18: 12}
