"""`tocsin record` and `tocsin replay`: what was published comes out again, byte for byte, wherever and whenever."""

import asyncio
import math
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson
import pytest
import pytest_asyncio
from tests.support.broker import Mosquitto
from tests.support.fleet import QUICK, check_stream, distinct, fleet, heal, nodes_of, strike
from tests.support.watchdog import (
    CALM,
    Said,
    Watchdog,
    eventually,
    mqtt_of,
    open_alerts,
    subscribed,
    toml,
    watchdog,
)

from tocsin.clock import NS, SystemClock
from tocsin.testing.faults import parse_fault

in_one_session = pytest.mark.asyncio(loop_scope="module")

ELSEWHERE = {
    "plain": {},
    "other": {"PYTHONHASHSEED": "4711", "TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONUTF8": "0"},
    "third": {"PYTHONHASHSEED": "0", "TZ": "America/St_Johns", "LC_ALL": "tr_TR.UTF-8", "PYTHONOPTIMIZE": "1"},
}


ENOUGH = 5
"""Segments that hold most of what is published."""


def segments_in(journal: Path) -> list[Path]:
    return sorted(path for path in journal.iterdir() if path.suffix == ".tsj")


@dataclass(frozen=True, kw_only=True)
class Session:
    """A daemon with a past of two lives, still running, and all that it published."""

    daemon: Watchdog
    published: list[str]
    recording: Path
    config: str

    async def replay(
        self, *arguments: str | Path, environ: dict[str, str] | None = None, cwd: Path | None = None
    ) -> Said:
        return await self.daemon.command("replay", *map(str, arguments), environ=environ, cwd=cwd)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Session]:
    folder = tmp_path_factory.mktemp("replay")
    (folder / "broker").mkdir()
    broker = Mosquitto(folder=folder / "broker")
    broker.start()
    try:
        async with fleet("a", "b", "c", "d", "e") as nodes, subscribed(broker) as heard:
            more = CALM + '[journal]\nsegment = "1s"\n'
            text = toml(folder, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK, more=more)
            async with watchdog(folder, text) as daemon:
                daemon.start()
                await daemon.watching()
                await strike(nodes, "a")
                await nodes.node("b").set(parse_fault("corrupt-header"))
                await heard.until_fired("node.wrong_chain", "a")
                await heard.until_fired("node.corrupt_header", "b")
                await daemon.kill()
                daemon.start()
                await daemon.watching()
                await heal(nodes)
                await heard.until_resolved("node.wrong_chain", "a")
                latched = next(one for one in heard.events if one.key[0] == "node.corrupt_header")
                await daemon.ask("ack", fingerprint=latched.data["fingerprint"], why="sübtil")
                await nodes.node("d").set(parse_fault("stale:3"))
                await heard.until(lambda one: one.key == ("node.stale", "d", "critical"), "a stale node")
                await strike(nodes, "c", "d")
                await heard.until_fired("node.wrong_chain", "c")
                await heal(nodes)
                await eventually(lambda: not open_alerts(distinct(heard.events)), "everything resolves")
                out = folder / "session.rec"
                said = await daemon.command("record", str(out), "--last", "10m", "--config", str(daemon.config))
                assert said.code == 0, said
                check_stream(heard.events)
                published = [event.heard.payload.decode() for event in distinct(heard.events)]
                yield Session(daemon=daemon, published=published, recording=out, config=text)
    finally:
        broker.stop()


@in_one_session
@pytest.mark.parametrize("where", ELSEWHERE)
async def test_a_replay_prints_what_was_published_byte_for_byte(session: Session, tmp_path: Path, where: str) -> None:
    said = await session.replay(session.recording, environ=ELSEWHERE[where], cwd=tmp_path)
    assert said.code == 0, said.err
    assert said.out.splitlines() == session.published
    assert len(session.published) > 10


@in_one_session
async def test_a_recording_may_begin_anywhere(session: Session, tmp_path: Path) -> None:
    count = len(session.published)
    for at in (2 * count // 3, count - 2):
        then = datetime.fromisoformat(orjson.loads(session.published[at])["time"])
        span = math.ceil(SystemClock().wall_ns() / NS - then.timestamp())
        out = tmp_path / f"{at}.rec"
        said = await session.daemon.command(
            "record", str(out), "--last", f"{span}s", "--config", str(session.daemon.config)
        )
        assert said.code == 0, said
        # The daemon counts back from when it is asked: after the command was started, before it ended.
        since = SystemClock().wall_ns() / NS - span
        stamps = (datetime.fromisoformat(orjson.loads(line)["time"]).timestamp() for line in session.published)
        lines = (await session.replay(out)).out.splitlines()
        assert sum(stamp >= since for stamp in stamps) <= len(lines) < count
        assert lines == session.published[count - len(lines) :]


@in_one_session
async def test_every_sealed_segment_replays_by_itself(session: Session) -> None:
    journal = session.daemon.state_dir / "journal"
    await eventually(lambda: len(segments_in(journal)) > ENOUGH, "segments are sealed")
    lines: list[str] = []
    for segment in segments_in(journal)[:ENOUGH]:
        said = await session.replay(segment)
        assert said.code == 0, said.err
        lines += said.out.splitlines()
    assert lines == session.published[: len(lines)]
    assert len(lines) > 5


@in_one_session
async def test_a_flipped_byte_is_refused(session: Session, tmp_path: Path) -> None:
    whole = session.recording.read_bytes()
    dice = random.Random(5)  # noqa: S311 - a seeded choice of bytes
    damaged = tmp_path / "damaged.rec"
    for at in [0, 9, len(whole) - 1, *(dice.randrange(len(whole)) for _ in range(3))]:
        flipped = whole[at] ^ (1 << dice.randrange(8))
        damaged.write_bytes(whole[:at] + bytes([flipped]) + whole[at + 1 :])
        said = await session.replay(damaged)
        assert (said.code, said.out) == (1, ""), (at, said)
        assert "damaged.rec" in said.err


@in_one_session
async def test_a_recording_that_was_cut_short_is_refused_unless_its_sound_part_is_asked_for(
    session: Session, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.rec"
    whole = session.recording.read_bytes()
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    said = await session.replay(cut)
    assert (said.code, said.out) == (1, "")
    part = await session.replay(cut, "--prefix")
    assert part.code == 0
    lines = part.out.splitlines()
    assert lines == session.published[: len(lines)]
    assert "only the sound part" in part.err


@in_one_session
async def test_another_configuration_shows_what_it_would_have_raised(session: Session, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(session.config.replace(QUICK, '[chain.detector."node.wrong_chain"]\ncritical = false\n'))
    other.chmod(0o600)
    said = await session.replay(session.recording, "--config", other, "--diff")
    assert said.code == 1, said
    changed = [line for line in said.out.splitlines() if line[0] in "+-"]
    assert any(line.startswith("- ") and "node.wrong_chain" in line for line in changed)
    assert not any("node.corrupt_header" in line for line in changed)
    same = await session.replay(session.recording, "--config", session.daemon.config, "--diff")
    assert same.code == 0, same
    assert {line[0] for line in same.out.splitlines()} == {" "}


@in_one_session
async def test_a_recording_is_never_written_over(session: Session) -> None:
    before = await asyncio.to_thread(session.recording.read_bytes)
    said = await session.daemon.command(
        "record", str(session.recording), "--last", "10m", "--config", str(session.daemon.config)
    )
    assert said.code == 1
    assert str(session.recording) in said.err
    assert await asyncio.to_thread(session.recording.read_bytes) == before
