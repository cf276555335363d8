"""The file of one log index: SQLite, one transaction for each step, so that a kill at any moment leaves a whole step.

It is a file of its own and not part of the store: a back-fill writes hundreds of thousands of rows, and the store has
one writer whose commits stand in the way of every alert. Nor does it need what the store gives: the index is a function
of the finalized chain. What is lost, damaged, of other rules or of a layout that is not known is built again, not
migrated; a file that was damaged is set aside beside it, one of them, for who wants to know how that came. One that is
sound and of another chain is refused: somebody has put it there, or has changed the configuration. For the same reason
a commit does not wait for the disk: a crash of the host may cost the last steps, never tear one.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tocsin.chain.logindex import Tally, Touched, digest_rows
from tocsin.chain.logrules import RuleSet, rules_of
from tocsin.chain.logtail import TailBlock, worst
from tocsin.errors import StoreError
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.index import IndexSample, IndexSettings
from tocsin.state.indexlayout import (
    DAMAGED,
    OTHER_RULES,
    Origin,
    amiss,
    bring_up,
    lay_out,
    note_origin,
    origin_in,
)

_TOUCH = """
INSERT INTO touched VALUES (?, ?, ?, ?) ON CONFLICT (rule, account)
DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)
"""
_MISREAD = "INSERT INTO unreadable VALUES (?, ?) ON CONFLICT (rule) DO UPDATE SET count = count + excluded.count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Blocks that follow each other and whose logs are known in the same way; `steps` they took."""

    first: int
    last: int
    logs: int
    grade: Grade
    steps: int


