"""State of a real anvil at one block, however the block is named, and none of a block that it left."""

import orjson
import pytest
from tests.support.anvil import Anvil
from tests.support.rpcserver import endpoint, engine_clock

from tocsin.chain.header import decode_header
from tocsin.chain.keccak import keccak256
from tocsin.chain.proof import Claim, Proven, claim_of, verify
from tocsin.chain.receipts import Logs, logs_of
from tocsin.clock import SystemClock
from tocsin.model.block import BlockRef, Header
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.observation import RpcErrorKind
from tocsin.model.reading import CallOf, CodeOf, Pin, ProofOf, ReceiptsOf, SlotOf, reading
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session

CONTRACT = bytes.fromhex("c0ffee" + "00" * 17)
CODE = bytes.fromhex("602035600035555f545f525f60205fa160205ff3")
"""Writes its second word of input to the slot that the first one names, logs slot 0 and returns it."""
READ_ZERO = bytes.fromhex("5f545f5260205ff3")
"""Returns slot 0."""


def word(value: int) -> bytes:
    return value.to_bytes(32)


async def read(anvil: Anvil, block: BlockRef, pin: Pin, *items: object) -> Fetched:
    resolver = Resolver(SystemClock())
    session = Session(endpoint(anvil.url), clock=engine_clock(), resolver=resolver)
    try:
        call = reading(block, pin, items)  # type: ignore[arg-type]
        return await session.fetch(Fetch(request=1, chain="test", node="n", call=call))
    finally:
        await session.close()
        await resolver.close()


async def head(anvil: Anvil) -> tuple[Header, bytes]:
    block = await anvil.block()
    decoded = decode_header(orjson.dumps(block))
    assert isinstance(decoded, Header)
    return decoded, bytes.fromhex(block["receiptsRoot"][2:])


async def write(anvil: Anvil, slot: int, value: int) -> None:
    sender = (await anvil.call("eth_accounts"))[0]
    data = f"0x{(word(slot) + word(value)).hex()}"
    await anvil.call(
        "eth_sendTransaction", {"from": sender, "to": f"0x{CONTRACT.hex()}", "data": data, "gas": "0x30d40"}
    )
    await anvil.mine()


@pytest.mark.parametrize("pin", Pin)
async def test_all_kinds_of_state_are_read_at_one_block_that_is_not_the_newest(anvil: Anvil, pin: Pin) -> None:
    await anvil.call("anvil_setCode", f"0x{CONTRACT.hex()}", f"0x{CODE.hex()}")
    await write(anvil, 0, 7)
    at, receipts_root = await head(anvil)
    await write(anvil, 0, 8)
    items = (
        ProofOf(address=CONTRACT, keys=(word(0), word(1))),
        SlotOf(address=CONTRACT, key=word(0)),
        CodeOf(address=CONTRACT),
        CallOf(to=CONTRACT, data=b"", code=READ_ZERO),
        ReceiptsOf(),
    )
    found = await read(anvil, at.ref, pin, *items)
    assert found.fault is None
    assert not [part.error for part in found.run if part.error is not None]
    parts = [part.result for part in found.run]
    if pin is Pin.NUMBER:
        before, *parts, after = parts
        assert before == after
        assert orjson.loads(before or b"")["hash"] == at.hash
    proof, slot, code, returned, receipts = [part or b"" for part in parts]
    claim = claim_of(proof, CONTRACT, (word(0), word(1)))
    assert isinstance(claim, Claim)
    proven = verify(bytes.fromhex(at.state_root[2:]), claim)
    assert isinstance(proven, Proven)
    assert proven.account is not None
    assert proven.slots == {word(0): 7, word(1): 0}
    assert int(orjson.loads(slot), 16) == 7
    assert keccak256(bytes.fromhex(orjson.loads(code)[2:])) == proven.account.code_hash
    assert orjson.loads(returned) == f"0x{word(7).hex()}"
    logs = logs_of(receipts_root, receipts)
    assert isinstance(logs, Logs)
    assert [(log.address, log.data) for log in logs.logs] == [(CONTRACT, word(7))]


async def test_nothing_is_read_at_a_block_that_the_node_has_left(anvil: Anvil) -> None:
    await anvil.mine(3)
    left, _ = await head(anvil)
    await anvil.call("anvil_rollback", 2)
    await anvil.mine(3, apart_s=5)
    by_object = await read(anvil, left.ref, Pin.OBJECT, SlotOf(address=CONTRACT, key=word(0)))
    assert by_object.part is not None
    assert by_object.part.error is not None
    assert by_object.part.error.kind is RpcErrorKind.NOT_FOUND
    by_number = await read(anvil, left.ref, Pin.NUMBER, SlotOf(address=CONTRACT, key=word(0)))
    before, _, after = [orjson.loads(part.result or b"") for part in by_number.run]
    assert before["hash"] == after["hash"] != left.hash
