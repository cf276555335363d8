"""What delivery takes while nobody dies: one alert at a time, and none of them waits for another."""

from pathlib import Path

from benchmarks._delivery.rig import Rig, staged
from benchmarks._delivery.verdict import Books, committed, quantile

RATE: float = 2.0
_WARM: int = 5


async def idle(folder: Path, alerts: int) -> dict[str, float]:
    """Return, in ms, how long an alert takes from the tick that raised it to the end of the consumer's transaction."""
    rig = Rig.of(folder, {"seed": "idle", "rate": RATE, "goal": alerts + _WARM})
    async with staged(rig):
        now = await rig.until(
            lambda now: now["seq"] >= alerts + _WARM and not now["alerts"], "all", within_s=60 + 2 * alerts / RATE
        )
        await rig.until_here(now["seq"])
    found = Books.of(folder).figures()
    assert not any(found[key] for key in ("lost", "duplicates", "foreign", "holes", "order_broken", "unpaired")), found
    taken = [seconds * 1e3 for seq, _, seconds in committed(folder) if seq > _WARM]
    return {
        "idle_p50_ms": round(quantile(taken, 0.5), 2),
        "idle_p99_ms": round(quantile(taken, 0.99), 2),
        "idle_alerts": len(taken),
    }
