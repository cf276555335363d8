"""The broker is away for minutes while alerts go on: nothing is lost, they do not wait in memory, and all is sent."""

import asyncio
from pathlib import Path

from benchmarks._delivery.rig import Rig, staged
from benchmarks._delivery.verdict import Books

_WARM_S: float = 60.0
"""What a process takes for itself in its first minute, with the broker there as well, is not what an outage costs."""
_LOOK_S: float = 1.0


async def outage(folder: Path, *, seconds: float, rate: float) -> dict[str, float]:
    """Return rows that waited, seconds to send them (the stream goes on meanwhile), and megabytes that were added."""
    loop = asyncio.get_running_loop()
    rig = Rig.of(folder, {"seed": "outage", "rate": rate, "goal": round(rate * (seconds + _WARM_S + 10))})
    async with staged(rig):
        await rig.until(lambda now: now["seq"] > 0, "the first alert")
        await asyncio.sleep(_WARM_S)
        rig.broker.kill()
        before, most, ends = rig.rss_mb(), 0.0, loop.time() + seconds
        while loop.time() < ends:
            most = max(most, rig.rss_mb())
            rig.listen()
            await asyncio.sleep(_LOOK_S)
        waiting = int(((await rig.status()) or {})["broker"]["outbox"])
        await asyncio.to_thread(rig.broker.start)
        up = loop.time()
        await rig.until(lambda now: not now["broker"]["outbox"], "the outbox is empty", within_s=600)
        drain_s = loop.time() - up
        most = max(most, rig.rss_mb())
        last = await rig.until(lambda now: not now["alerts"] and not now["broker"]["outbox"], "the end", within_s=600)
        await rig.until_here(last["seq"], within_s=60 + waiting / 20)
        caught_up_s = loop.time() - up
    books = Books.of(folder)
    found = books.figures()
    return {
        "outage_s": seconds,
        "outage_rows": waiting,
        "outage_lost": found["lost"],
        "outage_wrong": books.wrong(),
        "drain_s": round(drain_s, 2),
        "consumer_caught_up_s": round(caught_up_s, 1),
        "outage_rss_mb": round(most - before, 1),
    }
