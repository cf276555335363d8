"""From files to one document that knows where each of its keys came from.

The main file may name further files by `include` globs (drop-ins). They are read in sorted order; tables merge,
arrays of tables append, and a value given twice is an error that names both places.
"""

import glob
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from tocsin.config.locate import Path, key_lines
from tocsin.config.many import MANY
from tocsin.config.problems import Place, Problems

Table = dict[str, Any]

LARGEST_FILE = 1 << 20
"""Bytes. A configuration of 1,000 nodes is a third of it; a device or a log file named by mistake is not."""

_AT_LINE = re.compile(r" \(at line (\d+), column (\d+)\)")
_TWICE = re.compile(r"Cannot declare \((.{1,200}?)\) twice")
_QUOTED = re.compile(r"'([^']*)'")
_NOTHING_NEW = ("schema",)
"""Every file may carry the schema number, for editors; the numbers have to agree."""


@dataclass(slots=True)
class Document:
    """The merged tables, and the place of every path in them. `complete` is False when a file could not be read."""

    data: Table = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    complete: bool = True
    unfinished: set[Path] = field(default_factory=set)
    """Keys that something unreadable would have brought; that they are missing says nothing more."""

    def place(self, path: Path) -> Place:
        """Return where `path` stands: its own line, else that of the nearest table around it."""
        for length in range(len(path), 0, -1):
            if (found := self.places.get(path[:length])) is not None:
                return found
        return Place(self.files[0])

    def lacks(self, path: Path) -> bool:
        """Say whether `path` may be missing only because something else could not be read."""
        return not self.complete or path in self.unfinished

    def empty(self, path: Path) -> bool:
        """Say whether the value at `path` is empty, or not there."""
        value: Any = self.data
        key: Any
        for key in path:
            value = value[key] if isinstance(value, list | dict) else None
        return not value


def read_documents(main: FilePath, problems: Problems) -> Document:
    """Read the main file and everything it includes; what cannot be read becomes a problem."""
    document = Document(files=[str(main)])
    _read_into(document, str(main), problems)
    if not document.data:
        return document
    for file in list(_included(document, main, problems)):
        document.files.append(file)
        _read_into(document, file, problems, nested=True)
    return document


def read_file(file: str, largest: int) -> bytes:
    """Return the bytes of a regular file. Raises OSError with a reason in words, also for what is not a file."""
    try:
        # Before opening: a pipe would block for ever.
        regular = stat.S_ISREG(os.stat(file).st_mode)  # noqa: PTH116 - the name stays as the user wrote it
        data = _head(file, largest + 1) if regular else b""
    except ValueError:
        raise OSError("is not a file name") from None
    except OSError as error:
        raise OSError(f"cannot be read: {error.strerror or error}") from None
    if not regular:
        raise OSError("is not a regular file")
    if len(data) > largest:
        raise OSError(f"is larger than {largest} bytes")
    return data


def _head(file: str, count: int) -> bytes:
    with FilePath(file).open("rb") as stream:
        return stream.read(count)


def _read_into(document: Document, file: str, problems: Problems, *, nested: bool = False) -> None:
    problems.files.append(file)
    before = len(problems.errors)
    parsed = _parse(file, problems)
    if parsed is None:
        document.complete = False
        return
    data, lines = parsed
    places = {path: Place(file, line) for path, line in lines.items()}
    if nested and "include" in data:
        problems.error(places.get(("include",), Place(file)), ("include",), "only the main file includes others")
        del data["include"]
    _Merge(document, places, Place(file), problems).tables(document.data, data, (), ())
    document.complete = document.complete and len(problems.errors) == before


def _parse(file: str, problems: Problems) -> tuple[Table, dict[Path, int]] | None:
    try:
        raw = read_file(file, LARGEST_FILE)
    except OSError as error:
        problems.error(Place(file), (), str(error))
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problems.error(Place(file, line), (), "is not UTF-8 text")
        return None
    try:
        return tomllib.loads(text), key_lines(text)
    except tomllib.TOMLDecodeError as error:
        problems.error(*_syntax(file, text, str(error)))
    except ValueError:
        problems.error(Place(file), (), "TOML: a number has too many digits")
    except RecursionError:
        problems.error(Place(file), (), "TOML: brackets are nested too deeply")
    return None


