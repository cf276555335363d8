"""An outbox in memory, for tests of the publisher alone."""

import asyncio
from collections.abc import Collection, Iterable, Sequence

from tocsin.model.alert import Severity
from tocsin.model.effect import AlertChanged
from tocsin.store import Dropped, OutboxRow, Pending, Retained
from tocsin.wire import envelope


class MemoryOutbox:
    """Keeps rows until they are marked; everything it was asked for can be looked at."""

    def __init__(self) -> None:
        self.rows: dict[int, OutboxRow] = {}
        self.sent: list[int] = []
        self.failed: dict[int, str] = {}
        self.table: dict[str, Retained] = {}
        self.drops: list[Dropped] = []
        self.durable = True
        self._revision = 0
        self.outbox_changed = asyncio.Event()

    def add(self, effect: AlertChanged, origin: envelope.Origin) -> None:
        """Commit an alert: its row and its retained state."""
        stream, state = envelope.alert_messages(effect, origin)
        self.rows[effect.seq] = OutboxRow(
            seq=effect.seq,
            id=f"{effect.boot}:{effect.seq}",
            fingerprint=effect.alert.fingerprint,
            severity=effect.alert.severity,
            topic=stream.topic,
            payload=stream.payload,
            created_wall_ns=effect.wall_ns,
        )
        self.put(state.topic, state.payload)

    def put(self, topic: str, payload: bytes | None) -> None:
        """Set or clear a retained topic."""
        self._revision += 1
        self.table[topic] = Retained(topic=topic, payload=payload, revision=self._revision, published=0)
        self.outbox_changed.set()

    @property
    def unsent(self) -> list[int]:
        """What still waits."""
        return sorted(self.rows)

    async def pending(self, limit: int) -> Sequence[Pending]:
        urgent = {row.fingerprint for row in self.rows.values() if row.severity is Severity.CRITICAL}
        ordered = sorted(self.rows.values(), key=lambda row: (row.fingerprint not in urgent, row.seq))
        return [
            Pending(row=row, attempts=0, durable=self.durable, lane=0 if row.fingerprint in urgent else 1)
            for row in ordered[:limit]
        ]

    async def mark_sent(self, seqs: Iterable[int]) -> None:
        for seq in seqs:
            del self.rows[seq]
            self.sent.append(seq)

    async def mark_failed(self, seq: int, reason: str) -> None:
        self.failed[seq] = reason

    async def retained_all(self) -> Sequence[Retained]:
        return list(self.table.values())

    async def retained_unpublished(
        self, limit: int | None = None, *, exclude: Collection[str] = ()
    ) -> Sequence[Retained]:
        due = [one for one in self.table.values() if one.revision > one.published and one.topic not in exclude]
        return sorted(due, key=lambda one: one.revision)[:limit]

    async def mark_retained(self, topic: str, revision: int) -> None:
        now = self.table[topic]
        published = max(now.published, revision)
        self.table[topic] = Retained(topic=topic, payload=now.payload, revision=now.revision, published=published)

    async def forget_retained(self, topic: str) -> None:
        del self.table[topic]

    async def dropped(self) -> Sequence[Dropped]:
        return list(self.drops)

    async def mark_announced(self, drops: Iterable[Dropped]) -> None:
        gone = list(drops)
        self.drops = [drop for drop in self.drops if drop not in gone]
