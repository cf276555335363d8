"""Two lockstep anvils behind fault proxies, and the index of a real token: who lies about one log, or one receipt.

A block, and the time of a poll: after that the liar is named, by evidence that proves it, and nobody else ever is.
"""

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from tests.support.anvil import Lockstep, running_lockstep
from tests.support.artifacts import OPENZEPPELIN, Deployer, call_data, code_of
from tests.support.chains import pool
from tests.support.rpcserver import endpoint, engine_clock

from tocsin.chain.loganswer import Refused
from tocsin.chain.logevidence import ReceiptEvidence, recheck_receipts
from tocsin.chain.logproof import recheck
from tocsin.chain.logrules import EventRule, RuleSet, Topic
from tocsin.clock import SystemClock
from tocsin.config.index import topic
from tocsin.model.block import BlockRef
from tocsin.model.contract import Charge
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session
from tocsin.state.indexer import Indexer, Target, Terms
from tocsin.state.indexfile import IndexFile
from tocsin.state.inquiry import Deviation
from tocsin.state.source import Sessions
from tocsin.testing import FaultProxy, ManualClock
from tocsin.testing.faults import Lie

in_one_session = pytest.mark.asyncio(loop_scope="module")

NAMES: Final = "A B C D"
POLL_S: Final = 4
TRANSFER: Final = bytes.fromhex(topic("Transfer(address,address,uint256)")[2:])
USERS: Final = [f"0x{number:040x}" for number in range(0xB0B, 0xB0B + 8)]


class Rig:
    """The token, its index, and the nodes behind their proxies."""

    def __init__(self, pair: Lockstep, proxy: FaultProxy, token: str, source: Sessions, folder: Path) -> None:
        self.pair = pair
        self.proxy = proxy
        self.token = token
        self.clock = ManualClock()
        rules = RuleSet(
            rules=(
                EventRule(name="from", addresses=(bytes.fromhex(token[2:]),), topic0=TRANSFER, account=Topic(1)),
                EventRule(name="to", addresses=(bytes.fromhex(token[2:]),), topic0=TRANSFER, account=Topic(2)),
            )
        )
        terms = Terms(audit_one_in=0, patience_ns=POLL_S * 10**9)
        self.file = IndexFile(folder / "i.db", rules, salt=b"salt")
        self.indexer = Indexer(self.file, pool(NAMES), source, clock=self.clock, terms=terms)
        self.deployer = Deployer(pair)
        self.named: list[Deviation] = []
        self.final = 0

    async def block(self, number: int | None = None) -> BlockRef:
        shown = await self.pair.left.block("latest" if number is None else hex(number))
        return BlockRef(number=int(shown["number"], 16), hash=shown["hash"])

    async def mint(self, *users: str) -> None:
        """Make a block with a transfer to each of them."""
        [sender, *_] = await self.pair.left.call("eth_accounts")
        for user in users:
            data = f"0x{call_data('mint(address,uint256)', user, 5).hex()}"
            asked = {"from": sender, "to": self.token, "data": data, "gas": "0x30d40"}
            await self.pair.call("eth_sendTransaction", asked)
        await self.pair.mine()

    async def look(self) -> None:
        """What the daemon does at a new head, and a poll later."""
        target = Target(finalized=await self.block(self.final), head=await self.block())
        result = await self.indexer.advance(target)
        assert result.is_done, result.stuck
        await self.indexer.patrol()
        self.clock.advance(s=POLL_S)
        on_chain = {(await self.block(number)) for number in range(self.final, target.head.number + 1)}
        self.named += [*result.deviations, *await self.indexer.confirm(on_chain.__contains__)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory, anvil_binary: str) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        pair = await stack.enter_async_context(running_lockstep(anvil_binary))
        code = code_of(OPENZEPPELIN, "ERC20PresetMinterPauser")
        token = await Deployer(pair).deploy(code, ("string", "string"), "Token", "TKN")
        urls = {name: (pair.left, pair.right)[at % 2].url for at, name in enumerate(NAMES.split())}
        proxy = await stack.enter_async_context(FaultProxy(urls, seed=1))
        resolver = Resolver(SystemClock())
        stack.push_async_callback(resolver.close)
        sessions = {name: Session(endpoint(proxy.url(name)), clock=engine_clock(), resolver=resolver) for name in urls}
        for session in sessions.values():
            stack.push_async_callback(session.close)
        running = Rig(pair, proxy, token, Sessions("test", sessions), tmp_path_factory.mktemp("liars"))
        stack.push_async_callback(running.indexer.close)
        await running.look()
        yield running


