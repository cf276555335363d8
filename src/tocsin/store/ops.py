"""What the store can be asked to do, as values that wait in the writer's queue."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tocsin.errors import StoreFull
from tocsin.store import journal as tables
from tocsin.store.values import Gap, Group, SegmentInfo

if TYPE_CHECKING:
    from tocsin.store.core import Core

_SLICE = 256
"""Rows deleted at once: a sealed segment goes in slices, between which commits pass."""


class Op(Protocol):
    """One operation on the store."""

    def apply(self, core: "Core", *, journal: bool) -> object:
        """Do it inside the transaction that is open. `journal` False: write alerts, but no records."""
        ...

    def park(self, core: "Core") -> object:
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

    def apply(self, core: "Core", *, journal: bool) -> object:
        return core.commit(self.group, journal=journal)

    def park(self, core: "Core") -> object:
        return core.park(self.group)


@dataclass(frozen=True, slots=True)
class MarkSent:
    """The broker has these. Yields how many of them were waiting."""

    seqs: tuple[int, ...]

    def apply(self, core: "Core", *, journal: bool) -> object:  # noqa: ARG002
        return core.outbox.mark_sent(self.seqs, core.clock.wall_ns())

    def park(self, core: "Core") -> object:
        return core.unsaved.mark_sent(self.seqs, core.clock.wall_ns())


@dataclass(frozen=True, slots=True)
class MarkFailed:
    """An attempt failed."""

    seq: int
    reason: str

    def apply(self, core: "Core", *, journal: bool) -> None:  # noqa: ARG002
        core.outbox.mark_failed(self.seq, self.reason)

    def park(self, core: "Core") -> None:
        core.unsaved.mark_failed(self.seq, self.reason)


@dataclass(frozen=True, slots=True)
class Rearm:
    """Send these again. Yields how many are still kept. While nothing can be written, none are."""

    seqs: tuple[int, ...]

    def apply(self, core: "Core", *, journal: bool) -> object:  # noqa: ARG002
        return core.outbox.rearm(self.seqs)

    def park(self, core: "Core") -> object:  # noqa: ARG002
        return 0


@dataclass(frozen=True, slots=True)
class Announce:
    """These drops were told."""

    ids: tuple[int, ...]

    def apply(self, core: "Core", *, journal: bool) -> None:  # noqa: ARG002
        core.outbox.announce(self.ids)

    def park(self, core: "Core") -> None:
        """Tell again: the mark cannot be kept."""


@dataclass(frozen=True, slots=True)
class MarkRetained:
    """The broker confirmed this revision of a topic."""

    topic: str
    revision: int

    def apply(self, core: "Core", *, journal: bool) -> None:  # noqa: ARG002
        core.retained.mark(self.topic, self.revision)

    def park(self, core: "Core") -> None:
        core.unsaved.mark_retained(self.topic, self.revision)


@dataclass(frozen=True, slots=True)
class ForgetRetained:
    """Remember a topic no more."""

    topic: str

    def apply(self, core: "Core", *, journal: bool) -> None:  # noqa: ARG002
        core.retained.forget(self.topic)

    def park(self, core: "Core") -> None:
        core.unsaved.forget(self.topic)


@dataclass(frozen=True, slots=True)
class Prune:
    """Forget what has aged. Yields how many rows."""

    def apply(self, core: "Core", *, journal: bool) -> object:  # noqa: ARG002
        wall_ns = core.clock.wall_ns()
        return core.outbox.prune(wall_ns) + core.retained.prune(wall_ns)

    def park(self, core: "Core") -> object:  # noqa: ARG002
        return 0


@dataclass(frozen=True, slots=True)
class Sealed:
    """A segment lies in its file, whole and on the disk."""

    info: SegmentInfo
    """As the file holds it."""
    lost: Gap | None = None
    """Events that could not be read any more when the segment was sealed."""

    def apply(self, core: "Core", *, journal: bool) -> None:  # noqa: ARG002
        if self.lost is not None:
            tables.save_gap(core.db, self.lost)
        tables.mark_sealed(core.db, self.info)

    def park(self, core: "Core") -> None:
        raise StoreFull(core.reason)


@dataclass(frozen=True, slots=True)
class DeleteRows:
    """Delete some rows of a sealed segment. Yields whether more are left."""

    info: SegmentInfo

    def apply(self, core: "Core", *, journal: bool) -> object:  # noqa: ARG002
        return tables.delete_rows(core.db, self.info, _SLICE)

    def park(self, core: "Core") -> object:  # noqa: ARG002
        return False


@dataclass(frozen=True, slots=True)
class ForgetSegments:
    """Remove segments from the journal, recording that they were there; their files go afterwards."""

    doomed: tuple[tuple[SegmentInfo, str], ...]

    def apply(self, core: "Core", *, journal: bool) -> None:  # noqa: ARG002
        for info, reason in self.doomed:
            tables.forget(core.db, info, reason=reason, wall_ns=core.clock.wall_ns())

    def park(self, core: "Core") -> None:
        raise StoreFull(core.reason)


@dataclass(frozen=True, slots=True)
class Ask:
    """Read something, or do something to the core itself. Yields what `question` returns."""

    question: Callable[["Core"], object]

    def apply(self, core: "Core", *, journal: bool) -> object:  # noqa: ARG002
        return self.question(core)

    def park(self, core: "Core") -> object:
        return self.question(core)
