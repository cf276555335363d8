"""Sources of prices on a simulated chain: what each says is read as it is, and what is wrong with it is told."""

from dataclasses import replace
from typing import Any

import pytest
from orjson import dumps, loads
from tests.support.feedpool import (
    BEHIND,
    ETH,
    EVERY,
    HOUR,
    ORACLE,
    PAIRED,
    POOL,
    RATE,
    SEQUENCER,
    SHARE,
    SILENT,
    SPOT,
    STABLE,
    TICK,
    TWAP,
    UPTIME,
    USD,
    USDC,
    VAULT,
    FeedPool,
    gateway,
    pricing,
    world,
)
from tests.support.statepool import about, lying

from tocsin.clock import NS
from tocsin.engine import codec, feedcalls, status
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.model.alert import AlertState, Grade, Severity
from tocsin.model.effect import StateChanged
from tocsin.model.feed import FeedKind
from tocsin.model.reading import READ, CallOf, parse
from tocsin.testing import ChainSpec
from tocsin.testing.simfeeds import PHASE, answered, priced, rated
from tocsin.testing.simstate import Change

DOLLAR = 10**8
FIRST = PHASE + 7


def well(pool: FeedPool) -> FeedPool:
    pool.rounds(14)
    assert pool.problems() == {}
    assert pool.alerts == []
    return pool


# -- what is read


def test_every_kind_of_source_is_read_at_one_block_with_its_grade() -> None:
    pool = well(FeedPool())
    assert pool.values() == {
        "eth-usd": "2000",
        "twap": "1999.840305617526508",
        "spot": "1999.99964646893562",
        "pair": "2000",
        "share": "1.05",
        "rate": "1.05",
        "usdc-usd": "1",
        "uptime": "0",
    }
    latest = [seen.latest for seen in pool.state.chains["sim"].feeds.values() if seen.latest is not None]
    assert len({one.block for one in latest}) == 1
    assert {(one.grade, one.votes, one.groups) for one in latest} == {(Grade.QUORUM, 3, 3)}


def test_what_the_first_answers_name_is_read_at_the_same_block() -> None:
    pool = FeedPool()
    pool.rounds(3)
    assert pool.seen().samples == 1
    assert pool.seen().fixed == {
        "decimals": "8",
        "description": "ETH / USD",
        "aggregator": f"0x{BEHIND.hex()}",
        "low": str(10**8),
        "high": str(10**13),
    }
    blocks = {fetch.call.split(":")[3] for fetch in pool.asked if fetch.call.startswith(READ)}
    final = pool.state.chains["sim"].finalized.block
    assert final is not None
    assert len(blocks - {final.hash}) == 1
    assert pool.seen("spot").fixed["decimals1"] == "6"


def test_what_is_fixed_is_not_asked_for_at_every_block() -> None:
    pool = well(FeedPool())
    found = parse([fetch.call for fetch in pool.asked if fetch.call.startswith(READ)][-1])
    assert found is not None
    assert len(found.items) == len(EVERY) + 1  # the liquidity of a v3 pool is no part of its price


def test_an_aggregator_of_another_phase_is_asked_anew_what_is_behind_it() -> None:
    pool = well(FeedPool())
    other = bytes.fromhex("ab" * 20)
    pool.send(Change(slots={(ORACLE, 4): int.from_bytes(other)}))
    pool.answer(2 * PHASE + 1, 2001 * DOLLAR)
    pool.slots(5)
    assert pool.seen().fixed["aggregator"] == f"0x{other.hex()}"
    assert pool.about("oracle.round_regress") == []


def test_the_decimals_of_an_aggregator_are_read_again_with_each_round() -> None:
    pool = well(FeedPool(pricing((replace(ETH, decimals=8),))))
    pool.answer(FIRST + 1, 2001 * 10**18)
    pool.send(Change(slots={(ORACLE, 1): 18}))
    pool.slots(2)
    assert pool.problems()["eth-usd"] == "it has 18 decimals, and 8 are configured: check the address"
    assert pool.values()["eth-usd"] == "2000"
    assert {alert.detector for alert in pool.alerts} == {"oracle.misconfigured"}
    before = len(pool.asked)
    pool.slots(3)
    calls = [item for fetch in pool.asked[before:] for item in getattr(parse(fetch.call), "items", ())]
    assert CallOf(to=ORACLE, data=bytes.fromhex(feedcalls.DECIMALS[2:])) in calls
    pool.send(Change(slots={(ORACLE, 1): 8}))
    pool.answer(FIRST + 2, 2001 * DOLLAR)
    pool.slots(5)
    assert pool.values()["eth-usd"] == "2001"
    assert ("oracle.misconfigured", "sim") not in pool.open()
    before = len(pool.asked)
    pool.slots(3)
    calls = [item for fetch in pool.asked[before:] for item in getattr(parse(fetch.call), "items", ())]
    assert {item.data.hex() for item in calls if isinstance(item, CallOf)} == {feedcalls.LATEST[2:]}


