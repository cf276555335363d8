"""Holds what every node tells of the newest blocks against what is known of them: logs, and receipts.

An index asks as many groups as it needs, so that a node which lies to it may not be asked for days. Here each node is
asked for the logs of each new block, and for its receipts. Who differs is asked once more, later: a node that has
just got a block may have it before its logs, and says of them that there are none. If the block is of the node's own
chain and of the agreed one then, and its second answer is wrong by what is proven, it is named.

Who is asked once more may tell the truth then. So one that tells some wrong logs, or wrong receipts, of a third block
within an hour is named for that one, whatever it says later. That there are no logs is not counted: who has not got
them yet says so again and again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tocsin.chain import lenience
from tocsin.chain.loganswer import Answered, BlockLogs, Refused, read_logs
from tocsin.chain.logevidence import ReceiptEvidence, recheck_receipts
from tocsin.chain.logproof import Difference, LogEvidence, can_hold, difference, is_audited, recheck
from tocsin.chain.receipts import Unproven
from tocsin.clock import Clock
from tocsin.model.block import BlockRef
from tocsin.model.contract import Charge
from tocsin.model.event import SoundLogs
from tocsin.model.logquery import LogFilter, LogsAt, logs
from tocsin.model.reading import Pin, ReceiptsOf, reading
from tocsin.state.aside import aside
from tocsin.state.inquiry import Deviation
from tocsin.state.panel import Panel
from tocsin.state.reply import results
from tocsin.state.source import Source
from tocsin.state.witness import Shown, Witness

_MOST_SUSPICIONS: Final = 64


@dataclass(slots=True)
class _Suspicion:
    """Something that a node told wrong once, of the block that `shown` is the header of."""

    shown: Shown
    at_ns: int
    tries: int = 0


class Patrol:
    """Looks at the newest blocks. `receipts_one_in` of those that may hold logs are held against receipts; 0: none."""

    def __init__(
        self,
        panel: Panel,
        source: Source,
        witness: Witness,
        wanted: LogFilter,
        *,
        clock: Clock,
        salt: bytes,
        receipts_one_in: int,
        patience_ns: int,
    ) -> None:
        """`patience_ns` lies between the two times that a node is asked."""
        self._panel = panel
        self._source = source
        self._witness = witness
        self._wanted = wanted
        self._clock = clock
        self._salt = salt
        self._one_in = receipts_one_in
        self._patience_ns = patience_ns
        self._suspicions: dict[tuple[Charge, str], _Suspicion] = {}
        self._sound: dict[tuple[Charge, str], int] = {}
        self._relapses: dict[tuple[Charge, str], dict[str, int]] = {}
        """By hash of a block, when something was wrong of it."""
        self._caught: list[Deviation] = []

    # -- the first time

    async def look(self, shown: Shown, known: BlockLogs | None) -> None:
        """Ask every node about one block, of which these logs are known."""
        holds = can_hold(shown.header, self._wanted)
        # Another draw than that of the audits: who is found by one is not by the other.
        with_receipts = holds and is_audited(b"receipts" + self._salt, shown.header.block.number, self._one_in)
        truth = BlockLogs(shown.header.block.hash, ()) if known is None else known
        async with asyncio.TaskGroup() as tasks:
            for _, nodes in self._panel.drawn(f"patrol {shown.header.block.hash}"):
                for node in nodes:
                    tasks.create_task(self._look_at(node, shown, truth, with_receipts=with_receipts))

    async def _look_at(self, node: str, shown: Shown, truth: BlockLogs, *, with_receipts: bool) -> None:
        told = await self._logs(node, shown.header.block)
        if told is not None:
            is_sound = difference(told[1], truth) is None
            self._note(Charge.LOGS, node, shown, is_sound=is_sound)
            if not is_sound and told[1] is not None and self._has_relapsed(Charge.LOGS, node, shown):
                await self._catch(Charge.LOGS, node, shown, told[0])
        found = await self._witness.receipts_of(node, shown.header.block) if with_receipts else None
        if found is not None:
            held = await self._witness.held(shown, found[1])
            if isinstance(held, BlockLogs) or (isinstance(held, Unproven) and held.accuses):
                is_sound = isinstance(held, BlockLogs)
                self._note(Charge.RECEIPTS, node, shown, is_sound=is_sound)
                if not is_sound and self._has_relapsed(Charge.RECEIPTS, node, shown):
                    await self._catch(Charge.RECEIPTS, node, shown, found[1])

    def _note(self, charge: Charge, node: str, shown: Shown, *, is_sound: bool) -> None:
        at = (charge, node)
        if is_sound:
            self._sound[at] = self._sound.get(at, 0) + 1
        elif len(self._suspicions) < _MOST_SUSPICIONS:
            self._suspicions.setdefault(at, _Suspicion(shown, self._clock.monotonic_ns()))

    def _has_relapsed(self, charge: Charge, node: str, shown: Shown) -> bool:
        """Note that something was wrong of one more block; tell whether that is too often."""
        now = self._clock.monotonic_ns()
        before = lenience.lately(self._relapses.get((charge, node), {}), now)
        blocks = self._relapses[charge, node] = lenience.with_block(before, shown.header.block.hash, now)
        return lenience.is_too_often(blocks)

    async def _catch(self, charge: Charge, node: str, shown: Shown, told: bytes) -> None:
        """Keep what proves that an answer is wrong, where anything does."""
        truth = await self._witness.truth(shown, last=node)
        if truth is None:
            return
        block = shown.header.block
        evidence: LogEvidence | ReceiptEvidence
        wrong: Difference | Refused | None
        if charge is Charge.LOGS:
            evidence = found = LogEvidence(
                block=block, wanted=self._wanted, told=told, header=shown.data, receipts=truth.receipts
            )
            wrong, question = recheck(found), logs(LogsAt(block=block, wanted=self._wanted))
        else:
            evidence = given = ReceiptEvidence(block=block, told=told, header=shown.data)
            wrong, question = recheck_receipts(given), reading(block, Pin.HASH, (ReceiptsOf(),))
        if isinstance(wrong, Difference) and (charge is Charge.LOGS or truth.receipts):
            deviation = Deviation(node=node, charge=charge, question=question, difference=wrong, evidence=evidence)
            self._caught = [*self._caught[1 - _MOST_SUSPICIONS :], deviation]

    async def _logs(self, node: str, block: BlockRef) -> tuple[bytes, BlockLogs | None] | None:
        """Return what a node answers for a block, and the logs in it; None where that is no answer."""
        query = LogsAt(block=block, wanted=self._wanted)
        found = results(await self._source.ask(node, logs(query)))
        if not isinstance(found, tuple):
            return None
        answer = read_logs(found[0], query)
        return (found[0], answer.blocks.get(block.number)) if isinstance(answer, Answered) else None

    # -- the second time

    @property
    def is_waiting(self) -> bool:
        """Whether anybody is to be asked once more, or was caught."""
        return bool(self._suspicions or self._caught)

    async def confirm(self, is_on_chain: Callable[[BlockRef], bool]) -> list[Deviation]:
        """Ask those once more who told wrong things long enough ago; return who did it again."""
        now = self._clock.monotonic_ns()
        due = [(at, one) for at, one in sorted(self._suspicions.items()) if now - one.at_ns >= self._patience_ns]
        found = [caught for caught in self._caught if is_on_chain(caught.evidence.block)]
        self._caught = []
        for caught in found:
            self._panel.distrust(caught.node)
            self._suspicions.pop((caught.charge, caught.node), None)
        due = [(at, one) for at, one in due if at in self._suspicions]
        for (charge, node), one in due:
            block = one.shown.header.block
            if not is_on_chain(block):
                del self._suspicions[charge, node]
                continue
            is_over, deviation = await self._confirmed(charge, node, one.shown)
            one.tries += 1
            one.at_ns = self._clock.monotonic_ns()
            if is_over or one.tries >= lenience.TRIES:
                del self._suspicions[charge, node]
            # The chain may have moved while the node was asked.
            if deviation is not None and is_on_chain(block):
                self._relapses.pop((charge, node), None)
                self._panel.distrust(node)
                found.append(deviation)
        return found

    async def _confirmed(self, charge: Charge, node: str, shown: Shown) -> tuple[bool, Deviation | None]:
        """Return whether a node has answered, and what was wrong again."""
        block = shown.header.block
        # By somebody else than the node itself, where that can be.
        truth = await self._witness.truth(shown, last=node)
        if charge is Charge.LOGS:
            told = await self._logs(node, block)
            if told is None or truth is None:
                return False, None
            wrong = difference(told[1], truth.logs)
            if wrong is not None and told[1] is None and await self._witness.truth_by(node, shown) is None:
                return False, None  # it may have no more of the block than its header
            evidence: LogEvidence | ReceiptEvidence = LogEvidence(
                block=block, wanted=self._wanted, told=told[0], header=shown.data, receipts=truth.receipts
            )
            question = logs(LogsAt(block=block, wanted=self._wanted))
        else:
            given = await self._witness.receipts_of(node, block)
            # Others have to show that the receipts of this block can be held against the root at all.
            if given is None or truth is None or not truth.receipts:
                return False, None
            question, receipts = given
            evidence = ReceiptEvidence(block=block, told=receipts, header=shown.data)
            found = await aside(recheck_receipts, evidence)
            wrong = found if isinstance(found, Difference) else None
        if wrong is None:
            return True, None
        # Who has left the block meanwhile, or has never been on it, speaks of another chain.
        if not await self._witness.stands(node, block):
            return False, None
        return True, Deviation(node=node, charge=charge, question=question, difference=wrong, evidence=evidence)

    # -- what is well

    def sound(self) -> tuple[SoundLogs, ...]:
        """Return how many sound answers each node gave since this was asked last."""
        names = sorted({node for _, node in self._sound})
        told = tuple(
            SoundLogs(
                node=node,
                logs=self._sound.get((Charge.LOGS, node), 0),
                receipts=self._sound.get((Charge.RECEIPTS, node), 0),
            )
            for node in names
        )
        self._sound.clear()
        return told
