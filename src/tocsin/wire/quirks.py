"""What clients and providers mean by their errors.

The same condition comes under many codes and texts, and the same code means different things: -32005 is a rate
limit at providers, an over-long batch at Besu and "batches are off" at jsonrpsee. So texts are read before codes, in
the order of `_TEXTS`: the first row that matches decides. Every row names who says so.

A revert is a result, missing data and a rate limit are no vote: whoever reads a `RpcErrorKind` decides by that.
"""

import re
from http import HTTPStatus

from tocsin.model.observation import Fault, FaultKind, RpcError, RpcErrorKind
from tocsin.secret import redact

DETAIL_CHARS = 300
"""Longest `Fault.detail` and `RpcError.message`."""

_READ_CHARS = 500
"""How much of a message is looked at: a liar may send megabytes, and the patterns may backtrack over all of it."""

_TEXTS: tuple[tuple[RpcErrorKind, str], ...] = (
    # geth rpc/errors.go "batch too large" (-32600) and "response too large" (-32003, rest of the batch);
    # erigon rpc/http.go "batch limit N exceeded", "method X not allowed in a batch request";
    # besu RpcErrorType "Number of requests exceeds max batch size" (-32005); nethermind "Batch size limit exceeded";
    # jsonrpsee (reth) "Batched requests are not supported by this server" (-32005), "The batch request was too
    # large" (-32010), "The batch response was too large" (-32011); erpc "validation errors in batch".
    (
        RpcErrorKind.BATCH_LIMIT,
        (
            r"batch.*(too (large|big|many|long)|limit|size|exceed|not (supported|allowed|enabled)|disabled)"
            r"|(too (large|big|many|long)|limit|exceed|not (supported|allowed|enabled)|errors?)\b.*\bbatch"
            r"|^response (is )?too (large|big)"
        ),
    ),
    # Ranges and sizes of log queries are the question's fault, though they speak of limits (erpc error_normalizer.go,
    # besu EXCEEDS_RPC_MAX_BLOCK_RANGE -32005, infura "query returned more than 10000 results" -32005).
    (
        RpcErrorKind.INVALID,
        (
            r"block range|range (is )?too (large|wide)|range limit|max(imum)? range|exceeds? (the|maximum) (rpc )?range"
            r"|returned more than|max results|gas limit|query exceeds|malformed blocknumber|logs? (bloom )?limit"
        ),
    ),
    # erpc error_normalizer.go, alchemy, infura (-32005 "daily request count exceeded, request rate limited"),
    # quicknode (-32007 "request limit reached"), EIP-1474 -32005 "Limit exceeded", nethermind with HTTP 503.
    (
        RpcErrorKind.RATE_LIMITED,
        (
            r"rate.?limit|limit(ed|s)? exceeded|exceeds defined limit|too many (requests|connections)|requests? limit"
            r"|requests limited to|under too much load|capacity (limit|exceeded)|compute units|throttl"
            r"|(reached|exceeded|exceeds|over|out of)\b.{0,40}\b(quota|free tier|credits?|capacity|plan limit)"
            r"|request count exceeded|has exceeded|upgrade your (tier|plan)|quota (exceeded|reached)"
        ),
    ),
    # geth "the method X does not exist/is not available"; besu -32604 "Method not enabled"; nethermind -32600 for a
    # namespace that is disabled on that URL; providers with -32000 or HTTP 403 (erpc error_normalizer.go).
    (
        RpcErrorKind.METHOD_MISSING,
        (
            r"(method|module|namespace)\b.*(does not exist|not (found|available|supported|enabled|allowed|whitelisted"
            r"|implemented)|is disabled|disabled|unavailable|unsupported)|unsupported method|method handler crashed"
            r"|not included in your (current )?plan"
        ),
    ),
    # infura "project id required", alchemy "Must be authenticated!", drpc/ankr key texts, besu -40100 "Unauthorized".
    (
        RpcErrorKind.AUTH,
        (
            r"unauthori[sz]ed|authenticat|forbidden|access denied|not allowed to access|permission denied"
            r"|(api|access|project|app)[ -]?(key|id|token)\b.*(invalid|required|missing|expired|disabled|revoked)"
            r"|(invalid|missing|wrong|expired|unknown)\b.{0,20}(api|access|project|app)[ -]?(key|id|token)"
            r"|invalid token"
        ),
    ),
    # geth code 3 "execution reverted"; besu -32000 "Execution reverted"; nethermind -32015 "VM execution error".
    (RpcErrorKind.REVERT, r"\brevert(ed)?\b|vm (execution error|exception)|invalid opcode|out of gas"),
    # geth "missing trie node ... (path )" with an empty path: the root is pruned, not corrupt (go-ethereum #20874);
    # nethermind "No state available", "pruned"; besu "World state unavailable"; reth "distance to target block
    # exceeds maximum proof window"; EIP-4444 texts of all (code 4444); providers "historical state ... not available".
    (
        RpcErrorKind.PRUNED,
        (
            r"missing trie node|pruned|histor(y|ical)\b.*(not available|unavailable|expired|not found|not supported)"
            r"|historical state|no historical|no state available|(world )?state (is )?(not available|unavailable)"
            r"|maximum proof window|trie does not|archive (node|data|request)"
        ),
    ),
    # besu -32008 "Initial sync is still in progress"; geth "transaction indexing is in progress"; several "syncing".
    (
        RpcErrorKind.SYNCING,
        (
            r"initial sync|(is|still|while|node) syncing|not (yet |fully )*(in )?sync(ed|hroni[sz]ed)?\b"
            r"|indexing is in progress|not ready"
        ),
    ),
    # geth -32002 "request timed out", "execution aborted (timeout = 5s)"; besu -32603 "Timeout expired";
    # nethermind -32016/-32017 "... timeout".
    (RpcErrorKind.TIMEOUT, r"time(d)?[ -]?out|deadline exceeded"),
    # geth "header not found", "unknown block", "finalized block not found"; reth -32001 "block not found: id";
    # besu -39001 "Unknown block"; erpc util.go for the rest; EIP-1898 "hash ... is not currently canonical".
    (
        RpcErrorKind.NOT_FOUND,
        (
            r"not found|unknown block|could not find|cannot (be )?f(ind|ound)|not (currently )?canonical"
            r"|greater than latest"
            r"|cannot query unfinalized|height (must be|is not available)|after last accepted|beyond (the )?head"
            r"|block(number)?.?out.?of.?range|height passed is invalid"
        ),
    ),
    (RpcErrorKind.INVALID, r"invalid (params?|argument|request)|param is required|parse error|missing value"),
)

