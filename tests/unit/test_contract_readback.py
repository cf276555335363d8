"""What an answer about contracts says, and what is no answer."""

import pytest
from orjson import dumps, loads
from tests.support.statepool import IMPLEMENTATION, PROXY, VAULT, StatePool, swapped

from tocsin.chain.proof import Proven, Refuted
from tocsin.engine import readback
from tocsin.engine.readback import REVERTS, is_of, proof_of, value_of
from tocsin.engine.watching import items_of
from tocsin.model.block import BlockRef
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.observation import Part, RpcError, RpcErrorKind
from tocsin.model.reading import CallOf, CodeOf, Pin, ProofOf, SlotOf, parse, reading

PROOF = next(item for item in items_of(PROXY) if isinstance(item, ProofOf))
SLOT = SlotOf(address=VAULT, key=IMPLEMENTATION.to_bytes(32))
CALL = CallOf(to=VAULT, data=bytes(4))


def answered(pool: StatePool, pin: Pin, depth: int = 1, named: int = 1) -> tuple[Fetched, BlockRef, str]:
    """The proof of a node at a block, where it is asked for that (or by number for another one), and the root."""
    head = pool.chain.head()
    block, other = pool.chain.at(head.number - depth, head), pool.chain.at(head.number - named, head)
    assert block is not None
    assert other is not None
    ref = BlockRef(number=other.number, hash=block.hash)
    fetch = Fetch(request=1, chain="sim", node="n0", call=reading(ref, pin, (PROOF,)))
    return pool._fetch(fetch), ref, str(block.header["stateRoot"])


def part_of(event: Fetched) -> Part:
    return next(part for part in readback.parts_of(event) if parse(part.call) is not None)


@pytest.mark.parametrize("pin", [Pin.OBJECT, Pin.NUMBER])
def test_a_sound_proof_proves_and_a_changed_one_is_refuted_however_the_block_is_named(pin: Pin) -> None:
    event, block, root = answered(StatePool(), pin)
    assert is_of(event, block)
    part = part_of(event)
    assert isinstance(proof_of(PROOF, part, root, pin), Proven)
    assert part.result is not None
    wrong = Part(call=part.call, result=dumps(swapped(7)(loads(part.result))))
    assert isinstance(proof_of(PROOF, wrong, root, pin), Refuted)


def test_by_number_a_proof_that_begins_at_another_root_is_of_another_block_and_no_answer() -> None:
    pool = StatePool()
    pool.write(VAULT, 9, 9)
    pool.clock.advance(s=14)
    event, block, root = answered(pool, Pin.NUMBER, depth=1, named=0)
    assert not is_of(event, block)
    assert proof_of(PROOF, part_of(event), root, Pin.NUMBER) is None
    assert isinstance(proof_of(PROOF, part_of(event), root, Pin.OBJECT), Refuted)


def test_a_proof_that_was_blown_up_is_judged_alike_and_kept_by_nobody() -> None:
    event, _, root = answered(StatePool(), Pin.OBJECT)
    part = part_of(event)
    assert part.result is not None
    kept = readback._cached_verified.cache_info().currsize
    long = Part(call=part.call, result=b" " * (1 << 18) + part.result)
    assert isinstance(proof_of(PROOF, long, root, Pin.OBJECT), Proven)
    assert readback._cached_verified.cache_info().currsize == kept


def test_without_a_verified_root_nothing_is_proven_or_refuted() -> None:
    event, _, _ = answered(StatePool(), Pin.OBJECT)
    assert proof_of(PROOF, part_of(event), "", Pin.OBJECT) is None


@pytest.mark.parametrize(
    ("item", "result", "value"),
    [
        (SLOT, b'"0x0"', "0x" + "00" * 32),
        (SLOT, b'"0x7"', "0x" + "00" * 31 + "07"),
        (SLOT, b'"0x' + b"11" * 32 + b'"', "0x" + "11" * 32),
        (SLOT, b'"0x' + b"11" * 33 + b'"', None),
        (SLOT, b"7", None),
        (SLOT, b'"0x 7"', None),
        (SLOT, b"null", None),
        (CALL, b'"0x"', "0x"),
        (CALL, b'"0xabcd"', "0xabcd"),
        (CALL, b'"abcd"', None),
        (CodeOf(address=VAULT), b'"0x"', readback.NO_CODE),
        (CodeOf(address=VAULT), b"{}", None),
    ],
)
def test_a_result_is_a_value_or_no_answer(item: SlotOf | CallOf | CodeOf, result: bytes, value: str | None) -> None:
    assert value_of(item, Part(call="x", result=result)) == value


def test_a_long_result_is_kept_by_its_length_and_hash() -> None:
    said = value_of(CALL, Part(call="x", result=b'"0x' + b"ab" * 5000 + b'"'))
    assert said is not None
    assert said.startswith("5000 bytes, keccak 0x")
    assert len(said) < 100


@pytest.mark.parametrize("kind", RpcErrorKind)
def test_a_revert_is_what_a_call_says_and_every_other_error_says_nothing(kind: RpcErrorKind) -> None:
    part = Part(call="x", error=RpcError(kind=kind, code=-32000, message="no"))
    assert value_of(CALL, part) == (REVERTS if kind is RpcErrorKind.REVERT else None)
    assert value_of(SLOT, part) is None
