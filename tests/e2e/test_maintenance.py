"""A person takes a node of a running daemon into maintenance: at the shell, on the broker, and in a replay."""

import getpass
import json
from pathlib import Path

from tests.support.fleet import check_stream, heal, strike
from tests.support.watchdog import Subscriber, Watchdog, eventually

from tocsin.testing import FaultProxy


async def said(daemon: Watchdog, *words: str) -> str:
    done = await daemon.command(*words, "--config", str(daemon.config))
    assert done.code in (0, 1, 2), done
    return done.out


async def refused(daemon: Watchdog, *words: str) -> str:
    done = await daemon.command(*words, "--config", str(daemon.config))
    assert done.code != 0
    return done.err


async def test_maintenance_from_the_shell_ends_alerts_and_vote_and_is_replayed(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, tmp_path: Path
) -> None:
    daemon.start()
    await daemon.ready()
    await strike(nodes, "a")
    await heard.until_fired("node.wrong_chain", "a")
    begin = ("maintenance", "node", "sim/a", "--for", "2h", "--why", "disk swap")
    assert "maintenance for 2h" in await said(daemon, *begin)
    over = await heard.until_resolved("node.wrong_chain", "a")
    assert over.data["reason"] == "maintenance"
    await eventually(lambda: heard.retained["node/sim/a"].data["state"] == "maintenance", "the broker is told")
    assert heard.retained["node/sim/a"].data["reason"] == f"maintenance by {getpass.getuser()}: disk swap"
    listed = await said(daemon, "maintenance", "list")
    assert listed.startswith("sim/a  1 h 59 min left")
    assert f"by {getpass.getuser()}  disk swap" in listed
    [window] = json.loads(await said(daemon, "maintenance", "list", "--json"))["maintenance"]
    assert window["until_wall_ns"] - window["since_wall_ns"] == 7200 * 10**9
    status = await daemon.until_status(lambda now: now["level"] == "ok", "all that is judged is well")
    row = next(node for node in status["chains"][0]["nodes"] if node["name"] == "a")
    assert (row["state"], status["chains"][0]["voting_groups"]) == ("maintenance", 4)
    assert "disk swap" in await said(daemon, "status")
    assert "1 in maintenance" in await said(daemon, "check")
    await daemon.kill()
    daemon.start()
    await daemon.ready()
    assert "disk swap" in await said(daemon, "maintenance", "list"), "a crash ends no window"
    assert [event.data["reason"] for event in heard.events] == ["fired", "maintenance"]
    assert "is over" in await said(daemon, "maintenance", "node", "sim/a", "--end")
    again = await heard.until_fired("node.wrong_chain", "a", activation=2)
    assert again.data["reason"] == "fired"
    await heal(nodes)
    await heard.until_resolved("node.wrong_chain", "a", activation=2)
    check_stream(heard.events)
    assert await said(daemon, "maintenance", "list") == "no node is in maintenance\n"
    assert "sim/a is not in maintenance" in await refused(daemon, "maintenance", "node", "sim/a", "--end")
    recording = tmp_path / "all.tocsin"
    await said(daemon, "record", str(recording), "--last", "1h")
    replayed = [json.loads(line) for line in (await daemon.command("replay", str(recording))).out.splitlines()]
    assert [event["data"]["reason"] for event in replayed][-3:] == [event.data["reason"] for event in heard.events[-3:]]


async def test_a_mistake_in_the_command_is_told_and_changes_nothing(daemon: Watchdog) -> None:
    daemon.start()
    await daemon.ready()
    assert "no node sim/z is configured" in await refused(daemon, "maintenance", "node", "sim/z", "--for", "1h")
    assert "no node sim/z is configured" in await refused(daemon, "maintenance", "node", "sim/z", "--end")
    assert "sim/a is not in maintenance" in await refused(daemon, "maintenance", "node", "sim/a", "--end")
    assert "is no CHAIN/NODE" in await refused(daemon, "maintenance", "node", "a", "--for", "1h")
    assert "give --for SPAN to begin, or --end" in await refused(daemon, "maintenance", "node", "sim/a")
    assert "give --for" in await refused(daemon, "maintenance", "node", "sim/a", "--for", "1h", "--end")
    assert "--for:" in await refused(daemon, "maintenance", "node", "sim/a", "--for", "soon")
    assert "--for: from 1s to 30d" in await refused(daemon, "maintenance", "node", "sim/a", "--for", "31d")
    assert await said(daemon, "maintenance", "list") == "no node is in maintenance\n"
