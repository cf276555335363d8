"""A detector that is only observed, on a running daemon: nobody is told, status shows it, a reload lets it speak."""

import json
import signal
from pathlib import Path

import pytest
from tests.support.broker import Mosquitto
from tests.support.fleet import QUICK, nodes_of, strike
from tests.support.watchdog import Subscriber, Watchdog, mqtt_of, toml, watchdog

from tocsin.testing import FaultProxy

OBSERVED = QUICK + 'trust = "observe"\n'


def trial(status: dict[str, object], detector: str = "node.wrong_chain") -> dict[str, object] | None:
    [chain] = status["chains"]  # type: ignore[misc]
    return next((one for one in chain["detectors"] if one["id"] == detector), None)  # type: ignore[index]


@pytest.fixture
def text(tmp_path: Path, nodes: FaultProxy, broker: Mosquitto) -> str:
    return toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=OBSERVED)


async def test_what_is_observed_is_shown_and_not_said_until_a_reload_says_otherwise(
    tmp_path: Path, nodes: FaultProxy, heard: Subscriber, text: str
) -> None:
    async with watchdog(tmp_path, text) as daemon:
        daemon.start()
        await daemon.ready()
        await strike(nodes, "a")
        status = await daemon.until_status(lambda now: (trial(now) or {}).get("since_cases") == 1, "it is counted")
        found = trial(status)
        assert found is not None
        assert (found["trust"], found["fixed"], status["level"]) == ("observe", True, "ok")
        assert found["first"] == found["newest"]
        row = next(node for node in status["chains"][0]["nodes"] if node["name"] == "a")
        assert row["state"] in ("healthy", "verifying")
        assert heard.events == []
        shown = (await daemon.command("status", "--config", str(daemon.config))).out
        assert "would have fired: node.wrong_chain 1" in shown
        await daemon.kill()
        daemon.start()
        await daemon.ready()
        status = await daemon.status()
        assert (trial(status) or {})["since_cases"] == 1, "what was seen outlives a crash"
        recording = tmp_path / "seen.tocsin"
        assert (await daemon.command("record", str(recording), "--config", str(daemon.config))).code == 0
        daemon.configure(text.replace(OBSERVED, QUICK))
        compared = await daemon.command("replay", str(recording), "--config", str(daemon.config), "--diff")
        assert compared.code == 1
        assert [line[0] for line in compared.out.splitlines() if "node.wrong_chain" in line][:1] == ["+"]
        daemon.signal(signal.SIGHUP)
        fired = await heard.until_fired("node.wrong_chain", "a")
        assert fired.data["severity"] == "critical"
        assert trial(await daemon.status()) is None


async def test_a_wrong_word_is_named_with_file_and_line(daemon: Watchdog, text: str) -> None:
    daemon.configure(text.replace('"observe"', '"believe"'))
    said = await daemon.command("config", "check", str(daemon.config), "--json")
    assert said.code != 0
    assert "write one of observe, warn, enforce" in json.dumps(said.out + said.err)
