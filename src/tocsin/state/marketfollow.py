"""Keeps one market as it is at the agreed head: all of its accounts read once, and after that those that were touched.

At each new head the market is read anew, with its prices, and of the accounts those that logs of the blocks since name,
those that could not be read before, and a few in turn: what no log told would be found so. All reads of one version are
at one block. Versions of the last blocks are kept, so that a reorganisation goes on from the block where the branches
part. What is lost (a gap that is too long, a version that nobody has any more) is read again whole.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

import numpy as np

from tocsin.chain.count import needed
from tocsin.chain.groups import Groups
from tocsin.errors import TocsinError
from tocsin.model.alert import Grade
from tocsin.model.log import Log
from tocsin.protocols.base import Exactness, Plan, Rules, Verdict
from tocsin.protocols.kind import Kind, followed, touched
from tocsin.protocols.places import Parts, Target
from tocsin.protocols.places import Unread as Silent
from tocsin.risk.book import Book
from tocsin.state.ground import Place
from tocsin.state.marketbook import (
    Layered,
    Saved,
    Sorted,
    Version,
    Versions,
    book_of,
    differing,
    lasting_hash,
    parameters_digest,
    sorted_,
    updated,
    whole,
)
from tocsin.state.marketread import EACH, MARKET, VIEW, Ask, Driven, Unknowable, Worker, drive
from tocsin.state.markettrail import Lost, Trail, Waiting
from tocsin.state.reader import Unread
from tocsin.valuation.packing import Packed

log = logging.getLogger(__name__)

CHUNK: Final = 500
"""Accounts that are read at once: a few thousand calls."""
IN_TURN: Final = 25
"""Accounts that are read again at each block though nothing touched them: of 100,000 all within half a day."""
PROVED: Final = 200
"""Accounts that are held against the chain before what was kept on disk is believed."""
AGAIN: Final = 100
"""Accounts that could not be read that are tried again at each block."""
MOST_VIEWED: Final = 2_000
"""Accounts of a revision that is not known that are asked about at each block."""
_PAIR: Final = 2
_PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0)
_NOT_ASKED: Final = "it was not asked about yet"

Failure = Unread | Unknowable


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Whom a log index names, and the blocks up to which it does, by their hashes."""

    accounts: frozenset[bytes]
    hashes: frozenset[str]
    lowest: int
    """The height of the lowest of these blocks."""


