"""What was raised, what arrived, and what is wrong between the two."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks._delivery import consumer, naive
from benchmarks._delivery.rig import SELF_TEST, TESTS, query

WRONG: Final = ("lost", "duplicates", "foreign", "untold", "holes", "order_broken", "unpaired")
"""Figures that have to be 0, in every run."""
_TAKEN: Final = "taken"
_DUPLICATE: Final = "duplicate"


@dataclass(frozen=True, kw_only=True)
class Got:
    """One message as the consumer's handler wrote it down."""

    id: str
    seq: int
    fingerprint: str
    activation: int
    reason: str
    state: str
    severity: str
    raised_ns: int
    got_ns: int
    late: bool


@dataclass(frozen=True, kw_only=True)
class Books:
    """All that is written down in the folder of a run."""

    rows: Mapping[int, str]
    """Numbers and ids of the stream, as the daemon's store has them."""
    raised: frozenset[str]
    """Ids of those that a handler is told of: all but the self-test."""
    tests: frozenset[int]
    """Numbers of the self-test, also of words that have expired and are forgotten."""
    witness: frozenset[str]
    """Ids that left the core after their commit."""
    got: tuple[Got, ...]
    naive: frozenset[str] | None

    @classmethod
    def of(cls, folder: Path) -> "Books":
        name = consumer.WATCHDOG.partition("/")[2]
        rows = query(folder / "state" / "tocsin.db", "SELECT seq, id, topic FROM outbox ORDER BY seq")
        named = {seq: f"{name}:{id_}" for seq, id_, _ in rows}
        fields = ", ".join(Got.__dataclass_fields__)
        got = query(folder / consumer.FILE, f"SELECT {fields} FROM got ORDER BY n")  # noqa: S608 - names of ours
        beside, tests = folder / "naive.db", folder / TESTS
        seen = {int(line) for line in tests.read_text().split()} if tests.exists() else set[int]()
        return cls(
            rows=named,
            raised=frozenset(named[seq] for seq, _, topic in rows if not topic.endswith(SELF_TEST)),
            tests=frozenset(seen | {seq for seq, _, topic in rows if topic.endswith(SELF_TEST)}),
            witness=frozenset((folder / "witness").read_text().split()),
            got=tuple(Got(**dict(zip(Got.__dataclass_fields__, row, strict=True))) for row in got),
            naive=frozenset(naive.had(beside)) if beside.exists() else None,
        )

    def figures(self) -> dict[str, int]:
        """Return what counts: all of `WRONG` have to be 0."""
        ids, had = self.raised, Counter(one.id for one in self.got)
        return {
            "raised": len(ids),
            "lost": len(ids - had.keys()),
            "duplicates": sum(count - 1 for count in had.values()),
            "foreign": len(had.keys() - ids),
            "untold": len(self.witness - set(self.rows.values())),
            "holes": max(self.rows, default=0) - len(self.rows.keys() | self.tests),
            "order_broken": self._order_broken(),
            "unpaired": self._unpaired(),
            **({} if self.naive is None else {"naive_lost": len(ids - self.naive)}),
        }

    def wrong(self) -> int:
        """Return how much of what has to be 0 is not."""
        found = self.figures()
        return sum(found[key] for key in WRONG)

    def _order_broken(self) -> int:
        """Count messages that came behind a later one of their alert."""
        broken, last = 0, dict[str, int]()
        for one in self.got:
            broken += one.seq < last.get(one.fingerprint, 0)
            last[one.fingerprint] = max(one.seq, last.get(one.fingerprint, 0))
        return broken

    def _unpaired(self) -> int:
        """Count firings without exactly one end, once everything has ended."""
        fired = Counter((one.fingerprint, one.activation) for one in self._distinct() if one.reason == "fired")
        ended = Counter((one.fingerprint, one.activation) for one in self._distinct() if one.state == "resolved")
        return sum(abs(fired[key] - ended[key]) + max(0, fired[key] - 1) for key in fired.keys() | ended.keys())

    def _distinct(self) -> Iterable[Got]:
        return {one.seq: one for one in self.got}.values()

    def heals_s(self, ups: Iterable[int]) -> list[float]:
        """Return, for each time at which everything ran again, how long until all raised before was here."""
        found = []
        for up_ns in ups:
            owed = [one.got_ns for one in self.got if one.raised_ns <= up_ns]
            found.append(max(0, max(owed, default=0) - up_ns) / 1e9)
        return found

    def latencies_s(self) -> list[float]:
        """Return how long each message took from being raised to the handler."""
        return sorted((one.got_ns - one.raised_ns) / 1e9 for one in self.got)


def alerts_in(folder: Path) -> int:
    """Return how many messages of alerts the daemon's store has, the self-test's apart."""
    rows = query(folder / "state" / "tocsin.db", "SELECT topic FROM outbox")
    return sum(not topic.endswith(SELF_TEST) for (topic,) in rows)


def committed(folder: Path) -> list[tuple[int, str, float]]:
    """Return number, severity and seconds from being raised until the consumer's transaction had ended."""
    lines = (folder / consumer.COMMITTED).read_text().splitlines()
    rows: list[list[Any]] = [json.loads(line) for line in lines if line.endswith("]")]
    return [(int(seq), str(severity), (done - raised) / 1e9) for seq, severity, raised, done in rows]


def quantile(values: Iterable[float], share: float) -> float:
    """Return a quantile, 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def repeated(counts: Iterable[Mapping[str, int]]) -> float:
    """Return which share of what the consumer heard it had before."""
    taken = sum(one.get(_TAKEN, 0) for one in counts)
    again = sum(one.get(_DUPLICATE, 0) for one in counts)
    return again / taken if taken else 0.0
