"""Keeps one log index at its chain for as long as it is wanted, and tells how far it is and who told wrong logs.

It waits where the index cannot get on, and tries again: at each new head, and after a while. A file that cannot be
written, for want of space mostly, is closed and opened again until it can. Nothing here ends because a node, or the
disk, does not do what it should.
"""

import asyncio
import logging
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from tocsin.chain.groups import Groups
from tocsin.chain.logrules import rules_of
from tocsin.chain.logspan import Span
from tocsin.clock import NS, Clock
from tocsin.errors import StoreError
from tocsin.model.block import BlockRef
from tocsin.model.event import SoundLogs
from tocsin.model.evolve import evolve
from tocsin.model.index import IndexSample, IndexSettings
from tocsin.model.settings import ChainSettings
from tocsin.state.indexer import Indexer, Target, Terms
from tocsin.state.indexfile import IndexFile
from tocsin.state.indexlayout import Origin
from tocsin.state.inquiry import Deviation
from tocsin.state.source import Source

log = logging.getLogger(__name__)

TELL_NS: Final = 10 * NS
"""So often it is told how far the index is, while it moves; at once that it waits, why, and that it is done."""
_LOOK_S: Final = 0.25
_STEPS: Final = 4
"""Ranges of a back-fill after which what was found out about nodes is told."""
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
_LEAST_FREE: Final = 128 << 20
"""Bytes: more than the store needs to write its journal again after the disk was full, see `tocsin.store`."""
_LASTING: Final = 3
"""For so many polls it has to wait before that is told."""
_CODE_AGAIN_NS: Final = 60 * NS
_CODE_KNOWN_NS: Final = 3600 * NS
_MOST_TOLD: Final = 300


class World(Protocol):
    """What the keeper needs of whoever knows the chain and tells others."""

    def target(self) -> Target | str:
        """Return the head and the finalized block that are known now, or why they are not."""
        ...

    def is_on_chain(self, block: BlockRef) -> bool:
        """Tell whether a block is the agreed head, or leads to it."""
        ...

    def tell(self, sample: IndexSample, sound: tuple[SoundLogs, ...]) -> None:
        """Take how far the index is, and how many sound answers nodes gave since the last time."""
        ...

    def refute(self, deviation: Deviation) -> None:
        """Take that a node twice told wrong logs, or receipts."""
        ...


def path_of(state_dir: Path, chain: str, name: str) -> Path:
    """Return where the file of an index is."""
    return state_dir / "index" / chain / f"{name}.db"


def origin_of(chain: ChainSettings) -> Origin:
    """Return what the file of an index says of its chain."""
    return Origin(chain=chain.id, genesis=chain.genesis_hash or "")


def terms_of(settings: IndexSettings, *, accuses: bool, patience_ns: int) -> Terms:
    """Return how an index is built that is configured so."""
    return Terms(
        audit_one_in=settings.audit_one_in,
        receipts_one_in=settings.receipts_one_in,
        accuses=accuses,
        patience_ns=patience_ns,
        span=Span(size=settings.span, most=settings.most_span),
    )


