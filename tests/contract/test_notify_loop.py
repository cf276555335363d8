"""The loop of a channel over a real store: what waits goes out, the worst first, whatever the receiver does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.test_notify_senders import letter
from tests.support.store_kit import SMALL, group

from tocsin.clock import NS, EngineClock
from tocsin.model.alert import Severity
from tocsin.notify import sender as loop
from tocsin.notify.letter import Letter
from tocsin.notify.outcome import Later, Outcome, Refused, Sent
from tocsin.notify.sender import GIVE_UP_NS, LEAST_TRIES, Sender
from tocsin.store import NoticeRow, Store
from tocsin.testing.clock import ManualClock

INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL
BODY = letter().body


class Carrier:
    """Answers by what the letter's title says, and remembers what it was given."""

    def __init__(self, answer: Callable[[str], Outcome]) -> None:
        self.answer = answer
        self.given: list[str] = []
        self.taken: list[str] = []

    async def send(self, letter: Letter) -> Outcome:
        self.given.append(letter.title)
        outcome = self.answer(letter.title)
        if isinstance(outcome, Sent):
            self.taken.append(letter.title)
        await asyncio.sleep(0)
        return outcome


def takes(_: str) -> Outcome:
    return Sent(said="HTTP 202")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall_ns=1_790_000_000 * NS)


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Store]:
    async with await Store.open(tmp_path / "state", clock=clock, limits=SMALL) as one:
        yield one


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "FIRST_WAIT_NS", 10**5)
    monkeypatch.setattr(loop, "LONGEST_WAIT_NS", 10**6)


async def say(store: Store, clock: ManualClock, *said: tuple[str, Severity], channel: str = "team") -> None:
    last = store.health().notices.last
    rows = tuple(
        NoticeRow(
            number=last + at,
            channel=channel,
            group=title,
            severity=severity,
            payload=BODY.replace(b"CRITICAL: geth does not answer", title.encode()),
            created_wall_ns=clock.wall_ns(),
        )
        for at, (title, severity) in enumerate(said, 1)
    )
    await store.commit(replace(group(store.health().event_no + 1, 1), notices=rows))


@asynccontextmanager
async def sending(store: Store, clock: ManualClock, carrier: Carrier, name: str = "team") -> AsyncIterator[Sender]:
    one = Sender(name, "webhook", carrier, store, EngineClock(clock))
    store.on_notices = one.wake
    task = asyncio.create_task(one.run(lambda: None))
    try:
        yield one
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - many things may make it hold
        await asyncio.sleep(0.005)


async def test_the_worst_goes_first_and_what_was_sent_is_forgotten(store: Store, clock: ManualClock) -> None:
    carrier = Carrier(takes)
    await say(store, clock, ("a", INFO), ("b", WARNING), ("c", CRITICAL), ("d", CRITICAL))
    async with sending(store, clock, carrier) as one:
        await until(lambda: len(carrier.taken) == 4)
        await say(store, clock, ("e", INFO))
        await until(lambda: one.standing().sent == 5)
    assert carrier.taken == ["c", "d", "b", "a", "e"]
    assert await store.notices_for("team", 9) == []


async def test_what_fails_is_tried_until_it_gets_through_and_says_so(store: Store, clock: ManualClock) -> None:
    answers = [Later(why="HTTP 503")] * 5
    carrier = Carrier(lambda _: answers.pop() if answers else Sent(said="ok"))
    await say(store, clock, ("a", WARNING))
    async with sending(store, clock, carrier) as one:
        await until(lambda: one.standing().failing_since_wall_ns is not None)
        assert one.sample(1).error == "HTTP 503"
        await until(lambda: bool(carrier.taken))
        await until(lambda: one.standing().sent == 1)
        assert (one.standing().failing_since_wall_ns, one.sample(0).failing_ns) == (None, 0)
        assert one.standing().error == "HTTP 503"
    assert carrier.given == ["a"] * 6


async def test_one_message_that_the_receiver_cannot_bear_does_not_keep_the_others(
    store: Store, clock: ManualClock
) -> None:
    carrier = Carrier(lambda title: Later(why="HTTP 500") if title == "poison" else Sent(said="ok"))
    await say(store, clock, ("poison", CRITICAL), ("a", WARNING), ("b", INFO))
    async with sending(store, clock, carrier):
        await until(lambda: carrier.taken == ["a", "b"])


