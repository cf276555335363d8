"""The real daemon notices that a critical alert reaches nobody over the broker, and journals it once."""

from pathlib import Path

from tests.support.broker import Mosquitto
from tests.support.fleet import QUICK, nodes_of, strike
from tests.support.watchdog import mqtt_of, toml, watchdog

from tocsin.testing import FaultProxy


async def test_an_alert_that_nobody_subscribes_to_is_counted_and_logged(
    tmp_path: Path, nodes: FaultProxy, broker: Mosquitto
) -> None:
    text = toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK)
    async with watchdog(tmp_path, text) as daemon:
        daemon.start()
        await daemon.watching()
        await strike(nodes, "a")
        status = await daemon.until_status(lambda one: one["broker"]["unheard"], "an alert that nobody heard")
        grave = [alert for alert in status["alerts"] if alert["severity"] == "critical"]
        assert [alert["detector"] for alert in grave] == ["node.wrong_chain"]
        assert status["broker"]["unheard"] == 1
        told = f"critical alert {grave[0]['fingerprint']} reached nobody over the broker: nobody subscribes"
        assert daemon.log().count(told) == 1
        assert await daemon.stop() == 0
