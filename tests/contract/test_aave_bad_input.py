"""What goes wrong on a chain: prices that are none, feeds that answer junk, reserves that are gone, numbers too large.

Held against Aave's own contracts: an account of which the pool says nothing is unknown to us too, and no other is.
"""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
import pytest_asyncio
from tests.lab.aave import ASSETS, CORE, NO, NOBODY, Asset, Lab, deploy_3_0, list_asset
from tests.lab.chain import ARGUMENTS, Artifacts, Chain, Contract
from tests.support.anvil import running_anvil

from tocsin.model.block import BlockRef
from tocsin.protocols.aave_v3.market import Account, Market
from tocsin.protocols.aave_v3.revisions import REVISIONS
from tocsin.protocols.aave_v3.rules import AaveRules
from tocsin.protocols.base import UnknownStateError, Verdict
from tocsin.protocols.places import Parts, Unread
from tocsin.risk.book import Book
from tocsin.risk.evaluate import evaluate
from tocsin.risk.factors import Factors
from tocsin.risk.health import Flag, screen

RULES: Final = AaveRules(REVISIONS["1"])
WIDE: Final = Asset("WIDE", 36, 10**6 * 10**8, 5000, 6000, 11000, 10)
EMPTY: Final = Asset("EMPTY", 18, 10**8, 0, 0, 0, 1)
USERS: Final = 60
REVERTS: Final = "0x60006000fd"
"""Code that refuses whatever it is asked."""
SHORT: Final = "0x601f6000f3"
"""Code that answers 31 bytes."""
NOISE: Final = "0x7f" + "ff" * 32 + "60005260206000f3"
"""Code that answers 32 bytes of ones."""


@pytest_asyncio.fixture
async def lab(anvil_binary: str) -> AsyncIterator[Lab]:
    async with running_anvil(anvil_binary, *ARGUMENTS) as anvil:
        yield await deploy_3_0(Chain(anvil, Artifacts(CORE)), (*ASSETS, WIDE))


@dataclass(frozen=True)
class Seen:
    """A market at its newest block, what we say of accounts in it, and what the pool says."""

    parts: Parts
    market: Market
    accounts: list[Account | Unread]
    ours: list[Verdict | str]
    theirs: list[tuple[int, ...] | None]
    at_s: int

    def agrees(self) -> None:
        """Hold every account against the pool: the same numbers, or neither says anything."""
        for account, verdict, said in zip(self.accounts, self.ours, self.theirs, strict=True):
            if said is None:
                assert isinstance(verdict, str), account
                continue
            assert isinstance(account, Account)
            assert RULES.differs(self.market, account, said, self.at_s) == ()

    @property
    def unknown(self) -> int:
        return sum(said is None for said in self.theirs)


async def seen(lab: Lab) -> Seen:
    block = await lab.chain.anvil.block()
    pinned = {"blockHash": block["hash"]}
    parts = await lab.chain.read(RULES.parts(lab.target), pinned)
    where = BlockRef(number=int(block["number"], 16), hash=block["hash"])
    market = await lab.chain.read(RULES.market(parts, where), pinned)
    accounts = list(await lab.chain.read(RULES.accounts(parts, market, lab.addresses), pinned))
    at_s = int(block["timestamp"], 16)
    said = await lab.chain.read(RULES.view(parts, lab.addresses), pinned)
    theirs = [None if isinstance(one, Unread) else one for one in said]
    return Seen(parts, market, accounts, [judged(market, one, at_s) for one in accounts], theirs, at_s)


def judged(market: Market, account: Account | Unread, at_s: int) -> Verdict | str:
    if isinstance(account, Unread):
        return account.reason
    try:
        return RULES.verdict(market, account, at_s)
    except UnknownStateError as error:
        return str(error)


def place_of(lab: Lab, symbol: str) -> int:
    return next(at for at, asset in enumerate(lab.assets) if asset.symbol == symbol)


async def coded(lab: Lab, address: str, code: str) -> None:
    await lab.chain.anvil.call("anvil_setCode", address, code)
    await lab.chain.anvil.mine()


async def test_whom_the_pool_cannot_value_is_unknown_with_the_reason_and_nobody_else_is(lab: Lab) -> None:
    await lab.populate(USERS, random.Random(6))  # noqa: S311 - a seed, not a secret
    (await seen(lab)).agrees()
    weth = place_of(lab, "WETH")
    token = lab.tokens[weth].address
    no_price = f"the oracle has no price of {token}: the contracts revert"
    # Zero, below zero, no code, a revert, an answer that is too short: Aave asks a fallback that is not there.
    for price in (0, -1, -(2**255)):
        await lab.set_price(weth, price)
        await lab.chain.anvil.mine()
        await holds(lab, no_price)
    for code in ("0x", REVERTS, SHORT):
        await coded(lab, lab.feed(weth), code)
        await holds(lab, no_price)
    # A feed that answers minus one, as whatever is not a price may look.
    await coded(lab, lab.feed(weth), NOISE)
    await holds(lab, no_price)


