"""Checking evidence again, with nothing else at hand: what of it holds, what does not, and what cannot be told from it.

Evidence may come from anywhere, so that each of its fields may be anything. What is no evidence at all raises
`Unreadable`; everything else is a check that holds, fails or stays open, with words for people.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from tocsin.chain import fields
from tocsin.chain.fields import FieldError
from tocsin.chain.header import Absent, Malformed, decode_header, real_hash
from tocsin.chain.keccak import keccak256
from tocsin.chain.loganswer import Refused
from tocsin.chain.logevidence import is_nothing
from tocsin.chain.logproof import LogEvidence, LogHeader, can_hold, log_header, recheck
from tocsin.chain.proof import Claim, Proven, Refuted, claim_of, verify
from tocsin.chain.receipts import Logs, Unproven, logs_of
from tocsin.engine.evidence import SCHEMA, Kind
from tocsin.engine.inspection import Case, Outcome, Report, Unreadable, Verdict
from tocsin.engine.readback import NO_LOGS, facts_of, subject_of, value_of
from tocsin.model.block import Verification
from tocsin.model.logquery import LogFilter, LogsAt
from tocsin.model.observation import Part, RpcError, RpcErrorKind
from tocsin.model.reading import BalanceOf, CallOf, CodeOf, Item, LogsOf, Pin, ProofOf, Reading, SlotOf

__all__ = ["Outcome", "Report", "Unreadable", "Verdict", "rechecked"]

_MOST_SLOTS: Final = 1000
_MOST_ASKED: Final = 10_000
_SUBJECT: Final = re.compile(r"0x[0-9a-f]{40}:(code|balance|0x[0-9a-f]*)|logs:.+")
_SHOWN: Final = 80
_MOST_TEXT: Final = 100_000
"""Characters of a subject: the input of a call may be long."""


def rechecked(evidence: Mapping[str, Any]) -> Report:
    """Check evidence. Raises Unreadable."""
    if evidence.get("truncated") is True:
        raise Unreadable("it was cut, since it was too long for its alert; the whole is needed")
    if type(evidence.get("schema")) is not int or evidence["schema"] > SCHEMA:
        raise Unreadable(f"schema: not a number up to {SCHEMA}, which is what this program knows")
    kind = next((one for one in Kind if one.value == evidence.get("kind")), None)
    if kind is None:
        raise Unreadable(f"kind: {fields.shown(evidence.get('kind'))} is none of {', '.join(Kind)}")
    try:
        return _READERS[kind](Case(evidence))
    except FieldError as error:
        raise Unreadable(str(error)) from None


# -- a proof


def _proof(case: Case) -> Report:
    address, keys = _claimed(case.evidence.get("claim"), "claim")
    root, question = case.root(), case.question()
    text = f"a node gave a proof about 0x{address.hex()} at {case.place} that does not lead to what it says"
    if question is not None and not _asks(question.items[0], address, keys):
        case.fails("question: it does not ask for what the proof is of")
    result = case.answer()
    claim = claim_of(result, address, keys) if result is not None else None
    if isinstance(claim, Malformed):
        case.fails(f"answer: no proof of what was asked for, which is no lie: {claim.reason}")
    elif claim is not None and root is not None:
        _refuted(case, claim, root, question)
    return case.report(Kind.PROOF, text)


def _refuted(case: Case, claim: Claim, root: bytes, question: Reading | None) -> None:
    found = verify(root, claim)
    if isinstance(found, Proven):
        case.fails("proof: it leads from the state root to just what the answer says: nothing is wrong with it")
    elif question is not None and question.pin is Pin.NUMBER and not _begins_at(claim, root):
        case.fails("proof: asked for by number, it begins at another root, so that it may be of another block")
    else:
        case.holds(f"proof: held against the state root 0x{root.hex()} it proves nothing: {found.reason}")


def _begins_at(claim: Claim, root: bytes) -> bool:
    return bool(claim.proof) and keccak256(claim.proof[0]) == root


def _asks(item: Item, address: bytes, keys: tuple[bytes, ...]) -> bool:
    return isinstance(item, ProofOf) and item.address == address and set(keys) <= set(item.keys)


def _claimed(claim: object, where: str) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the address and the slots that a claim is about. Raises FieldError."""
    if not isinstance(claim, dict):
        raise FieldError(f"{where}: no object")
    slots = claim.get("slots")
    if not isinstance(slots, list) or len(slots) > _MOST_SLOTS:
        raise FieldError(f"{where}.slots: no list of {_MOST_SLOTS} at most")
    address = fields.data(claim, "address", where, length=20)
    return address, tuple([fields.data_of(slot, f"{where}.slots.{at}", length=32) for at, slot in enumerate(slots)])


# -- a value