def test_an_aggregator_with_other_decimals_is_read_in_its_own_at_the_block_at_which_it_comes() -> None:
    pool = FeedPool()
    pool.slots(3)
    pool.answer(2 * PHASE + 1, 2001 * 10**18)
    pool.send(Change(slots={(ORACLE, 1): 18, (BEHIND, 2): 10**18, (BEHIND, 3): 10**23}))
    for _ in range(18):
        pool.rounds(1)
        assert pool.values()["eth-usd"] in ("2000", "2001")
    assert pool.values()["eth-usd"] == "2001"
    pool.slots(2)
    assert (pool.seen().fixed["low"], pool.seen().fixed["high"]) == (str(10**18), str(10**23))
    assert not pool.alerts


def test_a_feed_is_no_price_where_the_contract_is_not_what_was_configured() -> None:
    wrong = (
        replace(ETH, decimals=18),
        replace(SPOT, base=f"0x{STABLE.hex()}"),
        replace(PAIRED, min_liquidity=10**30),
        replace(TWAP, address=f"0x{USDC.hex()}"),
        replace(USD, address=f"0x{'99' * 20}"),
    )
    pool = FeedPool(pricing(wrong))
    pool.rounds(14)
    problems = pool.problems()
    assert problems["eth-usd"] == "it has 8 decimals, and 18 are configured: check the address"
    assert problems["spot"].startswith("base is none of its tokens")
    assert problems["pair"] == f"its liquidity is {44_721_359_549_995_793}, less than {10**30}"
    assert "its token0, its token1" in problems["twap"]
    assert problems["usdc-usd"] == f"there is no code at 0x{'99' * 20} on this chain: check the address"
    assert "eth-usd" not in pool.values()
    told = {alert.evidence["feed"]: alert.summary for alert in pool.about("oracle.misconfigured")}
    assert told == {
        name: f"{name} is not what the configuration says: {problems[name]}"
        for name in ("eth-usd", "spot", "twap", "usdc-usd")
    }
    pool.reload(pricing())
    pool.rounds(24)
    assert pool.open() == set()


def test_an_address_without_code_is_told_also_where_nobody_proves_that() -> None:
    pool = FeedPool(pricing((replace(USD, address=f"0x{'99' * 20}"),)))
    for node in pool.nodes.values():
        node.data.missing = {"eth_getProof"}
    pool.slots(15)
    [alert] = pool.about("oracle.misconfigured")
    assert alert.summary == "usdc-usd is not what the configuration says: it gives no round: check the address"


@pytest.mark.parametrize("liar", ["n0", "n2"])
def test_a_node_that_lies_about_a_price_changes_nothing_and_is_named(liar: str) -> None:
    pool = well(FeedPool())
    word = f"0x{1:064x}{1:064x}{2:064x}{3:064x}{1:064x}"
    pool.answers[liar] = lying("eth_call", lambda _: word, about(ORACLE))
    values = pool.values()
    for _ in range(7):
        pool.round()
        assert pool.values() == values
    assert pool.open() == {("node.call_mismatch", liar)}
    [alert] = pool.alerts
    assert alert.evidence["contract"] == "eth-usd"


def test_where_groups_contradict_each_other_the_last_price_stands_and_is_no_voice() -> None:
    pool = well(FeedPool(pricing(providers=("self", "b"))))
    word = f"0x{1:064x}{1:064x}{2:064x}{3:064x}{1:064x}"
    pool.answers["n1"] = lying("eth_call", lambda _: word, about(ORACLE))
    pool.slots(3)
    assert pool.values()["eth-usd"] == "2000"
    assert pool.problems()["eth-usd"] == "groups contradict each other"
    assert pool.alerts == []


# -- rounds


