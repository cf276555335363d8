"""Looking at the certificate that an endpoint shows: until when it is valid, and whether it can be trusted."""

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

from tocsin.clock import NS
from tocsin.model.host import CertificateSample
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.faults import UnusableTlsFile, fault_of
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.tls import context_of, unverified_context_of
from tocsin.wire.quirks import clean
from tocsin.wire.x509 import not_after_s

_PORTS: Final = {"https": 443, "wss": 443, "mqtts": 8883}


async def look(endpoint: Endpoint, *, resolver: Resolver) -> CertificateSample:
    """Shake hands and hang up. Never raises for what an endpoint or the network does.

    A certificate that cannot be verified is looked at once more without verification: when it ends is known then too.
    """
    name = str(endpoint.url)
    try:
        async with asyncio.timeout(endpoint.timeout_ns / NS):
            try:
                der, distrust = await _handshake(endpoint, resolver, context_of(endpoint)), ""
            except ssl.SSLCertVerificationError as error:
                distrust = clean(error.verify_message or error.reason or "it cannot be verified")
                der = await _handshake(endpoint, resolver, unverified_context_of(endpoint))
    except (OSError, TimeoutError, EOFError, ValueError, UnusableTlsFile) as error:
        return CertificateSample(endpoint=name, problem=fault_of(error).detail)
    ends = not_after_s(der) if der is not None else None
    if ends is None:
        return CertificateSample(endpoint=name, problem="it shows no certificate that can be read")
    return CertificateSample(endpoint=name, not_after_s=ends, distrust=distrust)


async def _handshake(endpoint: Endpoint, resolver: Resolver, context: ssl.SSLContext) -> bytes | None:
    parts = urlsplit(endpoint.url.reveal())
    host = parts.hostname or ""
    addresses = await resolver.resolve(host, parts.port or _PORTS[parts.scheme])
    failure: Exception = OSError("no address")
    for address in addresses:
        try:
            _, writer = await asyncio.open_connection(
                address["host"], address["port"], ssl=context, server_hostname=host
            )
        except ssl.SSLError:
            raise
        except OSError as error:
            failure = error
            continue
        try:
            shown: ssl.SSLObject = writer.get_extra_info("ssl_object")
            return shown.getpeercert(binary_form=True)
        finally:
            writer.transport.abort()
    raise failure
