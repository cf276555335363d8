"""What an examination says."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tocsin.secret import redact


class Level(StrEnum):
    """How it went. `skip`: it could not be looked at here, which is no fault."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line of the report. `todo` is empty when there is nothing to do."""

    level: Level
    subject: str
    said: str
    todo: str = ""

    def as_json(self) -> Mapping[str, str]:
        """Return it for `--json`, without secrets."""
        return {
            "level": self.level.value,
            "subject": self.subject,
            "said": redact(self.said),
            "todo": redact(self.todo),
        }


def ok(subject: str, said: str) -> Result:
    """Say that all is well."""
    return Result(level=Level.OK, subject=subject, said=said)


def warn(subject: str, said: str, todo: str) -> Result:
    """Say that it works, but not as well as it could."""
    return Result(level=Level.WARN, subject=subject, said=said, todo=todo)


def fail(subject: str, said: str, todo: str) -> Result:
    """Say that it does not work."""
    return Result(level=Level.FAIL, subject=subject, said=said, todo=todo)


def skip(subject: str, said: str) -> Result:
    """Say that it could not be looked at."""
    return Result(level=Level.SKIP, subject=subject, said=said)
