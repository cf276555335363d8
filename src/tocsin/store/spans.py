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
    found, free = [], first
    for seq in sorted(held):
        if first <= seq <= last:
            if seq > free:
                found.append((free, seq - 1))
            free = max(free, seq + 1)
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
