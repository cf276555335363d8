"""A set of numbers of the stream, as stretches: nearly all of them are one."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Span = tuple[int, int]
"""First and last number of a stretch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """What adding a stretch does: these stretches, by their first numbers, become that one."""

    gone: tuple[int, ...]
    span: Span


class Ranges:
    """Numbers from 1; `add` in any order, asked in the time of a binary search. Raises ValueError for no stretch."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for span in spans:
            self.add(*span)

    def __contains__(self, seq: int) -> bool:
        at = bisect_right(self._firsts, seq) - 1
        return at >= 0 and seq <= self._lasts[at]

    def __iter__(self) -> Iterator[Span]:
        return iter(zip(self._firsts, self._lasts, strict=True))

    def __len__(self) -> int:
        """How many stretches there are."""
        return len(self._firsts)

    @property
    def highest(self) -> int:
        """The highest number, 0 where there is none."""
        return self._lasts[-1] if self._lasts else 0

    @property
    def frontier(self) -> int:
        """The last number up to which none is lacking, counted from 1."""
        return self._lasts[0] if self._firsts and self._firsts[0] == 1 else 0

    def merge(self, first: int, last: int) -> Merge:
        """Tell what `add` would do."""
        low, high = self._touched(first, last)
        if low == high:
            return Merge(gone=(), span=(first, last))
        span = min(first, self._firsts[low]), max(last, self._lasts[high - 1])
        return Merge(gone=tuple(self._firsts[low:high]), span=span)

    def add(self, first: int, last: int | None = None) -> None:
        """Add a stretch, or one number."""
        low, high = self._touched(first, first if last is None else last)
        merged = self.merge(first, first if last is None else last).span
        self._firsts[low:high] = [merged[0]]
        self._lasts[low:high] = [merged[1]]

    def remove(self, first: int, last: int | None = None) -> None:
        """Take out a stretch, or one number, as far as it is there."""
        last = first if last is None else last
        low, high = bisect_left(self._lasts, first), bisect_right(self._firsts, last)
        if low >= high:
            return
        rest = [(self._firsts[low], first - 1), (last + 1, self._lasts[high - 1])]
        rest = [span for span in rest if span[0] <= span[1]]
        self._firsts[low:high] = [span[0] for span in rest]
        self._lasts[low:high] = [span[1] for span in rest]

    def holes(self) -> Iterator[Span]:
        """Yield what is lacking below the highest number, the lowest first."""
        free = 1
        for first, last in self:
            if free < first:
                yield free, first - 1
            free = last + 1

    def missing(self) -> Iterator[int]:
        """Yield the numbers that are lacking below the highest one, in order."""
        for first, last in self.holes():
            yield from range(first, last + 1)

    def _touched(self, first: int, last: int) -> tuple[int, int]:
        """Return which stretches overlap or adjoin this one, as a slice."""
        if not 1 <= first <= last:
            raise ValueError(f"{first} to {last} is no stretch of the stream, whose numbers begin at 1")
        return bisect_left(self._lasts, first - 1), bisect_right(self._firsts, last + 1)


def joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield stretches that come in order, those that overlap or adjoin as one."""
    last: Span | None = None
    for span in spans:
        if last is not None and span[0] <= last[1] + 1:
            last = (last[0], max(last[1], span[1]))
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last