class Follower:
    """Follows one market. One `advance` at a time; what it returns is never changed."""

    def __init__(
        self,
        kind: Kind,
        target: Target,
        *,
        groups: Groups,
        ask: Ask,
        trail: Trail,
        worker: Worker,
        members: Callable[[], Members | str],
        always: frozenset[bytes] = frozenset(),
    ) -> None:
        """`members` looks into the index, or says why it cannot; it may take its time.

        `always` are accounts that are read whether they ever owed or not.
        """
        self.saved: Saved | None = None
        """What a life before has left: taken once, instead of reading all."""
        self.progress = ""
        """How far a first load is."""
        self._kind = kind
        self._target = target
        self._groups = groups
        self.ask = ask
        self.trail = trail
        self._worker = worker
        self._members = members
        self._always = always
        self._versions = Versions()
        self._turn: list[bytes] = []

    async def advance(self, place: Place, time_s: int) -> Version | Failure:
        """Return the market after a block, of this time, that is agreed on. Never raises for nodes or contracts."""
        known = self._versions.at(place.block.hash)
        if known is None and self._versions:
            found = await self._on(place, time_s)
        elif known is None and self.saved is not None:
            found = await self._from_saved(self.saved, place, time_s)
        else:
            found = known
        if found is None:
            found = await self._load(place, time_s)
        if isinstance(found, Version):
            self._versions.keep(found)
        return found

    async def confirmed(self, version: Version, accounts: Sequence[bytes]) -> Version | Failure:
        """Return a version in which these accounts were asked of a second group as well, at its block."""
        place = Place(block=version.block)
        told = await self._told(version.rules, version.parts, version.market, accounts, place, EACH)
        if not isinstance(told, _Told):
            return told
        fresh = await self._worker.do(sorted_, version.rules, version.market, told.accounts, version.time_s)
        found = await self._worker.do(_changed, version, fresh)
        found = replace(found, unconfirmed=version.unconfirmed - set(accounts))
        self._versions.keep(found)
        return found

    @property
    def has_second_group(self) -> bool:
        """Whether there is anybody who could confirm what one group says."""
        return len(self._groups.groups) >= _PAIR

    # -- from a version

    async def _on(self, place: Place, time_s: int) -> Version | Failure | None:
        """Go on from the newest version that the block stands on; None where there is none."""
        some = self._versions.newest
        walked = await self.trail.since(
            place.block,
            lambda block_hash: self._versions.at(block_hash) is not None,
            self._versions.lowest,
            followed(_all_of(self._kind, some.rules.plan), some.parts),
        )
        if isinstance(walked, Waiting):
            return Unread(walked.reason)
        if isinstance(walked, Lost):
            log.info("market at 0x%s: %s: it is read anew", self._target.pool.hex(), walked.reason)
            self._versions.forget()
            return None
        before = self._versions.at(walked.base.hash)
        if before is None:
            return None
        return await self._after(before, walked.logs, place, time_s)

    async def _after(self, before: Version, logs: Sequence[Log], place: Place, time_s: int) -> Version | Failure:
        """Return the version of a block by the one before it and the logs between them."""
        happened = touched(_all_of(self._kind, before.rules.plan), before.parts, logs)
        rules, parts = before.rules, before.parts
        revision = await self._read(self._kind.revision(self._target), place)
        if not isinstance(revision, Driven):
            return revision
        if happened.changed or revision.value != rules.revision:
            rules = self._kind.rules(revision.value)
            located = await self._read(rules.parts(self._target), place)
            if not isinstance(located, Driven):
                return located
            parts = located.value
        names = self._named(before, happened.accounts, logs)
        if rules.exactness is Exactness.CHAIN:
            return await self._viewed(rules, parts, {*before.accounts, *before.said, *names}, before, place, time_s)
        if before.rules.exactness is Exactness.CHAIN:
            return await self._whole(rules, parts, {*before.said, *names}, place, time_s)
        market = await self._read(rules.market(parts, place.block), place)
        if not isinstance(market, Driven):
            return market
        doubt = rules.doubt(before.market, market.value) if rules.revision == before.rules.revision else ""
        if doubt:
            return Unread(f"what was read of block {place.block.number} is not believed: {doubt}")
        again = self._again(before, names)
        told = await self._told(rules, parts, market.value, [*names, *again], place, EACH)
        if not isinstance(told, _Told):
            return told
        parameters = rules.parameters(parts, market.value)
        surprises = differing(before.accounts, told.accounts, again)
        if surprises:
            log.warning("market at 0x%s: %s accounts are other than logs said", self._target.pool.hex(), surprises)
        fresh = await self._worker.do(sorted_, rules, market.value, told.accounts, time_s)
        of = replace(
            before,
            block=place.block,
            time_s=time_s,
            rules=rules,
            parts=parts,
            market=market.value,
            parameters=parameters,
            grade=self._grade(revision.is_confirmed and market.is_confirmed and told.is_confirmed),
            unconfirmed=before.unconfirmed - told.accounts.keys(),
            surprises=surprises,
        )
        same = rules.revision == before.rules.revision and parameters == before.parameters
        return await self._worker.do(_changed if same else _rebuilt, of, fresh)

    def _named(self, before: Version, accounts: Iterable[bytes], logs: Sequence[Log]) -> dict[bytes, None]:
        """Return whom logs name and who matters: who is in the book, and who borrowed for the first time."""
        owing = touched(replace(before.rules.plan, touches=self._kind.owes, changes=()), before.parts, logs).accounts
        known = (account for account in accounts if account in before.accounts or account in before.unread)
        return dict.fromkeys(sorted({*known, *owing}))

    def _again(self, before: Version, named: Mapping[bytes, None]) -> list[bytes]:
        """Return who is read again though nothing is known to have happened to it."""
        silent = [account for account in sorted(before.unread) if account not in named][:AGAIN]
        if len(self._turn) < IN_TURN:
            self._turn = list(before.accounts)
        turn, self._turn = self._turn[-IN_TURN:], self._turn[:-IN_TURN]
        return [*silent, *(one for one in turn if one not in named and one not in before.unread)]

    # -- from nothing, or from what was saved

    async def _load(self, place: Place, time_s: int) -> Version | Failure:
        """Read everybody whom the index names."""
        members = await self._worker.do(self._members)
        if isinstance(members, str):
            return Unread(members)
        parts = self._kind.configured(self._target)
        plan = _only(self._kind)
        walked = await self.trail.since(place.block, members.hashes.__contains__, members.lowest, followed(plan, parts))
        if not hasattr(walked, "logs"):
            return Unread(f"the index does not lead to the agreed head: {walked.reason}")
        more = touched(plan, parts, walked.logs).accounts
        located = await self._located(place)
        if not isinstance(located, _Located):
            return located
        return await self._whole(located.rules, located.parts, {*members.accounts, *more, *self._always}, place, time_s)

    async def _from_saved(self, saved: Saved, place: Place, time_s: int) -> Version | Failure | None:
        """Go on from accounts of a life before; None where the chain does not lead there any more."""
        located = await self._located(place)
        if not isinstance(located, _Located):
            return located
        plan = _all_of(self._kind, located.rules.plan)
        walked = await self.trail.since(
            place.block, saved.block.hash.__eq__, saved.block.number, followed(plan, located.parts)
        )
        if isinstance(walked, Waiting):
            return Unread(walked.reason)
        self.saved = None
        if isinstance(walked, Lost) or located.rules.exactness is Exactness.CHAIN:
            return None
        owing = touched(_only(self._kind), located.parts, walked.logs).accounts
        named = {one for one in touched(plan, located.parts, walked.logs).accounts if one in saved.accounts}
        expected = [one for one in _spread(saved.accounts, PROVED) if one not in named]
        fresh = {one for one in self._always if one not in saved.accounts}
        wanted = {*named, *owing, *saved.unread, *expected, *fresh}
        found = await self._whole(located.rules, located.parts, wanted, place, time_s, saved.accounts)
        if not isinstance(found, Version):
            self.saved = saved
            return found
        why = await self._worker.do(_unlike, saved, found, expected)
        if why:
            log.warning("market at 0x%s: what was kept is not used: %s", self._target.pool.hex(), why)
            return None
        return found

    async def _located(self, place: Place) -> "_Located | Failure":
        """Find revision and contracts."""
        revision = await self._read(self._kind.revision(self._target), place)
        if not isinstance(revision, Driven):
            return revision
        rules = self._kind.rules(revision.value)
        parts = await self._read(rules.parts(self._target), place)
        return _Located(rules, parts.value) if isinstance(parts, Driven) else parts

    async def _whole(
        self,
        rules: Rules[Any, Any],
        parts: Parts,
        accounts: Iterable[bytes],
        place: Place,
        time_s: int,
        others: Packed | None = None,
    ) -> Version | Failure:
        """Read the market and accounts, and make a book of them and of `others`, which are known."""
        wanted = sorted(set(accounts))
        if rules.exactness is Exactness.CHAIN:
            return await self._viewed(rules, parts, wanted, None, place, time_s)
        market = await self._read(rules.market(parts, place.block), place)
        if not isinstance(market, Driven):
            return market
        packed: dict[bytes, bytes] = {}
        unread: dict[bytes, str] = {}
        kind = None if others is None else others.kind
        is_confirmed = market.is_confirmed
        try:
            for at in range(0, len(wanted), CHUNK):
                self.progress = f"{at} of {len(wanted)} accounts are read"
                told = await self._patiently(rules, parts, market.value, wanted[at : at + CHUNK], place)
                if not isinstance(told, _Told):
                    return told
                found = await self._worker.do(sorted_, rules, market.value, told.accounts, time_s)
                packed.update(found.packed)
                unread.update(found.unread)
                kind = found.kind or kind
        finally:
            self.progress = ""
        base = packed if others is None else {**dict(others.data), **packed}
        of = Version(
            block=place.block,
            time_s=time_s,
            rules=rules,
            parts=parts,
            market=market.value,
            parameters=rules.parameters(parts, market.value),
            accounts=Packed(kind or object, Layered(base)),
            unread=unread,
            book=_NO_BOOK,
            grade=self._grade(is_confirmed),
            unconfirmed=frozenset(wanted) if self.has_second_group else frozenset(),
        )
        return await self._worker.do(_rebuilt, of, None)

    # -- a revision that is not known

    async def _viewed(
        self,
        rules: Rules[Any, Any],
        parts: Parts,
        accounts: Iterable[bytes],
        before: Version | None,
        place: Place,
        time_s: int,
    ) -> Version | Failure:
        """Ask the contract's own view function, of as many accounts as can be asked at one block, in turn."""
        said: dict[bytes, Verdict | str] = dict.fromkeys(sorted(set(accounts)), _NOT_ASKED)
        if before is not None:
            said.update({account: one for account, one in before.said.items() if account in said})
        if len(self._turn) < min(MOST_VIEWED, len(said)):
            self._turn = list(said)
        turn, self._turn = self._turn[-MOST_VIEWED:], self._turn[:-MOST_VIEWED]
        is_confirmed = True
        for at in range(0, len(turn), CHUNK):
            asked = turn[at : at + CHUNK]
            answers = await drive(rules.view(parts, asked), self.ask, place, self._worker, cost=VIEW)
            if not isinstance(answers, Driven):
                return answers
            is_confirmed &= answers.is_confirmed
            said.update({one: _verdict(rules, answer) for one, answer in zip(asked, answers.value, strict=True)})
        return Version(
            block=place.block,
            time_s=time_s,
            rules=rules,
            parts=parts,
            market=None,
            parameters=(("revision", rules.revision),),
            accounts=Packed(object, Layered({})),
            unread={},
            book=_NO_BOOK,
            grade=self._grade(is_confirmed),
            said=said,
        )

    # -- reading

    async def _read(self, reading: Any, place: Place) -> Driven[Any] | Failure:
        return await drive(reading, self.ask, place, self._worker, cost=MARKET)

    async def _told(
        self,
        rules: Rules[Any, Any],
        parts: Parts,
        market: Any,
        accounts: Sequence[bytes],
        place: Place,
        audit_one_in: int | None,
    ) -> "_Told | Failure":
        """Read accounts of a market."""
        told: dict[bytes, Any] = {}
        is_confirmed = True
        for at in range(0, len(accounts), CHUNK):
            some = accounts[at : at + CHUNK]
            found = await drive(
                rules.accounts(parts, market, some), self.ask, place, self._worker, audit_one_in=audit_one_in
            )
            if not isinstance(found, Driven):
                return found
            is_confirmed &= found.is_confirmed
            told.update(zip(some, found.value, strict=True))
        return _Told(told, is_confirmed)

    async def _patiently(
        self, rules: Rules[Any, Any], parts: Parts, market: Any, accounts: Sequence[bytes], place: Place
    ) -> "_Told | Failure":
        """Read accounts of a first load: what was read of others is worth more than one attempt."""
        for pause_s in _PAUSES_S:
            told = await self._told(rules, parts, market, accounts, place, None)
            if not isinstance(told, Unread) or told.is_replaced:
                return told
            await asyncio.sleep(pause_s)
        return await self._told(rules, parts, market, accounts, place, None)

    def _grade(self, is_confirmed: bool) -> Grade:  # noqa: FBT001 - what it says is what it is
        is_pair = needed(self._groups) <= _PAIR <= len(self._groups.groups)
        return Grade.QUORUM if is_confirmed and is_pair else Grade.UNCORROBORATED


