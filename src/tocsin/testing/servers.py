"""A small HTTP server on a free port: what simulated nodes and the fault proxy listen with."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LARGEST_BODY: Final = 64 * 2**20
_LINGER_S: Final = 0.1
"""A hung handler is ended this long after the stop was asked for."""


class Listener:
    """One handler on one port. `stop` and `start` may alternate; the port stays the same."""

    def __init__(self, handler: Handler, *, host: str, port: int) -> None:
        self._handler = handler
        self._runner: web.AppRunner | None = None
        self.host = host
        self.port = port

    @property
    def url(self) -> str:
        """Where HTTP requests go."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where websockets connect."""
        return "ws" + self.url.removeprefix("http")

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        if self._runner is not None:
            return
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_route("*", "/{tail:.*}", self._handler)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_LINGER_S)
        await runner.setup()
        try:
            listening = self._bound()
            await web.SockSite(runner, listening).start()
        except OSError:
            await runner.cleanup()
            raise
        self.port = listening.getsockname()[1]
        self._runner = runner

    def _bound(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self.host, self.port))
        except OSError:
            listening.close()
            raise
        return listening

    async def stop(self) -> None:
        """Stop listening and end every connection: clients are refused."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()


@asynccontextmanager
async def serve(handler: Handler, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Listener]:
    """Run a listener; port 0 takes a free one."""
    listener = Listener(handler, host=host, port=port)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop()
