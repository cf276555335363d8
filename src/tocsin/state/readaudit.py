"""Holds what one group was read from against what another group says of some of it, byte by byte, at the same block.

Where they differ, all groups are asked that one question, in the form in which it was answered: a call inside of an
aggregate has another `msg.sender`, and who is asked otherwise may honestly say something else. If a quorum says the
same, whoever says otherwise, now that it is asked again, is in doubt: the engine asks it once more and judges it
(`tocsin.engine.charges`). If no quorum does, nobody is accused, and the value is not known.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tocsin.chain.facts import Fact
from tocsin.chain.readvalues import Outcome, Values
from tocsin.engine import readback, readplan
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.contract import Charge
from tocsin.model.event import ReadDoubted
from tocsin.model.observation import Part
from tocsin.model.reading import CallOf, Item
from tocsin.state.asking import ask, hex_data, is_revert
from tocsin.state.compiled import Compiled, aggregate, results_of
from tocsin.state.ground import Ground, Place
from tocsin.state.nodereads import Gathered, NodeReads, Rung
from tocsin.state.panel import Panel
from tocsin.state.reply import NoReply
from tocsin.state.source import BodySource
from tocsin.wire import multicall

_MOST_SETTLED: Final = 16
"""So many differences of one phase are looked at: who differs in one is in doubt, and the reading is not used."""
_REVERTED: Final = b"reverts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What a node gave wrong at a block, as it seems; `expected` is what a quorum says, as text.

    For a proof that proves nothing `expected` is empty.
    """

    charge: Charge
    node: str
    block: BlockRef
    root: str
    item: Item
    expected: str = ""
    agreed: tuple[str, ...] = ()
    contract: str = ""
    """Whose call it is, where that was made among others."""

    def told(self, chain: str, t_ns: int) -> ReadDoubted:
        """Return it as the engine takes it."""
        return ReadDoubted(
            t_ns=t_ns,
            chain=chain,
            node=self.node,
            charge=self.charge,
            block=self.block,
            root=self.root,
            question=readplan.written((self.item,)),
            expected=self.expected,
            agreed=self.agreed,
            contract=self.contract,
        )


_NOTHING: Final = Values(0)


@dataclass(slots=True)
class Audit:
    """What another group said of some places; nothing where there was none."""

    node: str = ""
    chosen: tuple[int, ...] = ()
    got: Gathered = field(default_factory=lambda: Gathered(_NOTHING))


@dataclass(slots=True)
class Verdict:
    """What came of comparing."""

    compared: int = 0
    disputed: int = 0
    caught: set[str] = field(default_factory=set)
    """Nodes that gave something wrong twice, as it seems."""
    doubts: list[Doubt] = field(default_factory=list)
    """What of that is sure enough to be judged by the engine."""


