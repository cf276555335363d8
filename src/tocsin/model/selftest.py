"""The self-test: an alert that always fires, so that the way of all alerts is walked every minute."""

from dataclasses import dataclass

from tocsin.model.alert import Labels

ID = "self.test"
"""Its detector, for the wire: nothing detects it, it is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidWord:
    """A word of the self-test that was not heard back yet: its number in the stream, and when it was said."""

    seq: int
    said_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """What is remembered of the self-test. Times are engine ns, but for `started_wall_ns`."""

    fingerprint: str = ""
    """Of the alert that fires; empty while there is none."""
    labels: Labels = ()
    activation: int = 0
    count: int = 0
    started_wall_ns: int = 0
    said_ns: int | None = None
    """When the last word was said in this life."""
    since_ns: int = 0
    """From here on silence counts: the start of this life, or the end of a time in which nobody looked."""
    waiting: tuple[SaidWord, ...] = ()
    """The newest words that were not heard back."""
    unanswered: int = 0
    """How many words in a row were not."""
    echo_ns: int | None = None
    """How long the newest one that was heard back took, from the decision to the echo."""
    echoed_ns: int | None = None
    """When that was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoView:
    """How the self-test stands at one tick."""

    every_ns: int
    silent_ns: int
    """For how long no echo came."""
    connected: bool
    unanswered: int
    echo_ns: int | None