Change = Callable[[list[dict[str, Any]]], Any]


def _with(at: int, **fields: Any) -> Change:
    def change(entries: list[dict[str, Any]]) -> Any:
        changed = copy.deepcopy(entries)
        changed[at].update(fields)
        return changed

    return change


def _log_of_a_receipt(change: Change) -> Change:
    def changed(receipts: list[dict[str, Any]]) -> Any:
        told = copy.deepcopy(receipts)
        told[0]["logs"] = change(told[0]["logs"])
        return told

    return changed


WORD: Final = "0x" + "00" * 31 + "07"
LIES: Final[dict[str, tuple[str, Change]]] = {
    "one log left out": ("eth_getLogs", lambda logs: logs[:-1]),
    "all logs left out": ("eth_getLogs", lambda _: []),
    "another amount": ("eth_getLogs", _with(0, data=WORD)),
    "another receiver": ("eth_getLogs", lambda logs: _with(0, topics=[*logs[0]["topics"][:2], WORD])(logs)),
    "an invented log": ("eth_getLogs", lambda logs: [*logs, {**logs[-1], "logIndex": "0x9", "data": WORD}]),
    "another gas in a receipt": ("eth_getBlockReceipts", _with(0, cumulativeGasUsed="0x7")),
    "another status in a receipt": ("eth_getBlockReceipts", _with(1, status="0x0")),
    "a receipt left out": ("eth_getBlockReceipts", lambda receipts: receipts[:-1]),
    "a log left out of a receipt": ("eth_getBlockReceipts", _log_of_a_receipt(lambda _: [])),
    "another amount in a receipt": ("eth_getBlockReceipts", _log_of_a_receipt(_with(0, data=WORD))),
}


@in_one_session
@pytest.mark.parametrize("liar", NAMES.split()[:2])
@pytest.mark.parametrize("lie", LIES)
async def test_who_lies_about_one_log_or_receipt_is_named_within_a_block_and_a_poll(
    rig: Rig, lie: str, liar: str
) -> None:
    method, change = LIES[lie]
    rig.named.clear()
    await rig.proxy.node(liar).set(
        Lie(tell=lambda truth, call: change(truth) if call["method"] == method and truth else truth)
    )
    try:
        await rig.mint(*USERS[:3])
        await rig.look()
    finally:
        await rig.proxy.node(liar).clear()
    assert {one.node for one in rig.named} == {liar}
    charge = Charge.LOGS if method == "eth_getLogs" else Charge.RECEIPTS
    assert {one.charge for one in rig.named} == {charge}
    head = await rig.block()
    for one in rig.named:
        assert one.evidence.block == head
        evidence = one.evidence
        found = recheck_receipts(evidence) if isinstance(evidence, ReceiptEvidence) else recheck(evidence)
        assert found is not None
        assert not isinstance(found, Refused)
    accounts = rig.file.accounts(with_tail=True)
    assert {bytes.fromhex(user[2:]) for user in USERS[:3]} <= accounts.keys()
    assert bytes(19) + b"\x07" not in accounts


@in_one_session
async def test_honest_nodes_are_named_by_nobody_over_blocks_and_reorgs(rig: Rig) -> None:
    rig.named.clear()
    for number in range(30):
        await rig.mint(*USERS[: 1 + number % 5])
        if number % 5 == 4:
            for side in (rig.pair.left, rig.pair.right):
                await side.call("anvil_rollback", 2)
            await rig.mint(USERS[5])
        await rig.look()
    assert not rig.named
    rig.final = (await rig.block()).number - 5
    await rig.look()
    assert rig.file.through == await rig.block(rig.final)
