"""What is read of a Safe, and what it means: by its slots, which can be proven, whatever its code says of itself.

Owners and modules are linked lists in mappings: each member's slot names the next one, from a sentinel round to it. Who
is in them is first asked of the Safe, or known from the block before; then all those slots are read at once. The list
counts if it closes: what the Safe says of itself is a hint of where to look, and held against what was found.

Source: safe-smart-account, `SafeStorage.sol`, `OwnerManager.sol`, `ModuleManager.sol`, `GuardManager.sol` and
`FallbackManager.sol`, versions 1.0 to 1.5: the same slots in all of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tocsin.chain.keccak import keccak256
from tocsin.engine import words
from tocsin.engine.readback import subject_of
from tocsin.engine.told import Page, Told, contradicted
from tocsin.model.contract import UNREADABLE, ContractSettings, SafePart, Watch, list_text
from tocsin.model.reading import CallOf, Item, ProofOf, SlotOf

MOST: Final = 64
"""Members of a list that are followed."""
SENTINEL: Final = 1
"""Stands before the first member, and after the last."""
COUNT: Final = (3).to_bytes(words.WORD)
"""The slot of the number of owners."""

PLACES: Final[Mapping[SafePart, bytes]] = {
    SafePart.SINGLETON: (0).to_bytes(words.WORD),
    SafePart.THRESHOLD: (4).to_bytes(words.WORD),
    SafePart.GUARD: keccak256(b"guard_manager.guard.address"),
    SafePart.MODULE_GUARD: keccak256(b"module_manager.module_guard.address"),
    SafePart.FALLBACK_HANDLER: keccak256(b"fallback_manager.handler.address"),
    SafePart.NONCE: (5).to_bytes(words.WORD),
}
LISTS: Final[Mapping[SafePart, bytes]] = {
    SafePart.OWNERS: (2).to_bytes(words.WORD),
    SafePart.MODULES: (1).to_bytes(words.WORD),
}
_NUMBERS: Final = (SafePart.THRESHOLD, SafePart.NONCE)
_ADDRESS_BITS: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A linked list as far as it is known: members in its order, and the slots that were read for that.

    `missing` is the slot that has to be read next; `flaw` says why it is no such list.
    """

    members: tuple[str, ...]
    slots: tuple[bytes, ...]
    missing: bytes | None = None
    flaw: str = ""


def walk(address: str, part: SafePart, values: Mapping[str, str]) -> Walk:
    """Follow a list through what is known: values by subject."""
    members: list[str] = []
    slots: list[bytes] = []
    slot = words.mapped(LISTS[part], SENTINEL)
    while True:
        text = values.get(_subject(address, slot))
        if text is None:
            return Walk(members=tuple(members), slots=tuple(slots), missing=slot)
        slots.append(slot)
        at = int(text, 16)
        if at == SENTINEL:
            return Walk(members=tuple(members), slots=tuple(slots))
        flaw = _flaw_at(at, members)
        if flaw:
            return Walk(members=tuple(members), slots=tuple(slots), flaw=flaw)
        members.append(f"0x{at:040x}")
        slot = words.mapped(LISTS[part], at)


def _flaw_at(at: int, members: list[str]) -> str:
    if at == 0:
        return "has no end" if members else "was never begun"
    if at >> _ADDRESS_BITS:
        return "holds what is no address"
    if f"0x{at:040x}" in members:
        return "runs in a circle"
    return f"has more than {MOST} members" if len(members) == MOST else ""


# -- what is read


def items(one: ContractSettings, values: Mapping[str, str]) -> Iterator[Item]:
    """Yield what is read of a Safe, by what is known of it."""
    address = bytes.fromhex(one.address[2:])
    keys = dict.fromkeys((*PLACES.values(), COUNT))
    for part in LISTS:
        found = walk(one.address, part, values)
        keys |= dict.fromkeys(found.slots)
        keys |= dict.fromkeys([found.missing] if found.missing is not None else [])
        keys |= dict.fromkeys(words.mapped(LISTS[part], member) for member in _said(one, part, values))
    yield ProofOf(address=address, keys=tuple(keys))
    yield from (SlotOf(address=address, key=key) for key in keys)
    yield from (call_of(one.address, part) for part in LISTS)


