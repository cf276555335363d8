"""The index of a chain with reorgs, whoever lies or fails, is that of the chain alone."""

import asyncio
import random
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.logchain import (
    BORROW,
    FINAL_AFTER,
    RULES,
    SALT,
    Failure,
    History,
    Lie,
    Nodes,
    borrow,
    of_logs,
    ref,
    right_digest,
    transfer,
    user,
)
from tests.support.pool import settings_for

from tocsin.chain.loganswer import Refused
from tocsin.chain.logproof import Difference, LogEvidence, Wrong, recheck
from tocsin.chain.logrules import RuleSet
from tocsin.chain.logspan import Span
from tocsin.clock import NS
from tocsin.config.calls import index_units_per_day
from tocsin.model.alert import Grade
from tocsin.model.index import IndexSettings
from tocsin.model.observation import Fault, Part
from tocsin.model.reading import requests
from tocsin.state.indexer import Advance, Indexer, Terms
from tocsin.state.indexfile import IndexFile
from tocsin.state.pace import Progress

NEVER = Terms(audit_one_in=0)


def opened(path: Path, history: History, nodes: Nodes, terms: Terms | None = None, rules: RuleSet = RULES) -> Indexer:
    file = IndexFile(path, rules, salt=SALT)
    return Indexer(file, nodes.groups, nodes, clock=history.clock, terms=terms)


def digest_in(path: Path) -> bytes:
    file = IndexFile(path, RULES, salt=SALT)
    try:
        assert not file.notice
        return file.digest()
    finally:
        file.close()


async def built(path: Path, history: History, nodes: Nodes, terms: Terms | None = None) -> Advance:
    async with opened(path, history, nodes, terms) as indexer:
        return await indexer.advance(history.target)


async def follow(path: Path, *, blocks: int, reorgs: int, seed: int) -> None:
    """Follow a chain with reorgs from its first block, and compare at every finalized block."""
    history = History(seed)
    nodes = Nodes(history.chain)
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    at = set(rng.sample(range(20, blocks), reorgs))
    file = IndexFile(path, RULES, salt=SALT)
    compared = 0
    async with Indexer(file, nodes.groups, nodes, clock=history.clock) as indexer:
        for number in range(blocks):
            if number in at:
                history.lose(rng.randint(1, FINAL_AFTER - 4))
                history.grow(rng.randint(1, 3))
            history.grow()
            target = history.target
            result = await indexer.advance(target)
            assert not result.stuck
            assert result.through == target.finalized
            assert not result.deviations + result.refusals
            assert [block.block.number for block in indexer.tail] == list(
                range(target.finalized.number + 1, target.head.number + 1)
            )
            assert file.digest() == right_digest(history.chain, target.finalized)
            assert file.tail() == indexer.tail
            compared += 1
        assert file.grade in (Grade.PROVEN, Grade.QUORUM)
        digest = file.digest()
    assert compared == blocks
    scratch = path.with_name("scratch.db")
    assert not (await built(scratch, history, nodes)).stuck
    assert digest_in(scratch) == digest == digest_in(path)


async def test_a_chain_with_reorgs_gives_the_index_of_a_chain_without(tmp_path: Path) -> None:
    await follow(tmp_path / "index.db", blocks=120, reorgs=15, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [2, 3])
async def test_a_thousand_blocks_with_a_hundred_reorgs_give_the_index_of_a_chain_without(
    tmp_path: Path, seed: int
) -> None:
    await follow(tmp_path / "index.db", blocks=1000, reorgs=100, seed=seed)


async def test_ranges_of_any_size_and_the_tail_give_the_same_index(tmp_path: Path) -> None:
    history = History(4)
    history.grow(200)
    nodes = Nodes(history.chain)
    for size in (1, 7, 64, 10_000):
        path = tmp_path / f"{size}.db"
        assert not (await built(path, history, nodes, Terms(span=Span(size=size)))).stuck
        assert digest_in(path) == right_digest(history.chain, history.target.finalized)


async def test_the_accounts_above_the_finalized_block_are_there_while_their_block_is(tmp_path: Path) -> None:
    history = History(0)
    nodes = Nodes(history.chain)
    history.grow(FINAL_AFTER + 5)
    block = history.put(transfer(900, 901))
    async with opened(tmp_path / "i.db", history, nodes) as indexer:
        await indexer.advance(history.target)
        file = indexer._file
        assert file.accounts(with_tail=True)[user(900)] == (block.number, block.number)
        assert user(900) not in file.accounts()
        history.lose(1)
        await indexer.advance(history.target)
        assert user(900) not in file.accounts(with_tail=True)


