"""Nodes that give wrong things again and again, and never when they are asked for the same once more.

A node may lie only where it is asked for much, and tell the truth, or nothing, where it is asked for one thing. So who
gives wrong things at a third block within an hour is accused of that one by the answer itself. This holds for those
alone that are known to answer at just the block that is named: what was wrong is not another block's then. Once, or
twice, it may be an accident. That there are no logs of a block is not counted: a node may have each block before them.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from tocsin.chain import lenience
from tocsin.chain.lenience import Blocks
from tocsin.engine import judged, readback, readplan, wanted
from tocsin.engine.sitting import Contracts, Heard, Sitting, Suspicion, key
from tocsin.engine.state import ChainState
from tocsin.model.contract import Charge
from tocsin.model.event import Fetched
from tocsin.model.evolve import evolve
from tocsin.model.reading import Pin, ProofOf, parse
from tocsin.model.settings import ChainSettings
from tocsin.model.traits import Capabilities

_AGAIN: Final = f"so at {lenience.RELAPSES} blocks within an hour, though not again when it was asked once more"


def has_relapsed(known: Contracts, node: str) -> bool:
    """Tell whether a node gave something wrong lately: what it gives now may be needed to show that."""
    return bool(known.relapses) and any(key(charge, node) in known.relapses for charge in Charge)


def recent(relapses: Mapping[str, Blocks], now_ns: int) -> dict[str, Blocks]:
    """Return what was wrong within the time that counts."""
    kept = {at: lenience.lately(blocks, now_ns) for at, blocks in relapses.items()}
    return {at: blocks for at, blocks in kept.items() if blocks}


def noted(relapses: dict[str, Blocks], found: Suspicion | None, now_ns: int) -> dict[str, Blocks]:
    """Return the same with one more block, where the node is known to have answered at just that one."""
    asked = parse(found.question) if found is not None else None
    if found is None or asked is None or asked.pin is Pin.NUMBER:
        return relapses
    at = key(found.charge, found.node)
    return {**relapses, at: lenience.with_block(relapses.get(at, {}), found.block.hash, now_ns)}


def without(relapses: Mapping[str, Blocks], stood: Collection[str]) -> Mapping[str, Blocks]:
    """Return the same without those who stood by what they said: they are accused for that."""
    return {at: blocks for at, blocks in relapses.items() if at not in stood}


def caught(
    state: ChainState,
    chain: ChainSettings,
    name: str,
    one: Heard,
    sitting: Sitting,
    relapses: Mapping[str, Blocks],
    sure: Mapping[str, tuple[str, str]],
    now_ns: int,
) -> Iterator[Suspicion]:
    """Yield what a node is accused of by what it answered just now, since it gave wrong things too often."""
    charges = [
        charge
        for charge in (Charge.PROOF, Charge.VALUE)
        if lenience.is_too_often(blocks := relapses.get(key(charge, name), {})) and sitting.block.hash in blocks
    ]
    for part in one.shown if charges else ():
        found = parse(part.call)
        item = found.items[0] if found is not None and readplan.is_sure(_known(state, name), found.pin) else None
        charge = Charge.PROOF if isinstance(item, ProofOf) else Charge.VALUE
        if item is None or charge not in charges:
            continue
        subject = f"0x{item.address.hex()}" if isinstance(item, ProofOf) else readback.subject_of(item)
        expected, by = sure.get(subject, ("", ""))
        if not expected and charge is Charge.VALUE:
            continue
        suspicion = Suspicion(
            charge=charge,
            node=name,
            contract=wanted.name_of(chain, readback.address_of(subject)),
            block=sitting.block,
            root=sitting.root,
            question=part.call,
            subject=subject,
            expected=expected,
            by=by,
        )
        told = Fetched(t_ns=now_ns, chain=chain.name, node=name, request=0, call=part.call, part=part)
        _, reason, evidence = judged.looked_at(suspicion, told)
        if reason and evidence.get("said") != readback.NO_LOGS:
            yield evolve(suspicion, reason=f"{reason[:200]}; {_AGAIN}", evidence=evidence, found_ns=now_ns)


def _known(state: ChainState, node: str) -> Capabilities:
    return state.nodes[node].capabilities
