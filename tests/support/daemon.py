"""A stand-in for the daemon as readers see it: a real control socket and a real status file, with a chosen status."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tocsin.clock import NS, SystemClock
from tocsin.runtime.control import ControlServer, Peer, Request
from tocsin.runtime.statusfile import StatusFile

FINGERPRINT = "4f1c2d3e4a5b6c7d8e9f00112233445566778899"[:32]


def status_document(*, now_wall_ns: int, level: str = "critical", age_s: float = 0.0) -> dict[str, Any]:
    """Return a status with two chains, one with a forked node, written `age_s` before `now_wall_ns`."""
    written = now_wall_ns - int(age_s * NS)
    fork = {
        "fingerprint": FINGERPRINT,
        "detector": "node.fork",
        "severity": "critical",
        "state": "firing",
        "labels": {"chain": "eip155:1", "node": "ams.reth"},
        "summary": "ethereum/reth left the agreed chain at 21004118",
        "since_wall_ns": written - 192 * NS,
        "acked_by": None,
        "silenced_by": ["s1"],
        "flapping": False,
        "inhibited_by": None,
    }
    silence = {
        "id": "s1",
        "match": "node=reth",
        "by": "ann",
        "reason": "disk swap",
        "from_wall_ns": written - 60 * NS,
        "until_wall_ns": written + 3600 * NS,
        "critical": True,
        "active": True,
        "covers": 1,
        "spares": 0,
    }
    return {
        "schema": 1,
        "watchdog": {
            "site": "ams",
            "name": "host-a",
            "environment": "prod",
            "version": "0.1.0",
            "boot": "0123456789ab",
            "started_at": "2026-01-01T00:00:00Z",
        },
        "written_wall_ns": written,
        "stale_after_s": 15,
        "seq": 8123,
        "level": level,
        "config": {"hash": "ab" * 16, "ok": True, "problems": [], "loaded_at": "2026-01-01T00:00:00Z"},
        "broker": {"state": "connected", "detail": "mqtt://127.0.0.1:1883", "outbox": 0},
        "store": {"state": "ok", "detail": ""},
        "chains": [
            _chain("ethereum", 1, level, [_node("geth", 21004131, 0), _node("reth", 21004118, 13, "forked")]),
            _chain("base", 8453, "ok", [_node("op", 33810422, 0)]),
        ],
        "alerts": [fork] if level == "critical" else [],
        "silences": [silence] if level == "critical" else [],
        "loop_lag_ms": 0.7,
    }


def _chain(name: str, chain_id: int, level: str, nodes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "id": chain_id,
        "level": level,
        "grade": "quorum",
        "assumption": None,
        "head": {"number": nodes[0]["head"], "hash": "0x" + "11" * 32},
        "head_age_s": 6.0,
        "finalized": {"number": nodes[0]["head"] - 64, "hash": "0x" + "22" * 32},
        "votes": 2,
        "voting_groups": 3,
        "groups": 3,
        "nodes": nodes,
    }


def _node(name: str, head: int, behind: int, state: str = "healthy") -> dict[str, Any]:
    return {
        "name": name,
        "state": state,
        "reasons": [] if state == "healthy" else ["forked at 21004118"],
        "head": head,
        "behind": behind,
        "behind_s": behind * 12.0,
        "latency_ms": 3.6,
        "polls": 8123,
    }


@contextmanager
def daemon(
    folder: Path,
    document: Callable[[], Mapping[str, Any]] | None = None,
    *,
    heard: list[Mapping[str, Any]] | None = None,
    quiet: bool = False,
) -> Iterator[StatusFile]:
    """Serve status, reload, ack and events in `folder` from a thread; requests are appended to `heard`.

    A quiet one has no events.
    """
    make = document or (lambda: status_document(now_wall_ns=SystemClock().wall_ns()))
    log = heard if heard is not None else []

    async def status(_: Request, __: Peer) -> Mapping[str, object]:
        return make()

    async def ack(request: Request, _: Peer) -> Mapping[str, object]:
        log.append(request)
        return {"fingerprint": request["fingerprint"]}

    async def reload(request: Request, _: Peer) -> Mapping[str, object]:
        log.append(request)
        problems = ["tocsin.toml:3: chain.0.id: 0 is no chain id"] if len(log) > 1 else []
        return {"ok": not problems, "problems": problems, "hash": "ab" * 16}

    async def events(request: Request, _: Peer) -> AsyncGenerator[Mapping[str, object], None]:
        log.append(request)
        for number in range(0 if quiet else request["n"]):
            yield {
                "specversion": "1.0",
                "id": f"host-a:0123456789ab:{number}",
                "type": "dev.tocsin.alert.v1",
                "time": "2026-01-01T00:00:00Z",
                "data": {**make()["alerts"][0]},
            }

    server = ControlServer(folder, {"status": status, "ack": ack, "reload": reload}, {"events": events})
    server.claim()
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def serve() -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(server.serve())
            while not server.path.exists():  # noqa: ASYNC110 - another task makes it
                await asyncio.sleep(0.001)
            ends.append(task)
            started.set()

    ends: list[asyncio.Task[None]] = []
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    started.wait(20)
    file = StatusFile(folder)
    file.write(make())
    try:
        yield file
    finally:
        loop.call_soon_threadsafe(ends[0].cancel)
        thread.join()
        loop.close()
        server.release()
