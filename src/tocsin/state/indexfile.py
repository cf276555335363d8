"""The file of one log index: SQLite, one transaction for each step, so that a kill at any moment leaves a whole step.

It is a file of its own and not part of the store: a back-fill writes hundreds of thousands of rows, and the store has
one writer whose commits stand in the way of every alert. Nor does it need what the store gives: the index is a function
of the finalized chain. What is lost, damaged, of other rules or of another layout is built again, not migrated. For the
same reason a commit does not wait for the disk: a crash of the host may cost the last steps, never tear one.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tocsin.chain.logindex import Tally, Touched, digest_rows
from tocsin.chain.logrules import RuleSet
from tocsin.chain.logtail import TailBlock, worst
from tocsin.errors import StoreError
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef

_LAYOUT_VERSION = 1
_APPLICATION_ID = 0x54435849
"""`TCXI`, in the header of the file."""

_LAYOUT = """
CREATE TABLE head (
    id INTEGER PRIMARY KEY CHECK (id = 1), rules BLOB NOT NULL, salt BLOB NOT NULL,
    number INTEGER NOT NULL, hash TEXT NOT NULL, logs INTEGER NOT NULL
);
CREATE TABLE touched (
    rule INTEGER NOT NULL, account BLOB NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (rule, account)
) WITHOUT ROWID;
CREATE TABLE unreadable (rule INTEGER PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE stretch (
    last INTEGER PRIMARY KEY, first INTEGER NOT NULL, logs INTEGER NOT NULL, grade TEXT NOT NULL, steps INTEGER NOT NULL
);
CREATE TABLE tail (
    number INTEGER PRIMARY KEY, hash TEXT NOT NULL, parent TEXT NOT NULL, logs INTEGER NOT NULL, grade TEXT NOT NULL
);
CREATE TABLE tail_touched (
    number INTEGER NOT NULL, rule INTEGER NOT NULL, account BLOB NOT NULL, PRIMARY KEY (number, rule, account)
) WITHOUT ROWID;
CREATE TABLE tail_unreadable (
    number INTEGER NOT NULL, rule INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (number, rule)
) WITHOUT ROWID;
"""

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

    def __init__(self, path: Path, rules: RuleSet, *, salt: bytes) -> None:
        """Open or make the file. `salt` draws the audits of an index that is made; an old one keeps its own.

        Raises StoreError where the file cannot be read or written.
        """
        self.path = path
        self.rules = rules
        self.notice = ""
        try:
            self._db = self._opened(salt)
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
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: the log index cannot be written: {error}; free space there") from error

    def _one(self, query: str) -> bytes | int:
        found: bytes | int = self._db.execute(query).fetchone()[0]
        return found

    # -- opening

    def _opened(self, salt: bytes) -> sqlite3.Connection:
        try:
            db = _connected(self.path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            return self._afresh(salt, f"it was damaged ({error})")
        amiss = _amiss(db, self.rules)
        if amiss is None:
            return db
        new = not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        db.close()
        return self._afresh(salt, "" if new else amiss)

    def _afresh(self, salt: bytes, why: str) -> sqlite3.Connection:
        self.notice = f"{self.path}: the log index is built anew: {why}" if why else ""
        for name in _files(self.path):
            with suppress(FileNotFoundError):
                name.unlink()
        db = _connected(self.path)
        db.execute("BEGIN IMMEDIATE")
        for statement in filter(None, map(str.strip, _LAYOUT.split(";"))):
            db.execute(statement)
        start = self.rules.start - 1
        db.execute("INSERT INTO head VALUES (1, ?, ?, ?, '', 0)", (self.rules.digest, salt, start))
        db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {_LAYOUT_VERSION}")
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


def _amiss(db: sqlite3.Connection, rules: RuleSet) -> str | None:
    """Return why an index cannot be gone on with."""
    try:
        if db.execute("PRAGMA user_version").fetchone()[0] != _LAYOUT_VERSION:
            return "it is of another layout"
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            return f"it was damaged ({verdict})"
        [found] = db.execute("SELECT rules FROM head").fetchone()
    except (sqlite3.DatabaseError, TypeError) as error:
        return f"it was damaged ({error})"
    return None if found == rules.digest else "it is of other rules"


def _files(path: Path) -> Iterable[Path]:
    return (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")))
