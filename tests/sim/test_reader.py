"""Whatever nodes answer, or refuse to, a reading is what the chain says at one block, or says what it lacks."""

from typing import Any

import orjson
import pytest
from tests.support.logchain import SALT, Failure, PartError
from tests.support.readchain import (
    BANK,
    LONG,
    MULTICALL,
    MULTICALL_CODE,
    NOWHERE,
    REVERTS,
    TEXT,
    WRITER,
    ReadChain,
    ReadGround,
    ReadNodes,
    amount,
    asked_as_one,
    at_most,
    bank,
    call,
    ignores_code,
    placed,
    slot,
    takes_no_code,
    word,
)

from tocsin.chain.keccak import keccak256
from tocsin.chain.readload import Limits, Wanted
from tocsin.chain.readvalues import Outcome, Values
from tocsin.model.contract import Charge
from tocsin.model.reading import CallOf, Pin
from tocsin.state.ground import Lane, Means
from tocsin.state.nodereads import Aggregators
from tocsin.state.reader import Plan, Read, Reader, ReadTerms, Unread
from tocsin.wire import aggregator

NO_AUDIT = ReadTerms(audit_one_in=0)
ALL = ReadTerms(audit_one_in=1)


def made(world: ReadChain, nodes: ReadNodes, terms: ReadTerms = NO_AUDIT, ground: ReadGround | None = None) -> Reader:
    return Reader(nodes.groups, nodes, ground or ReadGround(world), world.clock, salt=SALT, terms=terms)


async def done(reader: Reader, plan: Plan, lane: Lane = Lane.HEAD) -> Read:
    found = await reader.read(plan, lane)
    assert isinstance(found, Read), found
    return found


def right(world: ReadChain, found: Read, wanted: tuple[Wanted, ...], values: Values) -> None:
    """Hold values against the world at the block of a reading."""
    block = world.chain.by_hash(found.block.hash)
    assert block is not None
    assert block.world is not None
    for at, one in enumerate(wanted):
        if not isinstance(one.item, CallOf):
            assert values.integer(at) == block.world.account(one.item.address).slots.get(
                int.from_bytes(one.item.key), 0
            )
        elif one.item.to == WRITER:
            assert values.integer(at) == 7
        elif one.item.to == NOWHERE:
            assert values.result(at) == b""
        elif int.from_bytes(one.item.data[4:]) == REVERTS:
            assert values.outcomes[at] == Outcome.REVERTED
            assert values.result(at) is None
            assert values.integer(at) is None
        else:
            expected = bank(block.world, BANK, one.item.data)
            assert values.result(at) == expected
            assert values.integer(at) == (int.from_bytes(expected) if len(expected) == 32 else None)


MIXED = (
    *(call(number) for number in range(300)),
    call(REVERTS),
    call(TEXT),
    call(LONG, answer=10_240),
    call(0, NOWHERE),
    call(0, WRITER),
    call(5, alone=True),
    *(slot(number) for number in range(70)),
)


NODES: dict[str, Any] = {
    "healthy": None,
    "takes no code": takes_no_code,
    "ignores code": ignores_code,
    "out of gas beyond 40 calls": at_most(40),
    "out of gas with any two": at_most(1),
    "out of gas even with one": at_most(0),
    "answers too large beyond 100 calls": at_most(100, text="response too large", code=-32003),
    "a timeout beyond 200 calls": at_most(200, text="execution aborted (timeout = 5s)", code=-32002),
}


@pytest.mark.parametrize("proofs", [False, True])
@pytest.mark.parametrize("pin", Pin)
@pytest.mark.parametrize("kind", NODES)
async def test_whatever_a_node_can_do_a_reading_is_what_the_chain_says(kind: str, pin: Pin, proofs: bool) -> None:  # noqa: FBT001
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A")
    if NODES[kind] is not None:
        nodes.lies["A"] = NODES[kind]
    reader = made(world, nodes, ground=ReadGround(world, pin=pin, proofs=proofs))
    plan = Plan(MIXED)
    for _ in range(3):
        found = await done(reader, plan)
        assert found.is_whole
        assert not found.missing
        assert found.nodes == ("A",)
        right(world, found, MIXED, found.first)
        slots = [isinstance(one.item, CallOf) for one in MIXED]
        assert list(found.first.proven) == [proofs and not is_call for is_call in slots]
        world.grow()


