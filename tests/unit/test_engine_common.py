"""Chains faster than their polls: compared at the lowest common height, back-filled on a mismatch alone."""

from dataclasses import replace

import orjson
import pytest
from tests.support.pool import Answer, settings_for
from tests.support.ticking import Ticking, at_pace, fails, nothing

from tocsin.clock import MS, NS
from tocsin.config.calls import CALLS_PER_POLL, CALLS_PER_SLOT, calls_per_day
from tocsin.engine.codec import decode_state, encode_state
from tocsin.model.alert import Grade
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.observation import FaultKind, by_number, hash_of, number_of
from tocsin.testing import ChainSpec, SimChain, SimNode

SKEW = (10**8, 7 * 10**8, 13 * 10**8, 19 * 10**8)


def fast(slot_ns: int, providers: str = "abc", **changes: object) -> Ticking:
    settings = at_pace(settings_for(tuple(providers)), slot_ns)
    return Ticking(settings, spec=ChainSpec(slot_ns=slot_ns, seed=3, **changes), delays_ns=SKEW[: len(providers)])  # type: ignore[arg-type]


class Asked(Ticking):
    """Keeps the calls that were asked outside the polls."""

    def take(self, event: object) -> None:
        before = len(self.pending)
        super().take(event)  # type: ignore[arg-type]
        calls = self.__dict__.setdefault("calls", [])
        calls += [effect.call for effect in self.pending[before:] if isinstance(effect, Fetch)]


@pytest.mark.parametrize("slot_ns", [100 * MS, 250 * MS, NS])
def test_a_fast_chain_is_agreed_by_quorum_all_the_time(slot_ns: int) -> None:
    pool = fast(slot_ns)
    pool.rounds(5)
    pool.grades.clear()
    pool.rounds(60)
    assert set(pool.grades) == {Grade.QUORUM}
    assert pool.alerts == []
    head = pool.state.chains["sim"].head.block
    assert head is not None
    behind = pool.chain.branch().head.number - head.number
    assert behind <= 4 * NS // slot_ns + 2, "no further behind than the slowest node and a poll"
    assert head.hash == pool.chain.branch().blocks[head.number].hash


def test_nodes_that_agree_are_asked_one_block_a_poll_and_nothing_is_filled_in() -> None:
    settings = at_pace(settings_for(("a", "b", "c")), 100 * MS)
    pool = Asked(settings, spec=ChainSpec(slot_ns=100 * MS, seed=3), delays_ns=SKEW[:3])
    pool.rounds(10)
    pool.__dict__["calls"].clear()
    pool.rounds(40)
    calls = pool.__dict__["calls"]
    assert not [call for call in calls if hash_of(call) is not None], "no mismatch, no back-fill"
    compared = [call for call in calls if number_of(call) is not None]
    assert len(compared) <= 40 * (2 + 3), "two nodes above the common height, three witnesses"
    assert len(pool.state.chains["sim"].tree.headers) < 600


@pytest.mark.parametrize("providers", ["abc", "abcde", "aab"])
def test_the_estimate_of_calls_a_day_is_what_is_asked(providers: str) -> None:
    """Within a tenth: who is the lowest is not asked for the block that it has shown."""
    settings = at_pace(settings_for(tuple(providers)), 100 * MS)
    pool = Asked(settings, spec=ChainSpec(slot_ns=100 * MS, seed=3), delays_ns=(SKEW + SKEW)[: len(providers)])
    pool.rounds(20)
    pool.__dict__["calls"].clear()
    rounds = 100
    pool.rounds(rounds)
    [chain] = settings.chains
    polls_a_day = 86_400 * NS // chain.poll_ns
    estimate = sum(calls_per_day(chain, node) for node in chain.nodes) * rounds // polls_a_day
    asked = len(pool.__dict__["calls"]) + rounds * len(chain.nodes) * (CALLS_PER_POLL + CALLS_PER_SLOT)
    assert asked <= estimate <= asked * 11 // 10


@pytest.mark.parametrize("slot_ns", [100 * MS, 250 * MS])
def test_a_fork_on_a_fast_chain_is_found_and_ends(slot_ns: int) -> None:
    pool = fast(slot_ns, "abcd")
    pool.rounds(10)
    pool.chain.fork("bad")
    pool.nodes["n3"].view.branch = "bad"
    pool.rounds(40)
    # The branch lives long enough for the node to call blocks of it final: that is told as well.
    told = {(detector, node) for detector, node, _ in pool.fired()}
    assert told - {("chain.finality_violation", "sim")} == {("node.fork", "n3")}
    assert pool.state.chains["sim"].head.grade is Grade.QUORUM
    pool.nodes["n3"].view.branch = "main"
    pool.rounds(60)
    assert pool.open() <= {("chain.finality_violation", "sim")}


def test_two_against_two_on_a_fast_chain_is_a_split() -> None:
    pool = fast(100 * MS, "abcd")
    pool.rounds(10)
    pool.chain.fork("bad")
    for name in ("n2", "n3"):
        pool.nodes[name].view.branch = "bad"
    pool.rounds(40)
    assert pool.state.chains["sim"].head.grade is Grade.SPLIT
    assert {detector for detector, _, _ in pool.fired()} - {"chain.finality_violation"} == {"pool.split"}


