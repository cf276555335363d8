"""What the chain itself says of a block's logs: its header as a quorum knows it, its bloom, receipts that prove them.

A header that hashes to the hash that is asked for may come from anybody. One that is asked for by its height, or that
nobody can verify, is what a quorum of groups shows alike. Receipts may always come from anybody: the root binds them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tocsin.chain.header import Malformed
from tocsin.chain.loganswer import BlockLogs
from tocsin.chain.logevidence import is_nothing
from tocsin.chain.logproof import LogHeader, can_hold, log_header, nothing, proven
from tocsin.chain.receipts import Unproven
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.logquery import LogFilter
from tocsin.model.observation import by_hash, by_number, run_of
from tocsin.model.reading import Pin, ReceiptsOf, reading
from tocsin.state.aside import aside
from tocsin.state.panel import Panel
from tocsin.state.reply import results
from tocsin.state.source import Source

_LONG: Final = 64 * 1024
_RUN: Final = 16
"""So many headers are asked for at once, see `tocsin.chain.tree`."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A header, and the bytes that it was read from."""

    header: LogHeader
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The logs of a block by the chain itself. `receipts` is empty where the bloom was enough."""

    shown: Shown
    logs: BlockLogs
    receipts: bytes = b""


class Witness:
    """Asks for headers and receipts. `accuses` as for `tocsin.chain.header.decode_header`."""

    def __init__(self, panel: Panel, source: Source, wanted: LogFilter, *, accuses: bool = True) -> None:
        self._panel = panel
        self._source = source
        self._wanted = wanted
        self._accuses = accuses
        self._pins: dict[str, Pin] = {}
        """By node, how it was told of a block when it showed receipts last: tried first, since each try is a call."""

    # -- headers

    async def header_at(self, number: int) -> Shown | None:
        """Return the header at a height that is final; None where no quorum of groups shows it."""
        return await self._agreed(by_number(number), None)

    async def header_of(self, block: BlockRef) -> Shown | None:
        """Return the header of a hash that is known; None where nobody shows it."""
        return await self._agreed(by_hash(block.hash), block)

    async def headers_down(self, block: BlockRef, count: int) -> list[Shown]:
        """Return the header of a hash that is known and those below it, as many as come at once; none if not it."""
        if count > 1:
            for node in self._nodes(f"run {block.hash}"):
                found = await self._run(node, block, min(count, _RUN))
                if found:
                    return found
        shown = await self.header_of(block)
        return [] if shown is None else [shown]

    async def _run(self, node: str, block: BlockRef, count: int) -> list[Shown]:
        """Return the headers of a node that lead down from a block, as far as each is its child's parent."""
        answer = results(await self._source.ask(node, run_of(block.hash, block.number, count)))
        chain: list[Shown] = []
        wanted = block
        for data in answer if isinstance(answer, tuple) else ():
            header = log_header(data, self._accuses)
            if not isinstance(header, LogHeader) or not header.verified or header.block != wanted:
                break
            chain.append(Shown(header, data))
            wanted = BlockRef(number=header.block.number - 1, hash=header.parent_hash)
        return chain

    async def _agreed(self, call: str, block: BlockRef | None) -> Shown | None:
        """Ask group by group until one header has enough of them, or proves itself to be that of `block`."""
        said: dict[str, Shown] = {}
        silent = False
        for _, nodes in self._panel.drawn(call):
            found = await self._of_group(nodes, call, block)
            if isinstance(found, bool):
                silent |= found
                continue
            node, shown = found
            if block is not None and shown.header.verified:
                return shown
            said[node] = shown
            fact = self._panel.count({name: _content(one) for name, one in said.items()})
            if fact.grade in (Grade.QUORUM, Grade.MAJORITY):
                return next(one for one in said.values() if _content(one) == fact.value)
        alone = {_content(one): one for one in said.values()}
        return next(iter(alone.values())) if len(alone) == 1 and not silent else None

    async def _of_group(self, nodes: Sequence[str], call: str, block: BlockRef | None) -> tuple[str, Shown] | bool:
        """Return the header of a group's first node that has it; else whether another answer may still come."""
        away = False
        for node in nodes:
            answer = results(await self._source.ask(node, call))
            if not isinstance(answer, tuple):
                away |= answer.is_passing
                continue
            header = log_header(answer[0], self._accuses)
            if isinstance(header, LogHeader) and (block is None or header.block == block):
                return node, Shown(header, answer[0])
            away = True
        return away

    # -- logs

    async def truth(self, shown: Shown, *, last: str = "") -> Truth | None:
        """Return the logs of a block; None where nobody shows receipts that prove them. `last` is asked after all."""
        if not can_hold(shown.header, self._wanted):
            return Truth(shown=shown, logs=nothing(shown.header))
        for node in sorted(self._nodes(f"receipts {shown.header.block.hash}"), key=lambda node: node == last):
            found = await self.truth_by(node, shown)
            if found is not None:
                return found
        return None

    async def truth_by(self, node: str, shown: Shown) -> Truth | None:
        """Return the logs of a block as one node proves them.

        How the node takes the block's name does not matter here: whatever it shows, the root binds it.
        """
        for pin in self._ways(node, Pin.HASH, Pin.OBJECT, Pin.NUMBER):
            answer = results(await self._source.ask(node, reading(shown.header.block, pin, (ReceiptsOf(),))))
            for receipts in answer if isinstance(answer, tuple) else ():
                logs = await self.held(shown, receipts)
                if isinstance(logs, BlockLogs):
                    self._pins[node] = pin
                    return Truth(shown=shown, logs=logs, receipts=receipts)
        return None

    async def held(self, shown: Shown, receipts: bytes) -> BlockLogs | Unproven | Malformed:
        """Hold receipts against the root of a header. Those of a full block take some 50 ms: beside the loop."""
        if len(receipts) < _LONG:
            return proven(shown.header, receipts, self._wanted)
        return await aside(proven, shown.header, receipts, self._wanted)

    async def receipts_of(self, node: str, block: BlockRef) -> tuple[str, bytes] | None:
        """Return the receipts that a node shows for a block that is its own, with the question; None where it does not.

        Asked by the hash, the node answers for that block or not at all.
        """
        for pin in self._ways(node, Pin.HASH, Pin.OBJECT):
            question = reading(block, pin, (ReceiptsOf(),))
            answer = results(await self._source.ask(node, question))
            if isinstance(answer, tuple) and not is_nothing(answer[0]):
                self._pins[node] = pin
                return question, answer[0]
        return None

    def _ways(self, node: str, *pins: Pin) -> list[Pin]:
        return sorted(pins, key=lambda pin: pin is not self._pins.get(node))

    async def stands(self, node: str, block: BlockRef) -> bool:
        """Tell whether a node has a block at its height on its own chain now."""
        answer = results(await self._source.ask(node, by_number(block.number)))
        header = log_header(answer[0], self._accuses) if isinstance(answer, tuple) else None
        return isinstance(header, LogHeader) and header.block == block

    async def has(self, node: str, block: BlockRef) -> bool:
        """Tell whether a node shows the header of a hash."""
        answer = results(await self._source.ask(node, by_hash(block.hash)))
        header = log_header(answer[0], self._accuses) if isinstance(answer, tuple) else None
        return isinstance(header, LogHeader) and header.block == block

    def _nodes(self, lot: str) -> list[str]:
        return [node for _, nodes in self._panel.drawn(lot) for node in nodes]


def _content(shown: Shown) -> bytes:
    """Return what has to be alike: all of it, since the hash of a header that nobody can verify binds nothing."""
    return repr(shown.header).encode()
