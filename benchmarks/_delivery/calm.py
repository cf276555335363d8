"""What delivery takes while nobody dies: one alert at a time, and none of them waits for another."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

from benchmarks._delivery.floor import floor
from benchmarks._delivery.rig import Rig, staged
from benchmarks._delivery.verdict import Books, committed, quantile

RATE: float = 2.0
_WARM: int = 5


async def idle(folder: Path, alerts: int) -> dict[str, float]:
    """Return, in ms, how long an alert takes from the tick that raised it to the end of the consumer's transaction."""
    rig = Rig.of(folder, {"seed": "idle", "rate": RATE, "goal": alerts + _WARM})
    bare: list[float] = []
    async with staged(rig), _beside(floor(folder, rig.broker.port, bare)):
        now = await rig.until(
            lambda now: now["seq"] >= alerts + _WARM and not now["alerts"],
            "all",
            within_s=60 + 3 * alerts / RATE,
            every_s=1.0,
        )
        await rig.until_here(now["seq"])
    books = Books.of(folder)
    assert not books.wrong(), books.figures()
    taken = [seconds * 1e3 for seq, _, seconds in committed(folder) if seq > _WARM]
    return {
        "idle_p50_ms": round(quantile(taken, 0.5), 2),
        "idle_p99_ms": round(quantile(taken, 0.99), 2),
        "idle_alerts": len(taken),
        "idle_floor_p50_ms": round(quantile(bare, 0.5), 2),
        "idle_floor_p99_ms": round(quantile(bare, 0.99), 2),
    }


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run something for ever beside a block."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
