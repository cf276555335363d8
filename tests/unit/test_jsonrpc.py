"""The codec's contract, case by case: every shape that a node was seen to answer with."""

import tracemalloc

import orjson
import pytest

from tocsin.model.observation import (
    CHAIN_ID,
    FINALIZED,
    GENESIS,
    LATEST,
    SAFE,
    SYNCING,
    Fault,
    FaultKind,
    Part,
    RpcError,
    RpcErrorKind,
    by_hash,
)
from tocsin.secret import Secret
from tocsin.wire.jsonrpc import encode, read, refuses_batch, split

TWO = (CHAIN_ID, LATEST)


def ok(identity: object, result: object = "0x1") -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": identity, "result": result}


def no(identity: object, code: object = -32000, message: object = "header not found") -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": message}}


def kind(document: object, calls: tuple[str, ...] = TWO) -> FaultKind | None:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    outcome = split(body, calls)
    return outcome.kind if isinstance(outcome, Fault) else None


def test_calls_become_the_methods_of_the_specification() -> None:
    calls = (CHAIN_ID, LATEST, SAFE, FINALIZED, SYNCING, GENESIS, by_hash("0xab"))
    asked = orjson.loads(encode(calls, batch=True))
    assert [(call["method"], call["params"]) for call in asked] == [
        ("eth_chainId", []),
        ("eth_getBlockByNumber", ["latest", False]),
        ("eth_getBlockByNumber", ["safe", False]),
        ("eth_getBlockByNumber", ["finalized", False]),
        ("eth_syncing", []),
        ("eth_getBlockByNumber", ["0x0", False]),
        ("eth_getBlockByHash", ["0xab", False]),
    ]
    assert [call["id"] for call in asked] == [1, 2, 3, 4, 5, 6, 7]
    assert {call["jsonrpc"] for call in asked} == {"2.0"}


def test_the_same_calls_make_the_same_bytes_and_one_call_needs_no_batch() -> None:
    assert encode(TWO, batch=True) == encode(TWO, batch=True)
    assert orjson.loads(encode((LATEST,), batch=False))["id"] == 1
    with pytest.raises(ValueError, match="without a batch"):
        encode(TWO, batch=False)
    with pytest.raises(ValueError, match="not a call"):
        encode(("eth_everything",), batch=True)


def test_answers_are_matched_by_id_in_the_order_of_the_calls() -> None:
    parts = split(orjson.dumps([ok(2, {"b": 1}), ok("1")]), TWO)
    assert parts == (Part(call=CHAIN_ID, result=b'"0x1"'), Part(call=LATEST, result=b'{"b":1}'))


def test_results_are_compact_whatever_the_spacing() -> None:
    spaced = b'\xef\xbb\xbf [ {"jsonrpc" : "2.0", "id" : 1, "result" : { "a" : [ 1, 2 ] } } ] \n'
    assert split(spaced, (LATEST,)) == (Part(call=LATEST, result=b'{"a":[1,2]}'),)


def test_null_is_a_result() -> None:
    assert split(orjson.dumps(ok(1, None)), (FINALIZED,)) == (Part(call=FINALIZED, result=b"null"),)


def test_one_call_is_answered_by_an_object_or_an_array_of_one() -> None:
    assert split(orjson.dumps(ok(1)), (CHAIN_ID,)) == split(orjson.dumps([ok(1)]), (CHAIN_ID,))


def test_errors_are_parts_classified_and_redacted() -> None:
    Secret("sk-very-secret-1")
    message = "header not found for sk-very-secret-1 at https://h/key\x1b[31m " + "x" * 1_000
    parts = split(orjson.dumps([ok(1), no(2, "-32000", message)]), TWO)
    assert isinstance(parts, tuple)
    error = parts[1].error
    assert error is not None
    assert (error.kind, error.code, len(error.message)) == (RpcErrorKind.NOT_FOUND, -32000, 300)
    assert error.message.startswith("header not found for *** at ***")
    assert "\x1b" not in error.message


