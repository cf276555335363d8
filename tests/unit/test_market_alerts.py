"""The life of alerts about markets: they rise and fall with valuations, and what is missing never ends one."""

from dataclasses import replace

from tests.support.samples import ALICE, BOB, CALM, PARAMETERS, WETH, MarketPool, account, lending

from tocsin.detect.risk_liquidatable import LiquidatableParams
from tocsin.detect.risk_stuck import MarketStuckParams
from tocsin.model.alert import AlertState, Exactness, Over, Severity, Under
from tocsin.model.effect import AlertChanged
from tocsin.model.event import ConfigRevised, MarketValued
from tocsin.model.market import AccountSettings, MarketSample, Mismatch
from tocsin.wire.envelope import Origin, alert_data

OWN = AccountSettings(name="treasury", address=ALICE, health_floor_ppm=1_200_000)
SETTINGS = lending(replace(WETH, watched=(OWN,)))
BELOW = {"liquidatable": 1, "near": (account(BOB, "0.9"),), "near_count": 1}
NOTHING = MarketSample(identity=WETH.identity, problem="no node answers at that block")
CHANGED = (("WETH.liquidation_threshold", "8000"), ("WETH.paused", "no"))


def pool_of(**change: object) -> MarketPool:
    pool = MarketPool(SETTINGS)
    pool.value(**change)
    pool.tick()
    return pool


def said(pool: MarketPool, detector: str) -> list[str]:
    """What was said of the alerts of a detector, in order."""
    return [f"{alert.state.value} {alert.reason}" for alert in pool.about(detector)]


def revalue(pool: MarketPool, sample: MarketSample = CALM, **change: object) -> None:
    """Another block, valued."""
    until = pool.state.chains["sim"].head.block
    pool.until(lambda: pool.state.chains["sim"].head.block != until)
    pool.value(sample, **change)
    pool.tick()


def test_an_alert_rises_with_a_valuation_and_ends_with_one_that_says_otherwise() -> None:
    pool = pool_of(**BELOW)
    [fired] = pool.about("risk.liquidatable")
    assert (fired.state, fired.severity, fired.value, fired.limit) == (AlertState.FIRING, Severity.WARNING, 1, 1)
    assert (fired.exactness, fired.block) == (Exactness.EXACT, pool.seen.sample.block)
    revalue(pool, **BELOW | {"liquidatable": 120})
    assert pool.about("risk.liquidatable")[-1].severity is Severity.CRITICAL
    revalue(pool)
    assert said(pool, "risk.liquidatable") == ["firing fired", "firing raised", "resolved cleared"]


def test_the_data_of_an_alert_says_how_its_number_is_known() -> None:
    origin = Origin(site="s", watchdog="w")
    exact = pool_of(**BELOW)
    doubted = pool_of(**BELOW, exactness=Exactness.SCREENED)
    for pool, known in (exact, "exact"), (doubted, "screened"):
        [effect] = [
            one for one in pool.effects if isinstance(one, AlertChanged) and one.alert.detector == "risk.liquidatable"
        ]
        assert alert_data(effect, origin)["exactness"] == known


def test_what_is_missing_makes_an_alert_unknown_and_its_return_decides() -> None:
    pool = pool_of(**BELOW)
    revalue(pool, unknown=1)
    assert said(pool, "risk.liquidatable") == ["firing fired", "unknown data-missing"]
    revalue(pool, **BELOW)
    assert said(pool, "risk.liquidatable")[-1] == "firing data-back"
    revalue(pool, unknown=1)
    revalue(pool)
    assert said(pool, "risk.liquidatable")[-1] == "resolved cleared"