async def holds(lab: Lab, reason: str) -> None:
    """Hold that some are unknown for this reason, all others as the pool says, and that floats judge none of them."""
    found = await seen(lab)
    found.agrees()
    assert 5 < found.unknown < USERS
    assert {one for one in found.ours if isinstance(one, str)} == {reason}
    flags = flags_of(found)
    for account, verdict in zip(found.accounts, found.ours, strict=True):
        assert isinstance(account, Account)
        owes = any(holding.borrowed or holding.stable for holding in account.holdings.values())
        if isinstance(verdict, str) and owes:
            assert flags[account.address] == Flag.UNSURE


def flags_of(found: Seen) -> dict[bytes, int]:
    columns = RULES.columns(found.market, found.at_s)
    read = [one for one in found.accounts if isinstance(one, Account)]
    book = Book.of(columns.names, {one.address: RULES.legs(found.market, one, found.at_s) for one in read})
    flags = screen(evaluate(book, Factors.of(columns)))
    return {book.account(row): int(flags[row]) for row in range(len(book))}


async def test_numbers_on_which_the_contracts_overflow_are_unknown_to_us_too(lab: Lab) -> None:
    await lab.populate(USERS, random.Random(7))  # noqa: S311 - a seed, not a secret
    # Of eighteen decimals and of six: with few, health overflows long before a product of price and amount does.
    for symbol, bits, some in (
        ("WETH", 150, False),
        ("WETH", 192, True),
        ("WETH", 255, True),
        ("USDC", 140, False),
        ("USDC", 190, True),
        ("USDC", 255, True),
    ):
        at = place_of(lab, symbol)
        await lab.set_price(at, 2**bits - 1)
        await lab.chain.anvil.mine()
        found = await seen(lab)
        await lab.set_price(at, lab.assets[at].price)
        found.agrees()
        assert bool(found.unknown) == some
        assert {one for one in found.ours if isinstance(one, str)} <= {
            "a number of more than 256 bits: the contracts revert"
        }


async def test_an_oracle_that_answers_junk_leaves_nobody_valued_and_one_that_is_gone_no_market(lab: Lab) -> None:
    await lab.populate(20, random.Random(8))  # noqa: S311 - a seed, not a secret
    before = await seen(lab)
    feeds = [lab.feed(at) for at in range(len(lab.assets))]
    for feed in (*feeds, lab.category_feed):
        await lab.chain.anvil.call("anvil_setCode", feed, SHORT)
    await lab.chain.anvil.mine()
    found = await seen(lab)
    found.agrees()
    assert set(RULES.prices(found.market).values()) == {None}
    assert all(isinstance(one, str) for one, was in zip(found.ours, before.ours, strict=True) if was)
    await coded(lab, lab.oracle.address, REVERTS)
    with pytest.raises(UnknownStateError, match=r"^oracle: BASE_CURRENCY\(\) failed"):
        await seen(lab)


async def test_a_pool_without_borrowers_or_prices_and_one_that_is_no_pool(lab: Lab) -> None:
    found = await seen(lab)
    assert (found.accounts, found.theirs) == ([], [])
    assert flags_of(found) == {}
    stranger = bytes.fromhex(f"{0xDEAD:040x}")
    lab.users = [f"0x{stranger.hex()}"]
    found = await seen(lab)
    found.agrees()
    (verdict,) = found.ours
    assert isinstance(verdict, Verdict)
    assert (verdict.liquidatable, verdict.health_wad, verdict.debt_base) == (False, None, 0)
    for nobody in (NOBODY, lab.tokens[0].address, lab.feed(0)):
        with pytest.raises(UnknownStateError, match=r"^pool: (ADDRESSES_PROVIDER|getReservesList)\(\) (failed|says)"):
            await lab.chain.read(RULES.parts(replace(lab.target, pool=bytes.fromhex(nobody[2:]))))


