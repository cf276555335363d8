"""Messages to people over real connections: what is sent, what an answer means, and that nothing hangs or leaks."""

import asyncio
import hashlib
import hmac
import json
import re
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.support.broker import eventually
from tests.support.receiver import Receiver, drips, hangs, receiver, says

from tocsin.clock import NS, SystemClock
from tocsin.model.alert import AlertState, Severity
from tocsin.model.effect import Notify
from tocsin.model.notice import News, Notice, Told
from tocsin.notify.apprise import Apprise
from tocsin.notify.http import Way
from tocsin.notify.letter import Letter, opened, trial
from tocsin.notify.outcome import Later, Refused, Sent
from tocsin.notify.pagerduty import PagerDuty
from tocsin.notify.webhook import ID, SIGNATURE, TIMESTAMP, Webhook
from tocsin.rpc.resolver import Resolver
from tocsin.secret import Secret, SecretUrl
from tocsin.wire.envelope import Origin
from tocsin.wire.notices import payload

KEY = "canary-key-0123456789abcdef"
PATH = "/hook/canary-path-0123456789"
ORIGIN = Origin(site="ams", watchdog="host-a")
WALL = 1_790_000_000 * NS


def told(number: int, news: News = News.FIRING) -> Told:
    return Told(
        fingerprint=f"{number:032x}",
        activation=1,
        news=news,
        detector="node.unreachable",
        severity=Severity.CRITICAL,
        state=AlertState.RESOLVED if news is News.RESOLVED else AlertState.FIRING,
        labels=(("chain", "eip155:1"), ("environment", "prod"), ("node", "ams.geth")),
        names=(("chain", "ethereum"), ("node", "geth"), ("provider", "self")),
        summary="geth does not answer",
        reason="fired",
        started_wall_ns=WALL - 60 * NS,
        changed_wall_ns=WALL,
    )


def letter(*alerts: Told) -> Letter:
    alerts = alerts or (told(1),)
    ended = sum(one.news is News.RESOLVED for one in alerts)
    notice = Notice(firing=len(alerts) - ended, resolved=ended, groups=1, told=alerts)
    effect = Notify(number=7, channel="team", group="g", severity=Severity.CRITICAL, wall_ns=WALL, notice=notice)
    return opened(payload(effect, ORIGIN, "b0", environment="prod", runbook="https://wiki.example/{detector}"))


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    one = Resolver(SystemClock())
    yield one
    await one.close()


def hook(one: Receiver, resolver: Resolver, *, timeout_s: float = 10) -> Webhook:
    way = Way(url=SecretUrl(one.url + PATH), timeout_ns=int(timeout_s * NS))
    return Webhook(way, Secret(KEY), resolver, lambda: WALL)


async def test_a_webhook_gets_the_event_signed_as_documented(resolver: Resolver) -> None:
    async with receiver() as one:
        outcome = await hook(one, resolver).send(letter())
        [got] = one.got
    assert isinstance(outcome, Sent)
    assert (got.path, got.headers[TIMESTAMP]) == (PATH, str(WALL // NS))
    expected = hmac.new(KEY.encode(), got.headers[TIMESTAMP].encode() + b"." + got.body, hashlib.sha256).hexdigest()
    assert got.headers[SIGNATURE] == f"v1={expected}"
    event = json.loads(got.body)
    assert got.headers[ID] == event["id"] == "host-a:b0:s1790000000000000000:notice/7"
    assert event["data"]["alerts"][0]["runbook"] == "https://wiki.example/node.unreachable"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, Sent), (204, Sent), (400, Refused), (413, Refused), (401, Later), (404, Later), (429, Later), (503, Later)],
)
async def test_an_answer_means_what_it_says(resolver: Resolver, status: int, kind: type) -> None:
    async with receiver(says(status)) as one:
        assert isinstance(await hook(one, resolver).send(letter()), kind)


async def test_who_asks_to_wait_is_waited_for(resolver: Resolver) -> None:
    async with receiver(says(429, "slow down", Retry_After="17")) as one:
        assert await hook(one, resolver).send(letter()) == Later(why="HTTP 429: slow down", wait_ns=17 * NS)


async def test_a_redirect_is_not_followed_and_says_what_to_do(resolver: Resolver) -> None:
    async with receiver() as elsewhere, receiver(says(307, Location=elsewhere.url)) as one:
        outcome = await hook(one, resolver).send(letter())
        assert elsewhere.got == []
    assert isinstance(outcome, Later)
    assert "write the new url" in outcome.why


async def test_a_receiver_that_hangs_costs_no_more_than_the_time_for_a_try(resolver: Resolver) -> None:
    async with receiver(hangs) as one:
        assert await hook(one, resolver, timeout_s=0.5).send(letter()) == Later(why="no answer in time")


