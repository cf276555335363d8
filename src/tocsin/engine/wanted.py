"""What is wanted of the state of a block, by all who use it; and who gets what was found out.

Each user of state names what it wants by what is known already: first by what was known at the block before, and once
that is read, by what is known at this one. So what is found only through something else (a contract that another one
names) is read at the same block, in a second phase, and as a rule already in the first.
"""

from collections.abc import Collection, Iterable, Mapping

from tocsin.engine import feeds, watch_logs, watching
from tocsin.engine.facts import Fact
from tocsin.engine.state import ChainState
from tocsin.engine.watching import NOTHING, Recall
from tocsin.model.block import BlockRef
from tocsin.model.feed import FeedRecord
from tocsin.model.reading import Item, ProofOf, merged
from tocsin.model.settings import ChainSettings


def is_anything(chain: ChainSettings) -> bool:
    """Tell whether any state of a chain is wanted at all."""
    return bool(chain.contracts or chain.feeds)


def items(
    chain: ChainSettings,
    facts: Mapping[str, str],
    known: Mapping[str, FeedRecord] | None = None,
    recall: Recall = NOTHING,
) -> tuple[Item, ...]:
    """Return all that is wanted, by what is known: values by subject, feeds by name, and contracts at older blocks.

    Each thing once, proofs of one account in one.
    """
    return merged((*watching.items(chain, facts, recall), *feeds.items(chain, known or {}, facts)))


def usual(chain: ChainSettings) -> tuple[Item, ...]:
    """Return what is wanted at a block before anything is known."""
    return items(chain, {}, recall=Recall(logs=watch_logs.usual(chain)))


def recalled(state: ChainState, chain: ChainSettings, block: BlockRef) -> Recall:
    """Return what is known of contracts before this block, which is wanted to be read at."""
    hints = {name: seen.hints for name, seen in state.contracts.watched.items() if seen.hints}
    return Recall(hints=hints, logs=watch_logs.queries(state, chain, block))


def missing(wanted: Iterable[Item], asked: Iterable[Item]) -> tuple[Item, ...]:
    """Return what is wanted and was not asked yet."""
    had = {item for item in asked if not isinstance(item, ProofOf)}
    proven = {item.address: set(item.keys) for item in asked if isinstance(item, ProofOf)}
    return tuple(left for item in wanted if (left := _left(item, had, proven)) is not None)


def _left(item: Item, had: Collection[Item], proven: Mapping[bytes, set[bytes]]) -> Item | None:
    if not isinstance(item, ProofOf):
        return None if item in had else item
    keys = tuple(key for key in item.keys if key not in proven.get(item.address, set()))
    if not keys and item.address in proven:
        return None
    return ProofOf(address=item.address, keys=keys)


def read(
    state: ChainState, chain: ChainSettings, facts: Mapping[str, Fact], block: BlockRef, now_ns: int
) -> ChainState:
    """Return the chain after everybody was told what is known of a block."""
    return feeds.read(watching.read(state, chain, facts, block, now_ns), chain, facts, block, now_ns)


def name_of(chain: ChainSettings, address: str) -> str:
    """Return what people call who is at an address: the first one that they gave it, else the address."""
    named = [(one.address, one.name) for one in chain.contracts] + [(one.address, one.name) for one in chain.feeds]
    return next((name for at, name in named if at == address), address)
