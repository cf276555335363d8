"""Secrets that can be found again: each is unique, and is looked for in every form in which it could have leaked."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tocsin.store import Entry, SnapshotAt, read_recording

CANARIES: Final[Mapping[str, str]] = {
    "user": "canaryuser7f3a",
    "password": "canarypassword91c2",
    "path": "canarypath4be8",
    "query": "canaryquery05d1",
    "header": "canaryheader6aa9",
    "bearer": "canarybearer33f0",
    "websocket": "canarywebsocket8d27",
    "broker": "canarybroker1e64",
    "odd": "canaryoddcc18",
}


def forms_of(canary: str) -> frozenset[bytes]:
    """Return every way in which it could be written: plain, percent, hex, and base64 at each alignment."""
    plain = canary.encode()
    percent = "".join(f"%{byte:02x}" for byte in plain)
    forms = {
        plain,
        plain.upper(),
        quote(canary).encode(),
        percent.encode(),
        percent.upper().encode(),
        plain.hex().encode(),
    }
    for shift in range(3):
        # What stands before it shifts the bits; the characters at both ends mix with the neighbours'.
        encoded = base64.b64encode(b"\0" * shift + plain).rstrip(b"=")
        forms.add(encoded[4 if shift else 0 : -2])
    return frozenset(forms)


_FORMS: Final = {name: forms_of(canary) for name, canary in CANARIES.items()}


def found_in(data: bytes) -> set[str]:
    """Return the names of the canaries that are in there in any form."""
    return {name for name, forms in _FORMS.items() if any(form in data for form in forms)}


def leaks(places: Mapping[str, Iterable[bytes]]) -> dict[str, set[str]]:
    """Return what was found where; empty when nothing leaked."""
    found = {place: set[str]().union(*(found_in(piece) for piece in pieces)) for place, pieces in places.items()}
    return {place: names for place, names in found.items() if names}


def files_in(folder: Path) -> Iterator[bytes]:
    """Yield every file below a folder as it lies on the disk."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.read_bytes()


def unpacked(recording: Path) -> Iterator[bytes]:
    """Yield all that is in a recording or sealed segment, decompressed."""
    for item in read_recording(recording).items():
        if isinstance(item, SnapshotAt):
            yield item.data
        if isinstance(item, Entry):
            yield item.data
            yield from item.bodies.values()
