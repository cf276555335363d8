"""Aave v3 worked by hand, for revisions of which npm has no contracts: small numbers, each on the edge of a rounding.

Which way each rounds is from the sources that `tocsin.protocols.aave_v3.revisions` names. That a case is on an edge is
tried: every rounding is turned the other way, one at a time, and some case has to notice.
"""

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any, Final

import pytest

from tocsin.model.block import BlockRef
from tocsin.protocols.aave_v3 import growth, liquidation, valuation
from tocsin.protocols.aave_v3.growth import compound, debt_index, supply_index
from tocsin.protocols.aave_v3.liquidation import DUST, NOTHING
from tocsin.protocols.aave_v3.market import Account, Category, Configuration, Holding, Market, Reserve
from tocsin.protocols.aave_v3.revisions import REVISIONS, Revision
from tocsin.protocols.base import Liquidation

RAY: Final = 10**27
YEAR_S: Final = 31_536_000
QUARTER: Final = RAY // 4
BASE: Final = 10**8
WITHOUT_CONTRACTS: Final = ("4", "5", "6", "7", "8", "9", "11")
NEAREST: Final = ("4", "5", "6", "7", "8")
"""Those that round to the nearest; since 9 they round against the account."""
OLD: Final = ("4", "5", "6")
"""Those without rules for small positions."""


def asset(number: int) -> bytes:
    return number.to_bytes(20)


def of(
    number: int,
    price: int = 1,
    *,
    decimals: int = 0,
    supply: int = 4,
    debt: int = 4,
    threshold: int = 8_000,
    ltv: int = 0,
    bonus: int = 10_500,
    fee: int = 0,
    category: int = 0,
) -> Reserve:
    """Return a reserve that stands still; indexes in quarters."""
    return Reserve(
        id=number,
        asset=asset(number),
        configuration=Configuration(
            ltv=ltv, threshold=threshold, bonus=bonus, decimals=decimals, protocol_fee=fee, category=category
        ),
        liquidity_index=supply * QUARTER,
        liquidity_rate=0,
        variable_index=debt * QUARTER,
        variable_rate=0,
        updated_s=0,
        price=price,
    )


def market(*reserves: Reserve, category: Category | None = None) -> Market:
    categories = {} if category is None else {category.number: category}
    return Market(block=BlockRef(number=0, hash=""), reserves=reserves, categories=categories)


def account(
    supplied: Mapping[int, int], borrowed: Mapping[int, int], category: int = 0, stable: Holding | None = None
) -> Account:
    flags = sum(2 << 2 * at for at in supplied) + sum(1 << 2 * at for at in borrowed)
    holdings = {
        at: Holding(supplied=supplied.get(at, 0), borrowed=borrowed.get(at, 0)) for at in {*supplied, *borrowed}
    }
    if stable is not None:
        holdings[0], flags = stable, flags | 1
    return Account(address=bytes(20), flags=flags, category=category, holdings=holdings)


Expected = Mapping[tuple[str, ...], object]


@dataclass(frozen=True)
class Case:
    """What is worked out, and what comes out of it, by revision."""

    name: str
    work: Callable[[Revision], object]
    comes_to: Expected

    def expected(self, revision: str) -> object:
        return next(value for revisions, value in self.comes_to.items() if revision in revisions)


def everywhere(value: object) -> Expected:
    return {WITHOUT_CONTRACTS: value}


def either(nearest: object, directed: object) -> Expected:
    return {NEAREST: nearest, ("9", "11"): directed}


def data(of_market: Market, of_account: Account, *fields: str, at_s: int = 0) -> Callable[[Revision], object]:
    def work(revision: Revision) -> object:
        found = valuation.account_data(revision, of_market, of_account, at_s)
        return tuple(getattr(found, name) for name in fields)

    return work


def seizure(of_market: Market, of_account: Account, amount: int | None = None) -> Callable[[Revision], object]:
    """Liquidate reserve 0 for the debt in reserve 1: repaid, seized, fee, deficits, debt left, collateral left."""

    def work(revision: Revision) -> object:
        found = liquidation.liquidation(revision, of_market, of_account, asset(0), asset(1), amount, 1)
        if not isinstance(found, Liquidation):
            return found
        deficits = tuple((int.from_bytes(one), owed) for one, owed in found.deficits)
        return found.repaid, found.seized, found.fee, deficits, found.debt_left, found.collateral_left

    return work


