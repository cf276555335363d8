"""A beacon node on a real socket: what is asked when, what is kept, and what each of its faults becomes."""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.rpcserver import Behaviour, Request, endpoint, engine_clock, http, saying, serving

from tocsin.clock import MS, SystemClock
from tocsin.model import beacon
from tocsin.model.event import BeaconPolled
from tocsin.model.observation import FaultKind, Part
from tocsin.rpc.beacon import EVERY, ONCE, PER_SLOT, BeaconProber, BeaconSession
from tocsin.rpc.channel import HttpChannel, Progress, Reply
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.pacing import Budget, Need
from tocsin.rpc.prober import PollPlan
from tocsin.rpc.resolver import Resolver
from tocsin.secret import Secret, SecretUrl
from tocsin.testing import ChainSpec, SimBeacon, SimChain, serve_beacons
from tocsin.wire import beacon as wire

ALL = EVERY + PER_SLOT + ONCE
HEAD_PATH = wire.PATHS[beacon.HEAD]


def made(**changes: Any) -> SimBeacon:
    return SimBeacon(SimChain(SystemClock(), ChainSpec(history=200)), **changes)


@asynccontextmanager
async def session_to(url: str, shared: tuple[Budget, ...] = (), **changes: Any) -> AsyncIterator[BeaconSession]:
    resolver = Resolver(SystemClock())
    session = BeaconSession(endpoint(url, **changes), clock=engine_clock(), resolver=resolver, shared=shared)
    try:
        yield session
    finally:
        await session.close()
        await resolver.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def asking(node: SimBeacon, path: str = "", **changes: Any) -> AsyncIterator[BeaconSession]:
    async with serve_beacons(node) as listeners, session_to(listeners[node.name].url + path, **changes) as session:
        yield session


def by_call(parts: tuple[Part, ...]) -> dict[str, Part]:
    return {part.call: part for part in parts}


async def test_a_poll_brings_what_decides_and_nothing_else() -> None:
    node = made()
    async with asking(node) as session:
        answer = await session.ask(ALL)
    assert answer.fault is None
    parts = by_call(answer.parts)
    head, final = node.view.head(), node.finalized()
    assert final is not None
    assert wire.number(wire.values(parts[beacon.HEAD]), "data.header.message.slot") == head.slot
    assert wire.number(wire.values(parts[beacon.PEERS]), "data.connected") == 60
    assert wire.number(wire.values(parts[beacon.DEPOSIT]), "data.chain_id") == 1337
    payloads = {block.hash for call in parts if beacon.root_of(call) and (block := wire.payload(parts[call]))}
    assert payloads == {head.hash, final[1].hash}
    assert sum(len(part.result or b"") for part in answer.parts) < 3000


async def test_a_payload_is_asked_for_once_and_told_once() -> None:
    node = made()
    async with asking(node) as session:
        first, second = await session.ask(ALL), await session.ask(EVERY)
    assert sum(beacon.root_of(part.call) is not None for part in first.parts) == 2
    assert [part.call for part in second.parts] == list(EVERY)
    assert sum("blocks" in path for path in node.asked) == 2


async def test_a_node_without_blinded_blocks_is_asked_for_whole_ones_from_then_on() -> None:
    node = made()
    node.has_blinded = False
    async with asking(node) as session:
        answer = await session.ask(ALL)
        node.view.chain.reorg(3)
        await session.ask(ALL)
    payloads = [wire.payload(part) for part in answer.parts if beacon.root_of(part.call)]
    assert len(payloads) == 2
    assert None not in payloads
    blinded = [path for path in node.asked if "blinded" in path]
    assert 1 <= len(blinded) <= 2
    assert len([path for path in node.asked if path.startswith(wire.PAYLOAD_PATHS[1])]) == 3


async def test_a_payload_that_never_comes_is_given_up_and_the_rest_stands() -> None:
    node = made()
    node.broken = dict.fromkeys(wire.PAYLOAD_PATHS, (500, b"{}"))
    async with asking(node) as session:
        answers = [await session.ask(EVERY) for _ in range(6)]
    assert [answer.fault for answer in answers] == [None] * 6
    assert sum(path.startswith(wire.PAYLOAD_PATHS[0]) for path in node.asked) == 3


async def test_what_is_missing_beside_the_head_is_missing_and_no_fault() -> None:
    node = made()
    node.broken = {path: (404, b"{}") for call, path in wire.PATHS.items() if call != beacon.HEAD}
    async with asking(node) as session:
        answer = await session.ask(ALL)
    assert answer.fault is None
    assert all(part.error is not None for part in answer.parts if part.call not in (beacon.HEAD, *_payloads(answer)))


