"""How late blocks come to each node, and how many slots stay empty, from a recording.

A block's delay is counted from its timestamp, which is the start of its slot on chains with a slot clock. When a node
had it is known to lie between two polls: the last one before it showed the block or a descendant, and that one. Blocks
of a time in which a poll of the node failed, or our own process stood still, say nothing of the node's usual delay and
are left out; so are those that came more than `LATE_SLOTS` late: a node that stands still is a fault and no delay.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tocsin.clock import NS
from tocsin.engine.codec import decode_event, decode_state
from tocsin.engine.fold import header_of
from tocsin.errors import CorruptRecord
from tocsin.lab.lognormal import Interval, Lognormal, fit
from tocsin.model.block import Header
from tocsin.model.event import Booted, ConfigRevised, Event, Polled, Ticked
from tocsin.model.observation import LATEST
from tocsin.model.settings import ChainSettings, Settings
from tocsin.store import Entry, Gap, SnapshotAt, read_recording

LATE_SLOTS: Final = 5
_LOOKBACK: Final = 64
"""So many blocks may come between two polls of a node."""


@dataclass(slots=True, kw_only=True)
class NodeArrivals:
    """What one node's polls tell. `left_out` counts blocks that say nothing, `late` those that came far too late."""

    intervals: list[Interval] = field(default_factory=list)
    left_out: int = 0
    late: int = 0

    def fitted(self) -> Lognormal | None:
        """Return the most likely distribution of its delays."""
        return fit(self.intervals)


@dataclass(slots=True, kw_only=True)
class ChainArrivals:
    """One chain of a recording."""

    settings: ChainSettings
    nodes: dict[str, NodeArrivals] = field(default_factory=dict)
    blocks: int = 0
    slots: int = 0

    @property
    def missed(self) -> float | None:
        """Share of slots without a block; None where no slot has passed."""
        return None if self.slots <= 0 else max(0.0, 1 - self.blocks / self.slots)


@dataclass(slots=True)
class _Node:
    """What is known of a node between two polls. Times in engine ns."""

    polled_ns: int | None = None
    """When the newest good answer was asked for."""
    head: str = ""
    disturbed: bool = False
    """Whether a poll since then failed or was ours to blame."""


class Collector:
    """Takes the events of a recording in order; `chains` fills."""

    def __init__(self) -> None:
        self.chains: dict[str, ChainArrivals] = {}
        self._headers: dict[str, dict[str, Header]] = {}
        self._nodes: dict[tuple[str, str], _Node] = {}
        self._span: dict[str, tuple[Header, Header]] = {}
        self._ahead_ns: int | None = None
        """By how much the wall clock is ahead of engine time."""

    def begin(self, settings: Settings) -> None:
        """Take a configuration, as an event or from the snapshot that a recording begins with. Raises CorruptRecord."""
        for chain in settings.chains:
            if chain.block_time_ns <= 0:
                raise CorruptRecord(f"chain {chain.name!r} has a block time of {chain.block_time_ns} ns")
            self.chains.setdefault(chain.name, ChainArrivals(settings=chain)).settings = chain

    def interrupted(self) -> None:
        """Forget who showed what: a time is missing."""
        self._nodes.clear()

    def take(self, event: Event) -> None:
        """Take one event."""
        match event:
            case ConfigRevised(settings=settings):
                self.begin(settings)
            case Ticked():
                self._ahead_ns = event.wall_ns - event.t_ns
            case Booted():
                self.interrupted()
            case Polled() if event.chain in self.chains:
                self._polled(event, self.chains[event.chain])

    def _polled(self, event: Polled, chain: ChainArrivals) -> None:
        node = self._nodes.setdefault((event.chain, event.node), _Node())
        latest = next((part.result for part in event.parts if part.call == LATEST), None)
        header = header_of(latest) if latest is not None else None
        if not isinstance(header, Header) or event.stalled:
            node.disturbed = True
            return
        headers = self._headers.setdefault(event.chain, {})
        if header.hash not in headers:
            headers[header.hash] = header
            self._forget(headers, header)
        if header.hash != node.head:
            self._arrived(event, node, header, chain)
        node.polled_ns, node.head, node.disturbed = event.started_ns, header.hash, False

    def _arrived(self, event: Polled, node: _Node, header: Header, chain: ChainArrivals) -> None:
        self._count(event.chain, header, chain)
        found = chain.nodes.setdefault(event.node, NodeArrivals())
        if node.polled_ns is None or self._ahead_ns is None:
            return
        for block in _since(self._headers[event.chain], header, node.head):
            if node.disturbed:
                found.left_out += 1
                continue
            out_ns = block.timestamp * NS - self._ahead_ns
            low, high = (node.polled_ns - out_ns) / NS, (event.t_ns - out_ns) / NS
            if high <= 0:
                found.left_out += 1
            elif low * NS > LATE_SLOTS * chain.settings.pace_ns:
                found.late += 1
            else:
                found.intervals.append((max(low, 0.0), high))

    def _count(self, name: str, header: Header, chain: ChainArrivals) -> None:
        first, last = self._span.get(name, (header, header))
        if header.number <= last.number and name in self._span:
            return
        self._span[name] = (first, header)
        chain.blocks = header.number - first.number
        chain.slots = round((header.timestamp - first.timestamp) * NS / chain.settings.block_time_ns)

    def _forget(self, headers: dict[str, Header], newest: Header) -> None:
        if len(headers) % (4 * _LOOKBACK) == 0:
            for name in [name for name, old in headers.items() if old.number < newest.number - 2 * _LOOKBACK]:
                del headers[name]


def _since(headers: Mapping[str, Header], head: Header, before: str) -> Iterator[Header]:
    """Yield the blocks that came to a node since it showed another head: those we know of, newest first."""
    block: Header | None = head
    for _ in range(_LOOKBACK):
        if block is None or block.hash == before:
            return
        yield block
        block = headers.get(block.parent_hash)
        if block is not None and before in headers and block.number <= headers[before].number:
            return  # the head before was on another branch, or the same block


def collect(events: Iterable[Event]) -> dict[str, ChainArrivals]:
    """Return what events tell of each chain."""
    collector = Collector()
    for event in events:
        collector.take(event)
    return collector.chains


def read(path: Path, *, prefix: bool = False) -> dict[str, ChainArrivals]:
    """Return what a recording tells of each chain. Raises CorruptRecord, StoreError."""
    collector = Collector()
    for item in read_recording(path, prefix=prefix).items():
        if isinstance(item, Gap):
            collector.interrupted()
            continue
        try:
            _told(collector, item)
        except CorruptRecord as error:
            where = "behind event" if isinstance(item, SnapshotAt) else "event"
            raise CorruptRecord(f"{path}: {where} {item.event_no}: {error}") from error
    return collector.chains


def _told(collector: Collector, item: SnapshotAt | Entry) -> None:
    if not isinstance(item, SnapshotAt):
        collector.take(decode_event(item.data, item.bodies))
        return
    settings = decode_state(item.data).settings
    if settings is not None:
        collector.begin(settings)
