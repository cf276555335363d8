"""What a subscriber gets: messages to handle, and notices about the stream itself."""

import sqlite3
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from tocsin.client.entries import Entry


class NoticeKind(StrEnum):
    """What a notice is about."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    """There is no connection to the broker, or no longer one; it is tried again, ever more slowly."""
    BEGUN = "begun"
    """A first start heard how far the stream is; from here on nothing of it is missed."""
    DROPPED = "dropped"
    """The daemon says that messages which we did not have will not come."""
    STATE_LOST = "state-lost"
    """The daemon counts anew, and has lost what it knew: the new stream is followed from its first message."""
    REFUSED = "refused"
    """The daemon does not believe our acks: while that lasts, nothing that is lost is sent again."""
    UNREADABLE = "unreadable"
    """Something that is no message of the watchdog came on its topics; told once for each topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """News about the stream, not of it. `watchdog` is `<site>/<name>`, empty for what concerns all."""

    kind: NoticeKind
    watchdog: str
    text: str


class Desk(Protocol):
    """Who takes back what was handed over."""

    def transaction(self, message: "Message", /) -> AbstractAsyncContextManager[sqlite3.Connection]: ...


class Message:
    """One change of an alert, handed over to be handled: in a `transaction`, or with `done` afterwards.

    One that is neither when the next one is asked for, or whose handler raised, comes again after a pause; other alerts
    go on meanwhile.
    """

    __slots__ = ("_desk", "attempt", "entry", "late", "watchdog")

    def __init__(self, desk: Desk, entry: Entry, *, watchdog: str, late: bool, attempt: int) -> None:
        self._desk = desk
        self.entry = entry
        self.watchdog = watchdog
        """`<site>/<name>` of who says it."""
        self.late = late
        """Whether something that was said of this alert later has been handed over already: its predecessor was
        waited for, but not for ever."""
        self.attempt = attempt
        """1, and one more for each time that it was handed over in vain since the start."""

    @property
    def id(self) -> str:
        """The stable id of the event: the same however often it comes."""
        return self.entry.id

    @property
    def seq(self) -> int:
        """Its number in the stream of its watchdog."""
        return self.entry.seq

    @property
    def event(self) -> Mapping[str, Any]:
        """The whole CloudEvents event. Its texts may come from nodes: do not trust them."""
        return self.entry.event

    @property
    def data(self) -> Mapping[str, Any]:
        """What it says of the alert: docs/reference/schemas/alert.json."""
        data: Mapping[str, Any] = self.entry.event["data"]
        return data

    @property
    def fingerprint(self) -> str:
        """Which alert it is about."""
        return self.entry.fingerprint

    @property
    def severity(self) -> str:
        """`info`, `warning` or `critical`."""
        return str(self.data["severity"])

    @property
    def state(self) -> str:
        """`firing`, `unknown` or `resolved`."""
        return str(self.data["state"])

    @property
    def summary(self) -> str:
        """One line for a person."""
        return str(self.data.get("summary", ""))

    def transaction(self) -> AbstractAsyncContextManager[sqlite3.Connection]:
        """Handle it exactly once: what the block writes into the connection and the cursor are one transaction.

        Both are on disk when the block has ended; a block that raises leaves neither. The connection is of the file
        of the subscriber; it commits by itself, and refuses a COMMIT of the block's own. Raises StoreError when the
        file cannot be written, ValueError when the message was ended before.
        """
        return self._desk.transaction(self)

    async def done(self) -> None:
        """Say that it was handled: at least once, since a crash before this has it come again, with the same `id`.

        Raises as `transaction` does.
        """
        async with self._desk.transaction(self):
            pass

    def __repr__(self) -> str:
        return f"<Message {self.id} {self.severity} {self.state} of {self.watchdog}>"
