"""kill -9 at any moment of building an index: what was committed is there, and it goes on to the same index."""

import asyncio
import os
import random
import signal
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.support.index_kit import BLOCKS, history
from tests.support.logchain import FINAL_AFTER, RULES, SALT, right_digest

from tocsin.chain.logindex import Tally, Touched
from tocsin.chain.logrules import RuleSet
from tocsin.chain.logtail import TailBlock
from tocsin.errors import StoreError
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.state.indexfile import IndexFile
from tocsin.state.indexlayout import Origin

GENESIS, OTHER_GENESIS = f"0x{'a' * 64}", f"0x{'b' * 64}"
HOME = Origin(chain=1, genesis=GENESIS)


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


async def battery(path: Path, kills: int, seed: int, *, most: int) -> int:
    """Kill it after up to `most` steps each time: back-fills take 47, following 60. Return how many fell there."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    killed_within = killed_following = 0
    final = history().target.finalized
    for _ in range(kills):
        told = await run(path, steps=rng.randint(0, most), pause_s=rng.uniform(0, 0.02))
        file = IndexFile(path, RULES, salt=b"another")
        assert not file.notice
        assert file.salt == SALT
        assert file.through.number >= told
        assert sum(one.logs for one in file.stretches()) == file.logs
        killed_within += file.through.number < final.number
        killed_following += BLOCKS - FINAL_AFTER < file.through.number < final.number
        file.close()
    assert killed_within
    assert await run(path, steps=None) == final.number
    file = IndexFile(path, RULES, salt=SALT)
    assert file.digest() == right_digest(history().chain, final)
    file.close()
    return killed_following


@pytest.mark.timeout(240)
async def test_five_kills_change_nothing_of_the_index(tmp_path: Path) -> None:
    await battery(tmp_path / "index.db", 5, seed=1, most=40)


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_forty_kills_change_nothing_of_the_index(tmp_path: Path) -> None:
    following = [
        await battery(tmp_path / f"{seed}.db", 10, seed=100 + seed, most=(6, 24)[seed % 2]) for seed in range(4)
    ]
    assert sum(following)


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


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE stretch SET grade = 'puorum'",
        "UPDATE stretch SET logs = logs + 1",
        "UPDATE tail SET grade = x'00'",
        "UPDATE tail SET parent = 'nothing'",
        "UPDATE head SET number = 'many'",
        "UPDATE head SET number = number - 1",
        "UPDATE head SET hash = x'ff'",
        "UPDATE head SET hash = '0x' || printf('%064d', 0) || '0'",
        "UPDATE head SET salt = 5",
        "UPDATE head SET logs = 1e300",
        "UPDATE touched SET first = last + 1",
        "UPDATE touched SET account = 'me'",
        "UPDATE tail_touched SET account = 7",
        "INSERT INTO unreadable VALUES (0, 'none')",
        "UPDATE origin SET chain = 'main'",
        "UPDATE origin SET genesis = '0xz'",
    ],
)
def test_a_file_whose_pages_are_whole_and_whose_content_is_not_is_built_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "i.db"
    file = IndexFile(path, RULES, salt=SALT, origin=HOME)
    block, parent = BlockRef(number=1, hash=f"0x{'1' * 64}"), f"0x{'0' * 64}"
    of = Tally(touched={(0, b"a" * 20): Touched(1, 1)}, unreadable={}, logs=1)
    file.extend(BlockRef(number=0, hash=parent), of, Grade.QUORUM)
    file.follow(0, [TailBlock(block=block, parent_hash=parent, tally=of, grade=Grade.PROVEN)])
    file.close()
    again = IndexFile(path, RULES, salt=SALT)
    assert not again.notice
    assert again.tail()[0].block == block
    again.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(damage)
        db.commit()
    with pytest.raises(StoreError, match="damaged"):
        IndexFile(path, RULES, salt=None)
    anew = IndexFile(path, RULES, salt=SALT)
    assert "damaged" in anew.notice
    assert (anew.through.number, anew.logs, anew.tail()) == (-1, 0, ())
    anew.close()


def test_a_file_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"missing/i\.db: the log index cannot be opened"):
        IndexFile(tmp_path / "missing" / "i.db", RULES, salt=SALT)


# -- of which chain it is


def grown(path: Path, origin: Origin | None) -> bytes:
    """Let a file take a step, and return its digest."""
    with closing(IndexFile(path, RULES, salt=SALT, origin=origin)) as file:
        through = BlockRef(number=file.through.number + 5, hash=GENESIS)
        file.extend(through, Tally(touched={(0, b"a" * 20): Touched(1, 1)}, logs=1), Grade.QUORUM)
        return file.digest()


def without_origin(path: Path) -> bytes:
    """Make a file as it was before it said of which chain it is; return its digest."""
    digest = grown(path, None)
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE origin")
        db.execute("PRAGMA user_version = 1")
    return digest


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Origin(chain=10, genesis=GENESIS), "of chain 1, and chain 10 is configured"),
        (Origin(chain=10), "of chain 1, and chain 10 is configured"),
        (Origin(chain=1, genesis=OTHER_GENESIS), "that begins with 0xaaaaaaaaaa.., 0xbbbbbbbbbb.. is configured"),
    ],
)
def test_a_file_of_another_chain_is_refused_and_left_as_it_is(tmp_path: Path, other: Origin, said: str) -> None:
    path = tmp_path / "i.db"
    digest = grown(path, HOME)
    rules = RuleSet(rules=RULES.rules[:1], start=9)
    for kind, salt in ((RULES, SALT), (RULES, None), (rules, SALT), (rules, None)):
        with pytest.raises(StoreError, match=r"i\.db: the log index is ") as refused:
            IndexFile(path, kind, salt=salt, origin=other)
        assert said in str(refused.value)
        assert "move it away" in str(refused.value)
    with closing(IndexFile(path, RULES, salt=SALT, origin=HOME)) as file:
        assert (file.digest(), file.notice) == (digest, "")


def test_a_chain_whose_genesis_is_not_known_is_told_by_its_id_alone(tmp_path: Path) -> None:
    path = tmp_path / "i.db"
    grown(path, Origin(chain=1))
    grown(path, HOME)
    with pytest.raises(StoreError, match="begins with"):
        IndexFile(path, RULES, salt=SALT, origin=Origin(chain=1, genesis=OTHER_GENESIS))
    grown(path, Origin(chain=1))
    with pytest.raises(StoreError, match="begins with"):
        IndexFile(path, RULES, salt=SALT, origin=Origin(chain=1, genesis=OTHER_GENESIS))


def test_a_file_that_does_not_say_its_chain_is_gone_on_with_and_says_it_from_the_next_step_on(tmp_path: Path) -> None:
    path = tmp_path / "i.db"
    digest = without_origin(path)
    with closing(IndexFile(path, RULES, salt=None, origin=HOME)) as looked_at:
        assert looked_at.digest() == digest
    for origin in (HOME, Origin(chain=10)):  # which of them it is no step has shown yet
        with closing(IndexFile(path, RULES, salt=SALT, origin=origin)) as opened:
            assert (opened.digest(), opened.notice) == (digest, "")
    after = grown(path, HOME)
    with pytest.raises(StoreError, match="of chain 1, and chain 10 is configured"):
        IndexFile(path, RULES, salt=SALT, origin=Origin(chain=10))
    with closing(IndexFile(path, RULES, salt=SALT, origin=HOME)) as opened:
        assert opened.digest() == after != digest


def test_a_step_that_fails_says_nothing_of_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "i.db"
    without_origin(path)
    with closing(IndexFile(path, RULES, salt=SALT, origin=HOME)) as file, pytest.raises(StoreError), file._step():
        raise sqlite3.OperationalError("disk full")
    with closing(IndexFile(path, RULES, salt=SALT, origin=Origin(chain=10))) as file:
        file.follow(file.through.number, [])
    with pytest.raises(StoreError, match="of chain 10"):
        IndexFile(path, RULES, salt=SALT, origin=HOME)
