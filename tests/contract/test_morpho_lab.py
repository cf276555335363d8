"""Morpho Blue itself on a real node, and our integers beside it: verdicts, liquidations to the wei, refusals."""

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.lab.chain import ARGUMENTS, Artifacts, Chain, selector, signature_of
from tests.lab.morpho import DAY_S, KINDS, RULES, SHOCKS, MorphoLab, deploy, is_unknown
from tests.lab.morpho_compare import Compared, Tried, both, compare, critical, liquidate
from tests.support.anvil import running_anvil
from tests.support.roundings import turned
from tests.unit.test_morpho_blue_by_hand import INSTEAD, MODULES

from tocsin.protocols.base import Exactness, UnknownStateError
from tocsin.protocols.morpho_blue import reading
from tocsin.protocols.morpho_blue.accrual import accrued

pytestmark = pytest.mark.slow

_BUILT = Path(__file__).parents[1] / "lab/build/morpho-blue"


@pytest.fixture
def artifacts() -> Artifacts:
    """What has to be compiled before, as `make test-slow` does."""
    if not _BUILT.exists():
        missing = f"{_BUILT} is not there: run `make lab`"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return Artifacts(_BUILT)


@asynccontextmanager
async def running(anvil_binary: str, artifacts: Artifacts, users: int, rng: random.Random) -> AsyncIterator[MorphoLab]:
    async with running_anvil(anvil_binary, *ARGUMENTS) as anvil:
        lab = await deploy(Chain(anvil, artifacts))
        for place in lab.places:
            await lab.populate(place, users, rng)
        yield lab


