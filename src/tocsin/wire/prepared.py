"""Requests that are written once and sent at every block: only what names the block is put in.

A plan of two hundred calls is a request of a hundred kilobytes, of which a block changes the hash.
"""

from dataclasses import dataclass
from typing import Final, Self

import orjson

from tocsin.model.block import BlockRef
from tocsin.model.reading import Item, Pin
from tocsin.wire.jsonrpc import method_of_item, pinned

_BLOCK: Final = "@"
"""Stands for the block until it is known: nothing else in a request has this character."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request of one call, but for its block."""

    before: bytes
    after: bytes

    @classmethod
    def of(cls, item: Item) -> Self:
        """Write the request that reads one thing."""
        method, params = method_of_item(item, _BLOCK)
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        before, _, after = body.partition(orjson.dumps(_BLOCK))
        return cls(before, after)

    def at(self, block: BlockRef, pin: Pin) -> bytes:
        """Return the request at a block that is named by its hash. Raises ValueError for `Pin.NUMBER`.

        By its number another block may answer, which takes more than one request to tell.
        """
        if pin is Pin.NUMBER:
            raise ValueError("one request cannot tell which block of a number answers")
        return self.before + orjson.dumps(pinned(block, pin)) + self.after
