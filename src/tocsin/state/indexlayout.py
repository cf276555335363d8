"""The layout of the file of a log index: its tables, what can never stand in them, and of which chain it is.

A file says of which chain it is since layout 2. One of layout 1 is gone on with: it gets the table when it is opened to
be written, and the chain with the next step, by when its last block was seen to be on it.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

from tocsin.chain.logrules import RuleSet
from tocsin.model.alert import Grade

_VERSION: Final = 2
_WITHOUT_ORIGIN: Final = 1
_APPLICATION_ID: Final = 0x54435849
"""`TCXI`, in the header of the file."""

DAMAGED: Final = "it was damaged"
OTHER_RULES: Final = "it is of other rules"
_SHOWN: Final = len("0x") + 10
"""Of a hash: enough to tell it from another one."""

_ORIGIN = """
CREATE TABLE origin (one INTEGER PRIMARY KEY CHECK (one = 1), chain INTEGER NOT NULL, genesis TEXT NOT NULL)
"""
_NOTE = """
INSERT INTO origin VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE SET genesis = excluded.genesis WHERE genesis = ''
"""
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


def _no_count(*columns: str) -> tuple[str, ...]:
    return tuple(f"typeof({column}) != 'integer' OR {column} < 0" for column in columns)


def _no_hash(*columns: str) -> tuple[str, ...]:
    shape = "{0} != '' AND (length({0}) != 66 OR {0} GLOB '0x*[^0-9a-f]*')"
    return tuple(f"typeof({column}) != 'text' OR {shape.format(column)}" for column in columns)


_NO_ACCOUNT = "typeof(account) != 'blob'"
_ODD_ORIGIN = {"origin": (*_no_count("chain"), *_no_hash("genesis"))}
_NO_GRADE = f"grade NOT IN ({', '.join(repr(grade.value) for grade in Grade)})"
_ODD = {
    "head": (
        "typeof(salt) != 'blob' OR typeof(number) != 'integer'",
        *_no_hash("hash"),
        *_no_count("logs"),
        "logs != (SELECT coalesce(sum(logs), 0) FROM stretch)",
        "number != (SELECT coalesce(max(last), number) FROM stretch)",
    ),
    "stretch": (*_no_count("first", "last", "logs", "steps"), "first > last", _NO_GRADE),
    "touched": (_NO_ACCOUNT, *_no_count("rule", "first", "last"), "first > last"),
    "unreadable": _no_count("rule", "count"),
    "tail": (*_no_hash("hash", "parent"), "hash = ''", *_no_count("number", "logs"), _NO_GRADE),
    "tail_touched": (_NO_ACCOUNT, *_no_count("number", "rule")),
    "tail_unreadable": _no_count("number", "rule", "count"),
}
"""By table what no step writes. SQLite checks its pages, not what stands in them: a bit that has fallen over in a grade
would end whoever reads it, one in a number would move the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Of which chain an index is. `genesis` is the hash of block 0, empty where it is not configured."""

    chain: int
    genesis: str = ""

    def unlike(self, other: "Origin") -> str:
        """Say how another chain is another one, after words that name a file of it; empty where it may be the same."""
        if self.chain != other.chain:
            return f"of chain {other.chain}, and chain {self.chain} is configured"
        if self.genesis and other.genesis and self.genesis != other.genesis:
            found, expected = other.genesis[:_SHOWN], self.genesis[:_SHOWN]
            return f"of a chain {self.chain} that begins with {found}.., {expected}.. is configured"
        return ""


def lay_out(db: sqlite3.Connection) -> None:
    """Make the tables in an empty file, within a transaction."""
    for statement in filter(None, map(str.strip, (_LAYOUT + _ORIGIN).split(";"))):
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {_VERSION}")


def bring_up(db: sqlite3.Connection) -> None:
    """Bring a file of layout 1 to the present one."""
    if _version(db) == _VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    db.execute(_ORIGIN)
    db.execute(f"PRAGMA user_version = {_VERSION}")
    db.execute("COMMIT")


def amiss(db: sqlite3.Connection, rules: RuleSet) -> str | None:
    """Return why an index cannot be gone on with."""
    try:
        version = _version(db)
        if version not in (_VERSION, _WITHOUT_ORIGIN):
            return "it is of another layout"
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            return f"{DAMAGED} ({verdict})"
        [found] = db.execute("SELECT rules FROM head").fetchone()
        for table, odd in (_ODD if version == _WITHOUT_ORIGIN else _ODD | _ODD_ORIGIN).items():
            if db.execute(f"SELECT 1 FROM {table} WHERE {' OR '.join(odd)} LIMIT 1").fetchone():  # noqa: S608 - our own
                return f"{DAMAGED} ({table} holds what was never written)"
    except (sqlite3.DatabaseError, TypeError) as error:
        return f"{DAMAGED} ({error})"
    return None if found == rules.digest else OTHER_RULES


def origin_in(db: sqlite3.Connection) -> Origin | None:
    """Return of which chain a file is; None where it does not say."""
    if _version(db) == _WITHOUT_ORIGIN:
        return None
    found = db.execute("SELECT chain, genesis FROM origin").fetchone()
    return None if found is None else Origin(chain=found[0], genesis=found[1])


def note_origin(db: sqlite3.Connection, origin: Origin) -> None:
    """Let a file say of which chain it is, as far as it does not yet."""
    db.execute(_NOTE, (origin.chain, origin.genesis))


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
