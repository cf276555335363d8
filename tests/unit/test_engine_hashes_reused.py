"""One group that shows hashes of the others with contents of its own, which no header hash can disprove."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from tests.support.pool import Answer, settings_for
from tests.support.ticking import Ticking

from tocsin.chain.nodelife import NodeLife, NodeState
from tocsin.chain.tree import relation
from tocsin.engine.state import ChainState, Window
from tocsin.engine.tick import _words
from tocsin.model.alert import Grade
from tocsin.model.observation import Fault
from tocsin.model.settings import BaseFeeRule
from tocsin.model.view import Behind
from tocsin.testing import SimNode
from tocsin.testing.headers import HEADER_FIELDS, header_hash

Block = dict[str, Any]
SLOT_NS = 12 * 10**9


def showing(change: Callable[[str, Block], Block | None]) -> Answer:
    """A node that changes each block before it shows it; the tag or hash that was asked for goes with it."""

    return lambda node, request: _changed(change, node.answer(request), request)


def _changed(change: Callable[[str, Block], Block | None], answers: bytes | Fault, request: bytes) -> bytes:
    assert isinstance(answers, bytes)
    asked = {call["id"]: call for call in _listed(orjson.loads(request))}
    found = orjson.loads(answers)
    for each in _listed(found):
        if isinstance(each.get("result"), dict) and "parentHash" in each["result"]:
            each["result"] = change(asked[each["id"]]["params"][0], each["result"])
    return orjson.dumps(found)


def _listed(body: Any) -> list[Any]:
    return body if isinstance(body, list) else [body]


def unverifiable(block: Block, **changes: str) -> Block:
    """The block with fields changed, and one more that no known header has: its hash accuses nobody."""
    return {**block, "l1Field": "0x1", **changes}


def moved(block: Block, by: int) -> Block:
    return unverifiable(block, number=hex(int(block["number"], 16) + by))


@pytest.mark.parametrize("liar", ["n0", "n1", "n2"])
@pytest.mark.parametrize("by", [20, 2**62])
def test_a_true_finalized_hash_at_a_made_up_height_moves_nothing(liar: str, by: int) -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(6)
    pool.answers[liar] = showing(lambda tag, block: moved(block, by) if tag == "finalized" else block)
    pool.rounds(20)
    shown = pool.state.chains["sim"].finalized.block
    assert shown is not None
    true = next(block for block in pool.chain.branch().blocks if block.hash == shown.hash)
    assert shown.number == true.number
    assert shown.number >= pool.chain.finalized_number(pool.chain.head()) - 3
    assert not {who for _, who, _ in pool.fired()} - {liar}


# -- links between the heads of the others


def wrong_number(_asked: str, block: Block) -> Block:
    return moved(block, -5)


def wrong_parent(_asked: str, block: Block) -> Block:
    return unverifiable(block, parentHash="0x" + "ab" * 32)


def late_by(pool: Ticking, slots: int) -> Answer:
    node = SimNode(pool.chain, name="late", delay_ns=500_000_000 + slots * SLOT_NS)
    return lambda _node, request: node.answer(request)


def asked_by_hash(lie: Callable[[str, Block], Block | None]) -> Answer:
    """Tells the truth in every poll, and lies when it is asked for a header that links the others."""

    def change(asked: str, block: Block) -> Block | None:
        return lie(asked, block) if len(asked) == len(block["hash"]) else block

    return showing(change)


@pytest.mark.parametrize("liars", [1, 2])
@pytest.mark.parametrize("lie", [wrong_number, wrong_parent, lambda _asked, _block: None])
def test_a_group_that_is_asked_for_links_cuts_nobody_off(liars: int, lie: Callable[[str, Block], Block | None]) -> None:
    pool = Ticking(settings_for((*("liar",) * liars, "b", "c")))
    honest = f"n{liars + 1}"
    pool.answers[honest] = late_by(pool, 5)
    for at in range(liars):
        pool.answers[f"n{at}"] = asked_by_hash(lie)
    pool.rounds(30)
    assert {who for detector, who, _ in pool.fired() if detector != "node.lag"} <= {"n0", "n1"} - {honest}
    assert pool.grades[-1] is Grade.QUORUM


@pytest.mark.parametrize("lie", [wrong_number, wrong_parent])
@pytest.mark.parametrize("back", [1, 2, 4])
def test_who_shows_a_block_of_the_others_as_its_own_head_cuts_nobody_off(
    back: int, lie: Callable[[str, Block], Block]
) -> None:
    pool = Ticking(settings_for(("liar", "b", "c")))
    behind = SimNode(pool.chain, name="behind", delay_ns=back * SLOT_NS)
    liar = showing(lambda asked, block: block if asked in ("safe", "finalized") else lie(asked, block))
    pool.answers["n2"] = late_by(pool, 5)
    pool.answers["n0"] = lambda _node, request: liar(behind, request)
    pool.rounds(30)
    assert not {who for detector, who, _ in pool.fired() if detector != "node.lag"} - {"n0"}
    assert pool.life("n1") is NodeState.HEALTHY


# -- chains whose headers nobody can verify


def bare(_asked: str, block: Block) -> Block:
    """A block as a chain shows it whose header lacks what Ethereum's has."""
    return {name: value for name, value in block.items() if name != "logsBloom"}


