"""What the publisher needs from the store: rows of the stream, and the table of retained topics.

Both are committed to disk before they get here; nothing leaves the stream until the broker took it.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from tocsin.store import Dropped, Pending, Retained


class Outbox(Protocol):
    """The two tables, as `tocsin.store.Store` has them. Every method raises StoreError."""

    outbox_changed: asyncio.Event
    """Set when there may be something new; the publisher clears it."""

    async def pending(self, limit: int) -> Sequence[Pending]:
        """Return the rows that were not sent yet: the urgent lane first, then by `seq`."""
        ...

    async def mark_sent(self, seqs: Iterable[int]) -> object:
        """Note that the broker took these rows."""
        ...

    async def mark_failed(self, seq: int, reason: str) -> None:
        """Note that the broker refused a row."""
        ...

    async def retained_all(self) -> Sequence[Retained]:
        """Return every retained topic that the daemon published, cleared ones with payload None."""
        ...

    async def retained_unpublished(
        self, limit: int | None = None, *, exclude: Collection[str] = ()
    ) -> Sequence[Retained]:
        """Return the retained topics whose newest revision the broker has not taken yet, in order of change.

        At most `limit`, and none of the topics to `exclude`.
        """
        ...

    async def mark_retained(self, topic: str, revision: int) -> None:
        """Note that the broker took this revision; a later one stays unpublished."""
        ...

    async def forget_retained(self, topic: str) -> None:
        """Remember a topic no more."""
        ...

    async def dropped(self) -> Sequence[Dropped]:
        """Return what the outbox had to drop and nobody was told of."""
        ...

    async def mark_announced(self, drops: Iterable[Dropped]) -> None:
        """Note that these drops were told."""
        ...
