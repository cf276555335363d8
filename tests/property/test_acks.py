"""Acks: what a consumer signs is read back, and whatever else comes in is refused by name and at little cost."""

import contextlib
import hashlib
import hmac
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.wire.acks import (
    LONGEST,
    MOST_MISSING,
    MOST_WANTED,
    OPEN_END,
    Ack,
    AckRefused,
    Refusal,
    claim,
    decode,
    encode,
    verify,
)

KEY = b"sixteen bytes at least"
SOURCE = "/tocsin/ams/host-a"
CONSUMER = "pager"
EXACT = 2**53

KEYS = st.binary(min_size=16, max_size=80)
NUMBERS = st.integers(0, EXACT - 1)
TIMES = st.integers(1, EXACT - 1)
HOLES = st.sets(st.integers(1, 2000), max_size=800)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=70),
    lambda kids: st.lists(kids, max_size=5) | st.dictionaries(st.text(max_size=8), kids, max_size=5),
    max_leaves=12,
)
FIELDS = st.fixed_dictionaries(
    {}, optional={"at": JSON, "max": JSON, "missing": JSON | st.lists(NUMBERS), "wanted": JSON, "hmac": JSON}
)


@st.composite
def acks(draw: st.DrawFn) -> Ack:
    missing = sorted(draw(st.sets(st.integers(1, EXACT - 2), max_size=40)))
    highest = draw(st.integers(missing[-1] + 1 if missing else 0, EXACT - 1))
    ends = sorted(draw(st.sets(st.integers(1, OPEN_END), max_size=20)))
    wanted = tuple(zip(ends[::2], ends[1::2], strict=False)) if draw(st.booleans()) else None
    return Ack(at=draw(TIMES), max=highest, missing=tuple(missing), wanted=wanted)


def reason(payload: bytes, *, source: str = SOURCE, consumer: str = CONSUMER, key: bytes = KEY) -> Refusal:
    with pytest.raises(AckRefused) as caught:
        verify(payload, source, consumer, key)
    return caught.value.reason


@given(ack=acks(), key=KEYS)
def test_what_was_signed_is_read_back(ack: Ack, key: bytes) -> None:
    assert verify(encode(ack, SOURCE, CONSUMER, key), SOURCE, CONSUMER, key) == ack


def test_the_signature_is_over_the_text_that_is_documented() -> None:
    payload = encode(Ack(at=1790000000123, max=41, missing=(17, 39)), SOURCE, CONSUMER, KEY)
    text = b"tocsin-ack-v1\n/tocsin/ams/host-a\npager\n1790000000123\n41\n17,39"
    said = orjson.loads(payload)
    assert said == {"at": 1790000000123, "max": 41, "missing": [17, 39], "hmac": said["hmac"]}
    assert said["hmac"] == hmac.new(KEY, text, hashlib.sha256).hexdigest()


def test_what_is_wanted_is_signed_on_a_line_of_its_own() -> None:
    payload = encode(Ack(at=1, max=41, missing=(17,), wanted=((17, 17), (42, OPEN_END))), SOURCE, CONSUMER, KEY)
    text = b"tocsin-ack-v1\n/tocsin/ams/host-a\npager\n1\n41\n17\n17-17,42-9007199254740991"
    said = orjson.loads(payload)
    assert said["wanted"] == [[17, 17], [42, OPEN_END]]
    assert said["hmac"] == hmac.new(KEY, text, hashlib.sha256).hexdigest()
    assert reason(orjson.dumps({**said, "wanted": [[17, 17]]})) is Refusal.FORGED
    assert reason(orjson.dumps({key: said[key] for key in said if key != "wanted"})) is Refusal.FORGED


