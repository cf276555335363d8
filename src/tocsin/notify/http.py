"""One POST, and what its answer means. Nothing is followed: what is signed, or holds a key, goes where it was sent."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final

import aiohttp

from tocsin import __version__
from tocsin.clock import NS
from tocsin.notify.outcome import Later, Outcome, Refused, Sent
from tocsin.rpc.channel import bare_url
from tocsin.rpc.faults import UnusableTlsFile, fault_of
from tocsin.rpc.pacing import retry_after_ns
from tocsin.rpc.provisional import FinalResponse
from tocsin.rpc.resolver import Resolver
from tocsin.secret import SecretUrl
from tocsin.wire.quirks import clean

_LARGEST: Final = 4096
"""Bytes of an answer that are looked at: a receiver has nothing to tell that needs more."""

_NEVER: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
)
"""What a receiver says of a message that it will never take. What it says of the sender (no key, no such path) may be
mended at the receiver, or by a reload, while the message waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where it goes, and how long one try may take, from the lookup of the name to the end of the answer."""

    url: SecretUrl
    timeout_ns: int
    ca: str | None = None


async def post(
    way: Way, resolver: Resolver, body: bytes, headers: Mapping[str, str], wall_ns: Callable[[], int]
) -> Outcome:
    """Send a body once. Never raises, but for cancellation."""
    try:
        async with asyncio.timeout(way.timeout_ns / NS):
            return await _exchange(way, resolver, body, headers, wall_ns)
    except Exception as error:  # noqa: BLE001 - whatever it is: the message waits for the next try
        return Later(why=fault_of(error).detail)


async def _exchange(
    way: Way, resolver: Resolver, body: bytes, headers: Mapping[str, str], wall_ns: Callable[[], int]
) -> Outcome:
    url, credentials = bare_url(way.url)
    secure = await asyncio.to_thread(trusting, way.ca) if url.scheme == "https" else True
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, ssl=secure, force_close=True)
    own = {"User-Agent": f"tocsin/{__version__}", "Accept-Encoding": "identity"}
    own |= {"Authorization": credentials} if credentials else {}
    async with (
        aiohttp.ClientSession(
            connector=connector,
            connector_owner=True,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            response_class=FinalResponse,
            trust_env=False,
        ) as client,
        client.post(url, data=body, headers={**own, **headers}, allow_redirects=False) as response,
    ):
        said = await response.content.read(_LARGEST)
        return meaning(response.status, said, response.headers.get("Retry-After"), wall_ns())


@lru_cache(maxsize=16)
def trusting(ca: str | None) -> ssl.SSLContext:
    """Return what certificates are checked with. Raises UnusableTlsFile."""
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise UnusableTlsFile(f"ca cannot be used ({ca}): {error.strerror or 'not a PEM file'}") from error


def meaning(status: int, said: bytes, retry_after: str | None, wall_ns: int) -> Outcome:
    """Return what an answer means. `retry_after` is the header of that name."""
    text = clean(said.decode("utf-8", "replace")).strip()[:200]
    what = f"HTTP {status}" + (f": {text}" if text else "")
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Sent(said=what)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Later(why=f"HTTP {status}: it answers elsewhere, and a message is not sent on; write the new url")
    if status in _NEVER:
        return Refused(why=what)
    return Later(why=what, wait_ns=retry_after_ns(retry_after, wall_ns))