async def test_calls_share_one_question_and_what_fails_in_it_is_asked_by_itself_from_then_on() -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A")
    reader = made(world, nodes)
    plan = Plan((*(call(number) for number in range(90)), call(0, WRITER)))
    first = await done(reader, plan)
    assert len(nodes.asked) == 2
    nodes.asked.clear()
    world.grow()
    second = await done(reader, plan)
    assert len(nodes.asked) == 2
    assert first.first.integer(90) == second.first.integer(90) == 7


async def test_a_node_is_asked_for_less_once_it_has_refused_and_for_more_again_once_it_serves() -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A")
    nodes.lies["A"] = at_most(30)
    reader = made(world, nodes, ReadTerms(audit_one_in=0, limits=Limits(calls=1000, gas=1 << 40)))
    plan = Plan(tuple(call(number) for number in range(300)))
    counts = []
    for _ in range(6):
        nodes.asked.clear()
        assert (await done(reader, plan)).is_whole
        counts.append(len(nodes.asked))
        world.grow()
    assert counts[0] > counts[-1] == -(-300 // 30) or counts[-1] <= 14
    del nodes.lies["A"]
    for _ in range(12):
        nodes.asked.clear()
        await done(reader, plan)
        world.grow()
    assert len(nodes.asked) <= 2


BOMBS = (0xB0B13, 0xB0B14, 0xB0B250)


@pytest.mark.parametrize("many", [300, 3])
async def test_a_call_that_takes_all_the_gas_is_found_and_asked_by_itself_from_then_on(many: int) -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A")
    bombs = [word(number) for number in BOMBS]

    def lie(method: str, params: list[Any], result: Any) -> Any:
        if any(given[4:] in bombs for _, given in asked_as_one(method, params) or ()):
            raise Failure(-32000, "out of gas")
        return result

    nodes.lies["A"] = lie
    reader = made(world, nodes, ReadTerms(audit_one_in=0, limits=Limits(gas=1 << 40)))
    wanted = (call(BOMBS[0]), *(call(number) for number in range(many)), *map(call, BOMBS[1:]))
    plan = Plan(wanted, lambda _values: wanted)
    counts = []
    for _ in range(3):
        nodes.asked.clear()
        found = await done(reader, plan)
        right(world, found, wanted, found.first)
        right(world, found, wanted, found.second)
        counts.append(len(nodes.asked))
        world.grow()
    assert counts[0] <= 2 * 6 * 2 * 9
    assert counts[1] <= 6
    assert counts[2] <= 6


@pytest.mark.parametrize("limits", [Limits(calls=7), Limits(gas=700_000), Limits(answer=7 * 160)])
async def test_questions_keep_to_each_of_the_limits(limits: Limits) -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A")
    sizes: list[int] = []

    def seen(method: str, params: list[Any], result: Any) -> Any:
        sizes.append(len(asked_as_one(method, params) or ()))
        return result

    nodes.lies["A"] = seen
    reader = made(world, nodes, ReadTerms(audit_one_in=0, limits=limits))
    for _ in range(8):
        assert (await done(reader, Plan(tuple(call(number) for number in range(50))))).is_whole
    assert max(sizes) == 7


async def test_the_second_phase_asks_what_the_first_has_given_at_the_same_block() -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain)
    nodes.before = lambda _node: world.grow()  # the head moves on with every question
    reader = made(world, nodes)

    def then(values: Values) -> list[Wanted]:
        return [call((values.integer(0) or 0) % 97), call((values.integer(1) or 0) % 97)]

    found = await done(reader, Plan((slot(0), slot(1)), then))
    block = world.chain.by_hash(found.block.hash)
    base = world.base(block)
    assert found.first.integer(0) == base
    assert [one.item for one in found.wanted] == [call(base % 97).item, call(6).item]
    right(world, found, found.wanted, found.second)
    assert len({call.split(":")[3] for _, call in nodes.asked}) == 1
    assert len(found.nodes) == 1


