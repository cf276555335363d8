"""TLS contexts, shared: loading the system's authorities takes 20 ms, 500 nodes would take ten seconds."""

import ssl
from functools import lru_cache
from pathlib import Path

from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.faults import UnusableTlsFile


def context_of(endpoint: Endpoint) -> ssl.SSLContext:
    """Return the context for an endpoint. Files are read again when they changed: certificates are renewed in place.

    Raises UnusableTlsFile when one is missing or is not what it should be.
    """
    try:
        return _context(*(_stamped(path) for path in (endpoint.ca, endpoint.cert, endpoint.key)))
    except OSError as error:  # ssl.SSLError is one
        why = (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or "not a PEM file of that kind"
        names = ", ".join(path for path in (endpoint.ca, endpoint.cert, endpoint.key) if path)
        raise UnusableTlsFile(f"ca, cert or key cannot be used ({names}): {why}") from error


_File = tuple[str, int] | None


def _stamped(path: str | None) -> _File:
    return None if path is None else (path, Path(path).stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _context(ca: _File, cert: _File, key: _File) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca[0] if ca else None)
    if cert:
        # An encrypted key would ask for its passphrase on the terminal; an empty one makes it an error instead.
        context.load_cert_chain(cert[0], keyfile=key[0] if key else None, password="")
    return context


def unverified_context_of(endpoint: Endpoint) -> ssl.SSLContext:
    """Return a context that takes any certificate: to look at one that was refused, never to talk to a node.

    Raises UnusableTlsFile like `context_of`.
    """
    context_of(endpoint)  # names the file that is wrong
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if endpoint.cert:
        context.load_cert_chain(endpoint.cert, keyfile=endpoint.key, password="")
    return context
