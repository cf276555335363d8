"""What price gateways answer: a price where one stands, exactly as it is written; else why there is none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.observation import Fault, FaultKind
from tocsin.wire.quote import LARGEST, Price, read

BODY = b'{"data": [{"last": 2297.50, "text": "0.1000", "ts": 1706558123}], "at": "2024-01-29T19:55:23.25Z"}'
AT = 1_706_558_123 * 10**9


def kind(found: Price | Fault) -> FaultKind:
    assert isinstance(found, Fault), found
    return found.kind


def test_a_price_is_read_as_it_is_written_and_no_float() -> None:
    assert read(200, BODY, "data.0.last") == Price("2297.5")
    assert read(200, BODY, "data.0.text") == Price("0.1")
    assert read(200, b'{"p": 0.1000000000000000055511151231257827}', "p") == Price(
        "0.1000000000000000055511151231257827"
    )
    assert read(200, b'{"p": 123456789012345678901234567890}', "p") == Price("123456789012345678901234567890")


@pytest.mark.parametrize("scale", [1, 10**3, 10**6, 10**9])
def test_a_time_is_read_in_every_unit_that_is_used(scale: int) -> None:
    body = json.dumps({"p": 1, "t": 1_706_558_123 * scale}).encode()
    assert read(200, body, "p", "t") == Price("1", AT)


@pytest.mark.parametrize(
    ("text", "after_ns"),
    [
        ("2024-01-29T19:55:23Z", 0),
        ("2024-01-29t19:55:23z", 0),
        ("2024-01-29 20:55:23+01:00", 0),
        ("2024-01-29T19:55:23.5Z", 5 * 10**8),
        ("2024-01-29T14:25:23.123456789999-05:30", 123_456_789),
        ("1706558123.5", 5 * 10**8),
    ],
)
def test_a_time_may_be_a_text(text: str, after_ns: int) -> None:
    assert read(200, json.dumps({"p": "1", "t": text}).encode(), "p", "t") == Price("1", AT + after_ns)


@pytest.mark.parametrize("stamp", ['"yesterday"', '"2024-13-01T00:00:00Z"', "-5", "0", "null", "true", "[1]", "1e30"])
def test_what_is_no_time_is_no_price_either(stamp: str) -> None:
    assert kind(read(200, f'{{"p": 1, "t": {stamp}}}'.encode(), "p", "t")) is FaultKind.MALFORMED


@pytest.mark.parametrize(
    "body",
    [
        *(
            b'{"p": ' + said + b"}"
            for said in (b"null", b"true", b'"x"', b"0", b"-1", b"NaN", b"{}", b"1e400", b'"0x1"')
        ),
        *(b"{}", b"[1]", b"5", b'"p"', b'{"p": "' + b"1" * 500 + b'"}'),
    ],
)
def test_what_is_no_price_is_malformed(body: bytes) -> None:
    assert kind(read(200, body, "p")) is FaultKind.MALFORMED


@pytest.mark.parametrize("path", ["data.1.last", "data.-1.last", "data.x", "data.0.last.x", "data.\u0661.last", "no"])
def test_a_place_that_is_not_there_is_told(path: str) -> None:
    found = read(200, BODY, path)
    assert isinstance(found, Fault)
    assert path in found.detail


def test_a_price_at_its_bounds_is_none() -> None:
    assert kind(read(200, BODY, "data.0.last", low="2297.5")) is FaultKind.MALFORMED
    assert kind(read(200, BODY, "data.0.last", high="2297.5")) is FaultKind.MALFORMED
    assert read(200, BODY, "data.0.last", low="2297.4", high="2297.6") == Price("2297.5")


def test_what_is_no_json_or_too_much_of_it_is_told_so() -> None:
    assert kind(read(200, b"<html>", "p")) is FaultKind.NOT_JSON
    assert kind(read(200, b"\xff\xfe", "p")) is FaultKind.NOT_JSON
    assert kind(read(200, b"[" * 100_000, "p")) in (FaultKind.NOT_JSON, FaultKind.TOO_LARGE)
    assert kind(read(200, b'{"p": 1}' + b" " * LARGEST, "p")) is FaultKind.TOO_LARGE
    assert kind(read(200, b'{"a": [' + b"1," * 300_000 + b'1], "p": 1}', "p")) is FaultKind.TOO_LARGE


def test_an_http_error_is_told_with_its_status_and_when_to_come_again() -> None:
    found = read(429, b"slow down", "p", retry_after_ns=30)
    assert isinstance(found, Fault)
    assert (found.kind, found.retry_after_ns) == (FaultKind.RATE_LIMITED, 30)
    assert kind(read(302, b"", "p")) is FaultKind.HTTP_STATUS


@given(st.binary(max_size=200), st.sampled_from(["p", "data.0.last", "a.b"]), st.sampled_from([None, "t"]))
def test_nothing_that_is_sent_makes_it_fail(body: bytes, path: str, time: str | None) -> None:
    assert isinstance(read(200, body, path, time), Price | Fault)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("pt01"), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_no_document_makes_it_fail(document: object) -> None:
    for path in ("p", "p.0", "0.p", "t.1.p"):
        assert isinstance(read(200, json.dumps(document).encode(), path, "t"), Price | Fault)
