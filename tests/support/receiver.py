"""A receiver of messages on loopback, as bad as it is told to be."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tocsin.testing.servers import serve

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Got:
    """One request: where it went, its headers and its body."""

    path: str
    headers: Mapping[str, str]
    body: bytes


def says(status: int, text: str = "", **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(
            status=status, text=text, headers={name.replace("_", "-"): headers[name] for name in headers}
        )

    return answer


async def hangs(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    raise AssertionError


async def drips(request: web.Request) -> web.StreamResponse:
    """Answer for ever, a byte at a time."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.05)


@dataclass
class Receiver:
    """Answers as `answers` say, the last one for ever; keeps what came."""

    url: str = ""
    answers: list[Answer] = field(default_factory=lambda: [says(202)])
    got: list[Got] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.got.append(Got(request.path, dict(request.headers), await request.read()))
        self.heard.set()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)

    async def until(self, count: int) -> list[Got]:
        """Wait for so many requests."""
        while len(self.got) < count:
            self.heard.clear()
            await self.heard.wait()
        return self.got


@asynccontextmanager
async def receiver(*answers: Answer) -> AsyncIterator[Receiver]:
    one = Receiver(answers=list(answers) or [says(202)])
    async with serve(one.handle) as listener:
        one.url = listener.url
        yield one