class Auditor:
    """Asks second opinions, and settles where they differ."""

    def __init__(self, panel: Panel, reads: NodeReads, source: BodySource, ground: Ground) -> None:
        self._panel = panel
        self._reads = reads
        self._source = source
        self._ground = ground

    async def second(
        self, plan: Compiled, chosen: Sequence[int], place: Place, order: Iterable[tuple[str, tuple[str, ...]]]
    ) -> Audit:
        """Ask the first node that answers for the places that were chosen."""
        for _, nodes in order:
            for node in nodes:
                means = self._ground.means(node, place)
                if means is None or not self._ground.holds(place.block):
                    continue
                audit = Audit(node, tuple(chosen), Gathered(Values(len(plan.wanted))))
                why = await self._reads.read(
                    node, means, place, plan, audit.got, holds=lambda: self._ground.holds(place.block), only=chosen
                )
                if not why:
                    return audit
        return Audit()

    async def compared(self, plan: Compiled, got: Gathered, audit: Audit, place: Place) -> Verdict:
        """Compare, settle what differs in what was read, and say who is in doubt."""
        verdict = Verdict()
        if not audit.chosen and not got.refuted:
            return verdict
        verdict.doubts += [
            Doubt(charge=Charge.PROOF, node=node, block=place.block, root=place.root, item=item)
            for node, item in (*got.refuted, *audit.got.refuted)
        ]
        verdict.caught |= {doubt.node for doubt in verdict.doubts}
        differing = [at for at in audit.chosen if self._is_compared(at, got, audit, verdict)]
        for at in differing[:_MOST_SETTLED]:
            await self._settled(plan, got, audit, at, place, verdict)
        for at in differing[_MOST_SETTLED:]:
            got.values.forget(at)
            verdict.disputed += 1
        return verdict

    def _is_compared(self, at: int, got: Gathered, audit: Audit, verdict: Verdict) -> bool:
        """Note one comparison; tell whether it found a difference."""
        if got.values.proven[at] or at not in got.served or at not in audit.got.served:
            return False
        if self._panel.group_of(got.served[at][0]) == self._panel.group_of(audit.node):
            return False
        verdict.compared += 1
        is_same = got.values.is_same(at, audit.got.values, at)
        got.values.confirmed[at] = is_same
        return not is_same

    async def _settled(
        self, plan: Compiled, got: Gathered, audit: Audit, at: int, place: Place, verdict: Verdict
    ) -> None:
        """Ask everybody for one read, and take what a quorum says."""
        served, rung = got.served[at]
        asked = plan.wanted[at].item
        item = self._question(asked, rung)
        said = await self._said(item, place)
        fact = self._panel.count({node: text.encode() for node, text in said.items()})
        known = self._value(item, rung, fact)
        if known is None:
            got.values.forget(at)
            verdict.disputed += 1
            return
        other = _otherwise(known, {served: got.values, audit.node: audit.got.values}, at)
        outcome, data = known
        if outcome is Outcome.REVERTED:
            got.values.reverted(at)
        else:
            got.values.returned(at, data)
        got.values.confirmed[at] = True
        expected = (fact.value or b"").decode()
        wrong = [node for node in (served, audit.node) if said.get(node, expected) != expected]
        verdict.caught.update(wrong, other)
        if fact.grade is Grade.QUORUM:
            block, root = place.block, place.root
            verdict.doubts += [
                Doubt(
                    charge=Charge.VALUE,
                    node=node,
                    block=block,
                    root=root,
                    item=item,
                    expected=_judged(item, expected),
                    agreed=tuple(sorted(name for name, text in said.items() if text == expected)),
                    contract=f"0x{asked.to.hex()}" if isinstance(asked, CallOf) else "",
                )
                for node in wrong
            ]

    def _question(self, item: Item, rung: Rung) -> Item:
        """Return a read in the form in which it was answered."""
        target = self._reads.target(rung)
        return item if target is None or not isinstance(item, CallOf) else aggregate([item], *target)

    async def _said(self, item: Item, place: Place) -> dict[str, str]:
        """Return what the nodes of each group say of one thing, one node a group."""
        said: dict[str, str] = {}
        for _, nodes in self._panel.drawn(f"settle {place.block.hash}"):
            for node in nodes:
                means = self._ground.means(node, place)
                if means is None:
                    continue
                parts = await ask(self._source, node, place, means.pin, (item,))
                value = None if isinstance(parts, NoReply) else _text(item, parts[0])
                if value is not None:
                    said[node] = value
        return said

    def _value(self, item: Item, rung: Rung, fact: Fact) -> tuple[Outcome, bytes] | None:
        """Return what a count says of a read, None where it says nothing."""
        if fact.grade not in (Grade.QUORUM, Grade.MAJORITY) or fact.value is None:
            return None
        if fact.value == _REVERTED:
            return Outcome.REVERTED, b""
        data = bytes.fromhex(fact.value.decode()[2:])
        if not isinstance(item, CallOf) or self._reads.target(rung) is None:
            return Outcome.RETURNED, data
        try:
            results = results_of(data, 1, item.code)
        except multicall.LayoutError:
            return None
        return (Outcome.RETURNED, results.result(0)) if results.succeeded[0] else None


def _otherwise(known: tuple[Outcome, bytes], said: Mapping[str, Values], at: int) -> list[str]:
    """Return who of the two that differ said at first what it need not say again: of it nothing else is believed.

    A node that lies only where it is asked for much is not to get away with the truth about that one thing. Where both
    said otherwise, it makes a difference how the contract is called.
    """
    outcome, data = known
    right = outcome, (data if outcome is Outcome.RETURNED else None)
    found = [node for node, values in said.items() if (values.outcomes[at], values.result(at)) != right]
    return found if len(found) < len(said) else []


def _text(item: Item, part: Part) -> str | None:
    """Return an answer as text, whole: results of calls are compared byte by byte however long they are."""
    if not isinstance(item, CallOf):
        return readback.value_of(item, part)
    if is_revert(part):
        return _REVERTED.decode()
    data = hex_data(part.result or b"")
    # Of code that is put in place nothing is what a node returns that puts none there.
    return None if data is None or (item.code and not data) else f"0x{data.hex()}"


def _judged(item: Item, text: str) -> str:
    """Return an answer as text as the engine holds others against it: long ones by their digest."""
    if text == _REVERTED.decode() or not isinstance(item, CallOf):
        return text
    return readback.value_of(item, Part(call="", result=f'"{text}"'.encode())) or text
