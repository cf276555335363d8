"""A budget that does not last a day, through the whole core: when it is told of, what it mutes, and when it ends."""

from dataclasses import dataclass, field, replace

import pytest
from tests.support.paced import Paced, with_slots
from tests.support.pool import Pool, settings_for
from tests.support.ticking import fails

from tocsin.clock import NS
from tocsin.engine.codec import decode_event, decode_state, encode_event, encode_state
from tocsin.model.event import Booted, Event, Polled
from tocsin.model.observation import BudgetUse, FaultKind

ENOUGH = BudgetUse(per_day=100_000, wanted=94_000)
NEARLY = BudgetUse(per_day=100_000, wanted=97_000)
SHORT = BudgetUse(per_day=100_000, wanted=150_000)
UNTOLD = BudgetUse(per_day=100_000)


class Budgeted(Pool):
    """A pool whose node n1 has a budget, which `use` tells of."""

    use: BudgetUse | None = None

    def take(self, event: Event) -> None:
        super().take(self._told(event))

    def _told(self, event: Event) -> Event:
        is_its = isinstance(event, Polled) and event.node == "n1"
        told = replace(event, budget=self.use) if is_its and self.use is not None else event  # type: ignore[type-var]
        return decode_event(*encode_event(told))

    def minutes(self, count: float) -> None:
        self.rounds(round(count * 60 * NS / self.settings.chains[0].poll_ns))


def budgeted(use: BudgetUse | None = None) -> Budgeted:
    pool = Budgeted(settings_for(("a", "b", "c"), poll_s=6), late_ticks=0)
    pool.use = use
    return pool


FIRED, ENDED = ("node.budget_short", "n1", "firing"), ("node.budget_short", "n1", "resolved")


def test_a_budget_that_is_short_for_a_quarter_of_an_hour_is_told_of() -> None:
    pool = budgeted(SHORT)
    pool.minutes(14)
    assert pool.said() == []
    pool.minutes(2)
    assert pool.said() == [FIRED]
    assert pool.alerts[-1].severity.value == "warning"
    assert "150000 calls of the 100000" in pool.alerts[-1].summary


def test_it_ends_when_the_budget_suffices_with_room_to_spare_and_not_on_the_edge() -> None:
    pool = budgeted(SHORT)
    pool.minutes(16)
    pool.use = NEARLY
    pool.minutes(30)
    assert pool.said() == [FIRED]
    pool.use = ENOUGH
    pool.minutes(9)
    assert pool.said() == [FIRED]
    pool.minutes(2)
    assert pool.said() == [FIRED, ENDED]


def test_a_burst_of_some_minutes_is_not_told_of() -> None:
    pool = budgeted(SHORT)
    pool.minutes(10)
    pool.use = ENOUGH
    pool.minutes(20)
    assert pool.said() == []


def test_after_a_start_what_was_known_of_a_budget_stands_until_it_is_known_anew() -> None:
    pool = budgeted(SHORT)
    pool.minutes(16)
    pool.state = decode_state(encode_state(pool.state))
    pool.take(Booted(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), boot="b1", version="test"))
    pool.use = UNTOLD
    pool.minutes(15)
    assert pool.said() == [FIRED]
    pool.use = replace(UNTOLD, per_day=1_000_000)  # somebody raised it
    pool.minutes(11)
    assert pool.said() == [FIRED, ENDED]


def test_a_budget_that_is_taken_away_ends_what_was_said_of_it() -> None:
    pool = budgeted(SHORT)
    pool.minutes(16)
    pool.use = None
    pool.minutes(11)
    assert pool.said() == [FIRED, ENDED]


def test_a_budget_that_is_spent_is_one_alert_and_a_node_that_limits_us_another() -> None:
    pool = budgeted(SHORT)
    pool.minutes(16)
    pool.answers["n1"] = fails(FaultKind.BUDGET)
    pool.minutes(10)
    assert pool.said() == [FIRED]
    other = budgeted(ENOUGH)
    other.minutes(16)
    other.answers["n1"] = fails(FaultKind.BUDGET)
    other.minutes(1)
    assert other.said() == [("node.rate_limited", "n1", "firing")]


def test_a_refusal_of_the_node_itself_is_told_however_short_the_budget_is() -> None:
    pool = budgeted(SHORT)
    pool.minutes(16)
    pool.answers["n1"] = fails(FaultKind.BUDGET)
    pool.minutes(2)
    pool.answers["n1"] = fails(FaultKind.RATE_LIMITED)
    pool.minutes(1)
    assert pool.said() == [FIRED, ("node.rate_limited", "n1", "firing")]


def test_all_budgets_short_at_once_is_no_mistake_of_the_check() -> None:
    pool = budgeted()

    def told(event: Event) -> Event:
        return replace(event, budget=SHORT) if isinstance(event, Polled) else event

    pool._told = told  # type: ignore[method-assign]
    pool.minutes(20)
    assert {(detector, state) for detector, _, state in pool.said()} == {("node.budget_short", "firing")}
    assert len(pool.said()) == 3


def test_without_budgets_nothing_more_is_recorded() -> None:
    pool = budgeted()
    pool.keep_events = True
    pool.rounds(5)
    assert not any(b"budget" in encode_event(event)[0] for event in pool.events if isinstance(event, Polled))
    records = encode_state(replace(pool.state, settings=None))
    assert b'"budget"' not in records


def test_a_node_with_a_short_budget_is_not_asked_more_often_for_it() -> None:
    class Scarce(Paced):
        def take(self, event: Event) -> None:
            super().take(replace(event, budget=SHORT) if isinstance(event, Polled) and event.node == "n1" else event)

    pool = Scarce(with_slots(settings_for(("a", "b", "c"), own=())))
    pool.run(1_200)
    assert pool.said() == [FIRED]
    pool.started.clear()
    pool.run(240)
    assert len(pool.started["n1"]) <= 81


@dataclass
class Rare(Paced):
    """A pool of which the nodes named in `rare` are asked once in five block times, which is the floor of a budget."""

    rare: tuple[str, ...] = ()
    polled_at: dict[str, int] = field(default_factory=dict)

    def due(self, name: str) -> bool:
        rests = name in self.rare and name in self.polled_at and self.now - self.polled_at[name] < 59 * NS
        if rests or not super().due(name):
            return False
        self.polled_at[name] = self.now
        return True


def rare(groups: tuple[str, ...], *names: str) -> Rare:
    return Rare(settings_for(groups, own=("n0",)), rare=names)


@pytest.mark.parametrize(
    ("groups", "names"),
    [(("a", "b"), ("n1",)), (("a", "b", "c"), ("n0",)), (("a", "b", "c"), ("n1", "n2")), (tuple("abcd"), ("n1", "n2"))],
)
def test_nodes_that_are_asked_rarely_do_not_stand_still_in_between(
    groups: tuple[str, ...], names: tuple[str, ...]
) -> None:
    pool = rare(groups, *names)
    pool.run(900)
    assert pool.said() == []


def test_a_node_that_is_asked_rarely_and_stands_still_is_told_of_when_it_is_asked() -> None:
    pool = rare(("a", "b", "c"), "n1")
    pool.run(120)
    pool.nodes["n1"].view.freeze()
    pool.run(180)
    assert ("node.stale", "n1", "firing") in pool.said()


def test_a_majority_that_stands_still_is_told_of_though_some_of_it_is_asked_rarely() -> None:
    pool = rare(tuple("abcd"), "n1")
    pool.run(120)
    for name in ("n1", "n2"):
        pool.nodes[name].view.freeze()
    pool.run(180)
    assert ("pool.majority_stalled", "sim", "firing") in pool.said()
