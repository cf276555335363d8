"""The ping of a dead man's switch: said outward while all that alerts need works, withheld as soon as a part does not.

Whoever gets the ping (such as healthchecks.io) calls people when it stays away. So it tells of what no alert can tell:
that this process, its disk, its broker or its network is gone. A ping that fails is counted and tried again, and holds
up nothing else.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tocsin import __version__
from tocsin.clock import NS, Clock
from tocsin.config.pulse import DeadmanTable
from tocsin.config.tree import Tree
from tocsin.engine.selftest import echo_ms
from tocsin.engine.state import EngineState
from tocsin.rpc.channel import HttpChannel, Progress, Reply
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.faults import fault_of
from tocsin.rpc.resolver import Resolver
from tocsin.runtime.passes import Outside, Passes
from tocsin.wire.envelope import rfc3339

log = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
_AGAIN_NS: Final = 10 * NS
"""After a ping that failed; each time twice as long, and never longer than the usual gap."""
_LARGEST_ANSWER: Final = 64 * 1024
_PATIENT_NS: Final = 60 * NS
"""A ping that is withheld for longer is a trouble of its own; a start takes less."""
_SUCCESS: Final = range(200, 300)


@dataclass(slots=True)
class _Count:
    sent: int = 0
    failed: int = 0
    in_vain: int = 0
    """Attempts since the last one that worked."""


class Deadman:
    """Pings while it may. `run` belongs to a task; `apply` gives it the configuration."""

    def __init__(
        self,
        *,
        clock: Clock,
        resolver: Resolver,
        state: Callable[[], EngineState],
        commits: Callable[[], int],
        sent: Callable[[], int],
    ) -> None:
        self._clock = clock
        self._resolver = resolver
        self._state = state
        self._commits = commits
        self._sent = sent
        self._passes = Passes()
        self._table: DeadmanTable | None = None
        self._has_broker = False
        self._channel: HttpChannel | None = None
        self._count = _Count()
        self._tried_ns: int | None = None
        self._worked_wall_ns: int | None = None
        self._withheld_ns: int | None = None
        self._stale: tuple[str, ...] = ()
        self._error = ""

    async def apply(self, tree: Tree) -> None:
        """Take a configuration: another switch, another pace, or none."""
        self._has_broker = tree.mqtt is not None
        if self._table == tree.deadman:
            return
        await self.close()
        self._table = tree.deadman
        self._count, self._tried_ns, self._worked_wall_ns, self._error = _Count(), None, None, ""
        self._withheld_ns, self._stale = None, ()

    async def close(self) -> None:
        """Close the connection to the switch."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def run(self) -> None:
        """Look every second, and ping when it is due, until cancelled."""
        while True:
            self._look()
            table = self._table
            if table is not None and not self._stale and self._is_due(table):
                await self._ping(table)
            await asyncio.sleep(_LOOK_S)

    def _look(self) -> None:
        now_ns = self._clock.monotonic_ns()
        outside = Outside(commits=self._commits(), sent=self._sent() if self._has_broker else None)
        self._passes.look(self._state(), outside, now_ns)
        self._stale = self._passes.stale(now_ns)
        if not self._stale:
            self._withheld_ns = None
        elif self._withheld_ns is None:
            self._withheld_ns = now_ns

    def _is_due(self, table: DeadmanTable) -> bool:
        if self._tried_ns is None:
            return True
        gap_ns = int(table.every_ns)
        if self._count.in_vain:
            gap_ns = min(gap_ns, _AGAIN_NS << min(self._count.in_vain - 1, 16))
        return self._clock.monotonic_ns() - self._tried_ns >= gap_ns

    async def _ping(self, table: DeadmanTable) -> None:
        self._tried_ns = self._clock.monotonic_ns()
        error = await self._attempt(table)
        if table is not self._table:
            return  # another configuration came meanwhile
        if error:
            self._count.failed += 1
            self._count.in_vain += 1
            if error != self._error:
                log.warning("the ping to %s failed: %s", table.url, error)
        else:
            self._count.sent += 1
            self._count.in_vain = 0
            self._worked_wall_ns = self._clock.wall_ns()
        self._error = error

    async def _attempt(self, table: DeadmanTable) -> str:
        """Ask once; return why it failed, or nothing."""
        channel = self._channel or self._open(table)
        progress = Progress()
        try:
            async with asyncio.timeout(table.timeout_ns / NS):
                reply = await self._exchange(channel, table, progress)
        except TimeoutError:
            return channel.hint() or f"no answer within {table.timeout_ns // NS} s"
        except Exception as error:  # noqa: BLE001 - whatever sockets, TLS and HTTP can raise
            return fault_of(error).detail
        return "" if reply.status in _SUCCESS else f"it answered HTTP {reply.status}"

    async def _exchange(self, channel: HttpChannel, table: DeadmanTable, progress: Progress) -> Reply:
        if table.method == "POST":
            return await channel.post(self._body(), progress)
        return await channel.get("", progress, _LARGEST_ANSWER)

    def _open(self, table: DeadmanTable) -> HttpChannel:
        endpoint = Endpoint(chain="", node="deadman", url=table.url, concurrency=1, max_body=_LARGEST_ANSWER)
        self._channel = HttpChannel(endpoint, self._resolver)
        return self._channel

    def _body(self) -> bytes:
        """Return who pings, for a POST."""
        state = self._state()
        settings = state.settings
        said: Mapping[str, Any] = {
            "watchdog": f"{settings.site}/{settings.watchdog}" if settings is not None else "",
            "environment": settings.environment if settings is not None else "",
            "version": __version__,
            "boot_id": state.boot,
            "echo_ms": echo_ms(state),
        }
        return orjson.dumps(said)

    def row(self) -> dict[str, object] | None:
        """Return how it stands, for `status`; None where no switch is configured."""
        table = self._table
        if table is None:
            return None
        state = "withheld" if self._stale else "failing" if self._error else "ok"
        return {
            "state": state,
            "detail": "; ".join(self._stale) or self._error,
            "url": str(table.url),
            "every_s": table.every_ns // NS,
            "sent": self._count.sent,
            "failed": self._count.failed,
            "last_at": None if self._worked_wall_ns is None else rfc3339(self._worked_wall_ns),
        }

    def trouble(self) -> list[str]:
        """Return what is wrong, for the level of `status`: a start takes its time, and is no trouble."""
        if self._table is None:
            return []
        if self._withheld_ns is not None:
            lasts_ns = self._clock.monotonic_ns() - self._withheld_ns
            return [f"the dead man's ping is withheld: {'; '.join(self._stale)}"] if lasts_ns > _PATIENT_NS else []
        return [f"the dead man's ping to {self._table.url} fails: {self._error}"] if self._error else []
