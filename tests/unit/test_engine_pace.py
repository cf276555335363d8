"""Polls are locked to the slots of a chain, and closer where something is up."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from tests.support.paced import Paced, with_slots
from tests.support.pool import healthy, settings_for
from tests.support.ticking import fails

from tocsin.chain.nodelife import NodeLife, NodeState
from tocsin.clock import NS
from tocsin.engine import pace
from tocsin.engine.state import ChainState, Window

SLOT_S = 12
DELAY_S = 3
SETTLED_S = 60 * SLOT_S


def settled(delay_s: float = DELAY_S) -> Paced:
    delays = [round((delay_s + at / 10) * NS) for at in range(3)]
    pool = Paced(with_slots(settings_for(("a", "b", "c"), own=())), delays_ns=delays)
    pool.run(SETTLED_S)
    assert pool.alerts == []
    pool.started.clear()
    return pool


def gaps(pool: Paced, name: str) -> list[float]:
    """Seconds between the polls of a node since it settled."""
    return [(later - earlier) / NS for earlier, later in pairwise(pool.started[name])]


@pytest.mark.parametrize("delay_s", [0.2, 3, 7])
def test_the_coming_of_blocks_is_learnt(delay_s: float) -> None:
    pool = settled(delay_s)
    arrival = pool.paces[-1].arrival_ns
    assert arrival is not None
    wall = arrival + pool.clock.wall_ns() - pool.now
    came = (wall // 10**6 - pool.settings.chains[0].genesis_time_s * 1000) % (SLOT_S * 1000) / 1000
    assert abs(came - delay_s) <= 1.5


def test_a_chain_at_rest_is_polled_four_times_a_slot_and_two_seconds_apart_at_least() -> None:
    pool = settled()
    pool.run(20 * SLOT_S)
    for name in pool.nodes:
        assert 79 <= len(pool.started[name]) <= 81
        assert min(gaps(pool, name)) >= 1.5


def test_a_node_that_fails_is_asked_at_every_interval_and_the_others_are_not() -> None:
    pool = settled()
    pool.answers["n1"] = fails()
    pool.run(5 * SLOT_S)
    assert len(pool.started["n1"]) >= 28
    assert len(pool.started["n0"]) <= 21
    pool.answers["n1"] = healthy
    pool.run(40 * SLOT_S)
    pool.started.clear()
    pool.run(10 * SLOT_S)
    assert len(pool.started["n1"]) <= 41


def test_all_nodes_are_asked_at_every_interval_while_the_pool_has_an_alert() -> None:
    pool = settled()
    for name in ("n1", "n2"):
        pool.answers[name] = fails()
    pool.run(6 * SLOT_S)
    assert ("pool.quorum_lost", "sim") in pool.open()
    pool.started.clear()
    pool.run(5 * SLOT_S)
    assert len(pool.started["n0"]) >= 29


def test_a_new_life_is_told_again() -> None:
    pool = settled()
    before = len(pool.paces)
    pool.restart()
    pool.run(3 * SLOT_S)
    assert len(pool.paces) > before
    assert pool.paces[-1].arrival_ns is not None


def test_a_chain_without_a_slot_clock_is_polled_evenly() -> None:
    pool = Paced(settings_for(("a", "b", "c")))
    pool.run(10 * SLOT_S)
    assert pool.paces == []
    assert set(gaps(pool, "n0")) == {2.0}


def test_an_own_node_is_asked_at_every_interval() -> None:
    pool = Paced(with_slots(settings_for(("a", "b", "c"), own=(0,))))
    pool.run(SETTLED_S)
    pool.started.clear()
    pool.run(10 * SLOT_S)
    assert 59 <= len(pool.started["n0"]) <= 61
    assert 39 <= len(pool.started["n1"]) <= 41
    assert set(pool.started["n1"]) <= set(pool.started["n0"])


# -- who teaches when blocks come


def _as_life(state: NodeState) -> Callable[[ChainState], ChainState]:
    return lambda chain: replace(chain, lives={**chain.lives, "n2": NodeLife(state=state)})


def _with_record(**changes: object) -> Callable[[ChainState], ChainState]:
    return lambda chain: replace(chain, nodes={**chain.nodes, "n2": replace(chain.nodes["n2"], **changes)})


def _on_another_branch(chain: ChainState) -> ChainState:
    head = chain.nodes["n2"].head
    assert head is not None
    return _with_record(head=replace(head, number=head.number + 30_000_000, hash="0x" + "99" * 32))(chain)


WINDOW = Window(since_wall_ns=0, until_ns=2**62, until_wall_ns=2**62, by="me", reason="work")
MUTED: dict[str, Callable[[ChainState], ChainState]] = {
    "of a wrong chain": _as_life(NodeState.WRONG_CHAIN),
    "corrupt": _as_life(NodeState.CORRUPT),
    "on maintenance": lambda chain: replace(chain, maintenance={"n2": WINDOW}),
    "ruled out": lambda chain: replace(chain, ruled_out={"n2": "its base fee breaks the rule"}),
    "caught lying": lambda chain: _with_record(corrupt=chain.nodes["n2"].head)(chain),
    "of another id": _with_record(chain_id=5),
    "on another branch": _on_another_branch,
}


def _moved(pool: Paced) -> tuple[ChainState, ChainState]:
    """Return the chain before and after a tick in which the agreed head rose."""
    while True:
        before = pool.state.chains["sim"]
        pool.run(0.25)
        after = pool.state.chains["sim"]
        old, new = before.head.block, after.head.block
        if old is not None and new is not None and new.number > old.number:
            return before, after


@pytest.mark.parametrize("how", MUTED)
def test_who_has_no_vote_does_not_teach_when_blocks_come(how: str) -> None:
    pool = settled()
    before, after = _moved(pool)
    chain, ahead_ns = pool.settings.chains[0], pool.clock.wall_ns() - pool.now
    late = _with_record(last_answer_ns=pool.now + 9 * NS)(after)

    def learnt(state: ChainState) -> int | None:
        return pace.follow(before, replace(state, delay_ns=before.delay_ns), chain, ahead_ns).delay_ns

    assert learnt(late) != learnt(after)  # a voter's word counts
    assert learnt(MUTED[how](late)) == learnt(after)
