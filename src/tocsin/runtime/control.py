"""The control socket: how a person at a shell asks the running daemon.

A UNIX stream socket, mode 0660, in the runtime directory. One request per line, one answer per line, both JSON:

    {"v": 1, "verb": "ack", "fingerprint": "4f1c...", "why": "known"}
    {"v": 1, "ok": true, "result": {...}}
    {"v": 1, "ok": false, "error": {"code": "refused", "message": "..."}}

A streaming verb answers with any number of `result` lines and then `{"v": 1, "ok": true, "end": true}`. Error codes:
`malformed, version, unknown-verb, denied, refused, timeout, busy, internal`.

Who may ask is decided by the kernel's word on the peer (SO_PEERCRED, SO_PEERGROUPS), on top of the file mode: root, the
daemon's own user, or a member of the socket's group. Everything about a peer is bounded: requests, bytes, seconds.
"""

import asyncio
import fcntl
import logging
import os
import pwd
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from tocsin.errors import ControlError, TocsinError
from tocsin.secret import redact

log = logging.getLogger(__name__)

SOCKET_NAME: Final = "control.sock"
LOCK_NAME: Final = "control.lock"
MODE: Final = 0o660
FOLDER_MODE: Final = 0o755
"""As RuntimeDirectoryMode= of the unit: the status file in it is for everybody, the socket says itself who may ask."""
PROTOCOL: Final = 1

MAX_REQUEST: Final = 64 * 1024
MAX_PEERS: Final = 32
MAX_STREAMS: Final = 16
"""Of these: tails stay for days, and must not keep `ack` and `reload` out."""
REQUEST_S: Final = 30.0
"""How long a connected peer may stay silent before or between requests."""
HANDLER_S: Final = 30.0
PARTING_S: Final = 1.0
WRITE_S: Final = 10.0
"""How long a peer may leave its answers unread."""

_LONGEST_PATH: Final = 107
"""Bytes of `sun_path` without its end: unix(7)."""

_SO_PEERGROUPS: Final = 59  # include/uapi/asm-generic/socket.h; the socket module has no name for it

Request = Mapping[str, Any]
Reply = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who asks, by the kernel's word. `groups` has the supplementary ones too."""

    pid: int
    uid: int
    gid: int
    groups: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        """The login name, or the number where there is none; for audit and logs."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid {self.uid}"


Handler = Callable[[Request, Peer], Awaitable[Reply]]
Stream = Callable[[Request, Peer], AsyncGenerator[Reply, None]]


def peer_of(connection: socket.socket) -> Peer:
    """Return the process at the other end, as it was when it connected."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("3i", raw)
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * 1024)
    except OSError:  # more groups than fit, or a kernel before 4.13: the primary group has to do
        raw = b""
    groups = frozenset(struct.unpack(f"{len(raw) // 4}I", raw))
    return Peer(pid=pid, uid=uid, gid=gid, groups=groups)


def may_ask(peer: Peer, *, owner: int, group: int) -> bool:
    """Return whether a peer is root, the daemon's own user, or in the socket's group."""
    return peer.uid in (0, owner) or group in {peer.gid, *peer.groups}


class _Gone(Exception):  # noqa: N818 - reads as the condition
    """The peer hung up, fell silent or does not read."""


