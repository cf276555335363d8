"""What may be sent now: critical rows first, one chain per fingerprint, nothing that the broker refuses.

A refused message stays and is tried again at a slow pace. What it holds up is its own fingerprint, whose order would
break, and, where the refusal is about the topic, the other rows of that topic; nothing else.
"""

from collections.abc import Iterable
from typing import Final

from tocsin.errors import PublishRefused
from tocsin.mqtt import reasons
from tocsin.store import Pending

URGENT: Final = 0
"""The lane of critical rows, and of rows that wait before one of the same fingerprint."""

_ABOUT_THE_TOPIC: Final = frozenset(
    {
        reasons.NOT_AUTHORIZED,
        reasons.TOPIC_NAME_INVALID,
        reasons.RETAIN_NOT_SUPPORTED,
        reasons.QOS_NOT_SUPPORTED,
    }
)


class Holds:
    """What the broker refused, and when it is worth another try. Times are seconds of one steady clock.

    A chain is what keeps its order: a fingerprint, or the topic of a message that has none.
    """

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._until: dict[tuple[str, str], float] = {}
        self._refused: dict[str, PublishRefused] = {}

    def refuse(self, chain: str, refusal: PublishRefused, now: float) -> None:
        """Hold a message, and what must not pass it, for the pause."""
        self._refused[refusal.topic] = refusal
        self._until["chain", chain] = now + self._pause_s
        if refusal.reason_code in _ABOUT_THE_TOPIC:
            self._until["topic", refusal.topic] = now + self._pause_s

    def release(self, topic: str, chain: str) -> None:
        """Forget the refusals of a message: the broker took it."""
        self._refused.pop(topic, None)
        self._until.pop(("topic", topic), None)
        self._until.pop(("chain", chain), None)

    def end_pauses(self) -> None:
        """Let everything be tried at once: a new connection may be to a broker of a better mind."""
        self._until.clear()

    def __bool__(self) -> bool:
        """Whether anything has to wait, as far as is remembered."""
        return bool(self._until)

    def holds(self, topic: str, chain: str, now: float) -> bool:
        """Whether a message has to wait."""
        return max(self._until.get(("topic", topic), now), self._until.get(("chain", chain), now)) > now

    def next_try_s(self, looked: float, now: float) -> float | None:
        """Seconds from now until something may be tried that was held at the last look; None when nothing was."""
        waiting = [until for until in self._until.values() if until > looked]
        return max(0.0, min(waiting) - now) if waiting else None

    @property
    def refused(self) -> tuple[str, ...]:
        """One line for each topic that the broker refused last."""
        return tuple(str(refusal) for _, refusal in sorted(self._refused.items()))


Chain = list[Pending]


def chain_of(pending: Pending) -> str:
    """Return what keeps the order of a row."""
    return pending.row.fingerprint or pending.row.topic


def lanes(rows: Iterable[Pending], holds: Holds, now: float) -> tuple[list[Chain], list[Chain]]:
    """Return the chains that may go now, the urgent ones apart, each in its order."""
    chains: dict[str, Chain] = {}
    blocked: set[str] = set()
    for pending in rows:
        chain = chain_of(pending)
        if chain in blocked or holds.holds(pending.row.topic, chain, now):
            blocked.add(chain)
        else:
            chains.setdefault(chain, []).append(pending)
    found = [sorted(chain, key=lambda pending: pending.row.seq) for chain in chains.values()]
    return [chain for chain in found if _urgent(chain)], [chain for chain in found if not _urgent(chain)]


def _urgent(chain: Chain) -> bool:
    return any(pending.lane == URGENT for pending in chain)
