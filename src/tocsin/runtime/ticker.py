"""Evaluation ticks: one per chain and tick interval when something came in, else one per poll interval.

Silence is an observation too, so time alone must be able to decide; but no finer than nodes are asked, which keeps an
idle watchdog idle and its journal small. Between two chains everybody else has a turn: a trouble that all chains share
must not hold up what leaves.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from tocsin.clock import MS, NS, EngineClock
from tocsin.engine.selfwatch import TICK_NS
from tocsin.engine.state import EngineState
from tocsin.model.event import Event, Ticked
from tocsin.model.settings import ChainSettings
from tocsin.rpc.lag import LoopLag

QUIET_NS: Final = TICK_NS
"""Between two ticks of the watchdog itself."""

_LONGEST_QUIET_NS: Final = 5 * NS
_SHORTEST_NS: Final = 10 * MS


def quiet_ns(chain: ChainSettings) -> int:
    """Return after how long a chain is looked at although nothing came in."""
    return min(max(chain.poll_ns, QUIET_NS), _LONGEST_QUIET_NS)


class Ticker:
    """Emits `Ticked` for every chain and for the watchdog itself. `run` belongs to a task of the caller."""

    def __init__(
        self, clock: EngineClock, lag: LoopLag, *, state: Callable[[], EngineState], emit: Callable[[Event], None]
    ) -> None:
        self._clock = clock
        self._lag = lag
        self._state = state
        self._emit = emit
        self._last: dict[str, int] = {}

    async def run(self, beat: Callable[[], None]) -> None:
        """Tick until cancelled."""
        while True:
            now = self._clock.t_ns()
            for chain in self._due(now):
                self._tick(chain)
                await asyncio.sleep(0)
            beat()
            await asyncio.sleep((self._pause_ns() - (self._clock.t_ns() - now)) / NS)

    def _pause_ns(self) -> int:
        settings = self._state().settings
        ticks = [chain.tick_ns for chain in settings.chains] if settings is not None else []
        return max(_SHORTEST_NS, min([*ticks, QUIET_NS]))

    def _due(self, now: int) -> Iterator[str]:
        """Yield the chains that are to be looked at, and nothing ("") for the watchdog itself."""
        settings = self._state().settings
        heard = {event.chain for event in self._state().inbox}
        for chain in settings.chains if settings is not None else ():
            waited = now - self._last.get(chain.name, 0)
            if waited >= quiet_ns(chain) or (chain.name in heard and waited >= chain.tick_ns - _SHORTEST_NS):
                yield chain.name
        if now - self._last.get("", 0) >= QUIET_NS:
            yield ""

    def _tick(self, chain: str) -> None:
        now = self._last[chain] = self._clock.t_ns()
        lag_ns = self._lag.worst_ns() if chain == "" else 0
        self._emit(Ticked(t_ns=now, wall_ns=self._clock.wall_ns(), chain=chain, loop_lag_ns=lag_ns))
