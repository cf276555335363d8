"""SIGHUP on a running daemon: a good configuration is taken as a whole, a bad one not at all."""

import asyncio
import signal
from pathlib import Path

import pytest
from tests.support.broker import ROOT, Mosquitto
from tests.support.fleet import QUICK, check_stream, heal, nodes_of, strike
from tests.support.watchdog import CALM, Subscriber, Watchdog, eventually, mqtt_of, toml

from tocsin.testing import FaultProxy

HALT_NEVER = '[chain.detector."chain.halt"]\nwarning = false\ncritical = false\n'


@pytest.fixture
def good(tmp_path: Path, nodes: FaultProxy, broker: Mosquitto) -> str:
    return toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK)


async def test_a_good_configuration_comes_into_force_and_disturbs_nothing(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, good: str
) -> None:
    daemon.start()
    await daemon.ready()
    await eventually(lambda: heard.states()[-1] == "ready", "the broker is told")
    await strike(nodes, "a")
    await heard.until_fired("node.wrong_chain", "a")
    before = await daemon.status()
    daemon.configure(good.replace(QUICK, QUICK + HALT_NEVER))
    daemon.signal(signal.SIGHUP)
    after = await daemon.until_status(lambda now: now["config"]["hash"] != before["config"]["hash"], "it is in force")
    assert after["config"]["ok"]
    assert [row["fingerprint"] for row in after["alerts"]] == [row["fingerprint"] for row in before["alerts"]]
    await eventually(
        lambda: heard.retained["status"].data["config_hash"] == after["config"]["hash"], "the broker is told"
    )
    polls = {node["name"]: node["polls"] for node in before["chains"][0]["nodes"]}
    assert all(node["polls"] >= polls[node["name"]] for node in after["chains"][0]["nodes"])
    await heal(nodes)
    await heard.until_resolved("node.wrong_chain", "a")
    assert [event.data["reason"] for event in heard.events] == ["fired", "cleared"]
    assert heard.states() == ["init", "ready", "ready"]


async def test_a_hangup_during_a_reload_is_about_what_was_written_since(daemon: Watchdog, good: str) -> None:
    daemon.start()
    await daemon.watching()
    seen = {(await daemon.status())["config"]["hash"]}
    for hundredths in range(1, 9):
        daemon.configure(good + "\n# takes its time" * 50_000)
        daemon.signal(signal.SIGHUP)
        await asyncio.sleep(hundredths / 100)
        daemon.configure(
            good.replace(
                QUICK,
                f'{QUICK}[chain.detector."node.lag"]\nprovider_warning = {{ over = {hundredths + 5}, polls = 2 }}\n',
            )
        )
        daemon.signal(signal.SIGHUP)
        after = await daemon.until_status(lambda now: now["config"]["hash"] not in seen, "it is in force")
        seen.add(after["config"]["hash"])


HUNG_UP = """
import os, signal, sys
from tocsin.cli.main import run
from tocsin.runtime import daemon, live

async def recover(*given, recovered=live.recover):
    os.replace("{0}", "{1}")
    os.kill(os.getpid(), signal.SIGHUP)
    return await recovered(*given)

async def end(self, ended=daemon.Daemon._end):
    os.kill(os.getpid(), signal.SIGHUP)
    await ended(self)

live.recover, daemon.Daemon._end = recover, end
sys.exit(run(sys.argv[1:]))
"""
"""Another configuration comes, with a hangup, while the store is read; and a hangup at the end."""