def of_an_unknown_chain(*, late: int = 0) -> Ticking:
    """Three nodes of three groups, the second of them so many slots late."""
    pool = Ticking(settings_for(("a", "b", "liar")))
    behind = late_by(pool, late)
    plain = showing(bare)
    pool.answers |= dict.fromkeys(("n0", "n2"), plain)
    pool.answers["n1"] = lambda node, request: _changed(bare, behind(node, request), request)
    pool.rounds(12)
    return pool


LIES = [
    lambda block: {"number": hex(int(block["number"], 16) - 3)},
    lambda block: {"number": hex(int(block["number"], 16) - 1)},
    lambda _block: {"parentHash": "0x" + "00" * 32},
    lambda _block: {"timestamp": "0x1", "stateRoot": "0x" + "00" * 32},
]


@pytest.mark.parametrize("late", [0, 1, 3])
@pytest.mark.parametrize("lie", LIES)
def test_who_shows_the_others_hashes_with_other_contents_accuses_none_of_them(
    late: int, lie: Callable[[Block], Block]
) -> None:
    pool = of_an_unknown_chain(late=late)
    pool.answers["n2"] = showing(lambda asked, block: bare("", {**block, **(lie(block) if asked == "latest" else {})}))
    true = {}
    for _ in range(60 if late > 1 else 30):
        pool.round()
        true |= {block.hash: block.number for block in pool.chain.branch().blocks}
        head = pool.state.chains["sim"].head
        assert head.block is not None
        assert head.block.number == true[head.block.hash], "a height that one group made up"
    assert not {who for _, who, _ in pool.fired()} & {"n0", "n1"}
    if late > 1:
        # Of blocks that only one honest node has shown nobody may be able to tell who is right: then that is told.
        is_told = ("pool.quorum_lost", "sim", "warning") in pool.fired()
        assert is_told == (pool.grades[-1] is not Grade.QUORUM)
        return
    assert pool.grades[-1] is Grade.QUORUM
    assert head.block.number >= pool.chain.head().number - 1 - late


def test_who_shows_a_wrong_block_unprovably_first_hides_nothing() -> None:
    rules = {"base_fee": BaseFeeRule(denominator=8, elasticity=2)}
    base = settings_for(("a", "b", "liar", "liar"))
    pool = Ticking(replace(base, chains=(replace(base.chains[0], **rules),)))
    pool.rounds(12)
    pool.chain.fork("bad", breaks="base_fee")
    bad = SimNode(pool.chain, name="bad", delay_ns=0)
    bad.view.branch = "bad"
    pool.answers["n2"] = lambda _node, request: _changed(bare, bad.answer(request), request)
    pool.rounds(7)
    pool.chain.halt("bad")
    wrong = pool.chain.head("bad").hash
    assert wrong in pool.state.chains["sim"].tree.headers
    pool.answers["n3"] = lambda _node, request: bad.answer(request)
    pool.rounds(2)
    assert wrong in pool.state.chains["sim"].breaches


