"""A whole Venus core pool of the contracts that its makers published, with accounts of many kinds."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from eth_abi.abi import encode
from tests.lab.chain import Chain, Contract, Json, selector

from tocsin.chain.keccak import keccak256
from tocsin.model.block import BlockRef
from tocsin.protocols.base import WAD, Question
from tocsin.protocols.compound_v2 import KIND, reading
from tocsin.protocols.compound_v2.market import Account, Borrow, Market
from tocsin.protocols.compound_v2.revisions import REVISIONS
from tocsin.protocols.compound_v2.rules import CompoundRules
from tocsin.protocols.places import Parts, Target, Unread
from tocsin.wire.aggregator import DEPLOYED

CORE: Final = Path(__file__).parent / "node_modules/@venusprotocol/venus-protocol/artifacts/contracts"
RULES: Final = CompoundRules(REVISIONS["venus-10"])
PERCENT: Final = 10**16
MOST: Final = 2**256 - 1
YES: Final = True
PACE_S: Final = 3
_BLOCKS_PER_YEAR: Final = 365 * 86_400 // PACE_S
_PRICED: Final = "0x6004355460005260206000f3"
"""Code of an oracle: answers `getUnderlyingPrice` with what is in the slot that the token's address names."""
_BOUNDED: Final = "0x600435548060005260205260406000f3"
"""The same of both sides of an asset: what a price is bounded by stays out of liquidations."""
_CLOCK: Final = "0x4260005260206000f3"
_FACETS: Final = ("MarketFacet", "PolicyFacet", "SetterFacet", "RewardFacet")
_DEBTS: Final = 16
"""The slot of a token's mapping of debts."""
_VAI_ACCRUED: Final = 16
"""The slot in which the controller of VAI has the block of its last interest."""


@dataclass(frozen=True)
class Asset:
    """An asset as it is listed; `price` in US dollars with 8 decimals, factors in percent."""

    symbol: str
    decimals: int
    price: int
    factor: int
    threshold: int
    incentive: int
    liquidity: int
    """Whole tokens that the owner supplies."""
    pools: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    """Factor, threshold and incentive in pools."""


ASSETS: Final = (
    Asset("WBNB", 18, 600_12345678, 78, 82, 110, 400_000),
    Asset("BTC", 8, 60_321_98765432, 75, 79, 109, 2_000, {2: (80, 85, 107)}),
    Asset("USDC", 6, 99_987_654, 81, 84, 108, 400_000_000, {1: (90, 93, 104), 2: (80, 84, 107)}),
    Asset("DAI", 18, 100_012_345, 74, 77, 110, 400_000_000, {1: (88, 92, 105)}),
    Asset("GUSD", 2, 99_500_001, 50, 60, 112, 50_000_000),
    Asset("ODD", 30, 3_14159265, 40, 55, 115, 10_000_000),
    Asset("OLD", 18, 7_14159265, 0, 50, 110, 1_000_000),
)
"""From 2 to 30 decimals, two pools, one asset that no longer lends."""

KINDS: Final = {"plain": 40, "pool 1": 12, "pool 2": 12, "vai": 12, "both": 8, "supplier": 6, "dust": 10}

SHOCKS: Final[Sequence[Mapping[str, int]]] = (
    {},
    {"WBNB": 90, "BTC": 95},
    {"WBNB": 72, "BTC": 80, "ODD": 70},
    {"USDC": 90, "DAI": 104},
    {"BTC": 140, "ODD": 40, "GUSD": 120},
    {"WBNB": 35, "BTC": 40, "ODD": 10, "OLD": 5},
)
"""Percent of the first prices, state by state; what is not named keeps its price."""