def call_of(address: str, part: SafePart) -> CallOf:
    """Return the call that names the members of a list."""
    if part is SafePart.OWNERS:
        return words.call(address, "getOwners()")
    return words.call(address, "getModulesPaginated(address,uint256)", SENTINEL, MOST)


def _said(one: ContractSettings, part: SafePart, values: Mapping[str, str]) -> tuple[str, ...]:
    text = values.get(subject_of(call_of(one.address, part)))
    return (words.addresses(text) or ())[:MOST] if text is not None else ()


# -- what it means


def told(one: ContractSettings, page: Page, *, was_one: bool) -> Iterator[Told]:
    """Yield what is known of a Safe. What was never one is told as that; `was_one`: it was pinned as one before."""
    values = page.texts()
    flaw = _flaw(one.address, values)
    if flaw and not was_one:
        why = f"{one.address} is no Safe: {flaw}"
        places = [at for slot in (*PLACES.values(), COUNT) if (at := _subject(one.address, slot)) in values]
        yield contradicted(Watch.SAFE.value, None, page.joined(places, why), why)
        return
    for part, slot in PLACES.items():
        yield _placed(one.address, part, slot, page)
    for part in LISTS:
        yield _listed(one, part, page, values)


def _flaw(address: str, values: Mapping[str, str]) -> str:
    """Return why this is no Safe, as far as that is known for certain."""
    threshold, count = (words.known(values, _subject(address, at)) for at in (PLACES[SafePart.THRESHOLD], COUNT))
    owners = walk(address, SafePart.OWNERS, values)
    if threshold == 0 or count == 0:
        what = "threshold (slot 4)" if threshold == 0 else "number of owners (slot 3)"
        return f"its {what} is 0"
    if threshold is not None and count is not None and threshold > count:
        return f"its threshold (slot 4) is {_few(threshold)}, and it counts {_few(count)} owners (slot 3)"
    if owners.flaw:
        return f"its list of owners (slot 2) {owners.flaw}"
    if owners.missing is None and count not in (None, len(owners.members)):
        return f"its list of owners (slot 2) has {len(owners.members)} members, and slot 3 counts {_few(count or 0)}"
    return ""


def _few(number: int) -> str:
    return str(number) if number <= 1 << 32 else "a huge number"


def _placed(address: str, part: SafePart, slot: bytes, page: Page) -> Told:
    name, subject = f"{Watch.SAFE.value}.{part.value}", _subject(address, slot)
    text = page.text(subject)
    if text is None:
        return Told(name=name, fact=None, why=page.why(subject, name))
    value = str(int(text, 16)) if part in _NUMBERS else words.address(text)
    why = page.why(subject, name) if value is not None else f"{name}: its slot holds no address"
    return Told(name=name, fact=page.joined([subject], value or UNREADABLE), why=why)


def _listed(one: ContractSettings, part: SafePart, page: Page, values: Mapping[str, str]) -> Told:
    name, found = f"{Watch.SAFE.value}.{part.value}", walk(one.address, part, values)
    if found.missing is not None:
        subject = _subject(one.address, found.missing)
        is_new = subject not in page.facts and bool(found.slots)
        return Told(
            name=name,
            fact=None,
            why=f"{name}: it changes faster than it can be read" if is_new else page.why(subject, name),
        )
    subjects = [_subject(one.address, slot) for slot in found.slots]
    if found.flaw:
        return Told(name=name, fact=page.joined(subjects, UNREADABLE), why=f"{name}: the list {found.flaw}")
    call = subject_of(call_of(one.address, part))
    said = words.addresses(values[call]) if call in values and page.is_sure(call) else None
    is_odd = said is not None and set(said) != set(found.members)
    why = f"{name}: its code names others than its slots hold" if is_odd else ""
    return Told(name=name, fact=page.joined(subjects, list_text(found.members)), why=why)


def _subject(address: str, slot: bytes) -> str:
    return f"{address}:0x{slot.hex()}"
