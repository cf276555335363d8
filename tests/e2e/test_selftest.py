"""The self-test of the real daemon: heard back over a real broker, shown, and no burden to anybody."""

import shutil
from pathlib import Path
from typing import Any

import orjson
from tests.support.broker import ROOT, Mosquitto, listening
from tests.support.fleet import QUICK, nodes_of
from tests.support.watchdog import CALM, mqtt_of, toml, watchdog

from tocsin.testing import FaultProxy

TEST = CALM + '\n[self_test]\nevery = "1s"\n'


def is_heard(status: dict[str, Any]) -> bool:
    return bool(status["self_test"] and status["self_test"]["echo_ms"])


async def test_it_is_heard_back_and_shown_and_in_no_list_of_alerts(
    tmp_path: Path, nodes: FaultProxy, broker: Mosquitto
) -> None:
    text = toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK, more=TEST)
    async with watchdog(tmp_path, text) as daemon, listening(broker) as listener:
        daemon.start()
        await daemon.watching()
        status = await daemon.until_status(is_heard, "an echo")
        assert status["self_test"]["every_s"] == 1
        assert status["alerts"] == []
        assert status["level"] == "ok"
        word = await listener.until("event/info/self.test", reason="test")
        assert word.data["silenced"] is True
        assert word.expiry_s is not None
        assert f"{ROOT}alert/{word.data['fingerprint']}" in [one.topic for one in listener.heard]
        beat = await listener.until("heartbeat")
        while beat.data["echo_ms"] is None:
            listener.heard.clear()
            beat = await listener.until("heartbeat")
        assert "self-test heard back after" in (await daemon.command("status")).out
        assert (await daemon.command("events", "tail", "-n", "50")).out == ""
        assert "self.test" not in (await daemon.command("incident", "list")).out
        assert await daemon.stop() == 0


async def test_a_word_that_a_crash_left_unsent_is_heard_in_the_next_life(
    tmp_path: Path, nodes: FaultProxy, broker: Mosquitto
) -> None:
    text = toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK, more=TEST)
    async with watchdog(tmp_path, text) as daemon:
        daemon.start()
        await daemon.watching()
        first = await daemon.until_status(is_heard, "an echo")
        await daemon.kill()
        daemon.start()
        again = await daemon.until_status(lambda status: is_heard(status) and status["seq"] > first["seq"], "another")
        assert again["alerts"] == []
        assert await daemon.stop() == 0


async def test_a_daemon_that_lost_its_state_directory_speaks_of_another_stream(
    tmp_path: Path, nodes: FaultProxy, broker: Mosquitto
) -> None:
    text = toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK, more=TEST)
    async with watchdog(tmp_path, text) as daemon:
        seen = []
        for _ in range(2):
            async with listening(broker) as listener:
                daemon.start()
                await daemon.watching()
                word = await listener.until("event/info/self.test")
                beat = await listener.until("heartbeat")
                assert orjson.loads(word.payload)["stream"] == beat.data["stream"]
                seen.append(beat.data["stream"])
                assert await daemon.stop() == 0
            shutil.rmtree(daemon.state_dir)
            daemon.state_dir.mkdir(mode=0o700)
        assert seen[0] != seen[1]
