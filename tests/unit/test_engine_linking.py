"""Heads that do not link (yet): asked for with measure, never taken for a contradiction, never kept for ever."""

import hashlib
from dataclasses import replace
from itertools import pairwise

import orjson
import pytest
from tests.support.pool import settings_for
from tests.support.ticking import Ticking, at_pace, fails, nothing, stranger

from tocsin.clock import MS, NS
from tocsin.engine import backfill, fold
from tocsin.engine.codec import decode_state, encode_state
from tocsin.engine.fold import header_of
from tocsin.engine.step import step
from tocsin.model.alert import Grade
from tocsin.model.event import Fetched, Polled, Ticked
from tocsin.model.observation import CHAIN_ID, LATEST, FaultKind, Part, by_hash, hash_of
from tocsin.testing import ChainSpec, SimChain

FAST = NS // 4
SKEW = (10**8, 7 * 10**8, 13 * 10**8, 19 * 10**8)


def fast(providers: tuple[str, ...] = ("a", "b", "c"), slot_ns: int = FAST) -> Ticking:
    """A chain of several blocks a poll, and nodes that see them some blocks apart."""
    settings = at_pace(settings_for(providers), slot_ns)
    return Ticking(settings, spec=ChainSpec(slot_ns=slot_ns, seed=3), delays_ns=SKEW[: len(providers)])


@pytest.mark.parametrize("slot_ns", [FAST, 400 * MS, NS])
def test_nodes_some_blocks_apart_on_a_fast_chain_are_no_split(slot_ns: int) -> None:
    pool = fast(slot_ns=slot_ns)
    pool.rounds(100)
    assert Grade.SPLIT not in pool.grades
    assert pool.alerts == []
    head = pool.state.chains["sim"].head
    assert head.block is not None
    assert pool.chain.branch().head.number - head.block.number <= 4 * NS // slot_ns


@pytest.mark.parametrize("ahead", [2, 40, 5_000])
@pytest.mark.parametrize("slot_ns", [FAST, NS, 12 * NS])
def test_a_head_that_links_to_nothing_for_ever_makes_ordinary_skew_no_split(ahead: int, slot_ns: int) -> None:
    pool = fast(("a", "b", "c", "d"), slot_ns)
    pool.rounds(20)
    pool.answers["n3"] = stranger(pool, ahead=ahead)
    before = pool.state.chains["sim"].head.block
    pool.rounds(100)
    assert Grade.SPLIT not in pool.grades
    after = pool.state.chains["sim"].head.block
    assert before is not None
    assert after is not None
    assert after.number - before.number >= 190 * NS // slot_ns - 20, "the chain is followed all the same"
    assert {node for _, node, _ in pool.said()} <= {"n3"}


def test_two_groups_that_link_to_nothing_are_a_split_once_the_back_fill_had_its_chance() -> None:
    pool = Ticking(settings_for(("a", "b")))
    pool.rounds(20)
    pool.answers["n1"] = stranger(pool, ahead=3)
    pool.rounds(2)
    assert Grade.SPLIT not in pool.grades
    pool.rounds(20)
    # Asked for the block that was final, the stranger shows another one: the word of one group, and no accusation.
    finality = {("chain.finality_violation", "sim", "warning")}
    assert pool.fired() - finality == {("pool.split", "sim", "critical")}, "and nobody is accused"


@pytest.mark.parametrize("slot_ns", [FAST, NS, 2 * NS, 12 * NS])
def test_a_fork_is_found_however_fast_the_chain_is(slot_ns: int) -> None:
    settings = at_pace(settings_for(("a", "b", "b", "c")), slot_ns)
    pool = Ticking(settings, spec=ChainSpec(slot_ns=slot_ns))
    pool.rounds(10)
    pool.chain.fork("bad")
    pool.nodes["n3"].view.branch = "bad"
    pool.rounds(60)
    # Where the branch outlives the distance to finality, its node calls blocks of it final: that is told as well.
    finality = {("chain.finality_violation", "sim")}
    assert {(detector, node) for detector, node, _ in pool.fired()} - finality == {("node.fork", "n3")}
    pool.nodes["n3"].view.branch = "main"
    pool.rounds(230)
    assert pool.open() - finality == set()


def test_a_fork_stays_one_when_the_place_where_it_began_is_forgotten() -> None:
    pool = Ticking(at_pace(settings_for(("a", "b", "c")), NS), spec=ChainSpec(slot_ns=NS))
    pool.rounds(10)
    pool.chain.fork("bad")
    pool.nodes["n2"].view.branch = "bad"
    pool.rounds(400)
    assert pool.open() == {("node.fork", "n2"), ("chain.finality_violation", "sim")}
    assert [alert.state.value for alert in pool.alerts] == ["firing"] * len(pool.alerts)


