"""The folder of sealed segments, and making it and the database agree after a crash."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tocsin.errors import StoreError
from tocsin.store import journal
from tocsin.store.chainfile import FrameReader
from tocsin.store.header import read_header
from tocsin.store.values import Limits, Notice, NoticeKind, SegmentInfo

FOLDER = "journal"
SUFFIX = ".tsj"
_PART = ".part"


def file_of(folder: Path, number: int) -> Path:
    """Return where a sealed segment lies."""
    return folder / f"{number:010d}{SUFFIX}"


def part_of(folder: Path, number: int) -> Path:
    """Return where a segment is written before it is whole."""
    return folder / f"{number:010d}{SUFFIX}{_PART}"


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def reconcile(db: sqlite3.Connection, folder: Path, *, wall_ns: int) -> Iterator[Notice]:
    """Make the database know every sealed file, and only those that exist; yield what was amiss.

    A segment whose rows are still in the database keeps them: it is sealed again, over whatever file is there.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    for part in folder.glob(f"*{_PART}"):
        part.unlink(missing_ok=True)
    known = {info.number: info for info in journal.segments(db)}
    found: set[int] = set()
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            info = _info(path)
        except (StoreError, OSError) as error:
            yield _set_aside(path, error)
            continue
        found.add(info.number)
        here = known.get(info.number)
        if here is None:
            journal.adopt(db, info)
        elif here.state != "sealed" and (here.first_event, here.last_event) != (info.first_event, info.last_event):
            yield _set_aside(path, StoreError(f"{path}: another segment has this number in the database"))
    for info in known.values():
        if info.state == "sealed" and info.number not in found:
            journal.forget(db, info, reason="its file is gone", wall_ns=wall_ns)
            text = f"{file_of(folder, info.number)}: gone; it held events {info.first_event} to {info.last_event}"
            yield Notice(kind=NoticeKind.SEGMENT_MISSING, text=text)


def surplus(known: list[SegmentInfo], limits: Limits, *, wall_ns: int) -> list[tuple[SegmentInfo, str]]:
    """Return the sealed segments that the bounds of size and age leave no room for, with the reason, oldest first."""
    sealed = [info for info in known if info.state == "sealed"]
    total = sum(info.size for info in sealed)
    doomed = []
    for info in sealed:
        if info.last_wall_ns < wall_ns - limits.journal_age_ns:
            doomed.append((info, "older than the journal may be"))
        elif total > limits.journal_bytes:
            doomed.append((info, "the journal was larger than it may be"))
        else:
            break
        total -= info.size
    return doomed


def _info(path: Path) -> SegmentInfo:
    with FrameReader(path) as frames:
        header = read_header(frames)
        if (
            header.last_event is None
            or header.last_wall_ns is None
            or path.name != file_of(path.parent, header.segment).name
        ):
            raise frames.corrupt(0, "not a sealed segment of this name")
        return SegmentInfo(
            number=header.segment,
            state="sealed",
            first_event=header.first_event,
            last_event=header.last_event,
            first_wall_ns=header.first_wall_ns,
            last_wall_ns=header.last_wall_ns,
            size=frames.size,
            origin=header.origin,
            gap=header.gap,
        )


def _set_aside(path: Path, error: Exception) -> Notice:
    """Rename a file that cannot be used, so that it is neither lost nor tried again."""
    aside = path.with_name(f"{path.name}.unreadable")
    with suppress(OSError):
        path.rename(aside)
    return Notice(kind=NoticeKind.SEGMENT_UNREADABLE, text=f"{error}; kept as {aside.name}")
