"""Whether there is a contract where one is looked for: an address that was mistyped has no code, and never any logs."""

from collections.abc import Sequence
from typing import Final

from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.observation import number_of
from tocsin.model.reading import CodeOf, Pin, reading
from tocsin.state.panel import Panel
from tocsin.state.reply import results
from tocsin.state.source import Source

_AT_ONCE: Final = 8
"""Addresses in one question: code has up to 24 kB, which is 48 kB of hex."""
_NONE: Final = (b'"0x"', b'""', b"null")


async def without_code(panel: Panel, source: Source, addresses: Sequence[bytes], block: BlockRef) -> list[bytes] | None:
    """Return the addresses that have no code at a block as a quorum says; None where too few can tell."""
    bare: list[bytes] = []
    for at in range(0, len(addresses), _AT_ONCE):
        some = addresses[at : at + _AT_ONCE]
        found = await _of(panel, source, some, block)
        if found is None:
            return None
        bare += found
    return bare


async def _of(panel: Panel, source: Source, addresses: Sequence[bytes], block: BlockRef) -> list[bytes] | None:
    said: dict[str, bytes] = {}
    for _, nodes in panel.drawn(f"code {block.hash}"):
        for node in nodes:
            codes = await _codes(source, node, addresses, block)
            if codes is not None:
                said[node] = bytes([code in _NONE for code in codes])
                break
        fact = panel.count(said)
        if fact.value is not None and (fact.grade in (Grade.QUORUM, Grade.MAJORITY) or panel.needed == 1):
            return [address for address, bare in zip(addresses, fact.value, strict=True) if bare]
    return None


async def _codes(source: Source, node: str, addresses: Sequence[bytes], block: BlockRef) -> list[bytes] | None:
    """Return the code at each address as one node tells, in any way that it can be asked."""
    items = tuple([CodeOf(address=address) for address in addresses])
    for pin in (Pin.HASH, Pin.OBJECT):
        told = await source.ask(node, reading(block, pin, items))
        if isinstance(results(told), tuple) and isinstance(told, tuple):
            return [part.result or b"null" for part in told if number_of(part.call) is None]
    return None
