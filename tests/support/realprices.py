"""Sources of prices on real nodes: an aggregator behind its proxy, and Uniswap's own pools of two tokens."""

from dataclasses import dataclass, replace
from typing import Final

from tests.support.aggregatorcode import MAX_ANSWER, MIN_ANSWER, Aggregator
from tests.support.anvil import Lockstep
from tests.support.artifacts import OPENZEPPELIN, UNISWAP_V2, UNISWAP_V3, Deployer, call_data, code_of

from tocsin.chain.pools import sqrt_ratio
from tocsin.clock import NS
from tocsin.model.feed import FeedKind, FeedSettings, Role

_PHASE: Final = 1 << 64
FIRST: Final = 6 * _PHASE + 21_154
DOLLAR: Final = 10**8
_TICK: Final = 76_012
"""Of 2,000 of token 1 for a token 0, both of 18 decimals."""


@dataclass
class Prices:
    """What was put on the chain."""

    proxy: Aggregator
    feeds: tuple[FeedSettings, ...]
    pool: str
    """Of Uniswap v3."""
    swap: str
    """The pair of Uniswap v2."""
    base: str
    """The token that is priced; the deployer has some more."""


async def prices_on(pair: Lockstep) -> Prices:
    """Put an aggregator behind its proxy, and pools of two tokens, on the chain, and say how each is read."""
    at = Deployer(pair)
    behind = await Aggregator.on(at)
    await behind.store(MIN_ANSWER, 10 * DOLLAR)
    await behind.store(MAX_ANSWER, 10**6 * DOLLAR)
    proxy = await Aggregator.on(at, behind=behind.address)
    types = ("string", "string", "uint256", "address")
    sender = (await pair.call("eth_accounts"))[0]
    code = code_of(OPENZEPPELIN, "ERC20PresetFixedSupply")
    base, other = sorted([await at.deploy(code, types, name, name, 10**30, sender) for name in ("A", "B")])
    third = await at.deploy(code_of(UNISWAP_V3, "UniswapV3Factory"))
    second = await at.deploy(code_of(UNISWAP_V2, "UniswapV2Factory"), ("address",), sender)
    await at.send(third, call_data("createPool(address,address,uint24)", base, other, 3000))
    await at.send(second, call_data("createPair(address,address)", base, other))
    [pool] = await at.ask(third, ("address",), call_data("getPool(address,address,uint24)", base, other, 3000))
    [swap] = await at.ask(second, ("address",), call_data("getPair(address,address)", base, other))
    await at.send(pool, call_data("initialize(uint160)", sqrt_ratio(_TICK)))
    for token, amount in ((base, 10**20), (other, 2_000 * 10**20)):
        await at.send(token, call_data("transfer(address,uint256)", swap, amount))
    await at.send(swap, call_data("sync()"))
    now_s = int((await pair.left.block())["timestamp"], 16)
    await proxy.answer(FIRST, 2_000 * DOLLAR, now_s)
    feed = FeedSettings(
        name="eth-usd",
        address=proxy.address,
        prices="eth/usd",
        provider="chainlink",
        heartbeat_ns=600 * NS,
        grace_ns=60 * NS,
    )
    market = replace(feed, role=Role.MARKET, base=base, heartbeat_ns=0, grace_ns=0)
    spot = replace(market, name="spot", kind=FeedKind.SPOT_V3, address=pool, provider="v3")
    return Prices(
        proxy,
        (
            feed,
            spot,
            replace(spot, name="twap", kind=FeedKind.TWAP, window_s=60),
            replace(market, name="pair", kind=FeedKind.SPOT_V2, address=swap, provider="v2"),
            replace(spot, name="other-way", prices="usd/eth", base=other),
        ),
        pool,
        swap,
        base,
    )
