"""Where a key stands in a TOML document.

`tomllib` gives values without positions; an error message needs the line. This is a locator, not a second parser: it
reads a document that `tomllib` has accepted and only has to know where keys, strings and brackets begin and end.
"""

import re
from bisect import bisect_right
from contextlib import suppress

Path = tuple[str | int, ...]
"""Keys and array indices from the root, such as `("chain", 0, "node", 1, "url")`."""

_BARE = re.compile(r"[^\s.=\[\]{}\"'#,]+")
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"}


def key_lines(text: str) -> dict[Path, int]:
    """Return the line, from 1, of every key, table and array element of a valid TOML document.

    A table opened more than once keeps the line of its own header, else of the first key that made it. For text
    that is not TOML the result is incomplete, never an exception.
    """
    locator = _Locator(text)
    with suppress(IndexError, RecursionError, ValueError):
        locator.document()
    return locator.lines


class _Locator:
    """A cursor over the text. Past the end it raises IndexError, which ends the search."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._elements: dict[Path, int] = {}
        self._table: Path = ()

    def document(self) -> None:
        while self._skip():
            if self.text[self.at] == "[":
                self._header()
            else:
                self._pair(self._table)

    def _line(self) -> int:
        return bisect_right(self._starts, self.at)

    def _skip(self, stop: str = "") -> bool:
        """Move over white space, comments and the separators in `stop`; say whether text is left."""
        while self.at < len(self.text):
            here = self.text[self.at]
            if here == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif here.isspace() or here in stop:
                self.at += 1
            else:
                return True
        return False

    def _header(self) -> None:
        line = self._line()
        array = self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        *parents, last = self._keys("]")
        self.at += 2 if array else 1
        path: Path = ()
        for key in parents:
            path = self._inside((*path, key))
            self.lines.setdefault(path, line)
        path = (*path, last)
        if array:
            index = self._elements.get(path, 0)
            self._elements[path] = index + 1
            self.lines.setdefault(path, line)
            path = (*path, index)
        self.lines[path] = line
        self._table = path

    def _inside(self, path: Path) -> Path:
        """Return the newest element where `path` is an array of tables, the path itself elsewhere."""
        self.lines.setdefault(path, self._line())
        count = self._elements.get(path)
        return path if count is None else (*path, count - 1)

    def _keys(self, end: str) -> list[str]:
        """Read a dotted key up to, not over, the `end` character."""
        keys: list[str] = []
        while True:
            self._skip(".")
            here = self.text[self.at]
            if here == end:
                return keys
            keys.append(self._string() if here in "\"'" else self._bare())

    def _bare(self) -> str:
        match = _BARE.match(self.text, self.at)
        if match is None:
            raise ValueError("not a key")
        self.at = match.end()
        return match[0]

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = table
        for key in self._keys("="):
            path = (*path, key)
            self.lines.setdefault(path, line)
        self.at += 1
        self._skip()
        self._value(path)

    def _value(self, path: Path) -> None:
        here = self.text[self.at]
        if here in "\"'":
            self._string()
        elif here == "[":
            self._array(path)
        elif here == "{":
            self._inline_table(path)
        else:
            while self.at < len(self.text) and self.text[self.at] not in ",]}#\n":
                self.at += 1

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while self._skip(",") and self.text[self.at] != "]":
            self.lines.setdefault((*path, index), self._line())
            self._value((*path, index))
            index += 1
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while self._skip(",") and self.text[self.at] != "}":
            self._pair(path)
        self.at += 1

    def _string(self) -> str:
        """Read a string of any of the four kinds; the value matters for keys only."""
        quote = self.text[self.at]
        fence = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        start = self.at = self.at + len(fence)
        while not self.text.startswith(fence, self.at):
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
            if self.at >= len(self.text):
                raise IndexError
        raw = self.text[start : self.at]
        self.at += len(fence)
        # Up to two quotes may stand right before the closing fence of a multi-line string.
        while len(fence) > 1 and self.text.startswith(quote, self.at):
            self.at += 1
        return _ESCAPE.sub(_unescape, raw) if quote == '"' else raw


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPES.get(code, code)