@dataclass
class Lab:
    """A market on a chain."""

    chain: Chain
    comptroller: Contract
    assets: Sequence[Asset]
    underlying: list[Contract]
    tokens: list[Contract]
    vai: Contract
    controller: Contract
    liquidator: Contract | None = None
    users: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    oracle: str = f"0x{0x0AC1E:040x}"
    bounded: str = f"0x{0xB0DED:040x}"

    @property
    def target(self) -> Target:
        tokens = tuple(_bytes(one.address) for one in (*self.tokens, self.controller))
        return Target(pool=_bytes(self.comptroller.address), tokens=tokens)

    @property
    def addresses(self) -> list[bytes]:
        return [_bytes(user) for user in self.users]

    async def parts(self) -> Parts:
        """Return where its contracts are, as they are found from the comptroller."""
        assert await self.chain.read(KIND.revision(self.target)) == RULES.revision
        parts: Parts = await self.chain.read(RULES.parts(self.target))
        return parts

    async def read(self, block: Json, *, exact: bool = True) -> tuple[Market, list[Account]]:
        """Read the market and all accounts at a block; with what tokens keep of debts, which no call tells."""
        pinned = {"blockHash": block["hash"]}
        parts = await self.parts()
        where = BlockRef(number=int(block["number"], 16), hash=block["hash"])
        market: Market = await self.chain.read(RULES.market(parts, where), pinned)
        accounts = await self.chain.read(RULES.accounts(parts, market, self.addresses), pinned)
        assert not [each for each in accounts if isinstance(each, Unread)]
        if not exact:
            return market, list(accounts)
        assert market.vai is not None
        said = await self.chain.anvil.call("eth_getStorageAt", self.controller.address, hex(_VAI_ACCRUED), pinned)
        known = replace(market, vai=replace(market.vai, accrued_at=int(said, 16)))
        return known, [await self._exact(market, account, pinned) for account in accounts]

    async def _exact(self, market: Market, account: Account, pinned: Json) -> Account:
        places = list(account.borrows)
        base = [int.from_bytes(keccak256(encode(["address", "uint256"], [account.address, _DEBTS])))] * len(places)
        asked = [
            ("eth_getStorageAt", [f"0x{market.tokens[at].address.hex()}", hex(slot + more), pinned])
            for at, slot in zip(places, base, strict=True)
            for more in (0, 1)
        ]
        said = [int(word, 16) for word in await self.chain.anvil.batch(asked)]
        kept = {at: Borrow(principal=said[2 * n], index=said[2 * n + 1]) for n, at in enumerate(places)}
        for at, debt in kept.items():
            assert debt.principal * market.tokens[at].borrow_index // debt.index == account.borrows[at].principal
        return replace(account, borrows=kept)

    async def said(self, block: Json) -> list[Any]:
        """Return what the comptroller says of all accounts."""
        asked = [Question(reading.VIEW, self.target.pool, (user,)) for user in self.addresses]
        return await self.chain.answers(asked, {"blockHash": block["hash"]})

    # -- prices

    async def set_price(self, address: str, mantissa: int) -> None:
        for oracle in (self.oracle, self.bounded):
            await self.chain.anvil.call("anvil_setStorageAt", oracle, f"0x{int(address, 16):x}", f"0x{mantissa:064x}")

    def mantissa(self, at: int, price: int) -> int:
        """Return a price in dollars with 8 decimals as the oracle has it."""
        return price * 10 ** (28 - self.assets[at].decimals) if self.assets[at].decimals <= 28 else price // 100

    async def shocked(self, shocks: Mapping[str, int], number: int) -> None:
        """Set all prices, so that no two states have the same."""
        for at, asset in enumerate(self.assets):
            price = self.mantissa(at, asset.price) * shocks.get(asset.symbol, 100) // 100
            await self.set_price(self.tokens[at].address, price + number * 7)

    async def pass_blocks(self, count: int) -> None:
        await self.chain.anvil.call("anvil_mine", hex(count), hex(PACE_S))

    # -- accounts

    async def populate(self, count: int, rng: random.Random) -> None:
        """Open positions of all kinds, of which some change later, at another index."""
        kinds = rng.choices(list(KINDS), list(KINDS.values()), k=count)
        users = [f"0x{rng.getrandbits(160):040x}" for _ in kinds]
        self.users += users
        self.kinds += kinds
        openings = [self._opening(user, kind, rng) for user, kind in zip(users, kinds, strict=True)]
        receipts = await self.chain.send_all([one for supplies, _ in openings for one in supplies])
        assert all(receipt["status"] == "0x1" for receipt in receipts)
        for turn in range(3):
            await self.pass_blocks(rng.randint(1, 40))
            rows = [
                (user, kind, can)
                for user, kind, (_, can) in zip(users, kinds, openings, strict=True)
                if kind != "supplier" and (not turn or rng.random() < 0.5)
            ]
            await self._borrow(rows, rng, last=turn == 2)
        await self.pass_blocks(rng.randint(1, 40))
        again = [user for user in users if rng.random() < 0.2]
        places = range(len(self.assets) - 1)
        sent = [one for user in again for one in self._supply(user, rng.choice(places), 10 ** rng.uniform(-1, 3))]
        await self.chain.send_all(sent)

    def _supply(self, user: str, at: int, dollars: float) -> Iterator[tuple[Json, str]]:
        asset, token = self.assets[at], self.tokens[at]
        units = max(1, int(dollars * 10**8 / asset.price * 10**asset.decimals))
        yield self.underlying[at].call("faucet", units), user
        yield self.underlying[at].call("approve", token.address, MOST), user
        yield token.call("mint", units), user
        yield self.comptroller.call("enterMarkets", [token.address]), user

    def _opening(self, user: str, kind: str, rng: random.Random) -> tuple[list[tuple[Json, str]], list[int]]:
        """Return what is supplied and what the user does then, and what may be borrowed."""
        everything = list(range(len(self.assets)))
        low, high = (-2.0, 1.0) if kind == "dust" else (2.0, 5.5)
        if kind.startswith("pool"):
            number = int(kind[-1])
            mine = [at for at in everything if number in self.assets[at].pools]
            chosen = rng.sample(mine, rng.randint(1, len(mine)))
            if rng.random() < 0.5:
                chosen.append(rng.choice([at for at in everything if at not in mine]))
            sent = [one for at in chosen for one in self._supply(user, at, 10 ** rng.uniform(low, high))]
            return [*sent, (self.comptroller.call("enterPool", number), user)], mine
        chosen = rng.sample(everything, rng.randint(1, 4))
        sent = [one for at in chosen for one in self._supply(user, at, 10 ** rng.uniform(low, high))]
        return sent, chosen if kind == "both" else everything

    async def _borrow(self, rows: Sequence[tuple[str, str, list[int]]], rng: random.Random, *, last: bool) -> None:
        power = [await self.chain.ask(self.comptroller, "getBorrowingPower", user) for user, _, _ in rows]
        prices = await self.chain.answers(
            [Question(reading.PRICE, _bytes(self.oracle), (_bytes(token.address),)) for token in self.tokens]
        )
        sent = []
        for (user, kind, can), (error, liquidity, _) in zip(rows, power, strict=True):
            assert error == 0
            share = rng.uniform(0.9, 0.999) if last else rng.uniform(0.3, 0.9)
            if kind == "vai" and rng.random() < 0.7:
                sent.append((self.controller.call("mintVAI", int(liquidity * share * 0.9)), user))
                continue
            at = rng.choice(can)
            units = int(liquidity * share) * WAD // prices[at]
            if units:
                sent.append((self.tokens[at].call("borrow", units), user))
        await self.chain.send_all(sent)


