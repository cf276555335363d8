"""What a row of the outbox said when it was committed, in 32 bits: what a disk has changed since is not published."""

from collections.abc import Sequence
from zlib import crc32

DAMAGED = "damaged on disk"
"""Why a row was dropped whose bytes are no longer those that were written."""


def checksum(said: Sequence[object], payload: bytes) -> int:
    """Return the CRC-32 over the columns that a row is published with, in their order, and its payload."""
    head = "\0".join("" if value is None else str(value) for value in said)
    return crc32(payload, crc32(head.encode(errors="surrogatepass")))
