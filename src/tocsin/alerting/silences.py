"""What is silenced at a moment. It marks alerts, and takes nothing from the stream."""

from dataclasses import dataclass

from tocsin.alerting.matching import Names, matches, parse
from tocsin.model.alert import Labels, Severity
from tocsin.model.silence import Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class Silences:
    """The silences in force, and by which names they mean chains and nodes."""

    active: tuple[Silence, ...] = ()
    names: Names = Names()  # noqa: RUF009 - frozen

    def covers(self, detector: str, severity: Severity, labels: Labels) -> bool:
        """Tell whether an alert is silenced; a critical one only by a silence that says so."""
        return any(
            (one.critical or severity is not Severity.CRITICAL)
            and matches(parse(one.match), detector, severity, labels, self.names)
            for one in self.active
        )


def at(silences: tuple[Silence, ...], wall_ns: int) -> tuple[Silence, ...]:
    """Return those that are in force at a moment."""
    return tuple([one for one in silences if one.from_wall_ns <= wall_ns < one.until_wall_ns])
