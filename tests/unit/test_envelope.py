"""Envelopes: what is on the wire is exact, bounded, unique and always the same."""

import dataclasses
import math
from datetime import UTC, datetime
from enum import StrEnum

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.messages import ALERT, BLOCK, ORIGIN, changed

from tocsin import ids
from tocsin.model.alert import AlertState, Severity
from tocsin.model.effect import StateChanged
from tocsin.wire import envelope

TEXT = st.text(st.characters(codec=None), max_size=40)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary(max_size=20)
TREES = st.recursive(LEAVES, lambda kids: st.lists(kids, max_size=4) | st.dictionaries(TEXT, kids, max_size=4))
WALLS = st.integers(min_value=0, max_value=4 * 10**18)


def data(message: envelope.Message) -> dict[str, object]:
    return orjson.loads(message.payload)["data"]


def test_an_alert_goes_to_the_stream_and_to_its_retained_topic_as_one_occurrence() -> None:
    stream, state = envelope.alert_messages(changed(ALERT, seq=7), ORIGIN)
    assert stream.topic == "tocsin/v1/ams/host-a/event/warning/node.lag"
    assert state.topic == f"tocsin/v1/ams/host-a/alert/{ALERT.fingerprint}"
    assert (stream.retain, state.retain) == (False, True)
    assert (stream.qos, state.qos) == (1, 1)
    assert (stream.seq, state.seq) == (7, None)
    assert stream.payload == state.payload


def test_the_number_is_in_the_data_and_sorts_as_text() -> None:
    event = orjson.loads(envelope.alert_messages(changed(ALERT, seq=7), ORIGIN)[0].payload)
    assert event["data"]["seq"] == 7
    assert event["sequence"] == "00000000000000000007"
    assert event["id"] == "host-a:b00700000000:7"


@pytest.mark.parametrize("state", list(AlertState))
def test_only_a_resolved_alert_leaves_the_broker_by_itself(state: AlertState) -> None:
    stream, kept = envelope.alert_messages(changed(dataclasses.replace(ALERT, state=state)), ORIGIN)
    assert stream.expiry_s is None
    assert kept.expiry_s == (24 * 3600 if state is AlertState.RESOLVED else None)


@given(value=st.none() | st.integers(min_value=-(10**40), max_value=10**40))
def test_a_value_survives_the_way_exactly(value: int | None) -> None:
    alert = dataclasses.replace(ALERT, value=value, limit=value)
    got = data(envelope.alert_messages(changed(alert), ORIGIN)[0])
    assert got["value"] == got["limit"]
    small = value is None or abs(value) < 2**53
    assert got["value"] == (value if small else str(value))


@given(tree=TREES, labels=st.dictionaries(TEXT, TEXT, max_size=3), summary=TEXT)
def test_whatever_a_node_put_into_the_evidence_the_alert_can_be_sent(
    tree: object, labels: dict[str, str], summary: str
) -> None:
    alert = dataclasses.replace(ALERT, evidence={"said": tree}, labels=tuple(sorted(labels.items())), summary=summary)
    first, again = (envelope.alert_messages(changed(alert), ORIGIN)[0].payload for _ in range(2))
    assert first == again
    assert isinstance(orjson.loads(first)["data"]["evidence"], dict)


@given(entries=st.dictionaries(st.text(min_size=1, max_size=8), st.text(min_size=0, max_size=9000), max_size=8))
def test_evidence_is_bounded_and_what_is_cut_is_named_by_its_digest(entries: dict[str, str]) -> None:
    alert = dataclasses.replace(ALERT, evidence=entries)
    whole = envelope.evidence_bytes(alert)
    sent = envelope.evidence(alert)
    assert len(orjson.dumps(sent)) <= envelope.EVIDENCE_LIMIT
    if len(whole) <= envelope.EVIDENCE_LIMIT:
        assert sent == entries
    else:
        assert sent["truncated"] is True
        assert sent["digest"] == ids.digest(whole)
        assert sent["size"] == len(whole)


def test_an_entry_that_does_not_fit_costs_only_itself() -> None:
    alert = dataclasses.replace(ALERT, evidence={"a": "small", "b": "x" * 20_000, "c": [1, 2]})
    sent = envelope.evidence(alert)
    assert {key: sent[key] for key in sent if key in "abc"} == {"a": "small", "c": [1, 2]}


@given(wall_ns=WALLS)
def test_times_have_fixed_digits_and_are_utc(wall_ns: int) -> None:
    text = envelope.rfc3339(wall_ns)
    assert len(text) == len("2026-11-21T22:00:00.000000Z")
    seconds, micros = divmod(wall_ns // 1000, 10**6)
    assert datetime.fromisoformat(text) == datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)