_NO_BOOK: Final = Book.of((), {})


@dataclass(frozen=True, slots=True)
class _Located:
    rules: Rules[Any, Any]
    parts: Parts


@dataclass(frozen=True, slots=True)
class _Told:
    accounts: Mapping[bytes, Any]
    is_confirmed: bool


def _all_of(kind: Kind, plan: Plan) -> Plan:
    """Return a plan that also follows who borrows for the first time."""
    return replace(plan, touches=tuple(dict.fromkeys((*plan.touches, *kind.owes))))


def _only(kind: Kind) -> Plan:
    """Return a plan that follows nothing else."""
    return Plan(revision=None, market=(), account=(), view=None, owes=kind.owes, touches=kind.owes, changes=())


def _verdict(rules: Rules[Any, Any], answer: Any) -> Verdict | str:
    if isinstance(answer, Silent):
        return answer.reason
    try:
        return rules.view_verdict(answer)
    except TocsinError as error:
        return str(error)


def _taken(of: Version, fresh: Sorted) -> Version:
    """Return a version with accounts as they were read, but for its book."""
    unread = {account: why for account, why in of.unread.items() if account not in fresh.legs}
    accounts = Packed(fresh.kind or of.accounts.kind, _layered(of.accounts).with_(fresh.packed))
    return replace(of, accounts=accounts, unread={**unread, **fresh.unread})


