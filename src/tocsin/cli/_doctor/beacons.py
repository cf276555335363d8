"""The beacon nodes: whether each answers, on the right chain, in sync, with its execution client."""

from collections.abc import Iterator
from dataclasses import replace

from tocsin.cli._doctor.nodes import OTHERWISE, REMEDIES
from tocsin.cli._doctor.result import Result, fail, ok, warn
from tocsin.clock import EngineClock, SystemClock
from tocsin.config.tree import Beacon, Chain
from tocsin.model import beacon
from tocsin.model.observation import FaultKind, Part
from tocsin.rpc.beacon import EVERY, ONCE, PER_SLOT, BeaconSession
from tocsin.rpc.resolver import Resolver
from tocsin.runtime import endpoints
from tocsin.wire import beacon as wire

_REMEDIES = REMEDIES | {
    FaultKind.REFUSED: "is it running, with its REST interface switched on, at this port?",
    FaultKind.NOT_JSON: "check its url: this is no REST interface of a beacon node",
}


async def examine(chain: Chain, one: Beacon, clock: EngineClock) -> list[Result]:
    """Ask one beacon node everything. Never raises for what it does."""
    subject = f"{chain.name}/{one.name}"
    resolver = Resolver(SystemClock())
    # The budget is the daemon's: a person asks a few dozen calls, once.
    endpoint = replace(endpoints.beacon(chain, one), budget_per_day=None)
    session = BeaconSession(endpoint, clock=clock, resolver=resolver)
    try:
        answer = await session.ask(EVERY + PER_SLOT + ONCE)
    finally:
        await session.close()
        await resolver.close()
    if answer.fault is not None:
        said = f"{answer.fault.kind.value}: {answer.fault.detail}"
        return [fail(subject, said, _REMEDIES.get(answer.fault.kind, OTHERWISE))]
    return list(_results(subject, chain, answer.parts, (answer.ended_ns - answer.started_ns) / 1e6))


def _results(subject: str, chain: Chain, parts: tuple[Part, ...], latency_ms: float) -> Iterator[Result]:
    found = {part.call: wire.values(part) for part in parts}
    chain_id = wire.number(found.get(beacon.DEPOSIT, {}), "data.chain_id")
    if chain_id is not None and chain_id != chain.id:
        said = f"its deposit contract is on chain {chain_id}, not {chain.id}"
        yield fail(subject, said, "give the url of a beacon node of this chain")
        return
    slot = wire.number(found.get(beacon.HEAD, {}), "data.header.message.slot")
    said = f"slot {slot}, {latency_ms:.0f} ms, {wire.text(found.get(beacon.VERSION, {}), 'data.version')[:80]}"
    sync = found.get(beacon.SYNC, {})
    if wire.flag(sync, "data.el_offline"):
        yield fail(
            subject, f"{said}: its execution client does not answer it", "check the engine port and the JWT secret"
        )
    elif wire.flag(sync, "data.is_syncing") or wire.flag(sync, "data.is_optimistic"):
        yield warn(subject, f"{said}: it is syncing, or its head is not validated", "wait, then look again")
    else:
        yield ok(subject, said)
    missing = [call.removeprefix("beacon:") for call in (beacon.SYNC, beacon.FINALITY) if not found.get(call)]
    if not any(wire.payload(part) for part in parts if beacon.root_of(part.call) is not None):
        missing.append("blocks")
    if missing:
        yield warn(
            f"{subject} interface", f"it does not serve {', '.join(missing)}", "fewer checks: see its REST options"
        )
