"""What every node tells of the newest blocks is held against the chain: who lies twice is named, nobody else is."""

import random
from pathlib import Path
from typing import Any, Self

import pytest
from tests.support.logchain import (
    BORROW,
    POOL,
    RULES,
    SALT,
    Failure,
    History,
    Lie,
    Nodes,
    borrow,
    of_logs,
    transfer,
)

from tocsin.chain import lenience
from tocsin.chain.logevidence import ReceiptEvidence, recheck_receipts
from tocsin.chain.logproof import LogEvidence, Wrong, recheck
from tocsin.model.block import BlockRef
from tocsin.model.contract import Charge
from tocsin.model.event import SoundLogs
from tocsin.state.indexer import Indexer, Terms
from tocsin.state.indexfile import IndexFile
from tocsin.state.inquiry import Deviation

PATIENCE_S = 2


class Watch:
    """An index that follows a chain, and patrols after each block as the daemon does."""

    def __init__(self, path: Path, names: str = "A B C", *, seed: int = 0, receipts_one_in: int = 1) -> None:
        self.history = History(seed)
        self.nodes = Nodes(self.history.chain, names)
        terms = Terms(audit_one_in=0, receipts_one_in=receipts_one_in, patience_ns=PATIENCE_S * 10**9)
        file = IndexFile(path / "i.db", RULES, salt=SALT)
        self.indexer = Indexer(file, self.nodes.groups, self.nodes, clock=self.history.clock, terms=terms)
        self.found: list[Deviation] = []
        self.may_wait = False
        """Whether the index may wait for nodes that are not there yet."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.indexer.close()

    def is_on_chain(self, block: BlockRef) -> bool:
        shown = self.history.chain.at(block.number, self.history.chain.head())
        return shown is not None and shown.hash == block.hash

    async def look(self) -> None:
        result = await self.indexer.advance(self.history.target)
        assert self.may_wait or not result.stuck
        self.found += result.deviations
        await self.indexer.patrol()
        await self.confirm()

    async def confirm(self) -> None:
        self.found += await self.indexer.confirm(self.is_on_chain)

    async def wait(self) -> None:
        self.history.clock.advance(s=PATIENCE_S)
        await self.confirm()


def of_receipts(change: Any) -> Lie:
    def lie(method: str, _params: list[Any], result: Any) -> Any:
        return change(result) if method == "eth_getBlockReceipts" and result else result

    return lie


def more_gas(receipts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    receipts[0]["cumulativeGasUsed"] = "0x1"
    return receipts


@pytest.mark.parametrize("seed", range(3))
async def test_nobody_is_accused_on_a_chain_with_reorgs_where_nodes_lag_prune_and_fail(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    async with Watch(tmp_path, "A B C D E", seed=seed) as watch:
        late, slow, pruned = (watch.nodes.nodes[name] for name in "BCD")
        late.view.delay_ns = 13 * 10**9
        pruned.data.receipts = 1
        watch.history.grow(20)

        first: dict[str, int] = {}

        def flaky(method: str, params: list[Any], result: Any) -> Any:
            """Fail now and then, and have the logs of a block only some time after it."""
            if rng.random() < 0.2:
                raise Failure(-32000, "header not found")
            if method != "eth_getLogs" or "blockHash" not in params[0]:
                return result
            now = watch.history.clock.monotonic_ns()
            return result if now > first.setdefault(params[0]["blockHash"], now) else []

        watch.nodes.lies["E"] = flaky
        watch.may_wait = True
        for number in range(60):
            if number % 7 == 3:
                watch.history.lose(rng.randint(1, 8))
            slow.view.delay_ns = rng.choice([0, 30 * 10**9])
            watch.history.grow(rng.randint(1, 2))
            await watch.look()
            if rng.random() < 0.5:
                watch.history.lose(rng.randint(1, 3))
                watch.history.grow(2)
            await watch.wait()
        assert [(one.node, one.difference) for one in watch.found] == []
        sound = {one.node: one for one in watch.indexer.sound()}
        assert sound["A"].logs > 100
        assert sound["A"].receipts > 50
        assert min(sound[name].logs for name in "BCDE") > 20


@pytest.mark.parametrize(
    ("lie", "wrong"),
    [
        (of_logs(lambda logs: logs[:1]), Wrong.LEFT_OUT),
        (of_logs(lambda _: []), Wrong.LEFT_OUT),
        (of_logs(lambda logs: [{**log, "data": "0x" + "99" * 32} for log in logs]), Wrong.CHANGED),
    ],
)
async def test_who_tells_wrong_logs_of_the_newest_block_is_named_after_the_second_time(
    tmp_path: Path, lie: Lie, wrong: Wrong
) -> None:
    """Whichever node it is, and though two of three would have been enough for the index."""
    for liar in "ABC":
        folder = tmp_path / liar
        folder.mkdir()
        async with Watch(folder) as watch:
            watch.history.grow(3)
            await watch.look()
            watch.nodes.lies[liar] = lie
            block = watch.history.put(transfer(1, 2), transfer(3, 4), borrow(5))
            await watch.look()
            await watch.wait()
            assert {one.node for one in watch.found} == {liar}
            one = watch.found[-1]
            assert (one.charge, one.difference.wrong) == (Charge.LOGS, wrong)
            assert one.evidence.block.hash == block.hash
            assert isinstance(one.evidence, LogEvidence)
            assert recheck(one.evidence) == one.difference


async def test_a_log_that_is_invented_in_a_quiet_block_is_shown_by_the_bloom_alone(tmp_path: Path) -> None:
    async with Watch(tmp_path) as watch:
        watch.history.put()
        block = watch.history.chain.head()
        place = {
            "blockNumber": hex(block.number),
            "blockHash": block.hash,
            "transactionIndex": "0x0",
            "logIndex": "0x0",
        }
        made_up = {
            **place,
            "address": f"0x{POOL.hex()}",
            "topics": [f"0x{BORROW.hex()}"],
            "data": "0x" + "00" * 64,
        }
        watch.nodes.lies["B"] = of_logs(lambda logs: [*logs, made_up])
        await watch.look()
        assert not watch.found
        await watch.wait()
        [one] = watch.found
        assert (one.node, one.difference.wrong) == ("B", Wrong.INVENTED)
        assert isinstance(one.evidence, LogEvidence)
        assert one.evidence.receipts == b""
        assert recheck(one.evidence) == one.difference


async def test_nobody_is_named_before_its_second_answer_and_time_for_that(tmp_path: Path) -> None:
    async with Watch(tmp_path) as watch:
        watch.nodes.lies["B"] = of_receipts(more_gas)
        watch.history.put(transfer(1, 2))
        await watch.look()
        await watch.confirm()
        assert not watch.found
        asked = len(watch.nodes.asked)
        watch.history.clock.advance(s=PATIENCE_S - 0.1)
        await watch.confirm()
        assert len(watch.nodes.asked) == asked, "nobody is asked again before it is time"
        watch.history.clock.advance(s=0.1)
        await watch.confirm()
        assert [one.node for one in watch.found] == ["B"]


async def test_a_node_that_has_a_block_before_its_logs_is_not_named(tmp_path: Path) -> None:
    async with Watch(tmp_path) as watch:
        for name in "ABC":
            watch.nodes.lies[name] = of_logs(lambda _: [])
        watch.history.put(transfer(1, 2))
        await watch.look()
        watch.nodes.lies.clear()
        await watch.wait()
        assert not watch.found
        assert not watch.indexer.is_suspicious


async def test_receipts_that_do_not_hash_to_the_root_are_named_with_evidence(tmp_path: Path) -> None:
    async with Watch(tmp_path) as watch:
        block = watch.history.put(transfer(1, 2), borrow(3))
        watch.nodes.lies["C"] = of_receipts(more_gas)
        await watch.look()
        await watch.wait()
        [one] = watch.found
        assert (one.node, one.charge) == ("C", Charge.RECEIPTS)
        assert isinstance(one.evidence, ReceiptEvidence)
        assert one.evidence.block.hash == block.hash
        assert recheck_receipts(one.evidence) == one.difference
        assert one.question.endswith(":receipts")


@pytest.mark.parametrize(
    "change",
    [
        lambda _: [],
        lambda _: None,
        lambda receipts: [{**receipts[0], "type": "0x7f"}],
        lambda receipts: [{**receipts[0], "logsBloom": "0x"}],
    ],
)
async def test_receipts_that_say_nothing_or_cannot_be_judged_accuse_nobody(tmp_path: Path, change: Any) -> None:
    async with Watch(tmp_path) as watch:
        watch.nodes.lies["C"] = of_receipts(change)
        watch.history.put(transfer(1, 2))
        await watch.look()
        await watch.wait()
        assert not watch.found


async def test_nobody_is_accused_of_receipts_where_nobody_shows_right_ones(tmp_path: Path) -> None:
    """Receipts may be hashed otherwise after an upgrade: then all are wrong by the rules that are known."""
    async with Watch(tmp_path) as watch:
        for name in "ABC":
            watch.nodes.lies[name] = of_receipts(more_gas)
        watch.history.put(transfer(1, 2))
        await watch.look()
        for _ in range(5):
            await watch.wait()
        assert not watch.found
        assert not watch.indexer.is_suspicious, "it is given up after some tries"


async def test_a_liar_about_a_block_that_has_left_the_chain_is_not_named(tmp_path: Path) -> None:
    async with Watch(tmp_path) as watch:
        watch.history.grow(4)
        await watch.look()
        watch.nodes.lies["B"] = of_receipts(more_gas)
        watch.history.put(transfer(1, 2))
        await watch.look()
        watch.history.lose(1)
        watch.history.grow(1)
        await watch.wait()
        assert not watch.found


async def test_a_node_that_has_gone_to_another_chain_meanwhile_is_not_named(tmp_path: Path) -> None:
    async with Watch(tmp_path) as watch:
        watch.history.grow(4)
        await watch.look()
        watch.nodes.lies["B"] = of_logs(lambda _: [])
        watch.history.put(transfer(1, 2), transfer(3, 4))
        await watch.look()
        watch.history.chain.fork("other", depth=1)
        watch.nodes.nodes["B"].view.branch = "other"
        await watch.wait()
        assert not watch.found


async def test_a_node_that_leaves_out_all_logs_and_shows_no_receipts_may_not_have_them(tmp_path: Path) -> None:
    async with Watch(tmp_path) as watch:

        def bare(method: str, _params: list[Any], result: Any) -> Any:
            if method == "eth_getBlockReceipts":
                raise Failure(-32601, "the method eth_getBlockReceipts does not exist/is not available")
            return [] if method == "eth_getLogs" else result

        watch.nodes.lies["C"] = bare
        watch.history.put(transfer(1, 2))
        await watch.look()
        for _ in range(4):
            await watch.wait()
        assert not watch.found


async def test_sound_answers_are_counted_once(tmp_path: Path) -> None:
    async with Watch(tmp_path) as watch:
        watch.history.put(transfer(1, 2))
        await watch.look()
        watch.history.put()
        await watch.look()
        told = watch.indexer.sound()
        assert told == tuple(SoundLogs(node=name, logs=2, receipts=1) for name in "ABC")
        assert watch.indexer.sound() == ()


async def test_receipts_are_asked_for_as_often_as_is_configured(tmp_path: Path) -> None:
    for one_in, least, most in ((0, 0, 0), (1, 30, 30), (5, 2, 15)):
        folder = tmp_path / str(one_in)
        folder.mkdir()
        async with Watch(folder, receipts_one_in=one_in) as watch:
            for number in range(30):
                watch.history.put(transfer(number, 1))
                await watch.look()
            [found] = [one for one in watch.indexer.sound() if one.node == "A"]
            assert least <= found.receipts <= most


def every_second_time(lie: Lie) -> Lie:
    """A node that lies about a block where it is asked the first time, and never again."""
    asked: set[str] = set()

    def told(method: str, params: list[Any], result: Any) -> Any:
        at = f"{method} {params}"
        if method not in ("eth_getLogs", "eth_getBlockReceipts") or at in asked:
            return result
        asked.add(at)
        return lie(method, params, result)

    return told


@pytest.mark.parametrize(
    ("lie", "charge", "wrong"),
    [
        (of_logs(lambda logs: logs[:1]), Charge.LOGS, Wrong.LEFT_OUT),
        (of_logs(lambda logs: [{**log, "data": "0x" + "99" * 32} for log in logs]), Charge.LOGS, Wrong.CHANGED),
        (of_receipts(more_gas), Charge.RECEIPTS, Wrong.CHANGED),
    ],
)
async def test_who_tells_the_truth_when_it_is_asked_again_is_named_for_the_third_block(
    tmp_path: Path, lie: Lie, charge: Charge, wrong: Wrong
) -> None:
    await named_at_block(3, tmp_path, lie, charge, wrong)


async def named_at_block(count: int, folder: Path, lie: Lie, charge: Charge, wrong: Wrong, pause_s: int = 0) -> None:
    async with Watch(folder) as watch:
        watch.history.grow(3)
        await watch.look()
        liar, blocks = every_second_time(lie), []
        for number in range(count):
            assert watch.found == []
            blocks.append(watch.history.put(transfer(number, 2), transfer(3, 4)))
            await watch.indexer.advance(watch.history.target)
            watch.nodes.lies["B"] = liar  # to nobody but the patrol
            await watch.indexer.patrol()
            await watch.wait()
            watch.nodes.lies.clear()
            watch.history.clock.advance(s=pause_s)
        assert [(one.node, one.charge, one.difference.wrong) for one in watch.found] == [("B", charge, wrong)]
        [one] = watch.found
        assert one.evidence.block.hash == blocks[-1].hash
        if isinstance(one.evidence, LogEvidence):
            assert recheck(one.evidence) == one.difference
        else:
            assert recheck_receipts(one.evidence) == one.difference


@pytest.mark.parametrize("count", [2, 4])
async def test_the_limits_are_those_of_contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(lenience, "RELAPSES", count)
    await named_at_block(count, tmp_path, of_logs(lambda logs: logs[:1]), Charge.LOGS, Wrong.LEFT_OUT)


async def test_the_hour_is_that_of_contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lenience, "RELAPSES_NS", 2 * lenience.RELAPSES_NS)
    await named_at_block(3, tmp_path, of_logs(lambda logs: logs[:1]), Charge.LOGS, Wrong.LEFT_OUT, pause_s=1801)


async def test_what_is_an_hour_apart_or_says_that_there_is_nothing_yet_names_nobody(tmp_path: Path) -> None:
    for lie, pause_s in ((of_logs(lambda logs: logs[:1]), 1801), (of_logs(lambda _: []), 0)):
        folder = tmp_path / str(pause_s)
        folder.mkdir()
        async with Watch(folder) as watch:
            watch.history.grow(3)
            await watch.look()
            for number in range(5):
                watch.history.put(transfer(number, 2), transfer(3, 4))
                result = await watch.indexer.advance(watch.history.target)
                assert not result.stuck
                watch.nodes.lies["B"] = every_second_time(lie)
                await watch.indexer.patrol()
                await watch.wait()
                watch.nodes.lies.clear()
                watch.history.clock.advance(s=pause_s)
            assert watch.found == []