ABSURD = [0, "-1", 10**18, str(2**63), "abc", "", -1, 2**63, 1.5, True, [12]]


def spec(**said: object) -> bytes:
    return json.dumps({"data": said}).encode()


@pytest.mark.parametrize(
    ("call", "body"),
    [
        *((beacon.SPEC, spec(SECONDS_PER_SLOT=value)) for value in ABSURD[:5]),
        *((beacon.SPEC, spec(SECONDS_PER_SLOT="12", SLOT_DURATION_MS=value)) for value in ABSURD[1:5]),
        (beacon.SPEC, spec(SECONDS_PER_SLOT="0", SLOT_DURATION_MS="0")),
        *((beacon.GENESIS, spec(genesis_time=value)) for value in ABSURD[:5]),
        *((beacon.FINALITY, spec(finalized={"epoch": value})) for value in ABSURD[1:5]),
        *((beacon.DEPOSIT, spec(chain_id=value)) for value in ("-1", "x")),
        (beacon.HEAD, spec(root="0x" + "11" * 32, header={"message": {"slot": str(10**18)}})),
    ],
)
async def test_a_number_that_no_chain_has_is_a_fault_that_names_it(call: str, body: bytes) -> None:
    node = made()
    node.broken = {wire.PATHS[call]: (200, body)}
    async with asking(node) as session:
        answer = await session.ask(ALL)
    assert answer.fault is not None
    assert (answer.fault.kind, answer.parts) == (FaultKind.MALFORMED, ())
    name = re.findall(r'"([A-Za-z_]+)": [^{]', body.decode())[-1]
    assert name in answer.fault.detail


async def test_slots_of_less_than_a_second_are_none_of_them() -> None:
    node = made()
    node.broken = {wire.PATHS[beacon.SPEC]: (200, spec(SECONDS_PER_SLOT="0", SLOT_DURATION_MS="250"))}
    async with asking(node) as session:
        answer = await session.ask(ALL)
    assert wire.slot_ns(wire.values(by_call(answer.parts)[beacon.SPEC])) == 250 * MS


@pytest.mark.parametrize("said", ABSURD[1:])
async def test_an_impossible_number_beside_those_that_decide_is_missing_and_no_fault(said: object) -> None:
    node = made()
    node.broken = {wire.PATHS[beacon.PEERS]: (200, spec(connected=said))}
    async with asking(node) as session:
        answer = await session.ask(ALL)
    assert answer.fault is None
    assert wire.number(wire.values(by_call(answer.parts)[beacon.PEERS]), "data.connected") is None


def _payloads(answer: Any) -> list[str]:
    return [part.call for part in answer.parts if beacon.root_of(part.call)]


async def test_a_path_and_a_key_in_the_url_go_with_every_request() -> None:
    asked: list[str] = []

    async def note(request: Request) -> None:
        asked.append(request.head.splitlines()[0])
        request.writer.write(http(b"{}", "404 Not Found"))

    async with serving(note) as node, session_to(f"{node.url}/v3/k3ypath/?apikey=qu3rykey") as session:
        answer = await session.ask((beacon.HEAD,))
    assert asked == [f"GET /v3/k3ypath{HEAD_PATH}?apikey=qu3rykey HTTP/1.1"]
    assert answer.fault is not None
    assert "k3ypath" not in answer.fault.detail + repr(answer)
    assert "qu3rykey" not in answer.fault.detail + repr(answer)


async def test_a_node_that_repeats_its_key_does_not_get_it_into_the_journal() -> None:
    node = made(version="Sim/s3cr3t-header-value")
    async with asking(node, headers=(("X-Key", Secret("s3cr3t-header-value")),)) as session:
        answer = await session.ask(ALL)
    assert b"s3cr3t-header-value" not in b"".join(part.result or b"" for part in answer.parts)
    assert wire.text(wire.values(by_call(answer.parts)[beacon.VERSION]), "data.version") == "Sim/***"


async def hang(_: Request) -> None:
    await asyncio.sleep(30)


async def drip(request: Request) -> None:
    for byte in http(b'{"data": {}}' + b" " * 4000):
        request.writer.write(bytes([byte]))
        await request.writer.drain()
        await asyncio.sleep(0.01)


