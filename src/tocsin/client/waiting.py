"""Messages in memory until they are handled: by alert, each in the order of its own changes, critical ones first.

A message that comes before its predecessor is held until that one is here, is told to be gone, or a time limit is
over. Other alerts never wait for it. One that was handled in vain comes again after ever longer pauses.
"""

import heapq
from bisect import insort
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from math import inf
from typing import Final

from tocsin.client.entries import Entry, Step
from tocsin.client.had import Had

HOLD_S: Final = 30.0
"""So long a message waits for its predecessor once nothing that was missing comes any more: the daemon sends again what
it is asked for within seconds, but thousands of messages take minutes."""
MOST_HOLDS: Final = 10
"""While others still come it waits longer, up to so many times that."""
MOST_READY: Final = 2_000
"""Messages that wait to be handed over; then the broker has to keep the rest."""
MOST_HELD: Final = 2_000
"""Messages that wait for a predecessor; one more is as if it had not come, and is asked for again."""
MOST_ALERTS: Final = 100_000
"""Alerts whose last step is remembered. Those that are over go first."""

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_SLACK = 64
"""Entries that may be out of date, beside as many as hold."""


class Steps:
    """Which change of each alert was handled last."""

    def __init__(self, saved: Mapping[str, Step]) -> None:
        self._last: OrderedDict[str, Step] = OrderedDict(saved)

    def __getitem__(self, fingerprint: str) -> Step | None:
        return self._last.get(fingerprint)

    def is_late(self, entry: Entry) -> bool:
        """Whether something was handled already that was said of this alert later, or just this."""
        last = self._last.get(entry.fingerprint)
        return last is not None and entry.step <= last

    def remember(self, fingerprint: str, step: Step) -> None:
        """Note a change; beyond the bound an alert that is over is forgotten, or else the one of longest ago."""
        self._last[fingerprint] = step
        self._last.move_to_end(fingerprint)
        if len(self._last) > MOST_ALERTS:
            over = next((one for one, last in self._last.items() if last.over), next(iter(self._last)))
            del self._last[over]

    def clear(self) -> None:
        """Forget all of them."""
        self._last.clear()


