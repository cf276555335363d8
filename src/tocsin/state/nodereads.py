"""Reading from one node: as one call where it can, in batches where not, in pieces that it answers.

The ladder: code put in place with the question (`tocsin.wire.aggregator`), a multicall that is deployed, one request a
call. What a node refuses on one rung is asked on the next, and the rung is tried again after a while. A call that fails
among others is asked by itself before it counts as reverted: there it has another `msg.sender`, may not write, and has
the gas that others left. Slots come with proofs where the node gives them, and then need no second opinion.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tocsin.chain.keccak import keccak256
from tocsin.chain.proof import Proven, Refuted
from tocsin.chain.readload import WHOLE, Limits, cut
from tocsin.chain.readvalues import Values
from tocsin.clock import NS, Clock
from tocsin.engine import readback
from tocsin.model.observation import Fault, Part, RpcErrorKind
from tocsin.model.reading import CallOf, CodeOf, Item, Pin, ProofOf, reading
from tocsin.state.asking import ask, hex_data, is_revert
from tocsin.state.compiled import Chunk, Compiled, results_of
from tocsin.state.ground import Means, Place
from tocsin.state.panel import Panel
from tocsin.state.reply import NoReply, Silence, results
from tocsin.state.source import BodySource
from tocsin.wire import aggregator, multicall

AGAIN_NS: Final = 600 * NS
"""What a node refused is tried again after this time."""
_AT_ONCE: Final = 3
"""Questions to a node at a time: a session has four connections, and the polls need one."""
_MOST_SLOW: Final = 2
"""Who is too slow so often in one turn is given up: a node that hangs takes its whole timeout each time."""
_HALVES: Final = 2
_LEFT: Final = "the block left the chain"
_IN_A_BATCH: Final = Limits(calls=400, gas=1 << 62, answer=512 * 1024)
_BAD: Final = frozenset({RpcErrorKind.INVALID, RpcErrorKind.METHOD_MISSING, RpcErrorKind.OTHER, RpcErrorKind.AUTH})
"""Errors that may mean that a rung is not there."""


class Rung(StrEnum):
    """A way to make many calls. Closed: stands in documents."""

    INJECTED = "injected"
    DEPLOYED = "deployed"
    BATCH = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregators:
    """Which contract makes many calls. `deployed` is asked where a node takes no code with a question, if it is given.

    `deployed_hash` is the keccak of its code, which every node is asked for. Its calls may write what later ones read:
    it is for plans whose contracts are trusted not to.
    """

    injected: bool = True
    deployed: bytes | None = None
    deployed_hash: bytes = aggregator.DEPLOYED_HASH


@dataclass(slots=True)
class _Standing:
    """How a node did on one rung."""

    has_worked: bool = False
    refused_until_ns: int = 0
    is_checked: bool = False
    """Whether the deployed code was looked at."""


@dataclass(slots=True)
class Gathered:
    """What has come of one phase, from whom."""

    values: Values
    served: dict[int, tuple[str, Rung]] = field(default_factory=dict)
    """Place to the node that told it, and how it was asked; proven slots are not in it."""
    refuted: list[tuple[str, ProofOf]] = field(default_factory=list)
    """Nodes with proofs that prove nothing, and of what."""


@dataclass(slots=True)
class _Turn:
    """One node's turn at one phase."""

    node: str
    means: Means
    place: Place
    plan: Compiled
    got: Gathered
    holds: Callable[[], bool]
    failed: set[int] = field(default_factory=set)
    """Places of calls that failed among others."""
    returned: list[int] = field(default_factory=list)
    """Places of calls that a rung did not take."""
    has_answered: bool = False
    """Whether it answered any call by itself."""
    slow: int = 0
    """How often it was too slow."""

    def gives_up(self, answer: NoReply) -> bool:
        """Tell whether a node is not asked any further after what is no answer: less at once would not help."""
        self.slow += answer.silence is Silence.TOO_SLOW
        return not answer.is_of_size or self.slow >= _MOST_SLOW


