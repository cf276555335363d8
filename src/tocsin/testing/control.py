"""The control endpoint of a fault proxy: faults over HTTP, on loopback only.

GET    /faults          every node: {"a": {"url": ..., "faults": ["stale:5"]}, ...}
GET    /faults/<node>   one node
PUT    /faults/<node>   {"faults": ["hang@0.1", ...]}: these and no others
POST   /faults/<node>   {"faults": [...]}: these as well
DELETE /faults/<node>   heal; ?name=stale for one fault alone
"""

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from tocsin.errors import TocsinError, UsageError
from tocsin.testing.faultproxy import FaultProxy
from tocsin.testing.faults import Fault, parse_fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Control:
    """Answers control requests for one proxy; `handle` is given to `serve`."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._verbs: dict[str, Callable[[web.Request, str], Awaitable[None]]] = {
            "PUT": self._put,
            "POST": self._post,
            "DELETE": self._delete,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if urlsplit(f"//{request.host}").hostname not in _LOOPBACK:
            # A page in a browser that has its own name resolve to 127.0.0.1 must not steer the proxy.
            return _said(403, {"error": "the control endpoint is asked as 127.0.0.1, ::1 or localhost"})
        try:
            return await self._dispatch(request)
        except TocsinError as error:
            return _said(400, {"error": str(error)})

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        match request.path.strip("/").split("/"):
            case ["faults"] if request.method == "GET":
                return _said(200, {name: self._shown(name) for name in self._proxy.names})
            case ["faults", name] if request.method == "GET":
                return _said(200, self._shown(name))
            case ["faults", name] if request.method in self._verbs:
                await self._verbs[request.method](request, name)
                return _said(200, self._shown(name))
        return _said(404, {"error": "GET /faults, or GET, PUT, POST or DELETE /faults/<node>"})

    def _shown(self, name: str) -> dict[str, Any]:
        node = self._proxy.node(name)
        return {"url": self._proxy.url(name), "faults": [str(fault) for fault in node.faults]}

    async def _put(self, request: web.Request, name: str) -> None:
        node = self._proxy.node(name)
        await node.set(*await _faults_in(request))

    async def _post(self, request: web.Request, name: str) -> None:
        node = self._proxy.node(name)
        for fault in await _faults_in(request):
            await node.add(fault)

    async def _delete(self, request: web.Request, name: str) -> None:
        await self._proxy.node(name).clear(*request.query.getall("name", []))


async def _faults_in(request: web.Request) -> list[Fault]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise UsageError(f"the body is not JSON: {error}") from None
    match body:
        case {"faults": [*texts]} if all(isinstance(text, str) for text in texts):
            return [parse_fault(text) for text in texts]
    raise UsageError('the body is {"faults": ["NAME[:ARGUMENT][@CHANCE]", ...]}')


def _said(status: int, document: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json")
