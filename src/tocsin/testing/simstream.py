"""A simulated pool as a stream of observations, for months of polls: what nodes would answer, without the JSON-RPC.

Blocks are those of `simblock`, with right hashes and links; only the newest few hundred are kept. What a poll of a node
gives is made once per block and shared by every poll that shows it: the events are the same, byte for byte, as if each
had been asked for and parsed.
"""

import heapq
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import orjson

from tocsin.clock import MS, NS
from tocsin.model.event import Polled
from tocsin.model.observation import CHAIN_ID, FINALIZED, LATEST, SAFE, SYNCING, Fault, FaultKind, Part
from tocsin.model.question import CLIENT_VERSION, PEERS
from tocsin.testing.simblock import Broken, SimBlock, make_block

EPOCH: Final = 32
"""Slots; the safe block is the start of the epoch before, the finalized one of the epoch before that."""
KEPT: Final = 512
"""Slots whose blocks are remembered: more than fifteen epochs."""
MAIN: Final = "main"
_HISTORY: Final = 4 * EPOCH
"""Slots that lie in the past at the start: finality has its place."""

_FALSE: Final = Part(call=SYNCING, result=b"false")
_REFUSED: Final = Fault(kind=FaultKind.REFUSED, detail="no connection: refused")
_ERROR: Final = Fault(kind=FaultKind.HTTP_STATUS, detail="HTTP 503", status=503)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpec:
    """The chain. `reorgs` is the share of slots whose proposer builds on the parent of the newest block instead."""

    seed: int = 0
    chain_id: int = 1
    genesis_time_s: int = 1_606_824_023
    first_slot: int = 9_000_000
    first_number: int = 20_000_000
    slot_ns: int = 12 * NS
    missed: float = 0.01
    reorgs: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamNode:
    """How one node behaves when it is well. Times in nanoseconds, shares per poll."""

    name: str
    median_ns: int
    """Half of all blocks reach it sooner after they come out; lognormal."""
    sigma: float
    answer_ns: int = 3 * MS
    """Half of all answers come sooner; lognormal."""
    answer_sigma: float = 0.3
    errors: float = 0.0
    """Share of polls that are answered by an HTTP error."""
    skewed: float = 0.0
    """Share of polls that a machine one block behind answers: the node is a balancer."""
    version: str = "Geth/v1.17.1-stable-0cf5c6b1/linux-amd64/go1.25.1"
    peers: int | None = None
    """What it says when it is asked; None for a provider, whose figure says nothing and which is not asked."""
    slow_polls: int = 30
    """Every so many polls bring what it says of itself, version and peers, as the daemon asks once a minute."""


@dataclass(slots=True)
class Shown:
    """One block and the parts that show it."""

    block: SimBlock
    out_ns: int
    latest: Part
    safe: Part
    finalized: Part


class Line:
    """One branch: its blocks of the last slots, newest last."""

    def __init__(self, name: str, salt: str, blocks: list[Shown]) -> None:
        self.name = name
        self.salt = salt
        self.blocks = blocks
        self.breaks: Broken = "nothing"
        self.halted = False

    @property
    def head(self) -> Shown:
        """The newest block."""
        return self.blocks[-1]


