"""Judging acks on the loop: whatever comes in is counted once, and the store gets the newest believed one only."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.broker import eventually
from tests.support.messages import BOOT, ORIGIN
from tests.unit.test_runtime_report import SOUND

from tocsin.clock import EngineClock, SystemClock
from tocsin.errors import BrokerError, PublishRefused, StoreFull
from tocsin.mqtt.acks import BELIEVED, Acks
from tocsin.mqtt.client import Received
from tocsin.secret import Secret
from tocsin.store import Acknowledged, Cursor, Health
from tocsin.wire.acks import Ack, Refusal, encode

KEY = "sixteen bytes or more"
TOPIC = ORIGIN.root + "ack/pager"
STREAM = "aaaaaaaaaaaa"


class Book:
    """A store that takes acks when it is let."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int]] = []
        self.connected: list[int] = []
        self.took = asyncio.Event()
        self.free = asyncio.Event()
        self.registered: list[list[str]] = []
        self.is_full = False

    def health(self) -> Health:
        cursor = Cursor(name="pager", max=3, at=5, missing=(), heard_wall_ns=0)
        return replace(SOUND, last_seq=10**6, consumers=(cursor,), stream=STREAM)

    async def register_consumers(self, names: Iterable[str]) -> None:
        if self.is_full:
            raise StoreFull("no room")
        self.registered.append(list(names))

    async def acknowledge(
        self,
        name: str,
        *,
        at: int,
        highest: int,
        missing: Iterable[int],
        wanted: Iterable[tuple[int, int]] | None = None,  # noqa: ARG002
        connected_wall_ns: int = 0,
    ) -> Acknowledged | None:
        await self.free.wait()
        self.connected.append(connected_wall_ns)
        self.took.set()
        self.taken.append((name, at))
        return Acknowledged(
            cursor=Cursor(name=name, max=highest, at=at, missing=tuple(missing), heard_wall_ns=0), rearmed=0, gone=()
        )


