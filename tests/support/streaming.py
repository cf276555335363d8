"""A stand-in for a daemon as its consumers see it: numbers a stream, loses what it is told to, sends again what an ack
lacks."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Collection

import aiomqtt
import orjson
from tests.support.broker import Mosquitto, client_of
from tests.support.messages import ALERT, LIFE, ORIGIN, changed

from tocsin.model.alert import AlertState, Severity
from tocsin.model.selftest import ID as SELF_TEST
from tocsin.mqtt import presence
from tocsin.wire import envelope
from tocsin.wire.acks import Ack, AckRefused, Refusal, verify
from tocsin.wire.envelope import Message, document_message

WATCHDOG = "ams/host-a"
CONSUMER = "pager"
KEY = "a key of more than sixteen bytes"
_BEAT_S = 0.2


class StandIn:
    """One life of it; `rows` is its outbox. Rows that are `lost` reach the broker only when they are asked for."""

    def __init__(
        self, client: aiomqtt.Client, *, boot: str = "b00700000000", keyed: bool = True, stream: str = ""
    ) -> None:
        self.client = client
        self.rows: dict[int, Message] = {}
        self.acks: list[Ack] = []
        self.refusals: list[Refusal] = []
        self.resent: list[int] = []
        self.beating = True
        self._stream = stream
        self._life = dataclasses.replace(LIFE, boot=boot)
        self._key = KEY.encode() if keyed else b"some other key of that length"
        self._beats = self._tests = 0
        self._steps: dict[int, tuple[int, int, bool]] = {}

    @property
    def last_seq(self) -> int:
        return max(self.rows, default=0)

    def alert(self, number: int, *, over: bool = False, severity: Severity = Severity.WARNING) -> int:
        """Say that an alert fires, still fires, or is over; return the number of the message, which is not sent yet."""
        activation, count, was_over = self._steps.get(number, (0, 0, True))
        activation, count = (activation + 1, 1) if was_over else (activation, count + 1)
        self._steps[number] = activation, count, over
        said = dataclasses.replace(
            ALERT,
            fingerprint=f"{number:032x}",
            severity=severity,
            activation=activation,
            count=count,
            state=AlertState.RESOLVED if over else AlertState.FIRING,
            resolved_wall_ns=ALERT.updated_wall_ns if over else None,
        )
        seq = self.last_seq + 1
        effect = dataclasses.replace(changed(said, seq), boot=self._life.boot, stream=self._stream)
        self.rows[seq], self.kept = envelope.alert_messages(effect, ORIGIN)
        return seq

    async def test(self) -> int:
        """Say a word of the self-test."""
        seq = self.last_seq + 1
        self._tests += 1
        word = dataclasses.replace(
            ALERT, fingerprint="f" * 32, detector=SELF_TEST, severity=Severity.INFO, activation=1, count=self._tests
        )
        effect = dataclasses.replace(changed(word, seq), boot=self._life.boot)
        self.rows[seq], _ = envelope.alert_messages(effect, ORIGIN)
        await self.send(seq)
        return seq

    async def send(self, *seqs: int) -> None:
        for seq in seqs:
            await self._publish(self.rows[seq])

    async def say(self, number: int, *, over: bool = False, severity: Severity = Severity.WARNING) -> int:
        """Say it on the stream and on the alert's own topic."""
        seq = self.alert(number, over=over, severity=severity)
        await self.send(seq)
        await self._publish(self.kept)
        return seq

    async def drop(self, *seqs: int) -> None:
        for seq in seqs:
            del self.rows[seq]
        await self._name_gone(seqs)

    async def _name_gone(self, seqs: Collection[int]) -> None:
        await self._publish(
            envelope.dropped_message(
                ORIGIN, LIFE.boot, first=min(seqs), last=max(seqs), count=len(seqs), reason="full", wall_ns=1
            )
        )

    async def beat(self) -> None:
        self._beats += 1
        data = {"last_seq": self.last_seq, "outbox": 0} | ({"stream": self._stream} if self._stream else {})
        await self._publish(presence.heartbeat(self._life, self._beats, data, 10, 1))

    async def _publish(self, message: Message) -> None:
        await self.client.publish(message.topic, message.payload, qos=message.qos, retain=message.retain)

    async def beat_on(self) -> None:
        while True:
            if self.beating:
                await self.beat()
            await asyncio.sleep(_BEAT_S)

    async def listen(self) -> None:
        async for received in self.client.messages:
            try:
                ack = self._believed(received)
            except AckRefused as refused:
                self.refusals.append(refused.reason)
                await self._answer(getattr(received.properties, "ResponseTopic", ""), refused.reason)
                continue
            self.acks.append(ack)
            if gone := [seq for seq in (*ack.missing, *range(ack.max + 1, self.last_seq)) if seq not in self.rows]:
                await self._name_gone(gone)
            again = [seq for seq in self.rows if seq in ack.missing or seq > ack.max]
            self.resent += again
            await self.send(*sorted(again, reverse=True))

    def _believed(self, received: aiomqtt.Message) -> Ack:
        consumer = str(received.topic).rpartition("/")[2]
        ack = verify(bytes(received.payload), ORIGIN.source, consumer, self._key)  # type: ignore[arg-type]
        if ack.stream != self._stream and ack.stream and self._stream:
            raise AckRefused(Refusal.OTHER_STREAM, "other")
        if ack.max > self.last_seq:
            raise AckRefused(Refusal.FUTURE, "never sent")
        if self.acks and ack.at <= self.acks[-1].at:
            raise AckRefused(Refusal.REPLAYED, "at")
        return ack

    async def _answer(self, topic: str, reason: Refusal) -> None:
        at = self.acks[-1].at if self.acks else 0
        data = {"request": "ack", "accepted": False, "reason": reason, "at": at, "max": 0, "last_seq": self.last_seq}
        relative = topic.removeprefix(ORIGIN.root)
        await self._publish(
            document_message(ORIGIN, LIFE.boot, topic=relative, kind="reply", wall_ns=1, data=data, retain=False)
        )

    def has_all(self) -> bool:
        """Whether the newest ack says that everything arrived."""
        return bool(self.acks) and self.acks[-1].max == self.last_seq and not self.acks[-1].missing


