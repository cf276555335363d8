"""Which blocks' logs are to be looked at, so that none passes unseen: all since the one that was looked at first.

By hash, as long as the tree has the blocks; what passed while nobody watched, or faster than anybody polls, is asked
for by heights once it is final, a stretch at a time.
"""

from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from tocsin.engine import watch_roles
from tocsin.engine.sitting import Contracts
from tocsin.engine.state import ChainState
from tocsin.engine.told import Page
from tocsin.model.block import BlockRef
from tocsin.model.evolve import evolve
from tocsin.model.logquery import LogFilter, LogQuery, LogsAt, LogsIn, logs, parse
from tocsin.model.settings import ChainSettings

TRAIL: Final = 32
"""So many blocks below the one that is read at are looked at by their hashes."""
AT_ONCE: Final = 8
STRETCH: Final = 256
"""Blocks that are asked for at once by their heights; many providers refuse a thousand."""


def queries(state: ChainState, chain: ChainSettings, block: BlockRef) -> tuple[LogQuery, ...]:
    """Return the logs to be asked for where the state is read at this block."""
    wanted = watch_roles.filter_of(chain.contracts)
    if wanted is None:
        return ()
    pending = _pending(state, block)
    chosen = pending if len(pending) <= AT_ONCE else [*pending[: AT_ONCE - 1], pending[-1]]
    stretch = _stretch(state, wanted)
    return (*(LogsAt(block=one, wanted=wanted) for one in chosen), *([stretch] if stretch is not None else []))


def usual(chain: ChainSettings) -> tuple[LogQuery, ...]:
    """Return what is asked for where nothing was missed: one block's logs, of no block yet."""
    wanted = watch_roles.filter_of(chain.contracts)
    return () if wanted is None else (LogsAt(block=BlockRef(number=0, hash=f"0x{bytes(32).hex()}"), wanted=wanted),)


def noted(state: ChainState, chain: ChainSettings, page: Page, block: BlockRef) -> Contracts:
    """Return what is known after logs were asked for at a block: how far they have been looked at without a break."""
    known, wanted = state.contracts, watch_roles.filter_of(chain.contracts)
    if wanted is None:
        return evolve(known, looked=(), unseen=None) if known.looked or known.unseen else known
    pending = _pending(state, block)
    seen = list(takewhile(lambda one: page.text(logs(LogsAt(block=one, wanted=wanted))) is not None, pending))
    unseen = known.unseen
    if (stretch := _stretch(state, wanted)) is not None and unseen and page.text(logs(stretch)) is not None:
        unseen = (stretch.last + 1, unseen[1]) if stretch.last < unseen[1] else None
    if seen and known.looked and (gap := _gap(known.looked[0], pending[0], state)) is not None:
        unseen = gap if unseen is None else (min(unseen[0], gap[0]), max(unseen[1], gap[1]))
    return evolve(known, looked=(*reversed(seen), *known.looked)[:TRAIL], unseen=unseen)


def is_stretch(subject: str) -> bool:
    """Tell whether something is about logs that were asked for by heights."""
    return isinstance(parse(subject), LogsIn)


def behind(state: ChainState) -> str:
    """Return which blocks nobody has looked at although they are final, empty where there are none to speak of."""
    unseen, final = state.contracts.unseen, state.finalized.block
    if unseen is None or final is None or final.number < unseen[0] + STRETCH:
        return ""
    return f"the logs of blocks {unseen[0]} to {unseen[1]} are not looked at yet: who was given a role there is unknown"


def _trail(state: ChainState, block: BlockRef) -> Iterator[BlockRef]:
    """Yield a block and those below it, as far as the tree has them."""
    yield block
    header = state.tree.headers.get(block.hash)
    for _ in range(TRAIL - 1):
        header = state.tree.headers.get(header.parent_hash) if header is not None else None
        if header is None:
            return
        yield header.ref


def _pending(state: ChainState, block: BlockRef) -> list[BlockRef]:
    """Return the blocks that are to be looked at, the oldest first."""
    looked = {one.hash for one in state.contracts.looked}
    if not looked:
        return [block]
    return list(takewhile(lambda one: one.hash not in looked, _trail(state, block)))[::-1]


def _gap(looked: BlockRef, oldest: BlockRef, state: ChainState) -> tuple[int, int] | None:
    """Return the heights between the newest block that was looked at, and the oldest that is now; None without any."""
    header = state.tree.headers.get(oldest.hash)
    if header is not None and header.parent_hash in {one.hash for one in state.contracts.looked}:
        return None
    return (looked.number + 1, oldest.number - 1) if looked.number + 1 < oldest.number else None


def _stretch(state: ChainState, wanted: LogFilter) -> LogsIn | None:
    unseen, final = state.contracts.unseen, state.finalized.block
    if unseen is None or final is None or final.number < unseen[0]:
        return None
    return LogsIn(first=unseen[0], last=min(unseen[1], final.number, unseen[0] + STRETCH - 1), wanted=wanted)
