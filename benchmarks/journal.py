"""How many bytes a day the journal takes, what an event costs, and how long a commit.

Twenty nodes of four clients, polled every 2 s, on a chain of 12 s blocks of 16 kB: the records are made by the real
codec, the answers of random hashes (nothing but their spelling repeats), the commits go through the real store, one at
a time, as the daemon does. The stretch spans whole segments; the figures are scaled to a day from what was sealed.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tocsin.clock import NS
from tocsin.engine.codec import FORMAT, encode_event
from tocsin.model.event import Event, Polled, Ticked
from tocsin.model.observation import CHAIN_ID, FINALIZED, LATEST, SAFE, SYNCING, Part
from tocsin.store import Group, Origin, Record, Snapshot, Store
from tocsin.testing import ManualClock

NODES, CLIENTS, POLL_S, SLOT_S = 20, 4, 2, 12
TICKS_PER_S = 4
SEGMENT_S = 600
DAY_S = 86_400
TRANSACTIONS, WITHDRAWALS = 180, 16
SNAPSHOT_BYTES = 200_000
MAX_GB = 2


class Chain:
    """Blocks of random hashes, spelt as four clients do: other order, other fields."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._blocks: dict[int, dict[str, object]] = {}

    def spelt(self, number: int, client: int) -> bytes:
        block = self._blocks.get(number) or self._make(number)
        keys = sorted(block) if client == 0 else list(block)
        if client == 1:
            keys.reverse()
        shown = {key: block[key] for key in keys if client < 3 or key != "totalDifficulty"}
        if client == 2:
            shown["uncles"] = []
        return json.dumps(shown, separators=(",", ":")).encode()

    def _make(self, number: int) -> dict[str, object]:
        block: dict[str, object] = {
            "number": hex(number),
            "timestamp": hex(1_700_000_000 + number * SLOT_S),
            "logsBloom": "0x" + self._rng.randbytes(256).hex(),
            "gasLimit": "0x2255100",
            "gasUsed": hex(self._rng.randrange(30_000_000)),
            "baseFeePerGas": hex(self._rng.randrange(10**10)),
            "totalDifficulty": "0xc70d815d562d3cfa955",
            "extraData": "0x6265617665726275696c642e6f7267",
            "miner": self._hex(20),
        }
        for key in ("hash", "parentHash", "stateRoot", "receiptsRoot", "transactionsRoot", "mixHash", "sha3Uncles"):
            block[key] = self._hex(32)
        block["transactions"] = [self._hex(32) for _ in range(TRANSACTIONS)]
        block["withdrawals"] = [
            {
                "index": hex(number * WITHDRAWALS + at),
                "validatorIndex": hex(self._rng.randrange(10**6)),
                "address": self._hex(20),
                "amount": hex(self._rng.randrange(10**8)),
            }
            for at in range(WITHDRAWALS)
        ]
        self._blocks[number] = block
        return block

    def _hex(self, size: int) -> str:
        return "0x" + self._rng.randbytes(size).hex()


def events(chain: Chain, seconds: int) -> Iterator[list[Event]]:
    """Yield what came in between one evaluation tick and the next, the tick included."""
    rng = random.Random(7)  # noqa: S311 - reproducible, not secret
    phase = [rng.random() * POLL_S for _ in range(NODES)]
    delay = [0.3 + rng.random() * 2 for _ in range(NODES)]
    step = NS // TICKS_PER_S
    for tick in range(seconds * TICKS_PER_S):
        start_s, now_ns = tick / TICKS_PER_S, (tick + 1) * step
        due = [node for node in range(NODES) if 0 <= (start_s - phase[node]) % POLL_S < 1 / TICKS_PER_S]
        yield [
            *(_polled(chain, node, start_s, delay[node], now_ns) for node in due),
            Ticked(t_ns=now_ns, wall_ns=now_ns, chain="ethereum", loop_lag_ns=rng.randrange(10**6)),
            *([Ticked(t_ns=now_ns, wall_ns=now_ns, chain="")] if tick % TICKS_PER_S == 0 else []),
        ]