@dataclass(slots=True)
class _Split:
    """An aggregate that was too much, and how many of its halves went through."""

    load: int
    served: int = 0


_Asked = tuple[Chunk, _Split | None]
"""An aggregate, and what it is one half of."""


class NodeReads:
    """Reads from nodes, one at a time, and remembers what each refuses."""

    def __init__(self, panel: Panel, source: BodySource, clock: Clock, aggregators: Aggregators | None = None) -> None:
        self._panel = panel
        self._source = source
        self._clock = clock
        self._aggregators = aggregators or Aggregators()
        self._standings: dict[tuple[str, Rung], _Standing] = {}
        self._proves = False
        """Whether any proof was ever sound: the states of some chains are no such tries."""

    async def read(
        self,
        node: str,
        means: Means,
        place: Place,
        plan: Compiled,
        got: Gathered,
        *,
        holds: Callable[[], bool],
        only: Sequence[int] | None = None,
    ) -> str:
        """Take from a node what it answers of a phase, or of the places `only`; return why not all, if not all.

        Stops early where `holds` says that the block is not on the chain any more.
        """
        turn = _Turn(node, means, place, plan, got, holds)
        calls, slots = plan.together, plan.slots
        wanted, missing = plan.calls, got.values.unknown
        is_whole = only is None and len(missing) == len(got.values)
        if not is_whole:
            left = set(missing) if only is None else set(missing) & set(only)
            calls, slots, wanted = (tuple([at for at in some if at in left]) for some in (calls, slots, plan.calls))
        why = await self._together(turn, calls, is_whole=is_whole)
        if not why and not got.values.is_whole:
            left = set(got.values.unknown)
            why = await self._apart(turn, [at for at in wanted if at in left])
            why = why or await self._slots(turn, slots)
        if why:
            self._panel.failed(node)
        else:
            self._panel.served(node, 0, 0)
        return why

    # -- many calls as one

    async def _together(self, turn: _Turn, at: Sequence[int], *, is_whole: bool) -> str:
        """Ask for calls on the first rung that there is. What fails on it, or has none, is left for `_apart`."""
        left: Sequence[int] | None = None if is_whole else at
        while at and turn.means.pin is not Pin.NUMBER and (rung := await self._rung(turn)) is not None:
            why = await self._on_rung(turn, rung, left)
            if why:
                return why
            at = left = turn.returned
            turn.returned = []
        return ""

    async def _on_rung(self, turn: _Turn, rung: Rung, at: Sequence[int] | None) -> str:
        """Ask for calls on one rung. Those that are to be asked on another one are in `turn.returned` afterwards."""
        target = self._target(rung)
        share = self._panel.span(turn.node).size
        waiting: deque[_Asked] = deque((chunk, None) for chunk in turn.plan.chunks(at, share, *target))
        while waiting:
            if not turn.holds():
                return _LEFT
            some = [waiting.popleft() for _ in range(min(_AT_ONCE, len(waiting)))]
            answers = await self._aggregates(turn, rung, [chunk for chunk, _ in some])
            for (chunk, split), answer in zip(some, answers, strict=True):
                if isinstance(answer, multicall.Results):
                    self._took(turn, rung, chunk, answer, split)
                elif answer is None:
                    turn.returned += chunk.places.tolist()
                elif turn.gives_up(answer):
                    return answer.reason
                else:
                    waiting.extendleft(self._halved(turn, chunk, answer, target))
            if turn.returned:
                self._standing(turn.node, rung).refused_until_ns = self._clock.monotonic_ns() + AGAIN_NS
                turn.returned += [int(place) for chunk, _ in waiting for place in chunk.places]
                return ""
            if (now := self._panel.span(turn.node).size) < share:
                # What was cut for more is cut anew; what is half of something refused is small enough.
                share = now
                large = [int(place) for chunk, split in waiting if split is None for place in chunk.places]
                fresh = turn.plan.chunks(large, share, *target)
                waiting = deque([one for one in waiting if one[1] is not None] + [(chunk, None) for chunk in fresh])
        return ""

    def _took(self, turn: _Turn, rung: Rung, chunk: Chunk, answer: multicall.Results, split: _Split | None) -> None:
        """Take the results of one aggregate."""
        self._standing(turn.node, rung).has_worked = True
        turn.failed.update(turn.got.values.take(chunk.places, answer))
        turn.got.served.update(dict.fromkeys(chunk.places[answer.succeeded].tolist(), (turn.node, rung)))
        if split is None:
            self._panel.served(turn.node, chunk.load, 0)
            return
        split.served += 1
        if split.served == _HALVES:
            self._panel.refused(turn.node, split.load)

    def _halved(self, turn: _Turn, chunk: Chunk, answer: NoReply, target: tuple[bytes, bytes]) -> list[_Asked]:
        """Return the halves of calls that were too much at once, to be asked instead.

        It may be one call that takes all the gas there is: that one is found so, and from then on asked by itself. The
        node is asked for less from then on only if both halves go through.
        """
        places = chunk.places.tolist()
        if len(places) == 1:
            turn.plan.keep_apart(places[0])
            return []
        if answer.silence is Silence.TOO_SLOW:
            self._panel.refused(turn.node, chunk.load)
        split = _Split(chunk.load)
        middle = len(places) // 2
        return [(turn.plan.chunk(half, *target), split) for half in (places[:middle], places[middle:])]

    async def _aggregates(
        self, turn: _Turn, rung: Rung, chunks: Sequence[Chunk]
    ) -> Sequence[multicall.Results | NoReply | None]:
        if len(chunks) == 1:  # the rule, and not worth a task
            return [await self._aggregate(turn, rung, chunks[0])]
        return await asyncio.gather(*(self._aggregate(turn, rung, chunk) for chunk in chunks))

    async def _aggregate(self, turn: _Turn, rung: Rung, chunk: Chunk) -> multicall.Results | NoReply | None:
        target, code = self._target(rung)
        name = reading(turn.place.block, turn.means.pin, (CallOf(to=target, data=b""),))
        body = chunk.request.at(turn.place.block, turn.means.pin)
        outcome = await self._source.read(turn.node, name, body)
        has_worked = self._standing(turn.node, rung).has_worked
        if not isinstance(outcome, Fault) and (error := outcome[0].error) is not None:
            if error.kind is RpcErrorKind.REVERT:  # each of its calls may fail: it ran out of gas
                return NoReply(Silence.TOO_MUCH, error.message)
            if error.kind in _BAD and not has_worked:
                return None
        found = results(outcome)
        if isinstance(found, NoReply):
            return found
        data = hex_data(found[0])
        if not data:
            # No code there: the node puts none in place, or lost what was deployed.
            return None if data is not None else NoReply(Silence.AWAY, "refused: the result is no hex data")
        try:
            return results_of(data, len(chunk.places), code)
        except multicall.LayoutError as error:
            return NoReply(Silence.AWAY, f"refused: {error}")

    async def _rung(self, turn: _Turn) -> Rung | None:
        """Return the best rung that a node has, as far as is known; None where it has to be asked call by call."""
        now = self._clock.monotonic_ns()
        if self._aggregators.injected and self._standing(turn.node, Rung.INJECTED).refused_until_ns <= now:
            return Rung.INJECTED
        standing = self._standing(turn.node, Rung.DEPLOYED)
        if self._aggregators.deployed is None or standing.refused_until_ns > now:
            return None
        if not standing.is_checked:
            found = await self._asked(turn, (CodeOf(address=self._aggregators.deployed),))
            code = None if isinstance(found, NoReply) else hex_data(found[0].result or b"")
            if code is None or keccak256(code) != self._aggregators.deployed_hash:
                standing.refused_until_ns = now + AGAIN_NS
                return None
            standing.is_checked = True
        return Rung.DEPLOYED

    def _target(self, rung: Rung) -> tuple[bytes, bytes]:
        """Return the address of an aggregator, and the code that is put there."""
        if rung is Rung.DEPLOYED:
            return self._aggregators.deployed or aggregator.DEPLOYED, b""
        return aggregator.PLACE, aggregator.CODE

    def target(self, rung: Rung) -> tuple[bytes, bytes] | None:
        """Return the address and the code of the aggregator of a rung, None for the one that has none."""
        return None if rung is Rung.BATCH else self._target(rung)

    def _standing(self, node: str, rung: Rung) -> _Standing:
        return self._standings.setdefault((node, rung), _Standing())

    # -- one by one

    async def _apart(self, turn: _Turn, at: Sequence[int]) -> str:
        """Ask for calls one by one, many in a batch."""
        left = list(at)
        while left:
            if not turn.holds():
                return _LEFT
            share = max(self._panel.span(turn.node).size, WHOLE // _IN_A_BATCH.calls)
            piece = cut(turn.plan.wanted, left, _IN_A_BATCH, share)[0]
            parts = await self._asked(turn, [turn.plan.wanted[place].item for place in piece])
            if isinstance(parts, NoReply):
                if turn.gives_up(parts):
                    return parts.reason
                self._panel.refused(turn.node, WHOLE * len(piece) // _IN_A_BATCH.calls)
                # What it cannot answer by itself is asked of others.
                left = left[1:] if len(piece) == 1 else left
                continue
            left = left[len(piece) :]
            why = [self._alone(turn, place, part) for place, part in zip(piece, parts, strict=True)]
            turn.has_answered |= not all(why)
            if all(why) and (len(why) > 1 or not turn.has_answered):
                return why[0]
        return ""

    def _alone(self, turn: _Turn, place: int, part: Part) -> str:
        """Take the answer to one call; return why it is none."""
        if is_revert(part):
            turn.got.values.reverted(place)
        elif (data := hex_data(part.result or b"")) is not None:
            turn.got.values.returned(place, data)
            if place in turn.failed:
                turn.plan.keep_apart(place)
        else:
            found = results((part,))
            return found.reason if isinstance(found, NoReply) else "refused: the result is no hex data"
        turn.got.served[place] = (turn.node, Rung.BATCH)
        return ""

    async def _slots(self, turn: _Turn, at: Sequence[int]) -> str:
        if not at or not turn.holds():
            return _LEFT if at else ""
        if turn.means.proofs and turn.place.root:
            await self._proven(turn, at)
        missing = set(turn.got.values.unknown)
        left = [place for place in at if place in missing]
        while left:
            piece, left = left[: _IN_A_BATCH.calls], left[_IN_A_BATCH.calls :]
            items = [turn.plan.wanted[place].item for place in piece]
            parts = await self._asked(turn, items)
            if isinstance(parts, NoReply):
                return parts.reason
            for place, item, part in zip(piece, items, parts, strict=True):
                value = readback.value_of(item, part)
                if value is not None:
                    turn.got.values.returned(place, bytes.fromhex(value[2:]))
                    turn.got.served[place] = (turn.node, Rung.BATCH)
        return ""

    async def _proven(self, turn: _Turn, at: Sequence[int]) -> None:
        """Take the slots that a node proves."""
        proofs = turn.plan.proofs(at)
        parts = await self._asked(turn, [item for item, _ in proofs])
        if isinstance(parts, NoReply):
            return
        for (item, places), part in zip(proofs, parts, strict=True):
            match readback.proof_of(item, part, turn.place.root, turn.means.pin):
                case Proven() as found:
                    self._proves = True
                    for place in places:
                        wanted = turn.plan.wanted[place].item
                        if not isinstance(wanted, CallOf):
                            turn.got.values.returned(place, found.slots[wanted.key].to_bytes(32), proven=True)
                case Refuted() if self._proves:
                    turn.got.refuted.append((turn.node, item))

    async def _asked(self, turn: _Turn, items: Sequence[Item]) -> tuple[Part, ...] | NoReply:
        return await ask(self._source, turn.node, turn.place, turn.means.pin, items)
