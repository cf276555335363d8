"""The real daemon and people: what they are to be told survives a kill, is told once it can be, and leaks nothing."""

import json
from pathlib import Path

from tests.support.broker import Mosquitto
from tests.support.fleet import QUICK, heal, nodes_of, strike
from tests.support.receiver import Got, Receiver, receiver, says
from tests.support.watchdog import Watchdog, eventually, mqtt_of, subscribed, toml, watchdog

from tocsin.testing import FaultProxy

KEY = "canary-key-0123456789abcdef"
PATH = "/hook/canary-path-0123456789"


def channels(team: Receiver, dead: Receiver) -> str:
    shared = f'severity = "info"\ngroup_wait = "0s"\ngroup_interval = "1s"\nkey = "{KEY}"\nkind = "webhook"\n'
    quiet = 'match = "detector=node.*"\n'
    return "".join(
        f'[[notify]]\nname = "{name}"\nurl = "{one.url}{PATH}"\n{shared}{quiet}'
        for name, one in (("team", team), ("dead", dead))
    )


def told(got: list[Got]) -> list[tuple[str, str, str]]:
    """Return what was taken: the id of each message, and what it says of which alert."""
    events = [json.loads(one.body) for one in got]
    return [(event["id"], alert["detector"], alert["news"]) for event in events for alert in event["data"]["alerts"]]


async def failing(daemon: Watchdog, name: str) -> None:
    def fails(status: dict[str, object]) -> bool:
        rows = status["channels"]
        assert isinstance(rows, list)
        return any(row["name"] == name and row["failing_since"] and row["waiting"] for row in rows)

    await daemon.until_status(fails, f"{name} fails")


async def test_what_people_are_to_be_told_survives_a_kill_and_is_told_once_it_can_be(
    tmp_path: Path, nodes: FaultProxy
) -> None:
    async with receiver(says(503, f"no {PATH}")) as team, receiver(says(503)) as dead:
        text = toml(tmp_path, nodes_of(nodes), chain=QUICK) + "\n" + channels(team, dead)
        async with watchdog(tmp_path, text) as daemon:
            daemon.start(log_level="debug")
            await daemon.watching()
            await strike(nodes, "a")
            await failing(daemon, "team")
            refused = told(team.got)
            await daemon.kill()
            team.answers = [says(202)]
            before = len(team.got)
            daemon.start(log_level="debug")
            await eventually(lambda: len(team.got) > before, "the team is told after all")
            [first] = [one for one in told(team.got[before:]) if one[1] == "node.wrong_chain"]
            assert first[2] == "firing"
            assert first in refused, "the same message, by its id"
            await daemon.watching()
            await heal(nodes)
            await eventually(
                lambda: [one for one in told(team.got[before:]) if one[1:] == ("node.wrong_chain", "resolved")],
                "the team is told that it is over",
            )
            await failing(daemon, "dead")
            said = await daemon.command("notify", "test", "--config", str(daemon.config))
            assert said.code == 1
            assert "team  webhook  taken: HTTP 202" in said.out
            assert "dead  webhook  FAILED: HTTP 503" in said.out
            shown = await daemon.command("status", "--config", str(daemon.config))
            assert "dead  webhook" in shown.out
            assert "FAILING since" in shown.out
            assert await daemon.stop() == 0
            alone = await daemon.command("notify", "test", "team", "--config", str(daemon.config))
            assert (alone.code, alone.out) == (0, "team  webhook  taken: HTTP 202\n")
            everything = [daemon.log(1), daemon.log(2), said.out, said.err, shown.out]
            assert not [text for text in everything if "canary" in text]
        assert {one.path for one in team.got} == {PATH}


async def test_a_critical_alert_that_no_subscriber_gets_is_told_to_the_last_resort(
    tmp_path: Path, nodes: FaultProxy, broker: Mosquitto
) -> None:
    async with receiver() as spare, receiver() as team:
        shared = f'kind = "webhook"\nkey = "{KEY}"\nmatch = "detector=node.wrong_chain"\ngroup_interval = "1s"\n'
        tables = (
            f'[[notify]]\nname = "spare"\nurl = "{spare.url}"\nonly = "fallback"\n{shared}'
            f'[[notify]]\nname = "team"\nurl = "{team.url}"\n{shared}'
        )
        text = toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK) + "\n" + tables
        async with watchdog(tmp_path, text) as daemon:
            daemon.start()
            await daemon.watching()
            async with subscribed(broker):
                await strike(nodes, "a")
                await eventually(lambda: team.got, "the team is told")
                await heal(nodes)
                await eventually(lambda: told(team.got)[-1][2] == "resolved", "the team is told that it is over")
            assert spare.got == [], "somebody heard of it"
            await strike(nodes, "b")
            await eventually(lambda: spare.got, "the last resort is told")
            assert told(spare.got)[0][1:] == ("node.wrong_chain", "firing")
            assert "no subscriber is there" in json.loads(spare.got[0].body)["data"]["text"]
            await heal(nodes)
            await eventually(lambda: told(spare.got)[-1][2] == "resolved", "the last resort is told that it is over")
            assert len(spare.got) == 2
