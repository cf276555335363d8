"""Values one market at each agreed head: follows it, values it, has it checked by the chain, and tells what came of it.

A sample is told for each head that could be valued, at once. What could not be done is told once it lasts: a node that
has a head before its state is no news.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from tocsin import ids
from tocsin.chain.abi import Value
from tocsin.clock import NS, Clock
from tocsin.errors import StoreError, TocsinError
from tocsin.model.block import Header
from tocsin.model.evolve import evolve
from tocsin.model.market import AccountSample, MarketSample, MarketSettings, Mismatch
from tocsin.protocols.base import Exactness
from tocsin.protocols.places import Unread as Silent
from tocsin.state import marketfile
from tocsin.state.ground import Place
from tocsin.state.inquiry import Deviation
from tocsin.state.marketbook import Version
from tocsin.state.marketfile import Identity
from tocsin.state.marketfollow import Follower
from tocsin.state.marketkernel import Warm
from tocsin.state.marketread import VIEW, Ask, Driven, Worker, drive
from tocsin.valuation.chainvalue import value_by_chain
from tocsin.valuation.valuing import Valuation, value

log = logging.getLogger(__name__)

DEADLINE_S: Final = 10.0
"""A valuation that takes longer is told of as a problem."""
_LOOK_S: Final = 0.02
_AGAIN_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 5.0
_LASTING: Final = 3
"""For so many polls nothing can be valued before that is told."""
_SAVE_NS: Final = 600 * NS
MOST_CHECKED: Final = 500
"""Accounts that are asked of the contract's own view function at one block."""
MOST_MISMATCHES: Final = 20
"""That are named; all are counted."""
_TELL_PROGRESS_NS: Final = 10 * NS


class World(Protocol):
    """What a valuer needs of whoever knows the chain and tells others."""

    def head(self) -> tuple[Place, Header] | None:
        """Return the agreed head, None while none is known well enough."""
        ...

    def tell(self, sample: MarketSample) -> None:
        """Take what a valuation says."""
        ...

    def refute(self, deviation: Deviation) -> None:
        """Take that a node twice told wrong logs."""
        ...


