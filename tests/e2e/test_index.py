"""The log index in the daemon: built and followed over sockets, killed, lied to, and told of, it is the chain's."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.broker import Mosquitto
from tests.support.liveindex import (
    Live,
    alive,
    another_receipt,
    digest_of,
    settings_in,
    without_one_log,
)
from tests.support.watchdog import Watchdog, eventually, mqtt_of, reached, subscribed, watchdog

from tocsin.engine.recheck import Verdict, rechecked
from tocsin.mqtt.models import IndexEvent


def row(status: dict[str, Any]) -> dict[str, Any]:
    [one] = status["chains"][0]["indexes"]
    found: dict[str, Any] = one
    return found


def is_done(status: dict[str, Any]) -> bool:
    one = row(status)
    return one["done"] == 1.0 and not one["stuck"]


def is_past(number: int, status: dict[str, Any]) -> bool:
    through = row(status)["through"]
    return through is not None and through["number"] > number and through["hash"] is not None


async def held(live: Live, daemon: Watchdog) -> int:
    """Hold the index of a daemon against the chain, at whichever finalized block it is; return that."""
    through, digest = digest_of(daemon.state_dir, settings_in(daemon.config))
    assert through.hash
    assert digest == live.right(through)
    return through.number


async def test_an_index_is_built_followed_through_reorgs_and_told(tmp_path: Path, broker: Mosquitto) -> None:
    async with alive(Live(), reorgs=True) as live, subscribed(broker) as heard:
        text = live.configuration(tmp_path, broker=mqtt_of(broker))
        async with watchdog(tmp_path, text) as daemon:
            before = await daemon.command("index", "status", "--config", str(daemon.config))
            assert "no daemon runs: this is what the files say" in before.out
            assert "there is no log index yet" in before.out
            daemon.start()
            await daemon.until_status(is_done, "the index is built")
            first = await held(live, daemon)
            await daemon.until_status(lambda now: is_past(first + 10, now), "the index follows")
            assert await held(live, daemon) > first
            page = await daemon.command("status", "--config", str(daemon.config))
            assert "  index debtors, block " in page.out
            said = await daemon.command("index", "status", "--json", "--digest", "--config", str(daemon.config))
            [one] = json.loads(said.out)["indexes"]
            assert (one["on"], one["name"], one["grade"], one["problem"]) == ("sim", "debtors", "quorum", None)
            assert len(one["digest"]) == 66
            assert one["accounts"] > 40
            assert live.reorgs
            told = [message for message in heard.heard if message.topic.endswith("/index/sim/debtors")]
            assert told
            for message in told:
                IndexEvent.model_validate_json(message.payload)
            assert not {event.data["detector"] for event in heard.events} & {"node.call_mismatch", "node.proof_invalid"}
            await daemon.stop()
            after = await daemon.command("index", "status", "debtors", "--config", str(daemon.config))
            assert "debtors on sim, from block 0\n  block " in after.out


async def test_kill_9_at_any_moment_changes_nothing_of_the_index(tmp_path: Path) -> None:
    live = Live(history=200)
    async with alive(live, reorgs=True), watchdog(tmp_path, live.configuration(tmp_path)) as daemon:
        for pause_s in (0.1, 0.4, 0.9):
            daemon.start()
            await daemon.watching()
            await asyncio.sleep(pause_s)
            await daemon.kill()
        daemon.start()
        await daemon.until_status(is_done, "the index is built in the end")
        await held(live, daemon)


async def test_who_leaves_out_a_log_or_changes_a_receipt_is_named_with_evidence_that_proves_it(
    tmp_path: Path, broker: Mosquitto
) -> None:
    wanted = {("node.call_mismatch", "c"): "logs", ("node.proof_invalid", "b"): "receipts"}
    async with alive(Live("a b c d"), reorgs=True) as live, subscribed(broker) as heard:
        text = live.configuration(tmp_path, broker=mqtt_of(broker))
        async with watchdog(tmp_path, text) as daemon:
            daemon.start()
            await daemon.until_status(is_done, "the index is built")
            live.nodes["c"].lie, live.nodes["b"].lie = without_one_log, another_receipt

            def named() -> set[tuple[str, str]]:
                return {(detector, node) for detector, node, _ in reached(heard.events)}

            await eventually(lambda: named() >= wanted.keys(), "both are named")
            for event in heard.events:
                key = (event.data["detector"], event.data["labels"].get("node", "").removeprefix("ams."))
                if key in wanted:
                    evidence = event.data["evidence"]
                    assert evidence["kind"] == wanted[key]
                    assert rechecked(evidence).verdict is Verdict.PROVES
                    assert "index debtors" in event.data["summary"]
            assert {key for key in named() if key[0] in ("node.call_mismatch", "node.proof_invalid")} == wanted.keys()
            live.nodes["c"].lie = live.nodes["b"].lie = None
            await held(live, daemon)


async def test_what_is_wrong_with_an_index_is_told_and_harms_nothing_else(tmp_path: Path) -> None:
    async with alive(Live()) as live:
        text = live.configuration(tmp_path).replace("from = 0", "from = 99999999")
        async with watchdog(tmp_path, text) as daemon:
            daemon.start()
            now = await daemon.until_status(lambda now: row(now)["stuck"] is not None and now["seq"] >= 0, "it waits")
            await daemon.until_status(lambda now: "check from" in (row(now)["stuck"] or ""), "it begins above the head")
            bare = live.configuration(tmp_path).replace("a1" * 20, "a9" * 20)
            daemon.configure(bare)
            assert (await daemon.command("reload", "--config", str(daemon.config))).code == 0
            await daemon.until_status(
                lambda now: row(now)["problem"] and f"there is no code at 0x{'a9' * 20}" in row(now)["problem"],
                "a contract without code is told",
            )
            file = daemon.state_dir / "index" / "sim" / "debtors.db"
            await daemon.stop()
            file.write_bytes(b"no database, and long enough to be looked at as one" * 99)
            for more in ("-wal", "-shm"):
                file.with_name(file.name + more).unlink(missing_ok=True)
            daemon.configure(live.configuration(tmp_path))
            daemon.start()
            now = await daemon.until_status(is_done, "it is built anew")
            assert (
                "it was damaged"
                in (await daemon.until_status(lambda now: row(now)["problem"], "it says so"))["chains"][0]["indexes"][
                    0
                ]["problem"]
            )
            assert file.with_name("debtors.db.damaged").exists()
            assert now["level"] == "ok"
            await held(live, daemon)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_a_hundred_reorgs_and_thirty_kills_change_nothing_of_the_index(tmp_path: Path) -> None:
    live = Live(history=600, seed=5)
    async with alive(live, reorgs=True), watchdog(tmp_path, live.configuration(tmp_path)) as daemon:
        compared = 0
        for life in range(31):
            daemon.start()
            await daemon.watching()
            if life % 3:
                await asyncio.sleep(live.rng.uniform(0, 2.5))
            else:
                await daemon.until_status(is_done, "the index is built")
                await held(live, daemon)
                compared += 1
            await daemon.kill()
        while live.reorgs < 100 or live.chain.head().number < 1000:  # noqa: ASYNC110 - another task makes them
            await asyncio.sleep(0.2)
        daemon.start()
        await daemon.until_status(is_done, "the index is built in the end")
        await held(live, daemon)
        assert compared
