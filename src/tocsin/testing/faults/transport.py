"""Faults of the connection and of HTTP: before any JSON is looked at."""
# ruff: noqa: ARG002 - every fault's hooks take the same arguments

import asyncio
import gzip
import random
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

import orjson

from tocsin.clock import MS, NS
from tocsin.testing.exchange import Exchange, Manner, Reply
from tocsin.testing.faults.base import Fault, number
from tocsin.testing.jsonrpc import error
from tocsin.units import DurationNs, duration_ns, duration_text

_PAGE: Final = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n"
    b"<body><center><h1>502 Bad Gateway</h1></center></body>\r\n</html>\r\n"
)
_NOWHERE: Final = "http://127.0.0.1:9/"
"""The discard port: nothing answers there."""
_BOMB_BYTES: Final = 512 * 2**20


@dataclass
class Refused(Fault):
    """Nothing listens: connections are refused."""

    name: ClassVar[str] = "refused"
    ends_sockets: ClassVar[bool] = True


@dataclass
class Hang(Fault):
    """The request is taken and never answered."""

    name: ClassVar[str] = "hang"

    async def before(self, exchange: Exchange) -> Reply | None:
        return Reply(manner=Manner.HANG)

    def keeps_notification(self, dice: random.Random) -> bool:
        return not self.strikes(dice)


@dataclass
class Reset(Fault):
    """The connection ends with a TCP reset."""

    name: ClassVar[str] = "reset"
    ends_sockets: ClassVar[bool] = True

    async def before(self, exchange: Exchange) -> Reply | None:
        return Reply(manner=Manner.RESET)


@dataclass
class Latency(Fault):
    """Every answer comes late by this much, plus up to `jitter_ns` more."""

    name: ClassVar[str] = "latency"
    usage: ClassVar[str] = "SPAN[+JITTER], such as 800ms or 1s+500ms"

    delay_ns: int = 500 * MS
    jitter_ns: int = 0

    @classmethod
    def parse(cls, arg: str) -> Self:
        delay, _, jitter = arg.partition("+")
        return cls(
            delay_ns=duration_ns(delay) if delay else DurationNs(500 * MS),
            jitter_ns=duration_ns(jitter) if jitter else DurationNs(0),
        )

    @property
    def arg(self) -> str:
        jitter = f"+{duration_text(self.jitter_ns)}" if self.jitter_ns else ""
        return duration_text(self.delay_ns) + jitter

    async def before(self, exchange: Exchange) -> Reply | None:
        await asyncio.sleep((self.delay_ns + exchange.dice.random() * self.jitter_ns) / NS)
        return None


@dataclass
class SlowDrip(Fault):
    """The right answer, eight bytes at a time: each read succeeds, the whole never comes in time."""

    name: ClassVar[str] = "slow-drip"
    usage: ClassVar[str] = "PAUSE, such as 100ms"

    pause_ns: int = 100 * MS

    @classmethod
    def parse(cls, arg: str) -> Self:
        return cls(pause_ns=duration_ns(arg)) if arg else cls()

    @property
    def arg(self) -> str:
        return duration_text(self.pause_ns)

    def rewrite_reply(self, reply: Reply, exchange: Exchange) -> Reply:
        return replace(reply, manner=Manner.DRIP, pause_ns=self.pause_ns)


@dataclass
class Truncated(Fault):
    """The body ends before its announced length."""

    name: ClassVar[str] = "truncated"

    def rewrite_reply(self, reply: Reply, exchange: Exchange) -> Reply:
        return replace(reply, manner=Manner.TRUNCATE)


@dataclass
class Endless(Fault):
    """The body never ends."""

    name: ClassVar[str] = "endless"

    def rewrite_reply(self, reply: Reply, exchange: Exchange) -> Reply:
        return replace(reply, manner=Manner.ENDLESS)


@dataclass
class Gzip(Fault):
    """The body is compressed, as it may be. Not wrong; a client must take it."""

    name: ClassVar[str] = "gzip"

    def rewrite_reply(self, reply: Reply, exchange: Exchange) -> Reply:
        if exchange.socket:
            return reply
        return replace(
            reply, body=gzip.compress(reply.body, 1, mtime=0), headers={**reply.headers, "Content-Encoding": "gzip"}
        )


@dataclass
class GzipBomb(Fault):
    """A small compressed body that unpacks to half a gigabyte."""

    name: ClassVar[str] = "gzip-bomb"

    _packed: ClassVar[bytes] = b""

    async def before(self, exchange: Exchange) -> Reply | None:
        if exchange.socket:
            return None
        if not GzipBomb._packed:
            # Members of a gzip file may follow each other (RFC 1952 section 2.2).
            GzipBomb._packed = gzip.compress(b" " * 2**20, 9, mtime=0) * (_BOMB_BYTES >> 20)
        return Reply(body=GzipBomb._packed, headers={"Content-Encoding": "gzip"})