class IndexFile:
    """An open index. One thread at a time may use it; which one does not matter. `notice` says if it begins anew."""

    def __init__(self, path: Path, rules: RuleSet, *, salt: bytes | None, origin: Origin | None = None) -> None:
        """Open or make the file. `salt` draws the audits of an index that is made; an old one keeps its own.

        Without it the file is only looked at, as it is at this moment, whoever builds it meanwhile. Raises StoreError
        where the file cannot be read or written, is to be looked at and is none, or is of another chain than `origin`.
        """
        self.path = path
        self.rules = rules
        self.notice = ""
        self._origin = origin
        self._is_noted = origin is None
        """Whether the file says of which chain it is."""
        try:
            self._db = self._looked_at() if salt is None else self._opened(salt)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: the log index cannot be opened: {error}; check owner, mode and space") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # -- what is there

    @property
    def salt(self) -> bytes:
        """What the audits are drawn by."""
        return bytes(self._one("SELECT salt FROM head"))

    @property
    def through(self) -> BlockRef:
        """The last block of the index; its hash is empty within a back-fill. One below the start at first."""
        number, block_hash = self._db.execute("SELECT number, hash FROM head").fetchone()
        return BlockRef(number=number, hash=block_hash)

    @property
    def logs(self) -> int:
        """How many logs the index was made of."""
        return int(self._one("SELECT logs FROM head"))

    @property
    def unreadable(self) -> dict[int, int]:
        """How many logs named no account where one should stand, by rule."""
        return dict(self._db.execute("SELECT rule, count FROM unreadable ORDER BY rule"))

    @property
    def grade(self) -> Grade:
        """How the index is known: the worst of its stretches."""
        return worst(Grade(grade) for (grade,) in self._db.execute("SELECT DISTINCT grade FROM stretch"))

    def count(self) -> int:
        """Return how many accounts there are, one counted for each rule."""
        return int(self._one("SELECT count(*) FROM touched"))

    def stretches(self) -> tuple[Stretch, ...]:
        """Return how the blocks of the index are known, lowest first."""
        rows = self._db.execute("SELECT first, last, logs, grade, steps FROM stretch ORDER BY last")
        return tuple([Stretch(first=a, last=b, logs=n, grade=Grade(grade), steps=k) for a, b, n, grade, k in rows])

    def rows(self) -> Iterator[tuple[int, bytes, int, int]]:
        """Yield rule, account, first and last block, sorted by rule and account."""
        yield from self._db.execute("SELECT rule, account, first, last FROM touched ORDER BY rule, account")

    def accounts(self, *, with_tail: bool = False) -> dict[bytes, Touched]:
        """Return all accounts of any rule, with the blocks above the finalized one if wanted."""
        tail = "UNION ALL SELECT account, number, number FROM tail_touched" if with_tail else ""
        query = (
            f"SELECT account, min(first), max(last) FROM (SELECT account, first, last FROM touched {tail})"  # noqa: S608
            " GROUP BY account ORDER BY account"
        )
        return {account: Touched(first, last) for account, first, last in self._db.execute(query)}

    def digest(self) -> bytes:
        """Return what names the index, see `tocsin.chain.logindex`."""
        return digest_rows(self.rules, self.through, self.rows(), self.unreadable, self.logs)

    def tail(self) -> tuple[TailBlock, ...]:
        """Return the blocks above the index, lowest first."""
        touched: dict[int, dict[tuple[int, bytes], Touched]] = {}
        for number, rule, account in self._db.execute("SELECT number, rule, account FROM tail_touched"):
            touched.setdefault(number, {})[rule, account] = Touched(number, number)
        unreadable: dict[int, dict[int, int]] = {}
        for number, rule, count in self._db.execute("SELECT number, rule, count FROM tail_unreadable"):
            unreadable.setdefault(number, {})[rule] = count
        return tuple(
            [
                TailBlock(
                    block=BlockRef(number=number, hash=block_hash),
                    parent_hash=parent,
                    tally=Tally(touched=touched.get(number, {}), unreadable=unreadable.get(number, {}), logs=logs),
                    grade=Grade(grade),
                )
                for number, block_hash, parent, logs, grade in self._db.execute(
                    "SELECT number, hash, parent, logs, grade FROM tail ORDER BY number"
                )
            ]
        )

    # -- steps, each one transaction

    def extend(self, through: BlockRef, tally: Tally, grade: Grade) -> None:
        """Bring the index to a block. What the tail has up to there leaves it."""
        with self._step():
            before = self.through.number
            self._db.executemany(_TOUCH, [(*key, *found) for key, found in tally.touched.items()])
            self._db.executemany(_MISREAD, tally.unreadable.items())
            self._record(before + 1, through.number, tally.logs, grade)
            self._db.execute(
                "UPDATE head SET number = ?, hash = ?, logs = logs + ?", (through.number, through.hash, tally.logs)
            )
            self._drop("<=", through.number)

    def follow(self, kept: int, blocks: Sequence[TailBlock]) -> None:
        """Drop the tail above the number `kept`, and put blocks onto it."""
        with self._step():
            self._drop(">", kept)
            for block in blocks:
                self._add(block)

    def restart(self) -> None:
        """Begin anew at the start of the rules."""
        with self._step():
            for table in ("touched", "unreadable", "stretch", "tail", "tail_touched", "tail_unreadable"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own
            self._db.execute("UPDATE head SET number = ?, hash = '', logs = 0", (self.rules.start - 1,))

    def _record(self, first: int, last: int, logs: int, grade: Grade) -> None:
        """Add blocks to the stretch before them, if they are known alike: a row for each step would be many."""
        found = self._db.execute(
            "SELECT first, logs, steps FROM stretch WHERE last = ? AND grade = ?", (first - 1, grade.value)
        ).fetchone()
        begun, before, steps = (first, 0, 0) if found is None else found
        if found is not None:
            self._db.execute("DELETE FROM stretch WHERE last = ?", (first - 1,))
        self._db.execute(
            "INSERT INTO stretch VALUES (?, ?, ?, ?, ?)", (last, begun, before + logs, grade.value, steps + 1)
        )

    def _add(self, block: TailBlock) -> None:
        number, tally = block.block.number, block.tally
        row = (number, block.block.hash, block.parent_hash, tally.logs, block.grade.value)
        self._db.execute("INSERT INTO tail VALUES (?, ?, ?, ?, ?)", row)
        self._db.executemany("INSERT INTO tail_touched VALUES (?, ?, ?)", [(number, *key) for key in tally.touched])
        misread = [(number, *item) for item in tally.unreadable.items()]
        self._db.executemany("INSERT INTO tail_unreadable VALUES (?, ?, ?)", misread)

    def _drop(self, which: str, number: int) -> None:
        for table in ("tail", "tail_touched", "tail_unreadable"):
            self._db.execute(f"DELETE FROM {table} WHERE number {which} ?", (number,))  # noqa: S608 - words of our own

    @contextmanager
    def _step(self) -> Iterator[None]:
        """Do all of it or nothing. Raises StoreError where it cannot be written."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                if self._origin is not None and not self._is_noted:
                    note_origin(self._db, self._origin)
                self._db.execute("COMMIT")
                self._is_noted = True
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            todo = "free space there" if isinstance(error, sqlite3.OperationalError) else "it is looked at again"
            raise StoreError(f"{self.path}: the log index cannot be written: {error}; {todo}") from error

    def _one(self, query: str) -> bytes | int:
        found: bytes | int = self._db.execute(query).fetchone()[0]
        return found

    # -- opening

    def _looked_at(self) -> sqlite3.Connection:
        if not self.path.exists():
            raise StoreError(f"{self.path}: there is no log index yet")
        db = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5)
        found = amiss(db, self.rules)
        self._refuse_foreign(db, found)
        if found is not None:
            db.close()
            raise StoreError(f"{self.path}: the log index cannot be read: {found}; the daemon will build it anew")
        db.execute("BEGIN")
        return db

    def _opened(self, salt: bytes) -> sqlite3.Connection:
        try:
            db = _connected(self.path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            return self._afresh(salt, f"{DAMAGED} ({error})")
        found = amiss(db, self.rules)
        self._refuse_foreign(db, found)
        if found is None:
            bring_up(db)
            return db
        new = not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        db.close()
        return self._afresh(salt, "" if new else found)

    def _refuse_foreign(self, db: sqlite3.Connection, amiss: str | None) -> None:
        """Raise StoreError where a file that can be read is of another chain: building it anew would destroy it."""
        if self._origin is None or amiss not in (None, OTHER_RULES):
            return
        found = origin_in(db)
        unlike = "" if found is None else self._origin.unlike(found)
        if unlike:
            db.close()
            todo = "move it away, and the index is built anew, or correct the chain in the configuration"
            raise StoreError(f"{self.path}: the log index is {unlike}: {todo}")

    def _afresh(self, salt: bytes, why: str) -> sqlite3.Connection:
        self.notice = f"{self.path}: the log index is built anew: {why}" if why else ""
        if why.startswith(DAMAGED):
            aside = self.path.with_name(self.path.name + ".damaged")
            self.path.replace(aside)
            self.notice += f"; what was there is {aside.name}"
        for name in _files(self.path):
            with suppress(FileNotFoundError):
                name.unlink()
        db = _connected(self.path)
        db.execute("BEGIN IMMEDIATE")
        lay_out(db)
        start = self.rules.start - 1
        db.execute("INSERT INTO head VALUES (1, ?, ?, ?, '', 0)", (self.rules.digest, salt, start))
        if self._origin is not None:
            note_origin(db, self._origin)
        db.execute("COMMIT")
        return db


def _connected(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        db.close()
        raise
    return db


def sample_of(path: Path, settings: IndexSettings, origin: Origin | None = None) -> IndexSample:
    """Return how far an index is by its file alone. Raises StoreError as `IndexFile`."""
    file = IndexFile(path, rules_of(settings), salt=None, origin=origin)
    with closing(file):
        tail = file.tail()
        return IndexSample(
            through=file.through,
            tail=tail[-1].block if tail else None,
            logs=file.logs,
            accounts=file.count(),
            unreadable=sum(file.unreadable.values()),
            grade=file.grade if file.through.number >= settings.start else None,
        )


def digest_in(path: Path, settings: IndexSettings, origin: Origin | None = None) -> tuple[BlockRef, bytes]:
    """Return at which block an index is, and what names it there. Raises StoreError as `IndexFile`."""
    with closing(IndexFile(path, rules_of(settings), salt=None, origin=origin)) as file:
        return file.through, file.digest()


def _files(path: Path) -> Iterable[Path]:
    return (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")))
