"""The examples of docs/how-to/subscribe.md do what the page says."""

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.support.broker import Mosquitto, eventually
from tests.support.streaming import KEY, stand_in

from tocsin.wire import topics

DOCS = Path(__file__).parents[2] / "docs" / "how-to"


async def test_the_client_of_the_page_handles_alerts(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = re.findall(r"```python\n(.*?)```", (DOCS / "subscribe.md").read_text(), re.DOTALL)
    assert len(code) == 1
    assert len(code[0].splitlines()) <= 12
    monkeypatch.chdir(tmp_path)
    program: dict[str, Any] = {}
    exec(compile(code[0], "subscribe.md", "exec"), program)  # noqa: S102 - it is our own page
    async with stand_in(broker) as daemon, asyncio.TaskGroup() as group:
        opened = await daemon.say(1)
        task = group.create_task(program["main"](f"mqtt://{broker.host}:{broker.port}", KEY))
        await eventually(daemon.has_all)
        await daemon.say(2)
        await eventually(lambda: bool(daemon.acks) and daemon.acks[-1].max == opened + 1)
        task.cancel()
    with closing(sqlite3.connect(tmp_path / "pager.db")) as db:
        assert len(db.execute("SELECT id FROM page").fetchall()) == 2


def test_the_flow_for_node_red_is_wired_and_subscribes_to_a_topic_of_the_contract() -> None:
    nodes = {node["id"]: node for node in json.loads((DOCS / "examples" / "node-red.json").read_text())}
    wired = {target for node in nodes.values() for port in node.get("wires", []) for target in port}
    assert wired <= set(nodes)
    source = nodes["tocsin-in"]
    assert nodes[source["broker"]]["protocolVersion"] == "5"
    assert source["topic"] == topics.PREFIX + "/+/+/event/critical/+"


def test_the_topics_of_home_assistant_are_those_of_the_contract() -> None:
    text = (DOCS / "examples" / "home-assistant.yaml").read_text()
    root = topics.root("ams", "host-a")
    named = re.findall(r'topic: "([^"]+)"', text)
    assert [topic.removeprefix(root) for topic in named] == [
        topics.alert("4f1c2d3e4a5b6c7d8e9f001122334455"),
        topics.STATUS,
        "alert/+",
    ]
    assert "\t" not in text
