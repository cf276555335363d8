"""How each client words its errors.

Sources: go-ethereum rpc/errors.go, rpc/handler.go and internal/ethapi/errors.go; Nethermind ErrorCodes.cs; Besu
RpcErrorType.java; Reth rpc error/mod.rs; Erigon issues 17245 and 7072.
"""

from dataclasses import dataclass
from typing import Final

from tocsin.testing.jsonrpc import Json, error


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One error as a client gives it; `{method}` in the message is filled in."""

    code: int
    message: str
    status: int = 200
    data: str | None = None

    def answer(self, call: Json) -> Json:
        """Return the error as the answer to a call."""
        return error(call.get("id"), self.code, self.message.replace("{method}", str(call["method"])), self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRefusal:
    """How a client refuses a batch: a list with one error for the first call, or one bare error with id null."""

    shape: Shape
    as_list: bool = False


_REVERT_DATA = (
    "0x08c379a0"
    "0000000000000000000000000000000000000000000000000000000000000020"
    "0000000000000000000000000000000000000000000000000000000000000004"
    "6e6f706500000000000000000000000000000000000000000000000000000000"
)
"""Error(string) with "nope"."""

_NODE = "0x" + "1f" * 32

SHAPES: Final[dict[str, dict[str, Shape]]] = {
    "geth": {
        "server": Shape(code=-32000, message="internal error"),
        "not-found": Shape(code=-32000, message="header not found"),
        "pruned": Shape(
            code=-32000, message=f"missing trie node {_NODE[2:]} (path ) state {_NODE} is not available, not found"
        ),
        "limit": Shape(code=-32005, message="limit exceeded"),
        "timeout": Shape(code=-32002, message="request timed out"),
        "method-missing": Shape(code=-32601, message="the method {method} does not exist/is not available"),
        "indexing": Shape(code=-32000, message="transaction indexing is in progress"),
        "revert": Shape(code=3, message="execution reverted: nope", data=_REVERT_DATA),
    },
    "nethermind": {
        "server": Shape(code=-32603, message="Internal error"),
        "not-found": Shape(code=-39001, message="Unknown block"),
        "resource-not-found": Shape(code=-32000, message="Block not found"),
        "pruned": Shape(code=4444, message="pruned history unavailable"),
        "unavailable": Shape(code=-32002, message="No state available for block"),
        "limit": Shape(code=-32005, message="Too many requests", status=503),
        "timeout": Shape(code=-32016, message="Timeout"),
        "method-missing": Shape(code=-32601, message="Method {method} is not supported"),
        "namespace-off": Shape(
            code=-32600,
            message="{method} found but the containing module is disabled for the url, consider adding it",
        ),
        "revert": Shape(code=3, message="execution reverted: nope", data=_REVERT_DATA),
    },
    "besu": {
        "server": Shape(code=-32603, message="Internal error"),
        "not-found": Shape(code=-39001, message="Unknown block"),
        "pruned": Shape(code=4444, message="Pruned history unavailable"),
        "unavailable": Shape(code=-32000, message="World state unavailable"),
        "limit": Shape(code=-32005, message="Requested range exceeds maximum range limit"),
        "timeout": Shape(code=-32603, message="Timeout expired"),
        "method-missing": Shape(code=-32604, message="Method not enabled"),
        "syncing": Shape(code=-32008, message="Initial sync is still in progress"),
        "revert": Shape(code=3, message="Execution reverted", data=_REVERT_DATA),
    },
    "reth": {
        "server": Shape(code=-32603, message="internal error"),
        "not-found": Shape(code=-32001, message="block not found: latest"),
        "pruned": Shape(code=4444, message="pruned history unavailable"),
        "proof-window": Shape(code=-32602, message="distance to target block exceeds maximum proof window"),
        "limit": Shape(code=-32005, message="rate limit exceeded"),
        "timeout": Shape(code=-32000, message="request timed out"),
        "method-missing": Shape(code=-32601, message="Method not found"),
        "revert": Shape(code=3, message="execution reverted: nope", data=_REVERT_DATA),
    },
    "erigon": {
        "server": Shape(code=-32000, message="internal error"),
        "not-found": Shape(code=-32000, message="block not found: 99999999"),
        "pruned": Shape(code=-32000, message="old data not available due to pruning"),
        "root-mismatch": Shape(code=-32000, message="root hash mismatch"),
        "limit": Shape(code=-32005, message="limit exceeded"),
        "method-missing": Shape(code=-32601, message="the method {method} does not exist/is not available"),
        "revert": Shape(code=3, message="execution reverted: nope", data=_REVERT_DATA),
    },
    "provider": {
        "server": Shape(code=-32603, message="Internal server error"),
        "not-found": Shape(code=-32000, message="could not find block"),
        "pruned": Shape(code=-32000, message="historical state is not available without an archive plan"),
        "limit": Shape(code=-32005, message="Too many requests, reached the quota: upgrade your tier"),
        "capacity": Shape(code=429, message="Your app has exceeded its compute units per second capacity limit"),
        "auth": Shape(code=-32000, message="invalid project id"),
        "method-missing": Shape(code=-32600, message="Unsupported method: {method}"),
    },
}
"""Errors by client and situation."""

CLIENTS: Final = tuple(SHAPES)

BATCH_REFUSALS: Final[dict[str, BatchRefusal]] = {
    "geth": BatchRefusal(shape=Shape(code=-32600, message="batch too large"), as_list=True),
    "besu": BatchRefusal(shape=Shape(code=-32005, message="Number of requests in batch exceeds limit")),
    "erigon": BatchRefusal(shape=Shape(code=-32000, message="batch limit 100 exceeded: 101 given")),
    "nethermind": BatchRefusal(shape=Shape(code=-32005, message="Batch size limit exceeded")),
}
"""How a batch that is too long is refused, by client."""
