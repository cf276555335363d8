"""The implementation that a proxy's beacon names: what stands behind the proxy, one step further on.

Which beacon that is tells the proxy's own slot, at the same block.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from tocsin.engine import words
from tocsin.engine.readback import subject_of
from tocsin.engine.told import Page, Told, contradicted
from tocsin.model.contract import STANDARD, ContractSettings, Layout, Watch
from tocsin.model.reading import CallOf, Item, ProofOf, SlotOf

_NAME: Final = Watch.BEACON_IMPLEMENTATION.value
_ADDRESS: Final = 20
_NOBODY: Final = f"0x{bytes(20).hex()}"


def beacon_of(one: ContractSettings, values: Mapping[str, str]) -> str | None:
    """Return the beacon that a proxy's slot names, None where that is not known; the zero address where it has none."""
    at = _place(one)
    text = values.get(f"{one.address}:{at.slot}")
    return None if text is None or words.number(text) is None else _placed(text, at)


def items(one: ContractSettings, values: Mapping[str, str]) -> Iterator[Item]:
    """Yield what is read of a proxy's beacon, by what is known of the proxy."""
    address, slot = bytes.fromhex(one.address[2:]), bytes.fromhex(_place(one).slot[2:])
    yield ProofOf(address=address, keys=(slot,))
    yield SlotOf(address=address, key=slot)
    beacon = beacon_of(one, values)
    if beacon is None or beacon == _NOBODY:
        return
    inner = one.layouts.get(_NAME)
    if inner is not None:
        yield ProofOf(address=bytes.fromhex(beacon[2:]), keys=(bytes.fromhex(inner.slot[2:]),))
        yield SlotOf(address=bytes.fromhex(beacon[2:]), key=bytes.fromhex(inner.slot[2:]))
    yield _call(beacon)


def told(one: ContractSettings, page: Page) -> Told:
    """Return what the beacon names."""
    place = f"{one.address}:{_place(one).slot}"
    beacon = beacon_of(one, page.texts())
    if beacon is None:
        return Told(name=_NAME, fact=None, why=page.why(place, Watch.BEACON.value))
    if beacon == _NOBODY:
        why = f"{_NAME}: its slot names no beacon: do not watch it"
        return contradicted(_NAME, None, page.joined([place], why), why)
    inner = one.layouts.get(_NAME)
    asked = subject_of(_call(beacon))
    returned = words.address(page.text(asked) or "")
    if inner is None:
        if returned is None and page.text(asked) is not None:
            why = f"implementation() of the beacon {beacon} returns no such value"
            return contradicted(_NAME, None, page.joined([place, asked], why), why)
        if returned is None:
            return Told(name=_NAME, fact=None, why=page.why(asked, _NAME))
        return Told(name=_NAME, fact=page.joined([place, asked], returned), why=page.why(asked, _NAME))
    subject = f"{beacon}:{inner.slot}"
    text = page.text(subject)
    if text is None:
        return Told(name=_NAME, fact=None, why=page.why(subject, _NAME))
    value = _placed(text, inner)
    fact = page.joined([place, subject], value)
    if returned in (None, value) or not page.is_sure(asked):
        return Told(name=_NAME, fact=fact)
    why = f"{_NAME}: the beacon says {returned}, and its slot holds {value}: check the slot"
    return contradicted(_NAME, fact, page.joined([place, subject, asked], why), why)


def _placed(text: str, at: Layout) -> str:
    return f"0x{words.packed(text, at.offset, _ADDRESS):040x}"


def _place(one: ContractSettings) -> Layout:
    return one.layouts.get(Watch.BEACON.value) or STANDARD[Watch.BEACON]


def _call(beacon: str) -> CallOf:
    return words.call(beacon, "implementation()")
