"""What the logs of some blocks are: asked of nodes of different groups, and of the chain itself where they differ.

As many groups are asked as make a quorum, and their answers are compared as lists, block by block. Where all say the
same, that is it. About a block where they differ the chain is asked: the header that a quorum shows at this height (or
that of the hash, where that is known), its bloom, and receipts that hash to its root, whoever gives them. Blocks that
are drawn by lot are held against the chain though nobody differs; and if none of those who answer is trusted, each is.

Nobody is accused for what may be ignorance. Who differs from what is proven is asked the same once more. If its second
answer is wrong too, the node is named with the evidence; but one that leaves out all logs of a block must itself have
shown the receipts of that block: otherwise it does not have the block, and its silence is no answer.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tocsin.chain.loganswer import Answered, BlockLogs, Refused, digest_of, read_logs
from tocsin.chain.logevidence import ReceiptEvidence
from tocsin.chain.logproof import Difference, LogEvidence, Wrong, difference, is_audited, one_block
from tocsin.model.alert import Grade
from tocsin.model.contract import Charge
from tocsin.model.event import LogsRefuted
from tocsin.model.logquery import LogQuery, LogsAt, logs
from tocsin.state.aside import aside
from tocsin.state.panel import UNTRUSTED, Panel
from tocsin.state.reply import NoReply, Silence, results
from tocsin.state.source import Source
from tocsin.state.witness import Shown, Truth, Witness

_MOST_PROOFS: Final = 16
"""About so many blocks answers may differ before fewer blocks are asked about at once."""
_MOST_TOLD: Final = 300
_MOST_EVIDENCE: Final = 4
"""Of each node, until it is taken: receipts of a block take up to 2 MB."""
_MOST_REFUSALS: Final = 64
_LONG: Final = 64 * 1024
"""Bytes of an answer that takes more than some 0.1 ms to read: such ones are read beside the loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """A node that twice told wrong logs of a block, or receipts; whoever has the evidence can check that."""

    node: str
    question: str
    """The call that was asked the second time."""
    difference: Difference
    evidence: LogEvidence | ReceiptEvidence
    charge: Charge = Charge.LOGS

    def told(self, chain: str, index: str, t_ns: int) -> LogsRefuted:
        """Return it as the event by which the core judges it."""
        return LogsRefuted(
            t_ns=t_ns,
            chain=chain,
            index=index,
            node=self.node,
            charge=self.charge,
            block=self.evidence.block,
            question=self.question,
            told=self.evidence.told,
            header=self.evidence.header,
            receipts=self.evidence.receipts if isinstance(self.evidence, LogEvidence) else b"",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The logs of blocks, and how they are known."""

    blocks: Mapping[int, BlockLogs]
    grade: Grade


@dataclass(frozen=True, slots=True)
class Smaller:
    """Fewer blocks have to be asked about at once."""

    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """It cannot be told now what the logs are; why, in words."""

    reason: str


@dataclass(frozen=True, slots=True)
class Betrayed:
    """All who answered said the same and it was wrong: what they have said before is worth nothing either."""

    reason: str


@dataclass(slots=True)
class _Heard:
    """Who answered what, and which groups did not and why."""

    answers: dict[str, Answered] = field(default_factory=dict)
    unable: dict[str, str] = field(default_factory=dict)
    away: dict[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    settled: dict[int, BlockLogs] = field(default_factory=dict)
    """Blocks of which it is known whatever the answers say."""
    is_proven: bool = False
    """Whether the last of them is known by the chain itself."""

    def doubtful(self) -> int | None:
        """Return the first block that the answers differ about and that is not settled."""
        if not self.answers:
            return None
        one, *others = self.answers.values()
        if all(other.blocks == one.blocks for other in others):
            return None
        numbers = {number for answer in self.answers.values() for number in answer.blocks} - self.settled.keys()
        return min((number for number in numbers if self._differ(number)), default=None)

    def _differ(self, number: int) -> bool:
        one, *others = [answer.blocks.get(number) for answer in self.answers.values()]
        return any(_digest(number, one) != _digest(number, other) for other in others)

    def why(self) -> str:
        """Return who does not answer and why, short."""
        return "; ".join(f"{group}: {why}" for group, why in sorted({**self.unable, **self.away}.items()))[:_MOST_TOLD]


class Inquiry:
    """Finds logs. What it finds out about nodes is in `deviations` and `refusals` until somebody takes it."""

    def __init__(self, panel: Panel, source: Source, witness: Witness, *, salt: bytes, audit_one_in: int) -> None:
        """One block in `audit_one_in`, drawn by the salt, is held against the chain though nobody differs; 0: none."""
        self.deviations: list[Deviation] = []
        self.refusals: list[tuple[str, str]] = []
        """Nodes whose answers were none, and why."""
        self.audited = 0
        self._panel = panel
        self._source = source
        self._witness = witness
        self._salt = salt
        self._one_in = audit_one_in

    async def settle(self, query: LogQuery, shown: Shown | None = None) -> Settled | Smaller | Waiting | Betrayed:
        """Find the logs that a question asks for; `shown` is the header of a block that is asked by its hash."""
        self._panel.pass_turn()
        heard = _Heard()
        proofs = 0
        while True:
            missed = await self._hear(query, heard)
            if missed is not None:
                return missed
            doubtful = heard.doubtful()
            if doubtful is None:
                if isinstance(query, LogsAt) and shown is not None:
                    return await self._settle_block(query, heard, shown)
                return await self._audit(query, heard) or self._merged(heard)
            proofs += 1
            if proofs > _MOST_PROOFS and query.first < query.last:
                return Smaller(f"answers differ about more than {_MOST_PROOFS} blocks")
            if not await self._resolve(query, doubtful, heard, shown):
                return Waiting(f"groups contradict each other about block {doubtful}, and nobody shows its receipts")

    def _merged(self, heard: _Heard) -> Settled:
        one = next(iter(heard.answers.values()), None)
        blocks = {**(one.blocks if one is not None else {}), **heard.settled}
        grade = self._panel.count(dict.fromkeys(heard.answers, b"")).grade
        return Settled(blocks={number: blocks[number] for number in sorted(blocks) if blocks[number].logs}, grade=grade)

    # -- answers

    async def _hear(self, query: LogQuery, heard: _Heard) -> Smaller | Waiting | None:
        """Ask groups until as many have answered as are needed, or all that can. Return why that is not enough."""
        needed = self._panel.needed
        waiting = [entry for entry in self._panel.drawn(lot(query.first)) if entry[0] not in heard.asked]
        while waiting and len(heard.answers) < needed:
            lack = needed - len(heard.answers)
            now, waiting = waiting[:lack], waiting[lack:]
            heard.asked |= {group for group, _ in now}
            async with asyncio.TaskGroup() as tasks:
                asked = [tasks.create_task(self._hear_group(query, group, nodes, heard)) for group, nodes in now]
            smaller = [found for task in asked if (found := task.result()) is not None]
            if smaller:
                return smaller[0]
        if heard.answers and (len(heard.answers) >= needed or not heard.away):
            return None
        return Waiting(f"{len(heard.answers)} of {needed} groups that are needed answer; {heard.why()}")

    async def _hear_group(self, query: LogQuery, group: str, nodes: Sequence[str], heard: _Heard) -> Smaller | None:
        """Take the answer of a group's first node that has one."""
        size = query.last - query.first + 1
        reasons: list[NoReply] = []
        for node in nodes:
            found = await self._read(node, query)
            if isinstance(found, Answered):
                self._panel.served(node, size, found.count)
                heard.answers[node] = found
                return None
            if found.is_of_size and size > 1:
                self._panel.refused(node, size)
                return Smaller(f"{node}: {found.reason}")
            self._panel.failed(node)
            reasons.append(found)
        # Who may answer later keeps a group from being given up.
        passing = [one.reason for one in reasons if one.is_passing]
        (heard.away if passing else heard.unable)[group] = (passing or [one.reason for one in reasons])[0]
        return None

    async def _read(self, node: str, query: LogQuery) -> Answered | NoReply:
        found = results(await self._source.ask(node, logs(query)))
        if isinstance(found, NoReply):
            return found
        [result] = found
        answer = await aside(read_logs, result, query) if len(result) > _LONG else read_logs(result, query)
        if isinstance(answer, Refused):
            self.refusals = [*self.refusals[1 - _MOST_REFUSALS :], (node, answer.reason)]
            return NoReply(Silence.AWAY, f"refused: {answer.reason}")
        return answer

    # -- doubt

    async def _resolve(self, query: LogQuery, number: int, heard: _Heard, shown: Shown | None) -> bool:
        """Settle one block that answers differ about: by its receipts, else by a count of all groups."""
        truth = await self._truth(number, shown)
        if truth is not None:
            heard.settled[number], heard.is_proven = truth.logs, True
            await self._judge(query, truth, heard)
            return True
        return await self._count(query, number, heard)

    async def _truth(self, number: int, shown: Shown | None) -> Truth | None:
        shown = shown or await self._witness.header_at(number)
        return None if shown is None else await self._witness.truth(shown)

    async def _count(self, query: LogQuery, number: int, heard: _Heard) -> bool:
        """Ask all other groups about a block; tell whether enough say the same."""
        told = {node: answer.blocks.get(number) for node, answer in heard.answers.items()}
        spoken = {self._panel.group_of(node) for node in told}
        for group, nodes in self._panel.drawn(f"count {number}"):
            for node in nodes if group not in spoken else ():
                found = await self._read(node, _single(query, number))
                if isinstance(found, Answered):
                    told[node] = found.blocks.get(number)
                    break
        fact = self._panel.count({node: _digest(number, block) for node, block in told.items()})
        if fact.grade not in (Grade.QUORUM, Grade.MAJORITY):
            return False
        right = next(block for block in told.values() if _digest(number, block) == fact.value)
        heard.settled[number] = right or BlockLogs("", ())
        return True

    async def _judge(self, query: LogQuery, truth: Truth, heard: _Heard) -> None:
        """Look at each answer that is not what is proven: wrong, a passing error, or of a node without the block."""
        number = truth.shown.header.block.number
        for node, answer in list(heard.answers.items()):
            if difference(answer.blocks.get(number), truth.logs) is None:
                continue
            found = await self._confirmed(node, _single(query, number), truth)
            if isinstance(found, Deviation):
                self._name(found)
                self._panel.distrust(node)
            elif found is not None:
                # What such a node does not say of other blocks is no answer either.
                del heard.answers[node]
                silent = heard.away if found.is_passing else heard.unable
                silent[self._panel.group_of(node)] = found.reason
                self._panel.failed(node)

    def _name(self, deviation: Deviation) -> None:
        """Keep what proves that a node lies; more than enough of it would only fill the memory."""
        if sum(one.node == deviation.node for one in self.deviations) < _MOST_EVIDENCE:
            self.deviations.append(deviation)

    async def _confirmed(self, node: str, query: LogQuery, truth: Truth) -> Deviation | NoReply | None:
        """Ask a node again. None: it is right now, or does not answer; `NoReply`: it cannot know."""
        told = results(await self._source.ask(node, logs(query)))
        answer = read_logs(told[0], query) if isinstance(told, tuple) else None
        if isinstance(told, NoReply) or not isinstance(answer, Answered):
            return None
        block = truth.shown.header.block
        said = answer.blocks.get(block.number)
        found = difference(said, truth.logs)
        if found is None:
            return None
        if found.wrong is Wrong.WRONG_BLOCK:
            return NoReply(Silence.AWAY, f"it is on another chain: {found.detail}")
        if said is None and isinstance(query, LogsAt):
            # A node may have a new block before its logs: that is looked at later, see `tocsin.state.patrol`.
            return NoReply(Silence.AWAY, f"it tells no logs of block {block.number}, and there are some")
        if said is None and await self._witness.truth_by(node, truth.shown) is None:
            # Who has the header has pruned the rest; who does not is behind, and says nothing of what it does not know.
            silence = Silence.UNABLE if await self._witness.has(node, block) else Silence.AWAY
            return NoReply(silence, f"it shows neither logs nor receipts of block {block.number}")
        evidence = LogEvidence(
            block=block, wanted=query.wanted, told=told[0], header=truth.shown.data, receipts=truth.receipts
        )
        # Who has left the block meanwhile speaks of another chain.
        if not await self._witness.stands(node, block):
            return NoReply(Silence.AWAY, f"it does not have block {block.number} on its chain any more")
        return Deviation(node=node, question=logs(query), difference=found, evidence=evidence)

    # -- audit

    async def _audit(self, query: LogQuery, heard: _Heard) -> Smaller | Waiting | Betrayed | None:
        """Hold blocks of a range against the chain. Return why the answers are not taken as they are."""
        suspect = not any(map(self._panel.trusts, heard.answers))
        if suspect and query.last - query.first >= UNTRUSTED:
            return Smaller(f"nobody who answers is trusted with more than {UNTRUSTED} blocks")
        for number in range(query.first, query.last + 1):
            if number in heard.settled or not (suspect or is_audited(self._salt, number, self._one_in)):
                continue
            truth = await self._truth(number, None)
            if truth is None and suspect:
                return Waiting(f"nobody who answers is trusted, and nobody shows the receipts of block {number}")
            if truth is not None and (found := await self._held(query, truth, heard, suspect=suspect)) is not None:
                return found
        return None

    async def _held(self, query: LogQuery, truth: Truth, heard: _Heard, *, suspect: bool) -> Betrayed | None:
        """Hold one block of the answers, which say the same, against what is true."""
        number, names = truth.shown.header.block.number, sorted(heard.answers)
        self.audited += 1
        agreed = heard.answers[names[0]].blocks.get(number) if names else None
        found = difference(agreed, truth.logs)
        if suspect or found is not None:
            heard.settled[number] = truth.logs
        if found is None:
            return None
        await self._judge(query, truth, heard)
        if suspect:
            return None
        for node in names:
            self._panel.distrust(node, for_good=True)
        return Betrayed(f"{', '.join(names)} agree about block {number}, its receipts say otherwise: {found.detail}")

    async def _settle_block(self, query: LogsAt, heard: _Heard, shown: Shown) -> Settled:
        """Settle a block that is asked by its hash, and about which nobody differs.

        Its bloom says that there may be logs. Where none are told, the receipts have to say so too: nodes that have a
        block before its logs answer that there are none, several at the same time.
        """
        number = query.block.number
        told = any(number in answer.blocks for answer in heard.answers.values())
        if number not in heard.settled and (not told or is_audited(self._salt, number, self._one_in)):
            truth = await self._witness.truth(shown)
            if truth is not None:
                self.audited += 1
                heard.settled[number], heard.is_proven = truth.logs, True
                await self._judge(query, truth, heard)
        found = self._merged(heard)
        return Settled(blocks=found.blocks, grade=Grade.PROVEN) if heard.is_proven else found


def lot(first: int) -> str:
    """Return what the groups are drawn by that are asked for logs from a block on."""
    return f"logs {first}"


def _single(query: LogQuery, number: int) -> LogQuery:
    """Return the same question for one block of it."""
    return query if isinstance(query, LogsAt) else one_block(number, query.wanted)


def _digest(number: int, block: BlockLogs | None) -> bytes:
    return digest_of({} if block is None else {number: block})
