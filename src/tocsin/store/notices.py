"""Messages to people that wait to be sent, kept until they are.

They are few, so all of them are in memory as well: they can be sent while nothing can be written, and are written when
that is possible again. In a channel the worst group goes first, and a group keeps its order: a row is as urgent as the
worst one behind it. Used by the writer thread alone, inside the transaction of its caller.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tocsin.model.alert import Severity
from tocsin.store.sound import NOTICE, damaged, is_sound
from tocsin.store.values import Limits, NoticeRow, NoticesHeld

_RANKED = tuple(sorted(Severity, key=lambda severity: severity.rank))
_SLACK = 100
"""What is full drops by 1/100 at a time, so that the next row does not drop again."""


@dataclass(frozen=True, slots=True)
class Kept:
    """All rows by number, and how the database differs: rows that it lacks, and rows that it has too many."""

    rows: Mapping[int, NoticeRow]
    unsaved: frozenset[int] = frozenset()
    gone: frozenset[int] = frozenset()
    dropped: int = 0
    last: int = 0


class Notices:
    """The table of what people are to be told. Raises sqlite3.DatabaseError where a row makes no sense."""

    def __init__(self, db: sqlite3.Connection, limits: Limits) -> None:
        self._db = db
        self._limits = limits
        columns = "number, channel, grp, severity, payload, created_wall_ns"
        rows = {row[0]: _row(row) for row in db.execute(f"SELECT {columns} FROM notice ORDER BY number")}  # noqa: S608
        self._now = Kept(rows=rows, last=max(rows, default=0))
        self._counted: tuple[Kept | None, NoticesHeld] = (None, NoticesHeld())
        self.remember()

    def remember(self) -> None:
        """Keep what there is when a transaction begins."""
        self._before = self._now

    def go_back(self) -> None:
        """Take what was kept: the transaction was rolled back."""
        self._now = self._before

    @property
    def kept(self) -> Kept:
        """What there is, and what of it is to be written."""
        return self._now

    def take_over(self, kept: Kept) -> None:
        """Go on from what a table held that this one replaces: the database is to become so."""
        saved = self._now.rows.keys()
        self._now = Kept(
            rows=kept.rows,
            unsaved=frozenset(kept.rows.keys() - saved),
            gone=frozenset(saved - kept.rows.keys()),
            dropped=kept.dropped,
            last=max(self._now.last, kept.last),
        )

    # What changes.

    def flush(self) -> None:
        """Write what could not be written before."""
        if not (self._now.unsaved or self._now.gone):
            return
        self._insert(self._now.rows[number] for number in sorted(self._now.unsaved))
        self._delete(self._now.gone)
        self._now = Kept(rows=self._now.rows, dropped=self._now.dropped, last=self._now.last)

    def add(self, rows: Collection[NoticeRow], *, write: bool) -> None:
        """Keep rows that are new; without `write` in memory, until `flush`."""
        now = self._now
        fresh = [row for row in rows if row.number not in now.rows and row.number > now.last]
        if not fresh:
            return
        kept = {**now.rows, **{row.number: row for row in fresh}}
        if write:
            self._insert(fresh)
        unsaved = now.unsaved if write else now.unsaved | {row.number for row in fresh}
        last = max(now.last, *(row.number for row in fresh))
        self._now = Kept(rows=kept, unsaved=unsaved, gone=now.gone, dropped=now.dropped, last=last)
        doomed = self._too_many()
        if doomed:
            self._forget(doomed, write=write, dropped=len(doomed))

    def remove(self, numbers: Iterable[int], *, write: bool) -> int:
        """Forget rows that were sent, or are not to be sent any more; return how many there were."""
        doomed = [number for number in numbers if number in self._now.rows]
        if doomed:
            self._forget(doomed, write=write)
        return len(doomed)

    def keep_channels(self, names: Collection[str], *, write: bool) -> int:
        """Forget the rows of all other channels; return how many there were."""
        return self.remove([row.number for row in self._now.rows.values() if row.channel not in names], write=write)

    # What can be read.

    @property
    def last(self) -> int:
        """The highest number that was ever kept, as far as is known."""
        return self._now.last

    def waiting(self, channel: str, limit: int) -> list[NoticeRow]:
        """Return the rows of a channel that may be sent next, the most urgent first: of each group the oldest."""
        worst: dict[str, int] = {}
        first: dict[str, NoticeRow] = {}
        for row in self._now.rows.values():
            if row.channel == channel:
                first.setdefault(row.group, row)
                worst[row.group] = max(worst.get(row.group, 0), row.severity.rank)
        return sorted(first.values(), key=lambda row: (-worst[row.group], row.number))[:limit]

    def held(self) -> NoticesHeld:
        """Return how much waits in which channel. Asked after every transaction, and counted when it has changed."""
        if self._counted[0] is not self._now:
            counts = Counter(row.channel for row in self._now.rows.values())
            held = NoticesHeld(waiting=dict(counts), dropped=self._now.dropped, last=self._now.last)
            self._counted = (self._now, held)
        return self._counted[1]

    # Inside.

    def _too_many(self) -> list[int]:
        """Return the rows that must go to come down to the bounds: the least severe, oldest, never critical ones."""
        rows = self._now.rows
        count, size = len(rows), sum(len(row.payload) for row in rows.values())
        if count <= self._limits.notice_rows and size <= self._limits.notice_bytes:
            return []
        doomed: list[int] = []
        most, largest = (bound - bound // _SLACK for bound in (self._limits.notice_rows, self._limits.notice_bytes))
        for row in sorted(rows.values(), key=lambda row: (row.severity.rank, row.number)):
            if (count <= most and size <= largest) or row.severity is Severity.CRITICAL:
                break
            doomed.append(row.number)
            count, size = count - 1, size - len(row.payload)
        return doomed

    def _forget(self, doomed: Collection[int], *, write: bool, dropped: int = 0) -> None:
        now, numbers = self._now, frozenset(doomed)
        saved = numbers - now.unsaved
        if write:
            self._delete(saved)
        self._now = Kept(
            rows={number: row for number, row in now.rows.items() if number not in numbers},
            unsaved=now.unsaved - numbers,
            gone=now.gone if write else now.gone | saved,
            dropped=now.dropped + dropped,
            last=now.last,
        )

    def _insert(self, rows: Iterable[NoticeRow]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO notice VALUES (?, ?, ?, ?, ?, ?)",
            [(row.number, row.channel, row.group, row.severity.rank, row.payload, row.created_wall_ns) for row in rows],
        )

    def _delete(self, numbers: Iterable[int]) -> None:
        self._db.executemany("DELETE FROM notice WHERE number = ?", [(number,) for number in sorted(numbers)])


def _row(columns: tuple[int, str, str, int, bytes, int]) -> NoticeRow:
    number, channel, group, rank, payload, created = columns
    if not is_sound(columns, NOTICE) or rank not in range(len(_RANKED)):
        raise damaged(f"message {number!r} is not what was written")
    return NoticeRow(
        number=number,
        channel=channel,
        group=group,
        severity=_RANKED[rank],
        payload=payload,
        created_wall_ns=created,
    )