class Line:
    """A connection that keeps what was published, and may refuse."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bytes | None]] = []
        self.subscribed: list[str] = []
        self.refuses = False

    async def subscribe(self, topic: str) -> None:
        if self.refuses:
            raise PublishRefused(topic, 0x87, "not authorised")
        self.subscribed.append(topic)

    async def publish(self, topic: str, payload: bytes, *, correlation: bytes | None = None, **_: object) -> None:
        del payload
        self.said.append((topic, correlation))

    async def ended(self) -> BrokerError:
        raise NotImplementedError


def ears() -> tuple[Acks, Book]:
    book = Book()
    made = Acks(origin=ORIGIN, boot=BOOT, book=book, clock=EngineClock(SystemClock()))
    made.configure({"pager": Secret(KEY), "log": Secret(KEY)})
    return made, book


def received(payload: bytes, *, topic: str = TOPIC, reply: str = "") -> Received:
    return Received(topic=topic, payload=payload, retained=False, response_topic=reply, correlation=b"c")


def signed(at: int, highest: int = 7, consumer: str = "pager") -> bytes:
    return encode(Ack(at=at, max=highest, stream=STREAM), ORIGIN.source, consumer, KEY.encode())


@contextlib.asynccontextmanager
async def listening(acks: Acks, line: Line) -> AsyncIterator[None]:
    task = asyncio.ensure_future(acks.listen(line))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@given(payload=st.binary(max_size=300), level=st.text(max_size=20), reply=st.text(max_size=40))
def test_whatever_comes_in_is_counted_once_and_believed_never(payload: bytes, level: str, reply: str) -> None:
    acks, _ = ears()
    for topic in (TOPIC, ORIGIN.root + "ack/" + level):
        before = acks.counts.total()
        acks.hear(received(payload, topic=topic, reply=ORIGIN.root + "reply/" + reply))
        assert acks.counts.total() == before + 1
    assert acks.counts[BELIEVED] == 0


async def test_of_many_acks_of_a_consumer_the_store_is_asked_for_the_newest() -> None:
    acks, book = ears()
    async with listening(acks, Line()):
        await eventually(lambda: acks.since_ns is not None)
        acks.hear(received(signed(10)))
        await eventually(lambda: not acks._believed)
        for at in range(11, 500):
            acks.hear(received(signed(at)))
        acks.hear(received(signed(11, consumer="log"), topic=ORIGIN.root + "ack/log"))
        book.free.set()
        await eventually(lambda: len(book.taken) == 3)
    assert book.taken == [("pager", 10), ("pager", 499), ("log", 11)]
    assert acks.counts == {BELIEVED: 491}


def test_an_ack_that_the_store_has_not_taken_yet_cannot_be_played_again() -> None:
    acks, _ = ears()
    for at in (5, 6, 6, 7, 6):
        acks.hear(received(signed(at)))
    assert acks.counts == {Refusal.REPLAYED.value: 3, BELIEVED: 2}


async def test_whoever_asks_faster_than_he_is_answered_fills_no_memory() -> None:
    acks, _ = ears()
    line = Line()
    for number in range(5000):
        acks.hear(received(b"{", reply=f"{ORIGIN.root}reply/pager/{number}"))
    assert len(acks._answers) < 100
    async with listening(acks, line):
        await eventually(lambda: not acks._answers)
    assert line.said[-1] == (f"{ORIGIN.root}reply/pager/4999", b"c")


async def test_a_refused_subscription_is_told_of() -> None:
    acks, _ = ears()
    line = Line()
    line.refuses = True
    async with listening(acks, line):
        await eventually(lambda: bool(acks.refused))
        assert "ack/+: not authorised" in acks.refused[0]
        assert acks.since_ns is None
        line.refuses = False
        acks.configure({"pager": Secret(KEY)})
        await eventually(lambda: line.subscribed == [ORIGIN.root + "ack/+"])
        assert acks.refused == ()
    assert acks.since_ns is None


async def test_without_consumers_nothing_is_subscribed_to() -> None:
    acks, book = ears()
    acks.configure({})
    line = Line()
    async with listening(acks, line):
        await eventually(lambda: book.registered == [[]])
        assert line.subscribed == []


async def test_consumers_are_registered_once_the_disk_has_room(caplog: pytest.LogCaptureFixture) -> None:
    acks, book = ears()
    book.is_full = True
    await acks.register()
    assert "cannot be registered: no room" in caplog.text
    book.is_full = False
    async with listening(acks, Line()):
        await eventually(lambda: book.registered == [["log", "pager"]])


@pytest.mark.parametrize(
    ("highest", "stream", "counted"),
    [
        (7, STREAM, BELIEVED),
        (7, "bbbbbbbbbbbb", Refusal.OTHER_STREAM),
        (0, "bbbbbbbbbbbb", Refusal.OTHER_STREAM),
        (7, "", Refusal.NO_STREAM),
        (0, "", BELIEVED),
    ],
)
def test_an_ack_of_another_stream_is_not_believed_nor_one_that_has_something_of_it_is_not_said_which(
    highest: int, stream: str, counted: str
) -> None:
    acks, _ = ears()
    acks.hear(received(encode(Ack(at=10, max=highest, stream=stream), ORIGIN.source, "pager", KEY.encode())))
    assert acks.counts == {counted: 1}


async def test_the_store_is_told_since_when_there_is_the_connection_of_now() -> None:
    acks, book = ears()
    book.free.set()
    for at in (10, 11):
        before = SystemClock().wall_ns()
        async with listening(acks, Line()):
            acks.hear(received(signed(at)))
            async with asyncio.timeout(30):
                await book.took.wait()
        book.took.clear()
        assert before <= book.connected[-1] <= SystemClock().wall_ns()
    assert book.connected[0] < book.connected[1]