async def test_a_hangup_is_obeyed_before_the_daemon_is_there_and_kills_it_neither_then_nor_at_its_end(
    tmp_path: Path, daemon: Watchdog, good: str
) -> None:
    fresh = tmp_path / "fresh.toml"
    fresh.write_text(good.replace(QUICK, QUICK + HALT_NEVER))
    fresh.chmod(0o600)
    daemon.start(code=HUNG_UP.format(fresh, daemon.config))
    await eventually(lambda: "reload by SIGHUP: configuration" in daemon.log() or daemon.exit_code, "it is read again")
    assert (await daemon.status())["config"]["ok"]
    assert await daemon.stop() == 0


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("polll = '1s'", "did you mean poll?"),
        ("[[", "tocsin.toml:"),
    ],
)
async def test_a_bad_configuration_is_an_alert_and_the_old_one_stays(
    daemon: Watchdog, heard: Subscriber, good: str, broken: str, says: str
) -> None:
    daemon.start()
    await daemon.watching()
    before = await daemon.status()
    daemon.configure(good.replace('poll = "100ms"', broken))
    daemon.signal(signal.SIGHUP)
    fired = await heard.until_fired("self.config", "self")
    assert fired.data["severity"] == "warning"
    assert says in fired.data["summary"]
    during = await daemon.until_status(lambda now: not now["config"]["ok"], "status tells of it")
    assert during["config"]["hash"] == before["config"]["hash"]
    assert any(says in problem for problem in during["config"]["problems"])
    await eventually(lambda: heard.states()[-1] == "degraded", "the broker is told")
    said = await daemon.command("reload", "--config", str(daemon.config))
    assert (said.code != 0, says in said.out + said.err) == (True, True)
    daemon.configure(good)
    daemon.signal(signal.SIGHUP)
    await heard.until_resolved("self.config", "self")
    await eventually(lambda: heard.states()[-1] == "ready", "the broker is told that it is over")
    assert (await daemon.status())["config"]["ok"]
    check_stream(heard.events)


async def test_a_node_that_is_configured_no_longer_is_resolved_and_cleared(
    tmp_path: Path, daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, broker: Mosquitto
) -> None:
    daemon.start()
    await daemon.watching()
    await strike(nodes, "a")
    await heard.until_fired("node.wrong_chain", "a")
    await eventually(lambda: "node/sim/a" in heard.retained, "the node is on the broker")
    rest = {name: node for name, node in nodes_of(nodes).items() if name != "a"}
    daemon.configure(toml(tmp_path, rest, broker=mqtt_of(broker), chain=QUICK))
    daemon.signal(signal.SIGHUP)
    resolved = await heard.until_resolved("node.wrong_chain", "a")
    assert resolved.data["reason"] == "unconfigured"
    await eventually(lambda: "node/sim/a" not in heard.retained, "its topic is cleared")
    assert f"{ROOT}node/sim/a" in {one.topic for one in heard.heard if not one.payload}
    await eventually(lambda: b'"ams.a"' not in heard.retained["description"].payload, "it is described no longer")
    assert {node["name"] for node in (await daemon.status())["chains"][0]["nodes"]} == set(rest)


async def test_a_node_that_went_while_the_daemon_was_down_is_resolved_and_cleared_at_the_start(
    tmp_path: Path, daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, broker: Mosquitto
) -> None:
    daemon.start()
    await daemon.watching()
    await strike(nodes, "a")
    await heard.until_fired("node.wrong_chain", "a")
    await eventually(lambda: "node/sim/a" in heard.retained, "the node is on the broker")
    await daemon.kill()
    rest = {name: node for name, node in nodes_of(nodes).items() if name != "a"}
    daemon.configure(toml(tmp_path, rest, broker=mqtt_of(broker), chain=QUICK))
    daemon.start()
    resolved = await heard.until_resolved("node.wrong_chain", "a")
    assert resolved.data["reason"] == "unconfigured"
    await eventually(lambda: "node/sim/a" not in heard.retained, "its topic is cleared")
    check_stream(heard.events)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [("id = 1337", "id = 7331", "changed its id from 1337 to 7331"), ('site = "ams"', 'site = "fra"', "restart")],
)
async def test_what_a_running_daemon_cannot_take_is_refused(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, good: str, old: str, new: str, says: str
) -> None:
    daemon.start()
    await daemon.watching()
    daemon.configure(good.replace(old, new))
    daemon.signal(signal.SIGHUP)
    fired = await heard.until_fired("self.config", "self")
    assert says in fired.data["summary"]
    await strike(nodes, "a")
    wrong = await heard.until_fired("node.wrong_chain", "a")
    assert wrong.data["labels"]["chain"] == "eip155:1337"
    assert CALM in daemon.config.read_text()
