"""What the daemon takes while nothing happens: a real process, 20 nodes that are well, polls every 2 s.

    python -m benchmarks.rest [--json] [--quick]

The nodes are those of the public simulator, in another process: one chain of 12 s blocks of mainnet size, ten
providers, each node on a port of its own. The broker is a real one where this host has one. The figures are the
kernel's for the daemon's process, all threads and all of its memory: journal, commits to a real disk, broker and status
file are in them. It is measured after every node was learnt; start and learning are reported beside it.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin.cli import _client
from tocsin.clock import NS, SystemClock
from tocsin.errors import ControlError
from tocsin.mqtt.embedded import available, embedded_broker
from tocsin.testing import ChainSpec, SimChain, SimNode
from tocsin.testing.simnode import serve_nodes

NODES, POLL_S, SLOT_S = 20, 2, 12
MAX_SHARE, MAX_MB = 0.03, 120
_LEARNT_S = 110
"""From 30 s on, one node after the other is asked what it can answer: a dozen questions each, for 70 s in all."""


async def serve() -> None:
    """Serve the nodes until killed; the first line says where."""
    chain = SimChain(SystemClock(), ChainSpec(slot_ns=SLOT_S * NS, transactions=180, withdrawals=16))
    async with serve_nodes(*(SimNode(chain, name=f"n{at}") for at in range(NODES))) as listeners:
        print(json.dumps([listeners[f"n{at}"].url for at in range(NODES)]), flush=True)
        await asyncio.Event().wait()


@contextlib.contextmanager
def running_nodes() -> Iterator[list[str]]:
    """Run the nodes in a process and give their URLs."""
    with subprocess.Popen([sys.executable, "-m", "benchmarks.rest", "--serve"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


def configuration(folder: Path, urls: list[str], broker: str | None) -> str:
    """Return a configuration of one chain, everything at its default."""
    tables = [
        'schema = 1\n[watchdog]\nsite = "bench"\nname = "w"',
        f'state_dir = "{folder}/state"\nruntime_dir = "{folder}/run"',
        f'[mqtt]\nurl = "{broker}"' if broker else "",
        f'[[chain]]\nname = "sim"\nid = 1337\nblock_time = "{SLOT_S}s"\npoll = "{POLL_S}s"',
        *(
            f'[[chain.node]]\nname = "n{at}"\nurl = "{url}"\nprovider = "p{at // 2}"\nown = {str(at < 5).lower()}'
            for at, url in enumerate(urls)
        ),
    ]
    return "\n".join(tables)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What the kernel says of a process at an instant."""

    wall_ns: int
    cpu_s: float
    rss_mb: float
    written: int

    @classmethod
    def of(cls, pid: int) -> "Usage":
        return cls(
            wall_ns=SystemClock().monotonic_ns(),
            cpu_s=time.clock_gettime(_cpu_clock(pid)),
            rss_mb=_kilobytes(Path(f"/proc/{pid}/status").read_text(), "VmRSS") * 1024 / 1e6,
            written=_kilobytes(Path(f"/proc/{pid}/io").read_text(), "write_bytes"),
        )


def _cpu_clock(pid: int) -> int:
    """Return the id of a process' CPU clock, as clock_getcpuclockid(3) makes it.

    It counts to the nanosecond; the times in /proc are sampled, and a daemon that wakes up with the kernel's tick is
    charged twice what it takes.
    """
    return (~pid << 3) | 2


def _kilobytes(text: str, key: str) -> int:
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{key}:")))


@contextlib.contextmanager
def running_daemon(folder: Path) -> Iterator[int]:
    """Run the daemon with the configuration in a folder, and give its process id once it knows every node."""
    command = [sys.executable, "-m", "tocsin", "run", "--config", str(folder / "tocsin.toml"), "--log-level", "warning"]
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("TOCSIN_", "NOTIFY_"))}
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log, env=environ) as daemon:
        try:
            yield daemon.pid
        finally:
            daemon.terminate()
            daemon.wait(60)


async def until_well(folder: Path) -> dict[str, Any]:
    """Return the status once every node is polled and the head is agreed."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(ControlError):
                now: dict[str, Any] = await asyncio.to_thread(_client.ask, str(folder / "run"), "status", {})
                if all(chain["head"] and len(chain["nodes"]) == NODES for chain in now["chains"]):
                    return now
            await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def brokers(folder: Path) -> AsyncIterator[str | None]:
    """Give the URL of a broker, None where this host has none."""
    names = available()
    if not names:
        yield None
        return
    async with embedded_broker(folder, name=names[0]) as broker:
        yield broker.url


async def measure(*, warm_s: int, run_s: int) -> dict[str, object]:
    """Return all figures."""
    with tempfile.TemporaryDirectory() as name, running_nodes() as urls:
        folder = Path(name)
        async with brokers(folder) as broker:
            (folder / "tocsin.toml").write_text(configuration(folder, urls, broker))
            with running_daemon(folder) as pid:
                await until_well(folder)
                started = Usage.of(pid)
                await asyncio.sleep(warm_s)
                before = Usage.of(pid)
                await asyncio.sleep(run_s)
                after = Usage.of(pid)
                shown = await until_well(folder)
            log = (folder / "log").read_text()
    wall_s = (after.wall_ns - before.wall_ns) / NS
    return {
        "core_share": round((after.cpu_s - before.cpu_s) / wall_s, 4),
        "rss_mb": round(after.rss_mb, 1),
        "start_cpu_s": round(started.cpu_s, 2),
        "learning_share": round((before.cpu_s - started.cpu_s) * NS / (before.wall_ns - started.wall_ns), 4),
        "disk_kb_per_s": round((after.written - before.written) / 1e3 / wall_s, 1),
        "alerts": len(shown["alerts"]),
        "broker": broker is not None,
        "nodes": NODES,
        "seconds": run_s,
        "log_lines": len(log.splitlines()),
        "limit_core_share": MAX_SHARE,
        "limit_rss_mb": MAX_MB,
    }


def main() -> None:
    """Print the figures; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description="what the daemon takes while nothing happens")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--quick", action="store_true", help="a few seconds: a smoke test, no figures")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    figures = asyncio.run(measure(warm_s=1 if options.quick else _LEARNT_S, run_s=4 if options.quick else 60))
    if not options.json:
        for name, value in figures.items():
            print(f"{name:18} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