def _polled(chain: Chain, node: int, at_s: float, delay_s: float, now_ns: int) -> Polled:
    poll = int(at_s // POLL_S) + 1
    number = 1000 + int((at_s - delay_s) // SLOT_S)
    client = node % CLIENTS
    parts = [Part(call=CHAIN_ID, result=b'"0x1"'), Part(call=LATEST, result=chain.spelt(number, client))]
    if poll % (SLOT_S // POLL_S) == 1:
        epoch = number - number % 32
        parts.append(Part(call=SAFE, result=chain.spelt(epoch - 32, client)))
        parts.append(Part(call=FINALIZED, result=chain.spelt(epoch - 64, client)))
        parts.append(Part(call=SYNCING, result=b"false"))
    started = now_ns - 120_000_000 - (node * 7919 + poll * 104_729) % 90_000_000
    return Polled(t_ns=now_ns - 1, started_ns=started, chain="ethereum", node=f"n{node}", poll=poll, parts=tuple(parts))


def groups(seconds: int) -> Iterator[Group]:
    """Yield one group per evaluation tick, and a snapshot where a segment ends."""
    chain, number = Chain(1), 0
    state = json.dumps([chain.spelt(990, client).decode() for client in range(CLIENTS)] * 3).encode()[:SNAPSHOT_BYTES]
    for tick, some in enumerate(events(chain, seconds), 1):
        records = []
        for event in some:
            number += 1
            data, bodies = encode_event(event)
            records.append(Record(event_no=number, data=data, bodies=bodies))
        rolls = tick % (SEGMENT_S * TICKS_PER_S) == 0
        yield Group(
            t_ns=some[-1].t_ns,
            wall_ns=some[-1].t_ns,
            effect_no=0,
            records=tuple(records),
            snapshot=Snapshot(event_no=number, data=state) if rolls else None,
        )


async def measure(folder: Path, seconds: int) -> dict[str, object]:
    clock = ManualClock(wall_ns=0)
    latencies: list[float] = []
    handover, loop, count, raw = 0.0, 0.0, 0, 0
    async with await Store.open(folder / "state", clock=clock, origin=Origin(code="bench", codec=FORMAT)) as store:
        await store.recover()
        written, cpu, own = _written(), time.process_time(), time.thread_time()
        for group in groups(seconds):
            began, handed = time.perf_counter(), time.thread_time()
            commit = await store.submit(group)
            handover += time.thread_time() - handed
            await commit
            latencies.append(time.perf_counter() - began)
            loop += time.thread_time() - handed
            count += len(group.records)
            raw += sum(len(one.data) + sum(map(len, one.bodies.values())) for one in group.records)
        assert await store.sealed()
        # What making the events costs is no part of it: all that this thread did beside the commits.
        cpu = time.process_time() - cpu - (time.thread_time() - own - loop)
        written = _written() - written
        sealed = [info for info in await store.segments() if info.state == "sealed"]
    assert sum(info.last_event - info.first_event + 1 for info in sealed) == count
    days = seconds / DAY_S
    latencies.sort()
    return {
        "gb_per_day": round(sum(info.size for info in sealed) / days / 1e9, 4),
        "gb_per_day_limit": MAX_GB,
        "written_gb_per_day": round(written / days / 1e9, 3),
        "gb_per_day_unsplit": round(raw / days / 1e9, 2),
        "events": count,
        "events_per_group": round(count / len(latencies), 1),
        "segments": len(sealed),
        "cpu_us_per_event": round(cpu / count * 1e6, 1),
        "handover_us_per_event": round(handover / count * 1e6, 1),
        "loop_us_per_event": round(loop / count * 1e6, 1),
        "core_share": round(cpu / seconds, 5),
        "commit_p50_ms": round(latencies[len(latencies) // 2] * 1e3, 2),
        "commit_p99_ms": round(latencies[len(latencies) * 99 // 100] * 1e3, 2),
    }


def _written() -> int:
    """Return the bytes that this process has had written to a device; 0 where the kernel does not say."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the JSON object only")
    parser.add_argument("--segments", type=int, default=2, help="ten-minute segments to simulate (default 2)")
    parser.add_argument("--folder", type=Path, help="where to write (default: the folder for temporary files)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        result = asyncio.run(measure(Path(folder), args.segments * SEGMENT_S))
    if not args.json:
        for key, value in result.items():
            print(f"{key:20} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
