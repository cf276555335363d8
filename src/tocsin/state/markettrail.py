"""What happened between a block that is known and the agreed head: the logs of each block between them, by its hash.

Headers are walked down from the head, each verified, until one is known. Whose bloom rules out all events that are
followed has none of them. The logs of the others are settled as those of an index are (`tocsin.state.inquiry`), so that
one node that leaves out who was touched is not believed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tocsin.chain.groups import Groups
from tocsin.chain.logproof import can_hold
from tocsin.clock import Clock
from tocsin.model.block import BlockRef
from tocsin.model.log import Log
from tocsin.model.logquery import LogFilter, LogsAt
from tocsin.state.inquiry import Deviation, Inquiry, Settled
from tocsin.state.panel import Panel
from tocsin.state.source import Source
from tocsin.state.witness import Shown, Witness

MOST: Final = 2_048
"""Blocks that are walked down: some seven hours of Ethereum. Beyond it all is read anew, which takes less."""
_AUDIT_ONE_IN: Final = 20


@dataclass(frozen=True, slots=True)
class Walked:
    """The logs of all blocks above a known one, lowest first."""

    base: BlockRef
    logs: tuple[Log, ...]
    blocks: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """No block that is known lies within reach: it was replaced, or is too far below."""

    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """It cannot be told now, and why."""

    reason: str


@dataclass(slots=True)
class _Tools:
    wanted: LogFilter
    witness: Witness
    inquiry: Inquiry


class Trail:
    """Walks one chain. Who told wrong logs is in `deviations` until somebody takes it."""

    def __init__(self, groups: Groups, source: Source, clock: Clock, *, salt: bytes, accuses: bool = True) -> None:
        self.deviations: list[Deviation] = []
        self._panel = Panel(groups, clock, salt=salt)
        self._source = source
        self._salt = salt
        self._accuses = accuses
        self._tools: _Tools | None = None

    async def since(
        self, head: BlockRef, knows: Callable[[str], bool], lowest: int, wanted: LogFilter
    ) -> Walked | Lost | Waiting:
        """Return the logs of the blocks from the highest below the head whose hash is known; none is below `lowest`."""
        tools = self._with(wanted)
        found = await self._path(tools, head, knows, lowest)
        if not isinstance(found, list):
            return found
        logs: list[Log] = []
        for shown in reversed(found):
            if not can_hold(shown.header, wanted):
                continue
            block = shown.header.block
            settled = await tools.inquiry.settle(LogsAt(block=block, wanted=wanted), shown)
            self.deviations += tools.inquiry.deviations
            tools.inquiry.deviations.clear()
            tools.inquiry.refusals.clear()
            if not isinstance(settled, Settled):
                return Waiting(f"block {block.number} ({block.hash}): {settled.reason}")
            logs += _all(settled)
        base = (
            head if not found else BlockRef(number=found[-1].header.block.number - 1, hash=found[-1].header.parent_hash)
        )
        return Walked(base=base, logs=tuple(logs), blocks=len(found))

    async def _path(
        self, tools: _Tools, head: BlockRef, knows: Callable[[str], bool], lowest: int
    ) -> list[Shown] | Lost | Waiting:
        """Return the headers above the highest known block, the head's first."""
        above: list[Shown] = []
        at = head
        while not knows(at.hash):
            if at.number <= lowest:
                return Lost(f"block {at.number} ({at.hash}) is on another branch than all that is known")
            if len(above) >= MOST:
                return Lost(f"the head is more than {MOST} blocks above all that is known")
            found = await tools.witness.headers_down(at, min(max(1, len(above)), at.number - lowest))
            if not found:
                return Waiting(f"nobody shows the header of block {at.number} ({at.hash})")
            for shown in found:
                if knows(at.hash):
                    break
                above.append(shown)
                at = BlockRef(number=at.number - 1, hash=shown.header.parent_hash)
        return above

    def _with(self, wanted: LogFilter) -> _Tools:
        if self._tools is None or self._tools.wanted != wanted:
            witness = Witness(self._panel, self._source, wanted, accuses=self._accuses)
            inquiry = Inquiry(self._panel, self._source, witness, salt=self._salt, audit_one_in=_AUDIT_ONE_IN)
            self._tools = _Tools(wanted, witness, inquiry)
        return self._tools


def _all(settled: Settled) -> Iterable[Log]:
    return (log for number in sorted(settled.blocks) for log in settled.blocks[number].logs)