@dataclass
class Status(Fault):
    """Another HTTP status and no JSON-RPC, with Retry-After (seconds) if one is given."""

    name: ClassVar[str] = "status"
    usage: ClassVar[str] = "CODE[/RETRY_AFTER_S], such as 429/7 or 503"

    code: int = 503
    retry_after_s: int | None = None

    @classmethod
    def parse(cls, arg: str) -> Self:
        code, _, after = arg.partition("/")
        return cls(code=number(code, 503, least=200), retry_after_s=number(after, 0) if after else None)

    @property
    def arg(self) -> str:
        after = "" if self.retry_after_s is None else f"/{self.retry_after_s}"
        return f"{self.code}{after}"

    async def before(self, exchange: Exchange) -> Reply | None:
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        return Reply(status=self.code, body=b"no\n", content_type="text/plain", headers=headers)


@dataclass
class RateLimited(Status):
    """HTTP 429, with Retry-After (seconds) if one is given."""

    name: ClassVar[str] = "http-429"
    usage: ClassVar[str] = "[RETRY_AFTER_S]"

    code: int = 429

    @classmethod
    def parse(cls, arg: str) -> Self:
        return cls(retry_after_s=number(arg, 0) if arg else None)

    @property
    def arg(self) -> str:
        return "" if self.retry_after_s is None else str(self.retry_after_s)


@dataclass
class Unavailable(RateLimited):
    """HTTP 503, with Retry-After (seconds) if one is given."""

    name: ClassVar[str] = "http-503"

    code: int = 503


@dataclass
class LimitAs503(Fault):
    """HTTP 503 whose body is a JSON-RPC error -32005, as Nethermind says that a limit is reached (ErrorCodes.cs)."""

    name: ClassVar[str] = "limit-503"

    async def before(self, exchange: Exchange) -> Reply | None:
        one = exchange.calls[0].get("id") if exchange.calls and not exchange.is_batch else None
        return Reply(status=503, body=orjson.dumps(error(one, -32005, "Too many requests")))


@dataclass
class Unauthorized(Fault):
    """HTTP 401: the credentials are wrong or have expired."""

    name: ClassVar[str] = "http-401"

    async def before(self, exchange: Exchange) -> Reply | None:
        headers = {"WWW-Authenticate": "Bearer"}
        return Reply(status=401, body=b"missing or bad token\n", content_type="text/plain", headers=headers)


@dataclass
class Redirect(Fault):
    """HTTP 307 to another place, by default one where nothing listens."""

    name: ClassVar[str] = "redirect"
    usage: ClassVar[str] = "[URL]"

    location: str = _NOWHERE

    @classmethod
    def parse(cls, arg: str) -> Self:
        return cls(location=arg or _NOWHERE)

    @property
    def arg(self) -> str:
        return self.location

    async def before(self, exchange: Exchange) -> Reply | None:
        return Reply(status=307, headers={"Location": self.location})


@dataclass
class Html(Fault):
    """A web page with status 200, as a misconfigured balancer or a captive portal gives it."""

    name: ClassVar[str] = "html"

    async def before(self, exchange: Exchange) -> Reply | None:
        return Reply(body=_PAGE, content_type="text/html")


@dataclass
class Malformed(Fault):
    """JSON that breaks off, with the right length."""

    name: ClassVar[str] = "malformed"

    def rewrite_reply(self, reply: Reply, exchange: Exchange) -> Reply:
        return replace(reply, body=reply.body[: max(1, len(reply.body) * 2 // 3)])


@dataclass
class NotAnAnswer(Fault):
    """Good JSON that is no JSON-RPC answer; the argument is that JSON."""

    name: ClassVar[str] = "not-an-answer"
    usage: ClassVar[str] = "[JSON]"

    text: str = '"ok"'

    @classmethod
    def parse(cls, arg: str) -> Self:
        orjson.loads(arg or '"ok"')
        return cls(text=arg or '"ok"')

    @property
    def arg(self) -> str:
        return self.text

    async def before(self, exchange: Exchange) -> Reply | None:
        return Reply(body=self.text.encode())


@dataclass
class EchoSecrets(Fault):
    """An error whose text repeats the request's path, query and Authorization header: nothing of it may be shown."""

    name: ClassVar[str] = "echo-secrets"
    usage: ClassVar[str] = "[HTTP_STATUS]"

    status: int = 200

    @classmethod
    def parse(cls, arg: str) -> Self:
        return cls(status=number(arg, 200, least=200))

    @property
    def arg(self) -> str:
        return str(self.status)

    async def before(self, exchange: Exchange) -> Reply | None:
        text = f"bad key in {exchange.path} (Authorization: {exchange.headers.get('Authorization', 'none')})"
        answers = [error(call.get("id"), -32000, text) for call in exchange.calls] or [error(None, -32000, text)]
        return Reply(status=self.status, body=orjson.dumps(answers if exchange.is_batch else answers[0]))
