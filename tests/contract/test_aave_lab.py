"""Aave's own contracts on a real node, and our integers beside them: not one of the numbers may differ."""

import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.lab.aave import CORE, DAY_S, SHOCKS, Lab, deploy_3_0, shocked
from tests.lab.chain import ARGUMENTS, Artifacts, Chain
from tests.lab.compare import Compared, compare
from tests.lab.plans import PARTS_3_0, assert_plan_is_of
from tests.support.anvil import running_anvil

USERS = 200


@pytest_asyncio.fixture
async def lab(anvil_binary: str) -> AsyncIterator[Lab]:
    async with running_anvil(anvil_binary, *ARGUMENTS) as anvil:
        yield await deploy_3_0(Chain(anvil, Artifacts(CORE)))


async def test_version_3_0_says_of_every_account_what_we_count_whatever_prices_and_time_do(lab: Lab) -> None:
    rng, compared = random.Random(1), Compared()  # noqa: S311 - a seed, not a secret
    await lab.populate(USERS, rng)
    for number, shocks in enumerate(SHOCKS):
        await shocked(lab, shocks, number)
        await lab.pass_time(rng.choice((1, 12, 3_600, 40 * DAY_S)))
        await compare(lab, "1", compared)
    assert (compared.accounts, compared.wrong) == (USERS * len(SHOCKS), [])
    # All that makes a difference is there.
    assert min(compared.liquidatable, compared.in_categories, compared.stable_debts) > USERS // 4


def test_what_is_read_and_followed_of_version_3_0_is_what_its_contracts_have() -> None:
    if not CORE.exists():
        pytest.skip(f"{CORE} is not there: run `npm ci --ignore-scripts`")
    assert_plan_is_of(Artifacts(CORE), "1", PARTS_3_0)
