"""Faults of JSON-RPC: ids, order, batches, errors, and results that lie."""
# ruff: noqa: ARG002 - every fault's hooks take the same arguments

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import orjson

from tocsin.testing.exchange import Exchange, Manner, Reply
from tocsin.testing.faults.base import Fault, concerns, methods_of, number
from tocsin.testing.faults.shapes import BATCH_REFUSALS, CLIENTS, SHAPES, Shape
from tocsin.testing.jsonrpc import Json, error, result

_SHIFT: Final = 1_000_000
_STATE_METHODS: Final = frozenset(
    {"eth_call", "eth_getBalance", "eth_getCode", "eth_getProof", "eth_getStorageAt", "eth_getTransactionCount"}
)


@dataclass
class WrongIds(Fault):
    """Every answer carries an id that nobody asked with."""

    name: ClassVar[str] = "wrong-ids"

    def rewrite_answers(self, answers: list[Json], exchange: Exchange) -> list[Json]:
        return [{**answer, "id": _SHIFT + at} for at, answer in enumerate(answers)]


@dataclass
class DuplicateIds(Fault):
    """All answers of a batch carry the id of the first; a single answer comes twice, as a list."""

    name: ClassVar[str] = "duplicate-ids"

    def rewrite_answers(self, answers: list[Json], exchange: Exchange) -> list[Json]:
        doubled = answers if exchange.is_batch and len(answers) > 1 else answers * 2
        return [{**answer, "id": doubled[0].get("id")} for answer in doubled]


@dataclass
class StringIds(Fault):
    """Numeric ids come back as text."""

    name: ClassVar[str] = "string-ids"

    def rewrite_answers(self, answers: list[Json], exchange: Exchange) -> list[Json]:
        return [{**answer, "id": str(answer.get("id"))} for answer in answers]


@dataclass
class OutOfOrder(Fault):
    """The answers of a batch come in another order, as they may. Not wrong; a client must take it."""

    name: ClassVar[str] = "out-of-order"

    def rewrite_answers(self, answers: list[Json], exchange: Exchange) -> list[Json]:
        return answers[1:] + answers[:1] if len(answers) > 1 else answers


@dataclass
class MissingAnswer(Fault):
    """The last call of a batch gets no answer."""

    name: ClassVar[str] = "missing-answer"

    def rewrite_answers(self, answers: list[Json], exchange: Exchange) -> list[Json]:
        return answers[:-1] if exchange.is_batch else answers


@dataclass
class BatchRefused(Fault):
    """Batches longer than `limit` are refused in the shape of a client; singles pass."""

    name: ClassVar[str] = "batch-refused"
    usage: ClassVar[str] = "geth|besu|erigon|nethermind|drop[/LIMIT]"

    client: str = "geth"
    limit: int = 1

    def __post_init__(self) -> None:
        if self.client not in {*BATCH_REFUSALS, "drop"}:
            raise ValueError(f"{self.client!r} is none of {', '.join(BATCH_REFUSALS)}, drop")

    @classmethod
    def parse(cls, arg: str) -> Self:
        client, _, limit = arg.partition("/")
        return cls(client=client or "geth", limit=number(limit, 1))

    @property
    def arg(self) -> str:
        return f"{self.client}/{self.limit}"

    async def before(self, exchange: Exchange) -> Reply | None:
        if not exchange.is_batch or len(exchange.calls) <= self.limit:
            return None
        if self.client == "drop":
            return Reply(manner=Manner.CLOSE)
        refusal = BATCH_REFUSALS[self.client]
        first = exchange.calls[0].get("id") if refusal.as_list else None
        answer = error(first, refusal.shape.code, refusal.shape.message)
        return Reply(status=refusal.shape.status, body=orjson.dumps([answer] if refusal.as_list else answer))


@dataclass
class NullResult(Fault):
    """Results are null, of all methods or of those named."""

    name: ClassVar[str] = "null"
    usage: ClassVar[str] = "[METHOD,...]"

    methods: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, arg: str) -> Self:
        return cls(methods=methods_of(arg))

    @property
    def arg(self) -> str:
        return ",".join(sorted(self.methods))

    async def rewrite_answer(self, call: Json, answer: Json, exchange: Exchange) -> Json:
        return result(call.get("id"), None) if concerns(self.methods, call) else answer