LIQUIDATOR: Final = f"0x{0x11901DA7:040x}"


async def fund(lab: Lab) -> None:
    """Give a liquidator of everything more than anybody owes."""
    spenders = [lab.controller, *([lab.liquidator] if lab.liquidator is not None else [])]
    sent: list[tuple[Json, str]] = []
    for underlying, token, asset in zip(lab.underlying, lab.tokens, lab.assets, strict=True):
        sent.append((underlying.call("faucet", 10 ** (asset.decimals + 9)), LIQUIDATOR))
        sent += [(underlying.call("approve", one.address, MOST), LIQUIDATOR) for one in (token, *spenders)]
    sent.append((lab.vai.call("mint", LIQUIDATOR, 10**30), lab.chain.owner))
    sent += [(lab.vai.call("approve", one.address, MOST), LIQUIDATOR) for one in spenders]
    assert all(receipt["status"] == "0x1" for receipt in await lab.chain.send_all(sent))


def _bytes(address: str) -> bytes:
    return bytes.fromhex(address[2:])


async def deploy(chain: Chain, assets: Sequence[Asset] = ASSETS) -> Lab:
    """Put a market on a chain."""
    await chain.start()
    lab = await _empty(chain, assets)
    await _controller(lab)
    await _list(lab)
    await _pools(lab)
    return lab


