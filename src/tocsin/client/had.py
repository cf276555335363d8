"""What a consumer has of a stream: on disk, about to be written there, and under which ids.

Numbers that are had need no handing over. `done` are those that the consumer's file says so of, and that are confirmed
to the daemon; `here` are these and whatever else need not be sent again now: what is in memory, what is about to be
written down, what was handled before the daemon had it on disk.

What is about to be written down may be doubted before it is: a daemon whose state was put back gives the number to
something else. It is then neither written nor had, also where the disk is at it in that moment.
"""

from collections.abc import Iterable

from tocsin.client.entries import Entry, Noting, Plan, Saved
from tocsin.client.frail import Frail, Piece
from tocsin.client.ids import Ids
from tocsin.client.ranges import Ranges, Span


class Had:
    """Numbers of one stream. `is_first`: nothing was written down yet."""

    def __init__(self, saved: Saved, *, is_first: bool) -> None:
        self.begun = saved.begun
        self.stream = saved.stream
        """Which stream the numbers are of; empty while that is not known."""
        self.done = Ranges(saved.done)
        self.ids = Ids(saved.ids)
        self.frail = Frail(saved.frail)
        for first, last in self.done:
            self.frail.cut(first, last)  # confirmed while the piece around it was written down
        self._void: list[Span] = []
        self._new_ids: list[Piece] = []
        self._is_new = False
        self._noted = None if is_first else (saved.begun, saved.stream)
        self._epoch = 0
        self.forget_memory()

    def forget_memory(self) -> None:
        """Have no more than what is on disk."""
        self.here = Ranges(self.done)
        for piece in self.frail:
            self.here.add(piece.first, piece.last)
        self._unwritten = Ranges()
        self._contested: set[int] = set()
        """Numbers in memory under which another message came as well, or may: that one is asked for again."""

    # What is had

    def is_given_again(self, entry: Entry) -> bool:
        """Tell whether something else is known to have been said under the number of a message."""
        return self.ids.knows(entry.seq) and not self.ids.has(entry.seq, entry.id)

    def note_id(self, entry: Entry) -> None:
        """Note the id of a message that is had without being handed over now."""
        self._new_ids.append(self.ids.joined(entry.seq, entry.id))
        self.ids.add(entry.seq, entry.id)

    def confirm(self, span: Span) -> None:
        """Let what was handled before be had for ever, once that is written down."""
        self._unwritten.add(*span)

    def fill(self, first: int, last: int) -> int:
        """Let what is lacking in a stretch need no handing over; return how much that is."""
        here = Ranges(span for span in self.here if span[0] <= last and span[1] >= first)
        lacking = [*here.holes(), (here.highest + 1, last)]
        clipped = [(max(low, first), min(high, last)) for low, high in lacking]
        spans = [(low, high) for low, high in clipped if low <= high]
        for span in spans:
            self.here.add(*span)
            self._unwritten.add(*span)
        return sum(high - low + 1 for low, high in spans)

    def contest(self, seq: int) -> None:
        """Let the number of a message in memory not be had once that is handled: it may be another one's."""
        self._contested.add(seq)

    def handled(self, entry: Entry) -> None:
        """Let a message be had for ever."""
        if not entry.durable:
            self.frail.add(entry.seq, entry.id)
        else:
            self.ids.add(entry.seq, entry.id)
            if entry.seq in self._contested:
                self.here.remove(entry.seq)
            else:
                self.done.add(entry.seq)
        self._contested.discard(entry.seq)

    # What is had no more

    def have_again(self, span: Span, in_memory: Iterable[int]) -> None:
        """Have a stretch again, since its numbers may mean other messages now.

        What of it waits `in_memory` is not asked for before it is handled, and then is.
        """
        for numbers in (self.done, self.here, self._unwritten):
            numbers.remove(*span)
        for seq in [seq for seq in in_memory if span[0] <= seq <= span[1]]:
            self.here.add(seq)
            self.contest(seq)
        for held in self.frail.within(*span):  # those are asked for in any case
            self.here.add(*held)
        self._void.append(span)

    def set_back(self, last_seq: int, doubted: Iterable[Span]) -> None:
        """Have what is above a number no more, nor what is doubted, and go on with the same stream."""
        self._epoch += 1
        void = [*doubted, (last_seq + 1, max(last_seq + 1, self.here.highest))]
        unwritten = Ranges(self._unwritten)
        for span in void:
            self.done.remove(*span)
            unwritten.remove(*span)
        self._void += void
        self.forget_memory()
        for span in unwritten:
            self.here.add(*span)
            self._unwritten.add(*span)

    def begin_anew(self, stream: str) -> None:
        """Have nothing, of a new count."""
        self.stream, self.begun, self.done = stream, True, Ranges()
        self.frail.clear()
        self._void.clear()
        self._is_new = True
        self._epoch += 1
        self.forget_memory()

    # What is written down

    def noting(self, entry: Entry) -> Noting:
        """Return what is to be written down of a message that is handled, and of those beside it."""
        held = self.ids if entry.durable else self.frail
        piece = held.joined(entry.seq, entry.id)
        return Noting(piece=piece, is_had=entry.durable and entry.seq not in self._contested)

    def unwritten(self) -> Plan:
        """Return what is to be written down: stretches that need no handing over, and that we have begun."""
        spans = tuple(self._unwritten)
        is_due = bool(spans) or bool(self._void) or self._is_new or (self.begun, self.stream) != self._noted
        return Plan(
            begun=self.begun,
            stream=self.stream,
            spans=spans,
            void=tuple(self._void),
            ids=tuple(self._new_ids),
            is_new=self._is_new,
            is_due=is_due,
            epoch=self._epoch,
        )

    def written(self, plan: Plan) -> None:
        """Note that this is written down.

        Nothing of it counts if the numbers began anew meanwhile, and nothing of a stretch that was doubted meanwhile:
        that stands to be taken back from the disk.
        """
        if plan.epoch != self._epoch:
            return
        self._is_new, self._noted = False, (plan.begun, plan.stream)
        del self._void[: len(plan.void)]
        del self._new_ids[: len(plan.ids)]
        done = Ranges(plan.spans)
        for doubted in self._void:
            done.remove(*doubted)
        for span in done:
            self.done.add(*span)
            self._unwritten.remove(*span)
            self.frail.cut(*span)
