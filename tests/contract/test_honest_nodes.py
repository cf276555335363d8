"""Nobody who tells the truth is ever accused: late, pruning, balanced and reorganised nodes, simulated and real."""

from collections.abc import Callable

import pytest
from tests.support.honest import Tally, real, simulated, told
from tests.support.realpool import real_pool

from tocsin.model.reading import parse

SEEDS = range(1, 11)


Record = Callable[[str, object], None]


def judged(tally: Tally, blocks: int) -> None:
    """Nobody was accused, though there was enough to be wrong about."""
    assert tally.accused == set()
    assert tally.blocks >= blocks
    assert tally.reorgs > blocks // 25
    assert min(tally.proofs, tally.values, tally.refused) > blocks // 2


def test_simulated_nodes_are_not_accused_through_reorgs_pruning_and_outages() -> None:
    judged(simulated(120, seed=1), 120)


def test_real_nodes_are_not_accused_through_reorgs_pruning_and_outages(anvil_binary: str) -> None:
    judged(real(anvil_binary, 60, seed=1), 60)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nobody_is_accused_in_ten_thousand_blocks_of_simulated_nodes(record_property: Record) -> None:
    tally = simulated(10_000, seed=2)
    record_property("tally", told(tally))
    judged(tally, 10_000)
    assert tally.deepest == 12


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_is_accused_in_nine_hundred_blocks_of_real_nodes(
    anvil_binary: str, seed: int, record_property: Record
) -> None:
    tally = real(anvil_binary, 900, seed)
    record_property("tally", told(tally))
    judged(tally, 900)
    assert tally.deepest == 12


def test_state_is_never_asked_for_at_the_first_block_whose_header_need_not_bind_it(anvil_binary: str) -> None:
    with real_pool(anvil_binary) as pool:
        pool.rounds(12)
        assert pool.state.chains["sim"].finalized.block is not None
        assert pool.state.chains["sim"].finalized.block.number == 0
        readings = [found for one in pool.asked if (found := parse(one.call)) is not None]
        assert readings
        assert all(found.block.number for found in readings)
        assert pool.alerts == []