async def test_the_finalized_lane_reads_the_finalized_block() -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain)
    found = await done(made(world, nodes), Plan(MIXED), Lane.FINAL)
    assert found.block.number == world.chain.finalized_number(world.chain.head())
    right(world, found, MIXED, found.first)


def dead(_method: str, _params: list[Any], _result: Any) -> Any:
    raise Failure


async def test_a_node_that_fails_in_the_middle_is_followed_by_one_of_another_group_at_the_same_block() -> None:
    for dies_after in range(8):
        world = ReadChain()
        nodes = ReadNodes(world.chain, "A B C")
        reader = made(world, nodes, ReadTerms(audit_one_in=0, limits=Limits(calls=100)))

        def before(node: str, nodes: ReadNodes = nodes, most: int = dies_after) -> None:
            if len(nodes.asked) == most:
                nodes.lies[node] = dead

        nodes.before = before
        found = await done(reader, Plan(MIXED))
        assert found.is_whole, found.missing
        right(world, found, MIXED, found.first)
        assert len({call.split(":")[3] for _, call in nodes.asked}) == 1


async def test_what_nobody_answers_is_unknown_and_never_zero() -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A B")

    def lie(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_call" and params[0]["data"].endswith(word(5).hex()):
            return PartError(-32000, "internal error")
        return at_most(0)(method, params, result)

    for name in nodes.nodes:
        nodes.lies[name] = lie
    found = await done(made(world, nodes), Plan((call(4), slot(3), call(5))))
    assert not found.is_whole
    assert "internal error" in found.missing
    assert found.first.integer(0) == amount(4, world.base(world.chain.by_hash(found.block.hash)))
    assert found.first.outcomes[2] == Outcome.UNKNOWN
    assert found.first.integer(2) is None
    assert found.first.integer(1) == 8


async def test_where_nobody_answers_there_is_no_reading_and_it_says_why() -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A B")
    nodes.lies = dict.fromkeys("AB", dead)
    found = await made(world, nodes).read(Plan(MIXED))
    assert isinstance(found, Unread)
    assert "connection reset" in found.reason
    assert not found.is_replaced
    ground = ReadGround(world)
    ground.nodes = {"A": None, "B": None}
    found = await made(world, ReadNodes(world.chain, "A B"), ground=ground).read(Plan(MIXED))
    assert isinstance(found, Unread)
    assert "not asked" in found.reason


async def test_who_is_not_well_is_not_asked() -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A B")
    ground = ReadGround(world)
    ground.nodes["A"] = None
    for _ in range(5):
        assert (await done(made(world, nodes, ALL, ground), Plan(MIXED))).nodes == ("B",)
        world.grow()
    assert not [node for node, _ in nodes.asked if node == "A"]


@pytest.mark.parametrize("after", range(7))
async def test_a_reorg_in_the_middle_ends_the_reading_and_says_so(after: int) -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A B")

    def before(_node: str) -> None:
        if len(nodes.asked) == after:
            world.reorg(3)

    nodes.before = before
    reader = made(world, nodes, ReadTerms(audit_one_in=3, limits=Limits(calls=100)))
    found = await reader.read(Plan(MIXED, lambda _values: [call(1)]))
    assert isinstance(found, Unread)
    assert found.is_replaced
    assert "left the chain" in found.reason
    assert not reader.doubts
    assert (await done(reader, Plan(MIXED))).is_whole


# -- audits


def adds_one(number: int) -> Any:
    """A node that says one more than it is of one of the bank's numbers, however it is asked."""

    def lie(method: str, params: list[Any], result: Any) -> Any:
        if method != "eth_call":
            return result
        if any(given[4:] == word(number) for _, given in asked_as_one(method, params) or ()):
            base = next(base for base in range(10_000) if word(amount(number, base)).hex() in result)
            return result.replace(word(amount(number, base)).hex(), word(amount(number, base) + 1).hex())
        is_it = params[0]["data"].endswith(word(number).hex()) and len(params) == 2
        return f"0x{word(int(result, 16) + 1).hex()}" if is_it else result

    return lie


async def test_honest_groups_are_never_in_doubt_and_what_was_held_against_another_is_marked() -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A B C")
    nodes.lies["C"] = takes_no_code
    reader = made(world, nodes, ReadTerms(audit_one_in=4))
    plan = Plan(MIXED, lambda _values: [call(number, alone=number % 2 == 0) for number in range(50)])
    audited = 0
    for _ in range(20):
        found = await done(reader, plan)
        right(world, found, MIXED, found.first)
        assert found.audited == found.first.confirmed.sum() + found.second.confirmed.sum()
        assert not found.disputed
        audited += found.audited
        world.grow()
    assert not reader.doubts
    assert reader.audited == audited
    assert 20 * 425 / 4 * 0.8 < audited < 20 * 425 / 4 * 1.2


@pytest.mark.parametrize("liar", ["A", "B", "C"])
@pytest.mark.parametrize("limits", [None, takes_no_code])
async def test_a_lie_about_one_value_is_found_and_the_value_is_never_the_lie(liar: str, limits: Any) -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A B C")
    told = adds_one(17)
    nodes.lies = {
        name: (lambda *asked: told(*asked[:2], limits(*asked) if limits else asked[2])) if name == liar else limits
        for name in nodes.nodes
        if name == liar or limits
    }
    reader = made(world, nodes, ALL)
    plan = Plan(tuple(call(number) for number in range(40)))
    for _ in range(6):
        found = await done(reader, plan)
        right(world, found, plan.first, found.first)
        assert liar not in found.nodes or not found.first.confirmed[17]
        world.grow()
    assert {doubt.node for doubt in reader.doubts} == {liar}
    for doubt in reader.doubts:
        assert doubt.charge is Charge.VALUE
        assert isinstance(doubt.item, CallOf)
        assert doubt.expected
        assert (doubt.item.code == aggregator.CODE) == (limits is None)


@pytest.mark.parametrize("names", ["A B C", "A B"])
async def test_who_lies_among_many_calls_and_says_the_truth_when_it_is_asked_for_one_is_believed_in_nothing(
    names: str,
) -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, names)

    def lie(method: str, params: list[Any], result: Any) -> Any:
        if len(asked_as_one(method, params) or ()) < 2:
            return result
        for number in range(40):
            result = result.replace(word(amount(number, world.base() - 1)).hex(), word(1).hex())
        return result

    nodes.lies["B"] = lie
    reader = made(world, nodes, ReadTerms(audit_one_in=4))
    plan = Plan(tuple(call(number) for number in range(40)))
    for _ in range(12):
        found = await done(reader, plan)
        right(world, found, plan.first, found.first)
        assert "B" not in found.nodes
        world.grow()
    assert not reader.doubts  # it would only say the truth when it is asked once more