def test_rounds_between_two_readings_are_read_and_the_jump_is_from_round_to_round() -> None:
    pool = well(FeedPool())
    at_s = pool.block_s + 12
    for number, price in ((1, 2050), (2, 2300), (3, 2310)):
        pool.send(answered(ORACLE, FIRST + number, price * DOLLAR, at_s))
    pool.slots(3)
    rounds = [(int(one.number) - FIRST, one.answer, one.moved_bps) for one in pool.seen().rounds]
    assert rounds == [(0, "2000", 0), (1, "2050", 250), (2, "2300", 1219), (3, "2310", 43)]
    [alert] = pool.about("oracle.jump")
    assert (alert.severity, alert.value) == (Severity.WARNING, 1219)
    assert alert.summary == "eth-usd went from 2050 to 2300 in one round, by 12.19 %"
    pool.answer(FIRST + 4, 2312 * DOLLAR)
    pool.slots(3)
    assert pool.about("oracle.jump")[-1].state is AlertState.RESOLVED


@pytest.mark.parametrize(
    ("number", "answer", "reason"),
    [
        (FIRST - 1, 1999, "round 6 of phase 1 came after round 7 of phase 1"),
        (FIRST, 1999, "round 7 of phase 1 says 1999 and said 2000 before"),
        (7, 2001, "round 7 came after round 7 of phase 1"),
    ],
)
def test_a_round_that_cannot_follow_is_told_and_stays_until_somebody_has_seen_it(
    number: int, answer: int, reason: str
) -> None:
    pool = well(FeedPool())
    pool.answer(number, answer * DOLLAR)
    pool.slots(4)
    [alert] = pool.about("oracle.round_regress")
    assert (alert.severity, alert.summary) == (Severity.CRITICAL, f"eth-usd: {reason}")
    pool.answer(FIRST + 1, 2000 * DOLLAR)
    pool.slots(4)
    assert ("oracle.round_regress", "sim") in pool.open()
    assert pool.seen().regress is None


def test_an_older_time_with_a_higher_number_cannot_follow_within_a_phase() -> None:
    pool = well(FeedPool())
    pool.answer(FIRST + 1, 2000 * DOLLAR, late_s=3000)
    pool.slots(4)
    [alert] = pool.about("oracle.round_regress")
    assert "is older than round 7 of phase 1" in alert.summary


@pytest.mark.parametrize("depth", [1, 3, 7])
def test_a_reorg_takes_rounds_back_and_accuses_nobody(depth: int) -> None:
    pool = well(FeedPool())
    pool.answer(FIRST + 1, 2004 * DOLLAR)
    pool.slots(depth + 1)
    assert pool.seen().rounds[-1].answer == "2004"
    pool.chain.reorg(depth + 2)
    pool.slots(3)
    assert pool.values()["eth-usd"] == "2000"
    assert [int(one.number) for one in pool.seen().rounds] == [FIRST]
    pool.answer(FIRST + 1, 2010 * DOLLAR)
    pool.slots(depth + 4)
    assert pool.values()["eth-usd"] == "2010"
    assert [alert for alert in pool.alerts if alert.detector.startswith("oracle.")] == []


# -- age


def test_an_answer_is_late_after_heartbeat_and_grace_and_missed_at_twice_the_heartbeat() -> None:
    settings = pricing((ETH,), slot_s=60, poll_s=30)
    pool = FeedPool(replace(settings, chains=(replace(settings.chains[0], tick_ns=15 * NS),)), spec=_spec(60))
    while not pool.about("oracle.stale"):
        pool.round()
    [alert] = pool.about("oracle.stale")
    assert (alert.severity, alert.value) == (Severity.WARNING, HOUR + 120)
    while len(pool.about("oracle.stale")) < 2:
        pool.round()
    raised = pool.about("oracle.stale")[-1]
    assert (raised.severity, raised.value, raised.reason) == (Severity.CRITICAL, 2 * HOUR, "raised")
    pool.answer(FIRST + 1, 2001 * DOLLAR)
    pool.rounds(8)
    assert pool.about("oracle.stale")[-1].state is AlertState.RESOLVED


def test_an_answer_of_the_future_has_no_age_and_is_told_as_that() -> None:
    pool = well(FeedPool(pricing((ETH,))))
    pool.chain.send(answered(ORACLE, FIRST + 1, 2001 * DOLLAR, pool.block_s + 12 + 60))
    pool.slots(3)
    assert pool.about("oracle.stale") == []
    pool.chain.send(answered(ORACLE, FIRST + 2, 2001 * DOLLAR, pool.block_s + 40 * 365 * 24 * HOUR))
    pool.slots(2)
    [alert] = pool.about("oracle.stale")
    assert alert.severity is Severity.WARNING
    assert alert.summary.startswith("eth-usd has an answer of the future, 14599 d 23 h after the block")
    assert "after the block" in pool.problems()["eth-usd"]
    pool.chain.send(answered(ORACLE, FIRST + 2 + PHASE, 2001 * DOLLAR, pool.block_s))
    pool.slots(3)
    assert pool.open() == set()


