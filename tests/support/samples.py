"""Valuations of a market made by hand, and a pool that is told of them."""

from dataclasses import replace
from typing import Any

from tests.support.pool import settings_for
from tests.support.ticking import Ticking

from tocsin.model.alert import Exactness, Grade
from tocsin.model.block import BlockRef
from tocsin.model.event import MarketValued
from tocsin.model.market import (
    AccountSample,
    AtRisk,
    Held,
    MarketSample,
    MarketSeen,
    MarketSettings,
)
from tocsin.model.settings import Settings

POOL = "0x" + "a1" * 20
WETH = MarketSettings(name="aave", kind="aave-v3", pool=POOL, index="market-aave")
ALICE, BOB, CAROL = "0x" + "a" * 40, "0x" + "b" * 40, "0x" + "c" * 40
E8 = 10**8


def account(name: str, health: str | None = "1.02", **more: Any) -> AccountSample:
    """An account with 100 of collateral and a debt by its health, were the threshold 1."""
    if health is None:
        none: dict[str, Any] = {"account": name, "health_ppm": None, "collateral": "0", "debt": "0"}
        return AccountSample(**none | {"liquidatable": None} | more)
    ppm = round(float(health) * 10**6)
    usual: dict[str, Any] = {
        "account": name,
        "health_ppm": ppm,
        "collateral": str(100 * E8),
        "debt": str(100 * E8 * 10**6 // ppm),
        "liquidatable": ppm < 10**6,
        "asset": "WETH",
        "price": str(2_000 * E8 * 10**6 // ppm),
        "distance_ppm": 10**12 // ppm - 10**6,
        "seconds_left": 86_400,
        "held": (Held(asset="WETH", collateral=str(100 * E8)), Held(asset="USDC", debt=str(50 * E8))),
    }
    return AccountSample(**usual | more)


CURVE = (
    AtRisk(shock_bps=-500, accounts=1, unsure=0, collateral=str(10 * E8), debt=str(9 * E8), bad_debt="0"),
    AtRisk(shock_bps=-1_000, accounts=3, unsure=1, collateral=str(40 * E8), debt=str(35 * E8), bad_debt="0"),
)
PARAMETERS = (("WETH.liquidation_threshold", "8300"), ("WETH.paused", "no"))
CALM = MarketSample(
    identity=WETH.identity,
    block=BlockRef(number=100, hash="0x" + "01" * 32),
    time_s=1_700_000_000,
    grade=Grade.QUORUM,
    revision="3.5",
    exactness=Exactness.EXACT,
    base="USD",
    base_decimals=8,
    book_hash="b" * 64,
    accounts=1_000,
    indebted=400,
    collateral=str(1_000 * E8),
    debt=str(500 * E8),
    curve=CURVE,
    shares_ppm=(("WETH", 600_000), ("USDC", 400_000)),
    largest_ppm=100_000,
    largest=ALICE,
    parameters=PARAMETERS,
    checked=5,
    backend="numpy",
)


def lending(*markets: MarketSettings, **params: object) -> Settings:
    """Settings of a chain with three nodes and these markets."""
    settings = settings_for(("self", "b", "c"), **params)
    return replace(settings, chains=(replace(settings.chains[0], markets=markets or (WETH,)),))


class MarketPool(Ticking):
    """A pool of nodes, and the word of valuations at their agreed head."""

    def __init__(self, settings: Settings | None = None, *, rounds: int = 14) -> None:
        super().__init__(settings or lending())
        self.rounds(rounds)
        self.keep_events = True

    def value(self, sample: MarketSample = CALM, market: str = "aave", **change: Any) -> None:
        """Tell a valuation at the agreed head, but for what is changed."""
        at = {"block": self.state.chains["sim"].head.block} if sample.is_known else {}
        self.take(MarketValued(t_ns=self.now, chain="sim", market=market, sample=replace(sample, **{**at, **change})))

    def take_problem(self, problem: str) -> None:
        """Tell that nothing could be valued yet."""
        self.value(MarketSample(identity=WETH.identity, problem=problem))
        self.round()

    @property
    def seen(self) -> MarketSeen:
        return self.state.chains["sim"].markets["aave"]
