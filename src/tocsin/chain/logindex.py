"""Who has touched a position: by rule and account the first and the last block, as far as the chain is finalized.

The index at a finalized block is a pure function of the rules and of the chain up to there: however it was built, in
whichever chunks, after how many reorgs and restarts, it is the same bit for bit, and `digest` says so in 32 bytes.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tocsin.chain.loganswer import BlockLogs
from tocsin.chain.logrules import RuleSet
from tocsin.model.block import BlockRef

Key = tuple[int, bytes]
"""A rule, by its place among the rules, and an account."""


class Touched(NamedTuple):
    """The numbers of the first and of the last block in which an account was touched."""

    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What some blocks add to an index. `unreadable` counts, by rule, logs that name no account where one should stand.

    These are true logs: another event of the same name, or a rule that is wrong. They must not stop an index.
    """

    touched: Mapping[Key, Touched] = field(default_factory=dict)
    unreadable: Mapping[int, int] = field(default_factory=dict)
    logs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogIndex:
    """An index in memory: all blocks from the start of the rules `through` a block."""

    through: BlockRef
    tally: Tally


def tally(rules: RuleSet, blocks: Mapping[int, BlockLogs]) -> Tally:
    """Return what blocks add."""
    touched: dict[Key, Touched] = {}
    unreadable: dict[int, int] = {}
    for number in sorted(blocks):
        for rule, account in rules.named(blocks[number].logs):
            if account is None:
                unreadable[rule] = unreadable.get(rule, 0) + 1
                continue
            before = touched.get((rule, account))
            touched[rule, account] = Touched(number if before is None else before.first, number)
    return Tally(touched=touched, unreadable=unreadable, logs=sum(len(block.logs) for block in blocks.values()))


def merged(one: Tally, other: Tally) -> Tally:
    """Return what two sets of blocks add together; which of them came first makes no difference."""
    touched = dict(one.touched)
    for key, found in other.touched.items():
        before = touched.get(key, found)
        touched[key] = Touched(min(before.first, found.first), max(before.last, found.last))
    unreadable = dict(one.unreadable)
    for rule, count in other.unreadable.items():
        unreadable[rule] = unreadable.get(rule, 0) + count
    return Tally(touched=touched, unreadable=unreadable, logs=one.logs + other.logs)


def digest(rules: RuleSet, index: LogIndex) -> bytes:
    """Return what names an index in memory, see `digest_rows`."""
    rows = ((rule, account, *index.tally.touched[rule, account]) for rule, account in sorted(index.tally.touched))
    return digest_rows(rules, index.through, rows, index.tally.unreadable, index.tally.logs)


def digest_rows(
    rules: RuleSet,
    through: BlockRef,
    rows: Iterable[tuple[int, bytes, int, int]],
    unreadable: Mapping[int, int],
    logs: int,
) -> bytes:
    """Return what names an index: equal indexes of equal rules at the same block, and only they, have equal ones.

    `rows` are rule, account, first and last block, sorted by rule and account.
    """
    found = hashlib.sha256(rules.digest)
    found.update(f"{through.number} {through.hash} {logs}\n".encode())
    found.update("".join(f"{rule}:{unreadable[rule]}\n" for rule in sorted(unreadable)).encode())
    for rule, account, first, last in rows:
        found.update(f"{rule} {account.hex()} {first} {last}\n".encode())
    return found.digest()
