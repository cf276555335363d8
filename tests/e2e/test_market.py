"""A lending market in the daemon: Aave's own contracts on a node, prices that fall, blocks taken back, and lies."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.lab.aave import CORE
from tests.support.broker import Mosquitto
from tests.support.fleet import distinct
from tests.support.livemarket import Lie, LiveMarket, live_market
from tests.support.watchdog import Subscriber, Watchdog, eventually, mqtt_of, subscribed, watchdog

from tocsin.clock import NS, SystemClock
from tocsin.testing.jsonrpc import Json

log = logging.getLogger(__name__)

HEALTHS = (1.05, 1.1, 1.15, 1.2, 1.3, 1.6)
FALL = 18
"""Per cent: of these healths four come below one."""
LIQUIDATABLE = "risk.liquidatable"
NOWHERE = f"0x{0xDEAD:040x}"


def told(heard: Subscriber) -> list[dict[str, Any]]:
    """Return what was said of the market, in order."""
    said = [one for one in heard.heard if one.topic.endswith("/risk/sim/lab") and one.payload]
    return [orjson.loads(one.payload)["data"] for one in said]


def below(sample: dict[str, Any]) -> set[str]:
    return {one["account"] for one in sample["near"] if one["liquidatable"]}


async def until_told(heard: Subscriber, wanted: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
    """Return the newest word on the market, once it is what is wanted."""
    await eventually(lambda: told(heard) and wanted(told(heard)[-1]), what)
    return told(heard)[-1]


async def asked(daemon: Watchdog, *arguments: str, code: int = 0) -> dict[str, Any]:
    said = await daemon.command(*arguments, "--json", "--config", str(daemon.config))
    assert said.code == code, said
    found: dict[str, Any] = orjson.loads(said.out)
    assert found["schema"] == 1
    return found


async def test_who_falls_with_a_price_is_told_and_taken_back_with_the_block(
    tmp_path: Path, broker: Mosquitto, anvil_binary: str
) -> None:
    async with live_market(anvil_binary, healths=HEALTHS) as live, subscribed(broker) as heard:
        anvil = live.lab.chain.anvil
        async with watchdog(tmp_path, live.configuration(tmp_path, broker=mqtt_of(broker))) as daemon:
            daemon.start()
            first = await until_told(heard, lambda one: one["totals"], "the market is valued")
            assert (first["totals"]["accounts"], first["totals"]["liquidatable"]) == (len(HEALTHS), 0)
            assert (first["exactness"], first["grade"], first["revision"]) == ("exact", "quorum", "1")
            predicted = await asked(
                daemon, "stress", "--shock", f"WETH=-{FALL}%", "--shock", "WBTC=-10%..0%/10%", "--referee"
            )
            before = await asked(daemon, "account", live.borrowers[0])
            place = await anvil.call("evm_snapshot")

            clock = SystemClock()
            begun = clock.monotonic_ns()
            await live.price(100 - FALL)
            await eventually(lambda: below(told(heard)[-1]), "somebody falls")
            log.info("from the block to the message: %.3f s", (clock.monotonic_ns() - begun) / NS)
            right = await live.liquidatable()
            assert len(right) == 4
            fallen = told(heard)[-1]
            assert below(fallen) == right
            await alerted(heard, "firing", len(right))
            assert fallen["totals"]["liquidatable"] == len(right)
            # What was foretold is what came.
            assert {one["accounts"] for one in predicted["outcomes"]} == {len(right)}
            assert {one["account"] for one in predicted["fallen"]} == right
            referee = predicted["referee"]
            assert (referee["asked"], referee["agree"], referee["problem"]) == (len(HEALTHS), len(HEALTHS), None)
            after = await asked(daemon, "account", live.borrowers[0], code=2)
            assert_stands(before, after, live)

            assert await anvil.call("evm_revert", place)
            await anvil.mine(3)
            assert below(await until_told(heard, lambda one: not below(one), "nobody is below the line")) == set()
            assert await live.liquidatable() == set()
            await alerted(heard, "resolved", 0)
            await a_new_borrower_is_followed(live, heard)
            await is_replayed_byte_for_byte(daemon, heard, tmp_path)
            await daemon.stop()
            daemon.start()
            count = len(told(heard))
            await eventually(lambda: len(told(heard)) > count, "it is valued again after a start")
            assert "is not used" not in daemon.log()
            assert told(heard)[-1]["totals"]["accounts"] == len(HEALTHS) + 1


async def alerted(heard: Subscriber, state: str, accounts: int) -> None:
    """Wait for the alert about accounts below the line, and hold it to their number."""
    event = await heard.until(
        lambda one: (one.data["detector"], one.data["state"]) == (LIQUIDATABLE, state), f"the alert is {state}"
    )
    assert (event.data["value"], event.data["exactness"]) == (accounts, "exact")


def assert_stands(before: dict[str, Any], after: dict[str, Any], live: LiveMarket) -> None:
    """Hold what was said of one account before and after a fall against each other."""
    [was], [now] = before["markets"], after["markets"]
    assert was["account"]["account"] == live.borrowers[0]
    assert (was["account"]["liquidatable"], now["account"]["liquidatable"]) == (False, True)
    assert 1_049_000 <= was["account"]["health_ppm"] <= 1_050_000
    assert now["account"]["health_ppm"] < 870_000
    assert was["account"]["asset"] == "WETH"
    assert -48_000 < was["account"]["distance_ppm"] < -47_000
    assert {leg["asset"] for leg in was["account"]["held"]} == {"WETH", "USDC"}


async def a_new_borrower_is_followed(live: LiveMarket, heard: Subscriber) -> None:
    """Who borrows for the first time is in the market with the next block, by its logs alone."""
    before = told(heard)[-1]["totals"]
    await live.open(1.04)
    found = await until_told(
        heard, lambda one: one["totals"]["accounts"] == before["accounts"] + 1, "a new borrower is known"
    )
    assert int(found["totals"]["debt"]) > int(before["debt"])
    assert {one["account"] for one in found["near"]} >= {live.borrowers[-1]}


async def is_replayed_byte_for_byte(daemon: Watchdog, heard: Subscriber, folder: Path) -> None:
    published = [event.heard.payload.decode() for event in distinct(heard.events)]
    out = folder / "market.rec"
    said = await daemon.command("record", str(out), "--last", "10m", "--config", str(daemon.config))
    assert said.code == 0, said
    replayed = await daemon.command("replay", str(out), environ={"PYTHONHASHSEED": "4711", "TZ": "Asia/Kathmandu"})
    assert replayed.code == 0, replayed.err
    assert replayed.out.splitlines()[: len(published)] == published
    assert len(published) >= 2


async def test_a_node_that_lies_about_what_an_account_owes_is_not_believed_and_is_named(
    tmp_path: Path, broker: Mosquitto, anvil_binary: str
) -> None:
    async with live_market(anvil_binary, healths=(1.05, 1.1), apart_s=1.0) as live, subscribed(broker) as heard:
        owed = await live.debts()
        await live.proxy.node("a").set(Lie(changes=twice(owed)))
        async with watchdog(tmp_path, live.configuration(tmp_path, broker=mqtt_of(broker))) as daemon:
            daemon.start()
            first = await until_told(heard, lambda one: one["totals"], "the market is valued")
            named = await heard.until_fired("node.call_mismatch", "a")
            assert named.data["severity"] in ("warning", "critical")
            await until_told(
                heard,
                lambda one: one["block"] and one["block"]["number"] > first["block"]["number"] + 2,
                "it is valued for some blocks",
            )
            assert all(below(one) == set() for one in told(heard))
            assert {one["totals"]["debt"] for one in told(heard) if one["totals"]} >= {first["totals"]["debt"]}
            assert not [one for one in heard.events if one.data["detector"] == LIQUIDATABLE]


def twice(words: list[int]) -> Callable[[Json, Any], Any]:
    """Return a lie that makes each of these words, wherever it stands in what a call returns, twice as large."""
    swapped = {f"{word:064x}": f"{2 * word:064x}" for word in words}

    def lie(call: Json, result: Any) -> Any:
        if call["method"] != "eth_call" or not isinstance(result, str):
            return result
        for true, false in swapped.items():
            result = result.replace(true, false)
        return result

    return lie


async def test_a_market_that_is_not_where_it_should_be_is_unknown_with_the_reason(
    tmp_path: Path, broker: Mosquitto, anvil_binary: str
) -> None:
    async with live_market(anvil_binary, apart_s=0.5) as live, subscribed(broker) as heard:
        text = live.configuration(tmp_path, broker=mqtt_of(broker), pool=NOWHERE)
        async with watchdog(tmp_path, text) as daemon:
            daemon.start()
            found = await until_told(heard, lambda one: one["problem"], "it says why it is not known")
            assert found["totals"] is None
            assert found["block"] is None
            assert "POOL_REVISION() failed" in found["problem"]
            said = await daemon.command("stress", "--shock", "WETH=-10%", "--config", str(daemon.config))
            assert said.code == 1
            assert "market lab was not valued yet: " in said.err


@pytest.fixture(autouse=True)
def _needs_contracts() -> None:
    if not CORE.exists():
        pytest.skip(f"{CORE} is not there: run `npm ci --ignore-scripts`")