async def test_36_decimals_no_liquidity_debt_without_collateral_and_borrowers_that_refuse_all_calls(lab: Lab) -> None:
    chain, pool = lab.chain, lab.pool
    wide, weth, usdc = (place_of(lab, symbol) for symbol in ("WIDE", "WETH", "USDC"))
    users = [f"0x{0xB0B0 + at:040x}" for at in range(3)]
    lab.users = users
    for user, amount in zip(users, (10**36, 3 * 10**36 + 1, 10**36), strict=True):
        await chain.send(pool.call("supply", lab.tokens[wide].address, amount, user, 0))
    await chain.send(pool.call("borrow", lab.tokens[usdc].address, 400 * 10**6, 2, 0, users[0]), sender=users[0])
    await chain.send(pool.call("borrow", lab.tokens[weth].address, 5 * 10**17, 2, 0, users[1]), sender=users[1])
    await chain.anvil.call("anvil_setCode", users[1], REVERTS)
    await lab.pass_time(86_400 * 30)
    found = await seen(lab)
    found.agrees()
    assert found.unknown == 0
    assert RULES.prices(found.market)[bytes.fromhex(lab.tokens[wide].address[2:])] == WIDE.price
    # Somebody takes all that there is of one asset: nobody's health hangs on it.
    whale = f"0x{0xA1E:040x}"
    await chain.send(pool.call("supply", lab.tokens[place_of(lab, "DAI")].address, 10**30, whale, 0))
    there = await chain.ask(lab.tokens[weth], "balanceOf", await a_token(lab, weth))
    await chain.send(pool.call("borrow", lab.tokens[weth].address, there, 2, 0, whale), sender=whale)
    lab.users = [*users, whale]
    (await seen(lab)).agrees()
    # The price falls to next to nothing, and a liquidation takes all that there is: what is left is debt alone.
    await lab.set_price(wide, 1)
    asked = [lab.tokens[wide].address, lab.tokens[usdc].address, users[0], 400 * 10**6, NO]
    await chain.send(pool.call("liquidationCall", *asked), may_fail=True)
    await lab.set_price(wide, 10**9)
    await chain.send(pool.call("liquidationCall", *asked))
    found = await seen(lab)
    found.agrees()
    bare = found.ours[0]
    assert isinstance(bare, Verdict)
    assert (bare.liquidatable, bare.collateral_base, bare.health_wad) == (True, 0, 0)
    assert bare.underwater
    assert bare.blocked == "no collateral"


async def a_token(lab: Lab, at: int) -> str:
    data: Any = await lab.chain.ask(lab.pool, "getReserveData", lab.tokens[at].address)
    address: str = data[8]
    return address


async def test_a_reserve_that_was_dropped_leaves_a_gap_and_all_others_keep_their_places(lab: Lab) -> None:
    await lab.populate(20, random.Random(9))  # noqa: S311 - a seed, not a secret
    before = await seen(lab)
    first, second = [await listed(lab, number) for number in range(2)]
    user = f"0x{0xB0B0:040x}"
    lab.users.append(user)
    await lab.chain.send(lab.pool.call("supply", second.address, 10**18, user, 0))
    full = await seen(lab)
    full.agrees()
    assert len(full.market.reserves) == len(before.market.reserves) + 2
    await lab.chain.send(lab.pool.call("withdraw", first.address, 2**256 - 1, lab.chain.owner))
    await lab.chain.send(lab.configurator.call("dropReserve", first.address))
    found = await seen(lab)
    found.agrees()
    assert found.unknown == 0
    assert found.market.reserves[-2] is None
    kept = found.market.reserve_of(bytes.fromhex(second.address[2:]))
    assert kept is not None
    assert kept.id == len(before.market.reserves) + 1
    assert RULES.doubt(full.market, found.market) == ""
    assert len(RULES.columns(found.market, found.at_s).all) == len(RULES.columns(before.market, found.at_s).all) + 2


async def listed(lab: Lab, number: int) -> Contract:
    """List one more asset, which is no collateral, and supply of it."""
    chain = lab.chain
    extra = await chain.deploy("MintableERC20", "EMPTY", "EMPTY", 18)
    feed = f"0x{0xFEED00 + len(lab.assets) + number:040x}"
    await chain.answering(feed, EMPTY.price)
    await chain.send(lab.oracle.call("setAssetSources", [extra.address], [feed]))
    data: Any = await chain.ask(lab.pool, "getReserveData", lab.tokens[0].address)
    code = [await _implementation(lab, address) for address in data[8:11]]
    names = ("aEMPTY", "aEMPTY", "vEMPTY", "vEMPTY", "sEMPTY", "sEMPTY")
    wanted = (*code, 18, data[11], extra.address, chain.owner, NOBODY, *names, b"")
    await chain.send(lab.configurator.call("initReserves", [wanted]))
    await list_asset(lab, EMPTY, extra, [])
    return extra


async def _implementation(lab: Lab, proxy: str) -> str:
    slot = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"
    word: str = await lab.chain.anvil.call("eth_getStorageAt", proxy, slot, "latest")
    return f"0x{word[-40:]}"
