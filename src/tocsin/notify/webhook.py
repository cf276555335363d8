"""A webhook: the event as it is, signed.

The signature is HMAC-SHA-256 over `<timestamp>.<body>`, in hex, behind `v1=`. Whoever checks it takes the bytes as they
came, refuses a timestamp that is more than five minutes off, and remembers ids for as long: a recorded request can
then not be played again.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from tocsin.clock import NS
from tocsin.notify.http import Way, post
from tocsin.notify.letter import Letter
from tocsin.notify.outcome import Outcome
from tocsin.rpc.resolver import Resolver
from tocsin.secret import Secret
from tocsin.wire.envelope import CONTENT_TYPE

ID: Final = "Tocsin-Id"
TIMESTAMP: Final = "Tocsin-Timestamp"
SIGNATURE: Final = "Tocsin-Signature"
REPLAY_WINDOW_S: Final = 300
"""Seconds that a timestamp may be off, for those who check it."""


def signature(key: Secret, timestamp: str, body: bytes) -> str:
    """Return the value of the signature's header."""
    text = timestamp.encode() + b"." + body
    return "v1=" + hmac.new(key.reveal().encode(), text, hashlib.sha256).hexdigest()


class Webhook:
    """Sends letters to one receiver. Each try has a timestamp of its own, and the id that it always had."""

    def __init__(self, way: Way, key: Secret, resolver: Resolver, wall_ns: Callable[[], int]) -> None:
        self._way = way
        self._key = key
        self._resolver = resolver
        self._wall_ns = wall_ns

    async def send(self, letter: Letter) -> Outcome:
        """Send a letter once."""
        timestamp = str(self._wall_ns() // NS)
        headers = {
            "Content-Type": CONTENT_TYPE,
            ID: letter.id,
            TIMESTAMP: timestamp,
            SIGNATURE: signature(self._key, timestamp, letter.body),
        }
        return await post(self._way, self._resolver, letter.body, headers, self._wall_ns)
