"""Asking one node for things at one block, in a batch, and what its answers say as they stand."""

from collections.abc import Sequence

from tocsin.engine import readback
from tocsin.model.event import Fetched
from tocsin.model.observation import Fault, Part, RpcErrorKind, number_of
from tocsin.model.reading import Item, Pin, reading
from tocsin.state.ground import Place
from tocsin.state.reply import NoReply, Silence, results
from tocsin.state.source import Source


async def ask(source: Source, node: str, place: Place, pin: Pin, items: Sequence[Item]) -> tuple[Part, ...] | NoReply:
    """Ask a node for things one by one, in a batch; return one part each, if they are of the block."""
    call = reading(place.block, pin, items)
    outcome = await source.ask(node, call)
    if isinstance(outcome, Fault):
        found = results(outcome)
        return found if isinstance(found, NoReply) else NoReply(Silence.AWAY, "no answer")
    event = Fetched(t_ns=0, chain="", node=node, request=0, call=call, run=outcome)
    if not readback.is_of(event, place.block):
        return NoReply(Silence.AWAY, "another block answered")
    told = tuple([part for part in outcome if number_of(part.call) is None])
    return told if len(told) == len(items) else NoReply(Silence.AWAY, "parts are missing")


def is_revert(part: Part) -> bool:
    """Tell whether a call reverts. Out of gas is no revert: how much there is differs from node to node."""
    error = part.error
    return error is not None and error.kind is RpcErrorKind.REVERT and "out of gas" not in error.message.lower()


def hex_data(result: bytes) -> bytes | None:
    """Return the bytes of a result that is one hex string, None for every other."""
    if result[:3] != b'"0x' or result[-1:] != b'"':
        return None
    try:
        data = bytes.fromhex(result[3:-1].decode("ascii"))
    except ValueError:
        return None
    return data if 2 * len(data) == len(result) - 4 else None  # `fromhex` takes spaces
