"""Whether the numbers of a stream mean what they meant: what the heartbeats of a daemon's lives prove.

A daemon that lost its state counts anew, one whose state was put back goes on from an earlier number. That is believed
only once the count that is known was silent for a while, and the other one was told more than once: two daemons of one
name speak in turns, and anybody's single word must not void what is had.
"""

from collections import OrderedDict
from enum import Enum, auto
from typing import Final

_PROOFS: Final = 2
"""Heartbeats in a row that must say so before numbers are believed to have begun anew."""
_SILENT_S: Final = 15.0
"""And for so long none of the numbers that are known: two daemons of one name speak in turns, each some 10 s."""
_MOST_PROOFS: Final = 12
"""After so many what is left of the old numbers waits no longer to be handled."""
_MOST_LIVES: Final = 100
"""Lives that are remembered: a consumer hears of hardly more while it runs."""


class Proof(Enum):
    """How far it is proven that another count is the present one."""

    NONE = auto()
    ENOUGH_AT_REST = auto()
    """It is, unless a message of the count that is known waits to be handled."""
    ENOUGH = auto()
    """It is, unless one is being handled."""


class Proofs:
    """Heartbeats of another count. Times are seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin with a count."""
        self._by_boot: dict[str, tuple[int, int]] = {}
        self._heard_at: float | None = None

    def began(self, now: float) -> None:
        """Note that heartbeats are heard, of whatever count."""
        self._heard_at = now if self._heard_at is None else self._heard_at

    def known(self, now: float) -> None:
        """Note a heartbeat of the count that is known."""
        self._by_boot.clear()
        self._heard_at = now

    def other(self, boot: str, beat: int, now: float) -> Proof:
        """Note the `beat`-th heartbeat of a life that counts otherwise."""
        before, proofs = self._by_boot.get(boot, (0, 0))
        if beat <= before:
            return Proof.NONE
        proofs += 1
        self._by_boot = {boot: (beat, proofs)}
        if self._heard_at is None or now - self._heard_at < _SILENT_S or proofs < _PROOFS:
            return Proof.NONE
        return Proof.ENOUGH if proofs >= _MOST_PROOFS else Proof.ENOUGH_AT_REST


class Lives:
    """Lives of a daemon for which something was done that once is enough for.

    Two daemons whose state directories are copies of one another give the same numbers at the same time: if what others
    said were doubted at each of their words, everything would be asked for again for as long as both are there.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()

    def is_new(self, life: str) -> bool:
        """Note a life; tell whether it was not noted before."""
        is_new = life not in self._known
        self._known[life] = None
        self._known.move_to_end(life)
        while len(self._known) > _MOST_LIVES:
            self._known.popitem(last=False)
        return is_new