@pytest.mark.parametrize(
    "wanted",
    [{}, 7, [7], [[1]], [[2, 1]], [[1, 2, 3]], [[0, 1]], [[1, 3], [3, 4]], [[1, True]], [[1, EXACT]], [[1, 1]] * 101],
)
def test_what_cannot_be_wanted_is_malformed(wanted: object) -> None:
    said = {"at": 1, "max": 1, "missing": [], "wanted": wanted, "hmac": "0" * 64}
    assert reason(json.dumps(said).encode()) is Refusal.MALFORMED


@given(ack=acks(), key=KEYS, other=KEYS)
def test_another_key_another_watchdog_and_another_consumer_do_not_fit(ack: Ack, key: bytes, other: bytes) -> None:
    payload = encode(ack, SOURCE, CONSUMER, key)
    assert reason(payload, key=key, source="/tocsin/ams/host-b") is Refusal.FORGED
    assert reason(payload, key=key, consumer="other") is Refusal.FORGED
    # A longer key counts by its digest, a shorter one is filled up with zeros (RFC 2104, section 2).
    if hmac.digest(key, b"", "sha256") != hmac.digest(other, b"", "sha256"):
        assert reason(payload, key=other) is Refusal.FORGED


@given(ack=acks(), other=acks())
def test_nothing_in_an_ack_can_be_changed(ack: Ack, other: Ack) -> None:
    said = orjson.loads(encode(ack, SOURCE, CONSUMER, KEY))
    forged = orjson.loads(encode(other, SOURCE, CONSUMER, KEY))
    forged["hmac"] = said["hmac"]
    if other != ack:
        assert reason(orjson.dumps(forged)) is Refusal.FORGED


@given(payload=st.binary(max_size=400) | JSON.map(json.dumps).map(str.encode) | FIELDS.map(json.dumps).map(str.encode))
def test_anything_may_come_in_and_only_the_named_refusals_come_out(payload: bytes) -> None:
    assert reason(payload) in {Refusal.MALFORMED, Refusal.UNSIGNED, Refusal.FORGED}


@given(payload=acks().map(lambda ack: encode(ack, SOURCE, CONSUMER, KEY)), data=st.data())
def test_no_changed_byte_is_believed_unless_it_says_the_same(payload: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(payload) - 1))
    changed = payload[:at] + bytes([data.draw(st.integers(0, 255))]) + payload[at + 1 :]
    with contextlib.suppress(AckRefused):
        assert verify(changed, SOURCE, CONSUMER, KEY) == decode(payload).ack


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"x" * (1 << 20), Refusal.TOO_LARGE),
        (b"[" * (1 << 20), Refusal.TOO_LARGE),
        (b"[" * LONGEST, Refusal.MALFORMED),
        (b'{"at":' * 2000, Refusal.MALFORMED),
        (b"[" * 1000 + b"]" * 1000, Refusal.MALFORMED),
        (b"\xff\xfe{}", Refusal.MALFORMED),
        (b'{"at":1,"max":1,"missing":[],"hmac":"\xff"}', Refusal.MALFORMED),
        (b"", Refusal.MALFORMED),
        (b"[]", Refusal.MALFORMED),
        (b"{}", Refusal.MALFORMED),
        (b'{"at":0,"max":1,"missing":[],"hmac":""}', Refusal.MALFORMED),
        (b'{"at":1.0,"max":1,"missing":[],"hmac":""}', Refusal.MALFORMED),
        (b'{"at":true,"max":1,"missing":[],"hmac":""}', Refusal.MALFORMED),
        (b'{"at":1,"max":-1,"missing":[],"hmac":""}', Refusal.MALFORMED),
        (b'{"at":1,"max":9007199254740992,"missing":[],"hmac":""}', Refusal.MALFORMED),
        (b'{"at":1,"max":1e400,"missing":[],"hmac":""}', Refusal.MALFORMED),
        (b'{"at":1,"max":3,"missing":{},"hmac":""}', Refusal.MALFORMED),
        (b'{"at":1,"max":3,"missing":null,"hmac":""}', Refusal.MALFORMED),
        (b'{"at":1,"max":3,"missing":"12","hmac":""}', Refusal.MALFORMED),
        (b'{"at":1,"max":3,"missing":{"1":2},"hmac":""}', Refusal.MALFORMED),
        (b'{"at":1,"max":3,"missing":["1"],"hmac":""}', Refusal.MALFORMED),
        (b'{"at":1,"max":3,"missing":[0],"hmac":""}', Refusal.MALFORMED),
        (b'{"at":1,"max":3,"missing":[3],"hmac":""}', Refusal.MALFORMED),
        (b'{"at":1,"max":9,"missing":[4,2],"hmac":""}', Refusal.MALFORMED),
        (b'{"at":1,"max":9,"missing":[4,4],"hmac":""}', Refusal.MALFORMED),
        (b'{"at":1,"max":3,"missing":[]}', Refusal.UNSIGNED),
        (b'{"at":1,"max":3,"missing":[],"hmac":null}', Refusal.UNSIGNED),
        (b'{"at":1,"max":3,"missing":[],"hmac":"00"}', Refusal.UNSIGNED),
        (b'{"at":1,"max":3,"missing":[],"hmac":"' + "\u00e4".encode() * 64 + b'"}', Refusal.UNSIGNED),
        (b'{"at":1,"max":3,"missing":[],"hmac":"' + b"0" * 64 + b'"}', Refusal.FORGED),
    ],
)
def test_what_is_wrong_has_a_name(payload: bytes, expected: Refusal) -> None:
    assert reason(payload) is expected