async def test_what_says_otherwise_among_many_calls_than_alone_of_everybody_speaks_against_nobody() -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A B C")

    def among(method: str, params: list[Any], result: Any) -> Any:
        """A contract that returns something of the gas that is left: of everybody the same where it is alone."""
        if len(asked_as_one(method, params) or ()) < 2:
            return result
        gas[0] += 1
        return result.replace(word(amount(17, world.base() - 1)).hex(), word(gas[0]).hex())

    gas = [0]
    nodes.lies = dict.fromkeys(nodes.nodes, among)
    reader = made(world, nodes, ALL)
    plan = Plan(tuple(call(number) for number in range(40)))
    readers: set[str] = set()
    for _ in range(12):
        found = await done(reader, plan)
        right(world, found, plan.first, found.first)
        assert len(found.nodes) == 1
        readers |= set(found.nodes)
        world.grow()
    assert readers == set(nodes.nodes)


async def test_two_groups_that_contradict_each_other_leave_the_value_unknown_and_accuse_nobody() -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A B")
    nodes.lies["B"] = adds_one(17)
    reader = made(world, nodes, ALL)
    found = await done(reader, Plan(tuple(call(number) for number in range(40))))
    assert found.disputed == 1
    assert found.first.outcomes[17] == Outcome.UNKNOWN
    assert list(found.first.confirmed) == [at != 17 for at in range(40)]
    assert not found.is_whole
    assert not reader.doubts