async def test_of_an_answer_that_never_ends_the_status_is_enough(resolver: Resolver) -> None:
    async with receiver(drips) as one:
        assert isinstance(await hook(one, resolver).send(letter()), Sent)


async def test_no_answer_names_a_secret_though_the_receiver_repeats_them(resolver: Resolver) -> None:
    async with receiver(says(500, f"no route for {PATH} with {KEY}")) as one:
        outcome = await hook(one, resolver).send(letter())
    assert isinstance(outcome, Later)
    assert "canary" not in outcome.why


async def test_what_is_no_http_and_what_is_not_there_are_tried_again(resolver: Resolver) -> None:
    async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff not http \r\n\r\n")
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        way = Way(url=SecretUrl(f"http://127.0.0.1:{port}/"), timeout_ns=5 * NS)
        outcome = await Webhook(way, Secret(KEY), resolver, lambda: WALL).send(letter())
        assert isinstance(outcome, Later)
    finally:
        server.close()
        await server.wait_closed()
    assert isinstance(await Webhook(way, Secret(KEY), resolver, lambda: WALL).send(letter()), Later)


@asynccontextmanager
async def speaking(words: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """Serve raw bytes to whoever has sent a request; yield the URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            await words(writer)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        await server.wait_closed()


async def test_a_receiver_that_announces_its_answer_without_end_is_left_long_before_the_deadline(
    resolver: Resolver,
) -> None:
    async def announce(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            await writer.drain()

    async with speaking(announce) as url:
        way = Way(url=SecretUrl(url), timeout_ns=3600 * NS)
        outcome = await Webhook(way, Secret(KEY), resolver, lambda: WALL).send(letter())
    assert isinstance(outcome, Later)
    assert "breaks its rules" in outcome.why


async def test_a_few_announcements_before_an_answer_are_allowed(resolver: Resolver) -> None:
    async def announce(writer: asyncio.StreamWriter) -> None:
        for code in (100, 102, 103):
            writer.write(b"HTTP/1.1 %d Wait\r\n\r\n" % code)
            await writer.drain()
        writer.write(b"HTTP/1.1 204 Taken\r\n\r\n")
        await writer.drain()

    async with speaking(announce) as url:
        way = Way(url=SecretUrl(url), timeout_ns=60 * NS)
        assert isinstance(await Webhook(way, Secret(KEY), resolver, lambda: WALL).send(letter()), Sent)


def pager(one: Receiver, resolver: Resolver) -> PagerDuty:
    return PagerDuty(
        Way(url=SecretUrl(one.url + "/v2/enqueue"), timeout_ns=5 * NS), Secret(KEY), resolver, lambda: WALL
    )


async def test_pagerduty_gets_one_key_for_the_whole_life_of_an_alert(resolver: Resolver) -> None:
    async with receiver(says(202, '{"status":"success"}')) as one:
        for news in (News.FIRING, News.SEEN, News.RESOLVED):
            outcome = await pager(one, resolver).send(letter(told(1, news)))
            assert isinstance(outcome, Sent)
            assert outcome.said.endswith("(queued there)")
        events = [json.loads(got.body) for got in one.got]
    assert [event["event_action"] for event in events] == ["trigger", "acknowledge", "resolve"]
    assert {event["dedup_key"] for event in events} == {f"{1:032x}"}
    assert {event["routing_key"] for event in events} == {KEY}
    [trigger, *rest] = events
    assert trigger["payload"]["summary"] == "geth does not answer"
    assert trigger["payload"]["severity"] == "critical"
    assert (trigger["payload"]["source"], trigger["payload"]["group"]) == ("geth", "ethereum")
    assert trigger["links"][0]["href"] == "https://wiki.example/node.unreachable"
    assert all("payload" not in event for event in rest)


async def test_pagerduty_is_sent_one_alert_at_a_time(resolver: Resolver) -> None:
    async with receiver() as one:
        assert isinstance(await pager(one, resolver).send(letter(told(1), told(2))), Refused)
        assert one.got == []


@pytest.fixture
def without_apprise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)


@pytest.mark.usefixtures("without_apprise")
@pytest.mark.parametrize("damage", [{"labels": [1]}, {"news": "fxring"}, {"names": None}])
async def test_what_was_damaged_since_it_was_kept_is_given_up(resolver: Resolver, damage: dict[str, object]) -> None:
    event = json.loads(letter().body)
    event["data"]["alerts"][0] |= damage
    async with receiver() as one:
        pager = PagerDuty(Way(url=SecretUrl(one.url), timeout_ns=NS), Secret(KEY), resolver, lambda: WALL)
        outcome = await pager.send(opened(json.dumps(event).encode()))
        assert one.got == []
    assert isinstance(outcome, Refused)


async def test_without_its_library_apprise_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)  # as if it were not installed
    outcome = await Apprise(Secret("json://127.0.0.1/x"), 5 * NS).send(letter())
    assert outcome == Later(why="NoApprise: Apprise is not installed; install it with: pip install 'tocsin[notify]'")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_apprise_carries_the_words() -> None:
    pytest.importorskip("apprise", reason="apprise is not installed")
    async with receiver(says(200)) as one:
        url = one.url.replace("http://", "json://") + PATH
        assert isinstance(await Apprise(Secret(url), 20 * NS).send(letter()), Sent)
        said = json.loads(one.got[0].body)
        assert (said["title"], said["type"]) == ("CRITICAL: geth does not answer", "failure")
        one.answers = [says(500)]
        failed = await Apprise(Secret(url), 20 * NS).send(letter())
        assert isinstance(failed, Later)
        assert "canary" not in failed.why
    assert isinstance(await Apprise(Secret("nosuch://canary-path"), 20 * NS).send(letter()), Later)


@contextmanager
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, list[bool], list[str]]]:
    """Put one in the place of Apprise that hangs until it is freed; what it then says, and what it was given."""
    free, answers, titles = threading.Event(), [True], list[str]()

    class Hanging:
        def add(self, _: str) -> bool:
            return True

        def notify(self, *, title: str, **_: object) -> bool:
            titles.append(title)
            free.wait(60)
            return answers.pop(0) if len(answers) > 1 else answers[0]

    module = ModuleType("apprise")
    module.Apprise = Hanging  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "apprise", module)
    try:
        yield free, answers, titles
    finally:
        free.set()


async def until_ended(one: Apprise) -> None:
    assert one._try is not None
    await one._try.outcome


async def test_a_library_that_hangs_holds_up_nobody_and_is_not_called_again_until_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = Apprise(Secret("any://thing"), NS // 5), replace(letter(), id="another")
    with library(monkeypatch) as (_, _, titles):
        assert await one.send(letter()) == Later(why="no answer in time")
        assert await one.send(other) == Later(why="the try before this one still hangs")
        assert await one.send(letter()) == Later(why="no answer in time")
        assert len(titles) == 1


async def test_a_message_that_was_taken_after_its_time_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Apprise(Secret("any://thing"), NS // 5), replace(letter(), id="another", title="another")
    with library(monkeypatch) as (free, _, titles):
        assert isinstance(await one.send(letter()), Later)
        free.set()
        await until_ended(one)
        assert isinstance(await one.send(other), Sent)
        assert isinstance(await one.send(letter()), Sent)
        assert titles == [letter().title, "another"]
        assert isinstance(await one.send(letter()), Sent), "what comes once more after that is another occurrence"
        assert len(titles) == 3


async def test_a_message_that_failed_after_its_time_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Apprise(Secret("any://thing"), NS // 5)
    with library(monkeypatch) as (free, answers, titles):
        answers[:] = [False, True]
        assert isinstance(await one.send(letter()), Later)
        free.set()
        await until_ended(one)
        assert isinstance(await one.send(letter()), Sent)
        assert len(titles) == 2


async def test_a_try_that_nobody_waits_for_any_more_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Apprise(Secret("any://thing"), 60 * NS)
    with library(monkeypatch) as (free, _, titles):
        sending = asyncio.ensure_future(one.send(letter()))
        await eventually(lambda: len(titles) == 1)
        sending.cancel()
        await asyncio.wait([sending])
        free.set()
        assert isinstance(await one.send(letter()), Sent)
        assert len(titles) == 1


def test_a_test_says_of_itself_that_it_is_one() -> None:
    one = trial("team", ORIGIN, wall_ns=WALL, environment="prod", runbook="{detector}", is_over=False)
    assert one.title == "INFO: this is a test of the channel team; nothing is wrong"


async def test_the_check_that_the_documentation_shows_believes_what_is_genuine_and_nothing_else(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "notify.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    scope: dict[str, Any] = {}
    exec(code, scope)  # noqa: S102 - the page is ours
    monkeypatch.setattr(scope["time"], "time", lambda: WALL / NS)
    async with receiver() as one:
        await hook(one, resolver).send(letter())
        [got] = one.got
    believes = scope["is_genuine"]
    assert believes(KEY.encode(), got.headers, got.body)
    assert not believes(b"another key of ours", got.headers, got.body)
    assert not believes(KEY.encode(), got.headers, got.body + b" ")
    assert not believes(KEY.encode(), {**got.headers, TIMESTAMP: str(WALL // NS - 1)}, got.body)
    monkeypatch.setattr(scope["time"], "time", lambda: WALL / NS + 301)
    assert not believes(KEY.encode(), got.headers, got.body), "a recorded one is too old"
