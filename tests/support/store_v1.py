"""A state directory as the first layout of the store had it, made from what a daemon of today left behind."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Final

from tocsin.clock import SystemClock
from tocsin.store import Store

LAYOUT: Final = Path(__file__).with_suffix(".sql").read_text()


async def turn_back(state_dir: Path) -> None:
    """Replace the store of a stopped daemon by one of the first layout with the same content."""
    path = state_dir / "tocsin.db"
    old = path.with_name("v1.db")
    with closing(sqlite3.connect(old)) as db:
        db.executescript(LAYOUT)
        await _fill(db, state_dir)
        _carry_outbox(db, path)
        db.commit()
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    old.rename(path)


async def _fill(db: sqlite3.Connection, state_dir: Path) -> None:
    async with await Store.open(state_dir, clock=SystemClock()) as store:
        found = await store.recover()
        if found.snapshot is not None:
            stamp = (found.snapshot_event_no, found.last_t_ns, found.last_wall_ns, 0)
            db.execute(
                "INSERT INTO snapshots VALUES (1, ?, ?, ?, ?, ?, ?)",
                (*stamp, sha256(found.snapshot).digest(), found.snapshot),
            )
        async for entry in found.tail:
            _keep_bodies(db, entry.bodies)
            db.execute(
                "INSERT INTO journal VALUES (?, 1, ?, ?, ?, ?, ?)",
                (entry.event_no, entry.t_ns, entry.wall_ns, entry.effect_no, entry.data, " ".join(entry.bodies)),
            )
        db.execute("INSERT INTO meta VALUES ('created_wall_ns', '1'), ('effect_no', ?)", (str(found.last_effect_no),))
        for one in await store.retained_all():
            db.execute("INSERT INTO retained VALUES (?, ?, ?)", (one.topic, one.payload, found.last_wall_ns))


def _keep_bodies(db: sqlite3.Connection, bodies: Mapping[str, bytes]) -> None:
    db.executemany("INSERT OR IGNORE INTO bodies VALUES (1, ?, ?)", bodies.items())


def _carry_outbox(db: sqlite3.Connection, path: Path) -> None:
    with closing(sqlite3.connect(path)) as new:
        rows = new.execute(
            "SELECT seq, id, fingerprint, severity, topic, payload, retain, qos, expiry_s, content_type,"
            " created_wall_ns, sent_wall_ns FROM outbox"
        ).fetchall()
    db.executemany(f"INSERT INTO outbox VALUES ({', '.join('?' * 12)})", rows)  # noqa: S608 - question marks