def _value(case: Case) -> Report:
    evidence = case.evidence
    subject, said, right = (_text(evidence, name) for name in ("subject", "said", "expected"))
    if not _SUBJECT.fullmatch(subject):
        raise FieldError(
            "subject: not an address with `code`, `balance`, a slot or the input of a call, nor logs: "
            f"{fields.shown(subject)}"
        )
    root, question = case.root(), case.question()
    if question is not None:
        _answered(case, question, subject, said)
    if said == right:
        case.fails("value: what the node said is what is held to be right")
    if evidence.get("expected_by") == "proven":
        if question is not None and not isinstance(question.items[0], CodeOf | BalanceOf | SlotOf):
            # A call whose input has the 32 bytes of a slot is named like the slot, and is another thing.
            case.fails("question: what a call returns, or which logs there are, follows from no proof of the state")
        _shown_right(case, root, subject, right)
    elif root is None or question is None or not _has_none(case, question.items[0], right):
        _told_right(case, right)
    return case.report(
        Kind.VALUE, f"a node said {_brief(said)} of {subject} at {case.place}, where {_brief(right)} is right"
    )


def _brief(value: str) -> str:
    """Return a value as it is shown: a word whole, what is longer by its ends."""
    return value if len(value) <= _SHOWN else f"{value[:36]}...{value[-16:]} ({len(value)} characters)"


def _text(evidence: Mapping[str, Any], name: str) -> str:
    value = evidence.get(name)
    if not isinstance(value, str) or not value or len(value) > _MOST_TEXT:
        raise FieldError(f"{name}: no text: {fields.shown(value)}")
    return value


def _answered(case: Case, question: Reading, subject: str, said: str) -> None:
    """Look whether the answer says of the subject what it is said to say."""
    item = question.items[0]
    if subject_of(item) != subject:
        case.fails(f"question: about something else than {subject}")
        return
    part = _part(case)
    if part is None:
        return
    found = value_of(item, part)
    if found == said:
        case.holds(f"answer: it says {_brief(said)}")
    else:
        case.fails(f"answer: it says {_brief(found or 'nothing that answers the question')}, not {_brief(said)}")
    if isinstance(item, CallOf) and item.code:
        _with_code(case, item)
    if question.pin is Pin.NUMBER:
        case.note("block: asked for by number; that it was this block before and after is the watchdog's word")


def _with_code(case: Case, item: CallOf) -> None:
    """Tell with which code a call was made: who asks others for the same has to put it there as well."""
    code = f"{len(item.code)} bytes (keccak 0x{keccak256(item.code).hex()})"
    case.note(f"question: asked as if the code at 0x{item.to.hex()} were the {code} that stand in the question")


def _part(case: Case) -> Part | None:
    """Return the answer as it was heard; a call that reverts is answered with an error."""
    value = case.evidence.get("answer")
    if isinstance(value, dict) and value.get("kind") == RpcErrorKind.REVERT.value:
        return Part(call="", error=RpcError(kind=RpcErrorKind.REVERT, code=0, message=""))
    result = case.answer()
    return None if result is None else Part(call="", result=result)


def _shown_right(case: Case, root: bytes | None, subject: str, right: str) -> None:
    """Look whether the proof that goes with it shows what would have been right."""
    shown = case.evidence.get("proof")
    if not isinstance(shown, dict):
        case.open(
            f"right value: nobody gave the proof of {_brief(right)} once more in time, so it cannot be checked here"
        )
        return
    address, keys = _claimed(shown.get("claim"), "proof.claim")
    claim = claim_of(case.bytes_of(shown.get("answer"), "proof.answer"), address, keys)
    if isinstance(claim, Malformed):
        case.fails(f"right value: the proof of it is none: {claim.reason}")
        return
    if root is None:
        return
    found = verify(root, claim)
    if isinstance(found, Refuted):
        case.fails(f"right value: the proof of it proves nothing: {found.reason}")
    elif (proven := facts_of(ProofOf(address=address, keys=keys), found).get(subject)) != right:
        case.fails(f"right value: proven is {proven or 'nothing of that'}, not {_brief(right)}")
    else:
        case.holds(f"right value: the proof leads from the state root 0x{root.hex()} to {_brief(right)}")


def _has_none(case: Case, item: Item, right: str) -> bool:
    """Look whether the header's bloom excludes the logs that were asked for; tell whether it does."""
    if not isinstance(item, LogsOf) or not isinstance(item.query, LogsAt) or item.query.block != case.block:
        return False
    header = log_header(case.bytes_of(case.evidence["header"], "header"))
    if not isinstance(header, LogHeader) or can_hold(header, item.query.wanted):
        return False
    if right == NO_LOGS:
        case.holds("right value: the bloom in the header says that the block has no such logs")
    else:
        case.fails(f"right value: the bloom in the header says that the block has no such logs, not {_brief(right)}")
    return True


