"""A request that was written before its block was known is the one that would be written for that block."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.block import BlockRef
from tocsin.model.reading import CallOf, CodeOf, Item, Pin, ProofOf, ReceiptsOf, SlotOf, reading
from tocsin.wire.jsonrpc import encode
from tocsin.wire.prepared import Prepared

ADDRESS, WORD = (st.binary(min_size=size, max_size=size) for size in (20, 32))
DATA = st.binary(max_size=300)
ITEMS: st.SearchStrategy[Item] = st.one_of(
    st.builds(CallOf, to=ADDRESS, data=DATA, code=DATA),
    st.builds(SlotOf, address=ADDRESS, key=WORD),
    st.builds(ProofOf, address=ADDRESS, keys=st.lists(WORD, max_size=3).map(tuple)),
    st.builds(CodeOf, address=ADDRESS),
    st.just(ReceiptsOf()),
)
BLOCKS = st.builds(
    BlockRef, number=st.integers(0, 2**40), hash=st.binary(min_size=32, max_size=32).map(lambda data: f"0x{data.hex()}")
)


@given(ITEMS, st.lists(BLOCKS, min_size=1, max_size=3), st.sampled_from([Pin.OBJECT, Pin.HASH]))
def test_it_is_the_request_that_is_written_when_the_block_is_known(
    item: Item, blocks: list[BlockRef], pin: Pin
) -> None:
    request = Prepared.of(item)
    for block in blocks:
        assert request.at(block, pin) == encode((reading(block, pin, (item,)),), batch=False)


def test_by_its_number_a_block_takes_more_than_one_request() -> None:
    with pytest.raises(ValueError, match="which block of a number"):
        Prepared.of(ReceiptsOf()).at(BlockRef(number=1, hash="0x"), Pin.NUMBER)
