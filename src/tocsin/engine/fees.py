"""The base fees of agreed heads over the last hour, thinned out, so that a surge can be told from the usual."""

from tocsin.clock import NS
from tocsin.engine.state import ChainState
from tocsin.model.evolve import evolve

SPAN_NS = 3600 * NS
_APART_NS = 30 * NS
_ENOUGH = 20
"""Ten minutes of samples: below that a median says little."""


def note(state: ChainState, now_ns: int) -> ChainState:
    """Keep the base fee of the agreed head, one in half a minute at most."""
    if state.fees and now_ns - state.fees[-1][0] < _APART_NS:
        return state
    block = state.head.block
    header = state.tree.headers.get(block.hash) if block is not None else None
    if header is None or header.base_fee is None or _is_counted(state):
        return state
    kept = [sample for sample in state.fees if now_ns - sample[0] < SPAN_NS] + [(now_ns, header.base_fee)]
    middle = sorted([wei for _, wei in kept])[len(kept) // 2] if len(kept) >= _ENOUGH else None
    return evolve(state, fees=tuple(kept), fee_median=middle)


def _is_counted(state: ChainState) -> bool:
    """Tell whether the agreed head is that of the last sample."""
    return bool(state.fees) and (state.head.since_ns or 0) <= state.fees[-1][0]
