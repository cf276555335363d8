"""What an answer about contracts says: claims held against the state root, results as they stand. Decides nothing.

What is no answer to the question is none, whatever it is instead: an error, another block, bytes that are not what the
method returns. Only a proof that answers the question, and does not lead from the root to what it says, is refuted.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final

from tocsin.chain.header import Malformed
from tocsin.chain.keccak import keccak256
from tocsin.chain.loganswer import Refused as NoLogs
from tocsin.chain.loganswer import read_logs
from tocsin.chain.proof import EMPTY_CODE, Claim, Proven, Refuted, claim_of, verify
from tocsin.engine.fold import header_of
from tocsin.engine.quantity import json_of
from tocsin.engine.sitting import Heard
from tocsin.model.block import BlockRef, Header, Verification
from tocsin.model.event import Fetched
from tocsin.model.logquery import LogQuery, logs
from tocsin.model.observation import Part, RpcErrorKind, number_of
from tocsin.model.reading import BalanceOf, CallOf, CodeOf, Item, LogsOf, Pin, ProofOf, SlotOf, parse

REVERTS: Final = "reverts"
"""What is said of a call that reverts: that is a result, too."""
NO_LOGS: Final = "no logs"
NO_CODE: Final = f"0x{EMPTY_CODE.hex()}"
ZERO: Final = f"0x{bytes(32).hex()}"

_EMPTY: Final = frozenset({NO_CODE, ZERO, "0x"})
_ROOT: Final = re.compile(r"0x[0-9a-f]{64}")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]*")
_LARGEST_CACHED: Final = 1 << 16
"""Code has 24,576 bytes at most (EIP-170), which is less than this in hex."""
_LARGEST_PROOF_CACHED: Final = 1 << 18
"""Some 50 slots have this much; of what a node makes longer than that the cache would hold half a gigabyte."""
_LONGEST: Final = 2304
"""Bytes of a result that are kept as they are: enough for a list of 64 addresses and what stands around it."""
_LONGEST_LOGS: Final = 1 << 14
_MOST_SHOWN: Final = 1 << 20
"""Bytes of the answers of one node that are kept for as long as others have not answered."""
_WORD: Final = 32

CANNOT: Final = frozenset({RpcErrorKind.METHOD_MISSING, RpcErrorKind.PRUNED, RpcErrorKind.INVALID, RpcErrorKind.OTHER})
"""Errors that tell what a node cannot do; the others tell of now."""


def parts_of(event: Fetched) -> tuple[Part, ...]:
    """Return the answers to the requests of which a question consists, in their order; none where it failed."""
    return event.run or ((event.part,) if event.part is not None else ())


def subject_of(item: Item) -> str:
    """Return what a thing that is read is a fact of; empty for what is none by itself."""
    match item:
        case CodeOf(address=address):
            return code_subject(f"0x{address.hex()}")
        case SlotOf(address=address, key=slot):
            return f"0x{address.hex()}:0x{slot.hex()}"
        case CallOf(to=to, data=data):
            return f"0x{to.hex()}:0x{data.hex()}"
        case BalanceOf(address=address):
            return balance_subject(f"0x{address.hex()}")
        case LogsOf(query=query):
            return logs(query)
        case _:
            return ""


def code_subject(address: str) -> str:
    """Return the subject of the code at an address."""
    return f"{address}:code"


def balance_subject(address: str) -> str:
    """Return the subject of what an account has of the native coin."""
    return f"{address}:balance"


def address_of(subject: str) -> str:
    """Return the address that a subject is of; of logs, which are of several, `logs`."""
    return subject.partition(":")[0]


def heard(event: Fetched, block: BlockRef, root: str, before: Mapping[str, str] | None = None) -> Heard:
    """Return what a node said in answer to a reading at a block; nothing where another block answered.

    With what was known at the block `before` it goes along with answers that are something else, and wrong proofs.
    """
    parts = parts_of(event)
    if not is_of(event, block):
        return Heard()
    facts: dict[str, str] = {}
    proven: dict[str, str] = {}
    refuted: dict[str, str] = {}
    shown: list[Part] = []
    proofs = 0
    for item, pin, part in _items(parts):
        if not isinstance(item, ProofOf):
            if (value := value_of(item, part)) is not None:
                facts[subject_of(item)] = value
                shown += [part] if before is not None and before.get(subject_of(item)) != value else []
            continue
        match proof_of(item, part, root, pin):
            case Proven() as found:
                proofs += 1
                proven |= facts_of(item, found)
            case Refuted(reason=reason):
                refuted[f"0x{item.address.hex()}"] = reason
                shown += [part] if before is not None else []
    return Heard(facts=facts, proven=proven, refuted=refuted, proofs=proofs, shown=_few(shown))


def _few(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return as many answers as may be kept for a while: a node can make them as long as it likes."""
    lengths = accumulate(len(part.result or b"") for part in parts)
    return tuple(part for part, length in zip(parts, lengths, strict=True) if length <= _MOST_SHOWN)


def is_of(event: Fetched, block: BlockRef) -> bool:
    """Tell whether the block that was asked for answered: by number, whether it was that of the number throughout."""
    found = parse(event.call)
    if found is None or found.block != block:
        return False
    if found.pin is not Pin.NUMBER:
        return True
    headers = [part for part in parts_of(event) if number_of(part.call) is not None]
    return len(headers) == 2 and all(_is_header_of(part, block) for part in headers)  # noqa: PLR2004 - before and after


