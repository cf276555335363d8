"""One request and one reply, as they pass through a virtual node, and where answers come from."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

if TYPE_CHECKING:
    from tocsin.testing.jsonrpc import Json

JSON_TYPE: Final = "application/json"


class Manner(StrEnum):
    """How a reply goes over the wire."""

    PLAIN = "plain"
    HANG = "hang"
    """Nothing is sent, the connection stays open."""
    RESET = "reset"
    """The connection ends with a TCP reset."""
    CLOSE = "close"
    """The connection ends without an answer."""
    DRIP = "drip"
    """`chunk` bytes each `pause_ns`."""
    TRUNCATE = "truncate"
    """Half the announced body, then the connection ends."""
    ENDLESS = "endless"
    """The body, then blanks for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back to the client."""

    body: bytes = b""
    status: int = 200
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: Manner = Manner.PLAIN
    chunk: int = 8
    pause_ns: int = 0


class Upstream(Protocol):
    """Where a virtual node gets its answers: a URL, or a `SimNode` in the same process."""

    @property
    def ws_url(self) -> str | None:
        """Where its websocket is; None where it has none. May hold a secret."""
        ...

    async def ask(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Answer a request body. Raises ConnectionError when there is no answer."""
        ...

    async def close(self) -> None:
        """Let go of connections; asking again opens new ones."""
        ...


class Exchange:
    """One request to one virtual node, as faults see it."""

    def __init__(
        self,
        *,
        body: bytes,
        path: str,
        headers: Mapping[str, str],
        upstream: Upstream,
        dice: random.Random,
        socket: bool = False,
    ) -> None:
        self.body = body
        self.path = path
        self.headers = headers
        self.upstream = upstream
        self.dice = dice
        self.socket = socket
        """Whether it came over a websocket, where there is no HTTP to go wrong."""
        self.memo: dict[str, Any] = {}
        """What faults looked up for this exchange."""
        parsed = _parse(body)
        self.is_batch = isinstance(parsed, list)
        entries = parsed if isinstance(parsed, list) else [parsed]
        self.calls: list[Json] = [entry for entry in entries if isinstance(entry, dict) and "method" in entry]
        self.is_rpc = bool(self.calls) and len(self.calls) == len(entries)
        """Whether the body is JSON-RPC at all; faults on content leave other bodies alone."""

    async def ask(self, *calls: tuple[str, list[Any]]) -> list[Any]:
        """Ask the upstream on the fault's own behalf; None for an error. Raises ConnectionError without an answer."""
        requests = [
            {"jsonrpc": "2.0", "id": at, "method": name, "params": params} for at, (name, params) in enumerate(calls)
        ]
        # One by one: an upstream that refuses batches must still be of use.
        results = []
        for request in requests:
            reply = await self.upstream.ask(orjson.dumps(request), self.headers)
            parsed = _parse(reply.body)
            results.append(parsed.get("result") if isinstance(parsed, dict) else None)
        return results


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
