"""Where one JSON value ends in a stream. Pure.

IPC sockets carry bare JSON: geth ends an answer with a newline, reth and others put values back to back. So brackets
are counted, strings skipped, and nothing else is looked at: whether it is JSON, the codec says.
"""

import re

_OUTSIDE = re.compile(rb'["\[\]{}]')
_IN_STRING = re.compile(rb'["\\]')
_OPENING = b"[{"


class Framer:
    """Finds the end of the first bracketed value in a stream of chunks; linear in its length."""

    __slots__ = ("_depth", "_in_string", "_skip", "_started")

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._started = False
        self._skip = False

    def end(self, chunk: bytes) -> int | None:
        """Return the index after the value's last byte in this chunk, or None when it goes on.

        A stream that starts with anything but a bracket ends at its first newline, to be refused as no JSON.
        """
        if not self._started:
            lead = chunk.lstrip()
            if not lead:
                return None
            if lead[:1] not in (b"[", b"{"):
                line = chunk.find(b"\n", len(chunk) - len(lead))
                return None if line < 0 else line + 1
            self._started = True
        at = 1 if self._skip and chunk else 0
        self._skip = False
        while True:
            match = (_IN_STRING if self._in_string else _OUTSIDE).search(chunk, at)
            if match is None:
                return None
            at = match.end()
            if self._take(match[0]):
                return at
            if match[0] == b"\\":
                self._skip = at >= len(chunk)
                at += 1

    def _take(self, token: bytes) -> bool:
        """Follow one token; True when it closes the value."""
        if token == b'"':
            self._in_string = not self._in_string
        elif token != b"\\":
            self._depth += 1 if token in _OPENING else -1
        return self._depth <= 0 and not self._in_string