class SimStream:
    """The chain and its nodes at the instants at which they are polled. Time goes forward only."""

    def __init__(self, spec: StreamSpec, nodes: Sequence[StreamNode], *, epoch_ns: int = 0) -> None:
        self.spec = spec
        self.epoch_ns = epoch_ns
        """The time at which the first slot begins, on the clock of whoever polls."""
        self._dice = random.Random(f"{spec.seed}/chain")  # noqa: S311 - a seeded simulation
        self._slot = spec.first_slot - _HISTORY
        self.lines: dict[str, Line] = {}
        self._by_hash: dict[str, Shown] = {}
        self.chain_id = Part(call=CHAIN_ID, result=orjson.dumps(hex(spec.chain_id)))
        first = make_block(
            parent=None,
            number=spec.first_number,
            slot=self._slot,
            timestamp=self.timestamp(self._slot),
            salt=str(spec.seed),
            filled=False,
        )
        self.nodes: dict[str, StreamedNode] = {}
        main = self.lines[MAIN] = Line(MAIN, str(spec.seed), [self._shown(first, epoch_ns, [])])
        self.grow(epoch_ns)
        self.nodes = {node.name: StreamedNode(node, self, main.head) for node in nodes}

    def timestamp(self, slot: int) -> int:
        """Return the timestamp of a slot's block, Unix seconds."""
        return self.spec.genesis_time_s + slot * self.spec.slot_ns // NS

    def wall_ns(self, now_ns: int) -> int:
        """Return the wall time that belongs to a time of whoever polls."""
        return self.timestamp(self.spec.first_slot) * NS + now_ns - self.epoch_ns

    # -- the chain

    def grow(self, now_ns: int) -> None:
        """Make every block that is due by now, and set it on its way to the nodes."""
        while (out_ns := self.epoch_ns + (self._slot + 1 - self.spec.first_slot) * self.spec.slot_ns) <= now_ns:
            self._slot += 1
            luck = self._dice.random()
            if luck >= self.spec.missed:
                for line in self.lines.values():
                    if not line.halted:
                        self._append(line, self._slot, out_ns, orphans=luck < self.spec.missed + self.spec.reorgs)
            if self._slot % KEPT == 0:
                self._forget()

    def _append(self, line: Line, slot: int, out_ns: int, *, orphans: bool = False) -> None:
        parent = line.blocks[-2 if orphans and len(line.blocks) > 1 else -1]
        if orphans:
            line.blocks = line.blocks[:-1]
        block = make_block(
            parent=parent.block,
            number=parent.block.number + 1,
            slot=slot,
            timestamp=self.timestamp(slot),
            salt=line.salt,
            filled=True,
            breaks=line.breaks,
        )
        line.breaks = "nothing"
        # Without its parent: a chain of a month is not kept alive by its newest block.
        shown = self._shown(replace(block, parent=None), out_ns, line.blocks)
        line.blocks.append(shown)
        for node in self.nodes.values():
            if node.line == line.name:
                node.send(shown)

    def _shown(self, block: SimBlock, out_ns: int, before: Sequence[Shown]) -> Shown:
        raw = orjson.dumps({**block.head(), "size": "0x258", "uncles": [], "transactions": [], "withdrawals": []})
        epoch = block.slot // EPOCH * EPOCH
        safe = _at_or_before(before, epoch - EPOCH) or raw
        finalized = _at_or_before(before, epoch - 2 * EPOCH) or safe
        shown = Shown(
            block=block,
            out_ns=out_ns,
            latest=Part(call=LATEST, result=raw),
            safe=Part(call=SAFE, result=safe),
            finalized=Part(call=FINALIZED, result=finalized),
        )
        self._by_hash[block.hash] = shown
        return shown

    def _forget(self) -> None:
        for line in self.lines.values():
            del line.blocks[:-KEPT]
        oldest = self._slot - 2 * KEPT
        self._by_hash = {name: shown for name, shown in self._by_hash.items() if shown.block.slot >= oldest}

    def extend(self, line: Line, *, slot: int, now_ns: int) -> None:
        """Put one more block on a branch, of any slot: who owns a branch of his own may do so."""
        self._append(line, slot, now_ns)

    def part(self, name: str, *, depth: int, breaks: Broken = "nothing", now_ns: int) -> Line:
        """Part a branch from the main one, `depth` blocks below its head; its blocks have the same slots.

        Raises ValueError where so many blocks are not remembered.
        """
        main = self.lines[MAIN]
        keep = len(main.blocks) - depth
        if keep < 1:
            raise ValueError(f"depth {depth} is not within the {len(main.blocks) - 1} blocks that are remembered")
        line = Line(name, f"{self.spec.seed}/{name}", main.blocks[:keep])
        line.breaks = breaks
        self.lines[name] = line
        for gone in main.blocks[keep:]:
            self._append(line, gone.block.slot, now_ns)
        return line

    def by_hash(self, block_hash: str) -> Shown | None:
        """Return the block with this hash, of any branch."""
        return self._by_hash.get(block_hash)

    def at(self, number: int, line: str = MAIN) -> Shown | None:
        """Return the block at this height of a branch, as far as it is remembered."""
        return next((shown for shown in reversed(self.lines[line].blocks) if shown.block.number == number), None)

    def descends(self, block_hash: str, ancestor: str, *, within: int = 128) -> bool:
        """Say whether a block is another one or descends from it, as far as so many blocks tell."""
        wanted = self._by_hash.get(ancestor)
        for _ in range(within):
            if block_hash == ancestor:
                return True
            shown = self._by_hash.get(block_hash)
            if shown is None or (wanted is not None and shown.block.slot <= wanted.block.slot):
                return False
            block_hash = str(shown.block.header["parentHash"])
        return False

    # -- the polls

    def poll(self, now_ns: int, poll: int, *, with_slot: bool) -> Iterator[Polled]:
        """Yield what one poll of every node gives, in no order of time."""
        self.grow(now_ns)
        for node in self.nodes.values():
            yield node.polled(now_ns, poll, with_slot=with_slot)


