"""The socket to the broker: looked up, connected and encrypted within one deadline, cancellable at any time.

paho connects in a thread, which a cancelled caller cannot stop: it may still take over the session of the connection
that came after it. Here nothing outlives its caller except a name look-up, whose result is then dropped.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from tocsin.mqtt.reasons import ConnectionRefused
from tocsin.mqtt.settings import BrokerSettings

_Address = tuple[socket.AddressFamily, Any]


async def dial(settings: BrokerSettings) -> socket.socket:
    """Return a connected, non-blocking socket, encrypted where the settings say so. Raises ConnectionRefused."""
    context = await asyncio.to_thread(_context, settings) if settings.tls else None
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            sock = await _connect(settings)
            return sock if context is None else await _encrypt(settings, context, sock)
    except TimeoutError:
        raise ConnectionRefused(
            settings.url,
            f"no answer within {settings.connect_timeout_s:g} s",
            "check address, port and firewall",
        ) from None


async def _connect(settings: BrokerSettings) -> socket.socket:
    try:
        addresses = await _look_up(settings.host, settings.port)
    except OSError as error:
        hint = "check mqtt.url and the resolver"
        raise ConnectionRefused(settings.url, f"unknown host: {error.strerror}", hint) from None
    failure: OSError | None = None
    for family, address in addresses:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            await _open(sock, address, settings.connect_timeout_s / len(addresses))
        except OSError as error:
            failure = error
        else:
            return sock
    raise ConnectionRefused(settings.url, _text(failure), "is the broker running there?")


async def _open(sock: socket.socket, address: Any, timeout_s: float) -> None:
    try:
        sock.setblocking(False)  # noqa: FBT003 - the name of the standard library
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise


async def _look_up(host: str, port: int) -> list[_Address]:
    """Ask the host's resolver in a thread of its own: a hung one must not hold up the end of the program."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[_Address]] = loop.create_future()

    def settle(found: list[_Address], failure: OSError | None) -> None:
        if answer.done():
            return
        if failure is None:
            answer.set_result(found)
        else:
            answer.set_exception(failure)

    def ask() -> None:
        found: list[_Address] = []
        failure: OSError | None = None
        try:
            found += [(row[0], row[4]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except OSError as error:
            failure = error
        except UnicodeError as error:
            failure = OSError(0, str(error))
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, found, failure)

    threading.Thread(target=ask, name="broker look-up", daemon=True).start()
    return await answer


def _context(settings: BrokerSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.cert is not None:
            # Without a password OpenSSL would ask the terminal for the one of an encrypted key, and wait.
            context.load_cert_chain(settings.cert, settings.key, password="")
    except OSError as error:
        files = ", ".join(str(path) for path in (settings.ca, settings.cert, settings.key) if path)
        raise ConnectionRefused(settings.url, f"cannot use {files}: {_text(error)}", "check the files") from None
    return context


async def _encrypt(settings: BrokerSettings, context: ssl.SSLContext, sock: socket.socket) -> ssl.SSLSocket:
    try:
        secure = context.wrap_socket(sock, server_hostname=settings.host, do_handshake_on_connect=False)
    except (OSError, ValueError) as error:
        sock.close()
        raise ConnectionRefused(settings.url, f"TLS: {error}", "check the host in mqtt.url") from None
    try:
        await _handshake(secure)
    except BaseException as error:
        secure.close()
        if isinstance(error, OSError):
            raise _tls_failure(settings, error) from None
        raise
    return secure


def _tls_failure(settings: BrokerSettings, error: OSError) -> ConnectionRefused:
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "check mqtt.ca, and that the certificate names this host"
        return ConnectionRefused(settings.url, f"TLS: {error.verify_message}", hint)
    hint = "does this port speak TLS, and does the broker want mqtt.cert?"
    return ConnectionRefused(settings.url, f"TLS: {_text(error)}", hint)


async def _handshake(sock: ssl.SSLSocket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            await _ready(sock, loop.add_reader, loop.remove_reader)
        except ssl.SSLWantWriteError:
            await _ready(sock, loop.add_writer, loop.remove_writer)
        else:
            return


async def _ready(sock: socket.socket, add: Callable[..., None], remove: Callable[[socket.socket], bool]) -> None:
    ready = asyncio.Event()
    add(sock, ready.set)
    try:
        await ready.wait()
    finally:
        remove(sock)


def _text(error: OSError | None) -> str:
    if error is None:
        return "no address"
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    if error.errno:  # asyncio words it as "connect call failed"
        return os.strerror(error.errno).lower()
    return "no answer" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
