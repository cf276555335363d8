"""`tocsin incident export`: one file with all there is about an alert, which `tocsin replay` reads and reproduces."""

import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from tests.support.broker import Mosquitto
from tests.support.fleet import QUICK, distinct, fleet, heal, nodes_of, strike
from tests.support.watchdog import CALM, Event, NodeAt, Said, Watchdog, mqtt_of, subscribed, toml, watchdog

from tocsin.lab.bundle import read
from tocsin.store import Entry, SnapshotAt, read_recording
from tocsin.testing.faults import parse_fault

in_one_session = pytest.mark.asyncio(loop_scope="module")

CANARY = "canary-5c1f7e"


@dataclass(frozen=True, kw_only=True)
class Session:
    """A daemon that still runs, with one incident that is over, its repetition, and one of another node in between."""

    daemon: Watchdog
    events: list[Event]
    folder: Path

    def of(self, subject: str, activation: int) -> list[Event]:
        return [one for one in self.events if one.key[1] == subject and one.data["activation"] == activation]

    async def export(self, *arguments: str) -> Said:
        return await self.daemon.command("incident", "export", *arguments, "--config", str(self.daemon.config))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Session]:
    folder = tmp_path_factory.mktemp("incident")
    (folder / "broker").mkdir()
    broker = Mosquitto(folder=folder / "broker")
    broker.start()
    try:
        async with fleet("a", "b", "c", "d", "e") as nodes, subscribed(broker) as heard:
            known = dict(nodes_of(nodes))
            known["a"] = NodeAt(
                url=f"{known['a'].url}/?key={CANARY}", provider="a", more=f'headers = {{ X-Key = "{CANARY}" }}'
            )
            more = CALM + '[journal]\nsegment = "2s"\n'
            text = toml(folder, known, broker=mqtt_of(broker), chain=QUICK, more=more)
            async with watchdog(folder, text) as daemon:
                daemon.start()
                await daemon.watching()
                await strike(nodes, "a")
                fired = await heard.until_fired("node.wrong_chain", "a")
                await daemon.ask("ack", fingerprint=fired.data["fingerprint"], why="seen")
                await nodes.node("b").set(parse_fault("corrupt-header"))
                latched = await heard.until_fired("node.corrupt_header", "b")
                await heal(nodes)
                await daemon.ask("ack", fingerprint=latched.data["fingerprint"], why="")
                await heard.until_resolved("node.corrupt_header", "b")
                await heard.until_resolved("node.wrong_chain", "a")
                await strike(nodes, "a")
                await heard.until_fired("node.wrong_chain", "a", activation=2)
                yield Session(daemon=daemon, events=distinct(heard.events), folder=folder)
    finally:
        broker.stop()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def lines(events: list[Event]) -> list[str]:
    return [one.heard.payload.decode() for one in events]


@in_one_session
async def test_a_bundle_replays_to_the_events_of_its_alert_byte_for_byte(session: Session, tmp_path: Path) -> None:
    own = session.of("a", 1)
    out = tmp_path / "a.tsi"
    said = await session.export(f"{own[0].data['fingerprint'][:10]}:1", str(out))
    assert said.code == 0, said.err
    about = read(out)
    assert [orjson.dumps(event, option=orjson.OPT_SORT_KEYS).decode() for event in about["events"]] == lines(own)
    assert about["recording"]["not_reproduced"] == []
    replayed = await session.daemon.command("replay", str(out))
    assert replayed.code == 0, replayed.err
    assert set(lines(own)) <= set(replayed.out.splitlines())
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert names_in(tmp_path) == ["a.tsi"]


@in_one_session
async def test_a_bundle_tells_who_what_when_and_what_a_person_has_to_add(session: Session, tmp_path: Path) -> None:
    own, out = session.of("a", 1), tmp_path / "a.tsi"
    assert (await session.export(f"{own[0].data['fingerprint']}:1", str(out))).code == 0
    about = read(out)
    record = about["record"]
    assert record["detected_at"] == own[0].data["started_at"]
    assert record["started_at"] <= record["detected_at"]
    assert record["recovered_at"] == own[-1].data["resolved_at"]
    assert record["assets_hit"][0]["id"] == "ams.a"
    assert record["third_parties"] == ["a"]
    assert record["services_hit"] == [{"chain": "sim", "id": 1337}]
    assert [action["what"] for action in record["actions"]][:2] == ["acknowledged", "ack"]
    assert record["actions"][1]["args"]["why"] == "seen"
    for unknown in ("type", "root_cause", "cost", "continuity_plan_activated"):
        assert record[unknown] is None
    others = {event["data"]["labels"]["node"] for event in about["others"]}
    assert others == {"ams.b"}
    assert [row["seq"] for row in about["timeline"]] == sorted(row["seq"] for row in about["timeline"])
    assert about["configuration"]["hash"] == about["configuration"]["hash_now"]
    assert 'site = "ams"' in about["configuration"]["shown"]
    corrupt = session.of("b", 1)
    assert (await session.export(corrupt[0].data["fingerprint"], str(tmp_path / "b.tsi"))).code == 0
    answers = read(tmp_path / "b.tsi")["answers"]
    assert answers.keys() == {name for one in corrupt for name in one.data["evidence"]["bodies"].values()}
    assert any("stateRoot" in str(answer) for answer in answers.values())


