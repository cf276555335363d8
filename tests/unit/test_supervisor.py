"""The supervisor owns every task: deaths are reported and healed, lateness shows, nothing is left behind."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tocsin.clock import NS
from tocsin.runtime.supervisor import (
    FORGIVEN_AFTER_NS,
    LONGEST_DELAY_NS,
    Crash,
    EndedUnasked,
    Supervisor,
    TaskDied,
)


class HandClock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now_ns = 7 * NS

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return self.now_ns

    async def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * NS)
        await asyncio.sleep(0)


async def forever() -> None:
    await asyncio.Event().wait()


def supervisor(clock: HandClock, crashes: list[Crash]) -> Supervisor:
    return Supervisor(clock=clock, on_crash=crashes.append, sleep=clock.sleep)


async def while_running(owner: Supervisor, scenario: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(owner.run())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await scenario()
        owner.stop()


def dying(times: int, then: asyncio.Event) -> Callable[[], Awaitable[None]]:
    left = times

    async def body() -> None:
        nonlocal left
        if left:
            left -= 1
            raise RuntimeError("broke")
        then.set()
        await forever()

    return body


async def test_a_crashed_task_lives_again_and_each_death_is_reported_with_growing_delays() -> None:
    clock, crashes, healed = HandClock(), list[Crash](), asyncio.Event()
    owner = supervisor(clock, crashes)
    owner.spawn("poller", dying(9, healed))
    await while_running(owner, healed.wait)
    delays = [crash.restart_in_ns for crash in crashes]
    assert [crash.crashes for crash in crashes] == list(range(1, 10))
    assert delays[:4] == [NS // 2, NS, 2 * NS, 4 * NS]
    assert delays[-1] == LONGEST_DELAY_NS
    assert {crash.task for crash in crashes} == {"poller"}


async def test_a_long_life_wipes_the_slate() -> None:
    clock, crashes, died_again = HandClock(), list[Crash](), asyncio.Event()
    lives = 0

    async def body() -> None:
        nonlocal lives
        lives += 1
        if lives == 4:
            died_again.set()
            await forever()
        if lives == 3:
            clock.now_ns += FORGIVEN_AFTER_NS
        raise RuntimeError("broke")

    owner = supervisor(clock, crashes)
    owner.spawn("poller", body)
    await while_running(owner, died_again.wait)
    assert [crash.crashes for crash in crashes] == [1, 2, 1]


async def test_the_death_of_a_fatal_task_ends_the_daemon_with_its_cause_and_leaves_nothing_running() -> None:
    clock, crashes = HandClock(), list[Crash]()
    ended = asyncio.Event()

    async def neighbour() -> None:
        try:
            await forever()
        finally:
            ended.set()

    async def writer() -> None:
        await asyncio.sleep(0)
        raise OSError("disk")

    owner = supervisor(clock, crashes)
    owner.spawn("neighbour", neighbour)
    owner.spawn("writer", writer, fatal=True)
    with pytest.raises(TaskDied, match="writer died: OSError: disk") as raised:
        await owner.run()
    assert isinstance(raised.value.__cause__, OSError)
    assert ended.is_set()
    assert [crash.restart_in_ns for crash in crashes] == [None]


async def test_returning_unasked_is_a_death_but_a_finite_task_may_end() -> None:
    clock, crashes, healed = HandClock(), list[Crash](), asyncio.Event()
    calls = 0

    async def quitter() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            healed.set()
            await forever()

    async def errand() -> None:
        await asyncio.sleep(0)

    owner = supervisor(clock, crashes)
    owner.spawn("errand", errand, finite=True)
    owner.spawn("quitter", quitter)
    await while_running(owner, healed.wait)
    assert [(crash.task, type(crash.error)) for crash in crashes] == [("quitter", EndedUnasked)]
    assert "errand" not in owner.names


async def test_a_cancellation_by_anybody_but_the_owner_is_a_death_and_is_healed() -> None:
    clock, crashes, healed = HandClock(), list[Crash](), asyncio.Event()
    lives = 0

    async def victim() -> None:
        nonlocal lives
        lives += 1
        if lives == 1:
            current = asyncio.current_task()
            assert current is not None
            current.cancel()
        await asyncio.sleep(0)
        healed.set()
        await forever()

    owner = supervisor(clock, crashes)
    owner.spawn("victim", victim)
    await while_running(owner, healed.wait)
    assert [type(crash.error) for crash in crashes] == [asyncio.CancelledError]


async def test_no_request_to_cancel_is_left_for_the_life_after() -> None:
    clock, crashes, left = HandClock(), list[Crash](), list[int]()
    healed = asyncio.Event()

    async def victim() -> None:
        current = asyncio.current_task()
        assert current is not None
        left.append(current.cancelling())
        if not crashes:
            current.cancel()
            current.cancel()
            await asyncio.sleep(0)
        healed.set()
        await forever()

    owner = supervisor(clock, crashes)
    owner.spawn("victim", victim)
    await while_running(owner, healed.wait)
    assert left == [0, 0]


async def test_a_cancellation_during_the_pause_before_a_restart_is_healed_too() -> None:
    clock, crashes, healed = HandClock(), list[Crash](), asyncio.Event()

    async def sleep(_: float) -> None:
        if len(crashes) == 1:
            current = asyncio.current_task()
            assert current is not None
            current.cancel()
        await asyncio.sleep(0)

    owner = Supervisor(clock=clock, on_crash=crashes.append, sleep=sleep)
    owner.spawn("poller", dying(1, healed))
    await while_running(owner, healed.wait)
    assert [type(crash.error) for crash in crashes] == [RuntimeError, asyncio.CancelledError]


async def test_a_critical_task_is_late_once_its_budget_has_passed_without_a_beat() -> None:
    clock, crashes = HandClock(), list[Crash]()
    owner = supervisor(clock, crashes)
    owner.spawn("tick", forever, budget_ns=3 * NS)
    owner.spawn("idle", forever)

    async def scenario() -> None:
        clock.now_ns += 3 * NS
        assert owner.healthy(clock.now_ns)
        clock.now_ns += 1
        assert owner.late(clock.now_ns) == ("tick",)
        assert not owner.healthy(clock.now_ns)
        owner.beat("tick")
        assert owner.healthy(clock.now_ns)

    await while_running(owner, scenario)


async def test_a_crash_loop_is_no_progress() -> None:
    clock, crashes, looped = HandClock(), list[Crash](), asyncio.Event()

    async def body() -> None:
        if len(crashes) == 5:
            looped.set()
            await forever()
        raise RuntimeError("broke")

    owner = supervisor(clock, crashes)
    owner.spawn("tick", body, budget_ns=12 * NS)  # longer than any one pause, shorter than all five

    async def scenario() -> None:
        await looped.wait()
        assert not owner.healthy(clock.now_ns)

    await while_running(owner, scenario)


async def test_nothing_is_healthy_before_the_start_and_after_the_stop() -> None:
    clock = HandClock()
    owner = supervisor(clock, [])
    owner.spawn("tick", forever, budget_ns=NS)
    assert not owner.healthy(clock.now_ns)
    await while_running(owner, lambda: asyncio.sleep(0))
    assert not owner.healthy(clock.now_ns)


async def test_stop_ends_the_youngest_first_and_one_after_the_other() -> None:
    clock, order = HandClock(), list[str]()
    owner = supervisor(clock, [])

    def body(name: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            try:
                await forever()
            finally:
                await asyncio.sleep(0)
                order.append(name)

        return run

    for name in ("store", "publisher", "poller"):
        owner.spawn(name, body(name))
    await while_running(owner, lambda: asyncio.sleep(0))
    assert order == ["poller", "publisher", "store"]


async def test_an_ended_task_is_gone_when_end_returns_and_its_name_is_free() -> None:
    clock, crashes, cleaned = HandClock(), list[Crash](), asyncio.Event()

    async def poller() -> None:
        try:
            await forever()
        finally:
            cleaned.set()

    owner = supervisor(clock, crashes)
    owner.spawn("poller", poller, budget_ns=NS)

    async def scenario() -> None:
        await owner.end("poller")
        await owner.end("poller")
        assert cleaned.is_set()
        assert owner.late(clock.now_ns + 9 * NS) == ()
        owner.spawn("poller", forever)

    await while_running(owner, scenario)
    assert crashes == []


async def test_a_task_that_dies_while_it_is_ended_is_reported_and_stays_down() -> None:
    clock, crashes = HandClock(), list[Crash]()
    lives = 0

    async def stubborn() -> None:
        nonlocal lives
        lives += 1
        try:
            await forever()
        except asyncio.CancelledError as error:
            raise RuntimeError("could not close") from error

    owner = supervisor(clock, crashes)
    owner.spawn("stubborn", stubborn)
    await while_running(owner, lambda: asyncio.sleep(0))
    assert lives == 1
    assert [(str(crash.error), crash.restart_in_ns) for crash in crashes] == [("could not close", None)]


async def test_cancelling_the_run_itself_ends_all_tasks_without_a_death() -> None:
    clock, crashes, ended = HandClock(), list[Crash](), asyncio.Event()

    async def body() -> None:
        try:
            await forever()
        finally:
            ended.set()

    owner = supervisor(clock, crashes)
    owner.spawn("body", body)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await owner.run()
    assert ended.is_set()
    assert crashes == []


async def test_a_name_is_owned_once_and_nothing_starts_while_stopping() -> None:
    clock = HandClock()
    owner = supervisor(clock, [])
    owner.spawn("poller", forever)
    with pytest.raises(ValueError, match="taken"):
        owner.spawn("poller", forever)
    await while_running(owner, lambda: asyncio.sleep(0))
    with pytest.raises(ValueError, match="stopping"):
        owner.spawn("late", forever)