def _changed(of: Version, fresh: Sorted) -> Version:
    """Return a version with accounts as they are now, under parameters that are the same."""
    found = _taken(of, fresh)
    timed = {account: found.accounts[account] for account in _timed(of.book) if account not in fresh.legs}
    again = sorted_(of.rules, of.market, timed, of.time_s)
    return replace(
        found,
        unread={**found.unread, **again.unread},
        book=updated(of.book, {**again.legs, **fresh.legs}),
    )


def _timed(book: Book) -> Iterator[bytes]:
    """Yield the accounts whose legs change with time alone: their columns do not describe them in full."""
    over = set(book.overlay_rows.tolist())
    for row in np.flatnonzero(book.base.always_exact).tolist():
        if row not in over:
            yield book.account(row)
    for place in np.flatnonzero(book.overlay.always_exact).tolist():
        yield book.account(int(book.overlay_rows[place]))


def _rebuilt(of: Version, fresh: Sorted | None) -> Version:
    """Return a version whose book is made anew of all accounts: under other parameters legs may be others."""
    of = of if fresh is None else _taken(of, fresh)
    found = whole(of.rules, of.market, of.accounts, of.time_s, of.unread)
    return replace(of, unread=found.unread, book=book_of(of.rules, of.market, found.legs, of.time_s))


def _spread(accounts: Packed, most: int) -> list[bytes]:
    """Return some accounts from everywhere."""
    return list(islice(accounts, 0, None, max(1, len(accounts) // most)))


def _unlike(saved: Saved, found: Version, expected: Sequence[bytes]) -> str:
    """Return why accounts that were kept are not those of the chain; empty if they are, as far as was looked."""
    wrong = sum(1 for one in expected if saved.accounts.data[one] != found.accounts.data.get(one))
    if wrong:
        return f"{wrong} of {len(expected)} accounts that nothing touched are others on the chain"
    if saved.revision != found.rules.revision or saved.parameters != parameters_digest(found.parameters):
        return ""
    unread = dict.fromkeys(saved.unread, "")
    legs = whole(found.rules, found.market, saved.accounts, found.time_s, unread).legs
    again = lasting_hash(book_of(found.rules, found.market, legs, found.time_s))
    return "" if again == saved.book else "the book that they make is another one than it was"


def _layered(accounts: Packed) -> Layered:
    data = accounts.data
    return data if isinstance(data, Layered) else Layered(data)
