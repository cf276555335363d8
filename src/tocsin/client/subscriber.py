"""Subscribe to alerts so that none is missed, whatever dies meanwhile: the broker, the daemon, or we.

MQTT alone does not do it: a broker confirms from memory. So the consumer keeps in a file of its own how far it has come
in each stream, tells the daemons, and is sent again what it lacks.
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from tocsin.client import arguments
from tocsin.client.entries import Entry, Noting, Plan
from tocsin.client.ledger import Ledger
from tocsin.client.message import Message, Notice, NoticeKind
from tocsin.client.stream import Stream, restored
from tocsin.client.waiting import HOLD_S
from tocsin.client.writer import Writer
from tocsin.clock import MS, Clock, SystemClock
from tocsin.errors import BrokerError, PublishRefused
from tocsin.mqtt.client import Received
from tocsin.mqtt.reasons import SESSION_TAKEN_OVER, ConnectionRefused
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.tasks import first_of
from tocsin.mqtt.transport import MqttConnection, MqttTransport
from tocsin.wire import topics
from tocsin.wire.envelope import Origin

log = logging.getLogger(__name__)

_ACK_EXPIRY_S = 60
_LOOK_S = 0.25
_BACKOFF_FIRST_S = 0.5
_BACKOFF_MOST_S = 2.0
_LONGEST_HOLD_S = 3600
_STEADY_S = 30.0
_AT_RESERVE_MS = 60_000
"""Acks must be later than all before, also after a restart with a clock that was set back: so far ahead is noted."""


class Subscriber:
    """The alerts of one or several watchdogs, each handed over in the order of its own changes, critical ones first.

        async with Subscriber(url, watchdogs=["ams/host-a"], consumer="pager", key=key, path="pager.db") as alerts:
            async for message in alerts:
                async with message.transaction() as db:
                    db.execute("INSERT INTO page VALUES (?, ?)", (message.id, message.summary))

    `consumer` and `key` are those of a `[[consumer]]` of each watchdog. `path` is the consumer's own SQLite file. A
    first start hands over what is open now and then all that comes (`start="now"`), or all that the daemons still keep
    for this consumer (`start="beginning"`). A message whose predecessor is missing is held for at most `hold_s`.
    Words of the self-test are counted and acknowledged, and handed over only if wanted (`self_test`).
    `broker` is a URL, `mqtt://host:1883` or `mqtts://host:8883`; `ca`, `cert` and `cert_key` are PEM files.
    `on_notice` hears of losses, refusals and the connection, which are logged too. Iteration ends with the block.

    Raises ValueError for arguments that cannot be meant; entering it raises StoreError for the file.
    """

    def __init__(
        self,
        broker: str | BrokerSettings,
        *,
        watchdogs: Iterable[str],
        consumer: str,
        key: str | bytes,
        path: str | Path,
        start: Literal["now", "beginning"] = "now",
        hold_s: float = HOLD_S,
        self_test: bool = False,
        user: str | None = None,
        password: str | None = None,
        ca: str | Path | None = None,
        cert: str | Path | None = None,
        cert_key: str | Path | None = None,
        on_notice: Callable[[Notice], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._watchdogs = arguments.watchdogs(watchdogs)
        self._consumer = arguments.consumer(consumer)
        self._key = arguments.key(key)
        if start not in ("now", "beginning"):
            raise ValueError(f'start={start!r}: use "now" or "beginning"')
        if not 0 <= hold_s < _LONGEST_HOLD_S:
            raise ValueError(f"hold_s={hold_s!r}: use seconds, from 0 to {_LONGEST_HOLD_S}")
        self._writer = Writer(Path(path), self._consumer)
        self._start, self._hold_s = start, hold_s
        self._self_test = self_test
        self._on_notice = on_notice
        self._clock = clock or SystemClock()
        self._transport = MqttTransport(
            arguments.settings(
                broker, self._consumer, user=user, password=password, ca=ca, cert=cert, cert_key=cert_key
            )
        )
        self._streams: dict[str, Stream] = {}
        self._backlog: deque[Received] = deque()
        self._connection: MqttConnection | None = None
        self._out: Message | None = None
        self._news = asyncio.Event()
        self._ack_news = asyncio.Event()
        self._closed = True
        self._at = self._at_limit = 0
        self._error = ""

    async def __aenter__(self) -> Self:
        if self._streams:
            raise ValueError("a subscriber is entered once; make another one")
        await self._writer.open(self._load)
        self._closed = False
        self._group: asyncio.TaskGroup = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._task = self._group.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self._news.set()
        self._task.cancel()
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as errors:
            raise first_of(errors) from None
        finally:
            await self._writer.close()

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker now."""
        return self._connection is not None

    @property
    def counts(self) -> Mapping[str, int]:
        """Messages since the start: `taken duplicate refused` (no room) `implausible unreadable foreign self_test`."""
        return sum((stream.counts for stream in self._streams.values()), Counter())

    def positions(self) -> dict[str, int]:
        """Return up to which number each watchdog's stream is had without a hole."""
        return {name: stream.cursor.done_ranges.frontier for name, stream in self._streams.items()}

    # Handing over

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        """Wait for the next message. The one before, if nothing became of it, comes again later."""
        if self._out is not None:
            self._streams[self._out.watchdog].cursor.failed(_now())
            self._out = None
        while not self._closed:
            self._news.clear()
            self._drain()
            if (message := self._next(_now())) is not None:
                self._out = message
                return message
            waits = [stream.cursor.wait_s(_now()) for stream in self._streams.values()]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min((wait for wait in waits if wait is not None), default=None)):
                    await self._news.wait()
        raise StopAsyncIteration

    def _next(self, now: float) -> Message | None:
        for urgent in (True, False):
            for name, stream in self._streams.items():
                entry = stream.cursor.next(now, urgent=urgent)
                if entry is not None:
                    self._streams[name] = self._streams.pop(name)  # the others' turn is first the next time
                    return self._message(stream, entry)
        return None

    def _message(self, stream: Stream, entry: Entry) -> Message:
        cursor = stream.cursor
        late, attempt = cursor.is_late(entry), cursor.tries(entry) + 1
        return Message(self, entry, watchdog=stream.watchdog, late=late, attempt=attempt)

    @contextlib.asynccontextmanager
    async def transaction(self, message: Message, /) -> AsyncIterator[sqlite3.Connection]:
        """Handle a message; see `Message.transaction`."""
        if message is not self._out:
            raise ValueError(f"{message!r} is not the one that was handed over last, or it was ended before")
        stream = self._streams[message.watchdog]
        try:
            async with self._writer.lock:
                plan, at = stream.cursor.unwritten(), self._at
                noting = stream.cursor.noting(message.entry)
                async with self._writer.transaction(
                    lambda ledger: self._write(ledger, stream, plan, (message, noting)),
                    lambda: self._ended(stream, plan, at),
                ) as db:
                    yield db
                    if message is not self._out:
                        raise ValueError(f"{message!r}: the next one was asked for inside its transaction")
        finally:
            if message is self._out:  # neither handled nor on disk
                self._out = None
                stream.cursor.failed(_now())
            self._drain()

    def _ended(self, stream: Stream, plan: Plan, at: int) -> None:
        self._out = None
        self._written(stream, plan, at)
        stream.cursor.done(_now())

    def _written(self, stream: Stream, plan: Plan, at: int) -> None:
        if at > self._at_limit:
            self._at_limit = at + _AT_RESERVE_MS
        stream.cursor.written(plan)

    def _write(self, ledger: Ledger, stream: Stream, plan: Plan, handled: tuple[Message, Noting] | None = None) -> None:
        """Write down, in the thread, what became of a message and of others that nobody needs."""
        source = stream.origin.source
        if plan:
            ledger.settle(source, plan)
        if handled is not None:
            message, noting = handled
            ledger.done(source, message.entry, noting, late=message.late)
        if self._at > self._at_limit:
            ledger.keep_at(self._at + _AT_RESERVE_MS)

    # What runs behind it

    def _load(self, ledger: Ledger) -> None:
        self._at = self._at_limit = ledger.last_at()
        for name in self._watchdogs:
            site, _, watchdog = name.partition("/")
            saved = ledger.load(Origin(site=site, watchdog=watchdog).source)
            cursor = restored(saved, from_beginning=self._start == "beginning", hold_s=self._hold_s)
            self._streams[name] = Stream(name, self._consumer, self._key, cursor, self._tell, self_test=self._self_test)

    async def _run(self) -> None:
        """Connect again and again, ever more slowly, until closed.

        A cancellation alone is not enough: aiomqtt waits by `asyncio.wait_for`, which swallows one in the moment of
        success.
        """
        while not self._closed:
            attempts = AsyncRetrying(
                retry=retry_if_exception_type(BrokerError),
                wait=wait_random_exponential(multiplier=_BACKOFF_FIRST_S, max=_BACKOFF_MOST_S),
                stop=lambda _: self._closed,
                reraise=True,
            )
            with contextlib.suppress(BrokerError):
                async for attempt in attempts:
                    with attempt:
                        await self._one_connection()

    async def _one_connection(self) -> None:
        began = _now()
        try:
            async with self._transport.connect(will=None, on_message=self._receive) as connection:
                began = _now()
                await self._greet(connection)
                if not self._closed:
                    await self._serve(connection)
        except BrokerError as error:
            self._note_gone(error)
            if _now() - began < _STEADY_S:
                raise
        finally:
            self._connection = None
            self._backlog.clear()

    async def _greet(self, connection: MqttConnection) -> None:
        for stream in list(self._streams.values()):  # whose order changes whenever a message is handed over
            if stream.cursor.begun:
                await connection.unsubscribe(stream.opening)
            for topic in stream.topics:
                await connection.subscribe(topic)
            with contextlib.suppress(PublishRefused):  # acks do their work unanswered, too
                await connection.subscribe(stream.replies)
            stream.connected()
        self._connection, self._error = connection, ""
        self._tell(Notice(kind=NoticeKind.CONNECTED, watchdog="", text=f"connected as {self._consumer}"))
        self._drain()

    async def _serve(self, connection: MqttConnection) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._until_lost(connection))
                group.create_task(self._keep_acking(connection))
        except BaseExceptionGroup as errors:
            raise first_of(errors) from None

    async def _until_lost(self, connection: MqttConnection) -> None:
        raise await connection.ended()

    async def _keep_acking(self, connection: MqttConnection) -> None:
        opening = {name for name, stream in self._streams.items() if not stream.cursor.begun}
        while not self._closed:
            self._ack_news.clear()
            for name, stream in list(self._streams.items()):
                if name in opening and stream.cursor.begun:
                    opening.discard(name)
                    await connection.unsubscribe(stream.opening)
                await self._ack(connection, stream)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._ack_news.wait()

    async def _ack(self, connection: MqttConnection, stream: Stream) -> None:
        is_due = stream.is_ack_due(_now())
        at = max(self._at + 1, self._clock.wall_ns() // MS)
        if (stream.cursor.unwritten() or (is_due and at > self._at_limit)) and not self._writer.lock.locked():
            await self._settle(stream, at)
        if not is_due or at > self._at_limit:
            return
        self._at = at
        try:
            await connection.publish(
                stream.origin.root + topics.ack(self._consumer),
                stream.ack(at, _now()),
                qos=1,
                retain=False,
                expiry_s=_ACK_EXPIRY_S,
                content_type="application/json",
                response_topic=stream.replies,
            )
        except PublishRefused as refusal:
            stream.refused(str(refusal))

    async def _settle(self, stream: Stream, at: int) -> None:
        """Write down what no message waits for: what is gone, where we began, and that acks may have come so far."""
        async with self._writer.lock:
            self._at = max(self._at, at)
            plan, noted = stream.cursor.unwritten(), self._at
            async with self._writer.transaction(
                lambda ledger: self._write(ledger, stream, plan), lambda: self._written(stream, plan, noted)
            ):
                pass

    def _receive(self, received: Received) -> None:
        """Take a message at once, or let it wait for room: then the broker keeps those that come behind it."""
        self._backlog.append(received)
        self._drain()

    def _drain(self) -> None:
        connection = self._connection
        while connection is not None and self._backlog and self._has_room(self._backlog[0]):
            received = self._backlog.popleft()
            connection.confirm(received)
            self._hear(received)

    def _stream_at(self, topic: str) -> Stream | None:
        return next((stream for stream in self._streams.values() if stream.takes(topic)), None)

    def _has_room(self, received: Received) -> bool:
        stream = self._stream_at(received.topic)
        return stream is None or stream.cursor.has_room()

    def _hear(self, received: Received) -> None:
        stream = self._stream_at(received.topic)
        if stream is None:
            return
        wall_ms = self._clock.wall_ns() // MS
        at = stream.hear(received.topic, received.payload, kept=received.retained, now=_now(), wall_ms=wall_ms)
        if at is not None:
            self._at = max(self._at, at)
        if stream.ack_now:
            self._ack_news.set()
        self._news.set()

    def _note_gone(self, error: BrokerError) -> None:
        text = str(error)
        if isinstance(error, ConnectionRefused) and error.reason_code == SESSION_TAKEN_OVER:
            text = f"another client connected as {self._consumer}: end it, or give it a consumer of its own"
        if text != self._error:
            self._error = text
            self._tell(Notice(kind=NoticeKind.DISCONNECTED, watchdog="", text=text))

    def _tell(self, notice: Notice) -> None:
        level = logging.INFO if notice.kind in _GOOD else logging.WARNING
        log.log(level, "%s%s%s", notice.watchdog, ": " if notice.watchdog else "", notice.text)
        if self._on_notice is not None:
            self._on_notice(notice)


_GOOD: Final = frozenset({NoticeKind.CONNECTED, NoticeKind.BEGUN})


def _now() -> float:
    return asyncio.get_running_loop().time()
