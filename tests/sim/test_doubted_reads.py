"""What an audit of reads finds wrong is asked once more by the engine: who says it again is named, nobody else."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.statepool import ALICE, MALLORY, OWNER_SLOT, VAULT, StatePool, about, lying, swapped, watching, world

from tocsin.clock import NS
from tocsin.engine.codec import decode_event, encode_event
from tocsin.engine.facts import is_on_chain
from tocsin.model.block import BlockRef
from tocsin.model.contract import FUNCTIONS, Charge, Watch
from tocsin.model.event import ReadDoubted
from tocsin.model.evolve import evolve
from tocsin.model.observation import hash_of
from tocsin.model.reading import CallOf, Item, ProofOf, SlotOf
from tocsin.model.settings import Settings
from tocsin.model.view import Conflict
from tocsin.state.readaudit import Doubt
from tocsin.testing import ChainSpec

CALL = CallOf(to=VAULT, data=bytes.fromhex(FUNCTIONS[Watch.OWNER][2:]))
SLOT = SlotOf(address=VAULT, key=OWNER_SLOT.to_bytes(32))
PROOF = ProofOf(address=VAULT, keys=(OWNER_SLOT.to_bytes(32),))
RIGHT, WRONG = f"0x{ALICE:064x}", f"0x{MALLORY:064x}"


def pool_of(*, watched: bool = False) -> StatePool:
    """A pool without any watched contract, unless proofs are to be known to work."""
    pool = StatePool(watching() if watched else watching(contracts=()))
    pool.rounds(8)
    return pool


def doubt(
    pool: StatePool, node: str, item: Item, expected: str = RIGHT, *, of: tuple[BlockRef, str] | None = None
) -> ReadDoubted:
    """`of` is the block and its root, if not the agreed head."""
    state = pool.state.chains["sim"]
    assert state.head.block is not None
    header = state.tree.headers[state.head.block.hash]
    block, root = of or (BlockRef(number=header.number, hash=header.hash), header.state_root)
    found = Doubt(
        charge=Charge.PROOF if isinstance(item, ProofOf) else Charge.VALUE,
        node=node,
        block=block,
        root=root,
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


def liar_of(pool: StatePool) -> str:
    """Let one node say something else of the vault."""
    _, liar, *_ = pool.nodes
    pool.answers[liar] = lying("eth_call", lambda _: WRONG, about(VAULT))
    return liar


def doubted_once_it_is_old(pool: StatePool) -> tuple[str, ReadDoubted]:
    """Let a node lie of a block that is final, and another one be final before that is told."""
    liar = liar_of(pool)
    chain = pool.state.chains["sim"]
    assert chain.finalized.block is not None
    block = pool.chain.by_hash(chain.finalized.block.hash)
    assert block is not None
    assert block.world is not None
    asked = doubt(pool, liar, CALL, of=(chain.finalized.block, f"0x{block.world.trie.root.hex()}"))
    while pool.state.chains["sim"].finalized.block == chain.finalized.block:
        pool.rounds(1)
    return liar, asked


def forgotten(pool: StatePool, numbers: range) -> None:
    """Let the tree have no headers of some heights."""
    chain = pool.state.chains["sim"]
    left = {name: one for name, one in chain.tree.headers.items() if one.number not in numbers}
    assert len(left) < len(chain.tree.headers)
    pool.state = evolve(pool.state, chains={"sim": evolve(chain, tree=evolve(chain.tree, headers=left))})


@pytest.mark.parametrize("lacking", [range(-100, 2), range(1, 4)])
def test_who_is_wrong_about_a_block_that_was_final_is_named_though_another_one_is_by_then(lacking: range) -> None:
    """It is kept no more, or what lies above it is not."""
    pool = StatePool(watching(contracts=()), spec=ChainSpec(history=200, world=world(), finalized_after=8))
    pool.rounds(80)
    liar, asked = doubted_once_it_is_old(pool)
    at = asked.block.number
    forgotten(pool, range(at + lacking.start, at + lacking.stop))
    assert not is_on_chain(pool.state.chains["sim"], asked.block)
    pool.take(asked)
    pool.rounds(2)
    assert {(name, node) for name, node, _ in pool.fired()} == {("node.call_mismatch", liar)}


def test_of_a_block_that_is_final_no_more_nobody_is_accused() -> None:
    pool = pool_of()
    liar, asked = doubted_once_it_is_old(pool)
    pool.take(asked)
    chain = pool.state.chains["sim"]
    assert chain.contracts.suspicions
    assert chain.finalized.block is not None
    other = Conflict(node="n0", block=asked.block, against=chain.finalized.block)
    revoked = evolve(chain, finality=evolve(chain.finality, revoked=(other,)))
    pool.state = evolve(pool.state, chains={"sim": revoked})
    pool.rounds(4)
    assert ("node.call_mismatch", liar) not in {(name, node) for name, node, _ in pool.fired()}
    assert not pool.state.chains["sim"].contracts.suspicions


def test_of_a_block_that_has_left_the_chain_nobody_is_accused() -> None:
    pool = pool_of()
    asked = doubt(pool, liar_of(pool), CALL)
    pool.chain.reorg(3)
    pool.rounds(8)
    pool.take(asked)
    pool.rounds(4)
    assert not pool.about("node.call_mismatch")
    assert not pool.state.chains["sim"].contracts.suspicions


class Busy(StatePool):
    """Its nodes answer what they are asked outside the polls four seconds later, and show headers after seven."""

    def __init__(self, settings: Settings) -> None:
        self.asked_ns: dict[int, int] = {}
        super().__init__(settings)

    def _answer_fetches(self) -> None:
        for effect in self.pending[:]:
            since_ns = self.asked_ns.setdefault(effect.request, self.now)
            if self.now - since_ns >= (7 if hash_of(effect.call) is not None else 4) * NS:
                self.pending.remove(effect)
                self.take(self._fetch(effect))


def test_who_is_busy_is_waited_for_also_where_polls_are_fast_and_so_is_the_header_that_proves_it() -> None:
    pool = Busy(watching(contracts=(), poll_s=0.25))
    pool.rounds(100)
    liar = liar_of(pool)
    pool.take(doubt(pool, liar, CALL))
    pool.rounds(40)
    [alert] = pool.about("node.call_mismatch")
    assert "gasUsed" in alert.evidence["header"]


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
