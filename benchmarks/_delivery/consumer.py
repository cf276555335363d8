"""A consumer whose handler writes in the client's own transaction, and a naive subscriber beside it.

    python -m benchmarks._delivery.consumer --folder FOLDER --port 1883 [--naive] [--ahead-s -3600]

What it has is in `consumer.db`, table `got`, a row for each message in the order in which they were handled; when each
transaction had ended is in `committed`, a line of JSON each.
"""

import argparse
import asyncio
import json
import os
import sys
import traceback
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks._delivery.naive import NaiveSubscriber
from benchmarks._delivery.points import Points, say
from tocsin.client import Message, Subscriber
from tocsin.clock import NS, SystemClock

NAME: Final = "pager"
KEY: Final = "a key that is long enough"
WATCHDOG: Final = "ams/host-a"
FILE: Final = "consumer.db"
COMMITTED: Final = "committed"

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS got (n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, seq INTEGER, fingerprint TEXT,"
    " activation INTEGER, reason TEXT, state TEXT, severity TEXT, raised_ns INTEGER, got_ns INTEGER, late INTEGER)"
)
_ROW: Final = (
    "INSERT INTO got (id, seq, fingerprint, activation, reason, state, severity, raised_ns, got_ns, late)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SAY_S: Final = 0.1


class Behind(SystemClock):
    """The system's clock, set wrong."""

    def __init__(self, ahead_s: float) -> None:
        self._ahead_ns = int(ahead_s * NS)

    def wall_ns(self) -> int:
        return super().wall_ns() + self._ahead_ns


def raised_ns(message: Message) -> int:
    """Return when the alert changed, by the daemon's clock."""
    return int(datetime.fromisoformat(message.data["updated_at"]).timestamp() * 1e6) * 1000


async def handle(alerts: Subscriber, committed: Path) -> None:
    """Handle what comes, for ever."""
    clock = SystemClock()
    with committed.open("a", buffering=1) as out:
        async for message in alerts:
            data, raised = message.data, raised_ns(message)
            async with message.transaction() as db:
                db.execute(_TABLE)
                db.execute(
                    _ROW,
                    (
                        message.id,
                        message.seq,
                        message.fingerprint,
                        data["activation"],
                        data["reason"],
                        message.state,
                        message.severity,
                        raised,
                        clock.wall_ns(),
                        message.late,
                    ),
                )
            out.write(json.dumps([message.seq, message.severity, raised, clock.wall_ns()]) + "\n")


async def report(alerts: Subscriber) -> None:
    """Say how it goes."""
    while True:
        say(counts=dict(alerts.counts), positions=alerts.positions(), connected=alerts.connected)
        await asyncio.sleep(_SAY_S)


async def live(folder: Path, port: int, *, naive: bool, ahead_s: float, points: Points) -> None:
    """Run one life."""
    subscriber = Subscriber(
        f"mqtt://127.0.0.1:{port}",
        watchdogs=[WATCHDOG],
        consumer=NAME,
        key=KEY,
        path=folder / FILE,
        start="beginning",
        clock=Behind(ahead_s),
    )
    beside = asyncio.ensure_future(NaiveSubscriber(port, folder / "naive.db").run()) if naive else None
    try:
        async with subscriber as alerts, asyncio.TaskGroup() as group:
            points.listen()
            group.create_task(handle(alerts, folder / COMMITTED))
            group.create_task(report(alerts))
    except BaseException:  # noqa: BLE001 - whatever it died of
        # At once: the naive one may swallow that it is ended, and nobody would ever hear of this.
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    finally:
        if beside is not None:
            beside.cancel()


def main() -> None:
    """Run one life; killed at a point, or by whoever started it."""
    parser = argparse.ArgumentParser(description="a consumer with a transactional handler")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--naive", action="store_true")
    parser.add_argument("--ahead-s", type=float, default=0.0)
    options = parser.parse_args()
    points = Points()
    points.around_client()
    asyncio.run(live(options.folder, options.port, naive=options.naive, ahead_s=options.ahead_s, points=points))


if __name__ == "__main__":
    main()