class Keeper:
    """Keeps one index. `salt` draws the audits of an index that is made; a file of another chain is left alone."""

    def __init__(
        self,
        settings: IndexSettings,
        path: Path,
        groups: Groups,
        source: Source,
        world: World,
        *,
        clock: Clock,
        terms: Terms,
        salt: bytes,
        origin: Origin | None = None,
    ) -> None:
        self._settings = settings
        self._path = path
        self._groups = groups
        self._source = source
        self._world = world
        self._clock = clock
        self._terms = terms
        self._salt = salt
        self._origin = origin
        self._sample = IndexSample()
        self._told: IndexSample | None = None
        self._told_ns = 0
        self._notice = ""
        self._bare: tuple[str, ...] = ()
        self._codes_due_ns: int | None = None
        self._stuck_ns: int | None = None
        """Since when it has not got on."""
        self._sound: dict[str, SoundLogs] = {}

    async def run(self, beat: Callable[[], None] = lambda: None) -> None:
        """Keep it until cancelled. `beat` is called at each look."""
        pause_s = _FIRST_PAUSE_S
        while True:
            begun_ns = self._clock.monotonic_ns()
            try:
                await self._open(beat)
            except (StoreError, sqlite3.Error, OSError) as error:
                log.warning("index %s: %s", self._settings.name, error)
                self._say(evolve(self._sample, stuck=str(error)[:_MOST_TOLD]))
            if self._clock.monotonic_ns() - begun_ns > _LONGEST_PAUSE_S * NS:
                pause_s = _FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _open(self, beat: Callable[[], None]) -> None:
        """Open the file and keep it. Raises StoreError, or what SQLite and the system raise, where that fails."""
        file = await asyncio.to_thread(self._opened)
        if file.notice:
            self._notice = file.notice
            log.warning("%s", file.notice)
        async with Indexer(file, self._groups, self._source, clock=self._clock, terms=self._terms) as indexer:
            pause_s = _FIRST_PAUSE_S
            at: Target | None = None
            while True:
                beat()
                target = self._world.target()
                stuck, is_done = await self._look(indexer, target, at)
                is_new = isinstance(target, Target) and target != at
                at = target if isinstance(target, Target) and (is_done or stuck) else None
                await self._told_of(indexer, stuck)
                pause_s = _FIRST_PAUSE_S if is_new or not stuck else min(2 * pause_s, _LONGEST_PAUSE_S)
                await self._pause(indexer, target, pause_s if stuck else _LOOK_S if is_done else 0)

    def _opened(self) -> IndexFile:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return IndexFile(self._path, rules_of(self._settings), salt=self._salt, origin=self._origin)

    async def _pause(self, indexer: Indexer, target: Target | str, pause_s: float) -> None:
        """Wait, but no longer than until there is another target, or somebody is to be asked once more."""
        until = self._clock.monotonic_ns() + int(pause_s * NS)
        while True:
            await asyncio.sleep(min(pause_s, _LOOK_S))
            over = self._clock.monotonic_ns() >= until
            if over or indexer.is_suspicious or self._world.target() != target:
                return

    # -- one look

    async def _look(self, indexer: Indexer, target: Target | str, at: Target | None) -> tuple[str, bool]:
        """Bring the index on. Return why it does not get on, and whether it is where it should be."""
        if isinstance(target, str):
            return target, False
        stuck, is_done = self._too_early(target), True
        if not stuck and (target != at or self._stuck_ns is not None):
            room = await asyncio.to_thread(self._lack_of_room)
            if room:
                return room, False
            result = await indexer.advance(target, most_steps=_STEPS)
            stuck, is_done = result.stuck, result.is_done
            if result.restarted:
                self._notice = f"the index began anew: {result.restarted}"[:_MOST_TOLD]
                log.warning("index %s: %s", self._settings.name, self._notice)
            for node, reason in result.refusals:
                log.info("index %s: an answer of %s is none: %s", self._settings.name, node, reason)
            self._heed(result.deviations)
            await self._look_for_code(indexer, target)
            if is_done:
                await indexer.patrol()
        self._heed(await indexer.confirm(self._world.is_on_chain))
        return stuck, is_done

    def _too_early(self, target: Target) -> str:
        start = self._settings.start
        if target.head.number >= start:
            return ""
        return f"it is to begin at block {start}, and the head is {target.head.number}: check from"

    def _lack_of_room(self) -> str:
        """Return why nothing more should be written, empty where it may: what is left of a disk is for alerts."""
        free = shutil.disk_usage(self._path.parent).free
        if free >= _LEAST_FREE:
            return ""
        return (
            f"{free >> 20} MiB are free where {self._path} is, and it leaves {_LEAST_FREE >> 20} to others: make room"
        )

    def _heed(self, deviations: tuple[Deviation, ...] | list[Deviation]) -> None:
        for one in deviations:
            where = f"{one.evidence.block.number} ({one.evidence.block.hash})"
            words = (self._settings.name, one.node, one.charge.value, where, one.difference.detail)
            log.warning("index %s: %s tells wrong %s of block %s: %s", *words)
            self._world.refute(one)

    async def _look_for_code(self, indexer: Indexer, target: Target) -> None:
        """See whether there are contracts where logs are looked for: an address that was mistyped stays silent."""
        now = self._clock.monotonic_ns()
        if self._codes_due_ns is not None and now < self._codes_due_ns:
            return
        bare = await indexer.without_code(target.head)
        self._codes_due_ns = now + (_CODE_AGAIN_NS if bare is None else _CODE_KNOWN_NS)
        if bare is not None:
            self._bare = tuple(f"0x{address.hex()}" for address in bare)

    # -- telling

    async def _told_of(self, indexer: Indexer, stuck: str) -> None:
        """Tell how far the index is, where that is worth it now."""
        for one in indexer.sound():
            before = self._sound.get(one.node, SoundLogs(node=one.node, logs=0, receipts=0))
            more = SoundLogs(node=one.node, logs=before.logs + one.logs, receipts=before.receipts + one.receipts)
            self._sound[one.node] = more
        progress = indexer.progress()
        lacks = progress.finalized is not None and progress.through.number < progress.finalized.number
        tail = indexer.tail
        sample = IndexSample(
            through=progress.through,
            target=None if progress.finalized is None else progress.finalized.number,
            tail=tail[-1].block if tail else None,
            logs=progress.logs,
            accounts=self._sample.accounts,
            unreadable=self._sample.unreadable,
            grade=progress.grade if progress.through.number >= self._settings.start else None,
            blocks_per_min=_per_minute(progress.blocks_per_s) if lacks else None,
            logs_per_min=_per_minute(progress.logs_per_s) if lacks else None,
            eta_s=int(progress.eta_s) if lacks and progress.eta_s is not None else None,
            audited=indexer.audited,
            stuck=self._lasting(stuck)[:_MOST_TOLD],
            problem=self._problem(),
        )
        if self._is_news(sample):
            accounts, unreadable = await indexer.figures()
            sample = evolve(sample, accounts=accounts, unreadable=unreadable)
            self._say(sample)
        self._sample = sample

    def _lasting(self, stuck: str) -> str:
        """Return why it waits, once it has for some polls: a block that has just been replaced is shown by nobody."""
        now = self._clock.monotonic_ns()
        if not stuck:
            self._stuck_ns = None
        elif self._stuck_ns is None:
            self._stuck_ns = now
        lasts = self._stuck_ns is not None and now - self._stuck_ns >= _LASTING * self._terms.patience_ns
        return stuck if lasts else ""

    def _problem(self) -> str:
        bare = [f"there is no code at {address} on this chain: check the address" for address in self._bare[:3]]
        return "; ".join([*([self._notice] if self._notice else []), *bare])[:_MOST_TOLD]

    def _is_news(self, sample: IndexSample) -> bool:
        """Whether to tell: at once that it waits or does not, and why; else every ten seconds, what has changed."""
        told = self._told
        if told is None or (told.stuck, told.problem) != (sample.stuck, sample.problem):
            return True
        caught_up = sample.eta_s is None and told.eta_s is not None
        is_time = self._clock.monotonic_ns() - self._told_ns >= TELL_NS
        return caught_up or (is_time and (sample != told or bool(self._sound)))

    def _say(self, sample: IndexSample) -> None:
        if sample != self._told or self._sound:
            self._world.tell(sample, tuple(self._sound[node] for node in sorted(self._sound)))
        self._told, self._told_ns, self._sample = sample, self._clock.monotonic_ns(), sample
        self._sound.clear()


def _per_minute(per_second: float | None) -> int | None:
    return None if per_second is None else round(60 * per_second)