def test_a_fork_that_is_older_than_the_watch_is_found() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.chain.fork("bad", depth=0)
    pool.clock.advance(s=3600)
    pool.nodes["n2"].view.branch = "bad"
    pool.rounds(60)
    assert pool.fired() == {("node.fork", "n2", "critical"), ("chain.finality_violation", "sim", "warning")}


def test_a_gap_is_closed_by_another_node_when_the_one_that_showed_it_gives_nothing() -> None:
    pool = fast()
    pool.answers["n0"] = lambda node, request: (
        fails(FaultKind.BUDGET)(node, request) if b"getBlockByHash" in request else node.answer(request)
    )
    pool.rounds(60)
    assert Grade.SPLIT not in pool.grades
    assert pool.alerts == []


def test_a_header_that_nobody_gives_is_asked_for_three_times() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(20)
    pool.answers_fetch = nothing
    pool.answers["n2"] = stranger(pool, ahead=3)
    asked: list[str] = []
    for _ in range(30):
        pool.round()
        asked += [name for name, one in pool.state.chains["sim"].sought.items() if one.tries and name not in asked]
    assert pool.fetched == backfill.TRIES * len(asked)
    assert max(one.tries for one in pool.state.chains["sim"].sought.values()) == backfill.TRIES


def test_a_hung_node_is_not_asked_again_before_its_time() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(20)
    pool.answers["n2"] = stranger(pool, ahead=3)
    pool.answers_fetch = None
    asked: list[int] = []
    for _ in range(30):
        for name in pool.nodes:
            pool.take(pool._poll(name, (CHAIN_ID, LATEST)))
        for _ in range(8):
            pool.tick()
            asked += [pool.now for _ in pool.pending]
            pool.pending.clear()  # the answers never come
            pool.clock.advance(ns=NS // 4)
    assert 1 <= len(asked) <= 3 * backfill.TRIES
    gaps = [later - sooner for sooner, later in pairwise(asked)]
    assert all(gap >= 3 * 2 * NS or gap == 0 for gap in gaps)


def test_a_node_that_goes_while_it_is_asked_leaves_the_search_to_others() -> None:
    pool = Ticking(at_pace(settings_for(("a", "b", "c", "d")), FAST), spec=ChainSpec(slot_ns=FAST), delays_ns=SKEW)
    pool.rounds(10)
    for name in pool.nodes:
        pool.take(pool._poll(name, (CHAIN_ID, LATEST)))
    pool.tick()
    pending, pool.pending = pool.pending[:], []
    assert pending
    chain = pool.settings.chains[0]
    gone = {effect.node for effect in pending}
    rest = tuple(node for node in chain.nodes if node.name not in gone)
    pool.reload(replace(pool.settings, chains=(replace(chain, nodes=rest),)))
    for effect in pending:
        pool.take(pool._fetch(effect))
    for name in gone:
        del pool.nodes[name]
    pool.rounds(30)
    assert pool.alerts == []
    assert pool.state.chains["sim"].head.block is not None


def unasked(call: str, result: bytes | None, request: int = 10**6) -> Fetched:
    part = None if result is None else Part(call=call, result=result)
    return Fetched(t_ns=10**16, chain="sim", node="n0", request=request, call=call, part=part)


def test_an_answer_that_nobody_asked_for_changes_nothing() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(20)
    before = pool.state.chains["sim"].tree
    block = orjson.dumps(pool.chain.branch().blocks[3].head())
    known = header_of(block)
    for event in (
        unasked(by_hash(known.hash), block),
        unasked("", None),
        unasked(LATEST, block),
        unasked("hash:", b""),
    ):  # type: ignore[union-attr]
        pool.take(event)
    pool.tick()
    assert pool.state.chains["sim"].tree == before


def test_an_answer_to_a_request_before_the_last_one_is_not_taken() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(6)
    pool.answers["n2"] = stranger(pool, ahead=3, fetches=True)
    for name in pool.nodes:
        pool.take(pool._poll(name, (CHAIN_ID, LATEST)))
    pool.tick()
    effect = next(effect for effect in pool.pending if hash_of(effect.call) is not None)
    wanted = hash_of(effect.call)
    answer = pool._fetch(effect)
    pool.take(replace(answer, request=effect.request + 1000))
    pool.tick()
    assert wanted not in pool.state.chains["sim"].tree.headers
    pool.take(answer)
    pool.tick()
    assert wanted in pool.state.chains["sim"].tree.headers


def test_another_header_than_the_one_asked_for_is_not_taken() -> None:
    pool = fast()
    wrong = orjson.dumps(SimChain(pool.clock, ChainSpec(seed=5)).branch().head.head())
    pool.answers_fetch = lambda event: replace(event, part=Part(call=event.call, result=wrong))
    pool.rounds(20)
    assert header_of(wrong).hash not in pool.state.chains["sim"].tree.headers  # type: ignore[union-attr]


# -- what is kept


def header_json(number: int, salt: str, parent: str | None = None) -> bytes:
    def of(text: str) -> str:
        return "0x" + hashlib.sha256(text.encode()).hexdigest()

    return orjson.dumps(
        {
            "number": hex(number),
            "hash": of(f"{salt}/{number}"),
            "parentHash": parent or of(f"{salt}/{number - 1}"),
            "timestamp": hex(1_700_000_000 + number),
            "stateRoot": of(salt),
        }
    )


def liars(pool: Ticking, salts: list[str], rounds: int, *, ahead: int, step_by: int) -> int:
    """Let nodes show ever new heads of nowhere; return the largest tree on the way."""
    largest = 0
    names = list(pool.nodes)
    for at in range(rounds):
        for name, salt in zip(names, salts, strict=True):
            if salt:
                latest = header_json(1000 + ahead + at * step_by, f"{salt}{at}")
                parts = (Part(call=CHAIN_ID, result=b'"0x539"'), Part(call=LATEST, result=latest))
                event = Polled(t_ns=pool.now, started_ns=pool.now, chain="sim", node=name, poll=at, parts=parts)
            else:
                event = pool._poll(name, (CHAIN_ID, LATEST))
            pool.take(event)
        pool.tick()
        pool.pending.clear()
        pool.clock.advance(s=2)
        largest = max(largest, len(pool.state.chains["sim"].tree.headers))
    return largest


@pytest.mark.parametrize(
    ("salts", "ahead", "step_by"),
    [
        (["", "", "x"], 0, 0),
        (["", "", "x"], 10**6, 1),
        (["", "x", "y"], 5, 1),
        (["p", "q", ""], 0, 0),
        (["p", "q", "r"], 0, 3),
        (["p", "q", "r"], 10**9, 0),
    ],
)
def test_whatever_nodes_show_the_tree_and_the_search_stay_bounded(salts: list[str], ahead: int, step_by: int) -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    if salts[0] == "":
        pool.rounds(5)
    largest = liars(pool, salts, 1_200, ahead=ahead, step_by=step_by)
    chain = pool.state.chains["sim"]
    assert largest <= 2048 + 2 * 64
    assert len(chain.sought) <= 512
    assert len(encode_state(pool.state)) < 2_000_000


def test_pruning_does_not_depend_on_how_many_headers_come_at_once() -> None:
    pool = Ticking(at_pace(settings_for(("a", "b", "c")), NS), spec=ChainSpec(slot_ns=NS, history=99))
    largest = 0
    for _ in range(500):
        pool.round()
        largest = max(largest, len(pool.state.chains["sim"].tree.headers))
    assert largest <= 256 + 2 * 64 + 10
    assert pool.alerts == []


def test_contents_of_one_hash_decide_the_same_after_a_restore() -> None:
    """Two nodes show one hash with other numbers, as only a liar can: what is asked for must not depend on order."""
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(5)
    real = orjson.loads(orjson.dumps(pool.chain.branch().head.head()))
    bent = orjson.dumps({**real, "number": hex(5), "unknownField": "0x1"})
    states = [pool.state, decode_state(encode_state(pool.state))]
    # As a reload leaves them: in the order of the configuration, not of the names.
    first = states[0]
    turned = {name: first.chains["sim"].nodes[name] for name in ("n2", "n1", "n0")}
    states[0] = replace(first, chains={"sim": replace(first.chains["sim"], nodes=turned)})
    ends = []
    for state in states:
        for name, latest in (("n0", bent), ("n1", orjson.dumps(real)), ("n2", header_json(1010, "z"))):
            parts = (Part(call=CHAIN_ID, result=b'"0x539"'), Part(call=LATEST, result=latest))
            event = Polled(t_ns=pool.now, started_ns=pool.now, chain="sim", node=name, poll=999, parts=parts)
            state = step(state, event).state  # noqa: PLW2901 - one state after the other
        done = step(state, Ticked(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), chain="sim"))
        ends.append((done.effects, encode_state(done.state)))
    assert ends[0] == ends[1]


def test_a_body_beyond_reason_is_not_kept_in_memory() -> None:
    before = fold._cached_header_of.cache_info().currsize
    for at in range(20):
        huge = header_json(7, f"h{at}")[:-1] + b',"extra":"' + b"f" * (1 << 17) + b'"}'
        assert header_of(huge).number == 7  # type: ignore[union-attr]
    assert fold._cached_header_of.cache_info().currsize == before


def test_cached_readers_are_functions_of_their_bytes() -> None:
    body = header_json(7, "pure")
    assert header_of(body) == header_of(bytes(bytearray(body)))
    assert header_of(body[:-1]) != header_of(body)
