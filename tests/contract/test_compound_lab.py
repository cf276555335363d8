"""Venus' own contracts on a real node, and our integers beside them: not one of the numbers may differ."""

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.lab import venus
from tests.lab.chain import ARGUMENTS, Artifacts, Chain, selector, signature_of
from tests.lab.compare_venus import Compared, Tried, compare, critical, liquidate, unknown
from tests.support.anvil import running_anvil

from tocsin.chain.logrules import Topic
from tocsin.protocols.compound_v2 import reading

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


_PARTS = {
    reading.COMPTROLLER: ("MarketFacet", "PolicyFacet", "SetterFacet", "RewardFacet", "Unitroller", "Diamond"),
    reading.TOKEN: ("VBep20Delegate", "VBep20Delegator", "VAIController"),
    reading.VAI: ("VAIController",),
    reading.LIQUIDATOR: ("Liquidator",),
    reading.MODEL: ("JumpRateModel",),
}
_ELSEWHERE = (reading.ORACLE, reading.CLOCK)
"""What has no contract in the package."""


def test_what_is_read_and_followed_of_venus_is_what_its_contracts_have() -> None:
    if not venus.CORE.exists():
        pytest.skip(f"{venus.CORE} is not there: run `make lab`")
    core = Artifacts(venus.CORE)
    abis = {part: [item for name in names for item in core[name]["abi"]] for part, names in _PARTS.items()}
    plan = venus.RULES.plan
    for event in (*plan.owes, *plan.touches, *plan.changes):
        found = [
            item
            for item in abis[event.of]
            if item["type"] == "event" and signature_of(item) == event.signature and selector(item) == event.topic0
        ]
        assert found, event.signature
        if event.account is not None:
            is_topic = isinstance(event.account, Topic)
            inputs = [spec for spec in found[0]["inputs"] if spec["indexed"] == is_topic]
            spec = inputs[event.account.number - is_topic]
            assert spec["name"] in ("account", "borrower", "minter", "from", "to"), event.signature
    for read in (*plan.market, *plan.account, plan.view):
        assert read is not None
        names = [signature_of(item) for item in abis.get(read.of, []) if item["type"] == "function"]
        assert read.of in _ELSEWHERE or f"{read.asks.name}{read.asks.takes}" in names, read.signature
