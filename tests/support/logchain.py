"""Simulated chains whose contracts log, nodes of them that are asked in process, and what a right index of them is."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from tests.support.chains import pool

from tocsin.chain.groups import Groups
from tocsin.chain.logindex import LogIndex, Tally, Touched, digest
from tocsin.chain.logrules import EventRule, RuleSet, Topic, Word
from tocsin.clock import NS
from tocsin.model.block import BlockRef
from tocsin.model.observation import Fault, FaultKind, Part, RpcError
from tocsin.model.reading import requests
from tocsin.state.indexer import Target
from tocsin.testing import ChainSpec, ManualClock, SimChain, SimNode
from tocsin.testing.simblock import SimBlock
from tocsin.testing.simstate import Change, SimLog, World
from tocsin.wire import jsonrpc, quirks

TOKEN, POOL, OTHER = b"\xa1" * 20, b"\xa2" * 20, b"\xa3" * 20
TRANSFER, BORROW, QUIET = b"\xe1" * 32, b"\xe2" * 32, b"\xe3" * 32
FINAL_AFTER = 16
SALT = b"salt"

RULES = RuleSet(
    rules=(
        EventRule(name="sender", addresses=(TOKEN,), topic0=TRANSFER, account=Topic(1)),
        EventRule(name="receiver", addresses=(TOKEN,), topic0=TRANSFER, account=Topic(2)),
        EventRule(name="borrower", addresses=(POOL, OTHER), topic0=BORROW, account=Word(1)),
        EventRule(name="trove", addresses=(POOL,), topic0=BORROW, account=Word(0), whole=True),
    )
)


def word(value: int) -> bytes:
    return value.to_bytes(32)


def user(number: int) -> bytes:
    return b"\xb0" * 16 + number.to_bytes(4)


def transfer(sender: int, receiver: int, amount: int = 1) -> SimLog:
    topics = (TRANSFER, bytes(12) + user(sender), bytes(12) + user(receiver))
    return SimLog(address=TOKEN, topics=topics, data=word(amount))


def borrow(borrower: int, *, trove: int = 7, of: bytes = POOL) -> SimLog:
    return SimLog(address=of, topics=(BORROW,), data=word(trove) + bytes(12) + user(borrower))


NOISE = (
    SimLog(address=TOKEN, topics=(QUIET,), data=b"\x01"),
    SimLog(address=b"\x11" * 20, topics=(TRANSFER,)),
    SimLog(address=POOL, data=b"anonymous"),
)
UNREADABLE = SimLog(address=TOKEN, topics=(TRANSFER, b"\xff" * 32), data=b"")
"""A transfer of something else: no address in topic 1, no topic 2."""


class History:
    """A chain that grows block by block with logs drawn by a seed, and loses blocks."""

    def __init__(self, seed: int = 0, *, users: int = 40, busy: float = 0.6) -> None:
        self.clock = ManualClock()
        spec = ChainSpec(slot_ns=12 * NS, history=0, seed=seed, world=World({}), finalized_after=FINAL_AFTER)
        self.chain = SimChain(self.clock, spec)
        self._rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._users = users
        self._busy = busy
        self._finalized = self.chain.head()

    def grow(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            if self._rng.random() < self._busy:
                self.chain.send(*(Change(logs=tuple(self._logs())) for _ in range(self._rng.randint(1, 3))))
            self.clock.advance(s=12)
            self.chain.grow()

    def put(self, *logs: SimLog) -> SimBlock:
        """Append a block with these logs and no others."""
        self.chain.send(Change(logs=logs))
        self.clock.advance(s=12)
        return self.chain.head()

    def lose(self, depth: int) -> None:
        """Take the newest blocks away, but none that is final."""
        self.chain.rollback(min(depth, self.chain.head().number - self.target.finalized.number))

    def _logs(self) -> Iterator[SimLog]:
        for _ in range(self._rng.randint(1, 3)):
            one, other = self._rng.randrange(self._users), self._rng.randrange(self._users)
            yield self._rng.choice(
                [transfer(one, other), borrow(one, trove=other), borrow(one, of=OTHER), UNREADABLE, *NOISE]
            )

    @property
    def target(self) -> Target:
        """The head, and the finalized block, which never goes back."""
        head = self.chain.head()
        number = self.chain.finalized_number(head)
        if number > self._finalized.number:
            found = self.chain.at(number, head)
            assert found is not None
            self._finalized = found
        return Target(finalized=ref(self._finalized), head=ref(head))


def ref(block: SimBlock) -> BlockRef:
    return BlockRef(number=block.number, hash=block.hash)


# -- what is right, worked out without anything of the index


def right_tally(blocks: Sequence[SimBlock]) -> Tally:
    touched: dict[tuple[int, bytes], Touched] = {}
    unreadable: dict[int, int] = {}
    logs = 0

    def touch(rule: int, account: bytes, number: int) -> None:
        first = touched[rule, account].first if (rule, account) in touched else number
        touched[rule, account] = Touched(first, number)

    for block in blocks:
        for log in (log for change in block.changes for log in change.logs):
            topic = log.topics[0] if log.topics else b""
            is_asked = log.address in (TOKEN, POOL, OTHER) and topic in (TRANSFER, BORROW)
            logs += is_asked
            if (log.address, topic) == (TOKEN, TRANSFER):
                if log == UNREADABLE:
                    unreadable[0] = unreadable.get(0, 0) + 1
                    unreadable[1] = unreadable.get(1, 0) + 1
                else:
                    touch(0, log.topics[1][12:], block.number)
                    touch(1, log.topics[2][12:], block.number)
            elif log.address in (POOL, OTHER) and topic == BORROW:
                touch(2, log.data[44:], block.number)
                if log.address == POOL:
                    touch(3, log.data[:32], block.number)
    return Tally(touched=touched, unreadable=unreadable, logs=logs)


def right_digest(chain: SimChain, through: BlockRef) -> bytes:
    """The digest of the index at a block of the main branch, from the blocks themselves."""
    last = chain.by_hash(through.hash)
    assert last is not None
    blocks: list[SimBlock] = []
    block: SimBlock | None = last
    while block is not None:
        blocks.append(block)
        block = block.parent
    return digest(RULES, LogIndex(through=through, tally=right_tally(blocks[::-1])))


# -- nodes

Lie = Callable[[str, list[Any], Any], Any]
"""What is answered instead, of the method, the parameters and the true result. May raise Failure."""


class Failure(Exception):  # noqa: N818 - reads as the condition
    """Raised by a lie: the node answers with this error, or not at all where there is no text."""

    def __init__(self, code: int = 0, text: str = "") -> None:
        self.code = code
        self.text = text


@dataclass(frozen=True)
class PartError:
    """Returned by a lie: this one call of the request is answered with an error."""

    code: int
    text: str


class Nodes:
    """Nodes A, B, C ... of groups of their own, asked in process through the real codec; `lies` by node."""

    def __init__(self, chain: SimChain, names: str = "A B") -> None:
        self.nodes = {name: SimNode(chain, name=name) for name in names.split()}
        self.groups: Groups = pool(names)
        self.lies: dict[str, Lie] = {}
        self.asked: list[tuple[str, str]] = []

    async def ask(self, node: str, call: str) -> tuple[Part, ...] | Fault:
        self.asked.append((node, call))
        calls = requests(call)
        return self.posted(node, calls, jsonrpc.encode(calls, batch=len(calls) > 1))

    def posted(self, node: str, calls: tuple[str, ...], body: bytes) -> tuple[Part, ...] | Fault:
        answer = self.nodes[node].answer(body)
        if node in self.lies:
            try:
                answer = self._lied(self.lies[node], body, answer)
            except Failure as failure:
                if not failure.text:
                    return Fault(kind=FaultKind.RESET, detail="connection reset")
                error = {"code": failure.code, "message": failure.text}
                answer = orjson.dumps({"jsonrpc": "2.0", "id": 1, "error": error})
        outcome = jsonrpc.read(answer, calls)
        return quirks.fault_of_error(outcome) if isinstance(outcome, RpcError) else outcome

    @staticmethod
    def _lied(lie: Lie, body: bytes, answer: bytes) -> bytes:
        asked, told = orjson.loads(body), orjson.loads(answer)
        pairs = list(zip(asked, told, strict=True)) if isinstance(asked, list) else [(asked, told)]
        for question, entry in pairs:
            if "result" in entry:
                told_instead = lie(question["method"], question["params"], entry["result"])
                if isinstance(told_instead, PartError):
                    del entry["result"]
                    entry["error"] = {"code": told_instead.code, "message": told_instead.text}
                else:
                    entry["result"] = told_instead
        return orjson.dumps(told)

    def questions(self, prefix: str, node: str | None = None) -> list[str]:
        return [call for name, call in self.asked if call.startswith(prefix) and node in (None, name)]


def of_logs(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]] | None]) -> Lie:
    """Return a lie about the result of every `eth_getLogs`; None leaves it."""

    def lie(method: str, _params: list[Any], result: Any) -> Any:
        changed = change(result) if method == "eth_getLogs" else None
        return result if changed is None else changed

    return lie
