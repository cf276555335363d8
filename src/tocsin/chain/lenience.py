"""How much a node may give wrong before it is named: one set of limits, whatever it was asked for and by whom.

Who gives something wrong is asked for the same once more, and named if it does it again. Who never repeats it is named
for the third block within an hour: once, or twice, it may be an accident.
"""

from collections.abc import Mapping
from typing import Final

from tocsin.clock import NS

RELAPSES: Final = 3
"""At so many blocks within `RELAPSES_NS` a node gives wrong things before nobody waits for it to say so again."""
RELAPSES_NS: Final = 3600 * NS
TRIES: Final = 3
"""How often a node is asked again that answers nothing; then nothing follows."""

Blocks = Mapping[str, int]
"""At which blocks one node gave something wrong: hash to engine ns, the newest few."""


def lately(blocks: Blocks, now_ns: int) -> dict[str, int]:
    """Return the blocks of the time that counts."""
    return {block: then_ns for block, then_ns in blocks.items() if now_ns - then_ns < RELAPSES_NS}


def with_block(blocks: Blocks, block: str, now_ns: int) -> dict[str, int]:
    """Return the newest few with one more, or the same one once more."""
    return dict(list({**blocks, block: now_ns}.items())[-RELAPSES:])


def is_too_often(blocks: Blocks) -> bool:
    """Tell whether that is too many for an accident."""
    return len(blocks) >= RELAPSES