@contextlib.asynccontextmanager
async def stand_in(
    broker: Mosquitto, *, boot: str = "b00700000000", keyed: bool = True, stream: str = ""
) -> AsyncIterator[StandIn]:
    """Run one for the length of a block."""
    async with client_of(broker) as client:
        daemon = StandIn(client, boot=boot, keyed=keyed, stream=stream)
        await client.subscribe(ORIGIN.root + "ack/+", qos=1)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(daemon.listen()), group.create_task(daemon.beat_on())]
            yield daemon
            while not all(task.done() for task in tasks):  # aiomqtt swallows a cancellation in the moment of success
                for task in tasks:
                    task.cancel()
                await asyncio.sleep(0.01)


def foreign() -> dict[str, bytes]:
    """Return what is no message of the watchdog, by the topic below its root on which it comes."""
    alert, kept = envelope.alert_messages(changed(ALERT, 900), ORIGIN)
    said = orjson.loads(alert.payload)
    topic = alert.topic.removeprefix(ORIGIN.root)
    beat = b'{"type":"dev.tocsin.heartbeat.v1","source":"%s","data":%s}'
    return {
        topic: orjson.dumps(said | {"source": "/tocsin/ams/host-b"}),
        "event/critical/node.lag": alert.payload,
        "event/info/large": b"[" + b"1," * 500_000 + b"1]",
        "event/info/utf": b"\xff\xfe" + alert.payload,
        "event/info/deep": b"[" * 100_000 + b"]" * 100_000,
        "event/info/no-object": b"[1]",
        "event/info/no-json": b"firing!",
        "event/info/no-data": orjson.dumps(said | {"data": None}),
        "event/info/no-seq": orjson.dumps(said | {"data": said["data"] | {"seq": -1}}),
        "event/info/seq": orjson.dumps(said | {"data": said["data"] | {"seq": "7"}}),
        "event/warning/self.dropped": orjson.dumps(
            said | {"type": "dev.tocsin.dropped.v1", "data": {"ranges": [[0, 2**60]], "reason": ""}}
        ),
        "heartbeat": beat % (ORIGIN.source.encode(), b'{"boot_id":"x","seq":1,"last_seq":-5}'),
        "event/warning/other": kept.payload,
    }
