"""A pool over a simulated chain with sources of prices of every kind, and gateways beside them."""

from dataclasses import replace
from typing import Any

from tests.support.pool import settings_for
from tests.support.ticking import Ticking

from tocsin.clock import NS
from tocsin.engine.feedcalls import selector
from tocsin.model.alert import Alert
from tocsin.model.event import GatewayPolled
from tocsin.model.feed import FeedKind, FeedRecord, FeedSettings, GatewaySettings, Role
from tocsin.model.observation import Fault, FaultKind
from tocsin.model.settings import Settings
from tocsin.testing import ChainSpec
from tocsin.testing.simfeeds import (
    PHASE,
    aggregator,
    answered,
    install,
    pair_v2,
    pool_v3,
    token,
    vault,
)
from tocsin.testing.simstate import Change, SimAccount, World


def at(number: int) -> bytes:
    return bytes.fromhex(f"fe{number:038x}")


ORACLE, BEHIND, POOL, PAIR, WETH, USDC, VAULT, STABLE, UPTIME = (at(number) for number in range(1, 10))
HOUR = 3600

ETH = FeedSettings(
    name="eth-usd",
    address=f"0x{ORACLE.hex()}",
    prices="eth/usd",
    provider="chainlink",
    heartbeat_ns=HOUR * NS,
    grace_ns=120 * NS,
    deviation_bps=50,
)
TWAP = FeedSettings(
    name="twap",
    address=f"0x{POOL.hex()}",
    kind=FeedKind.TWAP,
    role=Role.MARKET,
    prices="eth/usd",
    provider="pool",
    base=f"0x{WETH.hex()}",
    window_s=1800,
)
SPOT = replace(TWAP, name="spot", kind=FeedKind.SPOT_V3, window_s=0)
PAIRED = replace(SPOT, name="pair", kind=FeedKind.SPOT_V2, address=f"0x{PAIR.hex()}", provider="pair")
SHARE = FeedSettings(name="share", address=f"0x{VAULT.hex()}", kind=FeedKind.ERC4626, prices="share/eth", provider="v")
RATE = replace(SHARE, name="rate", kind=FeedKind.RATE, function=selector("getExchangeRate()"), decimals=18)
USD = replace(
    ETH, name="usdc-usd", address=f"0x{STABLE.hex()}", prices="usdc/usd", heartbeat_ns=24 * HOUR * NS, peg="1"
)
SEQUENCER = FeedSettings(
    name="uptime", address=f"0x{UPTIME.hex()}", kind=FeedKind.SEQUENCER, provider="u", grace_ns=HOUR * NS
)
EVERY = (ETH, TWAP, SPOT, PAIRED, SHARE, RATE, USD, SEQUENCER)

# 2,000 USDC (6 decimals) a WETH (18), WETH being token 0.
TICK = -200_312
SQRT = 3_543_190_829_128_866_413_297_664


def gateway(name: str = "exchange", prices: str = "eth/usd", **more: Any) -> GatewaySettings:
    common: dict[str, Any] = {"endpoint": f"https://{name}.example", "provider": name}
    times = {"poll_ns": 10 * NS, "max_age_ns": 60 * NS}
    return GatewaySettings(**{"name": name, "prices": prices, **common, **times, **more})


def world(now_s: int = 0) -> World:
    rounds = {}
    for address, number, answer in ((ORACLE, PHASE + 7, 2000 * 10**8), (STABLE, PHASE + 1, 10**8), (UPTIME, 1, 0)):
        begun = 1 if address == UPTIME else now_s
        rounds[address] = {
            slot: value for (_, slot), value in answered(address, number, answer, now_s, begun).slots.items()
        }
    return World(
        {
            ORACLE: aggregator(behind=BEHIND, slots=rounds[ORACLE]),
            BEHIND: aggregator(low=10**8, high=10**13),
            STABLE: aggregator(slots=rounds[STABLE]),
            UPTIME: aggregator(slots=rounds[UPTIME]),
            POOL: pool_v3(WETH, USDC, sqrt_price=SQRT, tick=TICK, liquidity=10**20),
            PAIR: pair_v2(USDC, WETH, 2_000_000 * 10**6, 1_000 * 10**18),
            WETH: token(18),
            USDC: token(6),
            VAULT: vault(WETH, 105 * 10**16),
            **{at(number): SimAccount(balance=1) for number in range(20, 28)},
        }
    )


def pricing(
    feeds: tuple[FeedSettings, ...] = EVERY,
    gateways: tuple[GatewaySettings, ...] = (),
    providers: tuple[str, ...] = ("self", "b", "c"),
    **more: Any,
) -> Settings:
    settings = settings_for(providers, **more)
    return replace(settings, chains=(replace(settings.chains[0], feeds=feeds, gateways=gateways),))


class FeedPool(Ticking):
    """`Ticking` over a chain with all of these; `quote` lets a gateway speak before each poll."""

    def __init__(self, settings: Settings | None = None, **more: Any) -> None:
        self.quotes: dict[str, str | Fault] = {}
        self.gateway_polls = 0
        self.price_age_s: int | None = None
        settings = settings or pricing()
        started_s = 1_700_000_000 - 600
        spec = more.pop("spec", None) or ChainSpec(history=200, world=world(started_s))
        super().__init__(settings, spec=spec, **more)
        install(self.chain)

    def round(self) -> None:
        self.gateway_polls += 1
        for name, said in sorted(self.quotes.items()):
            self.take(self._quoted(name, said))
        super().round()

    def _quoted(self, name: str, said: str | Fault) -> GatewayPolled:
        blank = GatewayPolled(
            t_ns=self.now,
            wall_ns=self.clock.wall_ns(),
            started_ns=self.now - 10**6,
            gateway=name,
            poll=self.gateway_polls,
        )
        if isinstance(said, Fault):
            return replace(blank, fault=said)
        age = self.price_age_s
        return replace(blank, price=said, price_ns=None if age is None else self.clock.wall_ns() - age * NS)

    @property
    def block_s(self) -> int:
        """The time of the newest block."""
        return self.chain.branch().head.timestamp

    def answer(self, number: int, answer: int, address: bytes = ORACLE, *, late_s: int = 0) -> None:
        """Let the aggregator answer in the next block."""
        self.chain.send(answered(address, number, answer, self.block_s + 12 - late_s))

    def send(self, change: Change) -> None:
        self.chain.send(change)

    def seen(self, name: str = "eth-usd") -> FeedRecord:
        return self.state.chains["sim"].feeds[name]

    def values(self) -> dict[str, str]:
        return {name: seen.latest.value for name, seen in self.state.chains["sim"].feeds.items() if seen.latest}

    def problems(self) -> dict[str, str]:
        return {name: seen.problem for name, seen in self.state.chains["sim"].feeds.items() if seen.problem}

    def about(self, detector: str) -> list[Alert]:
        return [alert for alert in self.alerts if alert.detector == detector]

    def slots(self, count: int) -> None:
        """So many blocks, at six polls each."""
        self.rounds(6 * count)


SILENT = Fault(kind=FaultKind.TIMEOUT, detail="no answer after 5000 ms")
