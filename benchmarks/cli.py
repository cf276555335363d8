"""How long a person waits for `tocsin status`: whole processes, cold interpreter, real socket and real file.

Two situations: a daemon that answers on its control socket, and one that hangs, so that the status comes from the file
(which adds the second that the daemon is given). Beside them the bare interpreter, as the floor.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from tocsin.clock import SystemClock
from tocsin.runtime.control import ControlServer, Peer, Request
from tocsin.runtime.statusfile import StatusFile

CHAINS, NODES, ALERTS = 12, 5, 20
ENTRY = "import sys; from tocsin.__main__ import main; sys.exit(main())"
"""What the installed script does."""

MODULES = ENTRY.replace("sys.exit(main())", "main(); print(len(sys.modules), file=sys.stderr)")


def document() -> dict[str, Any]:
    """Return the status of a large installation, written now."""
    node = {"state": "healthy", "reasons": [], "head": 21_004_131, "behind": 0, "behind_s": 0.0, "latency_ms": 3.1}
    chain = {
        "id": 1,
        "level": "ok",
        "grade": "quorum",
        "head": {"number": 21_004_131, "hash": "0x" + "ab" * 32},
        "head_age_s": 4.2,
        "finalized": {"number": 21_004_067, "hash": "0x" + "cd" * 32},
        "votes": 3,
        "voting_groups": 3,
        "groups": 3,
        "nodes": [{"name": f"node-{number}", "polls": 8123, **node} for number in range(NODES)],
    }
    alert = {
        "detector": "node.lag",
        "severity": "warning",
        "state": "firing",
        "labels": {"chain": "eip155:1", "node": "ams.geth"},
        "summary": "ethereum/geth is 4 blocks behind",
        "acked_by": None,
    }
    now = SystemClock().wall_ns()
    return {
        "schema": 1,
        "watchdog": {"site": "ams", "name": "host-a", "environment": "prod", "version": "0", "boot": "0" * 12},
        "written_wall_ns": now,
        "stale_after_s": 60,
        "seq": 8123,
        "level": "warning",
        "config": {"hash": "ab" * 16, "ok": True, "problems": [], "loaded_at": "2026-01-01T00:00:00Z"},
        "broker": {"state": "connected", "detail": "", "outbox": 0},
        "store": {"state": "ok", "detail": ""},
        "chains": [{"name": f"chain-{number}", **chain} for number in range(CHAINS)],
        "alerts": [{"fingerprint": f"{n:032x}", "since_wall_ns": now, **alert} for n in range(ALERTS)],
        "loop_lag_ms": 0.4,
    }


@contextlib.contextmanager
def serving(folder: Path, *, hung: bool) -> Iterator[None]:
    """Answer `status` in `folder` from a thread, or never."""

    async def status(_: Request, __: Peer) -> Mapping[str, object]:
        if hung:
            await asyncio.Event().wait()
        return document()

    server = ControlServer(folder, {"status": status})
    server.claim()
    loop = asyncio.new_event_loop()
    started = threading.Event()
    serve: list[asyncio.Task[None]] = []

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            serve.append(group.create_task(server.serve()))
            while not server.path.exists():  # noqa: ASYNC110 - another task makes it
                await asyncio.sleep(0.001)
            started.set()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    started.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(serve[0].cancel)
        thread.join()
        loop.close()
        server.release()


def times_ms(command: Sequence[str], runs: int, *, code: int) -> list[float]:
    """Return the wall times of a process, sorted."""
    found = []
    for _ in range(runs):
        start = perf_counter()
        done = subprocess.run(command, capture_output=True, check=False, env=_environ())
        found.append((perf_counter() - start) * 1000)
        assert done.returncode == code, (done.returncode, done.stderr)
    return sorted(found)


def _environ() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("TOCSIN_", "PYTHON"))}


def measure(runs: int) -> dict[str, object]:
    """Return all figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        StatusFile(folder).write(document())
        where = ("--runtime-dir", name)
        with serving(folder, hung=False):
            status = times_ms([sys.executable, "-c", ENTRY, "status", *where], runs, code=1)
            check = times_ms([sys.executable, "-c", ENTRY, "check", *where], runs, code=1)
            counted = subprocess.run(
                [sys.executable, "-c", MODULES, "status", *where], capture_output=True, check=True, env=_environ()
            )
        with serving(folder, hung=True):
            hung = times_ms([sys.executable, "-c", ENTRY, "status", *where], 3, code=1)
    bare = times_ms([sys.executable, "-c", ""], runs, code=0)
    return {
        "status_ms": round(median(status), 1),
        "status_min_ms": round(status[0], 1),
        "check_ms": round(median(check), 1),
        "hung_ms": round(median(hung), 1),
        "interpreter_ms": round(median(bare), 1),
        "modules": int(counted.stderr.split()[-1]),
        "runs": runs,
        "limit_ms": 150,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    figures = measure(options.runs)
    if not options.json:
        for key, value in figures.items():
            print(f"{key:16} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
