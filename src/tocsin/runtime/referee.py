"""A node as referee: the protocol's own contracts asked at made-up prices, by one node, at the block that was valued.

What a scenario says is made of our arithmetic. A node that is given an oracle with other prices for the length of one
call (`eth_call` with a state override) makes it of the contracts' own. Not every node takes overrides, and those who do
not are named with what they said.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from tocsin.model.block import BlockRef
from tocsin.model.observation import Fault
from tocsin.model.reading import CallOf, Pin, reading
from tocsin.state.asking import hex_data
from tocsin.state.source import BodySource
from tocsin.wire import aggregator
from tocsin.wire.jsonrpc import pinned
from tocsin.wire.multicall import Call

_GAS: Final = 40_000_000
_MOST_TOLD: Final = 200

Calls = Sequence[tuple[bytes, bytes]]
"""Whom, and with what data."""


async def asked(
    source: BodySource, node: str, pin: Pin, block: BlockRef, codes: Mapping[bytes, bytes], calls: Calls
) -> list[bytes | None] | str:
    """Return what calls return as if this were the code at these addresses, None for reverts; or why not known."""
    data = aggregator.encode([Call(target=to, data=data) for to, data in calls])
    call = reading(block, pin, (CallOf(to=aggregator.PLACE, data=data, code=aggregator.CODE),))
    outcome = await source.read(node, call, _body(pin, block, {**codes, aggregator.PLACE: aggregator.CODE}, data))
    if isinstance(outcome, Fault):
        return f"{outcome.kind.value}: {outcome.detail}"[:_MOST_TOLD]
    for part in outcome:
        if part.error is not None:
            return f"{part.error.kind.value}: {part.error.message}"[:_MOST_TOLD]
        said = hex_data(part.result or b"")
        if said is None:
            return "its result is no hex data"
        try:
            found = aggregator.decode(said, len(calls))
        except ValueError as error:
            return f"it does not take overrides: {error}"[:_MOST_TOLD]
        return [found.result(at) if found.succeeded[at] and found.lengths[at] else None for at in range(len(calls))]
    return "no answer"


def _body(pin: Pin, block: BlockRef, codes: Mapping[bytes, bytes], data: bytes) -> bytes:
    """Write the request. By its number a node may answer of another block: it is asked by the hash alone."""
    where = pinned(block, Pin.HASH if pin is Pin.NUMBER else pin)
    overrides = {f"0x{address.hex()}": {"code": f"0x{code.hex()}"} for address, code in codes.items()}
    call = {"to": f"0x{aggregator.PLACE.hex()}", "data": f"0x{data.hex()}", "gas": hex(_GAS)}
    return orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, where, overrides]})