def test_a_valuation_far_behind_is_none_and_alerts_become_unknown_after_25_blocks() -> None:
    pool = pool_of(**BELOW)
    head = pool.state.chains["sim"].head.block
    assert head is not None
    pool.value(block=replace(head, number=head.number - 25, hash="0x" + "25" * 32))
    pool.tick()
    assert said(pool, "risk.liquidatable") == ["firing fired"], "a short break says nothing"
    pool.value(block=replace(head, number=head.number - 26, hash="0x" + "26" * 32))
    pool.tick()
    assert said(pool, "risk.liquidatable") == ["firing fired", "unknown data-missing"]
    revalue(pool)
    assert said(pool, "risk.liquidatable")[-1] == "resolved cleared"


def test_a_market_that_is_valued_no_more_is_told_with_the_reason_until_it_is_again() -> None:
    params = {"risk.stuck": MarketStuckParams(warning=Over(over=20), critical=Over(over=30), clear=Under(under=10))}
    pool = MarketPool(lending(WETH, **params))
    pool.value(NOTHING)
    assert not pool.about("risk.stuck")
    revalue(pool, NOTHING)
    revalue(pool, NOTHING)
    [never] = pool.about("risk.stuck")
    assert never.severity is Severity.WARNING, "one that never was valued is no more than that"
    assert "no node answers at that block" in never.summary
    revalue(pool)
    assert said(pool, "risk.stuck")[-1] == "resolved cleared"
    for _ in range(4):
        revalue(pool, NOTHING)
    assert pool.about("risk.stuck")[-1].severity is Severity.CRITICAL


def test_a_valuation_of_a_block_that_was_replaced_decides_nothing() -> None:
    pool = pool_of(**BELOW)
    block = pool.seen.sample.block
    assert block is not None
    pool.value(block=replace(block, hash="0x" + "ee" * 32))
    pool.tick()
    pool.round()
    chain = pool.state.chains["sim"]
    assert said(pool, "risk.liquidatable")[0] == "firing fired"
    assert chain.markets["aave"].number == 2, "as after a reorg, the older block's valuation is a new one"


def test_an_alert_of_ones_own_account_has_its_name_and_ends_with_the_position() -> None:
    pool = pool_of(watched=(account(ALICE, "0.99"),))
    [fired] = pool.about("account.liquidatable")
    assert fired.severity is Severity.CRITICAL
    assert {"market": "aave", "account": "treasury"}.items() <= dict(fired.labels).items()
    revalue(pool, watched=(account(ALICE, None, unknown="its reserve could not be read"),))
    assert said(pool, "account.liquidatable")[-1] == "unknown data-missing"
    revalue(pool)
    assert said(pool, "account.liquidatable")[-1] == "resolved cleared"


def test_a_mismatch_stays_until_somebody_has_looked() -> None:
    wrong = Mismatch(account=BOB, what="healthFactor", ours="1", chain="2")
    pool = pool_of(mismatches=1, mismatched=(wrong,))
    revalue(pool)
    assert said(pool, "risk.model_mismatch") == ["firing fired"]
    pool.ack("risk.model_mismatch")
    pool.tick()
    assert said(pool, "risk.model_mismatch")[-1] == "resolved acked"


def test_changed_parameters_stay_until_they_are_accepted_as_they_were_told() -> None:
    pool = pool_of()
    revalue(pool, parameters=CHANGED)
    [fired] = pool.about("risk.param_changed")
    assert "WETH.liquidation_threshold was 8300, is 8000" in fired.summary
    assert fired.evidence["changes"] == [{"name": "WETH.liquidation_threshold", "before": "8300", "now": "8000"}]
    revalue(pool)
    assert said(pool, "risk.param_changed") == ["firing fired"], "also where the old value is back"
    revalue(pool, parameters=CHANGED)
    told = len(pool.about("risk.param_changed"))
    pool.value(parameters=(CHANGED[0], ("WETH.paused", "yes")))
    pool.ack("risk.param_changed")
    assert pool.seen.accepted == CHANGED, "what was told, and no more"
    assert len(pool.about("risk.param_changed")) == told + 2
    assert said(pool, "risk.param_changed")[-2:] == ["firing acked", "resolved acked"]
    pool.tick()
    again = pool.about("risk.param_changed")[-1]
    assert (again.state, again.activation) == (AlertState.FIRING, 2)
    assert "WETH.paused was no, is yes" in again.summary


