import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.engine.codec import decode_event, encode_event
from tocsin.errors import CorruptRecord
from tocsin.model.event import Booted, Commanded, ConfigRejected, ConfigRevised, Event, Fetched, Polled, Ticked, Woken
from tocsin.model.observation import Fault, FaultKind, Part, RpcError, RpcErrorKind
from tocsin.model.settings import ChainSettings, ConsumerSettings, NodeSettings, Settings

times = st.integers(0, 2**62)
texts = st.text(max_size=20)
blobs = st.one_of(st.binary(max_size=300), texts.map(str.encode))
errors = st.builds(RpcError, kind=st.sampled_from(RpcErrorKind), code=st.integers(-(2**31), 2**31), message=texts)
parts = st.one_of(st.builds(Part, call=texts, result=blobs), st.builds(Part, call=texts, error=errors))
faults = st.builds(
    Fault,
    kind=st.sampled_from(FaultKind),
    detail=texts,
    status=st.none() | st.integers(0, 999),
    retry_after_ns=st.none() | times,
)
nodes = st.builds(
    NodeSettings,
    name=texts,
    id=texts,
    endpoint=texts,
    own=st.booleans(),
    provider=texts,
    operator=texts,
    client=texts,
    region=texts,
    host=texts,
)
chains = st.builds(
    ChainSettings,
    name=texts,
    id=st.integers(0, 2**53),
    block_time_ns=times,
    poll_ns=times,
    tick_ns=times,
    vote_by=st.lists(texts, max_size=3).map(tuple),
    nodes=st.lists(nodes, max_size=3).map(tuple),
)
settings = st.builds(
    Settings,
    site=texts,
    watchdog=texts,
    environment=texts,
    config_hash=texts,
    chains=st.lists(chains, max_size=2).map(tuple),
    consumers=st.lists(st.builds(ConsumerSettings, name=texts, silent_after_ns=times), max_size=2).map(tuple),
)
events = st.one_of(
    st.builds(Booted, t_ns=times, wall_ns=times, boot=texts, version=texts),
    st.builds(ConfigRevised, t_ns=times, settings=settings),
    st.builds(ConfigRejected, t_ns=times, problems=st.lists(texts, max_size=3).map(tuple)),
    st.builds(
        Polled,
        t_ns=times,
        started_ns=times,
        chain=texts,
        node=texts,
        poll=times,
        parts=st.lists(parts, max_size=4).map(tuple),
        fault=st.none() | faults,
        stalled=st.booleans(),
    ),
    st.builds(
        Fetched,
        t_ns=times,
        chain=texts,
        node=texts,
        request=times,
        call=texts,
        part=st.none() | parts,
        fault=st.none() | faults,
    ),
    st.builds(Woken, t_ns=times, chain=texts, node=texts, number=times, hash=texts),
    st.builds(Ticked, t_ns=times, wall_ns=times, chain=texts, loop_lag_ns=times),
    st.builds(
        Commanded,
        t_ns=times,
        wall_ns=times,
        verb=texts,
        args=st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
        by=texts,
    ),
)


@given(event=events)
def test_an_event_survives_the_journal(event: Event) -> None:
    record, bodies = encode_event(event)
    assert decode_event(record, bodies) == event
    assert encode_event(decode_event(record, bodies)) == (record, bodies)


@given(record=st.one_of(st.binary(), texts.map(str.encode)))
def test_any_bytes_as_a_record_are_read_or_refused(record: bytes) -> None:
    try:
        decode_event(record, {})
    except CorruptRecord:
        return


@given(event=events, cut=st.integers(1, 20))
def test_a_shortened_record_is_refused(event: Event, cut: int) -> None:
    record, bodies = encode_event(event)
    with pytest.raises(CorruptRecord):
        decode_event(record[:-cut], bodies)
