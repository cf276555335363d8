"""What could not be written, kept in memory until it can: alerts still go out, marked as not durable."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from tocsin.model.alert import Severity
from tocsin.store.outbox import Outbox
from tocsin.store.retained import RetainedTopics
from tocsin.store.values import Counts, Group, Limits, OutboxRow, Pending, Retained, RetainedRow


@dataclass(slots=True)
class _Topic:
    """A parked document. Its revision is provisional, but above every one that was given before."""

    payload: bytes | None
    revision: int
    published: int


class Unsaved:
    """Rows, documents and marks that wait for the disk. Merged into what is read, flushed when it works again."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rows: dict[int, OutboxRow] = {}
        self._sent: dict[int, int] = {}
        self._failed: dict[int, str] = {}
        self._topics: dict[str, _Topic] = {}
        self._marks: dict[str, int] = {}
        self._forgotten: set[str] = set()
        self._dropped: list[int] = []
        self._revision = 0

    def __bool__(self) -> bool:
        held = (self._rows, self._sent, self._failed, self._topics, self._marks, self._forgotten, self._dropped)
        return any(held)

    def park(self, group: Group, revision: int) -> None:
        """Keep the rows and documents of a group; `revision` is the newest one that the database gave."""
        for row in group.outbox:
            self._rows.setdefault(row.seq, row)
        self._bound()
        self._revision = max(self._revision, revision)
        for document in group.retained:
            self._revision += 1
            self._topics[document.topic] = _Topic(document.payload, self._revision, 0)
            self._forgotten.discard(document.topic)

    def mark_sent(self, seqs: Iterable[int], wall_ns: int) -> int:
        """Remember what the broker has."""
        fresh = [seq for seq in seqs if seq not in self._sent]
        self._sent.update(dict.fromkeys(fresh, wall_ns))
        return len(fresh)

    def mark_failed(self, seq: int, reason: str) -> None:
        """Remember an attempt that failed."""
        self._failed[seq] = reason

    def mark_retained(self, topic: str, revision: int) -> None:
        """Remember what the broker confirmed."""
        parked = self._topics.get(topic)
        if parked is not None:
            parked.published = max(parked.published, revision)
        self._marks[topic] = max(self._marks.get(topic, 0), revision)

    def forget(self, topic: str) -> None:
        """Remember a topic no more."""
        self._topics.pop(topic, None)
        self._forgotten.add(topic)

    def flush(self, outbox: Outbox, retained: RetainedTopics, wall_ns: int) -> None:
        """Write everything inside the caller's transaction; `clear` once that is committed."""
        for seq, row in sorted(self._rows.items()):
            outbox.insert(row, sent_wall_ns=self._sent.get(seq))
        outbox.mark_sent((seq for seq in self._sent if seq not in self._rows), wall_ns)
        for seq, reason in self._failed.items():
            outbox.mark_failed(seq, reason)
        if self._dropped:
            outbox.drops.record(self._dropped, "memory full while the disk was", wall_ns)
        for topic in self._forgotten:
            retained.forget(topic)
        retained.raise_revision(self._revision)
        for topic, revision in self._marks.items():
            retained.mark(topic, revision)
        for topic, parked in self._topics.items():
            document = RetainedRow(topic=topic, payload=parked.payload)
            retained.put_at(document, wall_ns, published=parked.published >= parked.revision)

    def clear(self) -> None:
        """Forget what was flushed. Provisional revisions are not given twice."""
        for held in (self._rows, self._sent, self._failed, self._topics, self._marks):
            held.clear()
        self._forgotten.clear()
        self._dropped.clear()

    def pending(self, outbox: Outbox | None, limit: int, exclude: Collection[int]) -> list[Pending]:
        """Return the next rows to send, saved (unless None can be read) and unsaved, lane by lane.

        Within a lane they come by seq, so that order holds per fingerprint.
        """
        hidden = {*exclude, *self._sent}
        mine = self._in_lanes(hidden)
        if outbox is None:
            return sorted(mine, key=lambda item: (item.lane, item.row.seq))[:limit]
        saved = {item.row.seq: item for item in outbox.pending(limit, hidden)}
        for fingerprint in {item.row.fingerprint for item in mine if item.lane == 0}:
            for item in outbox.waiting_for(fingerprint):
                if item.row.seq not in hidden:
                    saved[item.row.seq] = replace(item, lane=0)
        merged = [*saved.values(), *mine]
        return sorted(merged, key=lambda item: (item.lane, item.row.seq))[:limit]

    @property
    def last_seq(self) -> int:
        """The highest `seq` that is only here; 0 when none is."""
        return max(self._rows, default=0)

    def counts(self, saved: Counts) -> Counts:
        """Add what is only here."""
        waiting = [row for seq, row in self._rows.items() if seq not in self._sent]
        return replace(
            saved,
            pending=saved.pending + len(waiting) - sum(1 for seq in self._sent if seq not in self._rows),
            pending_bytes=saved.pending_bytes + sum(len(row.payload) for row in waiting),
            critical=saved.critical + sum(row.severity is Severity.CRITICAL for row in waiting),
            unsaved=len(waiting),
        )

    def retained(self, saved: Iterable[Retained]) -> list[Retained]:
        """Return every remembered topic as it should stand now."""
        merged = {item.topic: item for item in saved if item.topic not in self._forgotten}
        for topic, revision in self._marks.items():
            if topic in merged:
                merged[topic] = replace(merged[topic], published=max(merged[topic].published, revision))
        for topic, parked in self._topics.items():
            merged[topic] = Retained(
                topic=topic, payload=parked.payload, revision=parked.revision, published=parked.published
            )
        return sorted(merged.values(), key=lambda item: item.revision)

    def _in_lanes(self, hidden: Collection[int]) -> list[Pending]:
        rows = [row for seq, row in sorted(self._rows.items()) if seq not in hidden]
        urgent = {row.fingerprint: row.seq for row in rows if row.severity is Severity.CRITICAL}
        return [
            Pending(row=row, attempts=0, durable=False, lane=int(row.seq > urgent.get(row.fingerprint, -1)))
            for row in rows
        ]

    def _bound(self) -> None:
        """Keep memory bounded: what was delivered goes first, then the least severe, oldest; critical never."""
        excess = len(self._rows) - self._limits.unsaved_rows
        if excess <= 0:
            return
        for severity in (None, Severity.INFO, Severity.WARNING):
            for seq, row in sorted(self._rows.items()):
                if excess <= 0:
                    return
                delivered = seq in self._sent
                if delivered if severity is None else (row.severity is severity and not delivered):
                    del self._rows[seq]
                    excess -= 1
                    if delivered:
                        del self._sent[seq]
                    else:
                        self._dropped.append(seq)
