"""What came back from a node, as data: results as bytes, or a fault. A failed call is not an exception."""

from dataclasses import dataclass
from enum import StrEnum

CHAIN_ID = "chain_id"
LATEST = "latest"
SAFE = "safe"
FINALIZED = "finalized"
SYNCING = "syncing"
GENESIS = "genesis"
NETWORK = "network"
_BY_HASH = "hash:"
_BY_NUMBER = "number:"
_RUN = "run:"


def by_hash(block_hash: str) -> str:
    """Return the call that asks for the header with this hash."""
    return _BY_HASH + block_hash


def hash_of(call: str) -> str | None:
    """Return the block hash that a `by_hash` call asks for, or a run from there down; None for every other call."""
    if call.startswith(_RUN):
        return call.removeprefix(_RUN).partition(":")[0]
    return call.removeprefix(_BY_HASH) if call.startswith(_BY_HASH) else None


def by_number(number: int) -> str:
    """Return the call that asks for the header at this height."""
    return f"{_BY_NUMBER}{number}"


def number_of(call: str) -> int | None:
    """Return the height that a `by_number` call asks for, None for every other call."""
    text = call.removeprefix(_BY_NUMBER)
    return int(text) if text != call and text.isdecimal() and text.isascii() else None


def run_of(block_hash: str, number: int, count: int) -> str:
    """Return the call that asks, in one request, for the header with this hash and height and for those below it.

    `count` headers, at least two, each by its height on the chain of the node that is asked.
    """
    return f"{_RUN}{block_hash}:{number}:{count}"


def singles(call: str) -> tuple[str, ...]:
    """Return the calls of which a call consists, a run's from the highest block down; every other is one by itself."""
    if not call.startswith(_RUN):
        return (call,)
    _, number, count = call.removeprefix(_RUN).split(":")
    return tuple(by_number(height) for height in range(int(number), int(number) - int(count), -1))


class FaultKind(StrEnum):
    """Why a poll gave nothing usable. Closed: doubles as metric label and as reason in alerts."""

    DNS = "dns"
    REFUSED = "refused"
    UNROUTABLE = "unroutable"
    TLS = "tls"
    TIMEOUT = "timeout"
    """The absolute deadline of the poll passed: a hung, slow or dripping node."""
    RESET = "reset"
    TRUNCATED = "truncated"
    """The body ended before its announced length."""
    TOO_LARGE = "too-large"
    """The body passed the cap while being read."""
    HTTP_STATUS = "http-status"
    AUTH = "auth"
    """HTTP 401 or 403, or an RPC error that says so: the credentials are wrong or have expired."""
    NOT_JSON = "not-json"
    """HTML, plain text or broken JSON."""
    MALFORMED = "malformed"
    """JSON, but not a JSON-RPC answer, or a result that is not what the method returns."""
    WRONG_IDS = "wrong-ids"
    """Answers that no request asked for, or requests without an answer, or two answers for one."""
    RPC_ERROR = "rpc-error"
    """A well-formed error for a call that every node must answer."""
    RATE_LIMITED = "rate-limited"
    BUDGET = "budget"
    """Not asked: the configured budget is spent."""
    INTERNAL = "internal"
    """We failed where nothing should: a defect of this program, and what the node would have said is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why there is no answer. `detail` is safe to publish: no URL, no secret, at most 300 characters."""

    kind: FaultKind
    detail: str
    status: int | None = None
    """The HTTP status, where one came."""
    retry_after_ns: int | None = None
    """How long the node asked to be left alone (Retry-After, or the time until the budget refills)."""


class RpcErrorKind(StrEnum):
    """What a JSON-RPC error means, whatever the client calls it (see `wire.quirks`)."""

    METHOD_MISSING = "method-missing"
    NOT_FOUND = "not-found"
    PRUNED = "pruned"
    RATE_LIMITED = "rate-limited"
    BATCH_LIMIT = "batch-limit"
    TIMEOUT = "timeout"
    SYNCING = "syncing"
    AUTH = "auth"
    REVERT = "revert"
    INVALID = "invalid"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcError:
    """A JSON-RPC error object, classified. `message` is cut to 300 characters and redacted at the edge."""

    kind: RpcErrorKind
    code: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The answer to one call of a batch: the result re-encoded compactly, or the error. Exactly one is set."""

    call: str
    result: bytes | None = None
    error: RpcError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """How a node's budget and what is wanted of it go together, both a day."""

    per_day: int
    wanted: int | None = None
    """At the rate of the last hour, with polls that were left out to save; None before enough was seen."""
    shared: bool = False
    """Whether it is the budget of the node's provider, in units and for all its nodes; else in calls."""