def test_what_is_changed_next_is_told_at_once_by_the_same_alert() -> None:
    pool = pool_of()
    revalue(pool, parameters=CHANGED)
    revalue(pool, parameters=(CHANGED[0], ("WETH.paused", "yes")))
    first, second = pool.about("risk.param_changed")
    assert (first.activation, second.activation) == (1, 1)
    assert "WETH.paused was no, is yes" in second.summary
    pool.ack("risk.param_changed")
    assert pool.seen.accepted == (CHANGED[0], ("WETH.paused", "yes"))


def test_parameters_that_come_and_go_are_told_and_accepted_too() -> None:
    pool = pool_of()
    revalue(pool, parameters=(PARAMETERS[0], ("LINK.paused", "no")))
    [fired] = pool.about("risk.param_changed")
    assert "LINK.paused is new: no; WETH.paused is gone" in fired.summary
    pool.restart()
    pool.ack("risk.param_changed")
    assert pool.seen.accepted == (("LINK.paused", "no"), PARAMETERS[0])


def test_changed_limits_keep_alerts_and_a_removed_market_ends_them() -> None:
    pool = pool_of(**BELOW, watched=(account(ALICE, "0.99"),))
    pool.reload(lending(replace(WETH, watched=(replace(OWN, health_floor_ppm=1),), near_ppm=1)))
    assert said(pool, "risk.liquidatable") == said(pool, "account.liquidatable") == ["firing fired"]
    pool.reload(lending(replace(WETH, watched=())))
    assert said(pool, "account.liquidatable")[-1] == "resolved unconfigured"
    assert said(pool, "risk.liquidatable") == ["firing fired"]
    before = pool.settings
    pool.reload(replace(before, chains=(replace(before.chains[0], markets=()),)))
    assert said(pool, "risk.liquidatable")[-1] == "resolved unconfigured"


def test_another_pool_or_another_address_under_the_same_name_ends_alerts() -> None:
    pool = pool_of(**BELOW, watched=(account(ALICE, "0.99"),))
    pool.take(ConfigRevised(t_ns=pool.now, settings=lending(replace(WETH, watched=(replace(OWN, address=BOB),)))))
    assert said(pool, "account.liquidatable")[-1] == "resolved unconfigured"
    assert said(pool, "risk.liquidatable") == ["firing fired"]
    pool.take(ConfigRevised(t_ns=pool.now, settings=lending(replace(WETH, pool=BOB, watched=(OWN,)))))
    assert said(pool, "risk.liquidatable")[-1] == "resolved unconfigured"


def test_ten_thousand_accounts_in_one_block_are_one_alert() -> None:
    near = tuple(account(f"0x{at:040x}", "0.5") for at in range(100))
    pool = pool_of(liquidatable=10_000, near=near, near_count=10_000)
    assert [alert.detector for alert in pool.alerts if "market" in dict(alert.labels)] == ["risk.liquidatable"]


def test_a_limit_of_the_configuration_is_held() -> None:
    params = {"risk.liquidatable": LiquidatableParams(warning=Over(over=2), critical=None)}
    pool = MarketPool(lending(WETH, **params))
    pool.value(**BELOW)
    pool.tick()
    assert not pool.about("risk.liquidatable")


def test_numbers_that_are_none_are_no_valuation() -> None:
    pool = pool_of()
    before = pool.seen
    for junk in ({"debt": "-1"}, {"collateral": "1e9"}, {"bad_debt": ""}, {"liquidatable": -1}, {"base_decimals": 99}):
        pool.take(
            MarketValued(t_ns=pool.now, chain="sim", market="aave", sample=replace(before.sample, **junk))  # type: ignore[arg-type]
        )
        assert pool.seen == before
