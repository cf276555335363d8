"""One way to put bytes to a node and get bytes back: HTTP over aiohttp, or an IPC socket (`tocsin.rpc.ipc`)."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

import aiohttp
from yarl import URL

from tocsin import __version__
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.faults import BodyTooLarge
from tocsin.rpc.provisional import FinalResponse
from tocsin.rpc.resolver import Resolver, literal_address
from tocsin.rpc.tls import context_of
from tocsin.secret import SecretUrl

KEEP_ALIVE_S = 75.0
"""Longer than any sensible poll interval; a connection that the node closed meanwhile is noticed before use."""


@dataclass(slots=True)
class Progress:
    """How far an exchange came, for the detail of a timeout."""

    status: int | None = None
    received: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `status` is 200 where the transport has none."""

    status: int
    body: bytes
    retry_after: str | None = None


class Channel(Protocol):
    """A way to one node."""

    async def post(self, body: bytes, progress: Progress) -> Reply:
        """Send a request and read the whole answer. Raises what `tocsin.rpc.faults.fault_of` understands."""
        ...

    def hint(self) -> str | None:
        """Say what is known to be wrong before any connection exists, such as a hung name lookup."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class HttpChannel:
    """HTTP/1.1 with keep-alive: an aiohttp session of its own, so that a sick node takes nobody's sockets."""

    def __init__(self, endpoint: Endpoint, resolver: Resolver) -> None:
        self._endpoint = endpoint
        self._resolver = resolver
        self._url, credentials = bare_url(endpoint.url)
        self._headers = _headers(endpoint, self._url, credentials)
        host = self._url.host or ""
        self._name: Final = None if endpoint.proxy or literal_address(host) else host
        self._proxy, self._proxy_headers = proxy_of(endpoint)
        if self._proxy is not None and self._url.scheme == "http":
            # Without a tunnel the proxy reads the request's own headers.
            self._headers.update(self._proxy_headers)
        self._through: dict[str, Any] = (
            {} if self._proxy is None else {"proxy": self._proxy, "proxy_headers": self._proxy_headers}
        )
        self._client: aiohttp.ClientSession | None = None
        self._generation = 0
        self._active = 0

    async def post(self, body: bytes, progress: Progress) -> Reply:
        return await self._exchange("POST", self._url, progress, self._endpoint.max_body, data=_payload(body))

    async def get(self, path: str, progress: Progress, cap: int) -> Reply:
        """Ask for a path below the endpoint's own (or that itself), its query kept: a key may stand in either.

        At most `cap` bytes.
        """
        below = (
            self._url
            if not path
            else self._url.with_path(self._url.raw_path.rstrip("/") + path, encoded=True, keep_query=True)
        )
        return await self._exchange("GET", below, progress, cap)

    async def _exchange(self, method: str, url: URL, progress: Progress, cap: int, **body: Any) -> Reply:
        if self._name is not None:
            await self._follow_moves(self._name)
        client = self._client or self._open()
        self._active += 1
        try:
            async with client.request(method, url, allow_redirects=False, **body, **self._through) as response:
                progress.status = response.status
                text = await self._read(response, progress, cap)
                return Reply(response.status, text, response.headers.get("Retry-After"))
        except aiohttp.ClientConnectorError as error:
            if self._name is not None:
                self._resolver.expire(self._name)
            if isinstance(error, aiohttp.ClientSSLError) and self._active == 1:
                await self.close()  # certificates may have been renewed: read them again next time
            raise
        finally:
            self._active -= 1

    async def _read(self, response: aiohttp.ClientResponse, progress: Progress, cap: int) -> bytes:
        """Read a body under the cap; the parser decompresses 256 kB at a time, so a bomb goes off in our hands."""
        content = response.content
        first = await content.readany()
        progress.received = len(first)
        if content.at_eof() and len(first) <= cap:
            return first
        chunks = [first]
        while progress.received <= cap:
            chunk = await content.readany()
            if not chunk:
                return b"".join(chunks)
            progress.received += len(chunk)
            chunks.append(chunk)
        response.close()
        raise BodyTooLarge(f"the answer is longer than {cap} bytes")

    async def _follow_moves(self, name: str) -> None:
        generation = self._resolver.refresh(name)
        if generation != self._generation and self._active == 0:
            self._generation = generation
            await self.close()

    def hint(self) -> str | None:
        if self._name is not None and self._resolver.hung(self._name):
            return "the lookup of the node's name does not come back"
        return None

    def _open(self) -> aiohttp.ClientSession:
        secure = self._url.scheme == "https"
        connector = aiohttp.TCPConnector(
            limit=self._endpoint.concurrency,
            keepalive_timeout=KEEP_ALIVE_S,
            resolver=self._resolver,
            use_dns_cache=False,
            ssl=context_of(self._endpoint) if secure else True,
        )
        self._client = aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # one deadline, and it is the session's
            response_class=FinalResponse,
            auto_decompress=True,
            raise_for_status=False,
            trust_env=False,
        )
        return self._client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()


@lru_cache(maxsize=512)
def _payload(body: bytes) -> aiohttp.BytesPayload:
    """Wrap a request once: the same few bodies are sent for ever, and aiohttp lets bytes be used again."""
    return aiohttp.BytesPayload(body, content_type="application/json")


def bare_url(url: SecretUrl) -> tuple[URL, str | None]:
    """Split a URL into itself without user and password, and the Authorization value that these make."""
    parsed = URL(url.reveal())
    if parsed.raw_user is None and parsed.raw_password is None:
        return parsed, None
    return parsed.with_user(None), aiohttp.encode_basic_auth(parsed.user or "", parsed.password or "")


def proxy_of(endpoint: Endpoint) -> tuple[URL | None, dict[str, str]]:
    """Return the proxy and the headers meant for it."""
    if endpoint.proxy is None:
        return None, {}
    proxy, credentials = bare_url(endpoint.proxy)
    return proxy, {"Proxy-Authorization": credentials} if credentials else {}


def _headers(endpoint: Endpoint, url: URL, credentials: str | None) -> dict[str, str]:
    headers = {
        "User-Agent": f"tocsin/{__version__}",
        "Accept": "application/json",
        # Nodes of one's own are near: compressing costs both sides more than the bytes. Providers are far.
        "Accept-Encoding": "gzip, deflate" if url.scheme == "https" else "identity",
    }
    if credentials:
        headers["Authorization"] = credentials
    return headers | {name: value.reveal() for name, value in endpoint.headers}
