"""Messages as brokers hand them over: what is sound is read whole, and what is not costs the properties at most."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import VariableByteIntegers

from tocsin.mqtt.client import properties_of
from tocsin.mqtt.packets import Published, published

TEXT = st.text(st.characters(exclude_characters="\x00\ufeff", exclude_categories=["Cs"]), max_size=40)
FILLING = st.fixed_dictionaries(
    {},
    optional={
        "PayloadFormatIndicator": st.integers(0, 1),
        "MessageExpiryInterval": st.integers(0, 2**32 - 1),
        "TopicAlias": st.integers(1, 2**16 - 1),
        "ContentType": TEXT,
        "SubscriptionIdentifier": st.integers(1, 268_435_455),
        "UserProperty": st.lists(st.tuples(TEXT, TEXT), max_size=10),
    },
)


def packet(topic: bytes, properties: bytes, payload: bytes, number: int) -> bytes:
    length = bytes(VariableByteIntegers.encode(len(properties)))  # type: ignore[no-untyped-call]
    confirmed_by = number.to_bytes(2) if number else b""
    return len(topic).to_bytes(2) + topic + confirmed_by + length + properties + payload


def command(number: int, *, retained: bool) -> int:
    return 0x30 | bool(number) << 1 | retained


@given(
    topic=st.binary(max_size=200),
    payload=st.binary(max_size=200),
    number=st.integers(0, 2**16 - 1),
    retained=st.booleans(),
    filling=FILLING,
    response_topic=TEXT,
    correlation=st.none() | st.binary(max_size=40),
)
def test_what_a_client_writes_is_read(
    *,
    topic: bytes,
    payload: bytes,
    number: int,
    retained: bool,
    filling: dict[str, object],
    response_topic: str,
    correlation: bytes | None,
) -> None:
    properties = properties_of(PacketTypes.PUBLISH)
    answer = {"ResponseTopic": response_topic} if response_topic else {}
    answer |= {} if correlation is None else {"CorrelationData": correlation}  # type: ignore[dict-item]
    for name, value in {**filling, **answer}.items():
        setattr(properties, name, value)
    packed = properties.pack()  # type: ignore[no-untyped-call]
    length, used = VariableByteIntegers.decode(packed)  # type: ignore[no-untyped-call]
    assert length == len(packed) - used
    body = packet(topic, packed[used:], payload, number)
    assert published(command(number, retained=retained), bytearray(body)) == Published(
        topic=topic,
        payload=payload,
        packet=number,
        retained=retained,
        response_topic=response_topic,
        correlation=correlation,
    )


@given(properties=st.binary(max_size=100), payload=st.binary(max_size=20), number=st.integers(0, 9))
def test_whatever_the_properties_are_the_message_is_there(properties: bytes, payload: bytes, number: int) -> None:
    one = published(command(number, retained=False), packet(b"t", properties, payload, number))
    assert (one.topic, one.payload, one.packet) == (b"t", payload, number)


@pytest.mark.parametrize(
    "properties",
    [b"\x08\x00\x02\xc3\x28", b"\x08\x00\xffx", b"\x09\x00\x01y\x7f", b"\x09\x00\x01y\x0b\xff\xff\xff\xff\x01"],
)
def test_unsound_properties_ask_for_no_answer(properties: bytes) -> None:
    one = published(0x30, packet(b"t", properties, b"", 0))
    assert (one.response_topic, one.correlation) == ("", None)


@given(header=st.integers(0, 255), body=st.binary(max_size=60))
def test_what_is_no_message_is_said_to_be_none(header: int, body: bytes) -> None:
    with contextlib.suppress(ValueError):
        published(header, body)


@given(rest=st.lists(st.sampled_from([b"\x26\x00\x00\x00\x00", b"\x01\x00", b"\x0b\x01"]), min_size=64, max_size=200))
def test_only_the_first_properties_are_looked_at(rest: list[bytes]) -> None:
    asked = b"\x08\x00\x01r"
    assert published(0x30, packet(b"t", asked + b"".join(rest), b"", 0)).response_topic == "r"
    assert published(0x30, packet(b"t", b"".join(rest) + asked, b"", 0)).response_topic == ""
