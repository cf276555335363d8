"""What a person and a program are told by `tocsin status` and on the topic of the agreed head: of a real daemon."""

import json
from pathlib import Path

import jsonschema
from tests.support.broker import Mosquitto
from tests.support.fleet import QUICK, strike
from tests.support.watchdog import NodeAt, Subscriber, Watchdog, eventually, mqtt_of, toml, watchdog

from tocsin.testing import FaultProxy

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs/reference/cli-status.schema.json").read_text())


async def shown(daemon: Watchdog, *options: str) -> str:
    return (await daemon.command("status", *options, "--config", str(daemon.config))).out


async def test_the_status_of_a_daemon_is_as_its_schema_says_well_and_ill(daemon: Watchdog, nodes: FaultProxy) -> None:
    daemon.start()
    await daemon.ready()
    jsonschema.validate(json.loads(await shown(daemon, "--json")), SCHEMA)
    await strike(nodes, "a")
    await daemon.until_status(lambda now: now["alerts"], "an alert")
    ill = json.loads(await shown(daemon, "--json"))
    jsonschema.validate(ill, SCHEMA)
    assert (ill["level"], ill["exit"], len(ill["status"]["alerts"])) == ("critical", 2, 1)


async def test_one_group_is_said_to_be_uncorroborated_by_configuration(tmp_path: Path, nodes: FaultProxy) -> None:
    together = {name: NodeAt(url=nodes.url(name), provider="p") for name in nodes.names}
    async with watchdog(tmp_path, toml(tmp_path, together, chain=QUICK)) as daemon:
        daemon.start()
        await daemon.ready()
        assert "uncorroborated by configuration" in await shown(daemon)
        warnings = json.loads(await shown(daemon, "--json"))["status"]["config"]["warnings"]
    assert any("uncorroborated by configuration" in warning for warning in warnings)


async def test_an_assumption_about_own_nodes_is_named_with_the_grade(
    tmp_path: Path, nodes: FaultProxy, broker: Mosquitto, heard: Subscriber
) -> None:
    own = {name: NodeAt(url=nodes.url(name), own=True, more=f'host = "{name}"') for name in nodes.names}
    text = toml(tmp_path, own, broker=mqtt_of(broker), chain=QUICK)
    async with watchdog(tmp_path, text.replace("poll =", 'vote_by = ["host"]\npoll =')) as daemon:
        daemon.start()
        await daemon.ready()
        assert "quorum (own nodes vote by host)" in await shown(daemon)
        await eventually(lambda: "chain/sim/head" in heard.retained, "the head is told")
    assert heard.retained["chain/sim/head"].data["assumption"] == "own nodes vote by host"
