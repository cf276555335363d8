"""Bodies at hand while a journal is read, within a bound."""

from collections import OrderedDict
from collections.abc import Callable, Mapping

CACHE_BYTES = 32 << 20
"""Bodies that a reader keeps at hand; older ones are read again."""


class BodyCache:
    """Bodies by number, a bounded number of bytes of them; `load` gets the others back."""

    def __init__(self, load: Callable[[int], tuple[str, bytes]], limit: int | None = None) -> None:
        self._load = load
        self._limit = CACHE_BYTES if limit is None else limit
        self._held: OrderedDict[int, tuple[str, bytes]] = OrderedDict()
        self._bytes = 0

    def put(self, number: int, name: str, data: bytes) -> None:
        """Keep a body at hand."""
        self._held[number] = (name, data)
        self._bytes += len(data)
        while self._bytes > self._limit and len(self._held) > 1:
            _, (_, oldest) = self._held.popitem(last=False)
            self._bytes -= len(oldest)

    def named(self, numbers: tuple[int, ...]) -> Mapping[str, bytes]:
        """Return the bodies with these numbers, by digest."""
        return dict(self._get(number) for number in numbers)

    def _get(self, number: int) -> tuple[str, bytes]:
        held = self._held.get(number)
        if held is None:
            held = self._load(number)
            self.put(number, *held)
        else:
            self._held.move_to_end(number)
        return held
