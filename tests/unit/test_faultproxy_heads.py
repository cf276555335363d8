"""False views of the chain hold together: whatever way a client asks, the same false story comes back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import pytest_asyncio
from tests.support.anvil import Lockstep

from tocsin.testing import (
    AnswersFrom,
    ChainSpec,
    CorruptHeader,
    Fault,
    Forked,
    HttpUpstream,
    Lie,
    ManualClock,
    NodeUpstream,
    NullResult,
    PhantomHead,
    Regress,
    SimChain,
    SimNode,
    Stale,
    VirtualNode,
    header_hash,
    parse_fault,
)

HISTORY = 100
SAFE, FINALIZED = 32, 64


async def ask(node: VirtualNode, method: str, *params: Any) -> Any:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    answer = orjson.loads((await node.exchange(orjson.dumps(request))).body)
    return answer.get("result", answer.get("error"))


async def block(node: VirtualNode, where: str, *, by: str = "Number", full: bool = False) -> Any:
    return await ask(node, f"eth_getBlockBy{by}", where, full)


async def height(node: VirtualNode, tag: str) -> int:
    return int((await block(node, tag))["number"], 16)


@dataclass
class Pair:
    """A virtual node, and the truth that it stands before."""

    node: VirtualNode
    truth: SimNode
    chain: SimChain
    clock: ManualClock

    def grow(self, slots: int) -> None:
        self.clock.advance(s=12 * slots)

    def true_block(self, where: str) -> Any:
        return self.truth.call("eth_getBlockByNumber", [where, False])


@pytest.fixture
def pair() -> Pair:
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(history=HISTORY, transactions=3))
    truth = SimNode(chain)
    return Pair(VirtualNode("n", NodeUpstream(truth)), truth, chain, clock)


async def assert_one_story(node: VirtualNode, *, pending: bool = True) -> int:
    """Every way to ask for the head gives the same block, it links down, and nothing is above it. Return its height."""
    latest = await block(node, "latest")
    top = int(latest["number"], 16)
    assert await ask(node, "eth_blockNumber") == latest["number"]
    if pending:
        assert await block(node, "pending") == latest
    assert await block(node, latest["number"]) == latest
    assert await block(node, latest["hash"], by="Hash") == latest
    assert await block(node, hex(top + 1)) is None
    assert header_hash(latest) == latest["hash"]
    assert await height(node, "finalized") <= await height(node, "safe") <= top
    return top


async def assert_linked(node: VirtualNode, top: int, down_to: int) -> None:
    for number in range(top, down_to, -1):
        child, parent = await block(node, hex(number)), await block(node, hex(number - 1))
        assert child["parentHash"] == parent["hash"]
        assert header_hash(child) == child["hash"]
        assert await block(node, child["parentHash"], by="Hash") == parent


async def test_a_healthy_node_tells_one_story(pair: Pair) -> None:
    assert await assert_one_story(pair.node) == HISTORY


@pytest.mark.parametrize("behind", [0, 7])
async def test_a_stale_node_stands_still_in_every_call(pair: Pair, behind: int) -> None:
    await pair.node.set(Stale(behind=behind))
    for _ in range(3):
        top = HISTORY - behind
        assert await assert_one_story(pair.node) == top
        assert await height(pair.node, "safe") == top - SAFE
        assert await height(pair.node, "finalized") == top - FINALIZED
        unseen = pair.truth.view.head().hash
        assert (await block(pair.node, unseen, by="Hash") is None) == (pair.truth.view.head().number > top)
        await assert_linked(pair.node, top, top - 3)
        pair.grow(5)


async def test_a_regressed_node_goes_back_and_then_grows(pair: Pair) -> None:
    await pair.node.set(Regress(blocks=6))
    for grown in (0, 4, 8):
        assert await assert_one_story(pair.node) == HISTORY + grown - 6
        assert await height(pair.node, "finalized") == HISTORY + grown - 6 - FINALIZED
        pair.grow(4)


async def test_a_stale_node_does_not_know_state_that_it_cannot_have(pair: Pair) -> None:
    asked: list[Any] = []
    pair.truth._methods["eth_call"] = lambda params: asked.append(params) or "0x"  # type: ignore[func-returns-value]
    await pair.node.set(Stale())
    pair.grow(5)
    later = pair.truth.view.head()
    for beyond in (hex(later.number), {"blockNumber": hex(later.number)}, {"blockHash": later.hash}):
        assert (await ask(pair.node, "eth_call", {}, beyond))["message"] == "header not found"
    assert asked == []
    for now in ([], ["latest"], ["pending"]):
        assert await ask(pair.node, "eth_call", {}, *now) == "0x"
    assert asked == [[{}, hex(HISTORY)]] * 3


async def test_logs_end_at_a_stale_head(pair: Pair) -> None:
    asked: list[Any] = []
    pair.truth._methods["eth_getLogs"] = lambda params: asked.append(params) or []  # type: ignore[func-returns-value]
    await pair.node.set(Stale())
    pair.grow(5)
    await ask(pair.node, "eth_getLogs", {"fromBlock": "0x1", "toBlock": "latest"})
    await ask(pair.node, "eth_getLogs", {"fromBlock": "0x1", "toBlock": hex(HISTORY + 5)})
    await ask(pair.node, "eth_getLogs", {"address": "0x1"})
    top = hex(HISTORY)
    assert [call[0].get("toBlock") for call in asked] == [top, top, top]
    assert asked[2][0]["fromBlock"] == top


async def test_a_corrupt_header_keeps_its_hash_but_not_its_contents(pair: Pair) -> None:
    for field in ("stateRoot", "gasUsed", "timestamp", "number"):
        await pair.node.set(CorruptHeader(header_field=field))
        for where, by in (("latest", "Number"), ("0x5", "Number"), (pair.chain.head().hash, "Hash")):
            shown, true = await block(pair.node, where, by=by), pair.truth.call(f"eth_getBlockBy{by}", [where, False])
            assert shown["hash"] == true["hash"] != header_hash(shown)
            assert {name for name in true if shown[name] != true[name]} == {field}
            assert len(shown[field]) == len(true[field])


async def test_a_phantom_head_is_sound_far_ahead_and_without_a_parent(pair: Pair) -> None:
    await pair.node.set(PhantomHead(ahead=500))
    top = await assert_one_story(pair.node)
    assert top == HISTORY + 500
    phantom = await block(pair.node, "latest")
    assert await block(pair.node, phantom["parentHash"], by="Hash") is None
    assert await block(pair.node, hex(top - 1)) is None
    assert await block(pair.node, hex(HISTORY)) == pair.true_block("latest")
    assert await block(pair.node, "latest") == phantom
    pair.grow(1)
    assert await assert_one_story(pair.node) == top + 1
    assert await block(pair.node, phantom["hash"], by="Hash") == phantom


@pytest.mark.parametrize("depth", [0, 1, 5])
async def test_a_forked_node_has_a_linked_branch_of_equal_height(pair: Pair, depth: int) -> None:
    await pair.node.set(Forked(depth=depth))
    for grown in (0, 1, 4):
        top = await assert_one_story(pair.node)
        assert top == pair.chain.head().number
        await assert_linked(pair.node, top, HISTORY - depth - 1)
        common = pair.true_block(hex(HISTORY - depth))
        assert await block(pair.node, common["number"]) == common
        for number in range(HISTORY - depth + 1, top + 1):
            true = pair.true_block(hex(number))
            assert (await block(pair.node, hex(number)))["hash"] != true["hash"]
            assert await block(pair.node, true["hash"], by="Hash") is None
        pair.grow(grown)


async def test_full_bodies_of_a_forked_block_name_the_forked_block(pair: Pair) -> None:
    await pair.node.set(Forked(depth=2))
    shown = await block(pair.node, "latest", full=True)
    assert {entry["blockHash"] for entry in shown["transactions"]} == {shown["hash"]}


async def test_a_lie_is_told_by_a_function_of_result_and_request(pair: Pair) -> None:
    await pair.node.set(Lie(lambda truth, call: hex(int(truth, 16) + 1) if call["method"] == "eth_chainId" else truth))
    assert await ask(pair.node, "eth_chainId") == hex(1338)
    assert await block(pair.node, "latest") == pair.true_block("latest")
    await pair.node.set(parse_fault('lie:net_peerCount="0x0"'))
    assert await ask(pair.node, "net_peerCount") == "0x0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wrong-ids", [1_000_000, 1_000_001, 1_000_002]),
        ("duplicate-ids", [4, 4, 4]),
        ("string-ids", ["4", "5", "6"]),
        ("out-of-order", [5, 6, 4]),
        ("missing-answer", [4, 5]),
    ],
)
async def test_ids_go_wrong_in_the_way_that_was_asked_for(pair: Pair, text: str, expected: list[Any]) -> None:
    await pair.node.set(parse_fault(text))
    calls = [{"jsonrpc": "2.0", "id": at, "method": "eth_chainId", "params": []} for at in (4, 5, 6)]
    answers = orjson.loads((await pair.node.exchange(orjson.dumps(calls))).body)
    assert [answer["id"] for answer in answers] == expected
    assert {answer["result"] for answer in answers} == {hex(1337)}


@pytest.mark.parametrize(
    ("text", "method", "expected"),
    [
        ("wrong-chain", "eth_chainId", "0x38"),
        ("wrong-chain:10", "net_version", "10"),
        ("syncing:50", "eth_syncing", {"startingBlock": "0x0", "currentBlock": "0x64", "highestBlock": "0x96"}),
        ("null:eth_chainId", "eth_chainId", None),
        ("error:geth/not-found", "eth_chainId", {"code": -32000, "message": "header not found"}),
        ("error:reth/pruned", "eth_chainId", {"code": 4444, "message": "pruned history unavailable"}),
        ("error:besu/syncing", "eth_chainId", {"code": -32008, "message": "Initial sync is still in progress"}),
        ("error:geth/method-missing/net_version", "eth_chainId", "0x539"),
        ("pruned:geth", "eth_chainId", "0x539"),
    ],
)
async def test_results_go_wrong_in_the_way_that_was_asked_for(
    pair: Pair, text: str, method: str, expected: Any
) -> None:
    await pair.node.set(parse_fault(text))
    assert await ask(pair.node, method) == expected


async def test_pruned_state_fails_in_the_words_of_geth(pair: Pair) -> None:
    await pair.node.set(parse_fault("pruned:geth"))
    assert "missing trie node" in (await ask(pair.node, "eth_getBalance", "0x0", "latest"))["message"]


async def test_faults_add_up(pair: Pair) -> None:
    await pair.node.set(Stale())
    await pair.node.add(NullResult(methods=frozenset({"eth_chainId"})))
    pair.grow(3)
    assert await assert_one_story(pair.node) == HISTORY
    assert await ask(pair.node, "eth_chainId") is None
    await pair.node.clear("null")
    assert await ask(pair.node, "eth_chainId") == "0x539"
    assert [fault.name for fault in pair.node.faults] == ["stale"]


async def test_calls_in_a_batch_see_the_same_false_view(pair: Pair) -> None:
    await pair.node.set(Stale(behind=3))
    calls = [
        {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []},
        {"jsonrpc": "2.0", "id": 2, "method": "eth_getBlockByNumber", "params": [hex(HISTORY), False]},
        {"jsonrpc": "2.0", "id": 3, "method": "eth_getBlockByNumber", "params": ["latest", False]},
    ]
    answers = orjson.loads((await pair.node.exchange(orjson.dumps(calls))).body)
    assert [answer["id"] for answer in answers] == [1, 2, 3]
    assert (answers[0]["result"], answers[1]["result"]) == (hex(HISTORY - 3), None)
    assert answers[2]["result"]["number"] == hex(HISTORY - 3)


# -- the same before a real node


@pytest_asyncio.fixture
async def lockstep_node(lockstep: Lockstep) -> AsyncIterator[tuple[VirtualNode, Lockstep]]:
    await lockstep.mine(10)
    upstream = HttpUpstream(lockstep.left.url)
    yield VirtualNode("n", upstream), lockstep
    await upstream.close()


async def test_lockstep_anvils_stay_together_diverge_and_rejoin(lockstep: Lockstep) -> None:
    await lockstep.mine(20)
    assert await lockstep.together()
    await lockstep.diverge(3)
    left, right = await lockstep.left.block(), await lockstep.right.block()
    assert left["number"] == right["number"] == "0x17"
    assert left["hash"] != right["hash"]
    assert (await lockstep.left.block("0x14"))["hash"] == (await lockstep.right.block("0x14"))["hash"]
    await lockstep.mine(2)
    assert not await lockstep.together()
    await lockstep.rejoin()
    await lockstep.mine(1)
    assert await lockstep.together()


@pytest.mark.parametrize("fault", [Stale(behind=2), Regress(blocks=3), Forked(depth=3)], ids=str)
async def test_false_views_of_a_real_node_tell_one_story(
    lockstep_node: tuple[VirtualNode, Lockstep], fault: Fault
) -> None:
    node, lockstep = lockstep_node
    await node.set(fault)
    for _ in range(2):
        top = await assert_one_story(node)
        await assert_linked(node, top, top - 5)
        await lockstep.mine(2)


async def test_a_phantom_before_a_real_node_hashes_to_its_hash(lockstep_node: tuple[VirtualNode, Lockstep]) -> None:
    node, _ = lockstep_node
    await node.set(PhantomHead())
    assert await assert_one_story(node) == 1010


async def test_state_is_read_at_a_forked_hash_and_not_beyond_a_stale_head(
    lockstep_node: tuple[VirtualNode, Lockstep],
) -> None:
    node, lockstep = lockstep_node
    rich = (await lockstep.left.call("eth_accounts"))[0]
    await node.set(Forked(depth=2))
    forked = await block(node, "latest")
    assert int(await ask(node, "eth_getBalance", rich, {"blockHash": forked["hash"]}), 16) > 0
    await node.set(Stale())
    await lockstep.mine(2)
    later = await lockstep.left.block()
    for beyond in (later["number"], {"blockHash": later["hash"]}):
        assert (await ask(node, "eth_getBalance", rich, beyond))["message"] == "header not found"
    assert int(await ask(node, "eth_getBalance", rich, "latest"), 16) > 0


async def test_answers_from_a_diverged_node_are_all_of_its_branch(
    lockstep_node: tuple[VirtualNode, Lockstep],
) -> None:
    node, lockstep = lockstep_node
    await lockstep.diverge(2)
    await node.set(AnswersFrom(HttpUpstream(lockstep.right.url)))
    assert await assert_one_story(node, pending=False) == 12
    assert (await block(node, "latest"))["hash"] == (await lockstep.right.block())["hash"]
    await node.clear()
    assert (await block(node, "latest"))["hash"] == (await lockstep.left.block())["hash"]
