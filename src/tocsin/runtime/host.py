"""The host that we run on, looked at now and then: disks and units often, clocks every minute, certificates every hour.

One task, one event per look. What blocks has threads or processes of its own and a deadline: the event loop, and with
it the nodes, never waits for a disk.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from tocsin.clock import NS, Clock, EngineClock
from tocsin.config.tree import Tree
from tocsin.model.event import Event, HostSampled
from tocsin.model.host import CertificateSample
from tocsin.model.settings import HostSettings
from tocsin.rpc.certificate import look
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.timeserver import TimeServers
from tocsin.runtime import endpoints, hostunit
from tocsin.runtime.hostdisk import Disks

CERTIFICATES_NS: Final = 3600 * NS
RETRY_NS: Final = 300 * NS
"""A certificate that could not be looked at is looked at again this soon."""

_AT_ONCE: Final = 4


class HostWatch:
    """Looks at the host of a configuration. `run` belongs to a task of the caller."""

    def __init__(
        self,
        *,
        clock: EngineClock,
        mono: Clock,
        resolver: Resolver,
        emit: Callable[[Event], None],
        environ: Mapping[str, str],
    ) -> None:
        self._clock = clock
        self._mono = mono
        self._resolver = resolver
        self._emit = emit
        self._environ = environ
        self._wanted: HostSettings | None = None
        self._shown: dict[str, Endpoint] = {}
        self._disks = Disks()
        self._servers = TimeServers(mono, resolver)
        self._due: dict[str, int] = {}
        self._number = 0
        self._changed = asyncio.Event()

    def apply(self, settings: HostSettings | None, tree: Tree) -> None:
        """Look at what a configuration names from now on, and at once."""
        shown = endpoints.certificates(tree)
        # A certificate may be shown to a caller with another authority or key: then it is looked at anew.
        self._due = {name: due for name, due in self._due.items() if shown.get(name) == self._shown.get(name)}
        self._wanted, self._shown = settings, shown
        self._changed.set()

    async def run(self, beat: Callable[[], None]) -> None:
        """Look for ever; wait where there is nothing to look at."""
        while True:
            self._changed.clear()
            if self._wanted is not None:
                self._emit(await self.sample(self._wanted))
            beat()
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(None if self._wanted is None else self._wanted.period_ns / NS):
                await self._changed.wait()
        except TimeoutError:
            return

    async def sample(self, wanted: HostSettings) -> HostSampled:
        """Look once."""
        async with asyncio.TaskGroup() as group:
            disks = group.create_task(self._disks.sample(wanted.disks))
            units = group.create_task(hostunit.sample(wanted.units, environ=self._environ))
            clocks = group.create_task(self._servers.sample(wanted.ntp))
            certificates = group.create_task(self._certificates(wanted.certificates))
        self._number += 1
        return HostSampled(
            t_ns=self._clock.t_ns(),
            wall_ns=self._clock.wall_ns(),
            number=self._number,
            disks=disks.result(),
            units=units.result(),
            clocks=clocks.result(),
            certificates=certificates.result(),
        )

    async def _certificates(self, names: tuple[str, ...]) -> tuple[CertificateSample, ...]:
        now = self._mono.monotonic_ns()
        due = [name for name in names if now >= self._due.get(name, 0) and name in self._shown]
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str) -> CertificateSample:
            async with at_once:
                return await look(self._shown[name], resolver=self._resolver)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(name)) for name in due]
        found = tuple(task.result() for task in tasks)
        for sample in found:
            self._due[sample.endpoint] = now + (RETRY_NS if sample.problem else CERTIFICATES_NS)
        return found