def _syntax(file: str, text: str, message: str) -> tuple[Place, Path, str]:
    """Word a complaint of tomllib, which names keys and characters but never values."""
    twice = _TWICE.search(message)
    keys = tuple(_QUOTED.findall(twice[1])) if twice is not None else ()
    if twice is not None and keys in MANY:
        said = f"a second {keys[-1]} in single brackets; write [[{'.'.join(keys)}]], since there may be several"
        message = message.replace(twice[0], said, 1)
    found = _AT_LINE.search(message)
    if found is None:
        said = message.removesuffix(" (at end of document)")
        return Place(file, text.rstrip("\n").count("\n") + 1), (), f"TOML: {said}, at the end of the file"
    return Place(file, int(found[1])), (), f"TOML: {message[: found.start()]}, column {found[2]}"


def _included(document: Document, main: FilePath, problems: Problems) -> Iterator[str]:
    patterns = document.data.get("include", [])
    if not isinstance(patterns, list):
        return  # the tree says what is wrong with it
    seen = {os.path.realpath(main)}
    for index, pattern in enumerate(patterns):
        if not isinstance(pattern, str):
            continue
        names = _matches(main, pattern)
        if not names and (reason := _nothing_there(main, pattern)):
            path: Path = ("include", index)
            problems.error(document.place(path), path, reason)
            document.complete = False
        for name in names:
            if (real := os.path.realpath(name)) not in seen:
                seen.add(real)
                yield name


def _nothing_there(main: FilePath, pattern: str) -> str | None:
    """Say why a pattern that matches nothing is a mistake; an empty or missing drop-in folder is none."""
    if not glob.has_magic(pattern):
        return f"there is no file {pattern!r}"
    folder = (main.parent / pattern).parent
    hidden = not glob.has_magic(str(folder)) and folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK)
    return f"the folder of {pattern!r} cannot be read: permission denied" if hidden else None


def _matches(main: FilePath, pattern: str) -> list[str]:
    folder = str(main.parent)
    try:
        whole = pattern if folder == "." else os.path.join(glob.escape(folder), pattern)  # noqa: PTH118 - a glob
        return sorted(glob.glob(whole))  # noqa: PTH207 - takes absolute patterns too
    except (OSError, ValueError, re.error):
        return []


@dataclass(slots=True)
class _Merge:
    """Adds one file to the document."""

    document: Document
    lines: dict[Path, Place]
    file: Place
    problems: Problems
    children: dict[Path, list[Path]] = field(init=False)

    def __post_init__(self) -> None:
        self.children = {}
        for path in self.lines:
            self.children.setdefault(path[:-1], []).append(path)

    def tables(self, into: Table, add: Table, at: Path, source: Path) -> None:
        """Merge `add` (at path `source` of the file) into `into` (at path `at` of the document)."""
        for key, value in add.items():
            here, there = (*at, key), (*source, key)
            if key not in into:
                into[key] = value
                self._keep_places(here, there)
            elif isinstance(into[key], dict) and isinstance(value, dict):
                self.tables(into[key], value, here, there)
            elif _is_tables(into[key]) and _is_tables(value):
                self._append(into[key], value, here, there)
            elif not (here == _NOTHING_NEW and into[key] == value):
                self._twice(here, there, into[key], value)

    def _append(self, into: list[Table], add: list[Table], at: Path, source: Path) -> None:
        for index, item in enumerate(add):
            self._keep_places((*at, len(into)), (*source, index))
            into.append(item)

    def _keep_places(self, at: Path, source: Path) -> None:
        pending = [source]
        while pending:
            path = pending.pop()
            self.document.places.setdefault((*at, *path[len(source) :]), self.lines.get(path, self.file))
            pending += self.children.get(path, ())

    def _twice(self, at: Path, source: Path, first: object, second: object) -> None:
        earlier = self.document.place(at)
        if _shape(first) == _shape(second):
            message = f"is also set at {earlier}; keep one of them"
        else:
            message = f"is {_shape(second)} here and {_shape(first)} at {earlier}"
        self.problems.error(self.lines.get(source, self.file), at, message)


def tables(value: object) -> list[tuple[int, Table]]:
    """Return the tables of what should be an array of tables, with their positions; what is none is left out."""
    if not isinstance(value, list):
        return []
    return [(index, item) for index, item in enumerate(value) if isinstance(item, dict)]


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _shape(value: object) -> str:
    if isinstance(value, dict):
        return "a table"
    return "an array of tables" if _is_tables(value) else "a value"