async def test_one_group_alone_is_not_audited() -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A")
    found = await done(made(world, nodes, ALL), Plan(MIXED))
    assert not found.audited
    assert not found.first.confirmed.any()


async def test_a_proof_that_proves_nothing_is_doubted_where_proofs_are_known_to_work() -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A B C")
    reader = made(world, nodes, ReadTerms(audit_one_in=50), ReadGround(world, proofs=True))
    plan = Plan(tuple(slot(number) for number in range(40)))

    def lie(method: str, _params: list[Any], result: Any) -> Any:
        if method == "eth_getProof":
            result["storageProof"][-1]["value"] = "0x1234"
        return result

    nodes.lies["B"] = lie
    for _ in range(12):
        found = await done(reader, plan)
        right(world, found, plan.first, found.first)
        world.grow()
    assert {(doubt.charge, doubt.node) for doubt in reader.doubts} <= {(Charge.PROOF, "B")}
    assert reader.doubts


async def test_a_chain_whose_proofs_never_work_doubts_nobody() -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A B")
    ground = ReadGround(world, proofs=True)
    place = ground.place
    ground.place = lambda lane: (
        None if (found := place(lane)) is None else type(found)(block=found.block, root="0x" + "77" * 32)
    )  # type: ignore[method-assign]
    reader = made(world, nodes, ALL, ground)
    found = await done(reader, Plan(tuple(slot(number) for number in range(40))))
    assert found.is_whole
    assert not found.first.proven.any()
    assert not reader.doubts


# -- which contract makes the calls


async def test_a_deployed_multicall_is_used_where_no_code_is_taken_and_its_code_is_the_right_one() -> None:
    world = ReadChain()
    for known in (keccak256(MULTICALL_CODE), keccak256(b"other")):
        nodes = ReadNodes(world.chain, "A")
        nodes.lies["A"] = takes_no_code
        aggregators = Aggregators(deployed=MULTICALL, deployed_hash=known)
        reader = made(world, nodes, ReadTerms(audit_one_in=0, aggregators=aggregators))
        plan = Plan(tuple(call(number) for number in range(100)))
        await done(reader, plan)
        nodes.asked.clear()
        found = await done(reader, plan)
        right(world, found, plan.first, found.first)
        is_used = [name for _, name in nodes.asked if f"call,{MULTICALL.hex()}" in name]
        assert bool(is_used) == (known == keccak256(MULTICALL_CODE))
        assert len(nodes.asked) == 1


async def test_a_refused_rung_is_tried_again_after_a_while() -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A")
    nodes.lies["A"] = takes_no_code
    reader = made(world, nodes)
    plan = Plan(tuple(call(number) for number in range(100)))
    for _ in range(2):
        await done(reader, plan)
    del nodes.lies["A"]
    nodes.asked.clear()
    await done(reader, plan)
    assert aggregator.PLACE.hex() not in nodes.asked[0][1]
    world.grow(60)
    nodes.asked.clear()
    await done(reader, plan)
    assert aggregator.PLACE.hex() in nodes.asked[0][1]


GARBAGE = [
    "0x" + "00" * 64,
    "0x1234",
    "0xzz",
    "0x 12",
    7,
    None,
    [],
    {"a": 1},
    "0x" + "ff" * 6400,
    "",
    "0x" + "20".zfill(64) * 100,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=str)
async def test_hostile_answers_are_no_answers(garbage: Any) -> None:
    world = ReadChain()
    nodes = ReadNodes(world.chain, "A B")
    nodes.lies["A"] = lambda method, _params, result: garbage if method == "eth_call" else result
    plan = Plan(tuple(call(number) for number in range(40)))
    for at in range(4):
        reader = Reader(
            nodes.groups, nodes, ReadGround(world), world.clock, salt=b"%d" % at, terms=ReadTerms(audit_one_in=0)
        )
        found = await done(reader, plan)
        if "A" not in found.nodes:
            right(world, found, plan.first, found.first)


def test_the_place_of_the_injected_code_is_nobody_s() -> None:
    assert len(aggregator.PLACE) == 20
    assert placed(ReadChain().chain.head()).root.startswith("0x")
    assert Means(pin=Pin.HASH).proofs is False
    assert orjson.loads(b"1") == 1