async def test_a_message_that_is_refused_is_never_sent_again_and_told_of(store: Store, clock: ManualClock) -> None:
    carrier = Carrier(lambda title: Refused(why="HTTP 400: no") if title == "a" else Sent(said="ok"))
    await say(store, clock, ("a", CRITICAL), ("b", WARNING))
    async with sending(store, clock, carrier) as one:
        await until(lambda: carrier.taken == ["b"])
        await until(lambda: one.standing().sent == 1)
        sample = one.sample(0)
        assert (sample.given_up, sample.error, sample.failing_ns) == (1, "HTTP 400: no", 0)
        clock.advance(s=3601)
        assert one.sample(0).given_up == 0
    assert carrier.given == ["a", "b"]


async def test_after_a_day_a_message_is_given_up_and_not_before(store: Store, clock: ManualClock) -> None:
    carrier = Carrier(lambda _: Later(why="no connection"))
    await say(store, clock, ("a", CRITICAL))
    async with sending(store, clock, carrier) as one:
        await until(lambda: len(carrier.given) >= 3)
        clock.advance(ns=GIVE_UP_NS - NS)
        seen = len(carrier.given)
        await until(lambda: len(carrier.given) > seen + 2)
        assert one.sample(1).given_up == 0
        clock.advance(s=2)
        await until(lambda: one.sample(0).given_up == 1)
        assert await store.notices_for("team", 9) == []


async def test_a_clock_that_was_set_forward_costs_no_message(store: Store, clock: ManualClock) -> None:
    answers = [Later(why="HTTP 503")] * (LEAST_TRIES - 1)
    carrier = Carrier(lambda _: answers.pop() if answers else Sent(said="ok"))
    await say(store, clock, ("a", CRITICAL))
    clock.step_wall(s=10**8)
    async with sending(store, clock, carrier):
        await until(lambda: carrier.taken == ["a"])


async def test_a_message_that_cannot_be_read_is_given_up(store: Store, clock: ManualClock) -> None:
    row = NoticeRow(
        number=1, channel="team", group="g", severity=CRITICAL, payload=b"[]", created_wall_ns=clock.wall_ns()
    )
    await store.commit(replace(group(1, 1), notices=(row,)))
    carrier = Carrier(takes)
    async with sending(store, clock, carrier) as one:
        await until(lambda: one.sample(0).given_up == 1)
    assert carrier.given == []


async def test_a_channel_that_hangs_delays_no_other(store: Store, clock: ManualClock) -> None:
    class Hanging(Carrier):
        async def send(self, letter: Letter) -> Outcome:
            self.given.append(letter.title)
            await asyncio.sleep(3600)
            raise AssertionError

    dead, alive = Hanging(takes), Carrier(takes)
    await say(store, clock, ("a", CRITICAL), channel="dead")
    async with sending(store, clock, dead, "dead"), sending(store, clock, alive, "alive"):
        await until(lambda: dead.given == ["a"])
        await say(store, clock, ("b", INFO), ("c", CRITICAL), channel="alive")
        await until(lambda: alive.taken == ["c", "b"])
    assert [row.channel for row in await store.notices_for("dead", 9)] == ["dead"]


async def test_what_is_critical_does_not_wait_for_the_pause_after_a_failure(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "FIRST_WAIT_NS", 3600 * NS)
    monkeypatch.setattr(loop, "LONGEST_WAIT_NS", 3600 * NS)
    carrier = Carrier(lambda title: Sent(said="ok") if title == "c" else Later(why="HTTP 503"))
    await say(store, clock, ("a", WARNING))
    async with sending(store, clock, carrier):
        await until(lambda: carrier.given == ["a"])
        await say(store, clock, ("b", WARNING))
        await say(store, clock, ("c", CRITICAL))
        await until(lambda: carrier.taken == ["c"])
    assert carrier.given[:2] == ["a", "c"]


async def test_who_asks_to_wait_is_waited_for_whatever_comes(store: Store, clock: ManualClock) -> None:
    carrier = Carrier(lambda _: Later(why="HTTP 429", wait_ns=3600 * NS))
    await say(store, clock, ("a", WARNING))
    async with sending(store, clock, carrier) as one:
        await until(lambda: one.standing().failing_since_wall_ns is not None)
        await say(store, clock, ("c", CRITICAL))
        for _ in range(20):
            await asyncio.sleep(0.01)
    assert carrier.given == ["a"]
