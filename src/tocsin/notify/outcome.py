"""What came of sending a message."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Who was to be told has it, or has promised to pass it on. `said` is what came back, for a person."""

    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """It did not get through, and may another time; not before `wait_ns`, where that was asked for."""

    why: str
    wait_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """This message will never be taken."""

    why: str


Outcome = Sent | Later | Refused
