"""How far a consumer is in the stream of one watchdog: what to hand over next, what is still to come, what to confirm.

The stream numbers each change of an alert. Messages may come in any order, twice, or not at all until they are asked
for again: critical ones overtake, brokers lose what they had confirmed. What is sure is the order within one alert
(`tocsin.client.waiting`). What is had is in `tocsin.client.had`, whether the daemon still counts as it did in
`tocsin.client.lives`.

Nothing here knows sockets, files or clocks. Times are seconds of any clock that does not go back.
"""

import heapq
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Final

from tocsin.client.entries import Beat, Entry, Noting, Plan, Saved, Taken
from tocsin.client.frail import Frail, stem_of
from tocsin.client.had import Had
from tocsin.client.lives import Lives, Proof, Proofs
from tocsin.client.ranges import Ranges, Span, joined
from tocsin.client.waiting import HOLD_S, MOST_HELD, MOST_READY, Steps, Waiting
from tocsin.wire.acks import MOST_MISSING, MOST_WANTED, OPEN_END, Ack, claim

MOST_FRAIL: Final = 10_000
"""Pieces of the stream that were handled before the daemon had them on disk. A message that would begin one more is as
if it had not come, and is taken once the daemon has it on disk: forgotten, it would be handled twice, or never be
confirmed."""

DOUBTED: Final = 1_000
"""Numbers before one that was given again that are asked for again: they may have been, too. As many as a daemon looks
at for one ack."""

_LEAP: Final = 100_000
"""Numbers this far above the last one that was ever told are nobody's: a daemon says one of each 10 s in heartbeats."""


