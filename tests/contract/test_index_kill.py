"""kill -9 at any moment of building an index: what was committed is there, and it goes on to the same index."""

import asyncio
import os
import random
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.index_kit import history
from tests.support.logchain import RULES, SALT, right_digest

from tocsin.chain.logrules import RuleSet
from tocsin.errors import StoreError
from tocsin.state.indexfile import IndexFile


async def run(path: Path, *, steps: int | None, pause_s: float = 0.0) -> int:
    """Let a process build for some steps, then kill it, or let it end. Return the last block that it told of."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.index_kit",
        str(path),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    last = -1
    try:
        while line := await child.stdout.readline():
            last = int(line.split()[1])
            if steps is not None and (steps := steps - 1) < 0:
                await asyncio.sleep(pause_s)
                break
    finally:
        if child.returncode is None and steps is not None:
            # Not `child.kill()`: it takes the exit code of one that has just ended away from the event loop.
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
        for line in (await child.stdout.read()).rpartition(b"\n")[0].splitlines():
            last = int(line.split()[1])
        ended = await child.wait()
    assert ended in (0, -signal.SIGKILL)
    return last


async def battery(path: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    killed_within = 0
    final = history().target.finalized
    for _ in range(kills):
        told = await run(path, steps=rng.randint(0, 6), pause_s=rng.uniform(0, 0.02))
        file = IndexFile(path, RULES, salt=b"another")
        assert not file.notice
        assert file.salt == SALT
        assert file.through.number >= told
        assert sum(one.logs for one in file.stretches()) == file.logs
        killed_within += file.through.number < final.number
        file.close()
    assert killed_within
    assert await run(path, steps=None) == final.number
    file = IndexFile(path, RULES, salt=SALT)
    assert file.digest() == right_digest(history().chain, final)
    file.close()


@pytest.mark.timeout(240)
async def test_five_kills_change_nothing_of_the_index(tmp_path: Path) -> None:
    await battery(tmp_path / "index.db", 5, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_forty_kills_change_nothing_of_the_index(tmp_path: Path) -> None:
    for seed in range(4):
        await battery(tmp_path / f"{seed}.db", 10, seed=100 + seed)


# -- the file


def test_a_file_of_other_rules_begins_anew_and_says_so(tmp_path: Path) -> None:
    IndexFile(tmp_path / "i.db", RULES, salt=SALT).close()
    other = IndexFile(tmp_path / "i.db", RuleSet(rules=RULES.rules[:1], start=9), salt=b"new")
    assert "of other rules" in other.notice
    assert other.through.number == 8
    assert other.salt == b"new"
    other.close()


@pytest.mark.parametrize("damage", [b"", b"no database at all, but long enough to be looked at as one" * 9])
def test_a_damaged_file_is_built_anew(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "i.db"
    path.write_bytes(damage)
    file = IndexFile(path, RULES, salt=SALT)
    assert bool(file.notice) == bool(damage)
    assert file.through.number == -1
    file.close()


def test_a_file_with_a_torn_page_is_built_anew(tmp_path: Path) -> None:
    path = tmp_path / "i.db"
    IndexFile(path, RULES, salt=SALT).close()
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    path.write_bytes(content)
    file = IndexFile(path, RULES, salt=SALT)
    assert "damaged" in file.notice
    assert file.through.number == -1
    file.close()


def test_a_file_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"missing/i\.db: the log index cannot be opened"):
        IndexFile(tmp_path / "missing" / "i.db", RULES, salt=SALT)