async def _empty(chain: Chain, assets: Sequence[Asset]) -> Lab:
    """Put comptroller, oracles and tokens on the chain; nothing is listed yet."""
    unitroller, diamond = await chain.deploy_all([("Unitroller", ()), ("Diamond", ())])
    await chain.send(unitroller.call("_setPendingImplementation", diamond.address))
    await chain.send(diamond.call("_become", unitroller.address))
    facets = await chain.deploy_all([(name, ()) for name in _FACETS])
    cut, seen = [], {selector(item)[:4] for item in unitroller.abi if item["type"] == "function"}
    for facet in facets:
        mine = {selector(item)[:4] for item in facet.abi if item["type"] == "function"} - seen
        seen |= mine
        cut.append((facet.address, 0, sorted(mine)))
    cutting = Contract(address=unitroller.address, abi=diamond.abi).call("diamondCut", cut)
    await chain.send({**cutting, "gas": hex(50_000_000)})
    abi = [item for one in (*facets, unitroller) for item in one.abi]
    comptroller = Contract(address=unitroller.address, abi=abi)
    underlying = await chain.deploy_all([("MockToken", (one.symbol, one.symbol, one.decimals)) for one in assets])
    lab = Lab(chain, comptroller, assets, underlying, [], *await _vai(chain))
    for address, code in ((lab.oracle, _PRICED), (lab.bounded, _BOUNDED), (f"0x{DEPLOYED.hex()}", _CLOCK)):
        await chain.anvil.call("anvil_setCode", address, code)
    lens = await chain.deploy("ComptrollerLens")
    await chain.answering(_ALLOWS, 1)
    await chain.send(
        comptroller.call("_setAccessControl", _ALLOWS),
        comptroller.call("_setPriceOracle", lab.oracle),
        comptroller.call("setDeviationBoundedOracle", lab.bounded),
        comptroller.call("_setComptrollerLens", lens.address),
        comptroller.call("_setCloseFactor", 50 * PERCENT + 123_456_789),
    )
    return lab


_ALLOWS: Final = f"0x{0xA110:040x}"
"""Answers everything with yes: who may do what, and that income arrived."""


async def _vai(chain: Chain) -> tuple[Contract, Contract]:
    """Put VAI and its controller on the chain."""
    vai, proxy, brains = await chain.deploy_all([("VAI", (1,)), ("VAIUnitroller", ()), ("VAIController", ())])
    await chain.send(proxy.call("_setPendingImplementation", brains.address))
    await chain.send(brains.call("_become", proxy.address))
    controller = Contract(address=proxy.address, abi=brains.abi)
    await chain.send(controller.call("initialize"), vai.call("rely", controller.address))
    return vai, controller


