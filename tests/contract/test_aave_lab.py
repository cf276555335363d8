"""Aave's own contracts on a real node, and our integers beside them: not one of the numbers may differ."""

import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.lab.aave import CORE, DAY_S, SHOCKS, Lab, deploy_3_0, shocked
from tests.lab.chain import ARGUMENTS, Artifacts, Chain, selector, signature_of
from tests.lab.compare import Compared, compare
from tests.support.anvil import running_anvil

from tocsin.chain.logrules import Topic
from tocsin.protocols.aave_v3 import reading
from tocsin.protocols.aave_v3.revisions import REVISIONS

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


_PARTS = {
    reading.POOL: ("Pool", "InitializableImmutableAdminUpgradeabilityProxy"),
    reading.ORACLE: ("AaveOracle",),
    reading.PROVIDER: ("PoolAddressesProvider",),
    reading.CONFIGURATOR: ("PoolConfigurator",),
    reading.SENTINEL: ("PriceOracleSentinel",),
    reading.SUPPLY_TOKEN: ("AToken",),
    reading.DEBT_TOKEN: ("VariableDebtToken",),
    reading.STABLE_TOKEN: ("StableDebtToken",),
}


def test_what_is_read_and_followed_of_version_3_0_is_what_its_contracts_have() -> None:
    if not CORE.exists():
        pytest.skip(f"{CORE} is not there: run `npm ci --ignore-scripts`")
    abis = {part: [item for name in names for item in Artifacts(CORE)[name]["abi"]] for part, names in _PARTS.items()}
    plan = reading.plan(REVISIONS["1"])
    for event in (*plan.owes, *plan.touches, *plan.changes):
        (found,) = [
            item
            for item in abis[event.of]
            if item["type"] == "event" and signature_of(item) == event.signature and selector(item) == event.topic0
        ]
        if isinstance(event.account, Topic):
            indexed = [spec for spec in found["inputs"] if spec["indexed"]]
            assert indexed[event.account.number - 1]["type"] == "address"
            assert indexed[event.account.number - 1]["name"] in ("user", "onBehalfOf", "from", "to")
    for read in (plan.revision, plan.view, *plan.market, *plan.account):
        names = [signature_of(item) for item in abis[read.of] if item["type"] == "function"]
        assert f"{read.asks.name}{read.asks.takes}" in names
