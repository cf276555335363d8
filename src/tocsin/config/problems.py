"""Mistakes in a configuration, collected and worded: `file:line: path: message (did you mean ...?)`."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from tocsin.config.locate import Path
from tocsin.errors import ConfigError
from tocsin.secret import redact

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_KEY = 64

MOST = 1000
"""More problems than this are counted and not told: nobody reads them, and a wrong file has 100,000."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, from 1; the file as the user named it. Line 0 stands for the file as a whole."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(slots=True)
class Problems:
    """What was found so far. Errors refuse the configuration, warnings go with it."""

    errors: list[tuple[Place, str]] = field(default_factory=list)
    warnings: list[tuple[Place, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    """Every file that was read, in the order in which its problems are told."""

    def error(self, place: Place, path: Path, message: str) -> None:
        self.errors.append((place, _line(place, path, message)))

    def warn(self, place: Place, path: Path, message: str) -> None:
        self.warnings.append((place, _line(place, path, message)))

    def raise_if_any(self) -> None:
        """Raise ConfigError with every error in the order of the files."""
        if self.errors:
            raise ConfigError(self._in_order(self.errors))

    def warning_lines(self) -> tuple[str, ...]:
        return self._in_order(self.warnings)

    def _in_order(self, found: list[tuple[Place, str]]) -> tuple[str, ...]:
        position = {file: index for index, file in enumerate(dict.fromkeys(self.files))}
        ordered = sorted(found, key=lambda item: (position.get(item[0].file, len(position)), item[0].line))
        lines = tuple(dict.fromkeys(text for _, text in ordered))
        return lines if len(lines) <= MOST else (*lines[:MOST], f"and {len(lines) - MOST} more")


def _line(place: Place, path: Path, message: str) -> str:
    # One problem, one line, whatever stands in a key. The last net keeps secrets out; the file's name is none, and a
    # password that is a word of it would make it useless.
    said = f"{path_text(path)}: {message}" if path else message
    return " ".join(f"{place}: {redact(said)}".split())


def path_text(path: Path) -> str:
    """Write a path as in `chain.0.detector."node.lag".warning`."""
    return ".".join(_key_text(key) for key in path)


def _key_text(key: str | int) -> str:
    text = str(key)
    if _BARE.fullmatch(text) and len(text) <= _LONGEST_KEY:
        return text
    shown = text if len(text) <= _LONGEST_KEY else text[: _LONGEST_KEY - 3] + "..."
    return '"' + "".join(char if char.isprintable() else "?" for char in shown) + '"'


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean x?)` for the known word that is nearest, or an empty string."""
    candidates = sorted(known)
    near = difflib.get_close_matches(word[:_LONGEST_KEY].lower(), candidates, n=1, cutoff=0.6)
    if not near:
        # poll_interval for poll, wait_timeout for timeout: too far by letters, plain to a person
        parts = set(re.split(r"[_.-]", word.lower()))
        near = sorted((name for name in candidates if name in parts), key=len, reverse=True)[:1]
    return f" (did you mean {near[0]}?)" if near else ""
