"""What is silenced at a moment. It marks alerts, and takes nothing from the stream."""

from dataclasses import dataclass

from tocsin.alerting.matching import Names, sieve
from tocsin.model.alert import Labels, Severity
from tocsin.model.silence import Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class Silences:
    """The silences in force, and by which names they mean chains and nodes."""

    active: tuple[Silence, ...] = ()
    names: Names = Names()  # noqa: RUF009 - frozen

    def covers(self, detector: str, severity: Severity, labels: Labels) -> bool:
        """Tell whether an alert is silenced; a critical one only by a silence that says so."""
        if not self.active:
            return False
        pairs = self.pairs(labels)
        return any(is_for(one, severity) and means(one, detector, severity, pairs) for one in self.active)

    def pairs(self, labels: Labels) -> Labels:
        """Return the labels of an alert with what else people call its subject."""
        return (*labels, *self.names.of(labels))


def is_for(silence: Silence, severity: Severity) -> bool:
    """Tell whether a silence silences alerts as bad as this."""
    return silence.critical or severity is not Severity.CRITICAL


def means(silence: Silence, detector: str, severity: Severity, pairs: Labels) -> bool:
    """Tell whether a silence means an alert, be it one that it spares. `pairs` are those of `Silences.pairs`."""
    return sieve(silence.match).fits(detector, severity, pairs)


def at(silences: tuple[Silence, ...], wall_ns: int) -> tuple[Silence, ...]:
    """Return those that are in force at a moment."""
    return tuple([one for one in silences if one.from_wall_ns <= wall_ns < one.until_wall_ns])
