"""Venus' own contracts on a real node, and our integers beside them: not one of the numbers may differ."""

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.lab import venus
from tests.lab.chain import ARGUMENTS, Artifacts, Chain
from tests.lab.compare_venus import Compared, Tried, compare, critical, liquidate, unknown
from tests.support.anvil import running_anvil


pytestmark = pytest.mark.slow

USERS = 150


@asynccontextmanager
async def market(anvil_binary: str) -> AsyncIterator[venus.Lab]:
    """Run a market of the contracts that npm has, which `make lab` installs."""
    if not venus.CORE.exists():
        missing = f"{venus.CORE} is not there: run `make lab`"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    async with running_anvil(anvil_binary, *ARGUMENTS) as anvil:
        yield await venus.deploy(Chain(anvil, Artifacts(venus.CORE)))


async def test_the_comptroller_says_of_every_account_what_we_count_whatever_prices_and_blocks_do(
    anvil_binary: str,
) -> None:
    rng, compared = random.Random(11), Compared()  # noqa: S311 - a seed, not a secret
    async with market(anvil_binary) as lab:
        await lab.populate(USERS, rng)
        for number, shocks in enumerate(venus.SHOCKS):
            await lab.shocked(shocks, number)
            await lab.pass_blocks(rng.choice((1, 3, 30)))
            await compare(lab, compared)
    assert (compared.accounts, compared.wrong) == (USERS * len(venus.SHOCKS), [])
    # All that makes a difference is there.
    assert min(compared.short, compared.in_pools, compared.owing_vai) > USERS // 8


async def test_liquidations_do_to_the_wei_what_we_say_and_are_refused_where_we_say_so(anvil_binary: str) -> None:
    rng, tried = random.Random(12), Tried()  # noqa: S311 - a seed, not a secret
    async with market(anvil_binary) as lab:
        await lab.populate(USERS, rng)
        await venus.fund(lab)
        for number, shocks in enumerate(venus.SHOCKS):
            await lab.shocked(shocks, number)
            await lab.pass_blocks(rng.choice((1, 20)))
            await liquidate(lab, rng, tried, 80)
    assert tried.wrong == []
    assert tried.done > 100
    assert tried.of_vai > 5
    assert {"INSUFFICIENT_SHORTFALL", "TOO_MUCH_REPAY", "LIQUIDATE_SEIZE_TOO_MUCH"} <= set(tried.refused)


async def test_pauses_forced_liquidations_pools_and_one_liquidator_for_all_are_what_we_say_they_are(
    anvil_binary: str,
) -> None:
    rng, tried, compared = random.Random(13), Tried(), Compared()  # noqa: S311 - a seed, not a secret
    async with market(anvil_binary) as lab:
        await lab.populate(USERS, rng)
        await venus.fund(lab)
        await lab.shocked(venus.SHOCKS[2], 1)
        for measure in (
            venus.pause,
            venus.force,
            venus.close_pool,
            venus.through_one,
            venus.pause_transfers,
            venus.pause_all,
        ):
            await measure(lab)
            await venus.fund(lab)
            await lab.pass_blocks(2)
            await liquidate(lab, rng, tried, 60)
            await compare(lab, compared)
    assert (tried.wrong, compared.wrong) == ([], [])
    assert min(tried.done, tried.with_fee) > 15
    assert {"action is paused", "protocol is paused", "VAIDebtTooHigh"} <= set(tried.refused)


async def test_without_a_price_nothing_is_known_of_who_holds_or_owes_the_asset_and_of_nobody_else(
    anvil_binary: str,
) -> None:
    async with market(anvil_binary) as lab:
        await lab.populate(USERS, random.Random(14))  # noqa: S311 - a seed, not a secret
        silent, wrong = await unknown(lab, 2)
    assert wrong == []
    assert USERS // 8 < silent < USERS


async def test_at_a_critical_price_the_comptroller_sees_a_shortfall_and_one_unit_before_it_does_not(
    anvil_binary: str,
) -> None:
    async with market(anvil_binary) as lab:
        await lab.populate(USERS, random.Random(15))  # noqa: S311 - a seed, not a secret
        exact, wrong = await critical(lab)
    assert wrong == []
    assert exact > 200