def test_a_null_error_beside_a_result_is_harmless() -> None:
    assert kind([ok(1) | {"error": None}, ok(2)]) is None


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b"", FaultKind.NOT_JSON),
        (b"  \n", FaultKind.NOT_JSON),
        (b"{", FaultKind.NOT_JSON),
        (b"[NaN, 1]", FaultKind.NOT_JSON),
        (b'"\xff"', FaultKind.NOT_JSON),
        (b'["\\ud800"]', FaultKind.NOT_JSON),
        (b"[" * 2_000 + b"]" * 2_000, FaultKind.NOT_JSON),
        (b"<!DOCTYPE html><html>", FaultKind.NOT_JSON),
        (b"Too many requests, slow down", FaultKind.RATE_LIMITED),
        (42, FaultKind.MALFORMED),
        ({}, FaultKind.MALFORMED),
        (ok(1), FaultKind.MALFORMED),
        ([1, 2], FaultKind.MALFORMED),
        ([ok(1) | {"jsonrpc": "1.0"}, ok(2)], FaultKind.MALFORMED),
        ([{"jsonrpc": "2.0", "id": 1}, ok(2)], FaultKind.MALFORMED),
        ([ok(1) | {"error": {"code": 1, "message": "x"}}, ok(2)], FaultKind.MALFORMED),
        ([{"jsonrpc": "2.0", "id": 1, "error": 7}, ok(2)], FaultKind.MALFORMED),
        ([{"jsonrpc": "2.0", "id": 1, "error": {}}, ok(2)], FaultKind.MALFORMED),
        ([], FaultKind.WRONG_IDS),
        ([ok(1)], FaultKind.WRONG_IDS),
        ([ok(1), ok(1)], FaultKind.WRONG_IDS),
        ([ok(1), ok(2), ok(2)], FaultKind.WRONG_IDS),
        ([ok(1), ok(3)], FaultKind.WRONG_IDS),
        ([ok(0), ok(1)], FaultKind.WRONG_IDS),
        ([ok(identity=True), ok(2)], FaultKind.WRONG_IDS),
        ([ok(1.0), ok(2)], FaultKind.WRONG_IDS),
        ([ok("01"), ok(2)], FaultKind.WRONG_IDS),
        ([ok("\u0661"), ok(2)], FaultKind.WRONG_IDS),
        ([ok([[]]), ok(2)], FaultKind.WRONG_IDS),
        (b'[{"jsonrpc":"2.0","id":36893488147419103233,"result":1}]', FaultKind.WRONG_IDS),
        ({"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "oh"}}, FaultKind.RPC_ERROR),
        ({"jsonrpc": "2.0", "id": None, "error": {"code": -32005, "message": "limit"}}, FaultKind.RATE_LIMITED),
        ({"error": "Unauthorized: wrong key"}, FaultKind.AUTH),
    ],
)
def test_what_is_no_answer_is_a_fault_that_names_it(document: object, expected: FaultKind) -> None:
    assert kind(document) is expected


def test_a_result_too_deep_to_write_again_is_malformed_and_a_deep_id_is_only_wrong() -> None:
    deep = b"[" * 300 + b"]" * 300
    assert kind(b'[{"jsonrpc":"2.0","id":1,"result":' + deep + b"}]", (LATEST,)) is FaultKind.MALFORMED
    deeper = b"[" * 1_000 + b"]" * 1_000
    assert kind(b'[{"jsonrpc":"2.0","id":' + deeper + b',"result":1}]', (LATEST,)) is FaultKind.WRONG_IDS


def test_html_shows_its_first_words_and_nothing_dangerous() -> None:
    body = (
        b"<html><title>502 Bad\x00 Gateway</title><a href='https://h/secretkey'>go to https://h/secretkey</a>"
        + b"z" * 900
    )
    fault = split(body, TWO)
    assert isinstance(fault, Fault)
    assert fault.detail.startswith("HTML instead of JSON: 502 Bad Gateway")
    assert len(fault.detail) == 300
    assert "secretkey" not in fault.detail


@pytest.mark.parametrize(
    "document",
    [
        [no(1, -32600, "batch too large")],
        {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "batch limit 3 exceeded"}},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32005, "message": "Number of requests exceeds max batch size"}},
    ],
)
def test_an_error_for_the_whole_batch_is_told_apart_from_errors_of_calls(document: object) -> None:
    refusal = read(orjson.dumps(document), TWO)
    assert isinstance(refusal, RpcError)
    assert refusal.kind is RpcErrorKind.BATCH_LIMIT


def test_the_error_of_a_single_call_is_a_part() -> None:
    parts = read(orjson.dumps(no(1)), (LATEST,))
    assert isinstance(parts, tuple)
    assert not refuses_batch(parts)
    parts = read(orjson.dumps([ok(1), no(2, -32003, "response too large")]), TWO)
    assert isinstance(parts, tuple)
    assert refuses_batch(parts)


@pytest.mark.parametrize("unit", [b"{},", b"[],", b'"ab",', b"1,", b"[[[[]]]],"])
def test_a_body_of_millions_of_tiny_values_is_refused_unread(unit: bytes) -> None:
    bomb = b"[" + unit * (8_000_000 // len(unit)) + b"0]"
    tracemalloc.start()
    try:
        found = kind(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found is FaultKind.TOO_LARGE
    assert peak < 1_000_000


def test_a_block_of_very_many_transactions_is_read() -> None:
    block = {"number": "0x1", "transactions": [f"0x{at:064x}" for at in range(28_000)]}
    assert kind([ok(1), ok(2, block)]) is None


def test_a_result_that_no_block_can_have_is_refused() -> None:
    assert kind([ok(1), ok(2, {"extraData": "0x" + "ab" * 1_100_000})]) is FaultKind.TOO_LARGE


def test_a_body_too_long_for_one_result_is_not_even_parsed() -> None:
    """It would stand in everybody's way, and be refused all the same."""
    long = b'{"jsonrpc":"2.0","id":1,"result":' + b" " * (4 * 1024 * 1024) + b'"0x1"}'
    found = read(long, (LATEST,))
    assert isinstance(found, Fault)
    assert found.kind is FaultKind.TOO_LARGE
    short = b'{"jsonrpc":"2.0","id":1,"result":' + b" " * (3 * 1024 * 1024) + b'"0x1"}'
    assert isinstance(read(short, (CHAIN_ID,)), tuple)