def test_one_hole_more_than_an_ack_may_name_is_refused() -> None:
    said = {"at": 1, "max": 10**6, "missing": list(range(1, MOST_MISSING + 2)), "hmac": "0" * 64}
    assert reason(json.dumps(said).encode()) is Refusal.MALFORMED
    said["missing"] = list(range(1, MOST_MISSING + 1))
    assert reason(json.dumps(said).encode()) is Refusal.FORGED


def test_the_largest_ack_fits_into_what_is_read() -> None:
    missing = tuple(range(EXACT - 1 - MOST_MISSING, EXACT - 1))
    wanted = tuple((EXACT - 2 * number, EXACT - 2 * number) for number in range(MOST_WANTED, 0, -1))
    payload = encode(Ack(at=EXACT - 1, max=EXACT - 1, missing=missing, wanted=wanted), SOURCE, CONSUMER, KEY)
    assert len(payload) < LONGEST
    assert verify(payload, SOURCE, CONSUMER, KEY).missing == missing


def test_fields_that_come_later_are_ignored() -> None:
    said = orjson.loads(encode(Ack(at=1, max=3), SOURCE, CONSUMER, KEY))
    assert verify(orjson.dumps({**said, "more": {}}), SOURCE, CONSUMER, KEY) == Ack(at=1, max=3)


@given(highest=st.integers(0, 2000), holes=HOLES, at=TIMES)
def test_a_claim_never_claims_what_is_missing_and_tells_the_lowest_holes(
    highest: int, holes: set[int], at: int
) -> None:
    ack = claim(at, highest, holes)
    lacking = {hole for hole in holes if hole < highest}
    claimed = set(range(1, ack.max + 1)) - set(ack.missing)
    assert not claimed & lacking
    assert ack.max <= highest
    if len(lacking) <= MOST_MISSING and highest not in lacking:
        assert claimed == set(range(1, highest + 1)) - lacking


@pytest.mark.parametrize("key", [b"", b"fifteen bytes.."])
def test_nobody_signs_with_a_key_that_is_too_short(key: bytes) -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        encode(Ack(at=1, max=0), SOURCE, CONSUMER, key)


def test_an_ack_is_made_for_a_name_only() -> None:
    with pytest.raises(ValueError, match="is not a name"):
        encode(Ack(at=1, max=0), SOURCE, "a/b", KEY)