def test_an_answer_just_in_time_is_not_late() -> None:
    settings = pricing((ETH,), slot_s=60, poll_s=30)
    pool = FeedPool(replace(settings, chains=(replace(settings.chains[0], tick_ns=15 * NS),)), spec=_spec(60))
    begun_s = pool.block_s - 600
    while pool.block_s < begun_s + HOUR + 60:
        pool.round()
    pool.chain.send(answered(ORACLE, FIRST + 1, 2001 * DOLLAR, begun_s + HOUR + 120))
    pool.rounds(12)
    assert pool.seen().rounds[-1].answer == "2001"
    assert pool.alerts == []


def test_on_a_chain_that_stands_still_nothing_gets_older() -> None:
    pool = well(FeedPool(pricing((replace(ETH, heartbeat_ns=900 * NS, grace_ns=60 * NS),))))
    pool.chain.halt()
    pool.rounds(220)
    assert {alert.detector for alert in pool.alerts} == {"chain.halt"}


def _spec(slot_s: int) -> ChainSpec:
    return ChainSpec(history=200, slot_ns=slot_s * NS, world=world(1_700_000_000 - 600))


# -- beside the others


def test_a_source_that_is_off_the_median_of_three_is_told_and_moves_nobody_else() -> None:
    pool = well(FeedPool())
    pool.send(priced(POOL, sqrt_price=3_543_190_829_128_866_413_297_664 * 11 // 10, tick=TICK + 1906, liquidity=10**20))
    pool.slots(6)
    assert {(dict(alert.labels)["feed"], alert.severity.value) for alert in pool.about("oracle.deviation")} == {
        ("spot", "critical"),
        ("twap", "critical"),
    }
    pair = [one for one in pool.about("oracle.deviation") if dict(one.labels)["feed"] == "spot"][-1]
    assert pair.evidence["median"] == "2000"
    assert pair.evidence["voices"] == 3


def test_of_two_voices_that_differ_nobody_is_accused() -> None:
    pool = well(FeedPool(pricing((ETH, TWAP, SPOT))))
    pool.answer(FIRST + 1, 1500 * DOLLAR)
    pool.slots(5)
    assert pool.about("oracle.deviation") == []


def test_an_aggregator_may_be_off_by_its_own_threshold_more() -> None:
    feeds = (ETH, SPOT, PAIRED)
    for threshold, fired in ((50, True), (250, False)):
        pool = well(FeedPool(pricing((replace(ETH, deviation_bps=threshold), *feeds[1:]))))
        pool.answer(FIRST + 1, 2040 * DOLLAR)  # 2 %
        pool.slots(5)
        assert bool(pool.about("oracle.deviation")) is fired


def test_oracle_and_market_stand_side_by_side_on_the_retained_topic() -> None:
    settings = pricing((ETH, SPOT, PAIRED), (gateway(),))
    pool = FeedPool(settings, keep_events=True)
    pool.quotes["exchange"] = "2040"
    pool.rounds(14)
    told = [effect for effect in pool.effects if isinstance(effect, StateChanged)]
    [feed, *_] = [loads_of(one) for one in reversed(told) if one.topic == "feed/sim/eth-usd"]
    assert feed["says"]["value"] == "2000"
    assert feed["market"] == {"value": "2000", "voices": 3, "spread_bps": 200}
    assert feed["gap_bps"] == 0
    assert {one["source"]: one["used"] for one in feed["sources"]} == dict.fromkeys(
        ("eth-usd", "spot", "pair", "exchange"), True
    )
    [seen, *_] = [loads_of(one) for one in reversed(told) if one.topic == "gateway/exchange"]
    assert (seen["state"], seen["value"], seen["off_bps"]) == ("disagreeing", "2040", 200)


def loads_of(effect: StateChanged) -> Any:
    return loads(dumps(effect.document))


def test_the_topic_is_said_again_with_a_round_and_not_with_every_block() -> None:
    pool = well(FeedPool(pricing((ETH,)), keep_events=True))

    def said() -> int:
        return sum(isinstance(one, StateChanged) and one.topic == "feed/sim/eth-usd" for one in pool.effects)

    assert said() == 1
    pool.slots(10)
    assert said() == 1
    pool.answer(FIRST + 1, 2001 * DOLLAR)
    pool.slots(3)
    assert said() == 2


# -- gateways


def test_a_gateway_that_does_not_answer_is_told_after_three_polls_and_ends_with_a_price() -> None:
    pool = FeedPool(pricing((ETH, SPOT, PAIRED), (gateway(max_age_ns=10 * NS),)))
    pool.quotes["exchange"] = "2000"
    pool.rounds(14)
    assert pool.alerts == []
    pool.quotes["exchange"] = SILENT
    pool.rounds(12)
    [alert] = pool.about("oracle.stale")
    assert dict(alert.labels)["gateway"] == "exchange"
    assert "timeout: no answer after 5000 ms" in alert.summary
    assert alert.severity is Severity.WARNING
    row = status.status(pool.state, pool.now)["gateways"]
    assert [(one["name"], one["state"]) for one in row] == [("exchange", "unreachable")]  # type: ignore[attr-defined]
    pool.quotes["exchange"] = "2001"
    pool.rounds(3)
    assert pool.about("oracle.stale")[-1].state is AlertState.RESOLVED


def test_a_gateway_that_never_answered_is_told_as_well() -> None:
    pool = FeedPool(pricing((ETH,), (gateway(poll_ns=2 * NS, max_age_ns=10 * NS),)))
    pool.quotes["exchange"] = SILENT
    pool.rounds(14)
    assert len(pool.about("oracle.stale")) == 1


def test_a_gateway_with_another_price_is_disagreeing_and_the_market_stays() -> None:
    pool = FeedPool(pricing((ETH, SPOT, PAIRED), (gateway(),)))
    pool.quotes["exchange"] = "3000"
    pool.rounds(14)
    [alert] = pool.about("oracle.deviation")
    assert (dict(alert.labels)["gateway"], alert.severity) == ("exchange", Severity.CRITICAL)
    shown: Any = status.status(pool.state, pool.now)
    assert shown["gateways"][0]["state"] == "disagreeing"
    assert shown["chains"][0]["feeds"][0]["market"]["value"] == "2000"


def test_a_gateway_whose_own_time_is_old_has_no_voice() -> None:
    pool = FeedPool(pricing((ETH, SPOT, PAIRED), (gateway(),)))
    pool.quotes["exchange"] = "3000"
    pool.price_age_s = 300
    pool.rounds(14)
    assert pool.about("oracle.deviation") == []
    assert [dict(alert.labels).get("gateway") for alert in pool.alerts] == ["exchange"]
    assert pool.alerts[0].detector == "oracle.stale"


# -- rates, pegs, bounds, the sequencer


def test_a_rate_that_falls_is_told_and_one_that_rises_slowly_is_not() -> None:
    pool = well(FeedPool(pricing((SHARE, RATE))))
    pool.send(rated(VAULT, 105 * 10**16 + 10**14))
    pool.slots(3)
    assert pool.alerts == []
    pool.send(rated(VAULT, 104 * 10**16))
    pool.slots(3)
    assert {dict(alert.labels)["feed"] for alert in pool.about("oracle.jump")} == {"share", "rate"}
    alert = pool.about("oracle.jump")[-1]
    assert (alert.severity, alert.value) == (Severity.CRITICAL, 95)
    assert "fell from 1.05 to 1.04" in alert.summary


def test_a_rate_that_jumps_up_is_told() -> None:
    pool = well(FeedPool(pricing((SHARE,))))
    pool.send(rated(VAULT, 2 * 10**18))
    pool.slots(3)
    [alert] = pool.about("oracle.jump")
    assert alert.severity is Severity.CRITICAL
    assert "rose from 1.05 to 2 within a day" in alert.summary


def test_a_peg_that_the_oracle_leaves_is_told() -> None:
    pool = well(FeedPool(pricing((USD,))))
    pool.answer(PHASE + 2, 98 * 10**6, STABLE)
    pool.slots(5)
    [alert] = pool.about("oracle.depeg")
    assert (alert.severity, alert.value) == (Severity.WARNING, 200)
    assert alert.summary == "usdc-usd says 0.98 for usdc/usd, 2 % off the peg of 1"


def test_a_peg_that_the_market_leaves_is_told_while_the_oracle_holds_it() -> None:
    gateways = tuple(gateway(name, "usdc/usd") for name in ("one", "two", "three"))
    pool = FeedPool(pricing((USD,), gateways))
    pool.quotes |= {"one": "0.951", "two": "0.95", "three": "1.2"}
    pool.rounds(20)
    [alert] = pool.about("oracle.depeg")
    assert (alert.severity, alert.value) == (Severity.CRITICAL, 490)
    assert alert.summary == "the market says 0.951 for usdc/usd, 4.9 % off the peg of 1"


@pytest.mark.parametrize(
    ("answer", "severity"), [(2 * DOLLAR, None), (11 * DOLLAR // 10, "warning"), (DOLLAR, "critical")]
)
def test_an_answer_at_the_bounds_of_the_aggregator_is_no_price(answer: int, severity: str | None) -> None:
    pool = FeedPool(pricing((ETH,)))
    pool.rounds(8)
    pool.answer(FIRST + 1, answer)
    pool.slots(4)
    found = pool.about("oracle.bounds")
    assert [alert.severity.value for alert in found] == ([severity] if severity else [])


def test_an_answer_of_nothing_is_critical_and_no_voice() -> None:
    pool = well(FeedPool(pricing((USD,))))
    pool.answer(PHASE + 2, -1, STABLE)
    pool.slots(4)
    assert pool.values()["usdc-usd"] == "-0.00000001"
    assert pool.about("oracle.bounds")[0].severity is Severity.CRITICAL
    assert "which is no price" in pool.problems()["usdc-usd"]


def test_a_sequencer_that_is_down_is_critical_and_warns_for_its_grace_when_it_is_back() -> None:
    feed = replace(SEQUENCER, grace_ns=120 * NS)
    pool = well(FeedPool(pricing((feed,))))
    pool.answer(2, 1, UPTIME)
    pool.slots(3)
    [alert] = pool.about("oracle.sequencer_down")
    assert alert.severity is Severity.CRITICAL
    assert "the sequencer has been down for" in alert.summary
    pool.answer(3, 0, UPTIME)
    pool.slots(5)
    assert ("oracle.sequencer_down", "sim") in pool.open()
    pool.slots(10)
    assert ("oracle.sequencer_down", "sim") not in pool.open()


# -- what stays


def test_a_reload_keeps_what_is_known_of_feeds_that_stay_and_forgets_the_others() -> None:
    pool = well(FeedPool(pricing((ETH, SHARE))))
    pool.send(rated(VAULT, 10**18))
    pool.slots(3)
    assert pool.about("oracle.jump")
    moved = replace(SHARE, kind=FeedKind.RATE, function=RATE.function)
    pool.reload(pricing((replace(ETH, heartbeat_ns=7200 * NS), moved)))
    assert set(pool.state.chains["sim"].feeds) == {"eth-usd"}
    assert pool.about("oracle.jump")[-1].reason == "unconfigured"
    pool.rounds(8)
    assert pool.values() == {"eth-usd": "2000", "share": "1"}


def test_a_snapshot_carries_feeds_and_gateways_and_decides_as_before() -> None:
    pool = FeedPool(pricing(gateways=(gateway(),)))
    pool.quotes["exchange"] = "2004"
    pool.answer(FIRST + 1, 2300 * DOLLAR)
    pool.rounds(20)
    again = codec.decode_state(codec.encode_state(pool.state))
    assert again == pool.state
    assert codec.encode_state(again) == codec.encode_state(pool.state)


def test_the_events_of_feeds_and_gateways_replay_to_the_same_bytes() -> None:
    pool = FeedPool(pricing(gateways=(gateway(),)), keep_events=True)
    pool.quotes["exchange"] = "2004"
    pool.rounds(10)
    pool.answer(FIRST + 1, 2300 * DOLLAR)
    pool.quotes["exchange"] = SILENT
    pool.rounds(20)
    state = EngineState()
    for event in pool.events:
        record, bodies = codec.encode_event(event)
        state = step(state, codec.decode_event(record, bodies)).state
    assert codec.encode_state(state) == codec.encode_state(pool.state)


def test_honest_feeds_raise_nothing_over_many_blocks_with_reorgs() -> None:
    pool = well(FeedPool(pricing(gateways=(gateway(),))))
    pool.quotes["exchange"] = "2001"
    price, number = 2000 * DOLLAR, FIRST
    for turn in range(12):
        number, price = number + 1, price + (-1) ** turn * 9 * DOLLAR
        pool.answer(number, price)
        pool.slots(4)
        if turn % 4 == 3:
            pool.chain.reorg(3)
            pool.slots(2)
            number = int(pool.seen().rounds[-1].number)
    assert [alert for alert in pool.alerts if alert.detector.startswith(("oracle.", "node.call"))] == []
