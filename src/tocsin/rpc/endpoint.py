"""How one node is reached."""

from dataclasses import dataclass
from typing import Final

from tocsin.secret import Secret, SecretUrl

CONCURRENCY: Final = 4
"""Enough for a poll and the questions beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a node is and how to talk to it. Everything that may hold a key is a `Secret`."""

    chain: str
    node: str
    url: SecretUrl
    """http, https or ipc (`ipc:///path`)."""
    ws: SecretUrl | None = None
    """ws or wss, for newHeads."""
    headers: tuple[tuple[str, Secret], ...] = ()
    ca: str | None = None
    """Path of a PEM file with the authorities to trust instead of the system's."""
    cert: str | None = None
    """Path of our client certificate, PEM."""
    key: str | None = None
    """Path of its key, PEM, unencrypted; None when `cert` holds both."""
    proxy: SecretUrl | None = None
    """An HTTP proxy; it resolves the node's name, we do not."""
    timeout_ns: int = 5_000_000_000
    """The longest that one ask may take, from the first connect to the last byte."""
    concurrency: int = CONCURRENCY
    """Connections to this node at a time."""
    budget_per_day: int | None = None
    """Calls per day; a batch of three is three calls, as providers count."""
    prices: tuple[tuple[str, int], ...] = ()
    """What a call of a JSON-RPC method costs in the provider's units, sorted; one unit where it is not named."""
    max_body: int = 8 * 1024 * 1024
    """Bytes of one answer, decompressed."""
