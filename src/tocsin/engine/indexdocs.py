"""What is told of log indexes: their retained topics, and their rows in the status."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from tocsin.engine.shown import block, seconds
from tocsin.engine.state import ChainState, Document, Lasting
from tocsin.model.block import BlockRef
from tocsin.model.index import AmountSample, AmountSettings, IndexSample, IndexSettings
from tocsin.model.settings import ChainSettings

NOTHING: Final = IndexSample()
_MINUTE_S: Final = 60
_NOT_READ: Final = "it was not read yet"
_NOT_BEGUN: Final = "it was not looked at yet"


def told(state: ChainState, chain: ChainSettings) -> Iterator[tuple[IndexSettings, Lasting, Document]]:
    """Yield, for each index that was looked at, what of its document lasts, and what makes that."""
    for one in chain.indexes:
        seen = state.indexes.get(one.name)
        if seen is not None:
            amounts = state.amounts.get(one.name)
            yield one, _lasting(seen.sample, amounts), partial(document, one, seen.sample, chain.id, amounts)


def rows(state: ChainState, chain: ChainSettings, t_ns: int) -> list[dict[str, object]]:
    """Return the rows of the status, in the order of the configuration."""
    found = []
    for one in chain.indexes:
        seen = state.indexes.get(one.name)
        row = document(one, NOTHING if seen is None else seen.sample, chain.id, state.amounts.get(one.name))
        age_s = None if seen is None else seconds(t_ns - seen.at_ns)
        found.append({**row, "name": one.name, "age_s": age_s, "stuck": row["stuck"] if seen else _NOT_BEGUN})
    return found


def _lasting(sample: IndexSample, amounts: AmountSample | None) -> Lasting:
    """Return what is worth publishing the document again; that the tail has moved is not."""
    through = "" if sample.through is None else f"{sample.through.number} {sample.through.hash}"
    grade = "" if sample.grade is None else sample.grade.value
    return (through, str(sample.logs), grade, sample.stuck, sample.problem, *_lasting_amounts(amounts))


def _lasting_amounts(amounts: AmountSample | None) -> Lasting:
    if amounts is None:
        return ()
    at = "" if amounts.block is None else amounts.block.hash
    return (at, str(amounts.holding), str(amounts.unknown), amounts.total, amounts.problem)


def document(
    one: IndexSettings, sample: IndexSample, chain_id: int, amounts: AmountSample | None = None
) -> dict[str, object]:
    """Return how far an index is, and what those hold whom it names. `done` is the share of its blocks that it has."""
    done = None
    if sample.through is not None and sample.target is not None:
        whole = sample.target - one.start + 1
        done = 1.0 if whole <= 0 else max(0.0, min(1.0, (sample.through.number - one.start + 1) / whole))
    through = sample.through
    return {
        "chain": f"eip155:{chain_id}",
        "from": one.start,
        "through": None if through is None or through.number < one.start else _shown(through),
        "finalized": sample.target,
        "tail": block(sample.tail),
        "done": None if done is None else int(done * 10_000) / 10_000,
        "logs": sample.logs,
        "accounts": sample.accounts,
        "unreadable": sample.unreadable,
        "grade": None if sample.grade is None else sample.grade.value,
        "blocks_per_s": _per_second(sample.blocks_per_min),
        "logs_per_s": _per_second(sample.logs_per_min),
        "eta_s": sample.eta_s,
        "audited": sample.audited,
        "stuck": sample.stuck or None,
        "problem": sample.problem or None,
        "amounts": None if one.amount is None else _amounts(one.amount, amounts),
    }


def _amounts(one: AmountSettings, found: AmountSample | None) -> dict[str, object]:
    """Return what the accounts hold; nothing of that while no amount was read."""
    known = found if found is not None and found.block is not None else None
    return {
        "contract": one.contract,
        "call": one.call,
        "decimals": one.decimals,
        "block": None if known is None else block(known.block),
        "accounts": None if known is None else known.accounts,
        "holding": None if known is None else known.holding,
        "unknown": None if known is None else known.unknown,
        "total": None if known is None else known.total,
        "grade": None if known is None or known.grade is None else known.grade.value,
        "audited": None if known is None else known.audited,
        "disputed": None if known is None else known.disputed,
        "problem": _NOT_READ if found is None else found.problem or None,
    }


def _per_second(per_minute: int | None) -> float | None:
    return None if per_minute is None else round(per_minute / _MINUTE_S, 1)


def _shown(through: BlockRef) -> dict[str, object]:
    """Return the last block; within a back-fill its hash is not known."""
    return {"number": through.number, "hash": through.hash or None}
