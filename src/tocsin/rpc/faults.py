"""Exceptions of sockets, TLS and HTTP to faults. Details never hold a URL, a header or foreign text unredacted."""

import errno
import os
import ssl
from http import HTTPStatus

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from tocsin.model.observation import Fault, FaultKind
from tocsin.wire.quirks import clean


class BodyTooLarge(Exception):  # noqa: N818 - reads as the condition
    """An answer passed the cap on its size while being read."""


class UnusableTlsFile(Exception):  # noqa: N818 - reads as the condition
    """A configured authority, certificate or key is missing or is not one. The message names the setting."""


class BodyCutOff(Exception):  # noqa: N818 - reads as the condition
    """A connection ended in the middle of an answer."""


_ERRNOS: dict[int, FaultKind] = {
    errno.ECONNREFUSED: FaultKind.REFUSED,
    errno.ENOENT: FaultKind.REFUSED,  # no socket file: nothing listens there
    errno.ETIMEDOUT: FaultKind.TIMEOUT,
    errno.ECONNRESET: FaultKind.RESET,
    errno.ECONNABORTED: FaultKind.RESET,
    errno.EPIPE: FaultKind.RESET,
    errno.EACCES: FaultKind.AUTH,  # the mode of an ipc socket
    errno.ENETUNREACH: FaultKind.UNROUTABLE,
    errno.EHOSTUNREACH: FaultKind.UNROUTABLE,
    errno.EADDRNOTAVAIL: FaultKind.UNROUTABLE,
    errno.EAFNOSUPPORT: FaultKind.UNROUTABLE,
}


_CLOSED_UNDER_IT = frozenset({"Session is closed", "Connection closed."})
"""What aiohttp says, as bare RuntimeErrors, to an exchange whose session was closed meanwhile, as at a reload."""


def fault_of(error: Exception) -> Fault:
    """Return the fault that an exception of an exchange stands for. Every exception has one.

    RuntimeError and ValueError are what mistakes of programs raise, too: but for the few that are known to be said of
    a connection or an address, they are defects and blame no node.
    """
    if type(error) is RuntimeError and str(error) in _CLOSED_UNDER_IT:
        return _fault(FaultKind.RESET, "the connection was closed by us")
    for types, build in _BUILDERS:
        if isinstance(error, types):
            return build(error)
    return defect(error)


def defect(error: Exception) -> Fault:
    """Return the fault for an exception that no node can be the cause of."""
    return _fault(FaultKind.INTERNAL, f"a defect of tocsin, not of the node: {type(error).__name__}: {error}")


def _fault(kind: FaultKind, detail: str, status: int | None = None) -> Fault:
    return Fault(kind=kind, detail=clean(detail), status=status)


def _tls(error: Exception) -> Fault:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    said = getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or type(cause).__name__
    # What OpenSSL calls a wrong version is most often no TLS at all.
    what = "the port speaks no TLS, perhaps plain http or ws" if said == "WRONG_VERSION_NUMBER" else said
    return _fault(FaultKind.TLS, f"TLS failed: {what}")


def _dns(error: Exception) -> Fault:
    reason = getattr(getattr(error, "os_error", None), "strerror", None) or "no address"
    return _fault(FaultKind.DNS, f"the name cannot be resolved: {reason}")


def _proxy_status(error: Exception) -> Fault:
    status = getattr(error, "status", 0)
    kind = FaultKind.AUTH if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else FaultKind.HTTP_STATUS
    return _fault(kind, f"the proxy answered HTTP {status}", status)


def _os(error: Exception) -> Fault:
    inner = getattr(error, "os_error", error)
    number = inner.errno if isinstance(inner, OSError) else None
    if number is None:
        # Several addresses were tried; asyncio joins their errors into one text without a number.
        found = next((kind for code, kind in _ERRNOS.items() if f"[Errno {code}]" in str(inner)), None)
        kind = found or (FaultKind.UNROUTABLE if isinstance(error, aiohttp.ClientConnectorError) else FaultKind.RESET)
        return _fault(kind, f"no connection: {kind}" if found else "no connection")
    where = "no connection to the proxy" if isinstance(error, aiohttp.ClientProxyConnectionError) else "no connection"
    return _fault(_ERRNOS.get(number, FaultKind.UNROUTABLE), f"{where}: {os.strerror(number)}")


def _payload(error: Exception) -> Fault:
    text = str(error)
    if "encoding" in text.lower() and "transfer" not in text.lower():
        return _fault(FaultKind.MALFORMED, "the body cannot be decompressed")
    return _fault(FaultKind.TRUNCATED, "the body ended before its announced length")


_BUILDERS = (
    ((TimeoutError,), lambda _: _fault(FaultKind.TIMEOUT, "no answer in time")),
    ((BodyTooLarge,), lambda error: _fault(FaultKind.TOO_LARGE, str(error))),
    ((UnusableTlsFile,), lambda error: _fault(FaultKind.TLS, str(error))),
    ((BodyCutOff,), lambda error: _fault(FaultKind.TRUNCATED, str(error))),
    ((aiohttp.ClientConnectorDNSError,), _dns),
    ((aiohttp.ClientHttpProxyError,), _proxy_status),
    ((aiohttp.ClientSSLError, ssl.SSLError, ssl.CertificateError), _tls),
    (
        (aiohttp.ServerDisconnectedError,),
        lambda _: _fault(FaultKind.RESET, "the connection was closed without an answer"),
    ),
    ((aiohttp.ClientPayloadError,), _payload),
    (
        (aiohttp.ClientResponseError, HttpProcessingError),
        lambda _: _fault(FaultKind.NOT_JSON, "the answer is not HTTP, or breaks its rules"),
    ),
    ((UnicodeDecodeError,), defect),
    # UnicodeError: the codec for names of hosts (idna) says so of labels that are none.
    ((aiohttp.InvalidURL, UnicodeError), lambda _: _fault(FaultKind.UNROUTABLE, "the configured URL cannot be used")),
    ((OSError,), _os),
    (
        (aiohttp.ClientError, EOFError),
        lambda error: _fault(FaultKind.RESET, f"the exchange failed: {type(error).__name__}"),
    ),
)
