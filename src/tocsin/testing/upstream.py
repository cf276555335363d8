"""Where virtual nodes get their answers: a node behind a URL, or a simulated node in the same process."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from tocsin.errors import UsageError
from tocsin.secret import SecretUrl
from tocsin.testing.exchange import Reply
from tocsin.testing.simnode import SimNode

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
_NOT_FORWARDED: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Hop-by-hop headers (RFC 9110 section 7.6.1), and those that this side sets itself."""


def forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that go on to the upstream."""
    return {
        name: value
        for name, value in headers.items()
        if name.lower() not in _NOT_FORWARDED and not name.lower().startswith("sec-websocket")
    }


class HttpUpstream:
    """A node behind a URL. Its websocket is at the same place unless told otherwise. Prints as scheme and host."""

    def __init__(self, url: str, *, ws_url: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{SecretUrl(url)}: a node's URL begins with http:// or https:// and has a host")
        self._url = SecretUrl(url)
        self._ws_url = SecretUrl(ws_url or urlunsplit(parts._replace(scheme=parts.scheme.replace("http", "ws", 1))))
        self._session: aiohttp.ClientSession | None = None

    def __str__(self) -> str:
        return str(self._url)

    @property
    def ws_url(self) -> str | None:
        return self._ws_url.reveal()

    async def ask(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar())
        try:
            async with self._session.post(
                self._url.reveal(),
                data=body,
                headers={**forwarded(headers), "Content-Type": "application/json"},
                allow_redirects=False,
            ) as response:
                return Reply(body=await response.read(), status=response.status, content_type=response.content_type)
        except (aiohttp.ClientError, OSError) as error:
            # Without the cause: its text may hold the URL.
            raise ConnectionError(f"the upstream {self} does not answer ({type(error).__name__})") from None

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


class NodeUpstream:
    """A simulated node in the same process: no socket, hence no websocket either."""

    def __init__(self, node: SimNode) -> None:
        self._node = node

    def __str__(self) -> str:
        return f"sim:{self._node.name}"

    @property
    def ws_url(self) -> str | None:
        return None

    async def ask(self, body: bytes, headers: Mapping[str, str]) -> Reply:  # noqa: ARG002 - nobody to forward them to
        answer = self._node.answer(body)
        return Reply(body=answer, status=200 if answer else 204)

    async def close(self) -> None:
        """There is nothing to let go of."""
