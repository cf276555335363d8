"""What is read at a block survives its name, and each thing of it is one request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orjson import loads

from tocsin.model.block import BlockRef
from tocsin.model.logquery import LogFilter, LogsAt, LogsIn
from tocsin.model.observation import CHAIN_ID, by_number, run_of, singles
from tocsin.model.reading import (
    BalanceOf,
    CallOf,
    CodeOf,
    Item,
    LogsOf,
    Pin,
    ProofOf,
    Reading,
    ReceiptsOf,
    SlotOf,
    parse,
    reading,
    requests,
)
from tocsin.wire.jsonrpc import encode, method_of

ADDRESSES, WORDS = st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32)
FILTERS = st.builds(LogFilter, addresses=ADDRESSES.map(lambda one: (one,)), topics=WORDS.map(lambda one: (one,)))
QUERIES = st.one_of(
    st.builds(
        LogsAt,
        block=st.builds(BlockRef, number=st.integers(0, 2**60), hash=WORDS.map(lambda word: f"0x{word.hex()}")),
        wanted=FILTERS,
    ),
    st.tuples(st.integers(0, 2**40), st.integers(0, 300), FILTERS).map(
        lambda told: LogsIn(first=told[0], last=told[0] + told[1], wanted=told[2])
    ),
)
ITEMS: st.SearchStrategy[Item] = st.one_of(
    st.builds(ProofOf, address=ADDRESSES, keys=st.lists(WORDS, max_size=3).map(tuple)),
    st.builds(SlotOf, address=ADDRESSES, key=WORDS),
    st.builds(CodeOf, address=ADDRESSES),
    st.builds(CallOf, to=ADDRESSES, data=st.binary(max_size=70), code=st.binary(max_size=9)),
    st.just(ReceiptsOf()),
    st.builds(BalanceOf, address=ADDRESSES),
)
BLOCKS = st.builds(BlockRef, number=st.integers(0, 2**60), hash=WORDS.map(lambda word: f"0x{word.hex()}"))
SEVERAL = st.lists(ITEMS, min_size=1, max_size=5)
LOGS = st.builds(LogsOf, query=QUERIES)


@given(BLOCKS, st.sampled_from(Pin), st.lists(st.one_of(ITEMS, LOGS), min_size=1, max_size=5))
def test_the_name_of_a_reading_says_all_of_it(block: BlockRef, pin: Pin, items: list[Item]) -> None:
    call = reading(block, pin, items)
    assert parse(call) == Reading(block=block, pin=pin, items=tuple(items))
    assert singles(call) == (call,)


@given(BLOCKS, st.sampled_from([Pin.OBJECT, Pin.HASH]), SEVERAL)
def test_each_thing_is_one_request_that_names_the_block(block: BlockRef, pin: Pin, items: list[Item]) -> None:
    each = requests(reading(block, pin, items))
    assert [parse(call) for call in each] == [Reading(block=block, pin=pin, items=(item,)) for item in items]
    body = encode(each, batch=True).decode()
    assert body.count(block.hash) >= len(items)
    assert body.count("requireCanonical") >= len(items) * (pin is Pin.OBJECT)


@given(BLOCKS, SEVERAL)
def test_what_is_read_by_number_stands_between_two_questions_for_the_header(block: BlockRef, items: list[Item]) -> None:
    first, *each, last = requests(reading(block, Pin.NUMBER, items))
    assert first == last == by_number(block.number)
    assert len(each) == len(items)
    where = [
        item["params"][1 if item["method"] == "eth_call" else -1] for item in loads(encode(tuple(each), batch=True))
    ]
    assert where == [hex(block.number)] * len(items)


@given(BLOCKS, st.sampled_from(Pin), LOGS)
def test_logs_are_asked_for_by_the_hash_of_their_block_or_by_heights_of_who_takes_no_hashes(
    block: BlockRef, pin: Pin, item: LogsOf
) -> None:
    [call] = [one for one in requests(reading(block, pin, [item])) if parse(one) is not None]
    [asked] = loads(encode((call,), batch=True))
    [told] = asked["params"]
    heights = (hex(item.query.first), hex(item.query.last))
    assert asked["method"] == "eth_getLogs"
    if isinstance(item.query, LogsAt) and pin is not Pin.NUMBER:
        assert told["blockHash"] == item.query.block.hash
        assert "fromBlock" not in told
    else:
        assert (told["fromBlock"], told["toBlock"]) == heights
        assert "blockHash" not in told
    assert told["address"] == [f"0x{item.query.wanted.addresses[0].hex()}"]


@pytest.mark.parametrize("call", [CHAIN_ID, by_number(7), run_of("0x" + "ab" * 32, 9, 3), "nonsense"])
def test_every_other_call_stands_for_what_it_stood_for(call: str) -> None:
    assert parse(call) is None
    assert requests(call) == singles(call)


HASH = "0x" + "ab" * 32
ADDRESS = "11" * 20


@pytest.mark.parametrize(
    "call",
    [
        f"read:object:7:{HASH}:",
        f"read:object:7:{HASH}",
        f"read:tag:7:{HASH}:receipts",
        f"read:object:07:{HASH}:receipts",
        f"read:object:7:{HASH[:-1]}:receipts",
        f"read:object:7:{HASH}:receipts,00",
        f"read:object:7:{HASH}:receipts;",
        f"read:object:7:{HASH}:code,{ADDRESS}00",
        f"read:object:7:{HASH}:code,{ADDRESS[:-1]}g",
        f"read:object:7:{HASH}:code",
        f"read:object:7:{HASH}:slot,{ADDRESS},00",
        f"read:object:7:{HASH}:proof,{ADDRESS},00",
        f"read:object:7:{HASH}:proof",
        f"read:object:7:{HASH}:call,{ADDRESS},0",
        f"read:object:7:{HASH}:call,{ADDRESS},00",
        f"read:object:7:{HASH}:other,{ADDRESS}",
    ],
)
def test_a_name_that_says_something_else_reads_nothing(call: str) -> None:
    assert parse(call) is None
    with pytest.raises(ValueError, match="is not a call"):
        method_of(call)


def test_several_things_are_no_single_request() -> None:
    call = reading(BlockRef(number=7, hash=HASH), Pin.HASH, [ReceiptsOf(), ReceiptsOf()])
    with pytest.raises(ValueError, match="2 things are read by as many requests"):
        method_of(call)