class Cursor:
    """Of one consumer in one stream.

    One message at a time is out: `next` hands it over, `done` or `failed` ends that. `is_first`: nothing was written
    down yet. Whoever writes it down writes along what `unwritten` tells, and says so with `written`.
    """

    def __init__(
        self,
        saved: Saved | None = None,
        *,
        is_first: bool = False,
        hold_s: float = HOLD_S,
        most_ready: int = MOST_READY,
        most_held: int = MOST_HELD,
    ) -> None:
        saved = saved or Saved()
        self._had = Had(saved, is_first=is_first)
        self._steps = Steps(saved.steps)
        self._waiting = Waiting(self._had, self._steps, hold_s=hold_s, most_ready=most_ready, most_held=most_held)
        self._proofs, self._doubted_for = Proofs(), Lives()
        self.counts: Counter[str] = Counter()
        self.known = 0

    @property
    def begun(self) -> bool:
        """Whether it is known from where on the stream is ours."""
        return self._had.begun

    @property
    def stream(self) -> str:
        """Which stream the numbers are of; empty while that is not known."""
        return self._had.stream

    @stream.setter
    def stream(self, stream: str) -> None:
        self._had.stream = stream

    @property
    def done_ranges(self) -> Ranges:
        """The numbers that are had for ever."""
        return self._had.done

    @property
    def frail(self) -> Frail:
        """What was handled before the daemon had it on disk."""
        return self._had.frail

    # What comes in

    def take(self, entry: Entry, now: float, *, kept: bool = False) -> Taken:
        """Take a message of the stream. `kept`: the broker had kept it, as the present state of its alert."""
        outcome = self._take(entry, now, kept=kept)
        self.counts[outcome.value] += 1
        return outcome

    def _take(self, entry: Entry, now: float, *, kept: bool) -> Taken:
        if self._is_had(entry) or (not self.begun and self._is_before(entry, kept=kept)):
            return Taken.DUPLICATE
        if self._is_beyond(entry.seq):
            return Taken.IMPLAUSIBLE
        if kept and not self.begun:
            self._waiting.let_open(entry.seq)
        if self._is_too_frail(entry) or not self._waiting.has_place_for(entry, now):
            return Taken.REFUSED
        self._had.here.add(entry.seq)
        self._waiting.add(entry, now)
        return Taken.TAKEN

    def _is_had(self, entry: Entry) -> bool:
        seq, had = entry.seq, self._had
        if (waiting := self._waiting.get(seq)) is not None:
            if waiting.id != entry.id:
                had.contest(seq)
            return True
        if had.ids.has(seq, entry.id):
            if seq not in had.done:
                had.here.add(seq)
                had.confirm((seq, seq))
            return True
        if seq not in had.here:
            return False
        if seq in had.done or seq not in had.frail:  # or about to be written down
            if not had.is_given_again(entry):
                return True
            self._follow(entry)
            return False
        if not had.frail.has(seq, entry.id):
            had.frail.cut(seq, seq)  # it never was written down, and another has its number now
            had.here.remove(seq)
            return False
        if entry.durable:
            had.note_id(entry)
            had.confirm((seq, seq))
        return True

    def _is_too_frail(self, entry: Entry) -> bool:
        """Tell whether there is no room to remember that it was handled."""
        if entry.durable or len(self.frail) < MOST_FRAIL:
            return False
        piece = self.frail.joined(entry.seq, entry.id)
        return piece.first == piece.last

    def _is_before(self, entry: Entry, *, kept: bool) -> bool:
        """Tell whether a first start need not hear of it: what is over, or older than what is known of its alert."""
        if self._steps.is_late(entry):
            return True
        if kept and entry.step.over:
            self._steps.remember(entry.fingerprint, entry.step)
            return True
        return False

    def skip(self, entry: Entry, now: float) -> Taken:
        """Take a message that is had as it comes, and not handed over."""
        seq, had = entry.seq, self._had
        if self._is_beyond(seq):
            return Taken.IMPLAUSIBLE
        if seq in had.done and had.is_given_again(entry):
            self._follow(entry)
        if seq in had.here:
            if entry.durable and seq in had.frail:
                had.note_id(entry)
                had.confirm((seq, seq))
            return Taken.DUPLICATE
        if entry.durable:
            had.note_id(entry)
            had.fill(seq, seq)
        elif self._is_too_frail(entry):
            return Taken.REFUSED
        else:
            had.here.add(seq)
            had.frail.add(seq, entry.id)
        self._waiting.release(now)
        return Taken.TAKEN

    def _is_beyond(self, seq: int) -> bool:
        return self.begun and self.known > 0 and seq > max(self.known, self.done_ranges.highest) + _LEAP

    def drop(self, spans: Iterable[Span], now: float) -> int:
        """Take the daemon's word that these will not come; return how many of them had not.

        Nothing is believed of numbers that were not told of yet: it says so again when they are asked for. What was
        handled before the daemon had it on disk, and never got there, is asked for no more.
        """
        spans, highest = tuple(spans), max(self.known, self._had.here.highest)
        for gone in spans:
            for handled in self.frail.within(*gone):
                self._had.confirm(handled)
        count = sum(self._had.fill(first, min(last, highest)) for first, last in spans if first <= highest)
        self.counts["dropped"] += count
        self._waiting.release(now)
        return count

    def heartbeat(self, boot: str, beat: int, last_seq: int, waiting: int, now: float, stream: str = "") -> Beat:
        """Take the last number of the stream, from the `beat`-th heartbeat of a life of the daemon.

        `waiting` of the numbers up to it were not sent yet; a first start asks for these, too. `stream` says which one
        it is, where the daemon tells: another one than ours counts other messages, however high its numbers are.
        """
        self.stream = self.stream or stream
        self._proofs.began(now)
        if not self.begun:
            self.begin(max(0, last_seq - waiting), now)
            self.known = last_seq
            return Beat.BEGUN
        if last_seq >= self.done_ranges.highest and not self.is_foreign(stream):
            self._proofs.known(now)
            self.known = last_seq
            return Beat.KNOWN
        if not self._is_over(self._proofs.other(boot, beat, now)):
            return Beat.KNOWN
        self.counts["forgotten"] += len(self._waiting)
        is_same = bool(stream) and stream == self.stream
        if is_same:
            self._had.set_back(last_seq, self._had.ids.since(max(1, last_seq - DOUBTED)))
            self._forget()
        else:
            self.restart(stream)
        self.known = last_seq
        return Beat.SET_BACK if is_same else Beat.LOST

    def _is_over(self, proof: Proof) -> bool:
        """Tell whether the numbers that are known have lost their meaning."""
        if proof is Proof.NONE or self._waiting.out is not None:  # it must not change under a handler
            return False
        return proof is Proof.ENOUGH or not self._waiting  # nobody could send again what waits

    def _forget(self) -> None:
        """Forget what is in memory alone, and which change of each alert was handled last."""
        self._steps.clear()
        self._waiting.clear()
        self._proofs.clear()

    def begin(self, base: int, now: float) -> None:
        """Let everything up to `base` be before our time."""
        self._had.begun = True
        if base:
            self._had.fill(1, base)
        self._waiting.release(now)

    def is_foreign(self, stream: str) -> bool:
        """Whether what is said of a stream is said of another one than ours."""
        return bool(stream and self.stream) and stream != self.stream

    def restart(self, stream: str = "") -> None:
        """Begin at the first number of a new count."""
        self.known = 0
        self._had.begin_anew(stream)
        self._forget()

    def is_said_since(self, seq: int, stem: str) -> bool:
        """Have again what another life said above a number than the one that gave those; tell whether there is any."""
        if self._had.ids.others(seq + 1, stem) is None:
            return False
        self._doubted_for.is_new(stem)
        self._doubt(seq + 1)
        return True

    def _follow(self, entry: Entry) -> None:
        """Take a number back that is given to another message than the one that it was handled under.

        When a life does that for the first time, other numbers were given again, too; what it says from then on comes
        under numbers that are had again already.
        """
        if self._doubted_for.is_new(stem_of(entry.seq, entry.id)):
            self._doubt(entry.seq)
            return
        self.counts["renumbered"] += 1
        self._have_again((entry.seq, entry.seq))

    def _doubt(self, seq: int) -> None:
        """Have again what may mean other messages now: from a number on, and some before it.

        Those above it may have been told to be gone, and be under no id that is known. What comes under the id that it
        was handled under is had at once, so that nothing is handled twice.
        """
        self.counts["renumbered"] += 1
        for span in (*self._had.ids.since(max(1, seq - DOUBTED)), (seq, max(seq, self._had.here.highest))):
            self._have_again(span)
        self._steps.clear()

    def _have_again(self, span: Span) -> None:
        self._had.have_again(span, self._waiting.numbers())
        self._waiting.look_again()

    # What goes out

    def has_room(self) -> bool:
        """Whether another message may wait to be handed over."""
        return self._waiting.has_room()

    def next(self, now: float, *, urgent: bool = False) -> Entry | None:
        """Hand over a message, a critical one if there is one, else (unless only such are wanted) the first that came.

        Those of its alert that were said before go first, whatever they are.
        """
        return self._waiting.next(now, urgent=urgent)

    def is_late(self, entry: Entry) -> bool:
        """Whether something was handed over already that was said of this alert later."""
        return self._steps.is_late(entry)

    def tries(self, entry: Entry) -> int:
        """How often it was handed over in vain."""
        return self._waiting.tries(entry)

    def done(self, now: float) -> None:
        """Let the message that is out be had for ever."""
        self._waiting.handled(now)

    def failed(self, now: float) -> None:
        """Take the message that is out back. It comes again after a pause; other alerts do not wait for that."""
        self._waiting.failed(now)

    def noting(self, entry: Entry) -> Noting:
        """Return what is to be written down of a message that is handled, and of those beside it."""
        return self._had.noting(entry)

    def unwritten(self) -> Plan:
        """Return what is to be written down: stretches that need no handing over, and that we have begun."""
        return self._had.unwritten()

    def written(self, plan: Plan) -> None:
        """Note that this is written down; nothing of it counts that was doubted meanwhile."""
        self._had.written(plan)

    def wait_s(self, now: float) -> float | None:
        """Return in how many seconds time alone lets something be handed over; None if it never does."""
        return self._waiting.wait_s(now)

    # What is to be confirmed

    def ack(self, at: int) -> Ack:
        """Return what is had for ever, for the daemon; only meaningful once `begun`."""
        holes = islice(self.done_ranges.missing(), MOST_MISSING + 1)
        return claim(at, self.done_ranges.highest, holes, self._wanted(), stream=self.stream)

    def _wanted(self) -> list[Span]:
        """Return what is to be sent again now: neither what is in memory, nor anything while there is no room.

        What was handled before the daemon had it on disk is, once more, so that it can be confirmed.
        """
        if not self.has_room():
            return []
        here = self._had.here
        frail = ((piece.first, piece.last) for piece in self.frail)
        wanted = list(islice(joined(heapq.merge(here.holes(), frail)), MOST_WANTED - 1))
        tail = wanted.pop()[0] if wanted and wanted[-1][1] == here.highest else here.highest + 1
        return [*wanted, (tail, OPEN_END)]

    @property
    def is_lacking(self) -> bool:
        """Whether numbers are known of that did not come yet."""
        return self._had.here.frontier < max(self.known, self._had.here.highest)

    @property
    def waiting(self) -> int:
        """How many messages are in memory: to be handed over, or held."""
        return len(self._waiting)