_COMPILED = tuple((kind, re.compile(pattern)) for kind, pattern in _TEXTS)

_CODES: dict[int, RpcErrorKind] = {
    3: RpcErrorKind.REVERT,  # geth internal/ethapi/errors.go, nethermind ExecutionReverted
    -32015: RpcErrorKind.REVERT,  # nethermind and parity VMError
    4444: RpcErrorKind.PRUNED,  # nethermind PrunedHistoryUnavailable, besu, reth (EIP-4444)
    4445: RpcErrorKind.NOT_FOUND,  # nethermind UnavailableBeforeFork
    -39001: RpcErrorKind.NOT_FOUND,  # nethermind UnknownBlockError, besu UNKNOWN_BLOCK
    -32001: RpcErrorKind.NOT_FOUND,  # EIP-1474 resource not found; reth, anvil
    -32002: RpcErrorKind.PRUNED,  # EIP-1474 resource unavailable; nethermind ResourceUnavailable
    -32005: RpcErrorKind.RATE_LIMITED,  # EIP-1474 limit exceeded; providers, nethermind LimitExceeded
    429: RpcErrorKind.RATE_LIMITED,  # alchemy puts the HTTP status there
    -32008: RpcErrorKind.SYNCING,  # besu CHAIN_HEAD_WORLD_STATE_NOT_AVAILABLE
    -32016: RpcErrorKind.TIMEOUT,  # nethermind Timeout
    -32017: RpcErrorKind.TIMEOUT,  # nethermind ModuleTimeout
    -32601: RpcErrorKind.METHOD_MISSING,  # JSON-RPC 2.0
    -32604: RpcErrorKind.METHOD_MISSING,  # besu METHOD_NOT_ENABLED
    -32004: RpcErrorKind.METHOD_MISSING,  # EIP-1474 method not supported
    -32010: RpcErrorKind.BATCH_LIMIT,  # jsonrpsee TOO_BIG_BATCH_REQUEST_CODE
    -32011: RpcErrorKind.BATCH_LIMIT,  # jsonrpsee TOO_BIG_BATCH_RESPONSE_CODE
    -32003: RpcErrorKind.BATCH_LIMIT,  # geth errcodeResponseTooLarge
    -40100: RpcErrorKind.AUTH,  # besu UNAUTHORIZED
    401: RpcErrorKind.AUTH,
    403: RpcErrorKind.AUTH,
    -32600: RpcErrorKind.INVALID,  # JSON-RPC 2.0
    -32602: RpcErrorKind.INVALID,
    -32700: RpcErrorKind.INVALID,
}

