"""How fast a recording is decided again, and whether it gives the same bytes whatever the surroundings are.

A simulated hour of 20 nodes at 2 s polling (12 s blocks of mainnet size, an outage, a fork and a reorg in it) is
recorded through the real codec and file format. Then fresh processes replay the file, with other hash seed, time zone,
locale and folder, and their outputs are compared byte for byte with what the first run decided. Time is the CPU time of
the whole replaying process less that of importing, and beside it with everything.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks._settings import node_of, watching
from tocsin import __version__
from tocsin.clock import NS
from tocsin.engine.codec import FORMAT, encode_event, encode_state
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.model.effect import AlertChanged, Fetch, StateChanged
from tocsin.model.event import Booted, ConfigRevised, Event, Fetched, Polled, Ticked
from tocsin.model.observation import CHAIN_ID, FINALIZED, LATEST, SAFE, SYNCING, Fault, FaultKind
from tocsin.model.question import CLIENT_VERSION, PEERS, TXPOOL
from tocsin.model.settings import Settings
from tocsin.store import Group, Origin, Record, RecordingWriter, Snapshot
from tocsin.testing import ChainSpec, ManualClock, SimChain, SimNode
from tocsin.wire.envelope import Origin as Speaker
from tocsin.wire.envelope import render
from tocsin.wire.jsonrpc import encode, split

NODES, POLL_S, SLOT_S = 20, 2, 12
SPREAD_NS = 60_000_000
"""Answers of one round come in over this time: about every fourth time an evaluation tick (250 ms) falls into it.

Otherwise one tick a round sees them all, and none is due without news. A journal of the daemon with 20 nodes had 1.2
ticks of the chain and 2 of the watchdog itself per round.
"""


def settings() -> Settings:
    """Twenty nodes of ten providers."""
    nodes = [
        node_of(f"n{at}", f"p{at // 2}", own=at < NODES // 4, client="sim", endpoint="sim://") for at in range(NODES)
    ]
    return watching(nodes, slot_s=SLOT_S, poll_s=POLL_S)


class Source:
    """The events of a simulated stretch of time, in order; a calm one has no incidents."""

    def __init__(self, seconds: int, *, calm: bool = False) -> None:
        self.calm = calm
        self.clock = ManualClock()
        self.chain = SimChain(self.clock, ChainSpec(transactions=180, withdrawals=16, missed=0.01, jitter_ns=NS // 2))
        self.nodes = [SimNode(self.chain, name=f"n{at}", delay_ns=600_000_000 + at * 40_000_000) for at in range(NODES)]
        self.rounds = seconds // POLL_S
        self.fetches: list[Fetch] = []

    def now(self) -> int:
        return self.clock.monotonic_ns() + 10**15

    def events(self) -> Iterator[Event]:
        yield Booted(t_ns=self.now(), wall_ns=self.clock.wall_ns(), boot="bench", version=__version__)
        yield ConfigRevised(t_ns=self.now(), settings=settings())
        for number in range(1, self.rounds + 1):
            self._incidents(number)
            yield from self._round(number)

    def _incidents(self, number: int) -> None:
        if self.calm:
            return
        share = number * 100 // self.rounds
        if number == self.rounds * 20 // 100:
            self.chain.fork("bad", depth=2)
        self.nodes[3].view.branch = "bad" if 20 <= share < 25 else "main"
        if number == self.rounds * 60 // 100:
            self.chain.reorg(3)

    def _round(self, number: int) -> Iterator[Event]:
        calls = (CHAIN_ID, LATEST, *((SAFE, FINALIZED, SYNCING) if number % (SLOT_S // POLL_S) == 1 else ()))
        out = not self.calm and 40 <= number * 100 // self.rounds < 45
        for at, node in enumerate(self.nodes):
            self.clock.advance(ns=SPREAD_NS // NODES)
            asked = calls + self._slow(at, number)
            got = split(node.answer(encode(asked, batch=True)), asked)
            failed = Fault(kind=FaultKind.TIMEOUT, detail="no answer") if out and at == 7 else None
            parts = got if failed is None and isinstance(got, tuple) else ()
            yield Polled(
                t_ns=self.now(),
                started_ns=self.now() - 3_000_000,
                chain="sim",
                node=node.name,
                poll=number,
                parts=parts,
                fault=failed,
            )
            if at == NODES - 1 or (at == NODES // 2 and number % 4 == 0):
                yield self._tick("sim")
        for fetch in self.fetches:
            node = next(each for each in self.nodes if each.name == fetch.node)
            got = split(node.answer(encode((fetch.call,), batch=True)), (fetch.call,))
            part = got[0] if isinstance(got, tuple) else None
            yield Fetched(
                t_ns=self.now(), chain="sim", node=fetch.node, request=fetch.request, call=fetch.call, part=part
            )
        self.fetches.clear()
        for _ in range(POLL_S):
            self.clock.advance(ns=NS - SPREAD_NS // POLL_S)
            yield self._tick("")

    def _slow(self, at: int, number: int) -> tuple[str, ...]:
        """Return what a node is asked once a minute; an own node is asked more."""
        if (number + at) % (60 // POLL_S):
            return ()
        return (CLIENT_VERSION, PEERS, TXPOOL) if at < NODES // 4 else (CLIENT_VERSION,)

    def _tick(self, chain: str) -> Ticked:
        return Ticked(t_ns=self.now(), wall_ns=self.clock.wall_ns(), chain=chain)


def record(path: Path, seconds: int, section_s: int = 600) -> tuple[str, int]:
    """Write the recording; return the digest of what was decided and the number of events."""
    source, state, digest, count = Source(seconds), EngineState(), hashlib.sha256(), 0
    origin = Origin(code=__version__, codec=FORMAT, config_hash="0")
    speaker = Speaker(site="bench", watchdog="w")
    next_snapshot = source.now() + section_s * NS
    with RecordingWriter(path, origin=origin) as out:
        for event in source.events():
            done = step(state, event)
            state, count = done.state, count + 1
            for effect in done.effects:
                if isinstance(effect, Fetch):
                    source.fetches.append(effect)
                elif isinstance(effect, AlertChanged | StateChanged):
                    for message in render(effect, speaker, state.boot):
                        digest.update(f"{message.topic} {message.payload.decode()}\n".encode())
            data, bodies = encode_event(event)
            snapshot = None
            if event.t_ns >= next_snapshot:
                next_snapshot += section_s * NS
                snapshot = Snapshot(event_no=count, data=encode_state(state))
            out.append(
                Group(
                    t_ns=event.t_ns,
                    wall_ns=source.clock.wall_ns(),
                    effect_no=0,
                    records=(Record(event_no=count, data=data, bodies=bodies),),
                    snapshot=snapshot,
                )
            )
    return digest.hexdigest(), count


_IMPORT_ONLY = "import tocsin.cli.main, tocsin.lab.replay"
_REPLAY = "import sys; from tocsin.__main__ import main; sys.exit(main())"


def cpu_s(code: str, arguments: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, str]:
    """Run code in a fresh process; return its CPU seconds and the digest of what it prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, hashlib.sha256(run.stdout).hexdigest()


