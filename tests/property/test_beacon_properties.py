"""Beacon nodes may send anything, in any order: nothing raises, nothing grows, and the record stays in order."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.clock import MS, NS
from tocsin.engine.beacons import fold
from tocsin.engine.codec import decode_event, encode_event
from tocsin.model import beacon
from tocsin.model.beacon import FINALS_KEPT, BeaconRecord
from tocsin.model.event import BeaconPolled
from tocsin.model.observation import Fault, FaultKind, Part
from tocsin.wire import beacon as wire

ROOTS = ["0x" + f"{number:02x}" * 32 for number in range(6)]
CALLS = [*wire.PATHS, *(beacon.payload_of(root) for root in ROOTS)]
_LARGEST_PART = 2_000

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=4,
)
quantities = st.integers(-2, 40).map(str) | st.integers(0, 2**66).map(str) | json_values
roots = st.sampled_from(ROOTS) | json_values


@st.composite
def documents(draw: st.DrawFn, call: str) -> object:
    """An answer of the right shape, with anything in it; or anything at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(json_values)
    payload = {"block_hash": draw(roots), "block_number": draw(quantities)}
    data: dict[str, dict[str, object]] = {
        beacon.HEAD: {
            "root": draw(roots),
            "header": {"message": {"slot": draw(quantities), "parent_root": draw(roots)}},
        },
        beacon.SYNC: {
            "is_syncing": draw(json_values),
            "is_optimistic": draw(json_values),
            "sync_distance": draw(quantities),
        },
        beacon.FINALITY: {"finalized": {"epoch": draw(quantities), "root": draw(roots)}},
        beacon.PEERS: {"connected": draw(quantities)},
        beacon.VERSION: {"version": draw(json_values)},
        beacon.GENESIS: {"genesis_time": draw(quantities), "genesis_validators_root": draw(roots)},
        beacon.SPEC: {"SECONDS_PER_SLOT": draw(quantities), "SLOT_DURATION_MS": draw(quantities)},
        beacon.DEPOSIT: {"chain_id": draw(quantities)},
    }
    body = {draw(st.sampled_from(["execution_payload", "execution_payload_header"])): payload}
    found = data.get(call, {"message": {"slot": draw(quantities), "body": body}})
    return {"execution_optimistic": draw(json_values), "data": found}


@st.composite
def parts(draw: st.DrawFn) -> tuple[Part, ...]:
    found = []
    for call in draw(st.lists(st.sampled_from(CALLS), unique=True, max_size=4)):
        said = wire.read(call, 200, orjson.dumps(draw(documents(call))))
        found.append(said if isinstance(said, Part) else wire.refused(call, said))
    return tuple(found)


@st.composite
def polls(draw: st.DrawFn) -> list[BeaconPolled]:
    events = []
    for number in range(1, draw(st.integers(1, 5)) + 1):
        blank = {"t_ns": number * 10**9, "started_ns": number * 10**9 - 1, "chain": "c", "node": "b", "poll": number}
        if draw(st.integers(0, 5)) == 0:
            fault = Fault(kind=draw(st.sampled_from(FaultKind)), detail="x")
            events.append(BeaconPolled(**blank, fault=fault, stalled=draw(st.booleans())))  # type: ignore[arg-type]
        else:
            events.append(BeaconPolled(**blank, parts=draw(parts())))  # type: ignore[arg-type]
    return events


@given(
    call=st.sampled_from(CALLS),
    status=st.integers(100, 599),
    body=st.binary(max_size=400) | json_values.map(orjson.dumps),
)
def test_any_bytes_become_a_part_or_a_fault(call: str, status: int, body: bytes) -> None:
    said = wire.read(call, status, body)
    assert isinstance(said, Part | Fault)
    if isinstance(said, Part):
        assert said.call == call
        assert len(said.result or b"") <= _LARGEST_PART


@settings(deadline=None, max_examples=60)
@given(call=st.sampled_from(CALLS), data=st.data())
def test_what_is_kept_of_an_answer_is_small_and_reads_to_itself(call: str, data: st.DataObject) -> None:
    said = wire.read(call, 200, orjson.dumps(data.draw(documents(call))))
    if isinstance(said, Part):
        assert len(said.result or b"") <= _LARGEST_PART
        assert orjson.dumps(wire.values(said), option=orjson.OPT_SORT_KEYS) == said.result


@settings(deadline=None, max_examples=25)
@given(polls())
def test_a_record_stays_bounded_and_in_order_whatever_comes(events: list[BeaconPolled]) -> None:
    record = BeaconRecord()
    for event in events:
        before, record = record, fold(record, event)
        assert decode_event(*encode_event(event)) == event
        epochs = [one.epoch for one in record.finals]
        assert epochs == sorted(set(epochs))
        assert len(epochs) <= FINALS_KEPT
        if event.fault is not None and event.stalled:
            assert record == before
            continue
        assert record.polls == before.polls + 1
        assert (record.missed == 0) == (record.fault is None)
        assert record.slot_ns is None or MS <= record.slot_ns <= 3_600 * NS
        assert record.genesis_time_s is None or 0 < record.genesis_time_s <= 2**33
        assert record.head is None or 0 <= record.head.slot <= 2**40
        assert record.answers - before.answers == (record.missed == 0)
        if record.missed:
            assert (record.head, record.finals) == (before.head, before.finals)
