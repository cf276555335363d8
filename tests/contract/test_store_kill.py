"""kill -9 at any moment: what was reported committed is there, whole groups only, sealed files intact."""

import asyncio
import random
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.store_kit import Opener, opener, record, tail_of

from tocsin.clock import SystemClock
from tocsin.store import read_recording


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def opened(state_dir: Path) -> Opener:
    return opener(state_dir, SystemClock())


@dataclass
class Reported:
    event: int = 0
    seq: int = 0


async def run_and_kill(state_dir: Path, seed: int, reported: Reported, *, after_s: float) -> None:
    """Let a process commit for a while, kill it, and take in what it had reported as committed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.store_kit",
        str(state_dir),
        str(seed),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    try:
        opening = await child.stdout.readline()
        assert opening.startswith(b"open ")
        assert int(opening.split()[1]) >= reported.event
        await asyncio.sleep(after_s)
    finally:
        child.kill()
        rest = await child.stdout.read()
        assert await child.wait() == -signal.SIGKILL
    whole_lines = rest.rpartition(b"\n")[0].splitlines()
    if whole_lines:
        _, event, seq = whole_lines[-1].split()
        reported.event, reported.seq = int(event), int(seq)


async def check(opened: Opener, state_dir: Path, reported: Reported) -> None:
    files = sorted((state_dir / "journal").glob("*.tsj"))
    for path in files:
        recording = read_recording(path)
        numbers = [entry.event_no for entry in recording.entries()]
        assert numbers == list(range(recording.header.first_event, (recording.header.last_event or 0) + 1))
    async with await opened() as store:
        assert store.notices == ()
        recovered, tail = await tail_of(store)
        assert recovered.complete
        assert recovered.last_event_no >= reported.event
        assert [entry.event_no for entry in tail] == list(
            range(recovered.snapshot_event_no + 1, recovered.last_event_no + 1)
        )
        assert all(entry.bodies == record(entry.event_no).bodies for entry in tail)
        seqs = [item.row.seq for item in await store.pending(100_000)]
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) >= reported.seq
        # One alert a group: the effect number of the last record says how many groups are there, whole.
        assert recovered.last_effect_no == len(seqs)
        assert not tail or tail[-1].effect_no == len(seqs)


async def battery(opened: Opener, state_dir: Path, rounds: int, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    reported = Reported()
    for number in range(rounds):
        await run_and_kill(state_dir, seed + number, reported, after_s=rng.uniform(0, 0.25))
        await check(opened, state_dir, reported)
    assert reported.event > 0


async def test_twenty_kills_lose_nothing_that_was_reported(opened: Opener, state_dir: Path) -> None:
    await battery(opened, state_dir, 20, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [1000, 2000, 3000])
async def test_a_hundred_kills_lose_nothing_that_was_reported(opened: Opener, state_dir: Path, seed: int) -> None:
    await battery(opened, state_dir, 100, seed=seed)


SEALING = """
import os, signal, sys
from pathlib import Path
from tests.support.store_kit import group, SMALL
from tocsin.clock import SystemClock
from tocsin.store import Store, ops, sealer, files, section
import asyncio

stage, state_dir = sys.argv[1], Path(sys.argv[2])

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

def after(call):
    def run(*args, **kwargs):
        call(*args, **kwargs)
        die()
    return run

if stage == "writing":
    section.CHUNK_BYTES = 1000
    section.SectionWriter.flush = after(section.SectionWriter.flush)
elif stage == "written":
    section.SectionWriter.sync = after(section.SectionWriter.sync)
elif stage == "renamed":
    sealer.files.sync_folder = die
elif stage == "recorded":
    ops.DeleteRows.apply = die
elif stage == "deleting":
    ops._SLICE = 2
    calls = []
    first = ops.DeleteRows.apply
    def apply(self, core, *, journal):
        calls.append(1)
        return first(self, core, journal=journal) if len(calls) < 3 else die()
    ops.DeleteRows.apply = apply

async def main():
    async with await Store.open(state_dir, clock=SystemClock(), limits=SMALL) as store:
        wall = SystemClock().wall_ns()
        for first in range(1, 21):
            await store.commit(group(first, 1, wall_ns=wall))
        await store.commit(group(21, 1, snapshot=True, wall_ns=wall))
        print("committed", flush=True)
        await asyncio.sleep(30)

asyncio.run(main())
"""


@pytest.mark.parametrize("stage", ["writing", "written", "renamed", "recorded", "deleting"])
async def test_a_kill_at_any_stage_of_sealing_costs_nothing(opened: Opener, state_dir: Path, stage: str) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SEALING,
        stage,
        str(state_dir),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await child.wait() == -signal.SIGKILL
    async with await opened() as store:
        assert store.notices == ()
        recovered, _ = await tail_of(store)
        last = recovered.last_event_no
        assert last >= 21
        _, everything = await tail_of(store, before=recovered.snapshot_event_no)
        assert [entry.event_no for entry in everything] == list(range(1, last + 1))
        assert all(entry.bodies == record(entry.event_no).bodies for entry in everything)
        assert await store.sealed()
        rows = await store._ask(lambda core: core.db.execute("SELECT count(*) FROM journal").fetchone()[0])
        assert rows == 0
        assert [info.state for info in await store.segments()] == ["sealed", "live"]
    path = state_dir / "journal" / "0000000001.tsj"
    assert [entry.event_no for entry in read_recording(path).entries()] == list(range(1, 22))


RECORDING = """
import sys
from pathlib import Path
from tests.support.store_kit import group
from tocsin.store import Origin, RecordingWriter

with RecordingWriter(Path(sys.argv[1]), origin=Origin(code="1")) as out:
    event = 0
    while True:
        out.append(group(event + 1, 3, snapshot=event % 50 == 0))
        event += 3
        out.flush()
        print(event, flush=True)
"""


async def test_a_recording_that_was_killed_is_a_valid_prefix(tmp_path: Path) -> None:
    path = tmp_path / "killed.tsj"
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RECORDING,
        str(path),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    lines = [await child.stdout.readline() for _ in range(40)]
    child.kill()
    lines += (await child.stdout.read()).rpartition(b"\n")[0].splitlines()
    await child.wait()
    flushed = int(lines[-1])
    recording = read_recording(path, prefix=True)
    entries = list(recording.entries())
    assert [entry.event_no for entry in entries] == list(range(1, len(entries) + 1))
    assert len(entries) >= flushed
    assert "cut short" in recording.kept.problem