async def shocked(lab: MorphoLab, percent: int, rng: random.Random) -> None:
    """Set all prices to near such a part of the first ones, and let time pass, in some of which somebody acts."""
    for place in lab.places:
        await lab.set_price(place, place.kind.price * percent * rng.randint(9_900, 10_100) // 10**6)
        if rng.random() < 0.5:
            await lab.stir(place, rng)
    await lab.chain.anvil.mine(apart_s=rng.choice((1, 12, 3_600, 40 * DAY_S)))


async def test_whom_the_contract_lets_be_liquidated_is_whom_we_say_whatever_prices_and_time_do(
    anvil_binary: str, artifacts: Artifacts
) -> None:
    rng, compared = random.Random(1), Compared()  # noqa: S311 - a seed, not a secret
    async with running(anvil_binary, artifacts, 60, rng) as lab:
        for percent in SHOCKS:
            await shocked(lab, percent, rng)
            for place in lab.places:
                await compare(lab, place, compared)
    assert (compared.verdicts, compared.wrong) == (60 * len(KINDS) * len(SHOCKS), [])
    assert compared.verdicts // 5 < compared.liquidatable < compared.verdicts * 4 // 5
    assert RULES.exactness is Exactness.VERIFIED


async def test_liquidations_do_to_the_wei_what_we_say_and_are_refused_where_and_as_we_say_so(
    anvil_binary: str, artifacts: Artifacts
) -> None:
    rng, tried = random.Random(2), Tried()  # noqa: S311 - a seed, not a secret
    async with running(anvil_binary, artifacts, 40, rng) as lab:
        for percent in SHOCKS:
            await shocked(lab, percent, rng)
            for place in lab.places:
                await liquidate(lab, place, rng, tried, 12)
    assert tried.wrong == []
    assert min(tried.by_collateral, tried.by_shares, tried.bad_debts, tried.with_interest) >= 30
    assert set(tried.refused) == {"position is healthy", "inconsistent input", "arithmetic"}
    assert min(tried.refused.values()) >= 3


async def test_at_a_critical_price_the_contract_lets_an_account_fall_and_one_unit_above_it_does_not(
    anvil_binary: str, artifacts: Artifacts
) -> None:
    rng, tried = random.Random(3), 0  # noqa: S311 - a seed, not a secret
    async with running(anvil_binary, artifacts, 60, rng) as lab:
        await lab.chain.anvil.mine(apart_s=DAY_S)
        for place in lab.places:
            count, wrong = await critical(lab, place)
            assert wrong == []
            tried += count
    assert tried > 200


async def differs(lab: MorphoLab) -> bool:
    """Tell whether anything differs of a market, of its accounts on the line, and of some liquidations."""
    for place in lab.places:
        compared, tried = Compared(), Tried()
        try:
            await liquidate(lab, place, random.Random(2), tried, 8)  # noqa: S311 - a seed, not a secret
            if tried.wrong or (await critical(lab, place))[1]:
                return True
            await compare(lab, place, compared)
        except (AssertionError, UnknownStateError):
            return True
        if compared.wrong:
            return True
    return False


async def test_each_rounding_of_the_contract_that_goes_the_other_way_differs_from_it(
    anvil_binary: str, artifacts: Artifacts
) -> None:
    rng, silent = random.Random(5), set[str]()  # noqa: S311 - a seed, not a secret
    async with running(anvil_binary, artifacts, 20, rng) as lab:
        await shocked(lab, 70, rng)
        assert not await differs(lab)
        for one in turned(MODULES, INSTEAD):
            accrued.cache_clear()
            with one.at_work():
                silent |= set() if await differs(lab) else {one.name}
    accrued.cache_clear()
    # The contract has no ratio of health, and no offers.
    assert silent == {
        "valuation.health: most * WAD // due",
        "liquidation._shares_of: to_shares_down(amount, totals.borrow_assets, totals.borrow_shares)",
    }


async def test_what_the_contract_does_with_what_nobody_should_give_it_is_what_we_say(
    anvil_binary: str, artifacts: Artifacts
) -> None:
    rng, answers = random.Random(4), list[object]()  # noqa: S311 - a seed, not a secret
    async with running(anvil_binary, artifacts, 20, rng) as lab:
        place, chain = lab.places[0], lab.chain
        _, accounts = await lab.read(place, await chain.anvil.block())
        account = next(one for one in accounts if one.shares)

        async def look(apart_s: int = 1, **wanted: int) -> None:
            await chain.anvil.mine(apart_s=apart_s)
            ours, theirs = await both(lab, place, account, **wanted)
            assert ours == theirs
            answers.append(ours)

        for price in (0, 2**150, 2**255):
            await lab.set_price(place, price)
            for wanted in ({"shares": 1}, {"seized": 1}, {"seized": account.collateral}):
                await look(**wanted)
        await lab.set_price(place, 1)
        for code in (_REVERTS, _answers(2**200), _answers(3 * 10**17), _answers(10**11)):
            await chain.anvil.call("anvil_setCode", place.terms[3], code)
            await look(12, shares=1)
        await chain.anvil.call("anvil_setCode", place.oracle, _REVERTS)
        await look(shares=1)
        unknown = replace(place.target, id=bytes(31) + b"\x01")
        assert "market not created" in await is_unknown(lab, unknown)
    # At a price of nothing all collateral is free, and no share buys any.
    assert answers[:3] == ["division by zero", (1, 0), (account.collateral, 0)]
    assert answers[3:9] == ["position is healthy"] * 3 + ["arithmetic"] * 3
    # A model that reverts, growth and totals that no number holds, a rate of three a year, an oracle that reverts.
    assert answers[9:] == ["", "arithmetic", "max uint128 exceeded", (0, 1), ""]


_REVERTS = "0x60006000fd"


def _answers(number: int) -> str:
    return f"0x7f{number:064x}60005260206000f3"


def test_what_is_read_and_followed_is_what_the_contract_has(artifacts: Artifacts) -> None:
    abi, model = [*artifacts["Morpho"]["abi"], *artifacts["EventsLib"]["abi"]], artifacts["MovingRate"]["abi"]
    accounts = {"onBehalf", "borrower"}
    for event in (*reading.PLAN.owes, *reading.PLAN.touches, *reading.PLAN.changes):
        (found,) = [one for one in abi if one["type"] == "event" and signature_of(one) == event.signature]
        assert selector(found) == event.topic0
        indexed = [spec["name"] for spec in found["inputs"] if spec["indexed"]]
        assert event.market is not None
        assert indexed[event.market.number - 1] == "id"
        assert event.account is None or indexed[event.account.number - 1] in accounts
    for read in (*reading.PLAN.market, *reading.PLAN.account):
        names = [signature_of(item) for item in (*abi, *model) if item["type"] == "function"]
        asked_ = f"{read.asks.name}{read.asks.takes}"
        assert asked_ in names or read.of in (reading.ORACLE, reading.LOAN)
