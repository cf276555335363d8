"""What an audit of reads finds wrong is asked once more by the engine: who says it again is named, nobody else."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.statepool import ALICE, MALLORY, OWNER_SLOT, VAULT, StatePool, about, lying, swapped, watching

from tocsin.engine.codec import decode_event, encode_event
from tocsin.model.block import BlockRef
from tocsin.model.contract import FUNCTIONS, Charge, Watch
from tocsin.model.event import ReadDoubted
from tocsin.model.reading import CallOf, Item, ProofOf, SlotOf
from tocsin.state.readaudit import Doubt

CALL = CallOf(to=VAULT, data=bytes.fromhex(FUNCTIONS[Watch.OWNER][2:]))
SLOT = SlotOf(address=VAULT, key=OWNER_SLOT.to_bytes(32))
PROOF = ProofOf(address=VAULT, keys=(OWNER_SLOT.to_bytes(32),))
RIGHT, WRONG = f"0x{ALICE:064x}", f"0x{MALLORY:064x}"


def pool_of(*, watched: bool = False) -> StatePool:
    """A pool without any watched contract, unless proofs are to be known to work."""
    pool = StatePool(watching() if watched else watching(contracts=()))
    pool.rounds(8)
    return pool


def doubt(pool: StatePool, node: str, item: Item, expected: str = RIGHT) -> ReadDoubted:
    state = pool.state.chains["sim"]
    assert state.head.block is not None
    header = state.tree.headers[state.head.block.hash]
    found = Doubt(
        charge=Charge.PROOF if isinstance(item, ProofOf) else Charge.VALUE,
        node=node,
        block=BlockRef(number=header.number, hash=header.hash),
        root=header.state_root,
        item=item,
        expected="" if isinstance(item, ProofOf) else expected,
        agreed=("n0",),
    ).told("sim", pool.now)
    record, blobs = encode_event(found)
    assert decode_event(record, blobs) == found
    return found


@pytest.mark.parametrize(
    ("item", "method", "lie", "detector"),
    [
        (CALL, "eth_call", lambda _: WRONG, "node.call_mismatch"),
        (SLOT, "eth_getStorageAt", lambda _: WRONG, "node.call_mismatch"),
        (PROOF, "eth_getProof", swapped(MALLORY), "node.proof_invalid"),
    ],
)
def test_who_gives_it_wrong_again_is_named_with_evidence(
    item: Item, method: str, lie: Callable[[Any], Any], detector: str
) -> None:
    pool = pool_of(watched=isinstance(item, ProofOf))
    _, liar, *_ = pool.nodes
    pool.answers[liar] = lying(method, lie, about(VAULT))
    pool.take(doubt(pool, liar, item))
    pool.rounds(4)
    assert {(name, node) for name, node, _ in pool.fired()} >= {(detector, liar)}
    assert {node for name, node, _ in pool.fired() if name == detector} == {liar}
    [*_, alert] = pool.about(detector)
    assert f"0x{VAULT.hex()}" in str(alert.evidence) or "vault" in alert.summary
    if not isinstance(item, ProofOf):
        assert alert.evidence["expected"] == RIGHT
        assert alert.evidence["expected_by"] == "quorum"
        assert alert.evidence["agreed"] == ["n0"]


@pytest.mark.parametrize("item", [CALL, SLOT, PROOF])
def test_who_gives_it_right_is_not(item: Item) -> None:
    pool = pool_of(watched=True)
    for name in pool.nodes:
        pool.take(doubt(pool, name, item))
        pool.rounds(3)
    assert not pool.alerts
    assert not pool.state.chains["sim"].contracts.suspicions


def test_doubts_that_are_none_change_nothing() -> None:
    pool = pool_of()
    before = pool.state.chains["sim"].contracts
    _, name, *_ = pool.nodes
    good = doubt(pool, name, CALL)
    for change in (
        {"chain": "other"},
        {"node": "nobody"},
        {"question": "nonsense"},
        {"expected": ""},
        {"charge": Charge.PROOF},
    ):
        pool.take(ReadDoubted(**{**{at: getattr(good, at) for at in ReadDoubted.__dataclass_fields__}, **change}))
        assert pool.state.chains["sim"].contracts == before
    # Where no proof was ever sound, proofs accuse nobody.
    pool.take(doubt(pool, name, PROOF))
    assert pool.state.chains["sim"].contracts == before