_CLEAR_CODES = frozenset({3, 4444, -32601, -32604})
"""These mean one thing everywhere, while their texts may hold anything: a revert reason is the contract's."""

_STATUSES: dict[int, RpcErrorKind] = {
    HTTPStatus.TOO_MANY_REQUESTS: RpcErrorKind.RATE_LIMITED,
    HTTPStatus.PAYMENT_REQUIRED: RpcErrorKind.RATE_LIMITED,  # the plan's credit is spent
    HTTPStatus.UNAUTHORIZED: RpcErrorKind.AUTH,
    HTTPStatus.FORBIDDEN: RpcErrorKind.AUTH,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: RpcErrorKind.AUTH,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: RpcErrorKind.BATCH_LIMIT,
}

_TELLING = frozenset({RpcErrorKind.RATE_LIMITED, RpcErrorKind.BATCH_LIMIT, RpcErrorKind.METHOD_MISSING})
"""Kinds whose text says more than the HTTP status: a 403 may be a spent quota or a method outside the plan."""

_FAULTS: dict[RpcErrorKind, FaultKind] = {
    RpcErrorKind.RATE_LIMITED: FaultKind.RATE_LIMITED,
    RpcErrorKind.AUTH: FaultKind.AUTH,
}


def classify(code: int, message: str, http_status: int | None = None) -> RpcErrorKind:
    """Say what a JSON-RPC error means. `http_status` is that of the answer it came in; 200 says nothing."""
    if code in _CLEAR_CODES:
        return _CODES[code]
    by_text = _by_text(message)
    if by_text in _TELLING:
        return by_text
    if http_status in _STATUSES:
        return _STATUSES[http_status]
    return by_text or _CODES.get(code, RpcErrorKind.OTHER)


def _by_text(message: str) -> RpcErrorKind | None:
    text = message[:_READ_CHARS].lower()
    return next((kind for kind, pattern in _COMPILED if pattern.search(text)), None)


def says_quota(text: str) -> bool:
    """Tell whether a text that is no JSON-RPC answer says that a quota or rate is spent."""
    return _by_text(text) is RpcErrorKind.RATE_LIMITED


def fault_of_error(error: RpcError, *, status: int | None = None, retry_after_ns: int | None = None) -> Fault:
    """Return the fault that an error means when it stands for a whole answer, or for a call that must succeed."""
    return Fault(
        kind=_FAULTS.get(error.kind, FaultKind.RPC_ERROR),
        detail=clean(f"{error.kind} (code {error.code}): {error.message}"),
        status=status,
        retry_after_ns=retry_after_ns,
    )


def fault_of_status(status: int, body: bytes, *, retry_after_ns: int | None = None) -> Fault:
    """Return the fault of an HTTP answer that is not 200 and carries no JSON-RPC answer. Never shows a URL."""
    text = words(body)
    kind = _by_text(text)
    if kind not in _TELLING:
        kind = _STATUSES.get(status)
    return Fault(
        kind=_FAULTS.get(kind, FaultKind.HTTP_STATUS) if kind else FaultKind.HTTP_STATUS,
        detail=clean(f"HTTP {status}{_advice(status)}{': ' + text if text else ''}"),
        status=status,
        retry_after_ns=retry_after_ns,
    )


def _advice(status: int) -> str:
    if status // 100 == 3:  # noqa: PLR2004 - the class of redirects
        return " (a redirect is not followed: configure the address that it leads to)"
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""


_TAGS = re.compile(r"<[^<>]*>")
_LINK = re.compile(r"\b[a-z][a-z0-9+.-]{1,10}://\S+", re.IGNORECASE)


def words(body: bytes) -> str:
    """Return the first words of a body that is no JSON, for a person: tags, links and control characters removed."""
    text = redact(body[:16_384].decode("utf-8", errors="replace"))
    return clean(_TAGS.sub(" ", text))


def clean(text: str) -> str:
    """Make a foreign text fit to publish: redacted, without links and unprintable characters, cut to 300 characters."""
    text = _LINK.sub("***", redact(text[:65_536]))
    printable = "".join(char if char.isprintable() else " " for char in text[: 8 * DETAIL_CHARS])
    return " ".join(printable.split())[:DETAIL_CHARS]