class ControlServer:
    """Serves the verbs of `handlers` (one answer) and `streams` (many) in `runtime_dir`.

    `claim` first: it makes sure that no other daemon lives there, or raises ControlError. `serve` runs until it is
    cancelled and may be started again. A handler says no by raising a TocsinError: its message goes to the peer.
    """

    def __init__(
        self,
        runtime_dir: Path,
        handlers: Mapping[str, Handler],
        streams: Mapping[str, Stream] | None = None,
        *,
        handler_s: float = HANDLER_S,
        request_s: float = REQUEST_S,
    ) -> None:
        self.path: Final = runtime_dir / SOCKET_NAME
        self._lock_path: Final = runtime_dir / LOCK_NAME
        self._handlers: Final = dict(handlers)
        self._streams: Final = dict(streams or {})
        self._handler_s: Final = handler_s
        self._request_s: Final = request_s
        self._lock: int | None = None
        self._peers = 0
        self._open_streams = 0
        self._group = -1

    def claim(self) -> None:
        """Take the runtime directory for this process; make it where a service manager has not.

        Raises ControlError with who has it or what is wrong.
        """
        if len(os.fsencode(self.path)) > _LONGEST_PATH:
            said = f"longer than the {_LONGEST_PATH} bytes that the name of a socket may have"
            raise ControlError(f"{self.path}: {said}; set a shorter [watchdog] runtime_dir")
        try:
            _make(self.path.parent)
            lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            said = (
                f"cannot be used: {error.strerror}; set [watchdog] runtime_dir to a directory that this user may write"
            )
            raise ControlError(f"{self.path.parent}: {said}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = _answers(self.path)
        except BlockingIOError:
            taken = True
        if taken:
            os.close(lock)
            raise ControlError(f"another daemon runs with {self.path}; stop it, or set another [watchdog] runtime_dir")
        self._lock = lock

    def release(self) -> None:
        """Give the runtime directory back: the socket is removed, the lock let go."""
        if self._lock is not None:
            with suppress(OSError):  # what lies there is no socket of ours
                self.path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    async def serve(self) -> None:
        """Answer until cancelled. Raises ControlError when the directory is not claimed or cannot be used."""
        listener = self._bind()
        async with asyncio.TaskGroup() as group:
            server = await asyncio.start_unix_server(partial(self._accept, group), sock=listener, limit=MAX_REQUEST)
            try:
                await asyncio.Event().wait()
            finally:
                server.close()
                self.path.unlink(missing_ok=True)

    def _bind(self) -> socket.socket:
        if self._lock is None:
            raise ControlError(f"{self.path} is not claimed")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self.path.unlink(missing_ok=True)
            listener.bind(str(self.path))
            # Nobody can connect before listen(), so the mode is right before it matters.
            self.path.chmod(MODE)
            self._group = self.path.stat().st_gid
        except OSError as error:
            listener.close()
            raise ControlError(f"{self.path}: {error.strerror or error}; see [watchdog] runtime_dir") from error
        listener.settimeout(0)
        return listener

    def _accept(self, group: asyncio.TaskGroup, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        group.create_task(self._attend(reader, writer))

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._peers += 1
        try:
            peer = peer_of(writer.get_extra_info("socket"))
            if self._peers > MAX_PEERS:
                await _send(writer, _error("busy", "too many connections; try again"))
            elif not may_ask(peer, owner=os.geteuid(), group=self._group):
                log.warning("control: %s (pid %s) is not allowed to ask", peer.name, peer.pid)
                await _send(writer, _error("denied", f"{peer.name} is neither root nor in the socket's group"))
            else:
                await self._converse(peer, reader, writer)
        except (_Gone, OSError):
            pass
        except Exception:
            log.exception("control: a connection failed")
        finally:
            self._peers -= 1
            await _part(reader, writer)

    async def _converse(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            line = await self._line(reader)
            request = _parse(line)
            if isinstance(request, str):
                await _send(writer, _error("malformed", request))
                return
            await self._answer(request, peer, reader, writer)
            # Requests that came together are answered without ever waiting: polls and alerts must have their turn.
            await asyncio.sleep(0)

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(self._request_s):
                line = await reader.readline()
        except TimeoutError as error:
            raise _Gone from error
        except ValueError:  # the line is longer than the reader's limit
            return b""
        if not line:
            raise _Gone
        return line

    async def _answer(
        self, request: Request, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        verb = request.get("verb")
        if request.get("v") != PROTOCOL:
            await _send(writer, _error("version", f"this daemon speaks v {PROTOCOL}; use a tocsin of its version"))
        elif isinstance(verb, str) and verb in self._streams:
            log.info("control: %s from %s (pid %s)", verb, peer.name, peer.pid)
            if self._open_streams >= MAX_STREAMS:
                await _send(writer, _error("busy", f"{MAX_STREAMS} others follow {verb} already; end one of them"))
                return
            await self._stream(self._streams[verb](request, peer), verb, reader, writer)
        elif isinstance(verb, str) and verb in self._handlers:
            log.log(
                logging.DEBUG if verb == "status" else logging.INFO,
                "control: %s from %s (pid %s)",
                verb,
                peer.name,
                peer.pid,
            )
            await _send(writer, await self._handle(self._handlers[verb], request, peer))
        else:
            verbs = sorted({*self._handlers, *self._streams})
            await _send(writer, _error("unknown-verb", f"the verbs are {', '.join(verbs)}", verbs=verbs))

    async def _handle(self, handler: Handler, request: Request, peer: Peer) -> Reply:
        try:
            async with asyncio.timeout(self._handler_s):
                return {"v": PROTOCOL, "ok": True, "result": await handler(request, peer)}
        except Exception as error:  # noqa: BLE001 - a request never harms the daemon
            return _failure(error)

    async def _stream(
        self,
        items: AsyncGenerator[Reply, None],
        verb: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Send all items; a peer that hangs up meanwhile ends it, also while there is nothing to send."""
        gone = False
        self._open_streams += 1
        try:
            async with asyncio.TaskGroup() as both:
                watch = both.create_task(_until_hangup(reader), name=f"control {verb} hang-up")
                try:
                    last = await _pump(items, writer)
                finally:
                    watch.cancel()
        except* (_Gone, OSError):
            gone = True
        finally:
            self._open_streams -= 1
        if gone:
            raise _Gone
        await _send(writer, last)


async def _pump(items: AsyncGenerator[Reply, None], writer: asyncio.StreamWriter) -> Reply:
    """Send the items as they come; return the closing line."""
    try:
        async with aclosing(items) as open_items:
            async for item in open_items:
                await _send(writer, {"v": PROTOCOL, "ok": True, "result": item})
    except (_Gone, OSError) as error:
        raise _Gone from error
    except Exception as error:  # noqa: BLE001 - a request never harms the daemon
        return _failure(error)
    return {"v": PROTOCOL, "ok": True, "end": True}


async def _until_hangup(reader: asyncio.StreamReader) -> None:
    while await reader.read(MAX_REQUEST):
        pass  # a peer has nothing more to say while it listens
    raise _Gone


async def _part(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close so that the last answer arrives: closing with unread input would reset the connection under it."""
    try:
        with suppress(OSError, TimeoutError):
            writer.write_eof()
            async with asyncio.timeout(PARTING_S):
                while await reader.read(MAX_REQUEST):
                    pass
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    try:
        line = orjson.dumps(reply, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError as error:
        line = orjson.dumps(_failure(error), option=orjson.OPT_APPEND_NEWLINE)
    writer.write(line)
    try:
        async with asyncio.timeout(WRITE_S):
            await writer.drain()
    except TimeoutError as error:
        raise _Gone from error


def _parse(line: bytes) -> Request | str:
    """Return the request, or what is wrong with the line."""
    try:
        request = orjson.loads(line)
    except orjson.JSONDecodeError:
        return f"a request is one line of JSON, at most {MAX_REQUEST} bytes"
    return request if isinstance(request, dict) else "a request is a JSON object"


def _failure(error: Exception) -> Reply:
    if isinstance(error, TimeoutError):
        return _error("timeout", "the daemon took too long; look at its log")
    if isinstance(error, TocsinError):
        return _error("refused", redact(str(error)))
    log.error("control: a request failed", exc_info=error)
    return _error("internal", "the daemon failed to answer; its log says why")


def _error(code: str, message: str, **more: object) -> Reply:
    return {"v": PROTOCOL, "ok": False, "error": {"code": code, "message": message, **more}}


def _make(folder: Path) -> None:
    """Make a directory that is not there. Raises OSError."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return
    folder.chmod(FOLDER_MODE)


def _answers(path: Path) -> bool:
    """Return whether a process listens at `path`, also one that is too busy to accept."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.settimeout(0)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True
