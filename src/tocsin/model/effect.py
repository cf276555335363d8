"""Everything that leaves. An effect is committed to disk before it is tried."""

from dataclasses import dataclass

from tocsin.model.alert import Alert, Json, Severity
from tocsin.model.notice import Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChanged:
    """An alert began, changed or ended: one message on the event stream and the retained state of the alert.

    `seq` is contiguous over the life of the state directory. `boot` is the life of the daemon that said it.
    """

    seq: int
    boot: str
    wall_ns: int
    alert: Alert
    stream: str = ""
    """Of which stream `seq` is: made with the state directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged:
    """A retained topic has a new document; None clears it. `topic` is relative to the watchdog's root."""

    topic: str
    kind: str
    wall_ns: int
    document: Json | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Tell people through a channel. `number` is contiguous over the life of the state directory.

    Messages of one `group` of a channel keep their order.
    """

    number: int
    channel: str
    group: str
    severity: Severity
    wall_ns: int
    notice: Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Ask one node for one thing outside its poll; the answer comes back as `Fetched`."""

    request: int
    chain: str
    node: str
    call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Poll the nodes of a chain so, until another one says otherwise.

    Blocks are expected at `arrival_ns` (engine time) and every block time from there; None asks for even intervals.
    The nodes in `urgent` are asked at every interval all the same: somebody wants to look closer.
    """

    chain: str
    arrival_ns: int | None
    urgent: tuple[str, ...] = ()


Request = Fetch | Pace
"""What goes back to those who poll. Everything else leaves."""

Effect = AlertChanged | StateChanged | Notify | Fetch | Pace
