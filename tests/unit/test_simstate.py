"""The state of a simulated chain follows its transactions, branch by branch."""

import pytest

from tocsin.clock import NS
from tocsin.testing import ChainSpec, ManualClock, SimChain
from tocsin.testing.simstate import Change, Reverted, SimAccount, World

CONTRACT = b"\xc0" * 20


def chain() -> tuple[SimChain, ManualClock]:
    clock = ManualClock()
    world = World({CONTRACT: SimAccount(code=b"\x01", slots={0: 1})})
    return SimChain(clock, ChainSpec(slot_ns=12 * NS, world=world)), clock


def slot(sim: SimChain, branch: str = "main") -> int:
    world = sim.head(branch).world
    assert world is not None
    return world.account(CONTRACT).slots[0]


def test_a_transaction_is_in_the_next_block_and_in_no_other() -> None:
    sim, clock = chain()
    before = sim.head()
    sim.send(Change(slots={(CONTRACT, 0): 2}))
    assert slot(sim) == 1
    clock.advance(s=12)
    changed = sim.head()
    clock.advance(s=12)
    assert slot(sim) == 2
    assert [len(block.changes) for block in (before, changed, sim.head())] == [0, 1, 0]
    assert changed.header["stateRoot"] == sim.head().header["stateRoot"] != before.header["stateRoot"]


def test_branches_have_states_of_their_own_and_a_reorg_takes_what_was_written_back() -> None:
    sim, clock = chain()
    sim.fork("other")
    sim.send(Change(slots={(CONTRACT, 0): 2}))
    sim.send(Change(slots={(CONTRACT, 0): 3}), branch="other")
    clock.advance(s=12)
    assert (slot(sim), slot(sim, "other")) == (2, 3)
    sim.reorg(1)
    assert (slot(sim), slot(sim, "other")) == (1, 3)


def test_a_call_returns_what_the_program_of_its_code_says() -> None:
    sim, _ = chain()
    world = sim.head().world
    assert world is not None
    assert sim.returned(world, b"\x99" * 20, b"") == b"", "no code"
    with pytest.raises(Reverted):
        sim.returned(world, CONTRACT, b"")
    sim.programs[b"\x01"] = lambda world, to, data: data + bytes([world.account(to).slots[0]])
    assert sim.returned(world, CONTRACT, b"x") == b"x\x01"


def test_a_chain_without_state_takes_no_transactions() -> None:
    sim = SimChain(ManualClock())
    with pytest.raises(ValueError, match="has no state; give its spec a world"):
        sim.send(Change())