async def _controller(lab: Lab) -> None:
    set_, of = lab.comptroller.call, lab.controller.call
    await lab.chain.send(
        of("_setComptroller", lab.comptroller.address),
        of("setVAIToken", lab.vai.address),
        of("setAccessControl", _ALLOWS),
        of("setReceiver", lab.chain.owner),
        set_("_setVAIController", lab.controller.address),
        set_("_setVAIMintRate", 10_000),
    )
    await lab.set_price(lab.vai.address, WAD * 98 // 100)
    await lab.chain.send(of("setBaseRate", 15 * WAD), of("setFloatRate", 50 * WAD))


async def _list(lab: Lab) -> None:
    """List all assets, and let the owner supply them."""
    models = await lab.chain.deploy_all(
        [
            ("JumpRateModel", (3 * WAD, 20 * WAD, 40 * WAD, 80 * PERCENT, _BLOCKS_PER_YEAR)),
            (
                "TwoKinksInterestRateModel",
                (WAD, 9 * WAD, 50 * PERCENT, 20 * WAD, WAD, 80 * PERCENT, 30 * WAD, _BLOCKS_PER_YEAR),
            ),
        ]
    )
    delegate = await lab.chain.deploy("VBep20Delegate")
    for at, asset in enumerate(lab.assets):
        place, first_rate = lab.underlying[at].address, 2 * 10 ** max(asset.decimals + 8, 9)
        values = (place, lab.comptroller.address, models[at % 2].address, first_rate)
        names = (f"v{asset.symbol}", f"v{asset.symbol}", 8, lab.chain.owner, delegate.address, b"")
        made = await lab.chain.deploy("VBep20Delegator", *values, *names)
        lab.tokens.append(Contract(address=made.address, abi=delegate.abi))
    for at, asset in enumerate(lab.assets):
        await lab.set_price(lab.tokens[at].address, lab.mantissa(at, asset.price))
        await _list_one(lab, at, asset)


async def _list_one(lab: Lab, at: int, asset: Asset) -> None:
    set_, token, underlying = lab.comptroller.call, lab.tokens[at], lab.underlying[at]
    units = asset.liquidity * 10**asset.decimals
    await lab.chain.send(
        token.call("setAccessControlManager", _ALLOWS),
        token.call("setProtocolShareReserve", _ALLOWS),
        token.call("setReduceReservesBlockDelta", 20),
        token.call("_setReserveFactor", 10 * PERCENT),
        set_("supportMarket", token.address),
        _call(lab, "setLiquidationIncentive", 2, token.address, asset.incentive * PERCENT),
        _call(lab, "setCollateralFactor", 3, token.address, asset.factor * PERCENT, asset.threshold * PERCENT),
        set_("setIsBorrowAllowed", 0, token.address, YES),
        set_("setMarketSupplyCaps", [token.address], [MOST // 2**100]),
        set_("setMarketBorrowCaps", [token.address], [MOST // 2**100]),
        underlying.call("faucet", units),
        underlying.call("approve", token.address, MOST),
        token.call("mint", units),
    )


def _call(lab: Lab, name: str, count: int, *values: Any) -> Json:
    """Return a call of one of several functions of a name: that with so many arguments."""
    assert len(values) == count
    return lab.comptroller.call(name, *values)


async def _pools(lab: Lab) -> None:
    """Make two pools, of which the second counts what it does not name as the core pool does."""
    set_ = lab.comptroller.call
    await lab.chain.send(set_("createPool", "stable"), set_("createPool", "bitcoin"))
    await lab.chain.send(set_("setAllowCorePoolFallback", 2, YES))
    for at, asset in enumerate(lab.assets):
        for number, (factor, threshold, incentive) in asset.pools.items():
            token = lab.tokens[at].address
            await lab.chain.send(
                set_("addPoolMarkets", [number], [token]),
                set_("setLiquidationIncentive", number, token, incentive * PERCENT),
                set_("setCollateralFactor", number, token, factor * PERCENT, threshold * PERCENT),
                set_("setIsBorrowAllowed", number, token, YES),
            )


async def through_one(lab: Lab) -> None:
    """Let liquidations go through one contract from now on, which keeps a share; VAI has to be repaid first."""
    somewhere = f"0x{0xBBBB:040x}"
    code = await lab.chain.deploy("Liquidator", lab.comptroller.address, somewhere, somewhere)
    place = f"0x{0x11C1:040x}"
    runs = f"0x363d3d373d3d3d363d73{code.address[2:]}5af43d82803e903d91602b57fd5bf3"
    await lab.chain.anvil.call("anvil_setCode", place, runs)
    lab.liquidator = Contract(address=place, abi=code.abi)
    call = lab.liquidator.call
    await lab.chain.send(call("initialize", 45 * PERCENT, _ALLOWS, _ALLOWS))
    await lab.chain.send(
        call("setMinLiquidatableVAI", 300 * WAD),
        call("setPendingRedeemChunkLength", 5),
        call("resumeForceVAILiquidate"),
    )
    await lab.chain.send(lab.comptroller.call("_setLiquidatorContract", place))


# -- what governance may do


async def pause(lab: Lab) -> None:
    """Pause one action each of three tokens."""
    for at, action in ((0, reading.SEIZING), (2, reading.LIQUIDATING), (3, reading.REPAYING)):
        await lab.chain.send(lab.comptroller.call("_setActionsPaused", [lab.tokens[at].address], [action], YES))


async def force(lab: Lab) -> None:
    """Let whoever owes one token be liquidated, and some accounts for another."""
    set_ = lab.comptroller.call
    await lab.chain.send(set_("_setForcedLiquidation", lab.tokens[4].address, YES))
    users = lab.users[::3]
    await lab.chain.send(*(set_("_setForcedLiquidationForUser", user, lab.tokens[5].address, YES) for user in users))


async def close_pool(lab: Lab) -> None:
    """Close the first pool, whose accounts count as in the core pool from then on; take the second's fallback."""
    await lab.chain.send(lab.comptroller.call("setPoolActive", 1, not YES))
    await lab.chain.send(lab.comptroller.call("setAllowCorePoolFallback", 2, not YES))


async def pause_transfers(lab: Lab) -> None:
    """Pause transfers of a token, by which a liquidator gets his share."""
    await lab.chain.send(
        lab.comptroller.call("_setActionsPaused", [lab.tokens[1].address], [reading.TRANSFERRING], YES)
    )


async def pause_all(lab: Lab) -> None:
    await lab.chain.send(lab.comptroller.call("_setProtocolPaused", YES))
