"""What a cursor takes, tells and keeps: messages by their place in the stream, verdicts, what goes to disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tocsin.client.frail import Piece
from tocsin.client.ranges import Span


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Step:
    """Where in the life of its alert a message stands: which firing, and which message about that."""

    activation: int
    count: int
    over: bool = False
    """Whether it says that the firing is over."""

    def follows(self, before: "Step | None") -> bool:
        """Tell whether nothing can have been said between the two. None: nothing was said of the alert."""
        if before is None:
            return self.activation == 1 and self.count == 1
        if self.activation == before.activation:
            return self.count == before.count + 1
        return before.over and self.activation == before.activation + 1 and self.count == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One message of the stream."""

    seq: int
    id: str
    fingerprint: str
    step: Step
    urgent: bool
    durable: bool = True
    """False: the daemon had not written it down. After a crash its number may be another's."""
    event: Mapping[str, Any] = field(default_factory=dict)
    stream: str = ""
    """Which stream `seq` is of; empty from a daemon that does not tell."""


class Taken(StrEnum):
    """What became of a message."""

    TAKEN = "taken"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    """There is no room to hold it; it is asked for again."""
    IMPLAUSIBLE = "implausible"
    """Its number is far above everything that the daemon ever told of."""


class Beat(StrEnum):
    """What a heartbeat tells of the stream."""

    KNOWN = "known"
    BEGUN = "begun"
    """From here on we know what is to come."""
    SET_BACK = "set-back"
    """The daemon goes on from an earlier number, as from a backup of its state: what is new then its id tells."""
    LOST = "lost"
    """The daemon counts anew: it has lost its state. So did this cursor now, and begins with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What of a cursor is kept on disk."""

    begun: bool = False
    stream: str = ""
    done: tuple[Span, ...] = ()
    steps: Mapping[str, Step] = field(default_factory=dict)
    frail: tuple[Piece, ...] = ()
    """What was handled and was not durable; numbers that are in `done` as well were confirmed since."""
    ids: tuple[Piece, ...] = ()
    """Under which ids it was handled, as far as that is remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noting:
    """What is written down of a message that is handled."""

    piece: Piece
    """Those of its life that follow each other, and it with them."""
    is_had: bool
    """Whether its number is had for ever: neither may the daemon give it again, nor was it given twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What of a cursor is to be written down, beside the message that is out; false if nothing."""

    begun: bool
    spans: tuple[Span, ...]
    void: tuple[Span, ...]
    """What is to be had again, since it may mean other messages now."""
    ids: tuple[Piece, ...]
    """Under which ids the others were had that need no handing over."""
    is_new: bool
    """Whether nothing that was written down before is true any more."""
    stream: str
    is_due: bool
    epoch: int

    def __bool__(self) -> bool:
        return self.is_due
