"""What a channel of people has before it, in order of time: which groups are due, and where news of an alert waits.

Nothing of it is remembered: all of it follows from the channel, and takes as long to work out as the channel is large.
So it is handed on from one state of a channel to the next, and worked out anew only for a state that is not the newest
one: after a start, or where a step is taken twice.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic, TypeVar

from tocsin.model.alert import Severity

_MOST_KEPT: Final = 64
"""Channels whose agendas are kept."""
_SLACK: Final = 64
"""Entries that may be out of date, beside as many as hold: a heap is built anew for more."""

Due = Callable[[str], tuple[Severity, int] | None]
"""Tells of which severity a group is, and when it is due; None for one that does not wait any more."""

K = TypeVar("K")


class Agenda:
    """Groups by the time at which they are due; `place` has the group in which news of an alert waits.

    What changes is only added: an entry holds if its group is of that severity, and due at its time.
    """

    def __init__(
        self, *, place: dict[str, str], groups: Iterable[tuple[Severity, int, str]], spoken: Mapping[str, int]
    ) -> None:
        self.place = place
        self._groups: dict[Severity, list[tuple[int, str]]] = {severity: [] for severity in Severity}
        for severity, due_ns, name in groups:
            self._groups[severity].append((due_ns, name))
        for heap in self._groups.values():
            heapq.heapify(heap)
        self._spoken = [(until_ns, name) for name, until_ns in spoken.items()]
        heapq.heapify(self._spoken)

    def note(self, severity: Severity, due_ns: int, name: str) -> None:
        """Note that a group is due at a time."""
        heapq.heappush(self._groups[severity], (due_ns, name))

    def due(self, severity: Severity, now_ns: int, when: Due) -> list[str]:
        """Take out the groups that are due, by their time and name."""
        heap, found = self._groups[severity], dict[str, None]()
        while heap and heap[0][0] <= now_ns:
            due_ns, name = heapq.heappop(heap)
            if when(name) == (severity, due_ns):
                found[name] = None
        return list(found)

    def first(self, severity: Severity, when: Due) -> int | None:
        """Return when the first group is due; None where none is."""
        heap = self._groups[severity]
        while heap and when(heap[0][1]) != (severity, heap[0][0]):
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def spoke(self, names: Iterable[str], until_ns: int) -> None:
        """Note that groups were told of, and until when they are not told of again."""
        self._spoken += [(until_ns, name) for name in names]
        heapq.heapify(self._spoken)

    def unspoken(self, spoken: Mapping[str, int], now_ns: int) -> Mapping[str, int]:
        """Return the groups that are not to be told of yet, without those whose time is over."""
        over = []
        while self._spoken and self._spoken[0][0] <= now_ns:
            until_ns, name = heapq.heappop(self._spoken)
            if spoken.get(name) == until_ns:
                over.append(name)
        if not over:
            return spoken
        left = dict(spoken)
        for name in dict.fromkeys(over):
            del left[name]
        return left

    def tidy(self, groups: int, spoken: int, when: Due) -> None:
        """Forget entries that hold no more, where they are too many."""
        if sum(map(len, self._groups.values())) > 2 * groups + _SLACK:
            for severity, heap in self._groups.items():
                fresh = {entry for entry in heap if when(entry[1]) == (severity, entry[0])}
                self._groups[severity] = sorted(fresh)
        if len(self._spoken) > 2 * spoken + _SLACK:
            newest: dict[str, int] = {}
            for until_ns, name in self._spoken:
                newest[name] = max(until_ns, newest.get(name, until_ns))
            self._spoken = sorted((until_ns, name) for name, until_ns in newest.items())


class Agendas(Generic[K]):
    """The agendas of the newest states of channels, each for the one who takes it next."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[K, Agenda]] = OrderedDict()

    def pop(self, of: K) -> Agenda | None:
        """Take the agenda of a state, which is known by its identity; None where there is none."""
        found = self._kept.pop(id(of), None)
        return found[1] if found is not None and found[0] is of else None

    def keep(self, of: K, agenda: Agenda) -> None:
        """Keep the agenda of a state."""
        self._kept[id(of)] = of, agenda
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