def _is_header_of(part: Part, block: BlockRef) -> bool:
    header = header_of(part.result) if part.result is not None else None
    if not isinstance(header, Header) or header.verification is Verification.MISMATCH:
        return False
    return header.ref == block


def _items(parts: Sequence[Part]) -> Iterator[tuple[Item, Pin, Part]]:
    for part in parts:
        found = parse(part.call)
        if found is not None and len(found.items) == 1:
            yield found.items[0], found.pin, part


def proof_of(item: ProofOf, part: Part, root: str, pin: Pin) -> Proven | Refuted | None:
    """Return what an answer proves or fails to prove; None where it is no answer to the question.

    By number it may be of another block all the same, where a balancer answers: so it is if it has another root.
    """
    if part.result is None or not _ROOT.fullmatch(root):
        return None
    known = len(part.result) <= _LARGEST_PROOF_CACHED
    claim, found = _cached_verified(part.result, item, root) if known else _verified(part.result, item, root)
    if isinstance(found, Refuted) and pin is Pin.NUMBER and not (claim is not None and _is_rooted(claim, root)):
        return None
    return found


def _verified(result: bytes, item: ProofOf, root: str) -> tuple[Claim | None, Proven | Refuted | None]:
    """Return a claim, and what it proves."""
    claim = claim_of(result, item.address, item.keys)
    if isinstance(claim, Malformed):
        return None, None
    return claim, verify(bytes.fromhex(root[2:]), claim)


_cached_verified = lru_cache(maxsize=64)(_verified)
"""All sound nodes give the same bytes."""


def _is_rooted(claim: Claim, root: str) -> bool:
    return bool(claim.proof) and f"0x{keccak256(claim.proof[0]).hex()}" == root


def facts_of(item: ProofOf, found: Proven) -> dict[str, str]:
    """Return what a proof tells, by subject."""
    address = f"0x{item.address.hex()}"
    code = NO_CODE if found.account is None else f"0x{found.account.code_hash.hex()}"
    slots = {f"{address}:0x{slot.hex()}": f"0x{value.to_bytes(_WORD).hex()}" for slot, value in found.slots.items()}
    balance = 0 if found.account is None else found.account.balance
    return {code_subject(address): code, balance_subject(address): f"0x{balance.to_bytes(_WORD).hex()}", **slots}


def value_of(item: Item, part: Part) -> str | None:
    """Return what an answer says of one thing, None where it is no answer."""
    if part.error is not None and part.error.kind is RpcErrorKind.REVERT and isinstance(item, CallOf):
        return REVERTS
    if part.result is None:
        return None
    match item:
        case CodeOf():
            known = len(part.result) <= _LARGEST_CACHED
            return _cached_hash_of_code(part.result) if known else _hash_of_code(part.result)
        case SlotOf():
            data = _data(part.result)
            # Some clients leave zeros away, as in a quantity.
            return None if data is None or len(data) > _WORD else f"0x{data.rjust(_WORD, bytes(1)).hex()}"
        case CallOf():
            data = _data(part.result)
            return None if data is None else _short(data)
        case BalanceOf():
            amount = _data(part.result)
            return None if amount is None or len(amount) > _WORD else f"0x{amount.rjust(_WORD, bytes(1)).hex()}"
        case LogsOf(query=query):
            return _logs(part.result, query)
        case _:
            return None


def _data(result: bytes) -> bytes | None:
    text = json_of(result)
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        return None
    return bytes.fromhex(text[2:] if len(text) % 2 == 0 else f"0{text[2:]}")


def _short(data: bytes) -> str:
    return f"0x{data.hex()}" if len(data) <= _LONGEST else f"{len(data)} bytes, keccak 0x{keccak256(data).hex()}"


def _hash_of_code(result: bytes) -> str | None:
    """Return the hash of the code in an answer."""
    data = _data(result)
    return None if data is None else f"0x{keccak256(data).hex()}"


def _logs(result: bytes, query: LogQuery) -> str | None:
    """Return logs in one form, so that equal ones are equal: address, topics and data of each."""
    found = read_logs(result, query)
    if isinstance(found, NoLogs):
        return None
    blocks = [found.blocks[number] for number in sorted(found.blocks)]
    text = ";".join(
        f"0x{log.address.hex()},{','.join(f'0x{topic.hex()}' for topic in log.topics)},0x{log.data.hex()}"
        for block in blocks
        for log in block.logs
    )
    if len(text) > _LONGEST_LOGS:
        return f"{found.count} logs, keccak 0x{keccak256(text.encode()).hex()}"
    return text or NO_LOGS


_cached_hash_of_code = lru_cache(maxsize=256)(_hash_of_code)
"""All nodes give the same bytes, block for block."""


def is_void(facts: Mapping[str, str], address: str) -> bool:
    """Tell whether all that was said of a contract is what a node says that does not have the state (besu #6926)."""
    said = [value for subject, value in facts.items() if address_of(subject) == address]
    return bool(said) and all(value in _EMPTY or value == REVERTS for value in said)


def cannot(parts: Sequence[Part], *, proofs: bool) -> bool:
    """Tell whether all that was asked of the state (or all proofs) was refused as what the node cannot do.

    Logs tell nothing: their block is named in a way of its own, which a node may take that takes no other.
    """
    of_state = [(item, part) for item, _, part in _items(parts) if not isinstance(item, LogsOf)]
    asked = [part for item, part in of_state if isinstance(item, ProofOf) or not proofs]
    return bool(asked) and all(part.error is not None and part.error.kind in CANNOT for part in asked)
