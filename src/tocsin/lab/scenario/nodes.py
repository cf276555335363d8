"""The nodes of a scenario, and the ways to them: without a socket, with the same faults."""

import asyncio
import errno
import gzip
import io

from tocsin.clock import NS
from tocsin.lab.scenario.file import Scenario
from tocsin.lab.scenario.settings import START_S
from tocsin.rpc.channel import Progress, Reply
from tocsin.rpc.faults import BodyCutOff, BodyTooLarge
from tocsin.testing.clock import ManualClock
from tocsin.testing.exchange import Manner
from tocsin.testing.exchange import Reply as Said
from tocsin.testing.faults import Refused
from tocsin.testing.simchain import ChainSpec, SimChain
from tocsin.testing.simnode import SimNode
from tocsin.testing.virtualnode import VirtualNode


def chain_of(scenario: Scenario, clock: ManualClock) -> SimChain:
    """Return the simulated chain, in step with the slots of the profile where it has any."""
    table, settings = scenario.table.chain, scenario.settings.chains[0]
    genesis_s, slot_s = settings.genesis_time_s or 0, max(1, settings.block_time_ns // NS)
    clock.step_wall(s=START_S - clock.wall_ns() // NS)
    clock.step_wall(s=-((clock.wall_ns() // NS - genesis_s) % slot_s))
    spec = ChainSpec(
        chain_id=settings.id,
        seed=scenario.table.seed,
        slot_ns=settings.block_time_ns,
        history=table.history,
        genesis_number=table.first,
        safe_after=table.safe_after,
        finalized_after=table.finalized_after,
        missed=table.missed,
        jitter_ns=table.jitter_ns,
        transactions=table.transactions,
    )
    return SimChain(clock, spec)


def nodes_of(scenario: Scenario, chain: SimChain) -> dict[str, SimNode]:
    """Return the simulated nodes by name."""
    made = {}
    for node in scenario.table.nodes:
        arrival = scenario.arrival(node)
        made[node.name] = SimNode(
            chain,
            name=node.name,
            delay_ns=arrival.median_ns,
            sigma=arrival.sigma,
            client=node.version,
            peers=node.peers,
        )
    return made


class InProcess:
    """A `tocsin.rpc.channel.Channel` to a virtual node: what would go over the wire, without a wire."""

    def __init__(self, node: VirtualNode, *, round_trip_ns: int, max_body: int) -> None:
        self._node = node
        self._round_trip_ns = round_trip_ns
        self._max_body = max_body

    async def post(self, body: bytes, progress: Progress) -> Reply:
        """Ask the node; raises what a connection would raise."""
        await asyncio.sleep(self._round_trip_ns / NS)
        if any(isinstance(fault, Refused) for fault in self._node.faults):
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")
        said = await self._node.exchange(body)
        progress.status = said.status
        return Reply(said.status, await self._received(said), said.headers.get("Retry-After"))

    async def _received(self, said: Said) -> bytes:
        match said.manner:
            case Manner.HANG:
                await asyncio.Event().wait()
            case Manner.RESET | Manner.CLOSE:
                raise ConnectionResetError(errno.ECONNRESET, "reset")
            case Manner.TRUNCATE:
                raise BodyCutOff("the body ended before its announced length")
            case Manner.DRIP:
                await asyncio.sleep(-(-len(said.body) // said.chunk) * said.pause_ns / NS)
            case Manner.ENDLESS:
                raise BodyTooLarge(f"the answer is longer than {self._max_body} bytes")
        return self._unpacked(said)

    def _unpacked(self, said: Said) -> bytes:
        if said.headers.get("Content-Encoding") != "gzip":
            return said.body
        with gzip.GzipFile(fileobj=io.BytesIO(said.body)) as packed:
            body = packed.read(self._max_body + 1)
        if len(body) > self._max_body:
            raise BodyTooLarge(f"the answer is longer than {self._max_body} bytes")
        return body

    def hint(self) -> str | None:
        """There is no name to look up."""
        return None

    async def close(self) -> None:
        """There is nothing to close."""
