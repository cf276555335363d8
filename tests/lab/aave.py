"""A whole Aave v3 market of the contracts that its makers published, with accounts of many kinds."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.lab.chain import Chain, Contract, Json

from tocsin.protocols.aave_v3 import reading
from tocsin.protocols.aave_v3.revisions import REVISIONS
from tocsin.protocols.aave_v3.rules import AaveRules
from tocsin.protocols.base import Question
from tocsin.protocols.places import Parts, Target

CORE: Final = Path(__file__).parents[2] / "node_modules/@aave/core-v3/artifacts/contracts"
"""Version 3.0, compiled by its makers."""
RAY: Final = 10**27
NOBODY: Final = f"0x{0:040x}"
VARIABLE, STABLE = 2, 1
DAY_S: Final = 86_400
YES: Final = True
NO: Final = False


@dataclass(frozen=True)
class Asset:
    """An asset as it is listed; `price` in US dollars with 8 decimals, factors in basis points."""

    symbol: str
    decimals: int
    price: int
    ltv: int
    threshold: int
    bonus: int
    liquidity: int
    """Whole tokens that the owner supplies."""
    category: int = 0
    debt_ceiling: int = 0
    in_isolation: bool = False
    stable: bool = False


ASSETS: Final = (
    Asset("WETH", 18, 2_000_12345678, 8000, 8250, 10500, 200_000, category=1),
    Asset("WBTC", 8, 40_321_98765432, 7000, 7500, 11000, 5_000),
    Asset("USDC", 6, 99_987_654, 8000, 8500, 10450, 400_000_000, category=2, in_isolation=True, stable=True),
    Asset("DAI", 18, 100_012_345, 7500, 8000, 10400, 400_000_000, category=2, in_isolation=True, stable=True),
    Asset("STETH", 18, 1_998_76543210, 6900, 7900, 10750, 200_000, category=1),
    Asset("GUSD", 2, 99_500_001, 0, 0, 0, 50_000_000, in_isolation=True),
    Asset("ISO", 18, 7_12345678, 5000, 6000, 11000, 10_000_000, debt_ceiling=5_000_000_00),
    Asset("OLD", 18, 3_14159265, 0, 6500, 10800, 1_000_000),
)
"""Two, six, eight and 18 decimals, two eMode categories, one asset for isolation, one that no longer lends (ltv 0)."""

CURVE: Final = tuple(RAY * percent // 1000 for percent in (800, 0, 40, 750, 5, 750, 10, 50, 200))
"""Rates of one strategy for all, in ray: kink, base, two slopes, those of stable debt and what it is bounded by."""

CATEGORIES: Final = {1: (9000, 9300, 10100, False), 2: (9700, 9750, 10100, YES)}
"""Ltv, threshold, bonus, and whether it has a price of its own (until 3.1)."""

SHOCKS: Final[Sequence[Mapping[str, int]]] = (
    {},
    {"WETH": 95, "STETH": 94},
    {"WETH": 80, "STETH": 79, "WBTC": 85},
    {"USDC": 88, "DAI": 103},
    {"WBTC": 150, "ISO": 40},
    {"WETH": 60, "STETH": 55, "OLD": 10},
    {"GUSD": 300, "WETH": 200},
    {"WETH": 30, "WBTC": 20, "STETH": 25, "ISO": 1, "OLD": 1},
)
"""Percent of the first prices, state by state; what is not named keeps its price."""

KINDS: Final = {"plain": 45, "category 1": 15, "category 2": 12, "isolated": 10, "supplier": 8, "dust": 10}


@dataclass
class Lab:
    """A market on a chain."""

    chain: Chain
    pool: Contract
    provider: Contract
    configurator: Contract
    oracle: Contract
    tokens: list[Contract]
    assets: Sequence[Asset] = ASSETS
    stable: bool = False
    category_feed: str = ""
    users: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    @property
    def target(self) -> Target:
        return Target(pool=bytes.fromhex(self.pool.address[2:]))

    async def parts(self, revision: str) -> Parts:
        """Return where its contracts are, as they are found from the pool."""
        return await self.chain.read(AaveRules(REVISIONS[revision]).parts(self.target))

    @property
    def addresses(self) -> list[bytes]:
        return [bytes.fromhex(user[2:]) for user in self.users]

    def feed(self, at: int) -> str:
        """Where the price of an asset comes from."""
        return f"0x{0xFEED00 + at:040x}"

    async def set_price(self, at: int, price: int) -> None:
        await self.chain.answering(self.feed(at), price)

    async def prices(self) -> list[int]:
        oracle = bytes.fromhex(self.oracle.address[2:])
        asked = [Question(reading.PRICE, oracle, (bytes.fromhex(one.address[2:]),)) for one in self.tokens]
        return await self.chain.answers(asked)

    async def data(self, users: Sequence[bytes], block: str | Json = "latest") -> list[tuple[int, ...]]:
        """Return what the pool says of accounts: its six numbers of each."""
        return await self.chain.answers([Question(reading.VIEW, self.target.pool, (user,)) for user in users], block)

    async def pass_time(self, seconds: int) -> None:
        await self.chain.anvil.mine(apart_s=seconds)

    # -- accounts

    async def populate(self, count: int, rng: random.Random, group: int = 200) -> None:
        """Open positions of all kinds; the owner pays for what they supply."""
        while count > 0:
            await self._open(min(group, count), rng)
            count -= group
            await self.pass_time(rng.randint(1, 400_000))

    def _supply(self, user: str, at: int, dollars: float) -> tuple[Json, str]:
        asset = self.assets[at]
        units = max(1, int(dollars * 10**8 / asset.price * 10**asset.decimals))
        return self.pool.call("supply", self.tokens[at].address, units, user, 0), self.chain.owner

    async def _open(self, count: int, rng: random.Random) -> None:
        kinds = rng.choices(list(KINDS), list(KINDS.values()), k=count)
        users = [f"0x{rng.getrandbits(160):040x}" for _ in kinds]
        supplies, modes, wanted = [], [], []
        for user, kind in zip(users, kinds, strict=True):
            first, then, borrows = self._opening(user, kind, rng)
            supplies += first
            modes += [(each, user) for each in then]
            wanted.append(borrows)
        assert all(receipt["status"] == "0x1" for receipt in await self.chain.send_all(supplies))
        await self.chain.send_all(modes)
        for turn in range(3):
            active = [kind != "supplier" and (not turn or rng.random() < 0.5) for kind in kinds]
            await self._borrow([row for row in zip(users, wanted, active, strict=True) if row[2]], rng)
            await self.pass_time(rng.randint(1, 5_000))
        # Some supply more at a later index, so that shares and amounts are no longer the same.
        again = [user for user, kind in zip(users, kinds, strict=True) if kind != "isolated" and rng.random() < 0.15]
        await self.chain.send_all(
            [self._supply(user, rng.choice(self._collateral), 10 ** rng.uniform(-2, 3)) for user in again]
        )
        self.users += users
        self.kinds += kinds

    @property
    def _collateral(self) -> list[int]:
        return [at for at, asset in enumerate(self.assets) if asset.threshold and not asset.debt_ceiling]

    @property
    def _lent(self) -> list[int]:
        return [at for at, asset in enumerate(self.assets) if not asset.debt_ceiling]

    def _opening(
        self, user: str, kind: str, rng: random.Random
    ) -> tuple[list[tuple[Json, str]], list[Json], list[int]]:
        """Return what is supplied, what the user does then, and what may be borrowed."""
        if kind == "isolated":
            at = next(at for at, asset in enumerate(self.assets) if asset.debt_ceiling)
            use = self.pool.call("setUserUseReserveAsCollateral", self.tokens[at].address, YES)
            can = [other for other in self._lent if self.assets[other].in_isolation]
            return [self._supply(user, at, 10 ** rng.uniform(2, 5))], [use], can
        if kind.startswith("category"):
            number = int(kind[-1])
            mine = [at for at in self._lent if self.assets[at].category == number]
            first = [
                self._supply(user, at, 10 ** rng.uniform(3, 6)) for at in rng.sample(mine, rng.randint(1, len(mine)))
            ]
            if rng.random() < 0.4:
                other = rng.choice([at for at in self._collateral if at not in mine])
                first.append(self._supply(user, other, 10 ** rng.uniform(2, 4)))
            return first, [self.pool.call("setUserEMode", number)], mine
        spread = (-3.0, 0.5) if kind == "dust" else (2.0, 6.5)
        chosen = rng.sample(self._collateral, rng.randint(1, 4))
        first = [self._supply(user, at, 10 ** rng.uniform(*spread)) for at in chosen]
        if rng.random() < 0.2:
            worthless = next(at for at, asset in enumerate(self.assets) if not asset.threshold)
            first.append(self._supply(user, worthless, 10 ** rng.uniform(1, 3)))
        return first, [], self._lent

    async def _borrow(self, rows: Sequence[tuple[str, list[int], bool]], rng: random.Random) -> None:
        prices = await self.prices()
        data = await self.data([bytes.fromhex(user[2:]) for user, _, _ in rows])
        sent = []
        for (user, can, _), (_, _, available, *_) in zip(rows, data, strict=True):
            at = rng.choice(can)
            asset = self.assets[at]
            units = int(available * rng.uniform(0.3, 0.995) * 10**asset.decimals / prices[at])
            if units:
                mode = STABLE if self.stable and asset.stable and rng.random() < 0.5 else VARIABLE
                sent.append((self.pool.call("borrow", self.tokens[at].address, units, mode, 0, user), user))
        await self.chain.send_all(sent)


async def shocked(lab: Lab, shocks: Mapping[str, int], number: int) -> None:
    """Set all prices, and a category's own, so that no two states have the same."""
    for at, asset in enumerate(lab.assets):
        await lab.set_price(at, asset.price * shocks.get(asset.symbol, 100) // 100 + number)
    await lab.chain.answering(lab.category_feed, 10**8 - 1_234_567 * number)


async def deploy_3_0(chain: Chain, assets: Sequence[Asset] = ASSETS) -> Lab:
    """Put a market of version 3.0 on a chain."""
    await chain.start()
    provider = await provider_of(chain)
    pool, configurator = await chain.deploy_all([("Pool", (provider.address,)), ("PoolConfigurator", ())])
    await implement(chain, provider, pool, configurator)
    lab = await lab_of(chain, provider, ("Pool", "PoolConfigurator"), assets, stable=True)
    strategy, a_token, s_token, v_token = await chain.deploy_all(
        [
            ("DefaultReserveInterestRateStrategy", (provider.address, *CURVE)),
            ("AToken", (lab.pool.address,)),
            ("StableDebtToken", (lab.pool.address,)),
            ("VariableDebtToken", (lab.pool.address,)),
        ]
    )
    implementations = a_token.address, s_token.address, v_token.address
    for asset, token in zip(assets, lab.tokens, strict=True):
        places = asset.decimals, strategy.address, token.address, chain.owner, NOBODY
        wanted = (*implementations, *places, *names_of(asset, 3), b"")
        await chain.send(lab.configurator.call("initReserves", [wanted]))
    source = f"0x{0xE0DE:040x}"
    await chain.answering(lab.category_feed, 10**8)
    for number, (ltv, threshold, bonus, own_price) in CATEGORIES.items():
        where = source if own_price else NOBODY
        await chain.send(
            lab.configurator.call("setEModeCategory", number, ltv, threshold, bonus, where, f"category {number}")
        )
    await chain.send(lab.oracle.call("setAssetSources", [source], [lab.category_feed]))
    for asset, token in zip(assets, lab.tokens, strict=True):
        more = [lab.configurator.call("setReserveStableRateBorrowing", token.address, YES)] if asset.stable else []
        if asset.category:
            more.append(lab.configurator.call("setAssetEModeCategory", token.address, asset.category))
        await list_asset(lab, asset, token, more)
    return lab


async def provider_of(chain: Chain) -> Contract:
    """Put on the chain what knows where the parts of a market are, and give the owner all roles."""
    provider = await chain.deploy("PoolAddressesProvider", "LAB", chain.owner)
    await chain.send(provider.call("setACLAdmin", chain.owner))
    manager = await chain.deploy("ACLManager", provider.address)
    roles = ("addPoolAdmin", "addAssetListingAdmin", "addRiskAdmin", "addEmergencyAdmin")
    await chain.send(
        provider.call("setACLManager", manager.address), *(manager.call(role, chain.owner) for role in roles)
    )
    return provider


async def implement(chain: Chain, provider: Contract, pool: Contract, configurator: Contract) -> None:
    """Set what pool and configurator run."""
    await chain.send(provider.call("setPoolImpl", pool.address))
    await chain.send(provider.call("setPoolConfiguratorImpl", configurator.address))


async def lab_of(
    chain: Chain, provider: Contract, names: tuple[str, str], assets: Sequence[Asset], *, stable: bool
) -> Lab:
    """Put tokens, their prices and the oracle on the chain; nothing is listed yet."""
    pool = chain.at(names[0], await chain.ask(provider, "getPool"))
    configurator = chain.at(names[1], await chain.ask(provider, "getPoolConfigurator"))
    data_provider = await chain.deploy("AaveProtocolDataProvider", provider.address)
    await chain.send(provider.call("setPoolDataProvider", data_provider.address))
    tokens = await chain.deploy_all([("MintableERC20", (one.symbol, one.symbol, one.decimals)) for one in assets])
    feeds = [f"0x{0xFEED00 + at:040x}" for at in range(len(assets))]
    where = [token.address for token in tokens]
    oracle = await chain.deploy("AaveOracle", provider.address, where, feeds, NOBODY, NOBODY, 10**8)
    await chain.send(provider.call("setPriceOracle", oracle.address))
    lab = Lab(
        chain=chain,
        pool=pool,
        provider=provider,
        configurator=configurator,
        oracle=oracle,
        tokens=tokens,
        assets=assets,
        stable=stable,
        category_feed=f"0x{0xFEEDFF:040x}",
    )
    for at, asset in enumerate(assets):
        await lab.set_price(at, asset.price)
    return lab


async def list_asset(lab: Lab, asset: Asset, token: Contract, more: Sequence[Json]) -> None:
    """Configure an asset, and let the owner supply it."""
    at, set_ = token.address, lab.configurator.call
    steps = []
    if asset.threshold:
        steps.append(set_("configureReserveAsCollateral", at, asset.ltv, asset.threshold, asset.bonus))
        steps.append(set_("setLiquidationProtocolFee", at, 1000))
    if asset.debt_ceiling and lab.configurator.has("setDebtCeiling"):
        steps.append(set_("setDebtCeiling", at, asset.debt_ceiling))
    else:
        steps.append(set_("setReserveBorrowing", at, YES))
    if asset.in_isolation and lab.configurator.has("setBorrowableInIsolation"):
        steps.append(set_("setBorrowableInIsolation", at, YES))
    steps += more
    steps.append(set_("setReserveFactor", at, 1000))
    steps.append(token.call("approve", lab.pool.address, 2**256 - 1))
    steps.append(token.call("mint", lab.chain.owner, 2**127))
    steps.append(lab.pool.call("supply", at, asset.liquidity * 10**asset.decimals, lab.chain.owner, 0))
    await lab.chain.send(*steps)


def names_of(asset: Asset, tokens: int) -> list[str]:
    """Return names and symbols of an asset's own tokens."""
    return [letter + asset.symbol for letter in "avs"[:tokens] for _ in range(2)]
