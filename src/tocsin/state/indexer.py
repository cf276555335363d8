"""Builds a log index, and keeps it at the chain: back-fill to the finalized block, then block by block above it.

Up to the finalized block logs are asked for by ranges of numbers. Above it every block is asked for by its hash, down
from the agreed head to where the tail is on the same chain; what the chain has left leaves the tail. When a block of
the tail becomes final, it goes into the index as it is. Each step is committed whole, or has not been.

The driver never waits: where it cannot get on, `advance` returns why, and may be called again at the next head. It is
no part of the journalled state: what it builds is a function of the finalized chain, named by a digest.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, ParamSpec, Self, TypeVar

from tocsin.chain.groups import Groups
from tocsin.chain.loganswer import BlockLogs
from tocsin.chain.logindex import Tally, tally
from tocsin.chain.logproof import can_hold
from tocsin.chain.logspan import Span
from tocsin.chain.logtail import TailBlock, final, is_on, kept, total, worst
from tocsin.clock import NS, Clock
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.event import SoundLogs
from tocsin.model.index import AUDIT_ONE_IN
from tocsin.model.logquery import LogsAt, LogsIn
from tocsin.state.aside import aside
from tocsin.state.indexfile import IndexFile
from tocsin.state.inquiry import Betrayed, Deviation, Inquiry, Settled, Smaller, Waiting, lot
from tocsin.state.pace import Pace, Progress
from tocsin.state.panel import Panel
from tocsin.state.patrol import Patrol
from tocsin.state.sites import without_code
from tocsin.state.source import Source
from tocsin.state.witness import Shown, Witness

_LONGEST_TAIL: Final = 16_384
"""Blocks above the finalized one that are followed: more than an hour of a chain with four a second."""
_PATROLLED: Final = 16
"""So many of the newest blocks are asked of every node: after a pause the older ones are followed only."""
_COMMIT_EVERY: Final = 32
"""So many blocks of the tail are committed at once, while it catches up."""

_MANY_LOGS: Final = 256
"""Fewer are counted faster than a thread is called."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the index is to be brought to: the head and the finalized block that a quorum shows."""

    finalized: BlockRef
    head: BlockRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How an index is built. `accuses` as for `tocsin.chain.header.decode_header`; `span` is where each node begins.

    Of the blocks one in `audit_one_in` is held against its receipts though nobody doubts it: a pair of groups that
    leave out logs together, in a share s of the blocks, is found after some `audit_one_in / s` blocks. 0 audits none.
    """

    audit_one_in: int = AUDIT_ONE_IN
    receipts_one_in: int = 1
    patience_ns: int = 2 * NS
    """As for `tocsin.state.patrol.Patrol`, like the one before."""
    accuses: bool = True
    span: Span = Span()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """What came of an advance: whether the index is at its target, else why it is `stuck`, if it is.

    `deviations` are nodes that told wrong logs; `refusals` names nodes with answers that could not be read, and why.
    """

    through: BlockRef
    is_done: bool
    stuck: str = ""
    restarted: str = ""
    """Why the index had to begin anew, if it had to."""
    deviations: tuple[Deviation, ...] = ()
    refusals: tuple[tuple[str, str], ...] = ()


class Indexer:
    """One index, with its file. One `advance` at a time."""

    def __init__(
        self, file: IndexFile, groups: Groups, source: Source, *, clock: Clock, terms: Terms | None = None
    ) -> None:
        """Take over the file: from here on a thread of the indexer's own uses it, until `close` closes it."""
        terms = terms or Terms()
        self._file = file
        self._rules = file.rules
        self._clock = clock
        self._source = source
        self._panel = Panel(groups, clock, salt=file.salt, span=terms.span)
        self._witness = Witness(self._panel, source, file.rules.wanted, accuses=terms.accuses)
        self._inquiry = Inquiry(self._panel, source, self._witness, salt=file.salt, audit_one_in=terms.audit_one_in)
        self._patrol = Patrol(
            self._panel,
            source,
            self._witness,
            file.rules.wanted,
            clock=clock,
            salt=file.salt,
            receipts_one_in=terms.receipts_one_in,
            patience_ns=terms.patience_ns,
        )
        self._newest: deque[tuple[Shown, BlockLogs | None]] = deque(maxlen=_PATROLLED)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="index")
        self._pace = Pace()
        self._through, self._tail, self._logs, self._grade = _state(file)
        self._is_behind = False
        """Whether a write was begun of which it is not known whether it was committed: it was cancelled, or failed."""
        self._target: Target | None = None
        self._restarted = ""
        self._stuck = ""

    async def close(self) -> None:
        """Close the file, after what is being written."""
        await self._do(self._file.close)
        self._thread.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def patrol(self) -> None:
        """Hold what every node tells of the blocks that were followed since the last time against what they hold."""
        while self._newest:
            shown, known = self._newest.popleft()
            if is_on(self._tail, shown.header.block):
                await self._patrol.look(shown, known)

    async def confirm(self, is_on_chain: Callable[[BlockRef], bool]) -> list[Deviation]:
        """Ask those once more who differed, where it is time for that; return who told wrong things again."""
        return await self._patrol.confirm(is_on_chain) if self._patrol.is_waiting else []

    @property
    def is_suspicious(self) -> bool:
        """Whether anybody has to be asked once more."""
        return self._patrol.is_waiting

    def sound(self) -> tuple[SoundLogs, ...]:
        """Return how many sound answers each node gave the patrol since this was asked last."""
        return self._patrol.sound()

    async def figures(self) -> tuple[int, int]:
        """Return how many accounts there are, one counted for each rule, and how many logs named none."""
        return await self._do(lambda: (self._file.count(), sum(self._file.unreadable.values())))

    async def without_code(self, block: BlockRef) -> list[bytes] | None:
        """Return the contracts that have no code at a block; None where too few nodes can tell."""
        return await without_code(self._panel, self._source, self._rules.wanted.addresses, block)

    @property
    def audited(self) -> int:
        """How many blocks were held against their receipts though nobody doubted them."""
        return self._inquiry.audited

    @property
    def tail(self) -> tuple[TailBlock, ...]:
        """The blocks above the index, lowest first."""
        return self._tail

    def progress(self) -> Progress:
        """Return how far the index is."""
        target, rates = self._target, self._pace.rates()
        lack = 0 if target is None else max(0, target.finalized.number - self._through.number)
        return Progress(
            through=self._through,
            finalized=None if target is None else target.finalized,
            head=None if target is None else target.head,
            logs=self._logs,
            grade=self._grade,
            blocks_per_s=None if rates is None else rates[0],
            logs_per_s=None if rates is None else rates[1],
            eta_s=lack / rates[0] if rates is not None and rates[0] > 0 else None,
            stuck=self._stuck,
        )

    async def advance(
        self, target: Target, *, most_steps: int | None = None, on_step: Callable[[Progress], None] | None = None
    ) -> Advance:
        """Bring the index to a target, or as far as it gets. `on_step` hears of every step that is committed.

        After `most_steps` ranges of a back-fill it returns with `is_done` false, to be called again: what was found out
        about nodes is told when it returns.

        Raises StoreError where the file cannot be written, ValueError for a head below the finalized block.
        """
        if target.head.number < target.finalized.number:
            raise ValueError(f"head {target.head.number} is below the finalized block {target.finalized.number}")
        self._target, self._stuck, self._restarted = target, "", ""
        if self._is_behind:
            await self._load()
        left = most_steps
        while not self._stuck and self._through.number < target.finalized.number:
            if left is not None and (left := left - 1) < 0:
                return self._result(is_done=False)
            await self._fold(target)
            if self._through.number < target.finalized.number:
                self._stuck = await self._anchor() or await self._back_fill(target)
            if on_step is not None:
                on_step(self.progress())
        if not self._stuck:
            self._stuck = await self._follow(target)
        return self._result(is_done=not self._stuck)

    def _result(self, *, is_done: bool) -> Advance:
        deviations, refusals = tuple(self._inquiry.deviations), tuple(self._inquiry.refusals)
        self._inquiry.deviations.clear()
        self._inquiry.refusals.clear()
        return Advance(
            through=self._through,
            is_done=is_done,
            stuck=self._stuck,
            restarted=self._restarted,
            deviations=deviations,
            refusals=refusals,
        )

    # -- below the finalized block

    async def _anchor(self) -> str:
        """See that the index still ends on the chain, before ranges are put onto it. Return why that is not known.

        A finalized block is left by a catastrophe only, but then all that rests on it is wrong.
        """
        known = self._through
        if not known.hash:
            return ""
        shown = await self._witness.header_at(known.number)
        if shown is None:
            return f"no quorum shows block {known.number}, the last one of the index"
        if shown.header.block.hash != known.hash:
            await self._restart(
                f"block {known.number} was finalized as {known.hash}, and is {shown.header.block.hash} now"
            )
        return ""

    async def _fold(self, target: Target) -> None:
        """Let the tail's blocks that are final now into the index, where the tail has all of them."""
        blocks = final(self._tail, self._through, target.finalized)
        if blocks is not None:
            await self._extend(target.finalized, *total(blocks))

    async def _back_fill(self, target: Target) -> str:
        """Ask for the next range of blocks, and take it into the index. Return why it cannot be had now."""
        first = self._through.number + 1
        last = min(first + self._panel.size(lot(first)) - 1, target.finalized.number)
        found = await self._inquiry.settle(LogsIn(first=first, last=last, wanted=self._rules.wanted))
        while isinstance(found, Smaller):
            last = first + (last - first) // 2
            found = await self._inquiry.settle(LogsIn(first=first, last=last, wanted=self._rules.wanted))
        if isinstance(found, Betrayed):
            await self._restart(found.reason)
            return ""
        if isinstance(found, Waiting):
            return f"blocks {first} to {last}: {found.reason}"
        through = target.finalized if last == target.finalized.number else BlockRef(number=last, hash="")
        await self._extend(through, await self._tallied(found.blocks), found.grade)
        return ""

    async def _tallied(self, blocks: Mapping[int, BlockLogs]) -> Tally:
        """Return what blocks add. Thousands of logs take some 20 ms: beside the loop."""
        if sum(len(block.logs) for block in blocks.values()) < _MANY_LOGS:
            return tally(self._rules, blocks)
        return await aside(tally, self._rules, blocks)

    async def _extend(self, through: BlockRef, added: Tally, grade: Grade) -> None:
        await self._write(self._file.extend, through, added, grade)
        self._through, self._logs, self._grade = through, self._logs + added.logs, worst((self._grade, grade))
        self._tail = tuple([block for block in self._tail if block.block.number > through.number])
        self._pace.step(self._clock.monotonic_ns(), through.number, self._logs)

    async def _restart(self, why: str) -> None:
        await self._write(self._file.restart)
        await self._load()
        self._pace.restart()
        self._restarted = why

    # -- above it

    async def _follow(self, target: Target) -> str:
        """Bring the tail to the head. Return why that cannot be done now."""
        if target.head.number < self._through.number:
            return self._ahead(target)
        path = await self._path(target)
        if isinstance(path, str):
            return path
        base, fresh = path
        tail = kept(self._tail, base)
        for at in range(0, max(1, len(fresh)), _COMMIT_EVERY):
            blocks: list[TailBlock] = []
            why = ""
            for shown in fresh[at : at + _COMMIT_EVERY]:
                found = await self._block(shown)
                if isinstance(found, str):
                    why = found
                    break
                blocks.append(found)
            if blocks or len(tail) < len(self._tail):
                await self._write(self._file.follow, base.number if at == 0 else tail[-1].block.number, blocks)
            tail = (*tail, *blocks)
            self._tail = tail
            if why:
                return why
        return ""

    def _ahead(self, target: Target) -> str:
        """Say that the index is above the head: nodes are behind what was final, or they have another chain."""
        if self._through.number < self._rules.start:  # nothing of the chain is in the index yet
            return ""
        known = f"the head is block {target.head.number}, and the index goes to block {self._through.number}"
        return f"{known}: nodes are behind, or {self._file.path.name} is of another chain; if so, delete it"

    async def _path(self, target: Target) -> tuple[BlockRef, list[Shown]] | str:
        """Return the block from which the tail goes on, and the headers above it up to the head, lowest first."""
        above: list[Shown] = []
        wanted = target.head
        while wanted != self._through and not is_on(self._tail, wanted):
            if wanted.number <= self._through.number:
                if not self._through.hash:  # nothing of the chain is in the index yet
                    break
                why = f"block {wanted.number} was finalized as {self._through.hash}, the head stands on {wanted.hash}"
                await self._restart(why)
                return why
            if len(above) >= _LONGEST_TAIL:
                return f"the head is more than {_LONGEST_TAIL} blocks above the finalized block"
            found = await self._witness.headers_down(wanted, self._headers_wanted(wanted, len(above)))
            if not found:
                return f"nobody shows the header of block {wanted.number} ({wanted.hash})"
            for shown in found:
                if wanted == self._through or is_on(self._tail, wanted):
                    break
                above.append(shown)
                wanted = BlockRef(number=wanted.number - 1, hash=shown.header.parent_hash)
        return wanted, above[::-1]

    def _headers_wanted(self, block: BlockRef, found: int) -> int:
        """Return how many headers to ask for from a block down: to the top of the tail, after a reorg more and more.

        Each costs a call: with every block that comes all those above the finalized one would be a hundred times more.
        """
        top = max(self._through.number, self._tail[-1].block.number if self._tail else -1)
        return min(max(1, found, block.number - top), block.number - self._through.number)

    async def _block(self, shown: Shown) -> TailBlock | str:
        """Return one block of the tail, or why its logs are not known."""
        header = shown.header
        if not can_hold(header, self._rules.wanted):
            self._newest.append((shown, None))
            return TailBlock(
                block=header.block, parent_hash=header.parent_hash, tally=tally(self._rules, {}), grade=Grade.PROVEN
            )
        found = await self._inquiry.settle(LogsAt(block=header.block, wanted=self._rules.wanted), shown)
        if not isinstance(found, Settled):
            return f"block {header.block.number} ({header.block.hash}): {found.reason}"
        self._newest.append((shown, found.blocks.get(header.block.number)))
        return TailBlock(
            block=header.block,
            parent_hash=header.parent_hash,
            tally=tally(self._rules, found.blocks),
            grade=found.grade,
        )

    async def _write(self, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        self._is_behind = True
        await self._do(call, *args, **kwargs)
        self._is_behind = False

    async def _load(self) -> None:
        self._through, self._tail, self._logs, self._grade = await self._do(_state, self._file)
        self._is_behind = False

    async def _do(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something with the file, in the thread that has it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: call(*args, **kwargs))


def _state(file: IndexFile) -> tuple[BlockRef, tuple[TailBlock, ...], int, Grade]:
    return file.through, file.tail(), file.logs, file.grade
