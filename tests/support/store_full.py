"""A process that runs a store onto a full disk and back; prints what it saw as JSON.

python -m tests.support.store_full fill FOLDER [die]      until alerts are not durable; then die, or come back
python -m tests.support.store_full look FOLDER            what a later start finds
python -m tests.support.store_full cover FOLDER           a mount comes over the state directory, and goes again
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.store_kit import group, row

from tocsin.clock import SystemClock
from tocsin.errors import StoreError
from tocsin.model.alert import Severity
from tocsin.store import Limits, Mode, RetainedRow, Store

LIMITS = Limits(reserve_bytes=256 << 10, resume_free_bytes=512 << 10, resume_every_ns=0)
KINDS = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)


class Run:
    """Commits one event and one alert at a time, and remembers what became of each."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.event = store.health().event_no
        self.seq = self.event
        self.modes: list[str] = []
        self.durable: list[int] = []
        self.unsaved: list[int] = []

    async def step(self, *, size: int = 3000) -> Mode:
        """Commit the next event with its alert."""
        self.event += 1
        self.seq += 1
        alert = row(self.seq, KINDS[self.seq % 3], f"f{self.seq % 7}", payload=b"%08d" % self.seq + bytes(size))
        state = RetainedRow(topic="status", payload=b"%d" % self.seq)
        made = group(
            self.event,
            1,
            size=size,
            outbox=(alert,),
            retained=(state,),
            snapshot=self.store.snapshot_wanted,
            effect_no=self.seq,
            wall_ns=SystemClock().wall_ns(),
        )
        committed = await self.store.commit(made)
        (self.durable if committed.durable else self.unsaved).append(self.seq)
        mode = self.store.health().mode
        if not self.modes or self.modes[-1] != mode:
            self.modes.append(mode)
        return mode


async def fill(folder: Path, *, die: bool) -> dict[str, Any]:
    """Go down the whole ladder, send some, come back up."""
    state_dir, ballast = folder / "state", folder / "ballast"
    store = await Store.open(state_dir, clock=SystemClock(), limits=LIMITS)
    run = Run(store)
    for _ in range(20):
        await run.step()
    _swell(ballast)
    while await run.step() is not Mode.NOT_DURABLE:
        pass
    for _ in range(20):
        await run.step()
    health = store.health()
    waiting = await store.pending(10_000)
    report: dict[str, Any] = {
        "modes": list(run.modes),
        "durable": list(run.durable),
        "unsaved": list(run.unsaved),
        "reason": health.reason,
        "gap": [health.gap.first_event, health.gap.last_event] if health.gap else None,
        "counts_pending": health.counts.pending,
        "pending": [[item.row.seq, item.durable, item.lane, item.row.fingerprint] for item in waiting],
        "retained": [(item.payload or b"").decode() for item in await store.retained_all()],
        "reserve": (state_dir / "reserve").exists(),
    }
    try:
        await store.export(folder / "no.tsj", from_wall_ns=0, to_wall_ns=2**62)
    except StoreError as error:
        report["export"] = [type(error).__name__, str(error), (folder / "no.tsj").exists()]
    sent = [item.row.seq for item in waiting if item.row.seq % 2]
    await store.mark_sent(sent)
    report["sent"] = sent
    report["left"] = [item.row.seq for item in await store.pending(10_000)]
    if die:
        print(json.dumps(report), flush=True)  # noqa: T201 - read by the test
        ballast.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    ballast.unlink()
    for _ in range(5):
        await run.step()
    report |= {
        "modes_after": list(run.modes),
        "gap_after": store.health().gap is not None,
        "left_after": [item.row.seq for item in await store.pending(10_000)],
        "all_durable_after": all(item.durable for item in await store.pending(10_000)),
        "reserve_after": (state_dir / "reserve").exists(),
        "last": run.event,
    }
    await store.close()
    return report


async def look(folder: Path) -> dict[str, Any]:
    """Say what is there."""
    async with await Store.open(folder / "state", clock=SystemClock(), limits=LIMITS) as store:
        recovered = await store.recover()
        tail = [entry.event_no async for entry in recovered.tail]
        exported = await store.export(folder / "all.tsj", from_wall_ns=0, to_wall_ns=2**62)
        return {
            "mode": store.health().mode,
            "snapshot": (recovered.snapshot or b"").decode(),
            "tail": tail,
            "complete": recovered.complete,
            "last": [recovered.last_event_no, recovered.last_effect_no],
            "pending": [item.row.seq for item in await store.pending(10_000)],
            "gaps": [[gap.first_event, gap.last_event] for gap in exported.gaps],
            "retained": [(item.payload or b"").decode() for item in await store.retained_all()],
        }


async def cover(folder: Path) -> dict[str, Any]:
    """Commit before, under and after another mount. Needs a mount namespace of its own."""
    state_dir = folder / "state"
    async with await Store.open(state_dir, clock=SystemClock(), limits=LIMITS) as store:
        durable, modes, reasons = [], [], []

        async def commit(seq: int) -> None:
            made = group(seq, 1, outbox=(row(seq),), snapshot=store.snapshot_wanted, effect_no=seq)
            durable.append((await store.commit(made)).durable)
            modes.append(store.health().mode)
            reasons.append(store.health().reason)

        await commit(1)
        await _mount("mount", "-t", "tmpfs", "-o", "size=4m", "none", str(state_dir))
        await commit(2)
        left = sorted(path.name for path in state_dir.iterdir())
        (state_dir / "tocsin.db").touch()
        await commit(3)
        await _mount("umount", str(state_dir))
        await store.counts()
        await commit(4)
        pending = [item.row.seq for item in await store.pending(10)]
    return {"durable": durable, "modes": modes, "reasons": reasons, "left_in_the_other": left, "pending": pending}


async def _mount(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0


def _swell(ballast: Path) -> None:
    """Take every block that is left on the device."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


if __name__ == "__main__":
    what, where = sys.argv[1], Path(sys.argv[2])
    runs: dict[str, Callable[[Path], Coroutine[Any, Any, dict[str, Any]]]] = {
        "look": look,
        "cover": cover,
        "fill": partial(fill, die="die" in sys.argv),
    }
    result = asyncio.run(runs[what](where))
    print(json.dumps(result))  # noqa: T201 - read by the test