class Waiting:
    """One of these messages at a time is `out`: `next` hands it over, `handled` or `failed` ends that.

    Times are seconds of any clock that does not go back.
    """

    def __init__(self, had: Had, steps: Steps, *, hold_s: float, most_ready: int, most_held: int) -> None:
        self._had, self._steps = had, steps
        self._hold_s, self._most_ready, self._most_held = hold_s, most_ready, most_held
        self.clear()

    def clear(self) -> None:
        """Forget all of them."""
        self.out: Entry | None = None
        self._entries: dict[int, Entry] = {}
        self._arrived: dict[int, float] = {}
        self._chains: dict[str, list[int]] = {}
        self._lanes: tuple[deque[str], deque[str]] = (deque(), deque())
        self._lane: dict[str, int] = {}
        self._held: dict[str, int] = {}
        self._held_by_seq: list[tuple[int, str]] = []
        self._held_entries = 0
        self._overdue_at = inf
        self._frontier, self._moved_at = self._had.here.frontier, -inf
        self._paused: dict[str, float] = {}
        self._tries: dict[str, int] = {}
        self._open: set[int] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def numbers(self) -> Iterable[int]:
        """Return the numbers that wait."""
        return self._entries.keys()

    def get(self, seq: int) -> Entry | None:
        """Return the message that waits under a number."""
        return self._entries.get(seq)

    def has_room(self) -> bool:
        """Whether another message may wait to be handed over."""
        return len(self._entries) - self._held_entries < self._most_ready

    def has_place_for(self, entry: Entry, now: float) -> bool:
        """Whether a message may wait: one that would be held needs a place among those."""
        if self._held_entries < self._most_held:
            return True
        chain = self._chains.get(entry.fingerprint)
        if chain is not None and entry.seq > chain[0]:
            return entry.fingerprint not in self._held
        return self._is_due(entry, now, now)

    def let_open(self, seq: int) -> None:
        """Hold a message for nothing: it is what an alert is at, and what led there is not asked for."""
        self._open.add(seq)

    def add(self, entry: Entry, now: float) -> None:
        """Let a message wait that is `here`."""
        self._entries[entry.seq] = entry
        self._arrived[entry.seq] = now
        insort(self._chains.setdefault(entry.fingerprint, []), entry.seq)
        if entry.fingerprint in self._held:
            self._held_entries += 1
        self._place(entry.fingerprint, now)
        self.release(now)

    def next(self, now: float, *, urgent: bool) -> Entry | None:
        """Hand over the first of the critical ones, else (unless only such are wanted) the first that came."""
        if self.out is not None:
            raise ValueError(f"message {self.out.seq} is still out: say what became of it first")
        self.release(now)
        for number, lane in enumerate(self._lanes[:1] if urgent else self._lanes):
            while lane:
                fingerprint = lane.popleft()
                if self._lane.get(fingerprint) == number:
                    del self._lane[fingerprint]
                    self.out = self._entries[self._chains[fingerprint][0]]
                    return self.out
        return None

    def tries(self, entry: Entry) -> int:
        """How often it was handed over in vain."""
        return self._tries.get(entry.fingerprint, 0)

    def handled(self, now: float) -> Entry:
        """Let the message that is out wait no more, and return it."""
        entry = self._ended()
        chain = self._chains[entry.fingerprint]
        chain.remove(entry.seq)
        del self._entries[entry.seq], self._arrived[entry.seq]
        self._open.discard(entry.seq)
        self._tries.pop(entry.fingerprint, None)
        self._had.handled(entry)
        if not self._steps.is_late(entry):
            self._steps.remember(entry.fingerprint, entry.step)
        if chain:
            self._place(entry.fingerprint, now)
        else:
            del self._chains[entry.fingerprint]
        return entry

    def failed(self, now: float) -> None:
        """Take the message that is out back. It comes again after a pause; other alerts do not wait for that."""
        entry = self._ended()
        tries = self._tries.get(entry.fingerprint, 0)
        self._tries[entry.fingerprint] = tries + 1
        self._paused[entry.fingerprint] = now + min(_FIRST_PAUSE_S * 2.0 ** min(tries, 10), _LONGEST_PAUSE_S)

    def wait_s(self, now: float) -> float | None:
        """Return in how many seconds time alone lets something be handed over; None if it never does."""
        due = list(self._paused.values())
        due += [self._held_until(self._arrived[seq]) for seq in self._held.values()]
        return max(0.0, min(due) - now) if due else None

    def release(self, now: float) -> None:
        """Queue what need not be held any longer."""
        if self._had.here.frontier > self._frontier:
            self._frontier, self._moved_at = self._had.here.frontier, now
        for fingerprint in [one for one, until in self._paused.items() if until <= now]:
            del self._paused[fingerprint]
            self._place(fingerprint, now)
        while self._held_by_seq and self._held_by_seq[0][0] <= self._had.here.frontier:
            seq, fingerprint = heapq.heappop(self._held_by_seq)
            if self._held.get(fingerprint) == seq:
                self._place(fingerprint, now)
        if now >= self._overdue_at:
            self._end_holds(now)

    def look_again(self) -> None:
        """Measure from where the numbers are without a hole now, that may be further back than before."""
        self._frontier = self._had.here.frontier

    # Within

    def _ended(self) -> Entry:
        if self.out is None:
            raise ValueError("no message is out")
        entry, self.out = self.out, None
        return entry

    def _place(self, fingerprint: str, now: float) -> None:
        """Queue the first message of an alert, or hold it."""
        if (self.out is not None and self.out.fingerprint == fingerprint) or fingerprint in self._paused:
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
        if len(self._held_by_seq) > 2 * len(self._held) + _SLACK:  # who was let go by time alone is still in there
            self._held_by_seq = sorted((seq, held) for held, seq in self._held.items())
        self._overdue_at = min(self._overdue_at, self._held_until(self._arrived[head.seq]))

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
        if entry.seq in self._open or entry.seq <= self._had.here.frontier + 1:
            return True
        follows = entry.step.follows(self._steps[entry.fingerprint])
        return follows or self._steps.is_late(entry) or now >= self._held_until(arrived)

    def _held_until(self, arrived: float) -> float:
        """Return until when a message waits for its predecessor at most."""
        return min(max(arrived, self._moved_at) + self._hold_s, arrived + MOST_HOLDS * self._hold_s)

    def _end_holds(self, now: float) -> None:
        self._overdue_at = inf
        for fingerprint, seq in list(self._held.items()):
            arrived = self._arrived[seq]
            if self._is_due(self._entries[seq], arrived, now):
                self._place(fingerprint, now)
            else:
                self._overdue_at = min(self._overdue_at, self._held_until(arrived))
