"""How late blocks come to each node, and how many slots stay empty, from a recording.

A block's delay is counted from its timestamp, which is the start of its slot on chains with a slot clock. When a node
had it is known to lie between two polls: the last one before it showed the block or a descendant, and that one. Blocks
of a time in which a poll of the node failed, or our own process stood still, say nothing of the node's usual delay and
are left out; so are those that came more than `LATE_SLOTS` late: a node that stands still is a fault and no delay.

Nodes lie, and a recording keeps it. Heads are therefore sorted into *lines* of heights that a chain can have come to in
the time between them. The line of which most nodes showed most heads is the chain; what the others show, a single head
of any height or a node that syncs from block 0, is left out and counted.
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
_REMEMBERED: Final = 8
"""Heads that a node comes back to after it showed another one: they came to it before."""
_LEAP: Final = 8
_HURRY: Final = 4
"""A head is of a line if it is at most this many blocks above it, and for the time that has passed since the line rose
this many times as many as come usually."""
_SLACK_S: Final = 3_600
"""The times of two blocks may be this much further apart than their arrivals: the first of them may have been late."""
_MOST_LINES: Final = 8
_AHEAD_S: Final = 60
"""A timestamp this far after the wall clock is no slot's, however wrong that clock is."""


@dataclass(slots=True, kw_only=True)
class NodeArrivals:
    """What one node's polls tell.

    `left_out` counts blocks that say nothing, `late` those that came far too late, `implausible` heads whose height or
    time is none that the chain had then.
    """

    intervals: list[Interval] = field(default_factory=list)
    left_out: int = 0
    late: int = 0
    implausible: int = 0

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
    heads: tuple[str, ...] = ("",)
    """The newest ones that it showed, each once, the present one first."""
    disturbed: bool = False
    """Whether a poll since then failed, showed nonsense, or was ours to blame."""


@dataclass(slots=True)
class _Line:
    """Heads that can be those of one chain."""

    first: Header
    last: Header
    rose_ns: int
    heads: int = 0
    headers: dict[str, Header] = field(default_factory=dict)
    nodes: dict[str, _Node] = field(default_factory=dict)
    arrivals: dict[str, NodeArrivals] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)
    """Heads by node."""

    def fits(self, header: Header, t_ns: int, block_time_ns: int) -> bool:
        """Tell whether a head can be of this line: known heights, or some above them."""
        later_s = header.timestamp - self.last.timestamp
        if header.number <= self.last.number:
            span_s = self.last.timestamp - self.first.timestamp + _SLACK_S
            return header.number >= self.first.number - _LOOKBACK and -span_s <= later_s <= _SLACK_S
        since_ns = max(0, t_ns - self.rose_ns)
        room, room_s = _LEAP + _HURRY * since_ns // block_time_ns, _SLACK_S + since_ns // NS
        return header.number <= self.last.number + room and 0 <= later_s <= room_s

    def add(self, node: str, header: Header, t_ns: int) -> None:
        """Take a head that a node shows now and did not show before."""
        self.heads += 1
        self.shown[node] = self.shown.get(node, 0) + 1
        if header.number > self.last.number:
            self.last, self.rose_ns = header, t_ns
        if header.hash not in self.headers:
            self.headers[header.hash] = header
            if len(self.headers) % (4 * _LOOKBACK) == 0:
                oldest = self.last.number - 2 * _LOOKBACK
                self.headers = {name: kept for name, kept in self.headers.items() if kept.number >= oldest}


