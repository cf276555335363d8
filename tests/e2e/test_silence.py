"""People silence alerts of a running daemon, acknowledge, and take back: at the shell, on the broker, in a replay."""

import getpass
import json
from pathlib import Path

import pytest
from tests.support.fleet import check_stream, strike
from tests.support.watchdog import Said, Subscriber, Watchdog

from tocsin.clock import NS, SystemClock
from tocsin.errors import ControlError
from tocsin.testing import FaultProxy


async def asked(daemon: Watchdog, *words: str) -> Said:
    return await daemon.command(*words, "--config", str(daemon.config), environ={"TZ": "XYZ-1"})


async def said(daemon: Watchdog, *words: str) -> str:
    done = await asked(daemon, *words)
    assert done.code in (0, 1, 2), done
    return done.out


async def test_people_silence_acknowledge_and_take_back(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, tmp_path: Path
) -> None:
    me = getpass.getuser()
    daemon.start()
    await daemon.ready()
    await strike(nodes, "a")
    fired = await heard.until_fired("node.wrong_chain", "a")
    assert (fired.data["severity"], fired.data["silenced"]) == ("critical", False)

    spared = await said(daemon, "silence", "node=a", "chain=sim", "--for", "2h", "--why", "disk swap")
    assert spared.startswith("s1  node=a chain=sim  until 2")
    assert "silences no open alert now" in spared
    assert "NOT silenced by it: 1 critical alert matches; only --critical silences them" in spared
    assert "to end it: tocsin unsilence s1" in spared
    page = await said(daemon, "status")
    assert "alerts 1\n" in page
    assert f"by {me}: disk swap" in page
    assert "covers no open alert, spares 1 critical one" in page

    covered = await said(daemon, "silence", "node=sim.a|ams.a", "--for", "1h", "--why", "known", "--critical")
    assert "silences 1 open alert now:\n    critical  node.wrong_chain" in covered
    page = await said(daemon, "status")
    assert "alerts 1 (1 silenced)" in page
    assert f" XYZ) by {me}: known (s2)" in page

    await said(daemon, "ack", fired.data["fingerprint"][:10], "--why", "seen")
    acked = await heard.until(lambda one: one.data["reason"] == "acked", "the ack is told")
    assert (acked.data["acked_by"], acked.data["silenced"]) == (me, True)
    assert f"acked by {me}" in await said(daemon, "status")

    await daemon.kill()
    daemon.start()
    await daemon.ready()
    assert "s1  node=a chain=sim" in await said(daemon, "silence"), "a crash ends no silence"
    over = await said(daemon, "unsilence", "s2", "--why", "it is none")
    assert over.startswith("s2  node=sim.a|ams.a is over, 59 min")
    assert "1 open alert it covered\n  what fires and nobody heard of is told now" in over
    status = await daemon.until_status(lambda now: [row["id"] for row in now["silences"]] == ["s1"], "s2 is over")
    assert [alert["silenced_by"] for alert in status["alerts"]] == [[]]
    check_stream(heard.events)

    recording = tmp_path / "all.tocsin"
    await said(daemon, "record", str(recording), "--last", "1h")
    replayed = [json.loads(line) for line in (await daemon.command("replay", str(recording))).out.splitlines()]
    assert ("acked", True) in [(event["data"]["reason"], event["data"]["silenced"]) for event in replayed]


async def test_a_mistake_in_a_silence_is_told_and_changes_nothing(daemon: Watchdog) -> None:
    daemon.start()
    await daemon.ready()
    now = SystemClock().wall_ns()
    good = {"match": "node=a", "why": "x", "for_s": 60}
    for change, message in (
        ({"match": "nod=a"}, r"did you mean node\?"),
        ({"match": "node"}, "match: character 1"),
        ({"why": " "}, "takes a reason"),
        ({"why": None}, "takes a match of at most 500 and a why"),
        ({"for_s": 8 * 86_400}, "7 days at most"),
        ({"for_s": None, "until_wall_ns": now - NS}, "until: is past"),
        ({"from_wall_ns": now - 60 * NS}, "begins now, or within a week"),
    ):
        with pytest.raises(ControlError, match=message):
            await daemon.ask("silence", **{**good, **change})
    with pytest.raises(ControlError, match=r"id 's7' \(now: there is none\); tocsin silence lists them"):
        await daemon.ask("unsilence", id="s7")
    assert await daemon.ask("silence") == {"silences": []}
    assert "no open alert matches now" in await said(daemon, "silence", "node=zz", "--for", "1m", "--why", "x")
    [row] = (await daemon.ask("silence"))["silences"]
    assert (row["by"], row["reason"]) == (getpass.getuser(), "x")
