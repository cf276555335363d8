"""Feeds on real nodes: an aggregator behind its proxy, and Uniswap's own pools, read as they are, on two anvils."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import pytest
from tests.support.anvil import running_lockstep
from tests.support.realpool import RealPool, real_settings
from tests.support.realprices import DOLLAR, FIRST, Prices, prices_on

from tocsin.clock import NS
from tocsin.model.alert import Grade, Severity
from tocsin.model.feed import FeedRecord
from tocsin.model.price import bps, fraction
from tocsin.testing.faults import Lie
from tocsin.testing.jsonrpc import Json
from tocsin.testing.upstream import HttpUpstream


@contextmanager
def pool_of_prices(binary: str) -> Iterator[tuple[RealPool, Prices]]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        sides: list[HttpUpstream] = []
        try:
            pair = runner.run(stack.enter_async_context(running_lockstep(binary)))
            prices = runner.run(prices_on(pair))
            settings = real_settings((), prices.feeds, ("self", "b", "c", "d"))
            sides += [HttpUpstream((pair.left, pair.right)[at % 2].url) for at in range(4)]
            yield RealPool(runner, pair, settings, sides), prices
        finally:
            for side in sides:
                runner.run(side.close())
            runner.run(stack.aclose())


def seen(pool: RealPool, name: str = "eth-usd") -> FeedRecord:
    return pool.state.chains["sim"].feeds[name]


def test_prices_of_real_contracts_are_read_and_what_is_wrong_with_them_is_told(anvil_binary: str) -> None:
    with pool_of_prices(anvil_binary) as (pool, prices):
        pool.rounds(30)
        known = pool.state.chains["sim"].feeds
        assert {name: one.problem for name, one in known.items()} == dict.fromkeys(known, "")
        latest = {name: one.latest for name, one in known.items()}
        assert {one.grade for one in latest.values() if one is not None} == {Grade.QUORUM}
        assert seen(pool).latest.value == "2000"  # type: ignore[union-attr]
        assert latest["pair"].value == "2000"  # type: ignore[union-attr]
        for name in ("spot", "twap"):
            assert bps(fraction(latest[name].value), fraction("2000")) <= 1  # type: ignore[union-attr]
        assert bps(fraction(latest["other-way"].value), fraction("0.0005")) <= 1  # type: ignore[union-attr]
        fixed = seen(pool).fixed
        assert (fixed["decimals"], fixed["low"], fixed["high"]) == ("8", str(10 * DOLLAR), str(10**6 * DOLLAR))
        assert fixed["description"] == ""  # the contract has none, and a revert is an answer
        assert pool.alerts == []

        pool.run(prices.proxy.answer(FIRST + 1, 2_400 * DOLLAR, int(pool.clock.wall_ns() // NS)))
        pool.rounds(20)
        said = {(alert.detector, alert.severity) for alert in pool.alerts}
        assert said == {("oracle.jump", Severity.CRITICAL), ("oracle.deviation", Severity.CRITICAL)}
        [round_] = [one for one in seen(pool).rounds if one.number == str(FIRST + 1)]
        assert round_.moved_bps == 2_000


@pytest.mark.parametrize("liar", ["n1", "n2"])
def test_a_real_node_that_lies_about_a_price_is_named_and_not_believed(anvil_binary: str, liar: str) -> None:
    with pool_of_prices(anvil_binary) as (pool, prices):
        pool.rounds(20)
        assert pool.alerts == []
        word, about = f"0x{FIRST:064x}{1:064x}{1:064x}{1:064x}{FIRST:064x}", prices.proxy.address

        def told(truth: Any, call: Json) -> Any:
            return word if call["method"] == "eth_call" and call["params"][0]["to"] == about else truth

        pool.run(pool.virtual[liar].add(Lie(tell=told)))
        for _ in range(8):
            pool.round()
            assert seen(pool).latest.value == "2000"  # type: ignore[union-attr]
        assert pool.open() == {("node.call_mismatch", liar)}