SURROUNDINGS = (
    {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"},
    {"PYTHONHASHSEED": "4242", "TZ": "America/St_Johns", "LC_ALL": "POSIX", "OMP_NUM_THREADS": "2"},
)


def measure(seconds: int) -> dict[str, object]:
    """Record, replay three times, compare."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "hour.tsj"
        decided, events = record(path, seconds)
        idle = min(cpu_s(_IMPORT_ONLY, [], folder, {})[0] for _ in range(3))
        places = [folder, folder / "elsewhere", Path("/")]
        places[1].mkdir()
        runs = [
            cpu_s(_REPLAY, ["replay", str(path), "--retained"], place, surroundings)
            for place, surroundings in zip(places, SURROUNDINGS, strict=True)
        ]
        used = sorted(run[0] for run in runs)[len(runs) // 2]
        return {
            "byte_identical": all(digest == decided for _, digest in runs),
            "times_real_time": round(seconds / (used - idle)),
            "times_real_time_with_start": round(seconds / used),
            "cpu_us_per_event": round((used - idle) / events * 1e6, 1),
            "events": events,
            "nodes": NODES,
            "seconds": seconds,
            "recording_mb": round(path.stat().st_size / 1e6, 2),
            "market_accounts": 0,
        }


def main() -> None:
    """Print the figures; with --json the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=int, default=3600, help="simulated seconds")
    arguments = parser.parse_args()
    result = measure(arguments.seconds)
    print(json.dumps(result) if arguments.json else "\n".join(f"{key}: {value}" for key, value in result.items()))


if __name__ == "__main__":
    main()
