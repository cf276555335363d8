"""What is asked of the logs of contracts survives its name, and goes out as one filter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orjson import loads

from tocsin.model import logquery, reading
from tocsin.model.block import BlockRef
from tocsin.model.logquery import LogFilter, LogQuery, LogsAt, LogsIn, logs
from tocsin.model.observation import CHAIN_ID, by_number, run_of
from tocsin.wire.jsonrpc import encode, method_of


def several(size: int) -> st.SearchStrategy[tuple[bytes, ...]]:
    items = st.binary(min_size=size, max_size=size)
    return st.sets(items, min_size=1, max_size=4).map(lambda found: tuple(sorted(found)))


FILTERS = st.builds(LogFilter, addresses=several(20), topics=several(32), first_arguments=st.just(()) | several(32))
NUMBERS = st.integers(0, 2**60)
BLOCKS = st.builds(BlockRef, number=NUMBERS, hash=st.binary(min_size=32, max_size=32).map(lambda one: f"0x{one.hex()}"))
RANGES = st.tuples(NUMBERS, NUMBERS).map(sorted)
QUERIES: st.SearchStrategy[LogQuery] = st.one_of(
    st.builds(lambda ends, wanted: LogsIn(first=ends[0], last=ends[1], wanted=wanted), RANGES, FILTERS),
    st.builds(LogsAt, block=BLOCKS, wanted=FILTERS),
)


@given(QUERIES)
def test_the_name_of_a_question_for_logs_says_all_of_it_and_is_one_request(query: LogQuery) -> None:
    call = logs(query)
    assert logquery.parse(call) == query
    assert reading.requests(call) == (call,)
    assert reading.parse(call) is None


@given(QUERIES)
def test_what_is_asked_is_what_the_node_is_asked(query: LogQuery) -> None:
    call = logs(query)
    asked = loads(encode((call,), batch=False))
    assert asked["method"] == method_of(call) == "eth_getLogs"
    [wanted] = asked["params"]
    assert [bytes.fromhex(one[2:]) for one in wanted["address"]] == list(query.wanted.addresses)
    topics, *more = wanted["topics"]
    assert [bytes.fromhex(one[2:]) for one in topics] == list(query.wanted.topics)
    firsts = [list(query.wanted.first_arguments)] if query.wanted.first_arguments else []
    assert [[bytes.fromhex(one[2:]) for one in words] for words in more] == firsts
    match query:
        case LogsIn():
            assert (int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)) == (query.first, query.last)
            assert "blockHash" not in wanted
        case LogsAt():
            assert wanted["blockHash"] == query.block.hash
            assert not {"fromBlock", "toBlock"} & wanted.keys()


A, T = "aa" * 20, "bb" * 32


@pytest.mark.parametrize(
    "call",
    [
        CHAIN_ID,
        by_number(5),
        run_of("0x" + "ab" * 32, 9, 3),
        "logs:",
        f"logs:5:{A}:{T}",
        f"logs:05-7:{A}:{T}",
        f"logs:7-5:{A}:{T}",
        f"logs:5-7:{A}",
        f"logs:5-7::{T}",
        f"logs:5-7:{A[2:]}:{T}",
        f"logs:5-7:{A},{A}:{T}",
        f"logs:5-7:{A},:{T}",
        f"logs:5-7:{A.upper()}:{T}",
        f"logs:5@0x12:{A}:{T}",
        f"logs:5-7:{A}:{T} ",
        f"logs:5-7:{A}:{T}:",
        f"logs:5-7:{A}:{T}:{T[2:]}",
        f"logs:5-7:{A}:{T}:{T},{T}",
    ],
)
def test_no_other_call_asks_for_logs(call: str) -> None:
    assert logquery.parse(call) is None


@pytest.mark.parametrize(
    ("addresses", "topics"),
    [((), (b"t" * 32,)), ((b"a" * 20,), ()), ((b"a" * 19,), (b"t" * 32,)), ((b"b" * 20, b"a" * 20), (b"t" * 32,))],
)
def test_a_filter_that_would_ask_for_everything_or_nothing_is_refused(
    addresses: tuple[bytes, ...], topics: tuple[bytes, ...]
) -> None:
    with pytest.raises(ValueError, match="expected at least one"):
        LogFilter(addresses=addresses, topics=topics)