FAULTS: list[tuple[str, Behaviour, FaultKind]] = [
    ("hangs", hang, FaultKind.TIMEOUT),
    ("drips", drip, FaultKind.TIMEOUT),
    ("HTML", saying(http(b"<html>hello</html>")), FaultKind.NOT_JSON),
    ("truncated", saying(http(b'{"data": ', Content_Length="")), FaultKind.NOT_JSON),
    ("an array", saying(http(b"[1, 2]")), FaultKind.MALFORMED),
    ("no data", saying(http(b'{"result": "0x1"}')), FaultKind.MALFORMED),
    ("503", saying(http(b"{}", "503 Service Unavailable")), FaultKind.HTTP_STATUS),
    ("401", saying(http(b"{}", "401 Unauthorized")), FaultKind.AUTH),
    ("429", saying(http(b"{}", "429 Too Many Requests", Retry_After="7")), FaultKind.RATE_LIMITED),
    ("a redirect", saying(http(b"", "302 Found", Location="http://elsewhere.invalid/")), FaultKind.HTTP_STATUS),
    ("too large", saying(http(b'{"data": "' + b"x" * 600_000 + b'"}')), FaultKind.TOO_LARGE),
    ("a bomb", saying(http(gzip.compress(b" " * 50_000_000), Content_Encoding="gzip")), FaultKind.TOO_LARGE),
]


@pytest.mark.parametrize(("_name", "behaviour", "kind"), FAULTS, ids=[name for name, *_ in FAULTS])
async def test_every_fault_of_the_head_is_the_fault_that_names_it(
    _name: str, behaviour: Behaviour, kind: FaultKind
) -> None:
    async def close(request: Request) -> None:
        await behaviour(request)
        if _name == "truncated":
            request.writer.close()

    async with serving(close) as node, session_to(node.url, timeout_ns=400 * MS) as session:
        answer = await session.ask(ALL)
    assert answer.fault is not None
    assert (answer.fault.kind, answer.parts) == (kind, ())


async def test_a_rate_limit_is_obeyed() -> None:
    node = made()
    node.broken = {"/": (429, b"{}")}
    async with asking(node) as session:
        first, second = await session.ask(EVERY), await session.ask(EVERY)
    assert first.fault is not None
    assert second.fault is not None
    assert (first.fault.kind, second.fault.kind) == (FaultKind.RATE_LIMITED, FaultKind.RATE_LIMITED)
    assert len(node.asked) == 2


async def test_every_request_is_on_the_bill_and_taken_from_the_purse_that_others_share() -> None:
    node, purse = made(), Budget(24_000)
    async with serve_beacons(node) as listeners, session_to(listeners[node.name].url, shared=(purse,)) as session:
        await session.ask(ALL)
        await session.ask(EVERY)
        assert session.bill().calls == session.bill().units == len(node.asked)
        assert session.is_bounded
        spent = len(node.asked)
        while purse.take(1, session._clock.t_ns()) == 0:
            spent += 1
        assert spent == 1_000, "an hour's worth, of which each request took one"
        last = await session.ask(EVERY)
    assert last.fault is not None
    assert last.fault.kind is FaultKind.BUDGET


