"""What those hold whom a log index names: their amounts at one finalized block, which decide alone.

The index says whom to ask, and they are asked at the block up to which it is complete, its last; whoever it lists in
vain holds nothing.
Each reading asks for every account anew: what a token returns may change without any log, and sums are made of what
contracts say, never of events.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np

from tocsin.chain.count import needed
from tocsin.chain.groups import Groups
from tocsin.chain.keccak import keccak256
from tocsin.chain.logrules import rules_of
from tocsin.chain.readload import Wanted
from tocsin.chain.readvalues import Values
from tocsin.errors import StoreError
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.index import AmountSample, AmountSettings, IndexSettings
from tocsin.model.reading import CallOf
from tocsin.state.indexfile import IndexFile
from tocsin.state.indexlayout import Origin
from tocsin.state.reader import Plan, Read
from tocsin.wire.multicall import integers

_SELECTOR: Final = 4
_WORD: Final = 32
_PAIR: Final = 2
"""Groups that have said the same of a value that was audited."""
_MOST_TOLD: Final = 300


class Amounts:
    """The amounts of one index. `plan` says what to read, `sample` what came of it."""

    def __init__(
        self, index: IndexSettings, settings: AmountSettings, path: Path, origin: Origin | None = None
    ) -> None:
        """`path` is the file of the index, which is opened at each look."""
        self.settings = settings
        self._rules = rules_of(index)
        self._path = path
        self._origin = origin
        self._accounts: tuple[bytes, ...] = ()
        self._plan = Plan(())
        self.through = BlockRef(number=-1, hash="")
        """The last block of the index when it was looked into: that at which to read."""

    async def plan(self) -> Plan | str:
        """Return what to read of whom the index names now, or why nothing is read."""
        try:
            found = await asyncio.to_thread(self._looked)
        except (StoreError, sqlite3.Error) as error:
            return str(error)[:_MOST_TOLD]
        if not self.through.hash:
            return "the index is not complete yet"
        if found is None:
            return f"the index names more accounts than the {self.settings.most} that are read: raise most"
        if found != self._accounts:
            self._accounts, self._plan = found, Plan(self._wanted(found))
        return self._plan

    def sample(self, read: Read, groups: Groups) -> AmountSample:
        """Return what a reading of the plan says."""
        known, total = _summed(read.first)
        unknown = len(read.first) - len(known)
        return AmountSample(
            identity=self.settings.identity,
            block=read.block,
            accounts=len(read.first),
            holding=sum(map(bool, known)),
            unknown=unknown,
            total=str(total),
            grade=_grade(read.first, groups) if known else None,
            audited=read.audited,
            disputed=read.disputed,
            problem=self._problem(read, unknown)[:_MOST_TOLD],
        )

    def _problem(self, read: Read, unknown: int) -> str:
        if not unknown:
            return ""
        if unknown == len(read.first) and read.is_whole:
            return f"{self.settings.contract} returns no number to {self.settings.call}: check contract and call"
        return f"{unknown} of {len(read.first)} amounts are not known" + (f": {read.missing}" if read.missing else "")

    def _looked(self) -> tuple[bytes, ...] | None:
        """Return the accounts, None where they are too many. Raises StoreError, or what SQLite raises."""
        most = self.settings.most
        with closing(IndexFile(self._path, self._rules, salt=None, origin=self._origin)) as file:
            self.through = file.through
            # Each is counted once for each rule: of so many none need be looked at.
            found = tuple(file.accounts()) if file.count() <= most * len(self._rules.rules) else None
        return found if found is not None and len(found) <= most else None

    def _wanted(self, accounts: Sequence[bytes]) -> tuple[Wanted, ...]:
        to, selector = bytes.fromhex(self.settings.contract[2:]), keccak256(self.settings.call.encode())[:_SELECTOR]
        return tuple([Wanted(item=CallOf(to=to, data=selector + one.rjust(_WORD, b"\0"))) for one in accounts])


def _summed(values: Values) -> tuple[list[int], int]:
    """Return the amounts that are known, and their sum. What reverts, or returns no word, is not known."""
    known = integers(values.words[values.is_word])
    return known, sum(known)


def _grade(values: Values, groups: Groups) -> Grade:
    """Return how the amounts are known that are: as the worst of them."""
    told = values.is_word
    if values.proven[told].all():
        return Grade.PROVEN
    is_confirmed = bool(np.logical_or(values.proven, values.confirmed)[told].all())
    return Grade.QUORUM if is_confirmed and needed(groups) <= _PAIR <= len(groups.groups) else Grade.UNCORROBORATED