@dataclass
class RpcFailure(Fault):
    """Status 200 and an error in the words of a client, for all methods or those named."""

    name: ClassVar[str] = "error"
    usage: ClassVar[str] = "CLIENT/SITUATION[/METHOD,...], such as geth/not-found or besu/limit/eth_call"

    client: str = "geth"
    situation: str = "server"
    methods: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        _shape(self.client, self.situation)

    @classmethod
    def parse(cls, arg: str) -> Self:
        client, _, rest = arg.partition("/")
        situation, _, methods = rest.partition("/")
        return cls(client=client or "geth", situation=situation or "server", methods=methods_of(methods))

    @property
    def arg(self) -> str:
        methods = "/" + ",".join(sorted(self.methods)) if self.methods else ""
        return f"{self.client}/{self.situation}{methods}"

    async def rewrite_answer(self, call: Json, answer: Json, exchange: Exchange) -> Json:
        if not concerns(self.methods, call):
            return answer
        return _shape(self.client, self.situation).answer(call)

    def rewrite_reply(self, reply: Reply, exchange: Exchange) -> Reply:
        struck = any(concerns(self.methods, call) for call in exchange.calls)
        status = _shape(self.client, self.situation).status
        return reply if status == 200 or not struck else _with_status(reply, status)  # noqa: PLR2004 - HTTP's OK


def _with_status(reply: Reply, status: int) -> Reply:
    return Reply(body=reply.body, status=status, headers=reply.headers, manner=reply.manner)


def _shape(client: str, situation: str) -> Shape:
    if client not in CLIENTS:
        raise ValueError(f"{client!r} is none of {', '.join(CLIENTS)}")
    if situation not in SHAPES[client]:
        raise ValueError(f"{client} has no {situation!r}; it has {', '.join(SHAPES[client])}")
    return SHAPES[client][situation]


@dataclass
class Pruned(Fault):
    """State is gone: calls that read it fail in the words of a client, whatever block they name."""

    name: ClassVar[str] = "pruned"
    usage: ClassVar[str] = "geth|nethermind|besu|reth|erigon"

    client: str = "geth"

    def __post_init__(self) -> None:
        _shape(self.client, "pruned")

    @classmethod
    def parse(cls, arg: str) -> Self:
        return cls(client=arg or "geth")

    @property
    def arg(self) -> str:
        return self.client

    async def rewrite_answer(self, call: Json, answer: Json, exchange: Exchange) -> Json:
        return _shape(self.client, "pruned").answer(call) if call["method"] in _STATE_METHODS else answer


@dataclass
class WrongChain(Fault):
    """The node says that it is on another chain; everything else passes."""

    name: ClassVar[str] = "wrong-chain"
    usage: ClassVar[str] = "[CHAIN_ID]"

    chain_id: int = 56

    @classmethod
    def parse(cls, arg: str) -> Self:
        return cls(chain_id=number(arg, 56, least=1))

    @property
    def arg(self) -> str:
        return str(self.chain_id)

    async def rewrite_answer(self, call: Json, answer: Json, exchange: Exchange) -> Json:
        match call["method"]:
            case "eth_chainId":
                return result(call.get("id"), hex(self.chain_id))
            case "net_version":
                return result(call.get("id"), str(self.chain_id))
            case _:
                return answer


@dataclass
class Syncing(Fault):
    """`eth_syncing` gives a progress object: `behind` blocks to go."""

    name: ClassVar[str] = "syncing"
    usage: ClassVar[str] = "[BLOCKS_BEHIND]"

    behind: int = 1000

    @classmethod
    def parse(cls, arg: str) -> Self:
        return cls(behind=number(arg, 1000))

    @property
    def arg(self) -> str:
        return str(self.behind)

    async def rewrite_answer(self, call: Json, answer: Json, exchange: Exchange) -> Json:
        if call["method"] != "eth_syncing":
            return answer
        [height] = await exchange.ask(("eth_blockNumber", []))
        current = int(height, 16) if isinstance(height, str) else 0
        progress = {"startingBlock": "0x0", "currentBlock": hex(current), "highestBlock": hex(current + self.behind)}
        return result(call.get("id"), progress)


@dataclass
class Lie(Fault):
    """Results pass through a function `(result, request) -> result`; errors pass unchanged.

    As text, `METHOD=JSON` gives that method a fixed result.
    """

    name: ClassVar[str] = "lie"
    usage: ClassVar[str] = "METHOD=JSON"
    alters_heads: ClassVar[bool] = True

    tell: Callable[[Any, Json], Any]
    text: str = ""

    @classmethod
    def parse(cls, arg: str) -> Self:
        method, given, value = arg.partition("=")
        if not method or not given:
            raise ValueError('write METHOD=JSON, such as eth_gasPrice="0x1"')
        fixed = orjson.loads(value)
        return cls(tell=lambda truth, call: fixed if call["method"] == method else truth, text=arg)

    @property
    def arg(self) -> str:
        return self.text

    async def rewrite_answer(self, call: Json, answer: Json, exchange: Exchange) -> Json:
        return {**answer, "result": self.tell(answer["result"], call)} if "result" in answer else answer
