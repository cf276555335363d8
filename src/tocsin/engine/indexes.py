"""Log indexes: how far each is, as the runtime tells, and what nodes told wrong of logs.

An index itself is no part of the state: it is a function of the finalized chain, and too large. Nor is how it is built.
What is decided here is whether a node is held to have told wrong logs, or receipts: by the bytes alone, of a block that
is known to be of the chain.
"""

from collections.abc import Mapping

from tocsin.chain.loganswer import Refused
from tocsin.chain.logevidence import ReceiptEvidence, recheck_receipts
from tocsin.chain.logproof import Difference, LogEvidence, recheck
from tocsin.engine.evidence import kept as kept_evidence
from tocsin.engine.evidence import of_logs, of_receipts
from tocsin.engine.facts import is_on_chain
from tocsin.engine.labels import index_labels
from tocsin.engine.sitting import Contracts, key
from tocsin.engine.state import ChainState, EngineState
from tocsin.model import logquery
from tocsin.model.alert import Json
from tocsin.model.block import BlockRef
from tocsin.model.contract import Accusation, Charge
from tocsin.model.event import AmountsRead, IndexSampled, LogsRefuted
from tocsin.model.evolve import evolve
from tocsin.model.index import AmountSample, IndexSeen, IndexSettings, IndexView
from tocsin.model.settings import ChainSettings, Settings


def sampled(state: EngineState, event: IndexSampled) -> EngineState:
    """Note how far an index is, and what was sound of those who are accused. Of one that is unknown: nothing."""
    found = _found(state, event.chain, event.index)
    if found is None:
        return state
    chain, index = found
    before = chain.indexes.get(event.index)
    since_ns = before.stuck_ns if before is not None and before.stuck_ns is not None else state.t_ns
    seen = IndexSeen(
        identity=index.identity,
        sample=event.sample,
        at_ns=state.t_ns,
        stuck_ns=since_ns if event.sample.stuck else None,
    )
    chain = evolve(
        chain,
        indexes={**chain.indexes, event.index: seen},
        contracts=_cleaned(chain.contracts, event) if event.sound and chain.contracts.accused else chain.contracts,
    )
    return evolve(state, chains={**state.chains, event.chain: chain})


def valued(state: EngineState, event: AmountsRead) -> EngineState:
    """Note what those hold whom an index names. Of one that is unknown, or asks something else by now: nothing."""
    found = _found(state, event.chain, event.index)
    amount = found[1].amount if found is not None else None
    if found is None or amount is None or amount.identity != event.sample.identity:
        return state
    chain = evolve(found[0], amounts={**found[0].amounts, event.index: event.sample})
    return evolve(state, chains={**state.chains, event.chain: chain})


def _cleaned(known: Contracts, event: IndexSampled) -> Contracts:
    accused = dict(known.accused)
    for one in event.sound:
        for charge, count in ((Charge.LOGS, one.logs), (Charge.RECEIPTS, one.receipts)):
            at = key(charge, one.node)
            if at in accused and count:
                accused[at] = evolve(accused[at], clean=accused[at].clean + count)
    return evolve(known, accused=accused)


def refuted(state: EngineState, event: LogsRefuted) -> EngineState:
    """Hold against a node what it told wrong, where that follows from the bytes, and the block is of the chain."""
    found = _found(state, event.chain, event.index)
    if found is None or event.node not in found[0].nodes or not _is_final_or_on(found[0], event.block):
        return state
    chain, _ = found
    evidence = _evidence(event)
    wrong = _wrong(evidence)
    if evidence is None or wrong is None:
        return state
    what = "logs" if event.charge is Charge.LOGS else "receipts"
    shown, whole = kept_evidence({**_shown(evidence, wrong), "index": event.index, "question": event.question})
    accusation = Accusation(
        contract=f"index {event.index}",
        block=event.block,
        reason=f"{what} {wrong.wrong.value}: {wrong.detail}"[:300],
        evidence=shown,
        at_ns=state.t_ns,
        whole=whole,
    )
    accused = {**chain.contracts.accused, key(event.charge, event.node): accusation}
    chain = evolve(chain, contracts=evolve(chain.contracts, accused=accused))
    return evolve(state, chains={**state.chains, event.chain: chain})


def _evidence(event: LogsRefuted) -> LogEvidence | ReceiptEvidence | None:
    if event.charge is Charge.RECEIPTS:
        return ReceiptEvidence(block=event.block, told=event.told, header=event.header)
    query = logquery.parse(event.question)
    if query is None or event.charge is not Charge.LOGS or not query.first <= event.block.number <= query.last:
        return None
    return LogEvidence(
        block=event.block, wanted=query.wanted, told=event.told, header=event.header, receipts=event.receipts
    )


def _shown(evidence: LogEvidence | ReceiptEvidence, wrong: Difference) -> Json:
    if isinstance(evidence, LogEvidence):
        return of_logs(evidence, wrong)
    return of_receipts(evidence.block, evidence.header, evidence.told, wrong.detail)


def _wrong(evidence: LogEvidence | ReceiptEvidence | None) -> Difference | None:
    if evidence is None:
        return None
    found = recheck_receipts(evidence) if isinstance(evidence, ReceiptEvidence) else recheck(evidence)
    return None if isinstance(found, Refused) else found


def _is_final_or_on(chain: ChainState, block: BlockRef) -> bool:
    """Tell whether a block is of the chain: what is final was held against a quorum by whoever looked it up."""
    final = chain.finalized.block
    return (final is not None and block.number <= final.number) or is_on_chain(chain, block)


def _found(state: EngineState, chain: str, index: str) -> tuple[ChainState, IndexSettings] | None:
    settings = state.settings.chain(chain) if state.settings else None
    one = next((each for each in settings.indexes if each.name == index), None) if settings is not None else None
    return None if one is None or chain not in state.chains else (state.chains[chain], one)


def views(state: ChainState, settings: Settings, chain: ChainSettings) -> tuple[IndexView, ...]:
    """Return the indexes as detectors look at them: those that were looked at since they are what they are."""
    return tuple(
        IndexView(settings=one, labels=index_labels(settings, chain, one.name), seen=seen)
        for one in chain.indexes
        if (seen := state.indexes.get(one.name)) is not None
    )


def changed(before: ChainSettings | None, after: ChainSettings) -> frozenset[str]:
    """Return the names of indexes that are not the same ones any more: what was said of them is of others."""
    were = {one.name: one.identity for one in before.indexes} if before is not None else {}
    return frozenset(one.name for one in after.indexes if were.get(one.name, one.identity) != one.identity)


def kept(seen: Mapping[str, IndexSeen], chain: ChainSettings) -> Mapping[str, IndexSeen]:
    """Return what is known under a configuration: of indexes that stay what they are."""
    wanted = {one.name: one.identity for one in chain.indexes}
    return {name: one for name, one in seen.items() if wanted.get(name) == one.identity} if seen else seen


def kept_amounts(read: Mapping[str, AmountSample], chain: ChainSettings) -> Mapping[str, AmountSample]:
    """Return the amounts that are known under a configuration: of indexes that ask for the same."""
    wanted = {one.name: one.amount.identity for one in chain.indexes if one.amount is not None}
    return {name: one for name, one in read.items() if wanted.get(name) == one.identity} if read else read
