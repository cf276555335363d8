"""Who goes on while the agreed head stands still.

Followed is every voter on its own: one that shows a made-up block far above the agreed head, and stays there, must not
hide an honest one that goes on below it.
"""

from collections.abc import Mapping

from tocsin.clock import NS
from tocsin.engine.state import ChainState
from tocsin.engine.truth import broken_heads
from tocsin.engine.voting import voters
from tocsin.model.block import BlockRef, Header, Verification
from tocsin.model.event import Ticked
from tocsin.model.evolve import evolve
from tocsin.model.settings import ChainSettings
from tocsin.model.view import Ahead, Lead, Relation

_EARLY_NS = 15 * NS
"""A head whose time is so far ahead of now is made up (see `node.phantom_head`)."""


def follow(state: ChainState, relations: Mapping[str, Relation], chain: ChainSettings, event: Ticked) -> ChainState:
    """Note how long blocks above the agreed head have come while that one stands still: of groups, and of each node."""
    lead = _led(state.lead, state.fresh, state, event.t_ns)
    heads = _ahead(state, relations, chain, event)
    lone = {
        name: led
        for name, head in heads.items()
        if (led := _led(state.lone.get(name), head.ref, state, event.t_ns)) is not None
    }
    return state if lead is state.lead and lone == state.lone else evolve(state, lead=lead, lone=lone)


def _ahead(
    state: ChainState, relations: Mapping[str, Relation], chain: ChainSettings, event: Ticked
) -> dict[str, Header]:
    """Return the heads above the agreed one that may be what they say, by node.

    They descend from it, break no rule, are not from the future, and verify if that one does.
    """
    names = [name for name, found in relations.items() if isinstance(found, Ahead)]
    block = state.head.block
    if not names or block is None:
        return {}
    sound, agreed = voters(state, chain), state.tree.headers.get(block.hash)
    shown = {name: head for name in names if name in sound and (head := sound[name].head) is not None}
    broken = broken_heads(state, shown.values()) if state.breaches else {}
    latest_s = (_now_ns(state, agreed, event) + _EARLY_NS) // NS
    verifies = agreed is not None and agreed.verification is Verification.MATCH
    return {
        name: head
        for name, head in sorted(shown.items())
        if head.hash not in broken
        and head.timestamp <= latest_s
        and (not verifies or head.verification is Verification.MATCH)
    }


def _now_ns(state: ChainState, agreed: Header | None, event: Ticked) -> int:
    """Return the wall time, or what the agreed head and the time since bear out where our own clock is late."""
    if agreed is None or state.head.since_ns is None:
        return event.wall_ns
    return max(event.wall_ns, agreed.timestamp * NS + event.t_ns - state.head.since_ns)


def _led(before: Lead | None, block: BlockRef | None, state: ChainState, now_ns: int) -> Lead | None:
    if block is None or state.head.block is None:
        return None
    stands_since = max(state.head.since_ns or 0, state.started_ns)
    if before is None or before.since_ns < stands_since:
        return Lead(block=block, since_ns=now_ns, rose_ns=None)
    return evolve(before, block=block, rose_ns=now_ns) if block.number > before.block.number else before
