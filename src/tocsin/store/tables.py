"""The tables of one open database, and how far the stream of events has come in them: where a group enters.

What is written lies in the transaction that whoever asks has opened. `draft` is the position with all that is written
in it, `position` the one that is committed.
"""

import sqlite3
from dataclasses import replace
from pathlib import Path

from tocsin.errors import StoreError
from tocsin.store.consumers import Consumers
from tocsin.store.journal import Journal, save_gap
from tocsin.store.notices import Notices
from tocsin.store.outbox import Outbox
from tocsin.store.position import read_position
from tocsin.store.retained import RetainedTopics
from tocsin.store.values import Committed, Gap, Group, Limits, Origin, Position


class Tables:
    """Journal, outbox, cursors, retained topics, messages to people.

    Raises sqlite3.Error, StoreError, TypeError or ValueError if damaged.
    """

    def __init__(
        self, db: sqlite3.Connection, journal_dir: Path, *, limits: Limits, origin: Origin, lost_journal: bool
    ) -> None:
        self._db = db
        self.journal = Journal(db, origin)
        self.outbox = Outbox(db, limits)
        self.consumers = Consumers(db, self.outbox)
        self.retained = RetainedTopics(db, limits)
        self.notices = Notices(db, limits)
        self.position = self.draft = read_position(db, journal_dir, lost_journal=lost_journal)
        if self.position.gap is not None:
            self.journal.detach()

    def stand_at(self, position: Position) -> None:
        """Take this as the position that is committed."""
        self.position = self.draft = position

    def begin(self) -> None:
        """Begin a transaction."""
        self.draft = self.position
        self.outbox.remember()
        self.consumers.remember()
        self.retained.remember()
        self.notices.remember()
        self._db.execute("BEGIN")

    def go_back(self) -> None:
        """Forget what the transaction wrote that was rolled back."""
        self.draft = self.position
        self.outbox.go_back()
        self.consumers.go_back()
        self.retained.go_back()
        self.notices.go_back()
        self.journal.detach()

    def check(self, group: Group) -> None:
        """Raise StoreError for a group that does not follow what came before."""
        expected = self.draft.event_no + 1
        for record in group.records:
            if record.event_no != expected:
                raise StoreError(f"event {record.event_no} was committed where {expected} belongs")
            expected += 1
        if group.snapshot is not None and group.snapshot.event_no != expected - 1:
            raise StoreError(
                f"a snapshot of the state behind event {group.snapshot.event_no} came where {expected - 1} belongs"
            )

    def write(self, group: Group, *, journal: bool, stopped: str) -> Committed:
        """Write a group; what is not journalled widens the gap, which `stopped` gives the reason of."""
        self.check(group)
        for row in group.outbox:
            self.outbox.insert(row)
        self.outbox.enforce(group.wall_ns)
        for document in group.retained:
            self.retained.put(document, group.wall_ns)
        self.notices.add(group.notices, write=True)
        recorded = self._record(group, journal=journal, stopped=stopped)
        position = self.draft
        # A group of records says by itself how far the stream has come: the head row need not follow every time.
        if group.outbox or group.retained or group.notices or (journal and group.snapshot):
            if position.gap is not None:
                save_gap(self._db, position.gap)
            self._db.execute(
                "UPDATE head SET event_no = ?, effect_no = ?, t_ns = ?, wall_ns = ?",
                (position.event_no, position.effect_no, position.t_ns, position.wall_ns),
            )
        return Committed(durable=True, journalled=recorded)

    def pass_over(self, group: Group, *, stopped: str) -> None:
        """Go on behind a group that was checked and is not written; its records are lost to the gap."""
        self.notices.add(group.notices, write=False)
        self._advance(group)
        if group.records:
            self._widen(group, stopped)
        self.position = self.draft

    def _record(self, group: Group, *, journal: bool, stopped: str) -> bool:
        fresh = self.draft.event_no == 0 and self.draft.gap is None
        self._advance(group)
        recorded = True
        if group.records:
            if journal and fresh and self.journal.live is None:
                self.journal.open_segment(group.records[0].event_no, group)
            recorded = journal and self.journal.live is not None
            if recorded:
                self.journal.append(group)
            else:
                self._widen(group, stopped)
        if group.snapshot is not None and journal:
            gap = self.draft.gap
            if gap is not None:
                save_gap(self._db, gap)
            self.journal.open_segment(group.snapshot.event_no + 1, group, group.snapshot, gap)
            self.draft = replace(self.draft, gap=None)
        return recorded

    def _advance(self, group: Group) -> None:
        self.draft = replace(
            self.draft,
            event_no=self.draft.event_no + len(group.records),
            effect_no=max(self.draft.effect_no, group.effect_no),
            t_ns=group.t_ns,
            wall_ns=group.wall_ns,
        )

    def _widen(self, group: Group, stopped: str) -> None:
        gap = self.draft.gap
        last = group.records[-1].event_no
        if gap is None:
            reason = stopped or "no snapshot to begin from"
            gap = Gap(first_event=group.records[0].event_no, last_event=last, reason=reason, wall_ns=group.wall_ns)
        self.draft = replace(self.draft, gap=replace(gap, last_event=last))
