"""How far the stream of events has come, by what is on the disk."""

import sqlite3
from pathlib import Path

from tocsin.store import files, journal
from tocsin.store.recording import ending
from tocsin.store.values import Gap, Position

DAMAGE = "the database was damaged; events may be missing here"


def read_position(db: sqlite3.Connection, folder: Path, *, lost_journal: bool) -> Position:
    """Return how far the stream has come by all that is on the disk: head row, groups, segments, gaps.

    `lost_journal` says that a quarantine took the live segment: an unknown number of events is missing.
    """
    event_no, effect_no, t_ns, wall_ns = db.execute("SELECT event_no, effect_no, t_ns, wall_ns FROM head").fetchone()
    newest = journal.last_instant(db)
    if newest is not None:
        t_ns, wall_ns = max((t_ns, wall_ns), newest[:2])
        effect_no = max(effect_no, newest[2])
    segments = journal.segments(db)
    held = max((info.last_event for info in segments), default=0)
    ended = {info.gap.first_event for info in segments if info.gap}
    behind = [gap for gap in journal.gaps(db) if gap.first_event > held]
    open_gap = next((gap for gap in behind if gap.first_event not in ended), None)
    event_no = max(event_no, held, open_gap.last_event if open_gap else 0)
    overtaken = any(info.state == "live" and info.last_event < held for info in segments)
    if lost_journal and segments:
        # The newest file knows how far effects had come, when the head row could not be salvaged.
        end = ending(files.file_of(folder, segments[-1].number))
        effect_no, t_ns = max(effect_no, end.effect_no), max(t_ns, end.t_ns)
        wall_ns = max(wall_ns, end.wall_ns)
    if open_gap is None and (lost_journal or overtaken or event_no > held):
        open_gap = Gap(first_event=held + 1, last_event=event_no, reason=DAMAGE, wall_ns=wall_ns)
    return Position(event_no=event_no, effect_no=effect_no, t_ns=t_ns, wall_ns=wall_ns, gap=open_gap)