class Valuer:
    """Values one market. `version` and `sample` are the newest, for those who ask what other prices would do."""

    def __init__(
        self,
        settings: MarketSettings,
        follower: Follower,
        world: World,
        *,
        worker: Worker,
        warm: Warm,
        clock: Clock,
        path: Path,
        identity: Identity,
        patience_ns: int,
    ) -> None:
        self.settings = settings
        self.version: Version | None = None
        self.sample = MarketSample(identity=settings.identity)
        self.worker = worker
        self.warm = warm
        self._follower = follower
        self._world = world
        self._clock = clock
        self._path = path
        self._identity = identity
        self._patience_ns = patience_ns
        self._salt = ids.salt()
        self._told_problem = ""
        self._told_ns = 0
        self._failing_since_ns: int | None = None
        self._saved_ns = clock.monotonic_ns()

    @property
    def ask(self) -> Ask:
        """What reads plans at a block of its chain."""
        return self._follower.ask

    async def run(self, beat: Callable[[], None] = lambda: None) -> None:
        """Value it until cancelled. `beat` is called at each look."""
        await self.warm.kernel()
        saved, why = await asyncio.to_thread(marketfile.read, self._path, self._identity)
        if why:
            log.warning("%s", why)
        self._follower.saved = saved
        pause_s = _AGAIN_S
        try:
            while True:
                beat()
                head = self._world.head()
                if head is None or (self.version is not None and head[0].block == self.version.block):
                    if head is None:
                        self._failed("no head is agreed")
                    await asyncio.sleep(_LOOK_S)
                    continue
                if await self._at(head):
                    pause_s = _AGAIN_S
                    await self._save()
                    continue
                await self._wait(head, pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        finally:
            self._save_now()

    async def _wait(self, head: tuple[Place, Header], pause_s: float) -> None:
        """Wait, but no longer than until there is another head."""
        until = self._clock.monotonic_ns() + int(pause_s * NS)
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._clock.monotonic_ns() >= until or self._world.head() != head:
                return

    # -- one head

    async def _at(self, head: tuple[Place, Header]) -> bool:
        """Value the market at a head; tell whether that could be done."""
        place, header = head
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(self._tell_progress())
            version = await self._follower.advance(place, header.timestamp)
            telling.cancel()
        self._heed()
        if not isinstance(version, Version):
            self._failed(version.reason)
            return False
        found = await self._valued(version)
        if isinstance(found, str):
            self._failed(found)
            return False
        version, sample = found
        self._succeeded(version, sample)
        return True

    async def _tell_progress(self) -> None:
        """Tell how far a first load is, while it takes long."""
        while True:
            await asyncio.sleep(_LONGEST_PAUSE_S)
            if self._follower.progress:
                self._failed(self._follower.progress)

    async def _valued(self, version: Version) -> tuple[Version, MarketSample] | str:
        """Return what a version is worth, after all that can be confirmed and checked was."""
        if version.rules.exactness is Exactness.CHAIN:
            sample = await self.worker.do(
                value_by_chain,
                self.settings,
                version.rules.revision,
                version.said,
                version.block,
                version.time_s,
                grade=version.grade,
            )
            return version, sample
        found = await self._value(version)
        doubtful = _accounts(found.sample.near) & version.unconfirmed
        if doubtful and self._follower.has_second_group:
            confirmed = await self._follower.confirmed(version, sorted(doubtful))
            if not isinstance(confirmed, Version):
                return confirmed.reason
            version, found = confirmed, await self._value(confirmed)
        if not found.sample.is_known:
            return found.sample.problem
        return version, await self._checked(version, found)

    async def _value(self, version: Version) -> Valuation:
        kernel = await self.warm.kernel()
        async with asyncio.TaskGroup() as tasks:
            late = tasks.create_task(self._tell_late())
            found = await self.worker.do(
                value, version.situation, self.settings, salt=self._salt, kernel=kernel, grade=version.grade
            )
            late.cancel()
        return found

    async def _tell_late(self) -> None:
        await asyncio.sleep(DEADLINE_S)
        self._problem(f"a valuation takes longer than {DEADLINE_S:g} s")

    async def _checked(self, version: Version, found: Valuation) -> MarketSample:
        """Hold accounts against what the contract itself says of them, at the same block."""
        asked = found.to_check[:MOST_CHECKED]
        if not asked or version.rules.plan.view is None:
            return found.sample
        said = await drive(
            version.rules.view(version.parts, asked),
            self._follower.ask,
            Place(block=version.block),
            self.worker,
            cost=VIEW,
        )
        if not isinstance(said, Driven):
            return evolve(found.sample, problem=_joined(found.sample.problem, f"nothing was checked: {said.reason}"))
        checked, wrong = await self.worker.do(compared, version, dict(zip(asked, said.value, strict=True)))
        for one in wrong[:MOST_MISMATCHES]:
            log.warning(
                "market %s: %s of %s is %s, and the chain says %s",
                self.settings.name,
                one.what,
                one.account,
                one.ours,
                one.chain,
            )
        return evolve(
            found.sample,
            checked=checked,
            mismatched=tuple(wrong[:MOST_MISMATCHES]),
            mismatches=len({one.account for one in wrong}),
        )

    def _heed(self) -> None:
        """Tell who was found to tell wrong logs."""
        found, self._follower.trail.deviations = self._follower.trail.deviations, []
        for one in found:
            self._world.refute(one)

    # -- telling

    def _succeeded(self, version: Version, sample: MarketSample) -> None:
        self._failing_since_ns, self._told_problem = None, ""
        self.version = version
        if version.surprises:
            sample = evolve(
                sample, problem=_joined(sample.problem, f"{version.surprises} accounts were other than logs said")
            )
        self.sample = evolve(sample, backend=self.warm.told, lag_blocks=self._lag(sample))
        log.debug("market %s: block %s is valued", self.settings.name, version.block.number)
        self._world.tell(self.sample)

    def _failed(self, reason: str) -> None:
        """Tell that nothing could be valued, once it has lasted for some polls, and again with another reason."""
        now = self._clock.monotonic_ns()
        if self._failing_since_ns is None:
            self._failing_since_ns = now
        if now - self._failing_since_ns >= _LASTING * self._patience_ns:
            self._problem(reason)

    def _problem(self, reason: str) -> None:
        now = self._clock.monotonic_ns()
        is_new = not self._told_problem or now - self._told_ns >= _TELL_PROGRESS_NS
        if reason == self._told_problem or not is_new:
            return
        self._told_problem, self._told_ns = reason, now
        self.sample = evolve(self.sample, problem=reason, backend=self.warm.told, lag_blocks=self._lag(self.sample))
        self._world.tell(self.sample)

    def _lag(self, sample: MarketSample) -> int:
        head = self._world.head()
        return 0 if head is None or sample.block is None else max(0, head[0].block.number - sample.block.number)

    # -- what is kept

    async def _save(self) -> None:
        """Write what is known every now and then."""
        now = self._clock.monotonic_ns()
        if now - self._saved_ns < _SAVE_NS or self.version is None:
            return
        self._saved_ns = now
        await asyncio.to_thread(self._write, self.version)

    def _save_now(self) -> None:
        if self.version is not None:
            self._write(self.version)

    def _write(self, version: Version) -> None:
        if not len(version.accounts):
            return
        try:
            marketfile.write(self._path, self._identity, version)
        except StoreError as error:
            log.warning("%s", error)


def compared(version: Version, said: Mapping[bytes, Value | Silent]) -> tuple[int, list[Mismatch]]:
    """Return how many accounts the contract said something of, and in what that differs from the rules."""
    checked, wrong = 0, list[Mismatch]()
    for account, answer in said.items():
        known = version.accounts.get(account)
        if isinstance(answer, Silent) or known is None or account in version.unread:
            continue
        checked += 1
        try:
            found = version.rules.differs(version.market, known, answer, version.time_s)
        except TocsinError as error:
            wrong.append(
                Mismatch(account=f"0x{account.hex()}", what="verdict", ours=f"unknown: {error}", chain="known")
            )
            continue
        wrong += [
            Mismatch(account=f"0x{account.hex()}", what=one.what, ours=one.ours, chain=one.chain) for one in found
        ]
    return checked, wrong


def _accounts(samples: Sequence[AccountSample]) -> frozenset[bytes]:
    return frozenset(bytes.fromhex(one.account[2:]) for one in samples if not one.unknown)


def _joined(*texts: str) -> str:
    return "; ".join(text for text in texts if text)[:300]
