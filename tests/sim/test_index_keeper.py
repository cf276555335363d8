"""The keeper of an index: it waits for what is missing, gets over a disk that cannot be written, and tells of both."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.support.logchain import OTHER, POOL, RULES, SALT, Failure, History, Nodes, of_logs, right_digest, transfer
from tests.support.pool import settings_for
from tests.support.watchdog import eventually

from tocsin.chain.logrules import Topic, rules_of
from tocsin.clock import SystemClock
from tocsin.errors import StoreError
from tocsin.model.block import BlockRef
from tocsin.model.event import SoundLogs
from tocsin.model.index import IndexEvent, IndexSample, IndexSettings
from tocsin.state import keeper as keeping
from tocsin.state.indexer import Target, Terms
from tocsin.state.indexfile import IndexFile, digest_in, sample_of
from tocsin.state.indexlayout import Origin
from tocsin.state.inquiry import Deviation
from tocsin.state.keeper import Keeper, origin_of, path_of, terms_of

SETTINGS = IndexSettings(
    name="debtors",
    start=0,
    events=tuple(
        IndexEvent(
            name=rule.name,
            addresses=tuple(f"0x{address.hex()}" for address in rule.addresses),
            topic=f"0x{rule.topic0.hex()}",
            account=f"{'topic' if isinstance(rule.account, Topic) else 'data'}{rule.account.number}",
            whole=rule.whole,
        )
        for rule in RULES.rules
    ),
    span=4,
    most_span=8,
    audit_one_in=0,
)


@dataclass
class Told:
    """The chain as the keeper is told of it, and what it tells."""

    history: History
    away: str = ""
    samples: list[IndexSample] = field(default_factory=list)
    sound: list[SoundLogs] = field(default_factory=list)
    refuted: list[Deviation] = field(default_factory=list)

    def target(self) -> Target | str:
        return self.away or self.history.target

    def is_on_chain(self, block: BlockRef) -> bool:
        found = self.history.chain.at(block.number, self.history.chain.head())
        return found is not None and found.hash == block.hash

    def tell(self, sample: IndexSample, sound: tuple[SoundLogs, ...]) -> None:
        self.samples.append(sample)
        self.sound += sound

    def refute(self, deviation: Deviation) -> None:
        self.refuted.append(deviation)

    @property
    def is_done(self) -> bool:
        last = self.samples[-1] if self.samples else IndexSample()
        target = self.history.target
        through = last.through
        return through is not None and not last.stuck and through.number == target.finalized.number


@pytest.fixture
def history() -> History:
    found = History(7)
    found.grow(60)
    return found


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is waited for be soon."""
    monkeypatch.setattr(keeping, "TELL_NS", 10**7)
    monkeypatch.setattr(keeping, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(keeping, "_LOOK_S", 0.01)


@asynccontextmanager
async def kept(
    folder: Path, history: History, nodes: Nodes, settings: IndexSettings = SETTINGS, origin: Origin | None = None
) -> AsyncIterator[Told]:
    told = Told(history)
    one = Keeper(
        settings,
        path_of(folder, "sim", settings.name),
        nodes.groups,
        nodes,
        told,
        clock=SystemClock(),
        terms=terms_of(settings, accuses=True, patience_ns=10**6),
        salt=SALT,
        origin=origin,
    )
    task = asyncio.create_task(one.run())
    try:
        yield told
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_settings_become_rules_and_terms() -> None:
    assert rules_of(SETTINGS) == RULES
    terms = terms_of(SETTINGS, accuses=False, patience_ns=5)
    assert isinstance(terms, Terms)
    assert (terms.span.size, terms.span.most, terms.audit_one_in, terms.receipts_one_in) == (4, 8, 0, 1)
    assert (terms.accuses, terms.patience_ns) == (False, 5)


async def test_an_index_is_built_told_of_and_followed(tmp_path: Path, history: History) -> None:
    async with kept(tmp_path, history, Nodes(history.chain)) as told:
        await eventually(lambda: told.is_done, "the index is built")
        history.grow(20)
        await eventually(lambda: told.is_done, "the index is followed")
        await eventually(lambda: told.sound, "sound answers are told")
    last = told.samples[-1]
    assert last.accounts
    assert last.tail is not None
    assert (last.eta_s, last.blocks_per_min, last.logs_per_min) == (None, None, None)
    assert not told.refuted
    path = path_of(tmp_path, "sim", "debtors")
    through, digest = digest_in(path, SETTINGS)
    assert digest == right_digest(history.chain, through)
    assert sample_of(path, SETTINGS).accounts == last.accounts


async def test_it_waits_for_a_head_and_says_so(tmp_path: Path, history: History) -> None:
    async with kept(tmp_path, history, Nodes(history.chain)) as told:
        told.away = "no head is agreed"
        await eventually(lambda: told.samples and told.samples[-1].stuck == told.away, "it waits")
        told.away = ""
        await eventually(lambda: told.is_done, "it gets on")


async def test_one_that_begins_above_the_head_says_so_and_harms_nothing(tmp_path: Path, history: History) -> None:
    late = IndexSettings(name="debtors", start=10_000, events=SETTINGS.events)
    async with kept(tmp_path, history, Nodes(history.chain), late) as told:
        await eventually(lambda: told.samples and told.samples[-1].stuck, "it waits")
        assert told.samples[-1].stuck == "it is to begin at block 10000, and the head is 60: check from"


async def test_contracts_without_code_are_told_and_do_not_stop_it(tmp_path: Path, history: History) -> None:
    async with kept(tmp_path, history, Nodes(history.chain, "A B C")) as told:
        await eventually(lambda: told.samples and told.samples[-1].problem, "it is told")
        await eventually(lambda: told.is_done, "the index is built")
        problem = told.samples[-1].problem
    assert f"there is no code at 0x{POOL.hex()} on this chain: check the address" in problem
    assert f"0x{OTHER.hex()}" in problem


async def test_one_that_cannot_be_written_says_so_and_goes_on_when_it_can(
    tmp_path: Path, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    extend = IndexFile.extend
    full = True

    def on_a_full_disk(self: IndexFile, *args: object) -> None:
        if full and self.through.number > 20:
            with self._step():
                raise sqlite3.OperationalError("database or disk is full")
        extend(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(IndexFile, "extend", on_a_full_disk)
    async with kept(tmp_path, history, Nodes(history.chain)) as told:
        await eventually(lambda: told.samples and told.samples[-1].stuck, "it cannot be written")
        assert "database or disk is full; free space there" in told.samples[-1].stuck
        full = False
        await eventually(lambda: told.is_done, "it goes on")
    through, digest = digest_in(path_of(tmp_path, "sim", "debtors"), SETTINGS)
    assert digest == right_digest(history.chain, through)


async def test_it_leaves_the_last_of_a_disk_to_others(
    tmp_path: Path, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_LEAST_FREE", 1 << 62)
    async with kept(tmp_path, history, Nodes(history.chain)) as told:
        await eventually(lambda: told.samples and told.samples[-1].stuck, "it waits for room")
        assert "MiB are free where" in told.samples[-1].stuck
        assert told.samples[-1].logs == 0
        monkeypatch.setattr(keeping, "_LEAST_FREE", 1)
        await eventually(lambda: told.is_done, "it goes on")


async def test_a_place_that_cannot_be_made_is_told_and_tried_again(tmp_path: Path, history: History) -> None:
    (tmp_path / "index").write_text("in the way")
    async with kept(tmp_path, history, Nodes(history.chain)) as told:
        await eventually(lambda: told.samples and told.samples[-1].stuck, "it has no place")
        assert "index" in told.samples[-1].stuck
        (tmp_path / "index").unlink()
        await eventually(lambda: told.is_done, "it goes on")


async def test_a_file_of_another_chain_is_left_alone_and_told_of_until_it_is_moved_away(
    tmp_path: Path, history: History
) -> None:
    path = path_of(tmp_path, "sim", "debtors")
    async with kept(tmp_path, history, Nodes(history.chain), origin=Origin(chain=1)) as told:
        await eventually(lambda: told.is_done, "the index is built")
    before = digest_in(path, SETTINGS, Origin(chain=1))
    async with kept(tmp_path, history, Nodes(history.chain), origin=Origin(chain=10)) as told:
        await eventually(lambda: told.samples and told.samples[-1].stuck, "it refuses the file")
        assert "the log index is of chain 1, and chain 10 is configured: move it away" in told.samples[-1].stuck
        assert digest_in(path, SETTINGS, Origin(chain=1)) == before
        path.rename(path.with_name("old.db"))
        await eventually(lambda: told.is_done, "it is built anew")
    with pytest.raises(StoreError, match="of chain 10"):
        sample_of(path, SETTINGS, Origin(chain=1))


def test_a_file_says_the_id_of_its_chain_and_the_genesis_that_is_configured() -> None:
    [chain] = settings_for(("self",)).chains
    assert origin_of(chain) == Origin(chain=chain.id)
    assert origin_of(replace(chain, genesis_hash="0xab")) == Origin(chain=chain.id, genesis="0xab")


async def test_a_damaged_file_is_set_aside_and_built_anew(tmp_path: Path, history: History) -> None:
    path = path_of(tmp_path, "sim", "debtors")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database, and long enough to be looked at as one" * 99)
    async with kept(tmp_path, history, Nodes(history.chain)) as told:
        await eventually(lambda: told.is_done, "it is built anew")
        assert "it was damaged" in told.samples[-1].problem
        assert "debtors.db.damaged" in told.samples[-1].problem
    assert path.with_name("debtors.db.damaged").read_bytes().startswith(b"no database")
    through, digest = digest_in(path, SETTINGS)
    assert digest == right_digest(history.chain, through)


async def test_it_tells_why_it_waits_for_nodes_and_tries_again(tmp_path: Path, history: History) -> None:
    nodes = Nodes(history.chain)

    def away(method: str, _params: list[object], result: object) -> object:
        if method == "eth_getLogs":
            raise Failure
        return result

    nodes.lies["B"] = away
    async with kept(tmp_path, history, nodes) as told:
        await eventually(lambda: told.samples and told.samples[-1].stuck, "it waits")
        assert "1 of 2 groups that are needed answer" in told.samples[-1].stuck
        nodes.lies.clear()
        await eventually(lambda: told.is_done, "it gets on")


async def test_who_tells_wrong_logs_is_told_with_the_evidence(tmp_path: Path, history: History) -> None:
    nodes = Nodes(history.chain, "A B C")
    async with kept(tmp_path, history, nodes) as told:
        await eventually(lambda: told.is_done, "the index is built")
        nodes.lies["C"] = of_logs(lambda logs: logs[:-1])
        history.put(transfer(1, 2), transfer(3, 4))
        await eventually(lambda: told.refuted, "the liar is named")
        assert {one.node for one in told.refuted} == {"C"}
