"""A market of Aave v3 worked by hand: ether at 2,000 dollars, dollars at one, and accounts on all sides of the line."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from tocsin.model.block import BlockRef
from tocsin.model.market import MarketSettings
from tocsin.protocols import rules_of
from tocsin.protocols.aave_v3.market import Account, Configuration, Holding, Market, Reserve
from tocsin.protocols.places import Parts, Target
from tocsin.risk.book import Book
from tocsin.valuation.packing import Packed, pack
from tocsin.valuation.situation import Situation

RAY: Final = 10**27
USD: Final = 10**8
"""One dollar in base units."""
ETHER: Final = 10**18
DOLLAR: Final = 10**6
POOL: Final = b"\x99" * 20
WETH, USDC = b"\x01" * 20, b"\x02" * 20
BLOCK: Final = BlockRef(number=100, hash="0x" + "ab" * 32)
TIME_S: Final = 1_700_000_000
REVISION: Final = "10"
SETTINGS: Final = MarketSettings(name="lab", kind="aave-v3", pool=f"0x{POOL.hex()}", sample_one_in=1)
PARTS: Final = Parts(target=Target(pool=POOL), at={"pool": (POOL,)}, names={WETH: "WETH", USDC: "USDC"})


def reserve(
    number: int,
    asset: bytes,
    decimals: int,
    threshold: int,
    price: int | None,
    *,
    paused: bool = False,
    debt_rate: int = 0,
) -> Reserve:
    """A reserve whose indexes are one at `TIME_S`."""
    return Reserve(
        id=number,
        asset=asset,
        configuration=Configuration(ltv=threshold, threshold=threshold, bonus=10_500, decimals=decimals, paused=paused),
        liquidity_index=RAY,
        liquidity_rate=0,
        variable_index=RAY,
        variable_rate=debt_rate,
        updated_s=TIME_S,
        price=price,
    )


def market(weth: int | None = 2_000 * USD, usdc: int | None = USD, *, paused: bool = False, rate: int = 0) -> Market:
    """The market at prices."""
    reserves = (
        reserve(0, WETH, 18, 8_000, weth),
        reserve(1, USDC, 6, 8_500, usdc, paused=paused, debt_rate=rate),
    )
    return Market(block=BLOCK, reserves=reserves)


def account(number: int, weth: int = 0, usdc: int = 0, owes: int = 0, owes_weth: int = 0) -> Account:
    """An account with whole ethers and dollars as collateral, and whole ones that it owes."""
    holdings = {
        0: Holding(supplied=weth * ETHER, borrowed=owes_weth * ETHER),
        1: Holding(supplied=usdc * DOLLAR, borrowed=owes * DOLLAR),
    }
    flags = sum(flag for flag, is_so in ((2, weth), (1, owes_weth), (8, usdc), (4, owes)) if is_so)
    return Account(address=number.to_bytes(20), flags=flags, holdings=holdings)


HEALTHY, NEAR, BELOW, UNDER, LENDER, LOOPER = range(1, 7)
ACCOUNTS: Final = (
    account(HEALTHY, weth=10, owes=10_000),
    account(NEAR, weth=1, owes=1_550),
    account(BELOW, weth=1, owes=1_700),
    account(UNDER, weth=1, owes=2_500),
    account(LENDER, weth=5),
    account(LOOPER, usdc=1_000, owes=800),
)
"""Healths of 1.6, 1.0322, 0.9411, 0.64, none, and 1.0625 in dollars for dollars."""


def situation(
    of: Market | None = None,
    accounts: tuple[Account, ...] = ACCOUNTS,
    *,
    unread: Mapping[bytes, str] | None = None,
    at_s: int = TIME_S,
) -> Situation:
    """What a valuation is made of."""
    of = of or market()
    rules = rules_of("aave-v3", REVISION)
    legs = {one.address: rules.legs(of, one, at_s) for one in accounts}
    return Situation(
        rules=rules,
        parts=PARTS,
        market=of,
        accounts=Packed(Account, {one.address: pack(one) for one in accounts}),
        book=Book.of(rules.columns(of, at_s).names, legs),
        block=BLOCK,
        time_s=at_s,
        unread=unread or {},
    )


def moved(of: Situation, weth: int | None) -> Situation:
    """The same at another price of ether."""
    return replace(of, market=market(weth))


def address(number: int) -> str:
    """An account as it is told."""
    return f"0x{number:040x}"
