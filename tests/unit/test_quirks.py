"""What clients and providers mean, one row per message that was seen in their source or in the field."""

import time

import pytest

from tocsin.model.observation import FaultKind, RpcErrorKind
from tocsin.wire.quirks import classify, clean, fault_of_status, says_quota, words

K = RpcErrorKind

ROWS = [
    # geth
    (-32601, "the method eth_foo does not exist/is not available", K.METHOD_MISSING),
    (-32000, "header not found", K.NOT_FOUND),
    (-32000, "finalized block not found", K.NOT_FOUND),
    (-32000, "missing trie node 5e2a (path ) state 0x5e2a is not available", K.PRUNED),
    (3, "execution reverted: ERC20: transfer amount exceeds balance", K.REVERT),
    (3, "execution reverted: limit exceeded", K.REVERT),
    (-32002, "request timed out", K.TIMEOUT),
    (-32003, "response too large", K.BATCH_LIMIT),
    (-32600, "batch too large", K.BATCH_LIMIT),
    (-32000, "execution aborted (timeout = 5s)", K.TIMEOUT),
    (-32000, "transaction indexing is in progress", K.SYNCING),
    (-32602, "missing value for required argument 0", K.INVALID),
    (-32700, "parse error", K.INVALID),
    # nethermind
    (-32005, "Request exceeds defined limit", K.RATE_LIMITED),
    (-32016, "eth_call request was canceled due to enabled timeout.", K.TIMEOUT),
    (-32017, "", K.TIMEOUT),
    (-32002, "", K.PRUNED),
    (-39001, "Unknown block error", K.NOT_FOUND),
    (4444, "Pruned history unavailable", K.PRUNED),
    (4445, "", K.NOT_FOUND),
    (-32600, "The method trace_block is found but the namespace trace is disabled for http://h", K.METHOD_MISSING),
    (-32000, "No state available for block 0x12", K.PRUNED),
    (-32015, "VM execution error.", K.REVERT),
    # besu
    (-32005, "Number of requests exceeds max batch size", K.BATCH_LIMIT),
    (-32005, "Requested range exceeds maximum RPC range limit", K.INVALID),
    (-32005, "Transaction gas limit exceeds block gas limit", K.INVALID),
    (-32000, "World state unavailable", K.PRUNED),
    (-32008, "Initial sync is still in progress", K.SYNCING),
    (-32604, "Method not enabled", K.METHOD_MISSING),
    (-32603, "Timeout expired", K.TIMEOUT),
    (-39001, "Unknown block", K.NOT_FOUND),
    (-40100, "Unauthorized", K.AUTH),
    (-32000, "Execution reverted", K.REVERT),
    # erigon
    (
        -32000,
        "batch limit 100 exceeded (can increase by --rpc.batch.limit). Requested batch of size: 101",
        K.BATCH_LIMIT,
    ),
    (-32000, "method eth_getLogs not allowed in a batch request", K.BATCH_LIMIT),
    # reth and jsonrpsee
    (-32001, "block not found: hash 0xab", K.NOT_FOUND),
    (-32602, "distance to target block exceeds maximum proof window", K.PRUNED),
    (-32005, "Batched requests are not supported by this server", K.BATCH_LIMIT),
    (-32010, "The batch request was too large", K.BATCH_LIMIT),
    (-32011, "The batch response was too large", K.BATCH_LIMIT),
    # providers
    (429, "Your app has exceeded its compute units per second capacity", K.RATE_LIMITED),
    (-32005, "daily request count exceeded, request rate limited", K.RATE_LIMITED),
    (-32007, "50/second request limit reached - reduce calls per second", K.RATE_LIMITED),
    (-32000, "You've reached the free tier limit, upgrade your tier", K.RATE_LIMITED),
    (-32000, "Too many requests", K.RATE_LIMITED),
    (-32000, "Monthly capacity limit exceeded", K.RATE_LIMITED),
    (-32000, "Must be authenticated!", K.AUTH),
    (-32002, "project ID is required", K.AUTH),
    (-32000, "invalid api key", K.AUTH),
    (-32000, "Unsupported method: eth_getProof", K.METHOD_MISSING),
    (-32000, "trace_block is not included in your current plan", K.METHOD_MISSING),
    (-32000, "historical state 0xab is not available", K.PRUNED),
    (-32000, "no historical RPC is available for this historical (pre-bedrock) execution request", K.PRUNED),
    (-32000, "cannot query unfinalized data", K.NOT_FOUND),
    (-32000, "hash 0xab is not currently canonical", K.NOT_FOUND),
    (-32000, "requested block is greater than latest", K.NOT_FOUND),
    (-32005, "query returned more than 10000 results", K.INVALID),
    (-32000, "block range is too wide", K.INVALID),
    # anvil
    (-32001, "Resource not found", K.NOT_FOUND),
    (-32602, "BlockOutOfRangeError: block height is 5 but requested was 99", K.NOT_FOUND),
    # nothing known
    (-32000, "something else", K.OTHER),
    (-32000, "", K.OTHER),
    (12345, "", K.OTHER),
]


@pytest.mark.parametrize(("code", "message", "expected"), ROWS)
def test_an_error_means_what_its_sender_means(code: int, message: str, expected: RpcErrorKind) -> None:
    assert classify(code, message) is expected


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (429, "", K.RATE_LIMITED),
        (402, "", K.RATE_LIMITED),
        (401, "no", K.AUTH),
        (403, "", K.AUTH),
        (403, "quota exceeded", K.RATE_LIMITED),
        (403, "method eth_getProof is not supported", K.METHOD_MISSING),
        (413, "", K.BATCH_LIMIT),
        (200, "", K.OTHER),
        (500, "header not found", K.NOT_FOUND),
    ],
)
def test_the_http_status_helps(status: int, message: str, expected: RpcErrorKind) -> None:
    assert classify(0, message, status) is expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, b"", FaultKind.RATE_LIMITED),
        (503, b"", FaultKind.HTTP_STATUS),
        (503, b"rate limit exceeded", FaultKind.RATE_LIMITED),
        (401, b"", FaultKind.AUTH),
        (403, b"<h1>Forbidden</h1>", FaultKind.AUTH),
        (301, b"", FaultKind.HTTP_STATUS),
        (413, b"", FaultKind.HTTP_STATUS),
        (999, b"", FaultKind.HTTP_STATUS),
    ],
)
def test_a_status_without_an_answer_is_a_fault(status: int, body: bytes, expected: FaultKind) -> None:
    fault = fault_of_status(status, body, retry_after_ns=5)
    assert (fault.kind, fault.status, fault.retry_after_ns) == (expected, status, 5)
    assert str(status) in fault.detail


def test_a_quota_is_recognised_in_plain_text() -> None:
    assert says_quota("You reached the quota of your plan")
    assert not says_quota("Bad gateway")


def test_no_message_takes_long_to_classify() -> None:
    """A liar may craft messages against the patterns; 50 ms is a thousand times what an honest one takes."""
    hostile = [
        "batch " * 100_000,
        "limit " * 100_000,
        "reached " * 100_000,
        "method " * 100_000,
        "<" * 1_000_000,
        "a:" * 500_000,
    ]
    for message in hostile:
        start = time.process_time()
        classify(-32000, message)
        words(message.encode())
        clean(message)
        assert time.process_time() - start < 0.5, message[:20]
