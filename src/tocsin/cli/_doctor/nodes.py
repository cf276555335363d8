"""The nodes: whether each answers, on the right chain, near its head, with what the configuration says of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Final

import orjson

from tocsin.chain.header import decode_header
from tocsin.cli._doctor import contracts
from tocsin.cli._doctor.result import Result, fail, ok, warn
from tocsin.clock import NS, EngineClock, SystemClock
from tocsin.config.tree import Chain, Node
from tocsin.model.block import Header
from tocsin.model.host import HeadAges
from tocsin.model.observation import CHAIN_ID, FINALIZED, GENESIS, LATEST, Fault, FaultKind, Part
from tocsin.rpc.channel import HttpChannel, Progress
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.faults import fault_of
from tocsin.rpc.heads import Heads
from tocsin.rpc.ipc import IpcChannel
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session
from tocsin.runtime import endpoints

BATCH: Final = 20
"""Calls in a back-fill round; a node that takes fewer costs more round trips."""

WS_S: Final = 5.0

REMEDIES: Final[dict[FaultKind, str]] = {
    FaultKind.DNS: "check the host in its url, and the resolver of this host",
    FaultKind.REFUSED: "is it running, with HTTP-RPC switched on, at this port?",
    FaultKind.UNROUTABLE: "check address, firewall and VPN",
    FaultKind.TLS: "check ca, and that the certificate names the host",
    FaultKind.TIMEOUT: "is it overloaded, or behind a firewall that drops? a longer timeout may help",
    FaultKind.RESET: "look at the node's log, and at proxies between",
    FaultKind.AUTH: "check key and headers: they are wrong or have expired",
    FaultKind.RATE_LIMITED: "ask less often (poll), set a budget, or take a larger plan",
    FaultKind.HTTP_STATUS: "check the path of its url; a proxy before it may answer instead",
    FaultKind.NOT_JSON: "check its url: this is no JSON-RPC endpoint",
}
OTHERWISE: Final = "look at the node's log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """How old a head is by our clock, for the verdict on that."""

    chain: str
    age_ns: int


async def examine(chain: Chain, node: Node, clock: EngineClock) -> tuple[list[Result], Stamp | None]:
    """Ask one node everything. Never raises for what a node does."""
    # The budget is the daemon's: a person asks a few dozen calls, once.
    endpoint = replace(endpoints.endpoint(chain, node), budget_per_day=None)
    resolver = Resolver(SystemClock())
    session = Session(endpoint, clock=clock, resolver=resolver)
    try:
        results, stamp = await _answers(chain, node, session, clock)
        if stamp is not None:
            results += [one async for one in _extras(chain, node, endpoint, session, resolver, clock)]
        return results, stamp
    finally:
        await session.close()
        await resolver.close()


async def _answers(chain: Chain, node: Node, session: Session, clock: EngineClock) -> tuple[list[Result], Stamp | None]:
    subject = f"{chain.name}/{node.name}"
    answer = await session.ask((CHAIN_ID, LATEST))
    if answer.fault is not None:
        return [_faulty(subject, answer.fault)], None
    identity, head = (_value(part) for part in answer.parts)
    chain_id = _quantity(identity)
    if chain_id != chain.id:
        said = f"it is on chain {chain_id}, not {chain.id}"
        return [fail(subject, said, "give the url of a node of this chain, or mend chain.id")], None
    number, stamp = (
        (_quantity(head.get(key)) for key in ("number", "timestamp")) if isinstance(head, dict) else (None,) * 2
    )
    if number is None or stamp is None:
        return [fail(subject, "it has no latest block", OTHERWISE)], None
    age_ns = clock.wall_ns() - stamp * NS
    latency_ms = (answer.ended_ns - answer.started_ns) / 1e6
    return [_fresh(subject, number, age_ns / NS, latency_ms, chain)], Stamp(chain=chain.name, age_ns=age_ns)


def _fresh(subject: str, number: int, age_s: float, latency_ms: float, chain: Chain) -> Result:
    said = f"head {number}, {max(0.0, age_s):.0f} s old, {latency_ms:.0f} ms"
    block_s = chain.block_time_ns / NS
    if age_s > max(60.0, 20 * block_s):
        return fail(subject, said, "it is not in step: is it syncing, or cut off from its peers?")
    if age_s > max(10.0, 5 * block_s):
        return warn(subject, said, "late: look again in a minute; is it syncing?")
    return ok(subject, said)


def _faulty(subject: str, fault: Fault) -> Result:
    return fail(subject, f"{fault.kind.value}: {fault.detail}", REMEDIES.get(fault.kind, OTHERWISE))


async def _extras(
    chain: Chain, node: Node, endpoint: Endpoint, session: Session, resolver: Resolver, clock: EngineClock
) -> AsyncIterator[Result]:
    subject = f"{chain.name}/{node.name}"
    yield await _client(subject, node, endpoint, resolver)
    async for one in _genesis(subject, chain, session):
        yield one
    yield await _batch(subject, session)
    for found in await _contracts(chain, subject, session):
        yield found
    if node.ws is not None:
        yield await _websocket(subject, chain, endpoint, resolver, clock)


async def _client(subject: str, node: Node, endpoint: Endpoint, resolver: Resolver) -> Result:
    """Ask for the version and compare it with the declared client."""
    subject = f"{subject} client"
    channel = IpcChannel(endpoint) if endpoint.url.scheme == "ipc" else HttpChannel(endpoint, resolver)
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "web3_clientVersion", "params": []})
    try:
        async with asyncio.timeout(endpoint.timeout_ns / NS):
            reply = await channel.post(body, Progress())
        answer = orjson.loads(reply.body)
    except Exception as error:  # noqa: BLE001 - whatever sockets and HTTP can raise
        return warn(subject, f"it does not say: {fault_of(error).detail}", "harmless, if it is a provider")
    finally:
        await channel.close()
    version = answer.get("result") if isinstance(answer, dict) else None
    if not isinstance(version, str):
        return ok(subject, "it does not say, as many providers")
    if node.client and node.client.lower() not in version.lower():
        return warn(subject, f"it says {version[:80]}, the configuration {node.client}", "mend client")
    return ok(subject, version[:80])


async def _genesis(subject: str, chain: Chain, session: Session) -> AsyncIterator[Result]:
    answer = await session.ask((GENESIS, FINALIZED))
    if answer.fault is not None:
        yield warn(f"{subject} history", answer.fault.detail, "block 0 or finalized is not served: fewer checks")
        return
    genesis, final = (_value(part) for part in answer.parts)
    found = genesis.get("hash") if isinstance(genesis, dict) else None
    if chain.genesis_hash is not None and found is not None and found != chain.genesis_hash:
        yield fail(f"{subject} genesis", f"block 0 is {found}", "this node is on another chain with the same id")
    if not isinstance(final, dict):
        yield warn(f"{subject} finalized", "it gives no finalized block", "finality cannot be judged by this node")


async def _batch(subject: str, session: Session) -> Result:
    answer = await session.ask((LATEST,) * BATCH)
    taken = min(session.batch_limit.size, BATCH)
    if answer.fault is not None:
        return warn(
            f"{subject} batches", answer.fault.detail, f"a batch of {BATCH} calls is too much: back-fills are slow"
        )
    if taken < BATCH:
        return ok(f"{subject} batches", f"at most {taken} calls at a time; Tocsin keeps to that")
    return ok(f"{subject} batches", f"{BATCH} calls at a time")


async def _contracts(chain: Chain, subject: str, session: Session) -> list[Result]:
    answer = await session.ask((LATEST,))
    head = decode_header(answer.parts[0].result or b"null") if answer.parts else None
    return await contracts.examine(chain, subject, session, head) if isinstance(head, Header) else []


async def _websocket(subject: str, chain: Chain, endpoint: Endpoint, resolver: Resolver, clock: EngineClock) -> Result:
    """Subscribe to new heads and wait for the confirmation; the poll works without it."""
    heads = Heads(endpoint, clock=clock, resolver=resolver, block_time_ns=chain.block_time_ns, wake=lambda: None)
    try:
        async with asyncio.timeout(WS_S), asyncio.TaskGroup() as group:
            task = group.create_task(heads.run(lambda _: None))
            while heads.stats.connects == 0 and heads.stats.fault is None:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)
            task.cancel()
    except TimeoutError:
        return warn(f"{subject} ws", f"no subscription within {WS_S:.0f} s", "heads are noticed at the next poll only")
    if heads.stats.fault is not None and heads.stats.connects == 0:
        return warn(f"{subject} ws", heads.stats.fault.detail, "heads are noticed at the next poll only; check ws")
    return ok(f"{subject} ws", "announces new heads")


def ages(stamps: list[Stamp], chains: tuple[Chain, ...]) -> tuple[HeadAges, ...]:
    """Return the age of the newest head of each chain that has one, as the daemon judges its clock by."""
    found = {chain.name: [stamp.age_ns for stamp in stamps if stamp.chain == chain.name] for chain in chains}
    return tuple(
        HeadAges(chain=chain.name, ages_ns=(min(found[chain.name]),), pace_ns=chain.block_time_ns)
        for chain in chains
        if found[chain.name]
    )


def _value(part: Part) -> object:
    return None if part.result is None else orjson.loads(part.result)


def _quantity(value: object) -> int | None:
    try:
        return int(value, 16) if isinstance(value, str) else None
    except ValueError:
        return None
