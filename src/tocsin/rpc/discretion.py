"""A node may repeat in a result what it was asked with: its URL, a header. Results are kept as they came, secrets not.

Texts of errors are cleaned where they are read (`tocsin.wire.quirks`); this is about results, which go into the journal
and from there into recordings that people send to each other.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson

from tocsin.model.observation import Part
from tocsin.secret import Secret

_DATA = re.compile(r"0x[0-9a-fA-F]*")
"""What chains are made of. A short key may stand in a hash by chance, and must not break it."""


class Discretion:
    """Knows the secrets of one node: no other node is sent them."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        forms = {form for secret in secrets for form in secret.forms()}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        # A text that has a longer form has the shorter one that it contains: the short ones are enough to look for.
        needles = sorted({orjson.dumps(form)[1:-1] for form in self._forms}, key=len)
        self._needles = [one for at, one in enumerate(needles) if not any(short in one for short in needles[:at])]

    def of(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """Return the parts with `***` in the place of every secret; the same ones where there is none."""
        if not any(self._speaks(part.result) for part in parts):
            return parts
        return tuple(self._hushed(part) if self._speaks(part.result) else part for part in parts)

    def _speaks(self, result: bytes | None) -> bool:
        if result is None:
            return False
        # A plain loop: every answer comes by here, and most are long.
        for needle in self._needles:  # noqa: SIM110
            if needle in result:
                return True
        return False

    def _hushed(self, part: Part) -> Part:
        return replace(part, result=orjson.dumps(self._without(orjson.loads(part.result or b"null"))))

    def _without(self, value: Any) -> Any:
        match value:
            case str():
                return value if _DATA.fullmatch(value) else self._blanked(value)
            case list():
                return [self._without(item) for item in value]
            case dict():
                # Names of fields are words, and so may be parts of a URL's path.
                return {
                    key if key.isalpha() else self._blanked(key): self._without(item) for key, item in value.items()
                }
            case _:
                return value

    def _blanked(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, "***")
        return text
