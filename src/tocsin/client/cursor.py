"""How far a consumer is in the stream of one watchdog: what to hand over next, what is still to come, what to confirm.

The stream numbers each change of an alert. Messages may come in any order, twice, or not at all until they are asked
for again: critical ones overtake, brokers lose what they had confirmed. What is sure is the order within one alert: a
message that comes before its predecessor is held until that one is here, is told to be gone, or a time limit is over.
Other alerts never wait for it.

Nothing here knows sockets, files or clocks. Times are seconds of any clock that does not go back.
"""

import heapq
from bisect import insort
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from itertools import islice
from math import inf
from typing import Final

from tocsin.client.entries import Beat, Entry, Plan, Saved, Step, Taken
from tocsin.client.ranges import Ranges, Span
from tocsin.wire.acks import MOST_MISSING, MOST_WANTED, OPEN_END, Ack, claim

HOLD_S: Final = 30.0
"""So long a message waits for its predecessor: the daemon sends again what it is asked for within seconds."""
MOST_READY: Final = 2_000
"""Messages that wait to be handed over; then the broker has to keep the rest."""
MOST_HELD: Final = 2_000
"""Messages that wait for a predecessor; one more is as if it had not come, and is asked for again."""
MOST_ALERTS: Final = 100_000
"""Alerts whose last step is remembered. Those that are over go first."""
MOST_FRAIL: Final = 10_000

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_LEAP = 100_000
"""Numbers this far above the last one that was ever told are nobody's: a daemon says one of each 10 s in heartbeats."""
_PROOFS = 2
"""Heartbeats in a row that must say so before numbers are believed to have begun anew."""
_MOST_PROOFS = 12
"""After so many what is left of the old numbers waits no longer to be handled."""


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
        self._hold_s, self._most_ready, self._most_held = hold_s, most_ready, most_held
        self.begun = saved.begun
        self.stream = saved.stream
        """Which stream the numbers are of; empty while that is not known."""
        self.done_ranges = Ranges(saved.done)
        self.steps: OrderedDict[str, Step] = OrderedDict(saved.steps)
        self.frail: dict[int, str] = dict(saved.frail)
        self.counts: Counter[str] = Counter()
        self.known = 0
        self._epoch = 0
        self._is_new = False
        self._noted = None if is_first else (saved.begun, saved.stream)
        self._unwritten: list[Span] = []
        self._clear()

    def _clear(self) -> None:
        """Forget what is in memory alone."""
        self._here = Ranges(self.done_ranges)
        for seq in self.frail:
            self._here.add(seq)
        self._unwritten = []
        self._entries: dict[int, Entry] = {}
        self._arrived: dict[int, float] = {}
        self._chains: dict[str, list[int]] = {}
        self._lanes: tuple[deque[str], deque[str]] = (deque(), deque())
        self._lane: dict[str, int] = {}
        self._held: dict[str, int] = {}
        self._held_by_seq: list[tuple[int, str]] = []
        self._held_entries = 0
        self._overdue_at = inf
        self._paused: dict[str, float] = {}
        self._tries: dict[str, int] = {}
        self._open: set[int] = set()
        self._out: Entry | None = None
        self._proofs: dict[str, tuple[int, int]] = {}

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
            self._open.add(entry.seq)
        is_head = entry.fingerprint not in self._chains or entry.seq < self._chains[entry.fingerprint][0]
        waits = not self._is_due(entry, now, now) if is_head else entry.fingerprint in self._held
        if waits and self._held_entries >= self._most_held:
            return Taken.REFUSED
        self._here.add(entry.seq)
        self._entries[entry.seq] = entry
        self._arrived[entry.seq] = now
        self._join(entry)
        self._place(entry.fingerprint, now)
        self._release(now)
        return Taken.TAKEN

    def _is_had(self, entry: Entry) -> bool:
        if entry.seq in self.done_ranges or entry.seq in self._entries:
            return True
        if entry.seq not in self.frail:
            return entry.seq in self._here  # about to be written down as one that needs no handing over
        if self.frail[entry.seq] != entry.id:
            del self.frail[entry.seq]  # it never was written down, and another has its number now
            return False
        if entry.durable:
            self._confirm(entry.seq)
        return True

    def _confirm(self, seq: int) -> None:
        """Let what was handled before the daemon had it on disk be had for ever."""
        if (seq, seq) not in self._unwritten:
            self._unwritten.append((seq, seq))

    def _is_before(self, entry: Entry, *, kept: bool) -> bool:
        """Tell whether a first start need not hear of it: what is over, or older than what is known of its alert."""
        last = self.steps.get(entry.fingerprint)
        if last is not None and entry.step <= last:
            return True
        if kept and entry.step.over:
            self._remember(entry.fingerprint, entry.step)
            return True
        return False

    def skip(self, seq: int, now: float) -> Taken:
        """Take a message that is had for ever as it comes, and not handed over."""
        if self._is_beyond(seq):
            return Taken.IMPLAUSIBLE
        if seq in self._here:
            return Taken.DUPLICATE
        self._fill(seq, seq)
        self._release(now)
        return Taken.TAKEN

    def _is_beyond(self, seq: int) -> bool:
        return self.begun and self.known > 0 and seq > max(self.known, self.done_ranges.highest) + _LEAP

    def drop(self, spans: Iterable[Span], now: float) -> int:
        """Take the daemon's word that these will not come; return how many of them had not.

        Nothing is believed of numbers that were not told of yet: it says so again when they are asked for. What was
        handled before the daemon had it on disk, and never got there, is asked for no more.
        """
        spans, highest = tuple(spans), max(self.known, self._here.highest)
        gone = Ranges(spans) if self.frail else Ranges()
        for seq in [seq for seq in self.frail if seq in gone]:
            self._confirm(seq)
        count = sum(self._fill(first, min(last, highest)) for first, last in spans if first <= highest)
        self.counts["dropped"] += count
        self._release(now)
        return count

    def _fill(self, first: int, last: int) -> int:
        """Let what is lacking in a stretch need no handing over; return how much that is."""
        here = Ranges(span for span in self._here if span[0] <= last and span[1] >= first)
        lacking = [*here.holes(), (here.highest + 1, last)]
        clipped = [(max(low, first), min(high, last)) for low, high in lacking]
        spans = [(low, high) for low, high in clipped if low <= high]
        for span in spans:
            self._here.add(*span)
        self._unwritten += spans
        return sum(high - low + 1 for low, high in spans)

    def heartbeat(self, boot: str, beat: int, last_seq: int, waiting: int, now: float, stream: str = "") -> Beat:
        """Take the last number of the stream, from the `beat`-th heartbeat of a life of the daemon.

        `waiting` of the numbers up to it were not sent yet; a first start asks for these, too. `stream` says which one
        it is, where the daemon tells: another one than ours counts other messages, however high its numbers are.
        """
        self.stream = self.stream or stream
        if not self.begun:
            self.begin(max(0, last_seq - waiting), now)
            self.known = last_seq
            return Beat.BEGUN
        if last_seq >= self.done_ranges.highest and not self.is_foreign(stream):
            self._proofs.clear()
            self.known = last_seq
            return Beat.KNOWN
        before, proofs = self._proofs.get(boot, (0, 0))
        if beat <= before:
            return Beat.KNOWN
        self._proofs = {boot: (beat, proofs + 1)}
        if proofs + 1 < _PROOFS or self._out is not None:  # numbers must not change their meaning under a handler
            return Beat.KNOWN
        if self._entries and proofs + 1 < _MOST_PROOFS:  # nobody could send them again
            return Beat.KNOWN
        self.counts["forgotten"] += len(self._entries)
        self.restart(stream)
        self.known = last_seq
        return Beat.LOST

    def begin(self, base: int, now: float) -> None:
        """Let everything up to `base` be before our time."""
        self.begun = True
        if base:
            self._fill(1, base)
        self._release(now)

    def is_foreign(self, stream: str) -> bool:
        """Whether what is said of a stream is said of another one than ours."""
        return bool(stream and self.stream) and stream != self.stream

    def restart(self, stream: str = "") -> None:
        """Begin at the first number of a new count."""
        self.stream = stream
        self.begun, self.done_ranges, self.known = True, Ranges(), 0
        self.steps.clear()
        self.frail.clear()
        self._is_new = True
        self._epoch += 1
        self._clear()

    # What goes out

    def has_room(self) -> bool:
        """Whether another message may wait to be handed over."""
        return len(self._entries) - self._held_entries < self._most_ready

    def next(self, now: float, *, urgent: bool = False) -> Entry | None:
        """Hand over a message, a critical one if there is one, else (unless only such are wanted) the first that came.

        Those of its alert that were said before go first, whatever they are.
        """
        if self._out is not None:
            raise ValueError(f"message {self._out.seq} is still out: say what became of it first")
        self._release(now)
        for number, lane in enumerate(self._lanes[:1] if urgent else self._lanes):
            while lane:
                fingerprint = lane.popleft()
                if self._lane.get(fingerprint) == number:
                    del self._lane[fingerprint]
                    self._out = self._entries[self._chains[fingerprint][0]]
                    return self._out
        return None

    def is_late(self, entry: Entry) -> bool:
        """Whether something was handed over already that was said of this alert later."""
        last = self.steps.get(entry.fingerprint)
        return last is not None and entry.step <= last

    def tries(self, entry: Entry) -> int:
        """How often it was handed over in vain."""
        return self._tries.get(entry.fingerprint, 0)

    def done(self, now: float) -> None:
        """Let the message that is out be had for ever."""
        entry = self._ended()
        if entry.durable:
            self.done_ranges.add(entry.seq)
        else:
            self._note_frail(entry)
        chain = self._chains[entry.fingerprint]
        chain.remove(entry.seq)
        del self._entries[entry.seq], self._arrived[entry.seq]
        self._open.discard(entry.seq)
        self._tries.pop(entry.fingerprint, None)
        if not self.is_late(entry):
            self._remember(entry.fingerprint, entry.step)
        if chain:
            self._place(entry.fingerprint, now)
        else:
            del self._chains[entry.fingerprint]

    def failed(self, now: float) -> None:
        """Take the message that is out back. It comes again after a pause; other alerts do not wait for that."""
        entry = self._ended()
        tries = self._tries.get(entry.fingerprint, 0)
        self._tries[entry.fingerprint] = tries + 1
        self._paused[entry.fingerprint] = now + min(_FIRST_PAUSE_S * 2.0 ** min(tries, 10), _LONGEST_PAUSE_S)

    def unwritten(self) -> Plan:
        """Return what is to be written down: stretches that need no handing over, and that we have begun."""
        spans = tuple(self._unwritten)
        is_due = bool(spans) or self._is_new or (self.begun, self.stream) != self._noted
        return Plan(
            begun=self.begun,
            stream=self.stream,
            spans=spans,
            is_new=self._is_new,
            is_due=is_due,
            epoch=self._epoch,
        )

    def written(self, plan: Plan) -> None:
        """Note that this is written down; nothing of it counts if the numbers began anew meanwhile."""
        if plan.epoch != self._epoch:
            return
        self._is_new, self._noted = False, (plan.begun, plan.stream)
        for first, last in plan.spans:
            self.done_ranges.add(first, last)
            self._unwritten.remove((first, last))
            for seq in [seq for seq in self.frail if first <= seq <= last]:
                del self.frail[seq]

    def wait_s(self, now: float) -> float | None:
        """Return in how many seconds time alone lets something be handed over; None if it never does."""
        due = list(self._paused.values())
        due += [self._arrived[seq] + self._hold_s for seq in self._held.values()]
        return max(0.0, min(due) - now) if due else None

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
        here = self._here
        if self.frail:
            here = Ranges(here)
            for seq in self.frail:
                here.remove(seq)
        return [*islice(here.holes(), MOST_WANTED - 1), (here.highest + 1, OPEN_END)]

    @property
    def is_lacking(self) -> bool:
        """Whether numbers are known of that did not come yet."""
        return self._here.frontier < max(self.known, self._here.highest)

    @property
    def waiting(self) -> int:
        """How many messages are in memory: to be handed over, or held."""
        return len(self._entries)

    # Within

    def _ended(self) -> Entry:
        if self._out is None:
            raise ValueError("no message is out")
        entry, self._out = self._out, None
        return entry

    def _join(self, entry: Entry) -> None:
        """Put a message into its place among those of its alert."""
        chain = self._chains.setdefault(entry.fingerprint, [])
        insort(chain, entry.seq)
        if entry.fingerprint in self._held:
            self._held_entries += 1

    def _place(self, fingerprint: str, now: float) -> None:
        """Queue the first message of an alert, or hold it."""
        if (self._out is not None and self._out.fingerprint == fingerprint) or fingerprint in self._paused:
            return
        chain = self._chains[fingerprint]
        head = self._entries[chain[0]]
        self._unhold(fingerprint)
        if self._is_due(head, self._arrived[head.seq], now):
            self._queue(fingerprint)
            return
        self._lane.pop(fingerprint, None)
        self._held[fingerprint] = head.seq
        self._held_entries += len(chain)
        heapq.heappush(self._held_by_seq, (head.seq, fingerprint))
        self._overdue_at = min(self._overdue_at, self._arrived[head.seq] + self._hold_s)

    def _queue(self, fingerprint: str) -> None:
        lane = 0 if any(self._entries[seq].urgent for seq in self._chains[fingerprint]) else 1
        if self._lane.get(fingerprint, 2) > lane:
            self._lane[fingerprint] = lane
            self._lanes[lane].append(fingerprint)

    def _unhold(self, fingerprint: str) -> None:
        if self._held.pop(fingerprint, None) is not None:
            self._held_entries -= len(self._chains[fingerprint])

    def _is_due(self, entry: Entry, arrived: float, now: float) -> bool:
        """Tell whether nothing that was said of its alert before can be on its way."""
        if entry.seq in self._open or entry.seq <= self._here.frontier + 1:
            return True
        last = self.steps.get(entry.fingerprint)
        late = last is not None and entry.step <= last
        return late or entry.step.follows(last) or now - arrived >= self._hold_s

    def _release(self, now: float) -> None:
        """Queue what need not be held any longer."""
        for fingerprint in [one for one, until in self._paused.items() if until <= now]:
            del self._paused[fingerprint]
            self._place(fingerprint, now)
        while self._held_by_seq and self._held_by_seq[0][0] <= self._here.frontier:
            seq, fingerprint = heapq.heappop(self._held_by_seq)
            if self._held.get(fingerprint) == seq:
                self._place(fingerprint, now)
        if now >= self._overdue_at:
            self._end_holds(now)

    def _end_holds(self, now: float) -> None:
        self._overdue_at = inf
        for fingerprint in list(self._held):
            self._place(fingerprint, now)

    def _remember(self, fingerprint: str, step: Step) -> None:
        self.steps[fingerprint] = step
        self.steps.move_to_end(fingerprint)
        if len(self.steps) > MOST_ALERTS:
            over = next((one for one, last in self.steps.items() if last.over), next(iter(self.steps)))
            del self.steps[over]

    def _note_frail(self, entry: Entry) -> None:
        self.frail[entry.seq] = entry.id
        if len(self.frail) > MOST_FRAIL:
            del self.frail[next(iter(self.frail))]