async def test_a_scarce_budget_stretches_the_polls_of_a_beacon_node() -> None:
    node, clock, resolver = made(), engine_clock(), Resolver(SystemClock())
    heard: list[BeaconPolled] = []
    async with serve_beacons(node) as listeners:
        where = endpoint(listeners[node.name].url, budget_per_day=24 * 64)
        session = BeaconSession(where, clock=clock, resolver=resolver)
        plan = PollPlan(chain="sim", node="b", poll_ns=20 * MS, slot_ns=10**15, sparse_ns=10**15)
        prober = BeaconProber(plan, session, clock=clock, lag=LoopLag(clock))
        task = asyncio.create_task(prober.run(heard.append))  # type: ignore[arg-type]
        while session._pacing.affords(len(EVERY), len(EVERY), Need.ROUTINE, clock.t_ns()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        polls = len(heard)
        await asyncio.sleep(0.5)
        task.cancel()
        await session.close()
        await resolver.close()
    assert polls >= 5
    assert len(heard) <= polls + 1, "what is left is for a closer look and the floor"
    assert {poll.fault for poll in heard} == {None}
    assert all(poll.budget is not None for poll in heard)


async def test_answers_with_a_million_values_are_not_parsed() -> None:
    huge = json.dumps({"data": {"x": [[]] * 400_000}}).encode()
    call = beacon.payload_of("0x" + "11" * 32)
    assert getattr(wire.read(call, 200, huge), "kind", None) is FaultKind.TOO_LARGE


async def test_the_prober_asks_all_at_first_then_what_changes_and_all_again_after_a_failure() -> None:
    node = made()
    resolver = Resolver(SystemClock())
    clock = engine_clock()
    async with serve_beacons(node) as listeners:
        where = endpoint(listeners[node.name].url)
        session = BeaconSession(where, clock=clock, resolver=resolver)
        plan = PollPlan(chain="sim", node="b", poll_ns=50 * MS, slot_ns=10**12)
        prober = BeaconProber(plan, session, clock=clock, lag=LoopLag(clock))
        polls = [await prober.poll() for _ in range(2)]
        node.broken = {"/": (500, b"{}")}
        polls.append(await prober.poll())
        node.broken = {}
        polls.append(await prober.poll())
        heard: list[BeaconPolled] = []
        task = asyncio.create_task(prober.run(heard.append))  # type: ignore[arg-type]
        while len(heard) < 3:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        task.cancel()
        await session.close()
        await resolver.close()
    calls = [{part.call for part in poll.parts if beacon.root_of(part.call) is None} for poll in polls]
    assert calls == [set(ALL), set(EVERY), set(), set(ALL)]
    assert [poll.poll for poll in (*polls, *heard)] == list(range(1, len(polls) + len(heard) + 1))
    assert polls[2].fault is not None
    assert {poll.fault for poll in heard} == {None}


async def test_finality_that_did_not_come_is_asked_for_again_within_the_slot_but_not_for_ever() -> None:
    node, clock, resolver = made(), engine_clock(), Resolver(SystemClock())
    async with serve_beacons(node) as listeners:
        session = BeaconSession(endpoint(listeners[node.name].url), clock=clock, resolver=resolver)
        plan = PollPlan(chain="sim", node="b", poll_ns=50 * MS, slot_ns=10**15)
        prober = BeaconProber(plan, session, clock=clock, lag=LoopLag(clock))
        node.broken = {wire.PATHS[beacon.FINALITY]: (500, b"{}")}
        refused = [await prober.poll() for _ in range(6)]
        prober = BeaconProber(plan, session, clock=clock, lag=LoopLag(clock))
        lost = await prober.poll()
        node.broken = {}
        found = await prober.poll()
        await session.close()
        await resolver.close()
    assert [beacon.FINALITY in by_call(poll.parts) for poll in refused] == [True] * 3 + [False] * 3
    assert by_call(lost.parts)[beacon.FINALITY].result is None
    assert by_call(found.parts)[beacon.FINALITY].result is not None


async def test_what_nothing_expects_is_a_fault_of_ours_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with asking(made()) as session:
        failed = [(await session.ask((beacon.HEAD, "no such call"))).fault for _ in range(3)]
        assert (await session.ask(ALL)).fault is None
    for fault in failed:
        assert fault is not None
        assert fault.kind is FaultKind.INTERNAL
        assert "a defect of tocsin, not of the node: KeyError: 'no such call'" in fault.detail
    assert len([record for record in caplog.records if record.exc_info]) == 1


async def test_a_defect_inside_an_exchange_is_logged_once_and_where_only_peers_are_missed_the_poll_stands(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(HttpChannel):
        paths: tuple[str, ...] = tuple(wire.PATHS.values())

        async def get(self, path: str, progress: Progress, cap: int) -> Reply:
            if path in self.paths:
                raise ValueError("a mistake of ours")
            return await super().get(path, progress, cap)

    async with serve_beacons(node := made()) as listeners:
        resolver, where = Resolver(SystemClock()), endpoint(listeners[node.name].url)
        channel = Broken(where, resolver)
        session = BeaconSession(where, clock=engine_clock(), resolver=resolver, channel=channel)
        faults = [(await session.ask(ALL)).fault for _ in range(3)]
        assert [fault.kind for fault in faults if fault is not None] == [FaultKind.INTERNAL] * 3
        assert len([record for record in caplog.records if record.exc_info]) == 1
        channel.paths = (wire.PATHS[beacon.PEERS],)
        answer = await session.ask(ALL)
        assert answer.fault is None
        peers = by_call(answer.parts)[beacon.PEERS]
        assert peers.error is not None
        assert "a defect of tocsin" in peers.error.message
        await session.close()
        await resolver.close()


def test_secrets_of_an_endpoint_are_not_in_its_words() -> None:
    assert "k3y" not in repr(endpoint("http://user:k3y-long@h.invalid/"))
    assert "k3y" not in str(SecretUrl("http://h.invalid/k3y-long"))
