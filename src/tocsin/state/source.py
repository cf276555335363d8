"""Who answers the indexer: anything that asks one node one call, and the sessions that really do."""

from collections.abc import Mapping
from typing import Protocol

from tocsin.model.effect import Fetch
from tocsin.model.observation import Fault, Part
from tocsin.rpc.session import Session


class Source(Protocol):
    """A way to ask nodes."""

    async def ask(self, node: str, call: str) -> tuple[Part, ...] | Fault:
        """Ask a node one call, see `tocsin.model.observation`: the parts that came, or why none did. Never raises."""
        ...


class Sessions:
    """The nodes of a chain, by name, over their sessions: within their budgets, after what the polls need."""

    def __init__(self, chain: str, sessions: Mapping[str, Session]) -> None:
        self._chain = chain
        self._sessions = sessions

    async def ask(self, node: str, call: str) -> tuple[Part, ...] | Fault:
        """Ask as `Source` says. Raises KeyError for a node without a session."""
        found = await self._sessions[node].fetch(Fetch(request=0, chain=self._chain, node=node, call=call))
        if found.fault is not None:
            return found.fault
        return found.run if found.part is None else (found.part,)
