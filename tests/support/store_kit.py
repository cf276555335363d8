"""Small makers of what a store takes, and a process that commits until it is killed."""

import asyncio
import random
import sys
from pathlib import Path
from typing import Protocol

from tocsin.clock import Clock, SystemClock
from tocsin.ids import digest
from tocsin.model.alert import Severity
from tocsin.store import (
    Committed,
    Entry,
    Group,
    Limits,
    Origin,
    OutboxRow,
    Record,
    Recovered,
    RetainedRow,
    Snapshot,
    Store,
)

SMALL = Limits(reserve_bytes=1 << 16)
"""With a reserve that costs a test no time."""

COMMON = b'"0x1"'
"""A body that every record refers to."""


class Opener(Protocol):
    """Opens the store of a test; the fixture `opened` gives one."""

    async def __call__(self, limits: Limits = SMALL, origin: Origin | None = None) -> Store:
        """As `Store.open`, in the test's own folder and under its clock."""
        ...


def opener(state_dir: Path, clock: Clock) -> Opener:
    """Return an opener for one folder and clock."""

    async def open_store(limits: Limits = SMALL, origin: Origin | None = None) -> Store:
        return await Store.open(state_dir, clock=clock, limits=limits, origin=origin)

    return open_store


async def tail_of(store: Store, before: int | None = None) -> tuple[Recovered, list[Entry]]:
    """Return where to go on from, and the whole tail."""
    recovered = await store.recover(before=before)
    return recovered, [entry async for entry in recovered.tail]


def record(event_no: int, *, size: int = 200) -> Record:
    """Return a record whose content follows from its number."""
    body = random.Random(event_no).randbytes(size)  # noqa: S311 - reproducible, not secret
    bodies = {digest(body): body, digest(COMMON): COMMON}
    return Record(event_no=event_no, data=b'{"event":%d}' % event_no, bodies=bodies)


def row(
    seq: int, severity: Severity = Severity.WARNING, fingerprint: str = "f", *, payload: bytes | None = None
) -> OutboxRow:
    """Return an outbox row whose payload names its seq."""
    return OutboxRow(
        seq=seq,
        id=f"w:boot:{seq}",
        fingerprint=fingerprint,
        severity=severity,
        topic=f"event/{severity}/d",
        payload=b'{"seq":%d}' % seq if payload is None else payload,
        created_wall_ns=seq,
    )


def group(
    first: int,
    count: int,
    *,
    outbox: tuple[OutboxRow, ...] = (),
    retained: tuple[RetainedRow, ...] = (),
    snapshot: bool = False,
    effect_no: int | None = None,
    wall_ns: int = 0,
    size: int = 200,
) -> Group:
    """Return a group of `count` records from number `first` on; its snapshot names the last of them."""
    last = first + count - 1
    return Group(
        t_ns=last,
        wall_ns=wall_ns or last,
        effect_no=last if effect_no is None else effect_no,
        records=tuple(record(number, size=size) for number in range(first, first + count)),
        outbox=outbox,
        retained=retained,
        snapshot=Snapshot(event_no=last, data=state(last)) if snapshot else None,
    )


def state(event_no: int) -> bytes:
    """Return the snapshot that `group` puts behind an event."""
    return b"state behind %d" % event_no


async def commit_until_killed(state_dir: Path, seed: int) -> None:
    """Commit groups as fast as they go, rolling often, and print the last event of each one that was committed."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    limits = Limits(reserve_bytes=1 << 16, journal_bytes=1 << 20)
    async with await Store.open(state_dir, clock=SystemClock(), limits=limits) as store:
        recovered = await store.recover()
        async for _ in recovered.tail:
            pass
        last = recovered.last_event_no
        seq = (await store.counts()).pending
        print("open", last, flush=True)  # noqa: T201 - read by the test
        under_way: list[tuple[int, int, asyncio.Future[Committed]]] = []
        while True:
            count = rng.randint(1, 5)
            seq += 1
            made = group(
                last + 1,
                count,
                outbox=(row(seq),),
                snapshot=rng.random() < 0.1,
                effect_no=seq,
                wall_ns=SystemClock().wall_ns(),
            )
            last += count
            under_way.append((last, seq, await store.submit(made)))
            if len(under_way) > 8:
                done, number, future = under_way.pop(0)
                await future
                print("committed", done, number, flush=True)  # noqa: T201 - read by the test


if __name__ == "__main__":
    asyncio.run(commit_until_killed(Path(sys.argv[1]), int(sys.argv[2])))