def _told_right(case: Case, right: str) -> None:
    names = case.evidence.get("agreed")
    listed = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    who = ", ".join(listed[:10]) or "a quorum"
    case.open(
        f"right value: {_brief(right)} is what {who} said; that is the watchdog's word. Ask a node that you trust for "
        "the same at this block"
    )


# -- logs and receipts


def _logs(case: Case) -> Report:
    evidence = case.evidence
    text = f"a node told logs of {case.place} that are not those of the block"
    wanted = _filter(evidence.get("asked"))
    header, told = case.header(), case.answer()
    receipts = b"" if evidence.get("receipts") is None else case.answer("receipts")
    if header is None or told is None or receipts is None:
        return case.report(Kind.LOGS, text)
    shown = case.bytes_of(evidence["header"], "header")
    found = recheck(LogEvidence(block=case.block, wanted=wanted, told=told, header=shown, receipts=receipts))
    if found is None:
        case.fails("logs: they are just those of the block: nothing is wrong with them")
    elif isinstance(found, Refused):
        case.fails(f"logs: {found.reason}")
    else:
        by = "the receipts that the header's root binds" if receipts else "the header's bloom"
        case.holds(f"logs: held against {by}, they are {found.wrong.value.replace('-', ' ')}: {found.detail}")
    return case.report(Kind.LOGS, text)


def _filter(asked: object) -> LogFilter:
    """Return which logs were asked for. Raises FieldError."""
    if not isinstance(asked, dict):
        raise FieldError("asked: no object")
    found: dict[str, tuple[bytes, ...]] = {}
    for name, length in (("addresses", 20), ("topics", 32), ("first_arguments", 32)):
        listed = asked.get(name, [] if name == "first_arguments" else None)
        if not isinstance(listed, list) or len(listed) > _MOST_ASKED:
            raise FieldError(f"asked.{name}: no list of {_MOST_ASKED} at most")
        each = {fields.data_of(one, f"asked.{name}.{at}", length=length) for at, one in enumerate(listed)}
        found[name] = tuple(sorted(each))
    try:
        return LogFilter(**found)
    except ValueError as error:
        raise FieldError(f"asked: {error}") from None


def _receipts(case: Case) -> Report:
    text = f"a node gave receipts of {case.place} that do not hash to the root in its header"
    header, answer = case.header(), case.answer()
    if header is not None and answer is not None and is_nothing(answer):
        case.fails("receipts: there are none in the answer, which is no lie: who has not got them yet says so, too")
    elif header is not None and answer is not None:
        shown = log_header(case.bytes_of(case.evidence["header"], "header"))
        found = logs_of(shown.receipts_root, answer) if isinstance(shown, LogHeader) else shown
        match found:
            case Logs():
                case.fails("receipts: they hash to the root in the header: nothing is wrong with them")
            case Unproven(reason=reason, accuses=True):
                case.holds(f"receipts: {reason}")
            case Unproven(reason=reason):
                case.open(f"receipts: {reason}; how those are hashed is not known")
            case Malformed(reason=reason):
                case.fails(f"receipts: none that can be read, which is no lie: {reason}")
            case Absent():
                case.fails("header: there is none")
    return case.report(Kind.RECEIPTS, text)


# -- a header


def _header(case: Case) -> Report:
    """Look at a header that is said to contradict itself; whether its block is of the chain is no matter."""
    shown = case.evidence.get("header")
    if not isinstance(shown, dict):
        raise FieldError(f"header: no object: {fields.shown(shown)}")
    data = case.bytes_of(shown, "header")
    found = decode_header(data)
    if isinstance(found, Malformed | Absent):
        case.no_header(shown, found)
    elif found.ref != case.block:
        case.fails(f"header: of block {found.number} ({found.hash}), and the evidence is about {case.place}")
    elif found.verification is Verification.MATCH:
        case.fails("header: its fields hash to just the hash that it has: nothing is wrong with it")
    elif found.verification is Verification.CANNOT_VERIFY:
        case.open("header: no rule is known by which its fields hash to its hash; its chain may hash otherwise")
    else:
        _recomputed(case, real_hash(data))
    return case.report(Kind.HEADER, f"a node showed a header of {case.place} whose fields do not hash to that")


def _recomputed(case: Case, recomputed: str | None) -> None:
    said = case.evidence.get("recomputed_hash")
    if said != recomputed:
        case.fails(f"header: its fields hash to {recomputed}, not to {fields.shown(said)}")
    else:
        case.holds(f"header: its fields hash to {recomputed}, and it calls itself {case.block.hash}")
        case.note("chain: where headers are not hashed as on Ethereum, that is no lie")


_READERS: Final = {
    Kind.PROOF: _proof,
    Kind.VALUE: _value,
    Kind.LOGS: _logs,
    Kind.RECEIPTS: _receipts,
    Kind.HEADER: _header,
}
