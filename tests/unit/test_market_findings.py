"""What detectors say of one valuation: the value, how it is known, whom they name, and when they say nothing."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from tests.support.samples import ALICE, BOB, CALM, CAROL, E8, WETH, MarketPool, account, lending

from tocsin.detect.account_health import AccountHealthParams
from tocsin.detect.risk_at_risk import AtRiskParams
from tocsin.detect.risk_concentration import ConcentrationParams
from tocsin.engine.step import step
from tocsin.model.alert import Exactness, Finding, Over
from tocsin.model.event import ConfigRevised, MarketValued, Ticked
from tocsin.model.market import MOST_NAMED, AccountSettings, Held, MarketSample, Mismatch
from tocsin.wire.envelope import EVIDENCE_LIMIT

OWN = AccountSettings(
    name="treasury",
    address=ALICE,
    health_floor_ppm=1_200_000,
    most_leverage_ppm=5_000_000,
    most_asset_ppm=(("weth", 500_000),),
    most_market="200.5",
)
SETTINGS = lending(replace(WETH, watched=(OWN,)))
WRONG = Mismatch(account=BOB, what="healthFactor", ours="1", chain="2")


@pytest.fixture(scope="module")
def pool() -> MarketPool:
    return MarketPool(SETTINGS)


def found(pool: MarketPool, detector: str, sample: MarketSample = CALM, **change: Any) -> Finding | None:
    """What a detector says of a valuation at the agreed head."""
    params = change.pop("params", None)
    state = pool.state
    if params is not None:
        settings = replace(SETTINGS, chains=(replace(SETTINGS.chains[0], detectors={detector: params}),))
        state = step(state, ConfigRevised(t_ns=pool.now, settings=settings)).state
    at = {"block": state.chains["sim"].head.block} if sample.is_known else {}
    sample = replace(sample, **{**at, **change})
    state = step(state, MarketValued(t_ns=pool.now, chain="sim", market="aave", sample=sample)).state
    done = step(state, Ticked(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), chain="sim"))
    [*rest] = [one for one in done.findings if one.detector == detector]
    assert len(rest) <= 1
    return rest[0] if rest else None


def own(pool: MarketPool, detector: str, health: str | None = "1.5", **more: Any) -> Finding:
    one = found(pool, detector, watched=(account(ALICE, health, **more),))
    assert one is not None
    return one


def value(one: Finding | None) -> int:
    assert one is not None
    return one.value


# -- the market


def test_who_can_be_liquidated_is_counted_and_named_in_one_finding(pool: MarketPool) -> None:
    near = (account(BOB, "0.9"), account(CAROL, "0.99", blocked="it is paused"), account(ALICE, "1.01"))
    one = found(pool, "risk.liquidatable", near=near, near_count=3, liquidatable=2, blocked=1)
    assert one is not None
    assert (one.value, one.unit, one.exactness) == (2, "accounts", Exactness.EXACT)
    assert one.summary == (
        f"aave: 2 accounts can be liquidated, 1 of them blocked, who owe 212 USD; least healthy {BOB} at 0.900000"
    )
    assert [row["account"] for row in one.evidence["accounts"]] == [BOB, CAROL]  # type: ignore[attr-defined]
    assert dict(one.labels)["market"] == "aave"
    assert one.block == pool.state.chains["sim"].head.block


def test_ten_thousand_accounts_are_one_finding_that_fits_into_an_alert(pool: MarketPool) -> None:
    near = tuple(account(f"0x{at:064x}", "0.5", price=str(2**256 - 1)) for at in range(MOST_NAMED))
    one = found(pool, "risk.liquidatable", near=near, near_count=10_000, liquidatable=10_000)
    assert one is not None
    assert one.value == 10_000
    assert "10,000 accounts can be liquidated, who owe 20,000 USD (the 100 least healthy)" in one.summary
    assert 5_000 < len(orjson.dumps(dict(one.evidence))) < EVIDENCE_LIMIT


@pytest.mark.parametrize("detector", ["risk.liquidatable", "risk.bad_debt", "risk.blocked_liquidation"])
def test_a_number_is_exact_only_where_all_of_it_is_known_so(pool: MarketPool, detector: str) -> None:
    bad = {"liquidatable": 3, "blocked": 3, "underwater": 1, "bad_debt": str(E8)}
    known = {
        Exactness.EXACT: {},
        Exactness.CHAIN: {"exactness": Exactness.CHAIN},
        Exactness.SCREENED: {"unknown": 1},
        Exactness.UNVERIFIED: {"mismatches": 1, "mismatched": (WRONG,)},
    }
    for exactness, change in known.items():
        one = found(pool, detector, **bad, **change)
        assert one is not None
        assert one.exactness is exactness


@pytest.mark.parametrize(
    "detector",
    ["risk.liquidatable", "risk.near_threshold", "risk.bad_debt", "risk.blocked_liquidation", "risk.concentration",
     "risk.at_risk"],
)  # fmt: skip
def test_while_accounts_are_unknown_it_is_not_said_that_all_is_well(pool: MarketPool, detector: str) -> None:
    calm = {"curve": CALM.curve[:1]}
    one = found(pool, detector, **calm)
    assert one is not None
    assert one.value < one.limits.clear.under
    assert found(pool, detector, unknown=1, **calm) is None


@pytest.mark.parametrize("detector", ["risk.liquidatable", "risk.model_mismatch", "risk.param_changed"])
def test_of_a_valuation_that_is_old_or_missing_nothing_is_said(pool: MarketPool, detector: str) -> None:
    head = pool.state.chains["sim"].head.block
    assert head is not None
    for change, is_said in ({"number": head.number - 5}, True), ({"number": head.number - 6}, False):
        sample = found(pool, detector, block=replace(head, **change), liquidatable=1)
        assert (sample is not None) is is_said
    assert found(pool, detector, MarketSample(identity=WETH.identity, problem="no node answers")) is None


def test_who_is_near_is_who_is_above_the_line_and_known(pool: MarketPool) -> None:
    near = (account(BOB, "0.9"), account(CAROL, "1.01"), account(ALICE, None, unknown="no price"))
    one = found(pool, "risk.near_threshold", near=near, near_count=3, liquidatable=1, unknown=1)
    assert one is not None
    assert (one.value, one.exactness) == (1, Exactness.SCREENED)
    assert f"1 account within 5 % of the line; the nearest, {CAROL}, gets there with WETH -0.99 %" in one.summary


def test_a_fall_of_prices_is_measured_by_its_share_of_all_collateral_or_in_what_is_counted_in(pool: MarketPool) -> None:
    one = found(pool, "risk.at_risk")
    assert one is not None
    assert (one.value, one.unit, one.exactness) == (400, "bps", Exactness.SCREENED)
    assert "if prices fall by 10.00 %, 40 USD of collateral (4.00 %) of 3 accounts can be liquidated" in one.summary
    amounts = found(pool, "risk.at_risk", params=AtRiskParams(amounts=True, warning=Over(over=40)))
    assert amounts is not None
    assert (amounts.value, amounts.unit) == (40, "USD")
    assert value(found(pool, "risk.at_risk", params=AtRiskParams(fall=500))) == 100
    assert value(found(pool, "risk.at_risk", params=AtRiskParams(fall=9_000))) == 400, "the nearest point is taken"
    assert found(pool, "risk.at_risk", curve=()) is None
    assert value(found(pool, "risk.at_risk", collateral="0")) > 0


def test_bad_debt_is_a_share_of_all_debt(pool: MarketPool) -> None:
    one = found(pool, "risk.bad_debt", bad_debt=str(5 * E8), underwater=2, near=(account(BOB, "0.5"), account(CAROL)))
    assert one is not None
    assert (one.value, one.unit) == (10_000, "ppm")
    assert "2 accounts owe more than they have: 5 USD of 500 USD is not covered" in one.summary
    assert [row["account"] for row in one.evidence["accounts"]] == [BOB]  # type: ignore[attr-defined]
    assert value(found(pool, "risk.bad_debt", debt="0")) == 0


def test_blocked_liquidations_say_why(pool: MarketPool) -> None:
    near = (account(BOB, "0.9", blocked="WETH is paused"), account(CAROL, "0.9"))
    one = found(pool, "risk.blocked_liquidation", near=near, liquidatable=2, blocked=1)
    assert one is not None
    assert one.value == 1
    assert "1 account below the line cannot be liquidated (WETH is paused): 111 USD" in one.summary
    assert [row["account"] for row in one.evidence["accounts"]] == [BOB]  # type: ignore[attr-defined]


def test_a_market_hangs_on_a_borrower_or_on_an_asset_where_that_is_asked_for(pool: MarketPool) -> None:
    assert value(found(pool, "risk.concentration", largest_ppm=420_000)) == 4_200
    assert value(found(pool, "risk.concentration", largest_ppm=420_000, indebted=9)) == 0
    asset = ConcentrationParams(asset=Over(over=6_000))
    one = found(pool, "risk.concentration", params=asset)
    assert one is not None
    assert (one.value, one.limits.warning) == (6_000, Over(over=6_000))
    assert "WETH is 60.00 % of all collateral" in one.summary
    both = found(pool, "risk.concentration", params=asset, largest_ppm=420_000)
    assert both is not None
    assert (both.value, both.limits.warning) == (4_200, asset.warning)


def test_a_difference_from_the_chain_is_told_with_both_numbers(pool: MarketPool) -> None:
    one = found(pool, "risk.model_mismatch", mismatches=2, mismatched=(WRONG,))
    assert one is not None
    assert (one.value, one.limits.latched, one.exactness) == (2, True, Exactness.CHAIN)
    assert (
        f"2 of 5 accounts differ from what the protocol says of them: healthFactor of {BOB} is 1 by us" in one.summary
    )
    assert value(found(pool, "risk.model_mismatch")) == 0


def test_what_is_not_valued_is_counted_in_blocks_and_a_standing_chain_is_none_behind(pool: MarketPool) -> None:
    head = pool.state.chains["sim"].head.block
    assert head is not None
    one = found(pool, "risk.stuck", block=replace(head, number=head.number - 2), problem="the nodes disagree")
    assert one is not None
    watched_s = (pool.now - pool.state.chains["sim"].started_ns) // 10**9
    assert one.value == min(24, watched_s)
    assert one.summary == f"aave: not valued since block {head.number - 2}, for 24 s: the nodes disagree"
    assert value(found(pool, "risk.stuck", block=replace(head, number=1))) == watched_s, "no longer than it was watched"
    assert value(found(pool, "risk.stuck", problem="a price is missing")) == 0
    never = found(pool, "risk.stuck", MarketSample(identity=WETH.identity, problem="its accounts are looked for"))
    assert never is not None
    assert (never.value, never.limits.critical) == (0, None)


# -- accounts of one's own


def test_an_account_is_told_of_below_its_floor(pool: MarketPool) -> None:
    far = {"distance_ppm": -200_000, "seconds_left": None}
    assert own(pool, "account.health", "1.2", **far).value == 0
    one = own(pool, "account.health", "1.15", **far)
    assert (one.value, one.unit, one.limits.critical, one.exactness) == (50_000, "ppm", None, Exactness.EXACT)
    assert one.summary == "aave: treasury has a health of 1.150000, below 1.200000"
    assert dict(one.labels)["account"] == "treasury"


@pytest.mark.parametrize(
    ("near", "is_told", "is_urgent", "said"),
    [
        ({"distance_ppm": -50_000}, False, False, "is well"),
        ({"distance_ppm": -49_999}, True, False, "can be liquidated with WETH -4.99 %"),
        ({"distance_ppm": 49_999}, True, False, "can be liquidated with WETH +4.99 %"),
        ({"distance_ppm": -19_999}, True, True, "can be liquidated with WETH -1.99 %"),
        ({"seconds_left": 86_400}, False, False, "is well"),
        ({"seconds_left": 86_399}, True, False, "by interest alone in 23 h 59 min"),
        ({"seconds_left": 3_599}, True, True, "by interest alone in 59 min"),
        ({"health_ppm": 999_999, "liquidatable": True, "distance_ppm": None}, True, True, "is below the line"),
        ({"health_ppm": None, "debt": "0"}, False, False, "is well"),
    ],
)
def test_an_account_is_told_of_before_it_is_there_by_price_or_by_time(
    pool: MarketPool, near: dict[str, Any], *, is_told: bool, is_urgent: bool, said: str
) -> None:
    one = own(pool, "account.health", "1.5", **{"distance_ppm": -200_000, "seconds_left": None} | near)
    assert (one.value > 0, one.limits.critical is not None) == (is_told, is_urgent)
    assert said in one.summary


def test_distance_can_be_switched_off(pool: MarketPool) -> None:
    none = AccountHealthParams(price=0, urgent_price=0, within_ns=0, urgent_within_ns=0)
    near = account(ALICE, "1.3", distance_ppm=-1, seconds_left=0)
    assert value(found(pool, "account.health", params=none, watched=(near,))) == 0


def test_leverage_is_collateral_by_what_is_left_of_it(pool: MarketPool) -> None:
    assert own(pool, "account.leverage", debt=str(80 * E8)).value == 10_000, "100 / (100 - 80) is 5, the limit"
    one = own(pool, "account.leverage", debt=str(80 * E8 + 1))
    assert one.value == 10_001
    assert "has a leverage of 5.00, may have 5.00" in one.summary
    assert own(pool, "account.leverage", debt=str(100 * E8)).value == 2_000_000, "nothing is left"
    assert own(pool, "account.leverage", debt="0").value == 2_000


def test_exposure_is_the_worst_of_the_limits_by_asset_and_by_market(pool: MarketPool) -> None:
    held = (Held(asset="WETH", collateral=str(50 * E8)), Held(asset="USDC", collateral=str(50 * E8)))
    assert own(pool, "account.exposure", held=held).value == 10_000
    one = own(pool, "account.exposure")
    assert one.value == 20_000
    assert "has 100.00 % of its collateral in weth, may have 50.00 %" in one.summary
    large = {"collateral": str(20_050_000_001), "held": (Held(asset="USDC", collateral=str(20_050_000_001)),)}
    assert own(pool, "account.exposure", **large).value == 10_001
    assert found(pool, "account.exposure", watched=(account(ALICE, held=()),)) is None, "its parts are not known"
    assert own(pool, "account.exposure", collateral="0", held=()).value == 0


def test_an_account_that_can_be_liquidated_is_critical_unless_nobody_can(pool: MarketPool) -> None:
    one = own(pool, "account.liquidatable", "0.99")
    assert (one.value, one.limits.critical) == (1, Over(over=1))
    assert "treasury can be liquidated; with a health of 0.990000 it owes 101 USD on 100 USD" in one.summary
    blocked = own(pool, "account.liquidatable", "0.99", blocked="it is paused")
    assert (blocked.value, blocked.limits.critical, blocked.limits.warning) == (1, None, Over(over=1))
    assert own(pool, "account.liquidatable", "1.0").value == 0


ACCOUNT_DETECTORS = ["account.health", "account.leverage", "account.exposure", "account.liquidatable"]


@pytest.mark.parametrize("detector", ACCOUNT_DETECTORS)
def test_an_account_without_a_position_is_well_and_of_an_unknown_one_nothing_is_said(
    pool: MarketPool, detector: str
) -> None:
    assert value(found(pool, detector)) == 0
    assert found(pool, detector, watched=(account(ALICE, None, unknown="no price of WETH"),)) is None


@pytest.mark.parametrize("detector", ACCOUNT_DETECTORS)
def test_what_is_said_of_an_account_is_as_well_known_as_its_market(pool: MarketPool, detector: str) -> None:
    watched = (account(ALICE, "0.9"),)
    for change, exactness in (
        ({}, Exactness.EXACT),
        ({"mismatches": 1}, Exactness.UNVERIFIED),
        ({"exactness": Exactness.SCREENED}, Exactness.SCREENED),
        ({"unknown": 3}, Exactness.EXACT),
    ):
        one = found(pool, detector, watched=watched, **change)
        assert one is not None
        assert one.exactness is exactness
    by_chain = found(pool, detector, watched=(account(ALICE, "0.9", exactness=Exactness.CHAIN),))
    assert by_chain is not None
    assert by_chain.exactness is Exactness.CHAIN
