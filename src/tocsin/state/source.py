"""Who answers questions: anything that asks one node one call, and the sessions that really do."""

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

from tocsin.model.effect import Fetch
from tocsin.model.observation import Fault, FaultKind, Part
from tocsin.rpc.pacing import Need
from tocsin.rpc.session import Session

_GONE: Final = Fault(kind=FaultKind.BUDGET, detail="the node is configured no longer")


class Source(Protocol):
    """A way to ask nodes."""

    async def ask(self, node: str, call: str) -> tuple[Part, ...] | Fault:
        """Ask a node one call, see `tocsin.model.observation`: the parts that came, or why none did. Never raises."""
        ...


class BodySource(Source, Protocol):
    """A way to ask nodes that also takes requests that are written already (`tocsin.wire.prepared`)."""

    async def read(self, node: str, call: str, body: bytes) -> tuple[Part, ...] | Fault:
        """Send a node the request of one thing; `call` says in short what it is. Never raises."""
        ...


class Sessions:
    """The nodes of a chain, by name, over their sessions: one question at a time to each, with what the polls leave.

    Sessions come and go with the configuration, so that `sessions` is looked into each time.
    """

    def __init__(self, chain: str, sessions: Mapping[str, Session]) -> None:
        self._chain = chain
        self._sessions = sessions
        self._turns: dict[str, asyncio.Semaphore] = {}

    async def ask(self, node: str, call: str) -> tuple[Part, ...] | Fault:
        """Ask as `Source` says."""
        async with self._turns.setdefault(node, asyncio.Semaphore()):
            session = self._sessions.get(node)
            if session is None:
                return _GONE
            found = await session.fetch(Fetch(request=0, chain=self._chain, node=node, call=call), Need.SPARE)
        if found.fault is not None:
            return found.fault
        return found.run if found.part is None else (found.part,)

    async def read(self, node: str, call: str, body: bytes) -> tuple[Part, ...] | Fault:
        """Ask as `BodySource` says."""
        session = self._sessions.get(node)
        if session is None:
            return _GONE
        found = await session.read(call, body)
        return found.parts if found.fault is None else found.fault
