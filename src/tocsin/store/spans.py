"""Numbers of the stream as spans of first and last: what went at once is often one stretch."""

from collections.abc import Iterable

import orjson

Spans = tuple[tuple[int, int], ...]


def spans_of(seqs: Iterable[int]) -> Spans:
    """Return the spans of some numbers, the lowest first."""
    found: list[list[int]] = []
    for seq in sorted(set(seqs)):
        if found and found[-1][1] == seq - 1:
            found[-1][1] = seq
        else:
            found.append([seq, seq])
    return tuple((first, last) for first, last in found)


def holes(held: Iterable[int], first: int, last: int) -> Spans:
    """Return what of `first` to `last` is not among the numbers held."""
    return lacking(((seq, seq) for seq in held), first, last)


def lacking(held: Iterable[tuple[int, int]], first: int, last: int) -> Spans:
    """Return what of `first` to `last` is in none of the spans held, which may come in any order and overlap."""
    found, free = [], first
    for low, high in sorted(held):
        if free < low <= last:
            found.append((free, low - 1))
        if low <= last:
            free = max(free, high + 1)
    if free <= last:
        found.append((free, last))
    return tuple(found)


def written(spans: Spans) -> str:
    """Return spans as the database keeps them."""
    return orjson.dumps(spans).decode()


def read(text: str) -> Spans:
    """Return what `written` was given; nothing where that is no spans."""
    try:
        return tuple((int(first), int(last)) for first, last in orjson.loads(text)) if text else ()
    except (ValueError, TypeError):
        return ()
