"""Faults of the websocket: the poll stays right, the announcements do not."""

import random
from dataclasses import dataclass, field
from typing import ClassVar, Self

from tocsin.testing.faults.base import Fault, number


@dataclass
class WsSilent(Fault):
    """The socket lives, but no head is announced any more."""

    name: ClassVar[str] = "ws-silent"

    def keeps_notification(self, dice: random.Random) -> bool:
        return not self.strikes(dice)


@dataclass
class WsGaps(Fault):
    """Every n-th announcement is left out."""

    name: ClassVar[str] = "ws-gaps"
    usage: ClassVar[str] = "[EVERY]"

    every: int = 2
    _seen: int = field(default=0, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, arg: str) -> Self:
        return cls(every=number(arg, 2, least=1))

    @property
    def arg(self) -> str:
        return str(self.every)

    def keeps_notification(self, dice: random.Random) -> bool:
        self._seen += 1
        return self._seen % self.every != 0 or not self.strikes(dice)


@dataclass
class WsRefused(Fault):
    """Upgrades to a websocket are answered with HTTP 404, and open sockets are closed."""

    name: ClassVar[str] = "ws-refused"
    ends_sockets: ClassVar[bool] = True