@in_one_session
async def test_an_incident_is_named_by_an_event_and_an_open_one_is_exported_as_far_as_it_went(
    session: Session, tmp_path: Path
) -> None:
    event = session.of("a", 2)[0]
    out = tmp_path / "open.tsi"
    assert (await session.export(orjson.loads(event.heard.payload)["id"], str(out))).code == 0
    about = read(out)
    assert about["alert"]["activation"] == 2
    assert about["record"]["recovered_at"] is None
    newest = await session.export(event.data["fingerprint"], str(tmp_path / "newest.tsi"), "--json")
    assert orjson.loads(newest.out)["incident"]["alert"]["activation"] == 2


@in_one_session
async def test_no_secret_is_in_a_bundle(session: Session, tmp_path: Path) -> None:
    out = tmp_path / "a.tsi"
    said = await session.export(f"{session.of('a', 1)[0].data['fingerprint']}:1", str(out), "--json")
    assert CANARY not in said.out + said.err
    assert CANARY.encode() not in out.read_bytes()
    for item in read_recording(out).items():
        held = [item.data] if isinstance(item, SnapshotAt | Entry) else []
        held += item.bodies.values() if isinstance(item, Entry) else []
        assert not any(CANARY.encode() in piece for piece in held)


@in_one_session
async def test_what_is_not_known_is_told_with_what_may_have_been_meant(session: Session, tmp_path: Path) -> None:
    known = session.of("a", 1)[0].data["fingerprint"]
    wrong = known[:-1] + ("0" if known[-1] != "0" else "1")
    said = await session.export(wrong, str(tmp_path / "x"))
    assert said.code == 1
    assert f"did you mean {known}?" in said.err
    said = await session.export(f"{known}:9", str(tmp_path / "x"))
    assert "no activation 9" in said.err
    said = await session.export("nonsense!", str(tmp_path / "x"))
    assert "names no incident" in said.err
    assert names_in(tmp_path) == []


@in_one_session
async def test_a_file_that_is_there_is_left_alone(session: Session, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.write_text("precious")
    said = await session.export(session.of("a", 1)[0].data["fingerprint"], str(out))
    assert said.code == 1
    assert "exists already" in said.err
    assert out.read_text() == "precious"


@in_one_session
async def test_the_list_has_the_newest_first_and_names_that_export_takes(session: Session, tmp_path: Path) -> None:
    config = ("--config", str(session.daemon.config))
    said = await session.daemon.command("incident", "list", *config)
    assert said.code == 0, said.err
    first = said.out.splitlines()[0].split("  ")
    assert first[0].endswith(":2")
    assert (await session.export(first[0], str(tmp_path / "one"))).code == 0
    found: dict[str, Any] = orjson.loads((await session.daemon.command("incident", "list", "--json", *config)).out)
    assert [one["activation"] for one in found["incidents"]] == [2, 1, 1]


@in_one_session
async def test_the_directory_of_a_daemon_that_does_not_run_tells_the_same(session: Session, tmp_path: Path) -> None:
    own = session.of("a", 1)
    name = f"{own[0].data['fingerprint']}:1"
    running, stopped = tmp_path / "running.tsi", tmp_path / "stopped.tsi"
    assert (await session.export(name, str(running))).code == 0
    await session.daemon.stop()
    try:
        said = await session.export(name, str(stopped))
        assert said.code == 0, said.err
        assert read(stopped)["events"] == read(running)["events"]
        assert read(stopped)["recording"]["not_reproduced"] == []
        listed = await session.daemon.command("incident", "list", "--config", str(session.daemon.config))
        assert name[:12] in listed.out
    finally:
        session.daemon.start()
        await session.daemon.watching()
    # What the life before said is in its log, and the newest of it is shown by this one.
    assert "firing  node.wrong_chain  chain=eip155:1337 environment=test node=ams.a" in session.daemon.log(1)
    tail = await session.daemon.command("events", "tail", "-n", "50", "--config", str(session.daemon.config))
    shown = [line for line in tail.out.splitlines() if "node.wrong_chain" in line]
    assert len(shown) >= len(session.of("a", 1)) + len(session.of("a", 2))
