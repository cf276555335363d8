"""What survives: journal, snapshots, outbox and retained topics in one directory, under one writer.

    store = await Store.open(state_dir, clock=clock)
    committed = await store.commit(Group(...))     # nothing of the group may leave before this returns

The store knows bytes, not events. File formats: docs/reference/store.md.
"""

from tocsin.store.evidence import EvidenceFolder
from tocsin.store.export import export_at_rest
from tocsin.store.history import History, Told
from tocsin.store.recording import Kept, Recording, RecordingWriter, read_recording
from tocsin.store.store import Store
from tocsin.store.values import (
    Acknowledged,
    Committed,
    Counts,
    Cursor,
    Dropped,
    Entry,
    Exported,
    Gap,
    Group,
    Health,
    Limits,
    Mode,
    Notice,
    NoticeKind,
    NoticeRow,
    NoticesHeld,
    Origin,
    OutboxRow,
    Pending,
    Record,
    Recovered,
    Retained,
    RetainedRow,
    SegmentInfo,
    Snapshot,
    SnapshotAt,
)

__all__ = [
    "Acknowledged",
    "Committed",
    "Counts",
    "Cursor",
    "Dropped",
    "Entry",
    "EvidenceFolder",
    "Exported",
    "Gap",
    "Group",
    "Health",
    "History",
    "Kept",
    "Limits",
    "Mode",
    "Notice",
    "NoticeKind",
    "NoticeRow",
    "NoticesHeld",
    "Origin",
    "OutboxRow",
    "Pending",
    "Record",
    "Recording",
    "RecordingWriter",
    "Recovered",
    "Retained",
    "RetainedRow",
    "SegmentInfo",
    "Snapshot",
    "SnapshotAt",
    "Store",
    "Told",
    "export_at_rest",
    "read_recording",
]