# -- liars and failures


def leaves_out_one(result: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    return result[:-1] if len(result) > 1 else None


def invents_one(result: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    if not result:
        return None
    last = result[-1]
    return [*result, {**last, "logIndex": hex(int(last["logIndex"], 16) + 1)}]


def changes_a_byte(result: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    changed = [log for log in result if log["topics"][0] == f"0x{BORROW.hex()}"]
    if not changed:
        return None
    data = changed[0]["data"]
    return [
        {**log, "data": data[:-1] + ("0" if data[-1] != "0" else "1")} if log is changed[0] else log for log in result
    ]


def swaps_two(result: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Exchange what two logs of one transaction say, numbers in order."""
    for at, (one, other) in enumerate(pairwise(result)):
        if one["transactionHash"] == other["transactionHash"] and one["data"] != other["data"]:
            said = ("address", "topics", "data")
            new = [{**one, **{key: other[key] for key in said}}, {**other, **{key: one[key] for key in said}}]
            return [*result[:at], *new, *result[at + 2 :]]
    return None


LIES = {
    "left out": (leaves_out_one, Wrong.LEFT_OUT),
    "invented": (invents_one, Wrong.INVENTED),
    "changed": (changes_a_byte, Wrong.CHANGED),
    "swapped": (swaps_two, Wrong.REORDERED),
}


@pytest.mark.parametrize("names", ["A B", "A B C"])
@pytest.mark.parametrize("lie", LIES)
async def test_a_liar_is_named_with_evidence_that_anybody_can_check_and_the_index_is_right(
    tmp_path: Path, lie: str, names: str
) -> None:
    history = History(5)
    history.grow(40)
    history.put(transfer(1, 2), transfer(3, 4), borrow(5), borrow(6, trove=9))
    history.grow(FINAL_AFTER + 4)
    nodes = Nodes(history.chain, names)
    change, wrong = LIES[lie]
    nodes.lies["B"] = of_logs(change)
    # Small ranges, so that each group is drawn at some time.
    result = await built(tmp_path / "i.db", history, nodes, Terms(span=Span(size=4, most=4), audit_one_in=0))
    assert not result.stuck
    assert digest_in(tmp_path / "i.db") == right_digest(history.chain, history.target.finalized)
    assert {deviation.node for deviation in result.deviations} == {"B"}
    assert wrong in {deviation.difference.wrong for deviation in result.deviations}
    for deviation in result.deviations:
        assert recheck(deviation.evidence) == deviation.difference


async def test_a_liar_above_the_finalized_block_is_named_at_once(tmp_path: Path) -> None:
    history = History(6)
    history.grow(FINAL_AFTER + 10)
    nodes = Nodes(history.chain)
    async with opened(tmp_path / "i.db", history, nodes) as indexer:
        assert not (await indexer.advance(history.target)).stuck
        nodes.lies["A"] = of_logs(leaves_out_one)
        history.put(transfer(1, 2), transfer(3, 4))
        result = await indexer.advance(history.target)
        assert [(found.node, found.difference.wrong) for found in result.deviations] == [("A", Wrong.LEFT_OUT)]
        assert not result.stuck
        assert set(indexer.tail[-1].tally.touched) == {(0, user(1)), (1, user(2)), (0, user(3)), (1, user(4))}


def errors(code: int, text: str, *, until: int | None = None) -> Lie:
    """Refuse `eth_getLogs`, up to a block where one is given."""

    def lie(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getLogs" and (until is None or int(params[0].get("fromBlock", "0x0"), 16) <= until):
            raise Failure(code, text)
        return result

    return lie


def narrow(most: int, *, logs: int | None = None) -> Lie:
    """Refuse ranges of more blocks than this, or results of more logs, as providers do."""

    def lie(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getLogs" and "fromBlock" in params[0]:
            if int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1 > most:
                raise Failure(-32600, f"You can make eth_getLogs requests with up to a {most} block range")
            if logs is not None and len(result) > logs:
                raise Failure(-32005, f"query returned more than {logs} results")
        return result

    return lie


@pytest.mark.parametrize(("most", "logs"), [(10, None), (1, None), (10_000, 20), (50, 8)])
async def test_nodes_with_limits_are_asked_within_them(tmp_path: Path, most: int, logs: int | None) -> None:
    history = History(7)
    history.grow(150)
    nodes = Nodes(history.chain)
    nodes.lies = {name: narrow(most, logs=logs) for name in nodes.nodes}
    result = await built(tmp_path / "i.db", history, nodes)
    assert not result.stuck
    assert digest_in(tmp_path / "i.db") == right_digest(history.chain, history.target.finalized)
    if most == 10:
        last = history.target.finalized.number
        ranges = len([call for call in nodes.questions("logs:") if "@" not in call])
        assert ranges < 2 * (last / most) * 1.7 + 20, "what was refused is not asked again for each range"


async def test_where_enough_wide_nodes_are_there_a_narrow_one_slows_nothing(tmp_path: Path) -> None:
    history = History(8)
    history.grow(300)
    nodes = Nodes(history.chain, "A B C")
    nodes.lies["C"] = narrow(5)
    assert not (await built(tmp_path / "i.db", history, nodes, NEVER)).stuck
    assert len([call for call in nodes.questions("logs:") if "@" not in call]) < 40


async def test_a_node_that_has_pruned_is_no_liar_and_the_rest_is_known_no_better_than_it_is(tmp_path: Path) -> None:
    history = History(9)
    history.grow(150)
    for names, grade in (("A B", Grade.UNCORROBORATED), ("A B C", Grade.QUORUM)):
        nodes = Nodes(history.chain, names)
        nodes.nodes["B"].data.receipts = 40
        path = tmp_path / f"{len(names)}.db"
        result = await built(path, history, nodes, NEVER)
        assert not result.stuck
        assert not result.deviations
        file = IndexFile(path, RULES, salt=SALT)
        assert file.grade is grade
        assert file.stretches()[-1].last == history.target.finalized.number
        assert file.digest() == right_digest(history.chain, history.target.finalized)
        file.close()


async def test_a_node_that_answers_nothing_where_it_has_pruned_is_no_liar(tmp_path: Path) -> None:
    history = History(10)
    history.grow(150)
    nodes = Nodes(history.chain)
    held = 100

    def silent(method: str, _params: list[Any], result: Any) -> Any:
        if method == "eth_getLogs":
            return [log for log in result if int(log["blockNumber"], 16) > held]
        if method == "eth_getBlockReceipts" and result and int(result[0]["blockNumber"], 16) <= held:
            return None
        return result

    nodes.lies["A"] = silent
    result = await built(tmp_path / "i.db", history, nodes, NEVER)
    assert not result.stuck
    assert not result.deviations
    assert digest_in(tmp_path / "i.db") == right_digest(history.chain, history.target.finalized)


async def test_a_node_that_is_behind_and_says_nothing_leaves_nothing_uncorroborated(tmp_path: Path) -> None:
    history = History(10)
    history.grow(100)
    nodes = Nodes(history.chain)
    known = 40

    def behind(method: str, _params: list[Any], result: Any) -> Any:
        if method == "eth_getLogs":
            return [log for log in result if int(log["blockNumber"], 16) <= known]
        if method == "eth_getBlockByHash" and int(result["number"], 16) > known:
            return None
        if method == "eth_getBlockReceipts" and result and int(result[0]["blockNumber"], 16) > known:
            return None
        return result

    nodes.lies["A"] = behind
    terms = Terms(span=Span(size=10, most=10), audit_one_in=0)
    async with opened(tmp_path / "i.db", history, nodes, terms) as indexer:
        result = await indexer.advance(history.target)
        assert not result.deviations
        assert "it shows neither logs nor receipts" in result.stuck
        assert 30 <= result.through.number <= known + 10
        assert indexer.progress().grade is Grade.QUORUM


async def test_the_only_group_is_believed_and_the_index_says_so(tmp_path: Path) -> None:
    history = History(21)
    history.grow(60)
    nodes = Nodes(history.chain, "A")
    async with opened(tmp_path / "i.db", history, nodes) as indexer:
        assert (await indexer.advance(history.target)).is_done
        assert indexer.progress().grade is Grade.UNCORROBORATED
    assert digest_in(tmp_path / "i.db") == right_digest(history.chain, history.target.finalized)


async def test_headers_that_nobody_can_verify_are_what_a_quorum_shows(tmp_path: Path) -> None:
    history = History(22)
    history.grow(60)
    nodes = Nodes(history.chain, "A B C")

    def foreign(method: str, _params: list[Any], result: Any) -> Any:
        """Leave out what the hash is made of, as chains with other headers do; C shows another root besides."""
        return {**result, "nonce": None} if method.startswith("eth_getBlockBy") and result else result

    def lying(method: str, params: list[Any], result: Any) -> Any:
        told = foreign(method, params, result)
        if method.startswith("eth_getBlockBy") and told:
            return {**told, "receiptsRoot": "0x" + "ab" * 32, "logsBloom": "0x" + "00" * 256}
        return leaves_out_one(told) or told if method == "eth_getLogs" else told

    nodes.lies = {"A": foreign, "B": foreign, "C": lying}
    result = await built(tmp_path / "i.db", history, nodes, Terms(span=Span(size=8, most=8)))
    assert result.is_done
    assert {found.node for found in result.deviations} == {"C"}
    assert digest_in(tmp_path / "i.db") == right_digest(history.chain, history.target.finalized)


async def test_a_long_back_fill_returns_between_steps_and_says_how_far_it_is(tmp_path: Path) -> None:
    history = History(24)
    history.grow(100)
    nodes = Nodes(history.chain)
    terms = Terms(span=Span(size=5, most=5))
    async with opened(tmp_path / "i.db", history, nodes, terms) as indexer:
        seen: list[Progress] = []

        def tell(progress: Progress) -> None:
            history.clock.advance(s=2)
            seen.append(progress)

        result = await indexer.advance(history.target, most_steps=4, on_step=tell)
        assert (result.is_done, result.stuck, result.through.number) == (False, "", 19)
        last = history.target.finalized.number
        progress = indexer.progress()
        assert progress.blocks_per_s == 2.5
        assert progress.eta_s == (last - 19) / 2.5
        assert progress.words().startswith(f"block 19 of {last}, {progress.logs} logs, quorum; 2 blocks/s, ")
        assert progress.words().endswith("26 s left")
        assert [one.through.number for one in seen] == [4, 9, 14, 19]
        assert (await indexer.advance(history.target)).is_done
    assert digest_in(tmp_path / "i.db") == right_digest(history.chain, history.target.finalized)


async def test_one_that_shows_the_receipts_and_no_logs_is_a_liar(tmp_path: Path) -> None:
    history = History(11)
    history.grow(60)
    nodes = Nodes(history.chain)
    nodes.lies["A"] = of_logs(lambda _: [])
    result = await built(tmp_path / "i.db", history, nodes, Terms(span=Span(size=8, most=8), audit_one_in=0))
    assert {found.node for found in result.deviations} == {"A"}
    assert digest_in(tmp_path / "i.db") == right_digest(history.chain, history.target.finalized)


async def test_a_passing_error_is_no_lie(tmp_path: Path) -> None:
    history = History(12)
    history.grow(60)
    nodes = Nodes(history.chain)
    wrong = iter([True])

    def once(result: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        return result[:-1] if len(result) > 1 and next(wrong, False) else None

    nodes.lies["B"] = of_logs(once)
    result = await built(tmp_path / "i.db", history, nodes, NEVER)
    assert next(wrong, None) is None
    assert not result.deviations
    assert not result.stuck
    assert digest_in(tmp_path / "i.db") == right_digest(history.chain, history.target.finalized)


async def test_two_that_leave_out_the_same_are_found_by_an_audit_and_the_index_is_built_anew_by_receipts(
    tmp_path: Path,
) -> None:
    history = History(13)
    history.grow(80)
    nodes = Nodes(history.chain)
    nodes.lies = {name: of_logs(leaves_out_one) for name in nodes.nodes}
    result = await built(tmp_path / "i.db", history, nodes, Terms(span=Span(size=4, most=4), audit_one_in=6))
    assert "receipts say otherwise" in result.restarted
    assert not result.stuck
    assert {found.node for found in result.deviations} == {"A", "B"}
    assert all(recheck(found.evidence) == found.difference for found in result.deviations)
    assert digest_in(tmp_path / "i.db") == right_digest(history.chain, history.target.finalized)


async def test_two_that_were_caught_together_are_not_trusted_again_after_a_while(tmp_path: Path) -> None:
    history = History(13)
    history.grow(60)
    nodes = Nodes(history.chain)
    nodes.lies = {name: of_logs(leaves_out_one) for name in nodes.nodes}
    async with opened(tmp_path / "i.db", history, nodes, Terms(span=Span(size=4, most=4), audit_one_in=2)) as indexer:
        assert (await indexer.advance(history.target)).restarted
        history.clock.advance(s=7200)
        history.grow(40)
        result = await indexer.advance(history.target)
        assert result.is_done
        assert not result.restarted
    assert digest_in(tmp_path / "i.db") == right_digest(history.chain, history.target.finalized)


async def test_where_a_third_group_is_there_two_that_were_caught_are_asked_no_more(tmp_path: Path) -> None:
    history = History(13)
    history.grow(80)
    nodes = Nodes(history.chain, "A B C D")
    nodes.lies = {name: of_logs(leaves_out_one) for name in "AB"}
    result = await built(tmp_path / "i.db", history, nodes, Terms(span=Span(size=4, most=4), audit_one_in=2))
    assert not result.stuck
    assert {found.node for found in result.deviations} <= {"A", "B"}
    assert digest_in(tmp_path / "i.db") == right_digest(history.chain, history.target.finalized)


async def test_a_fresh_block_that_nodes_have_before_its_logs_is_read_from_its_receipts(tmp_path: Path) -> None:
    history = History(0, busy=0.0)
    nodes = Nodes(history.chain, "A B C")
    history.grow(FINAL_AFTER + 4)
    history.put(transfer(1, 2))

    def not_yet(method: str, _params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockReceipts":
            raise Failure(-32000, "indexing is in progress")
        return [] if method == "eth_getLogs" else result

    nodes.lies = {"A": not_yet, "B": not_yet, "C": errors(-32005, "rate limit exceeded")}
    async with opened(tmp_path / "i.db", history, nodes) as indexer:
        result = await indexer.advance(history.target)
        assert not result.deviations
        assert not result.stuck
        assert set(indexer.tail[-1].tally.touched) == {(0, user(1)), (1, user(2))}
        assert indexer.tail[-1].grade is Grade.PROVEN


async def test_what_one_of_two_groups_says_is_not_taken_while_the_other_is_away(tmp_path: Path) -> None:
    history = History(14)
    history.grow(60)
    nodes = Nodes(history.chain)
    nodes.lies["B"] = errors(0, "")
    async with opened(tmp_path / "i.db", history, nodes) as indexer:
        result = await indexer.advance(history.target)
        assert "1 of 2 groups" in result.stuck
        assert "connection reset" in result.stuck
        assert result.through.number == -1
        assert indexer.progress().stuck == result.stuck
        del nodes.lies["B"]
        assert not (await indexer.advance(history.target)).stuck
    assert digest_in(tmp_path / "i.db") == right_digest(history.chain, history.target.finalized)


async def test_where_nobody_shows_receipts_a_quorum_decides_and_two_that_differ_decide_nothing(tmp_path: Path) -> None:
    history = History(15)
    history.grow(60)
    for names, decided in (("A B C", True), ("A B", False)):
        nodes = Nodes(history.chain, names)
        nodes.lies["B"] = of_logs(leaves_out_one)
        for node in nodes.nodes.values():
            node.data.missing.add("eth_getBlockReceipts")
        path = tmp_path / f"{len(names)}.db"
        result = await built(path, history, nodes, NEVER)
        assert not result.deviations
        if decided:
            assert not result.stuck
            assert digest_in(path) == right_digest(history.chain, history.target.finalized)
        else:
            assert "contradict each other" in result.stuck


async def test_of_two_groups_on_two_chains_neither_is_believed_nor_accused(tmp_path: Path) -> None:
    history = History(25)
    history.grow(60)
    history.chain.fork("other", depth=40)
    nodes = Nodes(history.chain)
    nodes.nodes["B"].view.branch = "other"
    result = await built(tmp_path / "i.db", history, nodes, NEVER)
    assert "contradict each other" in result.stuck
    assert not result.deviations
    assert not result.is_done


async def test_a_block_whose_bloom_rules_logs_out_is_asked_of_nobody(tmp_path: Path) -> None:
    history = History(0, busy=0.0)
    nodes = Nodes(history.chain)
    history.grow(FINAL_AFTER + 4)
    async with opened(tmp_path / "i.db", history, nodes) as indexer:
        await indexer.advance(history.target)
        nodes.asked.clear()
        history.grow(1)
        await indexer.advance(history.target)
        assert not nodes.questions("logs:")
        assert indexer.tail[-1].grade is Grade.PROVEN


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda logs: [*logs, logs[-1]], "a duplicate"),
        (lambda logs: logs[::-1], "out of order"),
        (lambda logs: [{**logs[0], "removed": True}, *logs[1:]], "marked as removed"),
        (lambda logs: [*logs, {**logs[-1], "blockNumber": "0xffff"}], "outside of the range"),
        (lambda logs: [*logs, {**logs[-1], "logIndex": "0x99", "blockHash": "0x" + "ab" * 32}], "wrong block hash"),
    ],
)
async def test_answers_that_no_node_may_give_are_refused_with_the_reason(tmp_path: Path, change: Any, why: str) -> None:
    history = History(16)
    history.grow(80)
    nodes = Nodes(history.chain, "A B C")
    nodes.lies["A"] = of_logs(lambda logs: change(logs) if len(logs) > 1 else None)
    result = await built(tmp_path / "i.db", history, nodes, Terms(span=Span(size=8, most=8)))
    assert not result.stuck
    assert {node for node, _ in result.refusals} == {"A"}
    assert any(why in reason for _, reason in result.refusals)
    assert digest_in(tmp_path / "i.db") == right_digest(history.chain, history.target.finalized)


# -- restarts


class Died(BaseException):
    pass


async def test_an_index_that_is_broken_off_at_any_question_goes_on_to_the_same(tmp_path: Path) -> None:
    history = History(17)
    history.grow(40)
    nodes = Nodes(history.chain)
    terms = Terms(span=Span(size=8, most=16), audit_one_in=5)
    await built(tmp_path / "whole.db", history, nodes, terms)
    questions = len(nodes.asked)
    right = right_digest(history.chain, history.target.finalized)
    assert digest_in(tmp_path / "whole.db") == right
    path = tmp_path / "i.db"
    for last in range(0, questions, 4):
        path.unlink(missing_ok=True)
        await _broken_off(path, history, nodes, terms, last)
        await built(path, history, nodes, terms)
        assert digest_in(path) == right, last


async def _broken_off(path: Path, history: History, nodes: Nodes, terms: Terms, last: int) -> None:
    ask, left = nodes.ask, last

    async def dying(node: str, call: str) -> tuple[Part, ...] | Fault:
        nonlocal left
        left -= 1
        if left < 0:
            raise asyncio.CancelledError
        return await ask(node, call)

    nodes.ask = dying  # type: ignore[method-assign]
    try:
        with suppress(asyncio.CancelledError):
            await built(path, history, nodes, terms)
    finally:
        nodes.ask = ask  # type: ignore[method-assign]


async def test_an_index_whose_finalized_block_has_left_the_chain_begins_anew(tmp_path: Path) -> None:
    history, other = History(18), History(19)
    history.grow(60)
    other.grow(90)
    await built(tmp_path / "i.db", history, Nodes(history.chain))
    result = await built(tmp_path / "i.db", other, Nodes(other.chain))
    assert "was finalized as" in result.restarted
    assert result.through == other.target.finalized
    assert digest_in(tmp_path / "i.db") == right_digest(other.chain, other.target.finalized)


async def test_an_index_begins_anew_when_the_chain_is_replaced_below_the_finalized_block_while_it_runs(
    tmp_path: Path,
) -> None:
    history, other = History(18), History(19)
    history.grow(60)
    other.grow(90)
    nodes, replaced = Nodes(history.chain), Nodes(other.chain)
    async with opened(tmp_path / "i.db", history, nodes) as indexer:
        assert (await indexer.advance(history.target)).is_done
        nodes.nodes = replaced.nodes
        result = await indexer.advance(other.target)
        assert "was finalized as" in result.restarted
        assert result.is_done
    assert digest_in(tmp_path / "i.db") == right_digest(other.chain, other.target.finalized)


async def test_an_index_that_goes_further_than_the_chain_says_so_and_is_not_done(tmp_path: Path) -> None:
    history, other = History(18), History(19)
    history.grow(90)
    other.grow(20)
    await built(tmp_path / "i.db", history, Nodes(history.chain))
    result = await built(tmp_path / "i.db", other, Nodes(other.chain))
    assert not result.is_done
    assert f"the head is block {other.target.head.number}" in result.stuck
    assert "of another chain" in result.stuck
    assert result.through == history.target.finalized


async def test_a_back_fill_that_was_broken_off_above_the_head_of_another_chain_is_not_done(tmp_path: Path) -> None:
    history, other = History(18), History(19)
    history.grow(300)
    other.grow(20)
    terms = Terms(span=Span(size=50, most=50))
    async with opened(tmp_path / "i.db", history, Nodes(history.chain), terms) as indexer:
        broken_off = await indexer.advance(history.target, most_steps=1)
    assert (broken_off.through.number, broken_off.through.hash) == (49, "")
    result = await built(tmp_path / "i.db", other, Nodes(other.chain))
    assert not result.is_done
    assert "the index goes to block 49" in result.stuck


@pytest.mark.parametrize("names", ["A B", "A B C", "A B C D E"])
async def test_following_costs_what_the_estimate_says_and_one_header_a_block(tmp_path: Path, names: str) -> None:
    """Within a twentieth: most of it is asked of every node, what a quorum is asked for is drawn by lot."""
    history = History(31, busy=1.0)
    history.grow(FINAL_AFTER + 4)
    nodes = Nodes(history.chain, names)
    blocks = 60
    async with opened(tmp_path / "i.db", history, nodes) as indexer:
        await indexer.advance(history.target)
        await indexer.patrol()
        nodes.asked.clear()
        for _ in range(blocks):
            history.grow()
            assert (await indexer.advance(history.target)).is_done
            await indexer.patrol()
    [chain] = settings_for(tuple(names.split())).chains
    chain = replace(chain, indexes=(IndexSettings(name="i", start=0, events=()),))
    a_day = 86_400 * NS // chain.block_time_ns
    assert not nodes.questions("run:")
    assert len(nodes.questions("hash:")) == blocks
    asked = sum(len(requests(call)) for _, call in nodes.asked)
    estimate = sum(index_units_per_day(chain, node, {}) for node in chain.nodes) * blocks / a_day
    assert asked <= estimate * 1.05
    assert asked >= estimate * 0.75, "not every block holds logs that are asked for"


async def test_a_reorg_costs_few_questions_for_headers_and_none_twice(tmp_path: Path) -> None:
    history = History(32)
    history.grow(3 * FINAL_AFTER)
    nodes = Nodes(history.chain)
    async with opened(tmp_path / "i.db", history, nodes) as indexer:
        await indexer.advance(history.target)
        history.lose(FINAL_AFTER - 4)
        history.grow(FINAL_AFTER - 3)
        nodes.asked.clear()
        assert (await indexer.advance(history.target)).is_done
        assert len(nodes.questions("run:") + nodes.questions("hash:")) <= 6
    assert digest_in(tmp_path / "i.db") == right_digest(history.chain, history.target.finalized)


async def test_rules_that_start_later_know_nothing_of_what_was_before(tmp_path: Path) -> None:
    history = History(20)
    history.grow(60)
    rules = RuleSet(rules=RULES.rules, start=history.target.finalized.number + 4)
    nodes = Nodes(history.chain)
    async with opened(tmp_path / "i.db", history, nodes, rules=rules) as indexer:
        result = await indexer.advance(history.target)
        assert not result.stuck + result.restarted
        assert indexer.tail[0].block.number == rules.start
        history.grow(30)
        result = await indexer.advance(history.target)
        assert not result.stuck + result.restarted
        assert result.through == history.target.finalized


def test_evidence_that_was_tampered_with_proves_nothing() -> None:
    history = History(0)
    block = history.put(transfer(1, 2), transfer(3, 4))
    node = Nodes(history.chain).nodes["A"]
    header = orjson.dumps(node.call("eth_getBlockByNumber", [hex(block.number), False]))
    receipts = orjson.dumps(node.call("eth_getBlockReceipts", [hex(block.number)]))
    evidence = LogEvidence(block=ref(block), wanted=RULES.wanted, told=b"[]", header=header, receipts=receipts)
    found = recheck(evidence)
    assert isinstance(found, Difference)
    assert found.wrong is Wrong.LEFT_OUT
    for broken in (
        replace(evidence, header=header.replace(block.hash.encode(), b"0x" + b"ab" * 32)),
        replace(evidence, header=b"null"),
        replace(evidence, receipts=receipts.replace(user(1).hex().encode(), user(9).hex().encode())),
        replace(evidence, receipts=b"[]"),
        replace(evidence, told=b"{}"),
    ):
        assert isinstance(recheck(broken), Refused)
    logs = orjson.dumps(node.call("eth_getLogs", [{"blockHash": block.hash}]))
    assert recheck(replace(evidence, told=logs)) is None, "the right answer is evidence of nothing"
