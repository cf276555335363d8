"""Aave's own contracts, of both generations that npm has: many accounts, and liquidations to the wei."""

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.lab.aave import CORE, DAY_S, SHOCKS, Lab, deploy_3_0, shocked
from tests.lab.aave_origin import deploy_origin
from tests.lab.chain import ARGUMENTS, Artifacts, Chain
from tests.lab.compare import Compared, Tried, compare, critical, liquidate
from tests.lab.plans import PARTS_3_6, assert_plan_is_of
from tests.support.anvil import running_anvil

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_BUILT = Path(__file__).parents[1] / "lab/build/aave-v3.6"
VERSIONS = {"1": "3.0", "10": "3.6"}


def assert_built(built: Path) -> None:
    """Skip what needs contracts that are not there, but not in CI."""
    if not built.exists():
        missing = f"{built} is not there: run `make lab`"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


def test_what_is_read_and_followed_of_version_3_6_is_what_its_contracts_have() -> None:
    assert_built(_BUILT)
    assert_plan_is_of(Artifacts(_BUILT), "10", PARTS_3_6)


@asynccontextmanager
async def market(anvil_binary: str, revision: str) -> AsyncIterator[Lab]:
    """Run a market of a version. Those that publish sources have to be compiled before, as `make test-slow` does."""
    built = {"1": CORE, "10": _BUILT}[revision]
    assert_built(built)
    async with running_anvil(anvil_binary, *ARGUMENTS) as anvil:
        chain = Chain(anvil, Artifacts(built))
        yield await (deploy_3_0(chain) if revision == "1" else deploy_origin(chain))


@pytest.mark.parametrize("revision", VERSIONS)
async def test_of_two_thousand_accounts_the_pool_says_what_we_count(anvil_binary: str, revision: str) -> None:
    rng, compared = random.Random(3), Compared()  # noqa: S311 - a seed, not a secret
    async with market(anvil_binary, revision) as lab:
        await lab.populate(2_000, rng)
        for number, shocks in enumerate(SHOCKS):
            await shocked(lab, shocks, number)
            await lab.pass_time(rng.choice((1, 12, 3_600, 400 * DAY_S)))
            await compare(lab, revision, compared)
    assert (compared.accounts, compared.wrong) == (2_000 * len(SHOCKS), [])
    assert min(compared.liquidatable, compared.in_categories) > 1_000


@pytest.mark.parametrize("revision", VERSIONS)
async def test_liquidations_do_to_the_wei_what_we_say_and_are_refused_where_we_say_so(
    anvil_binary: str, revision: str
) -> None:
    rng, tried = random.Random(4), Tried()  # noqa: S311 - a seed, not a secret
    async with market(anvil_binary, revision) as lab:
        await lab.populate(200, rng)
        for number, shocks in enumerate(SHOCKS):
            await shocked(lab, shocks, number)
            await lab.pass_time(rng.choice((12, DAY_S)))
            await liquidate(lab, revision, rng, tried, 100)
    assert tried.wrong == []
    assert tried.done > 150
    assert {"health factor not below threshold", "collateral cannot be liquidated"} <= set(tried.refused)
    if revision != "1":
        assert tried.with_deficit > 5
        assert tried.refused["must not leave dust"] > 5


@pytest.mark.parametrize("revision", VERSIONS)
async def test_at_a_critical_price_the_pool_lets_an_account_fall_and_one_unit_before_it_does_not(
    anvil_binary: str, revision: str
) -> None:
    async with market(anvil_binary, revision) as lab:
        await lab.populate(200, random.Random(5))  # noqa: S311 - a seed, not a secret
        await lab.pass_time(DAY_S)
        exact, wrong = await critical(lab, revision, 200)
    assert wrong == []
    assert exact > 300
