"""When a chain is looked at: soon after news, and now and then in any case."""

import asyncio
from dataclasses import replace

import pytest
from tests.support.pool import settings_for

from tocsin.clock import MS, NS, EngineClock
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.model.event import Booted, ConfigRevised, Event, Polled, Ticked
from tocsin.model.settings import Settings
from tocsin.rpc.lag import LoopLag
from tocsin.runtime.ticker import QUIET_NS, Ticker, quiet_ns
from tocsin.testing import ManualClock


class Bench:
    """A ticker that is asked at every instant that a test names."""

    def __init__(self, settings: Settings) -> None:
        self.manual = ManualClock()
        self.clock = EngineClock(self.manual)
        self.state = EngineState()
        self.ticks: list[tuple[str, int]] = []
        self.ticker = Ticker(self.clock, LoopLag(self.clock), state=lambda: self.state, emit=self.take)
        self.began = self.clock.t_ns()
        self.take(Booted(t_ns=self.began, wall_ns=self.manual.wall_ns(), boot="b", version="t"))
        self.take(ConfigRevised(t_ns=self.began, settings=settings))

    def take(self, event: Event) -> None:
        if isinstance(event, Ticked):
            self.ticks.append((event.chain, (event.t_ns - self.began) // MS))
        self.state = step(self.state, event).state

    def news(self, chain: str = "sim") -> None:
        now = self.clock.t_ns()
        self.take(Polled(t_ns=now, started_ns=now, chain=chain, node="n0", poll=1))

    def at(self, ms: int) -> None:
        self.manual.advance(ns=ms * MS - (self.clock.t_ns() - self.began))
        for chain in self.ticker._due(self.clock.t_ns()):
            self.ticker._tick(chain)

    def of(self, chain: str) -> list[int]:
        return [ms for name, ms in self.ticks if name == chain]


@pytest.fixture
def bench() -> Bench:
    bench = Bench(settings_for(("a", "b")))
    bench.at(0)
    assert bench.ticks == [("sim", 0), ("", 0)]
    bench.ticks.clear()
    return bench


def test_news_is_looked_at_once_per_tick_interval(bench: Bench) -> None:
    for ms in range(10, 1000, 10):
        bench.news()
        bench.at(ms)
    # A timer may be a hair early: 10 ms less than the 250 are on time.
    assert bench.of("sim") == [240, 480, 720, 960]


def test_a_silent_chain_is_looked_at_as_often_as_it_is_asked(bench: Bench) -> None:
    for ms in range(50, 10_001, 50):
        bench.at(ms)
    assert bench.of("sim") == [2000, 4000, 6000, 8000, 10_000]


@pytest.mark.parametrize(("poll_s", "quiet_s"), [(0.05, 1), (1, 1), (2, 2), (5, 5), (600, 5)])
def test_silence_is_looked_at_between_once_a_second_and_once_in_five(poll_s: float, quiet_s: int) -> None:
    assert quiet_ns(settings_for(("a",), poll_s=poll_s).chains[0]) == quiet_s * NS


def test_the_watchdog_looks_at_itself_once_a_second(bench: Bench) -> None:
    for ms in range(50, 3_001, 50):
        bench.at(ms)
    assert bench.of("") == [QUIET_NS // MS, 2 * QUIET_NS // MS, 3 * QUIET_NS // MS]


def test_a_chain_that_is_gone_is_looked_at_no_more_and_a_new_one_at_once(bench: Bench) -> None:
    other = replace(bench.state.settings, chains=(replace(bench.state.settings.chains[0], name="other", id=7),))  # type: ignore[type-var, union-attr]
    bench.take(ConfigRevised(t_ns=bench.clock.t_ns(), settings=other))
    for ms in range(50, 5_001, 50):
        bench.at(ms)
    assert bench.of("sim") == []
    assert bench.of("other")[0] == 50


def test_news_of_one_chain_makes_no_other_one_due(bench: Bench) -> None:
    settings = bench.state.settings
    assert settings is not None
    two = replace(settings, chains=(settings.chains[0], replace(settings.chains[0], name="other", id=7)))
    bench.take(ConfigRevised(t_ns=bench.clock.t_ns(), settings=two))
    bench.at(10)
    bench.ticks.clear()
    for ms in range(20, 1000, 10):
        bench.news("other")
        bench.at(ms)
    assert bench.of("sim") == []
    assert len(bench.of("other")) >= 3


async def test_a_tick_that_fails_ends_the_task_and_the_next_life_looks_at_the_other_chains() -> None:
    settings = settings_for(("a", "b"))
    two = replace(settings, chains=(settings.chains[0], replace(settings.chains[0], name="other", id=7)))
    bench = Bench(two)

    def emit(event: Event) -> None:
        if isinstance(event, Ticked) and event.chain == "sim":
            raise RuntimeError("poison")
        bench.take(event)

    ticker = Ticker(bench.clock, LoopLag(bench.clock), state=lambda: bench.state, emit=emit)
    with pytest.raises(RuntimeError, match="poison"):
        await ticker.run(lambda: None)
    task = asyncio.create_task(ticker.run(lambda: None))
    await asyncio.sleep(0)
    assert bench.of("other") == [0]
    task.cancel()


async def test_between_two_chains_everybody_else_has_a_turn() -> None:
    settings = settings_for(("a", "b"))
    one = settings.chains[0]
    many = replace(settings, chains=tuple([replace(one, name=f"c{at}", id=at) for at in range(1, 6)]))
    bench = Bench(many)
    task = asyncio.create_task(bench.ticker.run(lambda: None))
    seen = []
    for _ in range(5):
        await asyncio.sleep(0)
        seen.append(len(bench.ticks))
    task.cancel()
    assert seen == [1, 2, 3, 4, 5]


async def test_the_watchdogs_own_tick_tells_how_late_the_loop_was(bench: Bench) -> None:
    async with asyncio.TaskGroup() as group:
        sampling = group.create_task(bench.ticker._lag.run())
        await asyncio.sleep(0)
        bench.at(1000)
        sampling.cancel()
    # A sample was due 50 ms after it began.
    assert bench.state.loop_lag_ns == 950 * MS
