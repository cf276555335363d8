"""How far a detector is believed: what it finds is counted, alerted as a warning at most, or alerted as it is."""

from enum import StrEnum


class Trust(StrEnum):
    """How far a detector is believed on a chain, in rising order."""

    OBSERVE = "observe"
    """Counted and shown, never alerted."""
    WARN = "warn"
    """Alerts, as a warning at most."""
    ENFORCE = "enforce"
