"""A wall clock that jumps by hours, and a database that is damaged at the start."""

import os
from pathlib import Path

from benchmarks._delivery.rig import Rig, staged
from benchmarks._delivery.verdict import Books
from tocsin.clock import SystemClock


async def clock_steps(folder: Path) -> dict[str, float]:
    """Step the daemon's wall clock by an hour, again and again, with a consumer whose clock is an hour slow."""
    goal = 300
    rig = Rig.of(folder, {"seed": "clock", "rate": 20, "goal": goal, "wall_steps_s": [3600, 0, -3600, 0]})
    rig.consumer.command = [*rig.consumer.command, "--ahead-s", "-3600"]
    async with staged(rig):
        last = await rig.until(lambda now: now["seq"] >= goal and not now["alerts"], "the end")
        await rig.until_here(last["seq"])
    books = Books.of(folder)
    return {"clock_steps_wrong": books.wrong(), "clock_steps_alerts": len(books.raised)}


async def damaged(folder: Path) -> dict[str, float]:
    """Damage the database of a stopped daemon: how soon the next life watches, and whether it says what happened."""
    rig = Rig.of(folder, {"seed": "damaged", "rate": 20, "goal": 100})
    clock = SystemClock()
    async with staged(rig):
        last = await rig.until(lambda now: now["seq"] >= 100 and not now["alerts"], "the first life")
        await rig.until_here(last["seq"])
        rig.daemon.kill()
        path = folder / "state" / "tocsin.db"
        for log in folder.joinpath("state").glob("tocsin.db-*"):
            log.unlink()
        with path.open("r+b") as file:
            file.seek(0)
            file.write(os.urandom(8192))
        began = clock.monotonic_ns()
        rig.daemon.start()
        await rig.until(lambda now: all(chain["head"] for chain in now["chains"]), "the second life watches")
        took_s = (clock.monotonic_ns() - began) / 1e9
    kept = list((folder / "state").glob("tocsin.db.corrupt-*"))
    told = "damaged" in (folder / "daemon.log").read_text()
    return {"damaged_ready_s": round(took_s, 1), "damaged_silent": int(not (kept and told))}
