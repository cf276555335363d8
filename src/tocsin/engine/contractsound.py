"""Whether what a snapshot says of contracts is something that the engine can go on from."""

import re
from collections.abc import Iterator, Mapping

from tocsin.engine.readback import NO_LOGS, REVERTS
from tocsin.engine.sitting import Sitting
from tocsin.engine.state import ChainState
from tocsin.engine.watch_roles import GRANTS
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.contract import LEVELS, Known, Pinned, Watch, Watched, watch_of
from tocsin.model.logquery import LOGS
from tocsin.model.settings import ChainSettings

_WATCHES = frozenset(Watch)
_GRADES = frozenset({Grade.PROVEN, Grade.QUORUM, Grade.MAJORITY, Grade.UNCORROBORATED})
"""How what is told of a contract may be known: of what is known worse nothing is told."""
_HASH = re.compile(r"0x[0-9a-f]{64}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,77}")
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_RESULT = re.compile(rf"{REVERTS}|0x(?:[0-9a-f]{{2}})*|[0-9]+ bytes, keccak 0x[0-9a-f]{{64}}")
_LOG = r"0x[0-9a-f]{40},(?:0x[0-9a-f]{64}(?:,0x[0-9a-f]{64}){0,3})?,0x(?:[0-9a-f]{2})*"
_ALL_LOGS = re.compile(rf"{NO_LOGS}|[0-9]+ logs, keccak 0x[0-9a-f]{{64}}|{_LOG}(?:;{_LOG})*")
_GRANT = re.compile(r"0x[0-9a-f]{64}/0x[0-9a-f]{40}")
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
    known = state.contracts
    facts = [known.values, *(words for one in known.sittings.values() for words in _heard(one))]
    if not all(_is_fact(subject, text) for words in facts for subject, text in words.items()):
        return f"{chain.name} was told of its contracts what no node tells"
    hints = [text for seen in watched.values() for text in seen.hints.get(GRANTS, ())]
    return None if all(map(_GRANT.fullmatch, hints)) else f"{chain.name} looks for roles of nobody"


def _heard(sitting: Sitting) -> Iterator[Mapping[str, str]]:
    for one in sitting.heard.values():
        yield from (one.facts, one.proven)


def _is_fact(subject: str, text: str) -> bool:
    """Tell whether a text may be of its subject: a word of code, a balance or a slot, a result of a call, or logs."""
    if subject.startswith(LOGS):
        return _ALL_LOGS.fullmatch(text) is not None
    address, _, what = subject.partition(":")
    is_word = what in ("code", "balance") or _HASH.fullmatch(what) is not None
    form = _HASH if is_word else _RESULT
    return _ADDRESS.fullmatch(address) is not None and form.fullmatch(text) is not None


def _values(seen: Watched) -> Iterator[tuple[str, Known | Pinned]]:
    for values in (seen.latest, seen.told, seen.kept, seen.baseline):
        yield from values.items()
    # What contradicts the configuration is told in words, of a value that is not known itself.
    yield from ((name, Known(value="0", grade=one.grade, block=one.block)) for name, one in seen.wrong.items())


def _is_value(name: str, one: Known | Pinned) -> bool:
    if name.partition(".")[0] not in _WATCHES or one.grade not in _GRADES or not _is_block(one.block):
        return False
    return len(one.value) <= _LONGEST and (watch_of(name) not in LEVELS or _NUMBER.fullmatch(one.value) is not None)


def _is_block(block: BlockRef) -> bool:
    return block.number >= 0 and _HASH.fullmatch(block.hash) is not None
