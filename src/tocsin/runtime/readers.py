"""The readers of all chains: what asks for many values at one block calls `read` here, and nothing else.

They ask over the sessions of the watch. What an audit finds wrong enters as an event, and is judged by the core as what
is found wrong of watched contracts.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tocsin import ids
from tocsin.chain.groups import Groups
from tocsin.clock import Clock
from tocsin.engine.pool import groups_of
from tocsin.engine.state import EngineState
from tocsin.model.event import Event
from tocsin.model.settings import ReaderSettings, Settings
from tocsin.runtime.ground import CoreGround
from tocsin.runtime.watch import Watch
from tocsin.state.ground import Lane, Place
from tocsin.state.nodereads import Aggregators
from tocsin.state.reader import Plan, Read, Reader, ReadTerms, Unread
from tocsin.state.source import Sessions


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a reader is made of; another one is another reader, which has to learn anew what nodes answer at once."""

    groups: Groups
    settings: ReaderSettings


class Readers:
    """Owns a reader for each chain. `apply` brings those of a configuration into force."""

    def __init__(
        self,
        *,
        watch: Watch,
        mono: Clock,
        now_ns: Callable[[], int],
        state: Callable[[], EngineState],
        emit: Callable[[Event], None],
    ) -> None:
        self._watch = watch
        self._mono = mono
        self._now_ns = now_ns
        self._state = state
        self._emit = emit
        self._kept: dict[str, tuple[_Kept, Reader]] = {}

    def apply(self, settings: Settings) -> None:
        """Keep a reader for each chain that is configured."""
        before, self._kept = self._kept, {}
        for chain in settings.chains:
            wanted = _Kept(groups_of(chain), chain.reader)
            known = before.get(chain.name)
            same = known if known is not None and known[0] == wanted else None
            self._kept[chain.name] = same or (wanted, self._made(chain.name, wanted))

    async def read(self, chain: str, plan: Plan, at: Lane | Place = Lane.HEAD) -> Read | Unread:
        """Read a plan at one block of a chain, see `tocsin.state.reader`. Never raises for what nodes do."""
        kept = self._kept.get(chain)
        if kept is None:
            return Unread(f"chain {chain} is not configured")
        reader = kept[1]
        try:
            return await reader.read(plan, at)
        finally:
            found, reader.doubts = reader.doubts, []
            for doubt in found:
                self._emit(doubt.told(chain, self._now_ns()))

    def _made(self, chain: str, kept: _Kept) -> Reader:
        multicall = bytes.fromhex(kept.settings.multicall[2:]) or None
        return Reader(
            kept.groups,
            Sessions(chain, self._watch.sessions(chain)),
            CoreGround(chain, state=self._state, now_ns=self._now_ns),
            self._mono,
            salt=ids.salt(),
            terms=ReadTerms(audit_one_in=kept.settings.audit_one_in, aggregators=Aggregators(deployed=multicall)),
        )