@dataclass(slots=True)
class _Chain:
    """A chain while its events come in."""

    settings: ChainSettings
    lines: list[_Line] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    """By node, heads that are of no line, or of one that was given up."""

    def line_of(self, header: Header, t_ns: int) -> _Line:
        """Return the line of a head: the one with the most heads that it fits, else a new one."""
        block_time_ns = self.settings.block_time_ns
        fitting = [line for line in self.lines if line.fits(header, t_ns, block_time_ns)]
        if fitting:
            return max(fitting, key=lambda line: line.heads)
        if len(self.lines) >= _MOST_LINES:
            weakest = min(self.lines, key=lambda line: line.heads)
            self.lines.remove(weakest)
            self.refuse(weakest)
        self.lines.append(_Line(first=header, last=header, rose_ns=t_ns))
        return self.lines[-1]

    def refuse(self, line: _Line) -> None:
        """Leave out what a line has shown."""
        for node, count in line.shown.items():
            self.refused[node] = self.refused.get(node, 0) + count

    def found(self) -> ChainArrivals:
        """Return what the chain's line tells, and what was left out for it."""
        done = ChainArrivals(settings=self.settings)
        best = self._chosen()
        refused = dict(self.refused)
        for line in self.lines:
            for node, count in line.shown.items() if line is not best else ():
                refused[node] = refused.get(node, 0) + count
        if best is not None:
            done.nodes |= best.arrivals
            done.blocks = best.last.number - best.first.number
            done.slots = round((best.last.timestamp - best.first.timestamp) * NS / self.settings.block_time_ns)
        for node, count in refused.items():
            done.nodes.setdefault(node, NodeArrivals()).implausible = count
        return done

    def _chosen(self) -> _Line | None:
        """Return the line that most nodes showed most heads of."""
        votes = {id(line): 0 for line in self.lines}
        for node in {name for line in self.lines for name in line.shown}:
            votes[id(max(self.lines, key=lambda line: line.shown.get(node, 0)))] += 1
        return max(self.lines, key=lambda line: (votes[id(line)], line.heads), default=None)


class Collector:
    """Takes the events of a recording in order."""

    def __init__(self) -> None:
        self._chains: dict[str, _Chain] = {}
        self._ahead_ns: int | None = None
        """By how much the wall clock is ahead of engine time."""

    @property
    def chains(self) -> dict[str, ChainArrivals]:
        """What the events so far tell of each chain."""
        return {name: chain.found() for name, chain in self._chains.items()}

    def begin(self, settings: Settings) -> None:
        """Take a configuration, as an event or from the snapshot that a recording begins with. Raises CorruptRecord."""
        for chain in settings.chains:
            if chain.block_time_ns <= 0:
                raise CorruptRecord(f"chain {chain.name!r} has a block time of {chain.block_time_ns} ns")
            self._chains.setdefault(chain.name, _Chain(chain)).settings = chain

    def interrupted(self) -> None:
        """Forget who showed what: a time is missing."""
        for chain in self._chains.values():
            for line in chain.lines:
                line.nodes.clear()

    def take(self, event: Event) -> None:
        """Take one event."""
        match event:
            case ConfigRevised(settings=settings):
                self.begin(settings)
            case Ticked():
                self._ahead_ns = event.wall_ns - event.t_ns
            case Booted():
                self.interrupted()
            case Polled() if event.chain in self._chains:
                self._polled(event, self._chains[event.chain])

    def _polled(self, event: Polled, chain: _Chain) -> None:
        latest = next((part.result for part in event.parts if part.call == LATEST), None)
        header = header_of(latest) if latest is not None else None
        line = None
        if isinstance(header, Header) and not event.stalled:
            if self._is_of_its_time(header, event):
                line = chain.line_of(header, event.t_ns)
            else:
                chain.refused[event.node] = chain.refused.get(event.node, 0) + 1
        for other in chain.lines:
            if other is not line and event.node in other.nodes:
                other.nodes[event.node].disturbed = True
        if line is None or not isinstance(header, Header):
            return
        node = line.nodes.setdefault(event.node, _Node())
        if header.hash not in node.heads:
            line.add(event.node, header, event.t_ns)
            self._arrived(event, node, header, line, chain.settings)
        if header.hash != node.heads[0]:
            node.heads = (header.hash, *(old for old in node.heads[: _REMEMBERED - 1] if old != header.hash))
        node.polled_ns, node.disturbed = event.started_ns, False

    def _is_of_its_time(self, header: Header, event: Polled) -> bool:
        return self._ahead_ns is None or header.timestamp * NS <= event.t_ns + self._ahead_ns + _AHEAD_S * NS

    def _arrived(self, event: Polled, node: _Node, header: Header, line: _Line, chain: ChainSettings) -> None:
        found = line.arrivals.setdefault(event.node, NodeArrivals())
        if node.polled_ns is None or self._ahead_ns is None:
            return
        for block in _since(line.headers, header, node.heads[0]):
            if node.disturbed:
                found.left_out += 1
                continue
            out_ns = block.timestamp * NS - self._ahead_ns
            low, high = (node.polled_ns - out_ns) / NS, (event.t_ns - out_ns) / NS
            if high <= 0:
                found.left_out += 1
            elif low * NS > LATE_SLOTS * chain.pace_ns:
                found.late += 1
            else:
                found.intervals.append((max(low, 0.0), high))


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
