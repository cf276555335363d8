"""Comet's own contracts on a real node, where their sources are: npm has none, so this is for whoever has them.

`COMET_SOURCES=.../contracts node tests/lab/compile.js comet`, with solc 0.8.15 in `tests/lab/node_modules/solc-0.8.15`.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.lab import comet
from tests.lab.chain import ARGUMENTS, Artifacts, Chain
from tests.support.anvil import running_anvil

pytestmark = pytest.mark.slow

USERS = 120


@asynccontextmanager
async def market(anvil_binary: str) -> AsyncIterator[comet.Lab]:
    if not comet.BUILT.exists():
        pytest.skip(f"{comet.BUILT} is not there: COMET_SOURCES=... node tests/lab/compile.js comet")
    async with running_anvil(anvil_binary, *ARGUMENTS, "--disable-code-size-limit") as anvil:
        yield await comet.deploy(Chain(anvil, Artifacts(comet.BUILT)))


async def test_views_and_absorptions_are_what_we_say_whatever_prices_and_time_do(anvil_binary: str) -> None:
    rng = random.Random(21)  # noqa: S311 - a seed, not a secret
    fallen, wrong, tried = 0, [], []
    async with market(anvil_binary) as lab:
        await lab.populate(USERS, rng)
        for number, shocks in enumerate(comet.SHOCKS):
            await lab.shocked(shocks, number)
            await lab.chain.anvil.mine(apart_s=rng.choice((12, 3_600, 900_000)))
            here, differing = await comet.compare(lab)
            fallen, wrong = fallen + here, wrong + differing
            if number % 2:
                tried.append(await comet.absorb(lab))
    assert wrong == []
    assert [one for *_, others in tried for one in others] == []
    assert fallen > USERS
    done, short, refused = (sum(one[at] for one in tried) for at in range(3))
    assert min(done, short, refused) > 10


async def test_edges_of_prices_missing_prices_and_sales_are_what_we_say(anvil_binary: str) -> None:
    rng = random.Random(22)  # noqa: S311 - a seed, not a secret
    async with market(anvil_binary) as lab:
        await lab.populate(USERS, rng)
        edges, wrong_edges = await comet.critical(lab)
        await lab.shocked(comet.SHOCKS[2], 1)
        silent, wrong_silent = await comet.priceless(lab)
        sold, wrong_sales = await comet.sell(lab, rng)
    assert (wrong_edges, wrong_silent, wrong_sales) == ([], [], [])
    assert min(edges, silent) > USERS
    assert sold > 3
