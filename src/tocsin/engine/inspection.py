"""Evidence while it is looked at: its header, its question and its answer, and what came of each check."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from tocsin.chain import fields
from tocsin.chain.fields import FieldError
from tocsin.chain.header import Absent, Malformed, decode_header
from tocsin.engine.evidence import Kind
from tocsin.model.block import BlockRef, Header, Verification
from tocsin.model.reading import Reading, parse

_HASH: Final = re.compile(r"0x[0-9a-f]{64}")
_LONGEST: Final = 400


class Unreadable(ValueError):  # noqa: N818 - reads as the condition
    """What is given is no evidence that this program knows; the message says where, and why."""


class Outcome(StrEnum):
    """What came of one check. Closed: stands in what `tocsin verify --json` prints."""

    HOLDS = "holds"
    FAILS = "fails"
    OPEN = "open"
    """It cannot be told from this evidence, and the verdict needs it."""
    NOTE = "note"
    """No evidence can show it; who trusts the verdict has to know."""


class Verdict(StrEnum):
    """What evidence proves. Closed: stands in what `tocsin verify --json` prints."""

    PROVES = "proves"
    FAILS = "fails"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    outcome: Outcome
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of evidence: what it claims, and each thing that was looked at."""

    kind: str
    claim: str
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """One check that fails outweighs all others; without one, an open one leaves it open."""
        outcomes = {check.outcome for check in self.checks}
        if Outcome.FAILS in outcomes:
            return Verdict.FAILS
        return Verdict.UNDECIDED if Outcome.OPEN in outcomes else Verdict.PROVES


class Case:
    """Evidence while it is looked at."""

    def __init__(self, evidence: Mapping[str, Any]) -> None:
        """Read which block it is about. Raises FieldError."""
        self.evidence = evidence
        self.checks: list[Check] = []
        block = evidence.get("block")
        if not isinstance(block, dict) or type(block.get("number")) is not int or block["number"] < 0:
            raise FieldError("block: not an object with a number and a hash")
        block_hash = block.get("hash")
        if not isinstance(block_hash, str) or not _HASH.fullmatch(block_hash):
            raise FieldError(f"block.hash: not 32 bytes in hex: {fields.shown(block_hash)}")
        self.block = BlockRef(number=block["number"], hash=block_hash)
        self.place = f"block {self.block.number} ({self.block.hash})"

    def holds(self, text: str) -> None:
        self._say(Outcome.HOLDS, text)

    def fails(self, text: str) -> None:
        self._say(Outcome.FAILS, text)

    def open(self, text: str) -> None:
        self._say(Outcome.OPEN, text)

    def note(self, text: str) -> None:
        self._say(Outcome.NOTE, text)

    def _say(self, outcome: Outcome, text: str) -> None:
        shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
        self.checks.append(Check(outcome=outcome, text=shown))

    def report(self, kind: Kind, claim: str) -> Report:
        """Return what came of it, with what no evidence of any kind can show."""
        what = "header" if kind is Kind.HEADER else "answer"
        self.note(f"{what}: that it is this node's is the watchdog's word, since nodes sign nothing")
        if kind is Kind.HEADER:
            return Report(kind=kind.value, claim=claim, checks=tuple(self.checks))
        self.note(f"block: whether {self.block.hash} is of the chain, a node or an explorer that you trust can tell")
        return Report(kind=kind.value, claim=claim, checks=tuple(self.checks))

    def bytes_of(self, value: object, where: str) -> bytes:
        """Return JSON as a node would have given it. Raises FieldError."""
        try:
            return orjson.dumps(value)
        except TypeError as error:  # nested too deep
            raise FieldError(f"{where}: {error}") from None

    # -- the header

    def header(self) -> Header | None:
        """Look at the header: it is the block's if its fields hash to the block's hash."""
        shown = self.evidence.get("header")
        if not isinstance(shown, dict):
            self.open(f"header: there is none, so that nothing leads from {self.place} to its state")
            return None
        found = decode_header(self.bytes_of(shown, "header"))
        if isinstance(found, Malformed | Absent):
            self.no_header(shown, found)
            return None
        if found.ref != self.block:
            self.fails(f"header: of block {found.number} ({found.hash}), and the evidence is about {self.place}")
            return None
        if found.verification is Verification.MATCH:
            self.holds(f"header: its fields hash to {found.hash}, of block {found.number}")
            return found
        if found.verification is Verification.MISMATCH:
            self.fails(f"header: its fields do not hash to {found.hash}")
        else:
            self.open("header: no rule is known by which its fields hash to its hash; its chain may hash otherwise")
        return None

    def no_header(self, shown: Mapping[str, Any], found: Malformed | Absent) -> None:
        """Say that what stands for a header is none: a summary, or nothing that any node would show."""
        if "state_root" in shown or "stateRoot" not in shown:
            self.open("header: only a summary of it was kept, so that its hash cannot be recomputed")
        else:
            self.fails(f"header: {found.reason if isinstance(found, Malformed) else 'there is none'}")

    def root(self) -> bytes | None:
        """Return the state root that the header binds."""
        header = self.header()
        if header is None:
            return None
        said = self.evidence.get("state_root")
        if said is not None and said != header.state_root:
            self.fails(f"state root: the header has {header.state_root}, the evidence says {fields.shown(said)}")
            return None
        return bytes.fromhex(header.state_root[2:])

    # -- the question and the answer

    def question(self) -> Reading | None:
        """Return what the node was asked."""
        asked = self.evidence.get("question")
        found = parse(asked) if isinstance(asked, str) else None
        if found is None or len(found.items) != 1:
            self.fails(f"question: none that reads one thing at a block: {fields.shown(asked)}")
            return None
        if found.block != self.block:
            self.fails(f"question: for block {found.block.number} ({found.block.hash}), not for {self.place}")
            return None
        return found

    def answer(self, name: str = "answer") -> bytes | None:
        """Return an answer as JSON, None where it was not kept, or is none; that is said."""
        value = self.evidence.get(name)
        if value is None:
            self.fails(f"{name}: there is none")
        elif isinstance(value, dict) and set(value) == {"digest", "size"}:
            self.open(f"{name}: it had {fields.shown(value['size'])} bytes, of which only the digest was kept")
        elif isinstance(value, dict) and "error" in value and "code" in value:
            self.fails(f"{name}: the node answered with an error, {fields.shown(value['error'])}")
        else:
            return self.bytes_of(value, name)
        return None
