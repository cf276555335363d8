"""A whole Comet, compiled from sources that whoever has them names, with accounts of many kinds."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.lab.chain import Chain, Contract, Json

from tocsin.model.block import BlockRef
from tocsin.protocols.base import Reach, UnknownStateError
from tocsin.protocols.comet import KIND
from tocsin.protocols.comet.critical import critical_price
from tocsin.protocols.comet.liquidation import Absorption, absorption, purchase
from tocsin.protocols.comet.market import FACTOR, Account, Market
from tocsin.protocols.comet.rules import CometRules
from tocsin.protocols.comet.valuation import accrued, position, stored
from tocsin.protocols.places import Target, Unread

BUILT: Final = Path(__file__).parent / "build/comet"
RULES: Final = CometRules()
PERCENT: Final = FACTOR // 100
MOST: Final = 2**256 - 1
_FEED: Final = "0x600860005260005460205260a06000f3"
"""Answers everything with five words: 8, which are its decimals or the number of its round, its price, and zeros."""


@dataclass(frozen=True)
class Asset:
    """An asset of collateral; `price` in US dollars with 8 decimals, factors in percent."""

    symbol: str
    decimals: int
    price: int
    borrow: int
    liquidate: int
    credited: int


ASSETS: Final = (
    Asset("WETH", 18, 2_000_12345678, 82, 87, 95),
    Asset("WBTC", 8, 40_321_98765432, 70, 77, 90),
    Asset("TINY", 2, 7_77777777, 50, 60, 80),
    Asset("LINK", 18, 14_00000001, 78, 84, 93),
)
BASE_PRICE: Final = 99_987_654
SHOCKS: Final[Sequence[Mapping[str, int]]] = (
    {},
    {"WETH": 93},
    {"WETH": 80, "WBTC": 85, "TINY": 90},
    {"WBTC": 60, "LINK": 55, "base": 102},
    {"WETH": 30, "WBTC": 30, "TINY": 20, "LINK": 20},
)


@dataclass
class Lab:
    """A Comet on a chain."""

    chain: Chain
    comet: Contract
    base: Contract
    tokens: list[Contract]
    users: list[str] = field(default_factory=list)

    @property
    def target(self) -> Target:
        return Target(pool=_bytes(self.comet.address))

    @property
    def addresses(self) -> list[bytes]:
        return [_bytes(user) for user in self.users]

    async def read(self, block: Json) -> tuple[Market, list[Account]]:
        """Read the market and all accounts at a block."""
        pinned = {"blockHash": block["hash"]}
        assert await self.chain.read(KIND.revision(self.target)) == RULES.revision
        parts = await self.chain.read(RULES.parts(self.target))
        where = BlockRef(number=int(block["number"], 16), hash=block["hash"])
        market: Market = await self.chain.read(RULES.market(parts, where), pinned)
        accounts = await self.chain.read(RULES.accounts(parts, market, self.addresses), pinned)
        assert not [each for each in accounts if isinstance(each, Unread)]
        return market, list(accounts)

    async def said(self, name: str, block: Json) -> list[Any]:
        """Return what the Comet says of all accounts by a view of this name."""
        found = []
        for user in self.users:
            asked = self.comet.call(name, user)
            data = await self.chain.anvil.call("eth_call", asked, {"blockHash": block["hash"]})
            found.append(self.comet.result(name, 1, data))
        return found

    async def set_price(self, at: int, price: int) -> None:
        """Set the price of an asset; of the base token for -1."""
        await self.chain.anvil.call("anvil_setStorageAt", feed(at), "0x0", f"0x{price % 2**256:064x}")

    async def shocked(self, shocks: Mapping[str, int], number: int) -> None:
        for at, asset in enumerate(ASSETS):
            await self.set_price(at, asset.price * shocks.get(asset.symbol, 100) // 100 + number)
        await self.set_price(-1, BASE_PRICE * shocks.get("base", 100) // 100 + number)

    async def populate(self, count: int, rng: random.Random) -> None:
        """Open positions, some of them dust, at several times."""
        for _ in range(3):
            users = [f"0x{rng.getrandbits(160):040x}" for _ in range(count // 3)]
            self.users += users
            given, sent = [], []
            for user in users:
                for at in rng.sample(range(len(ASSETS)), rng.randint(1, 4)):
                    asset = ASSETS[at]
                    units = max(1, int(10 ** rng.uniform(-1, 5) * 10**8 / asset.price * 10**asset.decimals))
                    given += self._given(self.tokens[at], user, units)
                    sent.append((self.comet.call("supply", self.tokens[at].address, units), user))
            receipts = [*await self.chain.send_all(given), *await self.chain.send_all(sent)]
            assert all(one["status"] == "0x1" for one in receipts)
            await self.chain.anvil.mine(apart_s=rng.randint(1, 4_000_000))
            _, accounts = await self.read(await self.chain.anvil.block())
            market, _ = await self.read(await self.chain.anvil.block())
            by_user = dict(zip(self.users, accounts, strict=True))
            sent = []
            for user in users:
                lent = RULES.verdict(market, by_user[user], int((await self.chain.anvil.block())["timestamp"], 16))
                share = lent.collateral_base * 10**6 * 70 // 100 // BASE_PRICE
                sent.append((self.comet.call("withdraw", self.base.address, int(share * rng.uniform(0.2, 1.1))), user))
            await self.chain.send_all(sent)

    def _given(self, token: Contract, user: str, units: int) -> list[tuple[Json, str]]:
        return [
            (token.call("allocateTo", user, units), self.chain.owner),
            (token.call("approve", self.comet.address, MOST), user),
        ]


def feed(at: int) -> str:
    """Where the price of an asset comes from; of the base token for -1."""
    return f"0x{0xFEED01 + at:040x}"


def _bytes(address: str) -> bytes:
    return bytes.fromhex(address[2:])


async def deploy(chain: Chain) -> Lab:
    """Put a Comet on a chain, with what the owner supplies to it."""
    await chain.start()
    base, *tokens = await chain.deploy_all(
        [
            ("FaucetToken", (0, name, places, name))
            for name, places in (("USDC", 6), *((a.symbol, a.decimals) for a in ASSETS))
        ]
    )
    for at, price in enumerate((BASE_PRICE, *(one.price for one in ASSETS))):
        await chain.anvil.call("anvil_setCode", feed(at - 1), _FEED)
        await chain.anvil.call("anvil_setStorageAt", feed(at - 1), "0x0", f"0x{price:064x}")
    ext = await chain.deploy("CometExt", (b"lab".ljust(32, b"\0"), b"LAB".ljust(32, b"\0")))
    configs = [
        (
            token.address,
            feed(at),
            one.decimals,
            one.borrow * PERCENT,
            one.liquidate * PERCENT,
            one.credited * PERCENT,
            10 ** (one.decimals + 12),
        )
        for at, (token, one) in enumerate(zip(tokens, ASSETS, strict=True))
    ]
    rates = (80 * PERCENT, 4 * PERCENT, 90 * PERCENT, 1 * PERCENT, 80 * PERCENT, 6 * PERCENT, 99 * PERCENT, 3 * PERCENT)
    numbers = (60 * PERCENT, 10**15, 0, 0, 10**6, 100, 5_000_000 * 10**6)
    made = await chain.deploy(
        "Comet", (chain.owner, chain.owner, base.address, feed(-1), ext.address, *rates, *numbers, configs)
    )
    comet = Contract(address=made.address, abi=[*made.abi, *ext.abi])
    lab = Lab(chain, comet, base, tokens)
    await chain.send(comet.call("initializeStorage"))
    supply = lab._given(base, chain.owner, 40_000_000 * 10**6)
    await chain.send_all([*supply, (comet.call("supply", base.address, 30_000_000 * 10**6), chain.owner)])
    return lab


# -- beside what the Comet says and does


async def compare(lab: Lab) -> tuple[int, list[Any]]:
    """Hold all accounts at the newest block against the Comet: its views, and what is owed. Return how many fall."""
    block = await lab.chain.anvil.block()
    market, accounts = await lab.read(block)
    at_s, fallen, wrong = int(block["timestamp"], 16), 0, list[Any]()
    views = [await lab.said(name, block) for name in ("isLiquidatable", "isBorrowCollateralized", "borrowBalanceOf")]
    for account, falls, lends, owes in zip(accounts, *views, strict=True):
        ours = RULES.verdict(market, account, at_s)
        fallen += falls
        mine = (ours.details["isLiquidatable"], ours.details["isBorrowCollateralized"])
        debt = max(-account.principal, 0) * accrued(market, at_s).borrow // 10**15
        if mine != (falls, lends) or debt != owes or RULES.differs(market, account, falls, at_s):
            wrong.append((account.address.hex(), ours, falls, lends, owes, debt))
    return fallen, wrong


async def absorb(lab: Lab) -> tuple[int, int, int, list[Any]]:
    """Absorb each account by itself in the next block, and hold what happens against what we say.

    Return how many were absorbed, of how many with a deficit, how many were refused, and who differs.
    """
    anvil, block = lab.chain.anvil, await lab.chain.anvil.block()
    market, accounts = await lab.read(block)
    at_s, done, short, refused, wrong = int(block["timestamp"], 16) + 12, 0, 0, 0, list[Any]()
    for account in accounts:
        ours = absorption(market, account, at_s)
        place = await anvil.call("evm_snapshot")
        await anvil.call("evm_setNextBlockTimestamp", at_s)
        user = f"0x{account.address.hex()}"
        (receipt,) = await lab.chain.send(lab.comet.call("absorb", lab.chain.owner, [user]), may_fail=True)
        theirs = None
        if receipt["status"] == "0x1":
            later, mine = await lab.read(await anvil.block())
            after = next(one for one in mine if one.address == account.address)
            paid = int(receipt["logs"][-1 if after.principal <= 0 else -2]["data"][2:66], 16)
            theirs = (paid, after.principal, dict(after.balances), later.borrow_index)
        assert await anvil.call("evm_revert", place)
        if isinstance(ours, Absorption):
            done, short = done + 1, short + (ours.deficit > 0)
            if theirs != (ours.paid_out, ours.credited, {}, accrued(market, at_s).borrow):
                wrong.append((user, ours, theirs))
        else:
            refused += 1
            wrong += [(user, ours, theirs)] if theirs is not None else []
    return done, short, refused, wrong


async def critical(lab: Lab) -> tuple[int, list[Any]]:
    """Ask the Comet at the prices where we say that accounts fall, and one unit on their healthy side."""
    market, accounts = await lab.read(await lab.chain.anvil.block())
    tried, wrong = 0, list[Any]()
    for account in [one for one in accounts if one.principal < 0]:
        for at, token in enumerate((lab.base, *lab.tokens), -1):
            found = critical_price(market, account, _bytes(token.address), stored(market))
            if found.edge is None:
                continue
            assert found.exact
            tried += 1
            outward = 1 if found.reach is Reach.BELOW else -1
            for price, falls in ((found.edge, True), (found.edge + outward, False)):
                if price > 0 and await _falls_at(lab, account, at, price) != falls:
                    wrong.append((account.address.hex(), at, price, found))
    return tried, wrong


async def _falls_at(lab: Lab, account: Account, at: int, price: int) -> bool | None:
    """Return what the Comet says of an account at a price of one asset; None where it reverts."""
    asked = lab.comet.call("isLiquidatable", f"0x{account.address.hex()}")
    state = {feed(at): {"stateDiff": {f"0x{0:064x}": f"0x{price % 2**256:064x}"}}}
    try:
        said = await lab.chain.anvil.call("eth_call", asked, "latest", state)
    except AssertionError:
        return None
    return bool(lab.comet.result("isLiquidatable", 1, said))


async def priceless(lab: Lab) -> tuple[int, list[Any]]:
    """Take the price of one asset after the other away: of whom is nothing known, by us and by the Comet?"""
    market, accounts = await lab.read(await lab.chain.anvil.block())
    silent, wrong = 0, list[Any]()
    for at, token in enumerate((lab.base, *lab.tokens), -1):
        without = market.with_price(_bytes(token.address), None)
        for price in (0, -1):
            for account in accounts:
                theirs = await _falls_at(lab, account, at, price)
                try:
                    ours = position(without, account, stored(without)).falls
                except UnknownStateError:
                    ours = None
                silent += theirs is None
                wrong += [(account.address.hex(), at, ours, theirs)] if ours is not theirs else []
    return silent, wrong


async def sell(lab: Lab, rng: random.Random) -> tuple[int, list[Any]]:
    """Absorb whom we may, then buy of what there is; hold what is had against what we say. Return how often."""
    market, accounts = await lab.read(await lab.chain.anvil.block())
    at_s = int((await lab.chain.anvil.block())["timestamp"], 16)
    fallen = [one for one in accounts if RULES.verdict(market, one, at_s).liquidatable]
    users = [f"0x{one.address.hex()}" for one in fallen]
    await lab.chain.send({**lab.comet.call("absorb", lab.chain.owner, users), "gas": hex(100_000_000)})
    block = await lab.chain.anvil.block()
    market, _ = await lab.read(block)
    done, wrong = 0, list[Any]()
    for token in lab.tokens:
        for amount in (1, rng.randint(1, 10**6), rng.randint(10**6, 10**10), 10**12):
            ours = purchase(market, _bytes(token.address), amount, int(block["timestamp"], 16))
            bought = await _bought(lab, token, amount)
            done += isinstance(ours, int)
            wrong += (
                [(token.address, amount, ours, bought)] if bought != (ours if isinstance(ours, int) else None) else []
            )
    return done, wrong


async def _bought(lab: Lab, token: Contract, amount: int) -> int | None:
    place = await lab.chain.anvil.call("evm_snapshot")
    before = await lab.chain.ask(token, "balanceOf", lab.chain.owner)
    buy = lab.comet.call("buyCollateral", token.address, 0, amount, lab.chain.owner)
    (receipt,) = await lab.chain.send(buy, may_fail=True)
    after = await lab.chain.ask(token, "balanceOf", lab.chain.owner)
    assert await lab.chain.anvil.call("evm_revert", place)
    return int(after - before) if receipt["status"] == "0x1" else None