def child_of(block: Block, salt: int) -> Block:
    """A block that nobody built on this one, and that hashes to its hash."""
    number = hex(int(block["number"], 16) + 1)
    made_up = {
        **block,
        "number": number,
        "parentHash": block["hash"],
        "timestamp": hex(int(block["timestamp"], 16) + 12),
    }
    made_up |= {"extraData": f"0x{salt:04x}"}
    return {**made_up, "hash": header_hash({name: made_up[name] for name in HEADER_FIELDS if name in made_up})}


@pytest.mark.parametrize("late", [0, 1, 5])
@pytest.mark.parametrize("back", [0, 1, 3])
def test_who_makes_a_child_that_verifies_of_what_nobody_can_verify_takes_no_vote_from_anybody(
    late: int, back: int
) -> None:
    """After a fork that the others' clients know and we do not."""
    pool = of_an_unknown_chain(late=late)
    below = SimNode(pool.chain, name="below", delay_ns=back * SLOT_NS)
    child = showing(lambda asked, block: child_of(block, pool.polls) if asked == "latest" else bare(asked, block))
    pool.answers["n2"] = lambda _node, request: child(below, request)
    for _ in range(30):
        pool.round()
        assert pool.grades[-1] is Grade.QUORUM
    head = pool.state.chains["sim"].head.block
    assert head is not None
    assert head.number >= pool.chain.head().number - 1 - late
    assert head.hash in {block.hash for block in pool.chain.branch().blocks}
    own_pace = {"node.lag", "pool.majority_stalled"} if late > 1 else set()
    assert not {who for detector, who, _ in pool.fired() if detector not in own_pace} - {"n2"}


def test_what_two_groups_have_shown_is_not_cut_by_one_that_tells_it_otherwise_later() -> None:
    pool = Ticking(settings_for(("a", "b", "late", "liar")))
    behind, lower = late_by(pool, 14), late_by(pool, 12)
    plain = showing(bare)
    pool.answers |= dict.fromkeys(("n0", "n1", "n3"), plain)
    pool.answers["n2"] = lambda node, request: _changed(bare, behind(node, request), request)
    pool.rounds(100)
    assert {(detector, who) for detector, who, _ in pool.fired()} == {("node.lag", "n2")}

    def lying(asked: str, block: Block) -> Block:
        return bare(asked, {**block, "parentHash": "0x" + "00" * 32} if asked == "latest" else block)

    pool.answers["n3"] = lambda node, request: _changed(lying, lower(node, request), request)
    for _ in range(20):
        pool.round()
        chain = pool.state.chains["sim"]
        shown, agreed = chain.nodes["n2"].head, chain.head.block
        assert shown is not None
        assert agreed is not None
        assert isinstance(relation(chain.tree, shown, agreed), Behind)


WINDOW = Window(since_wall_ns=0, until_ns=10**30, until_wall_ns=10**30, by="x", reason="")
SILENCED: dict[str, Callable[[ChainState], ChainState]] = {
    "in maintenance": lambda state: replace(state, maintenance={"n2": WINDOW}),
    "corrupt": lambda state: replace(state, lives={"n2": NodeLife(state=NodeState.CORRUPT, since_ns=0)}),
    "ruled out": lambda state: replace(state, ruled_out={"n2": "the trusted block"}),
    "silent": lambda state: replace(state, nodes={**state.nodes, "n2": replace(state.nodes["n2"], missed=3)}),
    "not heard since the start": lambda state: replace(
        state, nodes={**state.nodes, "n2": replace(state.nodes["n2"], last_answer_ns=None)}
    ),
}


@pytest.mark.parametrize("how", SILENCED)
def test_a_node_without_a_vote_has_no_word_about_what_a_hash_stands_for(how: str) -> None:
    pool = of_an_unknown_chain()
    state, chain = pool.state.chains["sim"], pool.settings.chains[0]
    before = _words(state, chain)
    assert all(shown for group in before for shown in group)
    assert _words(SILENCED[how](state), chain) == [*before[:2], [()]]