def _at_or_before(blocks: Sequence[Shown], slot: int) -> bytes | None:
    for shown in reversed(blocks):
        if shown.block.slot <= slot:
            return shown.latest.result
    return None


@dataclass(slots=True)
class StreamedNode:
    """One node of a stream. The attributes below `line` are what may go wrong with it."""

    spec: StreamNode
    stream: SimStream
    head: Shown
    line: str = MAIN
    frozen: bool = False
    down: bool = False
    hung: bool = False
    """Takes the request and never answers."""
    later_ns: int = 0
    chain_id: Part | None = None
    """In the place of the right one."""
    shows: Part | None = None
    """In the place of its head: what a liar says."""
    finalized: Part | None = None
    """In the place of its finalized block."""
    chain: str = "ethereum"
    timeout_ns: int = 2 * NS
    recent: list[str] = field(default_factory=list)
    """Hashes of the heads that it showed last, newest last."""
    _coming: list[tuple[int, int, Shown]] = field(default_factory=list)
    _dice: random.Random = field(init=False)
    _before: Shown = field(init=False)
    _says: tuple[Part, ...] = field(init=False)
    _says_at: int = field(init=False)

    def __post_init__(self) -> None:
        self._dice = random.Random(f"{self.stream.spec.seed}/{self.spec.name}")  # noqa: S311 - a seeded simulation
        self._before = self.head
        self._remember()
        version, peers = self.spec.version, self.spec.peers
        said = [Part(call=CLIENT_VERSION, result=orjson.dumps(version))]
        said += [Part(call=PEERS, result=orjson.dumps(hex(peers)))] if peers is not None else []
        self._says, self._says_at = tuple(said), self._dice.randrange(self.spec.slow_polls)

    def send(self, shown: Shown) -> None:
        """Let a block be on its way."""
        delay = self.spec.median_ns * math.exp(self.spec.sigma * self._dice.gauss(0, 1))
        heapq.heappush(self._coming, (shown.out_ns + int(delay) + self.later_ns, shown.block.slot, shown))

    def follow(self, line: str) -> None:
        """Follow another branch from now on: its head is there at once."""
        self.line = line
        self._before = self.head = self.stream.lines[line].head
        self._coming.clear()
        self._remember()

    def _remember(self) -> None:
        self.recent = [*self.recent[-3:], self.head.block.hash]

    def catch_up(self, now_ns: int) -> None:
        """Take in what has arrived by now."""
        while self._coming and self._coming[0][0] <= now_ns:
            shown = heapq.heappop(self._coming)[2]
            # A block of a later slot was proposed by somebody who knew more: it is the better head.
            if shown.block.slot > self.head.block.slot and not self.frozen:
                self._before, self.head = self.head, shown
                self._remember()

    def polled(self, now_ns: int, poll: int, *, with_slot: bool) -> Polled:
        """Return what a poll at this time gives."""
        self.catch_up(now_ns)
        fault, takes_ns = self._fault_and_time()
        parts: tuple[Part, ...] = ()
        if fault is None:
            skewed = self.spec.skewed and self._dice.random() < self.spec.skewed
            head = self._before if skewed else self.head
            parts = (self.chain_id or self.stream.chain_id, self.shows or head.latest)
            if with_slot:
                parts += (head.safe, self.finalized or head.finalized, _FALSE)
            if poll % self.spec.slow_polls == self._says_at:
                parts += self._says
        return Polled(
            t_ns=now_ns + takes_ns,
            started_ns=now_ns,
            chain=self.chain,
            node=self.spec.name,
            poll=poll,
            parts=parts,
            fault=fault,
        )

    def _fault_and_time(self) -> tuple[Fault | None, int]:
        if self.down:
            return _REFUSED, MS
        takes_ns = self.timeout_ns
        if not self.hung:
            takes_ns = int(self.spec.answer_ns * math.exp(self.spec.answer_sigma * self._dice.gauss(0, 1)))
        if takes_ns >= self.timeout_ns:
            return Fault(kind=FaultKind.TIMEOUT, detail="no answer within 2000 ms"), self.timeout_ns
        if self.spec.errors and self._dice.random() < self.spec.errors:
            return _ERROR, takes_ns
        return None, takes_ns
