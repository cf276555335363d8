"""Whether what a snapshot says of contracts is something that the engine can go on from."""

import re
from collections.abc import Iterator

from tocsin.engine.state import ChainState
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.contract import LEVELS, Known, Pinned, Watch, Watched, watch_of
from tocsin.model.settings import ChainSettings

_WATCHES = frozenset(Watch)
_GRADES = frozenset({Grade.PROVEN, Grade.QUORUM, Grade.MAJORITY, Grade.UNCORROBORATED})
"""How what is told of a contract may be known: of what is known worse nothing is told."""
_HASH = re.compile(r"0x[0-9a-f]{64}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,77}")
_LONGEST = 1 << 16
"""Characters of a value: a list of 64 roles and accounts has less than a tenth."""


def flaw(state: ChainState, chain: ChainSettings) -> str | None:
    """Return what of the contracts of a chain makes no sense, None where all does."""
    watched = state.contracts.watched
    if not watched.keys() <= {one.name for one in chain.contracts}:
        return f"{chain.name} knows of contracts that it does not watch"
    for name, seen in watched.items():
        if not all(_is_value(value, one) for value, one in _values(seen)):
            return f"a value of the contract {name} of {chain.name} is none"
    return None


def _values(seen: Watched) -> Iterator[tuple[str, Known | Pinned]]:
    for values in (seen.latest, seen.told, seen.baseline):
        yield from values.items()
    # What contradicts the configuration is told in words, of a value that is not known itself.
    yield from ((name, Known(value="0", grade=one.grade, block=one.block)) for name, one in seen.wrong.items())


def _is_value(name: str, one: Known | Pinned) -> bool:
    if name.partition(".")[0] not in _WATCHES or one.grade not in _GRADES or not _is_block(one.block):
        return False
    return len(one.value) <= _LONGEST and (watch_of(name) not in LEVELS or _NUMBER.fullmatch(one.value) is not None)


def _is_block(block: BlockRef) -> bool:
    return block.number >= 0 and _HASH.fullmatch(block.hash) is not None
