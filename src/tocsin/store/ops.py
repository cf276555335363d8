"""What the store can be asked to do, as values that wait in the writer's queue."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tocsin.clock import Clock
from tocsin.errors import StoreFull
from tocsin.store.journal import delete_rows, forget, mark_sealed, save_gap
from tocsin.store.spans import Spans
from tocsin.store.tables import Tables
from tocsin.store.unsaved import Unsaved
from tocsin.store.values import Committed, Cursor, Gap, Group, SegmentInfo

_SLICE = 256
"""Rows deleted at once: a sealed segment goes in slices, between which commits pass."""


class Books(Protocol):
    """What operations work on: the tables, and what is in memory while they cannot be written."""

    db: sqlite3.Connection
    clock: Clock
    tables: Tables
    unsaved: Unsaved
    reason: str

    def commit(self, group: Group, *, journal: bool) -> Committed:
        """Write a group inside the open transaction."""
        ...

    def park(self, group: Group) -> Committed:
        """Keep a group's alerts in memory."""
        ...


class Op(Protocol):
    """One operation on the store."""

    def apply(self, books: Books, *, journal: bool) -> object:
        """Do it inside the transaction that is open. `journal` False: write alerts, but no records."""
        ...

    def park(self, books: Books) -> object:
        """Do it in memory: nothing can be written now."""
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """What an operation raised; its caller gets it, the others go on."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Commit:
    """Write a group. Yields Committed."""

    group: Group

    def apply(self, books: Books, *, journal: bool) -> object:
        return books.commit(self.group, journal=journal)

    def park(self, books: Books) -> object:
        return books.park(self.group)


@dataclass(frozen=True, slots=True)
class MarkSent:
    """The broker has these. Yields how many of them were waiting."""

    seqs: tuple[int, ...]

    def apply(self, books: Books, *, journal: bool) -> object:  # noqa: ARG002
        return books.tables.outbox.mark_sent(self.seqs, books.clock.wall_ns())

    def park(self, books: Books) -> object:
        return books.unsaved.mark_sent(self.seqs, books.clock.wall_ns())


@dataclass(frozen=True, slots=True)
class MarkFailed:
    """An attempt failed."""

    seq: int
    reason: str

    def apply(self, books: Books, *, journal: bool) -> None:  # noqa: ARG002
        books.tables.outbox.mark_failed(self.seq, self.reason)

    def park(self, books: Books) -> None:
        books.unsaved.mark_failed(self.seq, self.reason)


@dataclass(frozen=True, slots=True)
class Rearm:
    """Send these again. Yields how many are still kept. While nothing can be written, none are."""

    seqs: tuple[int, ...]

    def apply(self, books: Books, *, journal: bool) -> object:  # noqa: ARG002
        return books.tables.outbox.rearm(self.seqs)

    def park(self, books: Books) -> object:  # noqa: ARG002
        return 0


@dataclass(frozen=True, slots=True)
class Register:
    """These consumers are owed everything, and no others."""

    names: tuple[str, ...]

    def apply(self, books: Books, *, journal: bool) -> None:  # noqa: ARG002
        books.tables.consumers.register(self.names, books.clock.wall_ns())

    def park(self, books: Books) -> None:
        raise StoreFull(books.reason)


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """A consumer says how far it has come. Yields Acknowledged, or None while nothing can be written."""

    name: str
    at: int
    max: int
    missing: tuple[int, ...]
    wanted: Spans | None = None
    connected_wall_ns: int = 0

    def apply(self, books: Books, *, journal: bool) -> object:  # noqa: ARG002
        heard = books.clock.wall_ns()
        cursor = Cursor(name=self.name, max=self.max, at=self.at, missing=self.missing, heard_wall_ns=heard)
        return books.tables.consumers.acknowledge(cursor, self.wanted, self.connected_wall_ns)

    def park(self, books: Books) -> object:  # noqa: ARG002
        return None


@dataclass(frozen=True, slots=True)
class RemoveNotices:
    """These messages were sent, or are not to be sent any more. Yields how many of them there were."""

    numbers: tuple[int, ...]

    def apply(self, books: Books, *, journal: bool) -> object:  # noqa: ARG002
        return books.tables.notices.remove(self.numbers, write=True)

    def park(self, books: Books) -> object:
        return books.tables.notices.remove(self.numbers, write=False)


@dataclass(frozen=True, slots=True)
class KeepChannels:
    """Only these channels are told of anything. Yields how many messages of others there were."""

    names: frozenset[str]

    def apply(self, books: Books, *, journal: bool) -> object:  # noqa: ARG002
        return books.tables.notices.keep_channels(self.names, write=True)

    def park(self, books: Books) -> object:
        return books.tables.notices.keep_channels(self.names, write=False)


@dataclass(frozen=True, slots=True)
class Announce:
    """These drops were told."""

    ids: tuple[int, ...]

    def apply(self, books: Books, *, journal: bool) -> None:  # noqa: ARG002
        books.tables.outbox.drops.announce(self.ids)

    def park(self, books: Books) -> None:
        """Tell again: the mark cannot be kept."""


@dataclass(frozen=True, slots=True)
class MarkRetained:
    """The broker confirmed this revision of a topic."""

    topic: str
    revision: int

    def apply(self, books: Books, *, journal: bool) -> None:  # noqa: ARG002
        books.tables.retained.mark(self.topic, self.revision)

    def park(self, books: Books) -> None:
        books.unsaved.mark_retained(self.topic, self.revision)


@dataclass(frozen=True, slots=True)
class ForgetRetained:
    """Remember a topic no more."""

    topic: str

    def apply(self, books: Books, *, journal: bool) -> None:  # noqa: ARG002
        books.tables.retained.forget(self.topic)

    def park(self, books: Books) -> None:
        books.unsaved.forget(self.topic)


@dataclass(frozen=True, slots=True)
class Prune:
    """Forget what has aged. Yields how many rows."""

    def apply(self, books: Books, *, journal: bool) -> object:  # noqa: ARG002
        wall_ns = books.clock.wall_ns()
        return books.tables.outbox.prune(wall_ns) + books.tables.retained.prune(wall_ns)

    def park(self, books: Books) -> object:  # noqa: ARG002
        return 0


@dataclass(frozen=True, slots=True)
class Sealed:
    """A segment lies in its file, whole and on the disk."""

    info: SegmentInfo
    """As the file holds it."""
    lost: Gap | None = None
    """Events that could not be read any more when the segment was sealed."""

    def apply(self, books: Books, *, journal: bool) -> None:  # noqa: ARG002
        if self.lost is not None:
            save_gap(books.db, self.lost)
        mark_sealed(books.db, self.info)

    def park(self, books: Books) -> None:
        raise StoreFull(books.reason)


@dataclass(frozen=True, slots=True)
class DeleteRows:
    """Delete some rows of a sealed segment. Yields whether more are left."""

    info: SegmentInfo

    def apply(self, books: Books, *, journal: bool) -> object:  # noqa: ARG002
        return delete_rows(books.db, self.info, _SLICE)

    def park(self, books: Books) -> object:  # noqa: ARG002
        return False


@dataclass(frozen=True, slots=True)
class ForgetSegments:
    """Remove segments from the journal, recording that they were there; their files go afterwards."""

    doomed: tuple[tuple[SegmentInfo, str], ...]

    def apply(self, books: Books, *, journal: bool) -> None:  # noqa: ARG002
        for info, reason in self.doomed:
            forget(books.db, info, reason=reason, wall_ns=books.clock.wall_ns())

    def park(self, books: Books) -> None:
        raise StoreFull(books.reason)


@dataclass(frozen=True, slots=True)
class Ask:
    """Read something, or do something to the writer's core itself. Yields what `question` returns."""

    question: Callable[[Any], object]

    def apply(self, books: Books, *, journal: bool) -> object:  # noqa: ARG002
        return self.question(books)

    def park(self, books: Books) -> object:
        return self.question(books)