@pytest.mark.parametrize("wall_ns", [-1, -(10**30), 10**30])
def test_a_clock_gone_mad_still_gives_a_time(wall_ns: int) -> None:
    assert datetime.fromisoformat(envelope.rfc3339(wall_ns)).tzinfo is UTC


@given(walls=st.lists(WALLS, min_size=2, max_size=2, unique=True))
def test_ids_of_states_are_unique_over_topics_and_instants(walls: list[int]) -> None:
    effects = [
        StateChanged(topic=topic, kind="node", wall_ns=wall, document={"n": 1})
        for topic in ("node/ethereum/geth", "node/ethereum/reth")
        for wall in walls
    ]
    sent = [envelope.state_message(effect, ORIGIN, "b00700000000") for effect in effects]
    assert len({orjson.loads(message.payload)["id"] for message in sent}) == len(effects)


def test_a_state_without_a_document_clears_its_topic() -> None:
    gone = StateChanged(topic="node/ethereum/geth", kind="node", wall_ns=1, document=None)
    (message,) = envelope.render(gone, ORIGIN, "b00700000000")
    assert message == envelope.cleared("tocsin/v1/ams/host-a/node/ethereum/geth")
    assert (message.payload, message.retain, message.content_type) == (b"", True, None)


def test_render_speaks_for_both_kinds_of_effect() -> None:
    assert len(envelope.render(changed(ALERT), ORIGIN, "x")) == 2
    state = StateChanged(topic="chain/ethereum/head", kind="head", wall_ns=5, document={"number": 1})
    (message,) = envelope.render(state, ORIGIN, "x")
    assert message.topic == "tocsin/v1/ams/host-a/chain/ethereum/head"
    assert orjson.loads(message.payload)["type"] == "dev.tocsin.head.v1"


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (2**53 - 1, 2**53 - 1),
        (2**53, "9007199254740992"),
        (-(2**53), "-9007199254740992"),
        (True, True),
        (b"\x01\xff", "0x01ff"),
        (Severity.WARNING, "warning"),
        (StrEnum("E", {"A": "a\ud800"}).A, "a?"),  # type: ignore[attr-defined]
        (BLOCK, {"number": BLOCK.number, "hash": BLOCK.hash}),
        ((1, [2]), [1, [2]]),
        ({3, 1}, [1, 3]),
        ({1: {"a": None}}, {"1": {"a": None}}),
    ],
)
def test_values_have_one_form_on_the_wire(value: object, wire: object) -> None:
    assert envelope.plain(value) == wire
    orjson.dumps(envelope.plain(value))


def test_numbers_beyond_all_reason_and_bottomless_nesting_are_harmless() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    orjson.dumps(envelope.plain({"deep": deep, "big": 10**9000, "nan": math.nan}))


def test_dropped_rows_are_named_one_by_one_where_that_is_known() -> None:
    def ranges(count: int, *spans: tuple[int, int]) -> object:
        message = envelope.dropped_message(
            ORIGIN, "b00700000000", first=3, last=9, count=count, reason="outbox full", wall_ns=1, spans=spans
        )
        return data(message)["ranges"]

    assert ranges(7) == [[3, 9]]
    assert ranges(3, (3, 4), (9, 9)) == [[3, 4], [9, 9]]


def test_dropped_rows_are_named_in_one_event() -> None:
    message = envelope.dropped_message(
        ORIGIN, "b00700000000", first=3, last=9, count=5, reason="outbox full", wall_ns=1
    )
    assert data(message) == {"from": 3, "to": 9, "count": 5, "reason": "outbox full", "ranges": None}
    assert message.retain is False


def test_an_alert_that_is_not_on_disk_is_marked_and_nothing_else_changes() -> None:
    payload = envelope.alert_messages(changed(ALERT), ORIGIN)[0].payload
    before, after = orjson.loads(payload), orjson.loads(envelope.not_durable(payload))
    assert after["data"].pop("durable") is False
    assert after == before


@given(hours=st.integers(min_value=-5, max_value=40))
def test_a_resolved_state_stays_a_day_from_its_resolution_whenever_it_is_said(hours: int) -> None:
    resolved = dataclasses.replace(ALERT, state=AlertState.RESOLVED, resolved_wall_ns=10**18)
    message = envelope.alert_messages(changed(resolved), ORIGIN)[1]
    left = envelope.retained_expiry_s(message.topic, message.payload, 10**18 + hours * 3600 * 10**9)
    assert left == min(max(24 - hours, 0), 24) * 3600


def test_the_state_of_a_firing_alert_and_other_topics_stay() -> None:
    message = envelope.alert_messages(changed(ALERT), ORIGIN)[1]
    assert envelope.retained_expiry_s(message.topic, message.payload, 4 * 10**18) is None
    assert envelope.retained_expiry_s(ORIGIN.root + "node/a/b", b"{}", 0) is None
    assert envelope.retained_expiry_s(message.topic, b"", 0) is None