_AVERAGES = market(of(0), of(1, threshold=7_500, ltv=6_000), of(2, threshold=0, ltv=0, decimals=0))
_ODD = 333_333_333_333
"""A price of which three tenths end in ,9: 99,999,999,999.9 base units, just below the thousand dollars of dust."""
_EVEN = 666_666_666_666
"""Three tenths of it are 199,999,999,999.8, just below the two thousand dollars of a small position."""

CASES: Final = (
    # -- growth
    Case(
        # 1.5 a second becomes 1; (1 ray + 1) x 1.5 ray ends in 1.5, x 1.25 ray in 1.25.
        "supplies grow by simple interest, and their index to the nearest",
        lambda _: tuple(supply_index(index, YEAR_S * 3 // 2, 1) - index for index in (6 * QUARTER, 5 * QUARTER)),
        everywhere((2, 1)),
    ),
    Case(
        # The same of debts: the first terms of both series are the same.
        "the index of debts grows to the nearest",
        lambda revision: tuple(
            debt_index(revision.growth, index, YEAR_S * 3 // 2, 1) - index for index in (6 * QUARTER, 5 * QUARTER)
        ),
        everywhere((2, 1)),
    ),
    Case(
        # 0.1 and 0.2 of a ray a second: one term in one second, two in two; the exponential is e^0.1 and e^0.2.
        "debts grow by a binomial until 3.3, by an exponential since",
        lambda revision: tuple(compound(revision.growth, YEAR_S * RAY // 10, seconds) for seconds in (0, 1, 2)),
        {
            ("4", "5", "6", "7"): (RAY, 11 * RAY // 10, 121 * RAY // 100),
            ("8", "9", "11"): (
                RAY,
                1_105166666666666666666666667,
                1_221333333333333333333333333,
            ),
        },
    ),
    Case(
        # Squares of five years' seconds less than half a unit below a whole one or above the one before it; 2.5 of them
        # for 5e13; 1.5 a second; cubes of three years' seconds, as close.
        "terms of the binomial are cut behind a product to the nearest",
        lambda revision: tuple(
            compound(revision.growth, rate, seconds) - RAY
            for rate, seconds in (
                (2_229931945149896272950, 2),
                (2_229931945149896048729, 2),
                (YEAR_S * 5 * 10**13, 2),
                (YEAR_S * 3 // 2, 1),
                (45_482_782_450_349_357_868_161_258, 3),
                (39_732_870_024_240_597_776_856_055, 3),
            )
        ),
        {
            ("4", "5", "6", "7"): (
                141_421356237314,
                141_421356237313,
                100_000000000002,
                1,
                4_326_748_717_270_441_527,
                3_779_763_134_922_077_323,
            ),
            ("8", "9", "11"): (
                141_421356237309 + 10,
                141_421356237309 + 10,
                100_000000000000 + 5,
                1,
                4_326_748_720_390_567_273,
                3_779_763_137_303_178_886,
            ),
        },
    ),
    Case(
        # Seven rays and a little: x/6 ends in 5/6 and in 1/3, and what is lost of it comes back seven times.
        "terms of the exponential are cut, their products to the nearest",
        lambda revision: tuple(compound(revision.growth, YEAR_S * (7 * RAY + more), 1) for more in (1, 2, 4)),
        {
            ("4", "5", "6", "7"): (8 * RAY + 1, 8 * RAY + 2, 8 * RAY + 4),
            ("8", "9", "11"): (
                89_666666666666666666666666654,
                89_666666666666666666666666729,
                89_666666666666666666666666783,
            ),
        },
    ),
    # -- what an account comes to
    Case(
        # 3 shares at 1.5 are 4.5, 5 at 1.25 are 6.25.
        "supplies are rounded to the nearest until 3.4, down since",
        lambda revision: (
            data(market(of(0, supply=6)), account({0: 3}, {}), "collateral")(revision),
            data(market(of(0, supply=5)), account({0: 5}, {}), "collateral")(revision),
        ),
        either(((5,), (6,)), ((4,), (6,))),
    ),
    Case(
        "debts are rounded to the nearest until 3.4, up since",
        lambda revision: (
            data(market(of(0, debt=6)), account({}, {0: 3}), "debt")(revision),
            data(market(of(0, debt=5)), account({}, {0: 5}), "debt")(revision),
        ),
        either(((5,), (6,)), ((5,), (7,))),
    ),
    Case(
        # 15 tenths of a token at 7 are 10.5.
        "collateral is worth what it is, cut; a debt too until 3.4, rounded up since",
        data(market(of(0, 7, decimals=1), of(1, 7, decimals=1)), account({0: 15}, {1: 15}), "collateral", "debt"),
        either((10, 10), (10, 11)),
    ),
    Case(
        # 3 at 1.5 are 4.5, 5 at 1.25 are 6.25: a principal of its own, its own rate, until stable debts went.
        "a stable debt grows by its own rate, to the nearest, in 3.1 alone",
        lambda revision: tuple(
            data(
                market(of(0)), account({}, {}, stable=Holding(stable=owed, stable_rate=YEAR_S * rate)), "debt", at_s=1
            )(revision)
            for owed, rate in ((3, RAY // 2), (5, QUARTER))
        ),
        {("4",): ((5,), (6,)), ("5", "6", "7", "8", "9", "11"): ((0,), (0,))},
    ),
    Case(
        # 1 at 80 % and 2 at 75 % are 76.66 % of 3, which lend 2 at 60 % of 3: 40 %.
        "average threshold and ltv are cut to a basis point",
        data(_AVERAGES, account({0: 1, 1: 2}, {}), "threshold", "ltv"),
        everywhere((7_666, 4_000)),
    ),
    Case(
        # 2 at 50 % and 1 at 49 % are 49.66 % of 3: 1.4898. 2 more at 49 %: 49.4 % of 5 are 2.47.
        "what can be borrowed is rounded to the nearest until 3.4, down since",
        lambda revision: tuple(
            data(market(of(0, ltv=5_000), of(1, ltv=4_900)), account(has, {}), "ltv", "available")(revision)
            for has in ({0: 2, 1: 1}, {0: 1, 1: 2}, {0: 2, 1: 2})
        ),
        either(((4_966, 1), (4_933, 1), (4_950, 2)), ((4_966, 1), (4_933, 1), (4_950, 1))),
    ),
    Case(
        # 3 at 76.66 % are 2.2998, to the nearest 2, against 3; 1 at 80 % is 0.8 against 1. From the sum: 2.3 and 0.8.
        # 30,000 at 76.66 % are 22,998, two short of what is owed and of the sum.
        "health is of an average until 3.4, of the sum since",
        lambda revision: (
            data(_AVERAGES, account({0: 1, 1: 2}, {2: 3}), "health")(revision),
            data(_AVERAGES, account({0: 1}, {2: 1}), "health")(revision),
            data(_AVERAGES, account({0: 1}, {2: 3}), "health")(revision),
            data(_AVERAGES, account({0: 10_000, 1: 20_000}, {2: 23_000}), "health")(revision),
        ),
        either(
            ((666666666666666667,), (10**18,), (333333333333333333,), (999913043478260870,)),
            ((766666666666666666,), (8 * 10**17,), (266666666666666666,), (10**18,)),
        ),
    ),
    Case(
        # A sum that misses the line by half a unit of its 22 decimals, and by three quarters: twenty billions owed.
        "health that is of the sum is rounded to the nearest before it is cut",
        lambda revision: (
            valuation.health(revision, 10**30, 2 * 10**22 - 1, 2 * 10**18) if revision.directed else 0,
            valuation.health(revision, 10**30, 4 * 10**22 - 3, 4 * 10**18) if revision.directed else 0,
        ),
        either((0, 0), (10**18, 10**18 - 1)),
    ),
    Case(
        "collateral whose own threshold is 0 counts in its category since 3.6 alone",
        data(
            market(
                of(0, 10, threshold=0, ltv=0, category=1),
                category=Category(number=1, ltv=9_000, threshold=9_300, bonus=10_100, collateral=1),
            ),
            account({0: 1}, {}, category=1),
            "collateral",
            "threshold",
            "ltv",
        ),
        {("4", "5", "6", "7", "8", "9"): (0, 0, 0), ("11",): (10, 9_300, 9_000)},
    ),
    Case(
        # One asset of the category that no longer lends by itself, one that is none of it.
        "what a category lends on: until 3.5 not what does not lend by itself, since 3.7 nothing else if it says so",
        data(
            market(
                of(0, 10, ltv=0, category=1),
                of(1, 10, ltv=5_000),
                category=Category(number=1, ltv=9_000, threshold=9_300, bonus=10_100, collateral=1, isolated=True),
            ),
            account({0: 1, 1: 1}, {}, category=1),
            "threshold",
            "ltv",
        ),
        {("4", "5", "6", "7", "8", "9"): (8_650, 2_500), ("11",): (8_650, 4_500)},
    ),
    # -- liquidations: reserve 0 is seized, what is owed of reserve 1 repaid
    Case(
        # 5 x 7 are 11.67 of what costs 3, cut 11, with the bonus 11.55; half of a bonus of 1 is the fee.
        "what is seized is cut and its bonus rounded to the nearest, down since 3.7; so is the fee, up since",
        seizure(market(of(0, 3, fee=5_000), of(1, 7)), account({0: 13}, {1: 5})),
        {(*NEAREST, "9"): (5, 12, 1, (), 0, 1), ("11",): (5, 11, 1, (), 0, 2)},
    ),
    Case(
        # 9.33, cut 9, with the bonus 9.45; without it 8.57, to the nearest 9: no bonus, no fee.
        "a bonus that is rounded away has no fee until 3.6",
        seizure(market(of(0, 3, fee=6_000), of(1, 7)), account({0: 10}, {1: 4})),
        {(*NEAREST, "9"): (4, 9, 0, (), 0, 1), ("11",): (4, 9, 1, (), 0, 1)},
    ),
    Case(
        # 42 with a bonus of 2, of which 12 % are 0.24.
        "a fee of less than half a unit is none until 3.6, and one since",
        seizure(market(of(0, 3, fee=1_200), of(1, 15)), account({0: 45}, {1: 8})),
        {(*NEAREST, "9"): (8, 42, 0, (), 0, 3), ("11",): (8, 42, 1, (), 0, 3)},
    ),
    Case(
        # 24 are wanted where there are 20, worth 8.57 of the debt, cut 8, without the bonus 7.62.
        "what all collateral repays is rounded to the nearest, and what is left of the debt is written off since 3.3",
        seizure(market(of(0, 3), of(1, 7)), account({0: 20}, {1: 10})),
        {OLD: (8, 20, 0, (), 2, 0), ("7", "8", "9", "11"): (8, 20, 0, ((1, 2),), 0, 0)},
    ),
    Case(
        # 26 are worth 11.14, cut 11, without the bonus 10.48.
        "what all collateral repays is rounded up since 3.5",
        seizure(market(of(0, 3), of(1, 7)), account({0: 26}, {1: 12})),
        {
            OLD: (10, 26, 0, (), 2, 0),
            ("7", "8"): (10, 26, 0, ((1, 2),), 0, 0),
            ("9", "11"): (11, 26, 0, ((1, 1),), 0, 0),
        },
    ),
    Case(
        # 3 tenths at 666,666,666,666 are worth 199.99 of the debt, cut 199, without the bonus 189.52.
        "collateral is all gone if what is seized is worth as much as it was, both cut",
        seizure(market(of(0, _EVEN, decimals=1), of(1, 10 * BASE)), account({0: 3}, {1: 300})),
        {OLD: (190, 3, 0, (), 110, 0), ("7", "8", "9", "11"): (190, 3, 0, ((1, 110),), 0, 0)},
    ),
    Case(
        # 7 shares at 1.5: 8 for the liquidator are 6 of them, 1 for the protocol the last; one unit of 10 seems left.
        "since 3.7 it is the shares that say that nothing is left, and other debts are written off",
        seizure(market(of(0, supply=6, bonus=11_250, fee=5_000), of(1), of(2)), account({0: 7}, {1: 8, 2: 3})),
        {NEAREST: (8, 9, 1, (), 0, 2), ("9",): (8, 9, 1, (), 0, 0), ("11",): (8, 9, 1, ((2, 3),), 0, 0)},
    ),
    Case(
        # 6 shares at 1.75 are 10.5: the liquidator's 9 (or 10) are all 6.
        "a fee is not paid of shares that the liquidator has had",
        seizure(market(of(0, supply=7, bonus=11_000, fee=10_000), of(1)), account({0: 6}, {1: 20})),
        {
            OLD: (10, 10, 0, (), 10, 0),
            ("7", "8"): (10, 10, 0, ((1, 10),), 0, 0),
            ("9", "11"): (10, 9, 0, ((1, 10),), 0, 0),
        },
    ),
    Case(
        # 7 shares at 1.5, 8 for the liquidator (6 shares), a fee of 2 (2 shares) of the one that is left: 1.5.
        "a fee is cut to the share that is left",
        seizure(market(of(0, supply=6, bonus=12_500, fee=10_000), of(1)), account({0: 7}, {1: 20})),
        {
            OLD: (9, 11, 2, (), 11, 0),
            ("7", "8"): (9, 11, 2, ((1, 11),), 0, 0),
            ("9", "11"): (8, 9, 1, ((1, 12),), 0, 0),
        },
    ),
    Case(
        # 3 shares at 1.25: 2 and 2 of 4 are 1.6 shares each; one share is left for the fee, 1.25.
        "a fee of shares to the nearest may be more than is left",
        seizure(market(of(0, supply=5, bonus=20_000, fee=10_000), of(1)), account({0: 3}, {1: 5})),
        {
            OLD: (2, 3, 1, (), 3, 0),
            ("7", "8"): (2, 3, 1, ((1, 3),), 0, 0),
            ("9",): (2, 3, 1, ((1, 3),), 0, 0),
            ("11",): (2, 3, 2, ((1, 3),), 0, 0),
        },
    ),
    Case(
        # 2 shares at 1.75: 1 and 3 of 4 are 0.57 and 1.71 shares; the one that is left is 1.75.
        "what is left for the fee is rounded as balances are",
        seizure(market(of(0, supply=7, bonus=40_000, fee=10_000), of(1)), account({0: 2}, {1: 5})),
        {
            OLD: (1, 3, 2, (), 4, 0),
            ("7", "8"): (1, 3, 2, ((1, 4),), 0, 0),
            ("9",): (1, 2, 1, ((1, 4),), 0, 0),
            ("11",): NOTHING,
        },
    ),
    Case(
        # 99.2 (or 99) stand for 101: above 0.95, so half of 101 until 3.2; small, so all of it since.
        "half of a debt is repaid, to the nearest, while health is above 0.95; small ones whole since 3.3",
        seizure(market(of(0), of(1)), account({0: 124}, {1: 101})),
        {OLD: (51, 54, 0, (), 50, 70), ("7", "8", "9", "11"): (101, 106, 0, (), 0, 18)},
    ),
    Case(
        # All debts are 1,002 times 7 dollars less one unit; half of it is 501 times, to the nearest. 350.7 are seized.
        "since 3.3 half of all debts is repaid, not of the one",
        seizure(market(of(0, 10 * BASE), of(1, 7 * BASE), of(2, 1_399_999_999)), account({0: 870}, {1: 1_000, 2: 1})),
        {
            OLD: (500, 368, 0, (), 500, 502),
            ("7", "8", "9"): (501, 368, 0, (), 499, 502),
            ("11",): (501, 367, 0, (), 499, 503),
        },
    ),
    Case(
        # 3 of 13 are left, worth 99,999,999,999.9.
        "a debt that is left is dust below a thousand dollars, which it reaches by rounding up since 3.5",
        seizure(market(of(0, 10 * BASE), of(1, _ODD, decimals=1)), account({0: 500}, {1: 13}), 10),
        {
            OLD: (10, 350, 0, (), 3, 150),
            ("7", "8"): DUST,
            ("9",): (10, 350, 0, (), 3, 150),
            ("11",): (10, 349, 0, (), 3, 151),
        },
    ),
    Case(
        # 22 of 25 are seized; 3 are left, worth 99,999,999,999.9.
        "collateral that is left is dust below a thousand dollars, cut",
        seizure(market(of(0, _ODD, decimals=1), of(1, 10 * BASE)), account({0: 25}, {1: 1_000}), 700),
        {OLD: (700, 22, 0, (), 300, 3), ("7", "8", "9", "11"): DUST},
    ),
    Case(
        # 3 tenths are 199,999,999,999.8 owed, which 196 stand for; half of that buys 1.5 tenths.
        "a debt is small below two thousand dollars, which it reaches by rounding up since 3.5",
        seizure(market(of(0, 10 * BASE), of(1, _EVEN, decimals=1)), account({0: 245}, {1: 3})),
        {
            OLD: (2, 140, 0, (), 1, 105),
            ("7", "8"): (3, 209, 0, (), 0, 36),
            ("9", "11"): (1, 69, 0, (), 2, 176),
        },
    ),
    Case(
        # 3 tenths are 199,999,999,999.8 supplied, against 200 dollars of ten each.
        "collateral is small below two thousand dollars, cut",
        seizure(market(of(0, _EVEN, decimals=1, threshold=9_990), of(1, 10 * BASE)), account({0: 3}, {1: 200})),
        {OLD: (100, 1, 0, (), 100, 2), ("7", "8", "9", "11"): (200, 3, 0, (), 0, 0)},
    ),
    Case(
        # 1 of 3 is 0.67 of a share at 1.5: a whole one to the nearest, none rounded down.
        "who repays less than a share of a debt is refused since 3.5",
        seizure(market(of(0, 10 * BASE), of(1, 1_000 * BASE, debt=6)), account({0: 300}, {1: 2}), 1),
        either((1, 105, 0, (), 2, 195), NOTHING),
    ),
    Case(
        # 1 of 5 is 0.4 of a share at 2.5.
        "who repays less than half a share of a debt is always refused",
        seizure(market(of(0, 10 * BASE), of(1, 1_000 * BASE, debt=10)), account({0: 500}, {1: 2}), 1),
        everywhere(NOTHING),
    ),
    Case(
        # 2 of 6 are 1.33 shares of 4 at 1.5: one is burnt, and 4.5 are left.
        "shares of a debt are burnt to the nearest until 3.4, rounded down since",
        seizure(market(of(0, 10 * BASE), of(1, 1_000 * BASE, debt=6)), account({0: 600}, {1: 4}), 2),
        {(*NEAREST, "9"): (2, 210, 0, (), 5, 390), ("11",): (2, 210, 0, (), 5, 390)},
    ),
    Case(
        # 1 of 10 is 0.4 of a share at 2.5, and a whole one rounded up.
        "who is given less than half a share of collateral is refused until 3.4",
        seizure(
            market(of(0, 1_000 * BASE, supply=10, threshold=2_000), of(1, 10 * BASE)), account({0: 4}, {1: 300}), 100
        ),
        either(NOTHING, (100, 1, 0, (), 200, 7)),
    ),
    Case(
        # 1 of 9 is 0.67 of a share at 1.5: one either way; 5 are left, 7.5.
        "shares of collateral are taken to the nearest until 3.4, rounded up since",
        seizure(
            market(of(0, 1_000 * BASE, supply=6, threshold=2_000), of(1, 10 * BASE)), account({0: 6}, {1: 300}), 100
        ),
        either((100, 1, 0, (), 200, 8), (100, 1, 0, (), 200, 7)),
    ),
)


@pytest.mark.parametrize("revision", WITHOUT_CONTRACTS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_worked_by_hand(case: Case, revision: str) -> None:
    assert case.work(REVISIONS[revision]) == case.expected(revision)


# -- that each case is on an edge


def _floor(number: int, by: int) -> int:
    return number // by


def _ceiling(number: int, by: int) -> int:
    return -(-number // by)


_OTHER_WAYS: Final[Mapping[str, tuple[str, ...]]] = {
    "//": ("_ceiling",),
    "ceil_div": ("_floor",),
    "half_up_div": ("_floor", "_ceiling"),
    "ray_mul": ("_ray_floor", "_ray_ceiling"),
}
_TURNED: Final[Mapping[str, Callable[[int, int], int]]] = {
    "_floor": _floor,
    "_ceiling": _ceiling,
    "_ray_floor": lambda left, right: left * right // RAY,
    "_ray_ceiling": lambda left, right: -(-left * right // RAY),
}
_MODULES: Final = (growth, valuation, liquidation)
_NO_DIFFERENCE: Final = {
    # A ray is even, and so are two numbers in a row multiplied; three are a multiple of six.
    ("growth", "ray_mul", "RAY // 2", "_ceiling"),
    ("growth", "_binomial", "seconds * (seconds - 1) * square // 2", "_ceiling"),
    ("growth", "_binomial", "seconds * (seconds - 1) * max(seconds - 2, 0) * cube // 6", "_ceiling"),
    # A half is rounded up by both.
    ("liquidation", "_most_repaid", "half_up_div(pair.owed * CLOSE_FACTOR, BPS)", "_ceiling"),
    ("liquidation", "_most_repaid", "half_up_div(data.debt * CLOSE_FACTOR, BPS)", "_ceiling"),
}
"""Roundings of what is whole already, or half."""


@dataclass(frozen=True)
class Mutant:
    """A rounding that goes another way, in one function."""

    module: ModuleType
    function: str
    text: str
    way: str
    code: Any

    @property
    def name(self) -> tuple[str, str, str, str]:
        return self.module.__name__.rpartition(".")[2], self.function, self.text, self.way


def _mutants() -> Iterator[Mutant]:
    for module in _MODULES:
        source = inspect.getsource(module)
        places = sum(1 for _ in _roundings(ast.parse(source)))
        for at in range(places):
            _, _, kind, _ = list(_roundings(ast.parse(source)))[at]
            for way in _OTHER_WAYS[kind]:
                tree = ast.parse(source)
                function, node, _, parent = list(_roundings(tree))[at]
                text = ast.unparse(parent)
                _turn(node, way)
                code = compile(ast.fix_missing_locations(tree), module.__file__ or "", "exec")
                found = next(one for one in code.co_consts if getattr(one, "co_name", "") == function)
                yield Mutant(module, function, text, way, found)


def _roundings(tree: ast.Module) -> Iterator[tuple[str, ast.expr, str, ast.AST]]:
    """Yield each place where something is rounded: its function, the node, how, and what is rounded there."""
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef):
            continue
        parents = {child: node for node in ast.walk(function) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(function):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
                yield function.name, node, "//", node
            elif isinstance(node, ast.Name) and node.id in _OTHER_WAYS:
                yield function.name, node, node.id, parents[node]
            elif isinstance(node, ast.Attribute) and node.attr == "__floordiv__":
                yield function.name, node, "//", parents[node]


def _turn(node: ast.expr, way: str) -> None:
    """Let a node round another way, in place."""
    if isinstance(node, ast.Name):
        node.id = way
        return
    if isinstance(node, ast.Attribute):
        # Of int, the division that rounds down: what takes its place is found by the same name.
        node.value, node.attr = ast.Name("_turned", ast.Load()), way
        return
    assert isinstance(node, ast.BinOp)
    negative = ast.UnaryOp(ast.USub(), node.left)
    node.left = ast.Constant(0)
    node.right = ast.BinOp(negative, ast.FloorDiv(), node.right)
    node.op = ast.Sub()


def _failing() -> set[tuple[str, str]]:
    """Return which case fails of which revision."""
    valuation.live_reserves.cache_clear()
    found = set()
    for revision in WITHOUT_CONTRACTS:
        for case in CASES:
            try:
                right = case.work(REVISIONS[revision]) == case.expected(revision)
            except (ArithmeticError, ValueError):
                right = False
            if not right:
                found.add((revision, case.name))
    return found


def test_each_rounding_that_goes_the_other_way_fails_a_case_and_ten_cases_of_each_revision_notice_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in _MODULES:
        for name, way in _TURNED.items():
            monkeypatch.setattr(module, name, way, raising=False)
        monkeypatch.setattr(module, "_turned", _Turned, raising=False)
    unnoticed, noticing = set(), set()
    for mutant in _mutants():
        function = inspect.unwrap(getattr(mutant.module, mutant.function))
        assert isinstance(function, FunctionType)
        kept = function.__code__
        function.__code__ = mutant.code
        try:
            failing = _failing()
        finally:
            function.__code__ = kept
        noticing |= failing
        if not failing:
            unnoticed.add(mutant.name)
    valuation.live_reserves.cache_clear()
    assert unnoticed == _NO_DIFFERENCE
    for revision in WITHOUT_CONTRACTS:
        assert sum(found == revision for found, _ in noticing) >= 10


class _Turned:
    _ceiling = staticmethod(_ceiling)
