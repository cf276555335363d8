"""What a fault is: one or more hooks on the way of a request through a virtual node.

The way is: `before` (may answer at once) - `rewrite_call` for each call - the upstream - `rewrite_answer` for each
call - `rewrite_answers` on the list - `rewrite_reply` on the bytes. A fault overrides what it needs.
"""
# ruff: noqa: ARG002 - every fault's hooks take the same arguments

import random
from dataclasses import dataclass
from typing import ClassVar, Self

from tocsin.errors import UsageError
from tocsin.testing.exchange import Exchange, Reply, Upstream
from tocsin.testing.jsonrpc import Json


@dataclass(kw_only=True)
class Fault:
    """Base of all faults. `chance` is the share of requests that it strikes."""

    name: ClassVar[str]
    usage: ClassVar[str] = ""
    """How its argument is written, for help texts."""
    alters_heads: ClassVar[bool] = False
    """Whether blocks differ from the upstream's: announcements over the websocket then follow suit."""

    ends_sockets: ClassVar[bool] = False
    """Whether open websockets are closed when the fault is set."""

    chance: float = 1.0

    @classmethod
    def parse(cls, arg: str) -> Self:
        """Make the fault from the text behind the colon. Raises ValueError."""
        if arg:
            raise ValueError("takes no argument")
        return cls()

    @property
    def arg(self) -> str:
        """The argument as `parse` takes it, without secrets."""
        return ""

    def __str__(self) -> str:
        text = f"{self.name}:{self.arg}" if self.arg else self.name
        return text if self.chance == 1 else f"{text}@{self.chance:g}"

    def strikes(self, dice: random.Random) -> bool:
        """Roll for one request."""
        return self.chance >= 1 or dice.random() < self.chance

    async def begin(self, exchange: Exchange) -> None:
        """Look at the upstream at the moment when the fault is set. Raises ConnectionError."""

    async def end(self) -> None:
        """Let go of what the fault holds: it was cleared or replaced."""

    async def before(self, exchange: Exchange) -> Reply | None:
        """Answer at once, or let the request pass."""
        return None

    def elsewhere(self) -> Upstream | None:
        """Name another upstream that answers instead."""
        return None

    async def rewrite_call(self, call: Json, exchange: Exchange) -> Json:
        """Change a call on its way. An object without `method` is the answer, and the upstream is not asked."""
        return call

    async def rewrite_answer(self, call: Json, answer: Json, exchange: Exchange) -> Json:
        """Change one answer; `call` is what the client asked."""
        return answer

    def rewrite_answers(self, answers: list[Json], exchange: Exchange) -> list[Json]:
        """Change the list of answers; a single request has a list of one."""
        return answers

    def rewrite_reply(self, reply: Reply, exchange: Exchange) -> Reply:
        """Change the bytes, or how they are sent."""
        return reply

    def keeps_notification(self, dice: random.Random) -> bool:
        """Say whether a websocket notification passes."""
        return True


def number(arg: str, default: int, *, least: int = 0) -> int:
    """Read an integer argument; empty means the default. Raises ValueError."""
    if not arg:
        return default
    if not arg.isdecimal() or int(arg) < least:
        raise ValueError(f"{arg!r} is not a whole number of {least} or more")
    return int(arg)


def methods_of(arg: str) -> frozenset[str]:
    """Read a list of methods such as `eth_call,eth_getCode`; empty means all."""
    return frozenset(name for name in arg.split(",") if name)


def concerns(methods: frozenset[str], call: Json) -> bool:
    """Say whether a call is among these methods; an empty set means all."""
    return not methods or call["method"] in methods


def bad_fault(text: str, why: str) -> UsageError:
    """Return the error for a fault that cannot be read."""
    return UsageError(f"fault {text!r}: {why}; `tocsin chaos faults` lists them all")