@pytest.mark.parametrize("depth", [1, 5, 20])
def test_a_reorg_between_two_polls_is_told_on_a_fast_chain(depth: int) -> None:
    pool = fast(500 * MS)
    pool.rounds(20)
    pool.chain.reorg(depth)
    pool.rounds(12)
    reorg = pool.state.chains["sim"].reorg
    head = pool.state.chains["sim"].head.block
    assert head is not None
    assert head.hash == pool.chain.branch().blocks[head.number].hash
    if depth == 1:
        assert reorg is None, "what replaces only blocks that were never agreed is no reorg of ours"
    elif depth == 20:
        assert reorg is not None
        assert reorg.ancestor is not None
        assert 12 <= reorg.depth <= 20, "as many as were agreed, to the blocks of one poll"
        assert reorg.ancestor.hash == pool.chain.branch().blocks[reorg.ancestor.number].hash
    assert pool.state.chains["sim"].unjoined is None


def test_one_witness_that_lies_makes_no_reorg() -> None:
    pool = fast(250 * MS, "abcd")
    pool.rounds(10)
    other = SimChain(pool.clock, replace(pool.chain.spec, seed=11, history=pool.chain.branch().head.number))

    def lies(event: Fetched) -> Fetched:
        number = number_of(event.call)
        settled = pool.state.chains["sim"].round
        if number is None or event.node != "n0" or settled is None or number != settled.before or event.part is None:
            return event
        return replace(event, part=replace(event.part, result=orjson.dumps(other.branch().blocks[number].head())))

    pool.answers_fetch = lies
    pool.rounds(40)
    assert pool.state.chains["sim"].reorg is None
    assert pool.alerts == []


def test_one_that_claims_to_be_far_ahead_or_behind_moves_no_common_height() -> None:
    pool = fast(250 * MS, "abcd")
    pool.rounds(10)
    for delay_ns in (1000 * NS, -0):
        liar = SimNode(
            SimChain(pool.clock, replace(pool.chain.spec, seed=9, history=10**4)), name="x", delay_ns=delay_ns
        )
        pool.answers["n3"] = lambda _node, request, liar=liar: liar.answer(request)  # type: ignore[misc]
        before = pool.state.chains["sim"].head.block
        pool.grades.clear()
        pool.rounds(30)
        after = pool.state.chains["sim"].head.block
        assert before is not None
        assert after is not None
        assert after.number - before.number >= 29 * 8 - 4
        assert set(pool.grades) == {Grade.QUORUM}


def refusing(kind: FaultKind = FaultKind.BUDGET) -> Answer:
    """A node that answers its polls and nothing else."""
    return lambda node, request: node.answer(request) if request[:1] == b"[" else fails(kind)(node, request)


def test_who_does_not_say_what_it_has_at_the_common_height_has_no_vote() -> None:
    pool = fast(250 * MS, "ab")
    pool.rounds(10)
    assert pool.state.chains["sim"].head.grade is Grade.QUORUM
    pool.answers_fetch = nothing
    pool.rounds(10)
    head = pool.state.chains["sim"].head
    assert (head.grade, head.voting_groups) == (Grade.UNCORROBORATED, 1)
    pool.answers_fetch = None
    pool.rounds(5)
    assert pool.state.chains["sim"].head.grade is Grade.QUORUM


def test_another_height_than_the_one_asked_for_is_no_answer() -> None:
    pool = fast(250 * MS, "ab")
    pool.rounds(10)
    wrong = orjson.dumps(pool.chain.branch().blocks[3].head())

    def answers(event: Fetched) -> Fetched:
        if event.part is None or number_of(event.call) is None:
            return event
        return replace(event, part=replace(event.part, result=wrong))

    pool.answers_fetch = answers
    pool.rounds(10)
    head = pool.state.chains["sim"].head
    assert (head.grade, head.voting_groups) == (Grade.UNCORROBORATED, 1)


def test_an_answer_to_an_older_round_is_not_taken() -> None:
    pool = fast(250 * MS)
    pool.rounds(10)
    late: list[Fetched] = []
    pool.answers_fetch = lambda event: (late.append(event), replace(event, part=None))[1]
    pool.rounds(1)
    pool.answers_fetch = None
    pool.rounds(3)
    before = encode_state(pool.state)
    kept = pool.state.chains["sim"].settled
    for event in late:
        pool.take(event)
    pool.tick()
    assert pool.state.chains["sim"].settled == kept
    assert before


def test_nodes_stand_to_the_agreed_block_by_what_they_have_at_its_height() -> None:
    pool = fast(250 * MS)
    pool.rounds(10)
    chain = pool.state.chains["sim"]
    assert chain.settled is not None
    assert set(chain.settled.shown) == {"n0", "n1", "n2"}
    assert len(set(chain.settled.shown.values())) == 1
    assert chain.unlinked == {}


def test_a_restored_comparison_goes_on_alike() -> None:
    pool = fast(100 * MS)
    pool.rounds(10)
    copy = decode_state(encode_state(pool.state))
    assert encode_state(copy) == encode_state(pool.state)
    assert copy.chains["sim"].settled == pool.state.chains["sim"].settled


def test_a_slow_chain_compares_heads_as_they_are() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(30)
    chain = pool.state.chains["sim"]
    assert chain.round is None
    assert chain.settled is None
    assert not [effect for effect in pool.pending if number_of(effect.call) is not None]


def test_calls_by_number_are_read_back_strictly() -> None:
    assert number_of(by_number(17)) == 17
    for odd in ("number:", "number:-1", "number:x", "number:\u0661", "17", "hash:17", ""):
        assert number_of(odd) is None
