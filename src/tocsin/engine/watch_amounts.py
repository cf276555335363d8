"""Amounts: what an account has of the native coin and of tokens, what others may take, how much of a token there is.

Exact, in the smallest unit, as decimal text. Native balances are in the state itself, so that they are proven wherever
proofs are; those of tokens where the slot of the token's mapping is configured.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from tocsin.engine import words
from tocsin.engine.readback import NO_CODE, balance_subject, code_subject, subject_of
from tocsin.engine.told import Page, Told, contradicted
from tocsin.model.contract import Amount, ContractSettings, Watch
from tocsin.model.reading import BalanceOf, CallOf, Item, ProofOf, SlotOf

DECIMALS: Final = "decimals"
"""Under what is remembered of which tokens the decimals were found to be the configured ones."""


# -- what is read


def items(one: ContractSettings, hints: Mapping[str, tuple[str, ...]]) -> Iterator[Item]:
    """Yield what is read of a contract's or an account's amounts."""
    checked = hints.get(DECIMALS, ())
    for amount in (*one.balances, *one.allowances):
        if not amount.token:
            yield ProofOf(address=bytes.fromhex(one.address[2:]))
            yield BalanceOf(address=bytes.fromhex(one.address[2:]))
            continue
        yield from _both(amount.token, _call(one, amount), _slot(one, amount))
        if _mark(amount) not in checked:
            # Until it is known to be the token that was meant: a proof tells also of an address where nothing is.
            yield ProofOf(address=bytes.fromhex(amount.token[2:]))
            yield _decimals(amount.token)
    if one.supply is not None or Watch.SUPPLY in one.watches:
        at = one.layout(Watch.SUPPLY)
        yield from _both(one.address, _total(one), None if at is None else bytes.fromhex(at.slot[2:]))
        yield _cap(one)


def _both(address: str, call: CallOf, slot: bytes | None) -> Iterator[Item]:
    if slot is not None:
        yield ProofOf(address=bytes.fromhex(address[2:]), keys=(slot,))
        yield SlotOf(address=bytes.fromhex(address[2:]), key=slot)
    yield call


def _call(one: ContractSettings, amount: Amount) -> CallOf:
    if amount.spender:
        return words.call(amount.token, "allowance(address,address)", one.address, amount.spender)
    return words.call(amount.token, "balanceOf(address)", one.address)


def _slot(one: ContractSettings, amount: Amount) -> bytes | None:
    if not amount.slot:
        return None
    keys = (one.address, amount.spender) if amount.spender else (one.address,)
    return words.mapped(bytes.fromhex(amount.slot[2:]), *keys)


def _total(one: ContractSettings) -> CallOf:
    return words.call(one.address, "totalSupply()")


def _cap(one: ContractSettings) -> CallOf:
    return words.call(one.address, "cap()")


def _decimals(token: str) -> CallOf:
    return words.call(token, "decimals()")


def _mark(amount: Amount) -> str:
    return f"{amount.token}={amount.bounds.decimals}"


# -- what it means


def told(one: ContractSettings, page: Page) -> Iterator[Told]:
    """Yield each amount as it is known."""
    for amount in one.balances:
        name = f"{Watch.BALANCE.value}.{amount.name}"
        yield _of_token(one, name, amount, page) if amount.token else _native(one, name, page)
    for amount in one.allowances:
        yield _of_token(one, f"{Watch.ALLOWANCE.value}.{amount.name}", amount, page)
    if Watch.SUPPLY in one.watches:
        at = one.layout(Watch.SUPPLY)
        slot = None if at is None else bytes.fromhex(at.slot[2:])
        yield _known(Watch.SUPPLY.value, one.address, _total(one), slot, page)
        yield _cap_of(one, page)


def kept(one: ContractSettings, page: Page, hints: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return of which tokens the decimals need not be asked for any more, as hints."""
    before = hints.get(DECIMALS, ())
    marks = {_mark(amount): amount for amount in (*one.balances, *one.allowances) if amount.token}
    return tuple(sorted(mark for mark, amount in marks.items() if mark in before or _is_right(amount, page) is True))


def _is_right(amount: Amount, page: Page) -> bool | None:
    """Tell whether a token has as many decimals as are configured, None where it does not tell.

    None at all are configured where amounts are in the smallest unit, whatever the token says.
    """
    subject = subject_of(_decimals(amount.token))
    found = words.number(page.text(subject) or "") if page.is_sure(subject) else None
    return None if found is None else amount.bounds.decimals in (0, found)


def _native(one: ContractSettings, name: str, page: Page) -> Told:
    subject = balance_subject(one.address)
    text = page.text(subject)
    if text is None:
        return Told(name=name, fact=None, why=page.why(subject, name))
    return Told(name=name, fact=page.joined([subject], str(int(text, 16))), why=page.why(subject, name))


def _of_token(one: ContractSettings, name: str, amount: Amount, page: Page) -> Told:
    code = code_subject(amount.token)
    if page.text(code) == NO_CODE:
        why = f"{name}: there is no code at {amount.token}: check the token's address"
        return contradicted(name, None, page.joined([code], why), why)
    found = _known(name, amount.token, _call(one, amount), _slot(one, amount), page)
    if _is_right(amount, page) is False:
        subject = subject_of(_decimals(amount.token))
        says = words.number(page.text(subject) or "")
        why = f"{name}: the token {amount.token} has {says} decimals, and {amount.bounds.decimals} are configured"
        return contradicted(name, found.fact, page.joined([subject], why), why)
    return found


def _known(name: str, address: str, call: CallOf, slot: bytes | None, page: Page) -> Told:
    """Return a number that lies in a slot if that is known, else as the call returns it."""
    asked = subject_of(call)
    returned = words.number(page.text(asked) or "")
    if slot is None:
        if returned is None and page.text(asked) is not None:
            why = f"{name}: {address} returns no such value: is it the token?"
            return contradicted(name, None, page.joined([asked], why), why)
        if returned is None:
            return Told(name=name, fact=None, why=page.why(asked, name))
        return Told(name=name, fact=page.joined([asked], str(returned)), why=page.why(asked, name))
    subject = f"{address}:0x{slot.hex()}"
    text = page.text(subject)
    if text is None:
        return Told(name=name, fact=None, why=page.why(subject, name))
    value = int(text, 16)
    fact = page.joined([subject], str(value))
    if returned in (None, value) or not page.is_sure(asked):
        return Told(name=name, fact=fact, why=page.why(subject, name))
    why = f"{name}: the token says {returned}, and the slot holds {value}: check the slot in the configuration"
    return contradicted(name, fact, page.joined([subject, asked], why), why)


def _cap_of(one: ContractSettings, page: Page) -> Told:
    """Return the cap that a token has by itself; most have none, and nothing is odd about that."""
    subject = subject_of(_cap(one))
    value = words.number(page.text(subject) or "")
    fact = None if value is None else page.joined([subject], str(value))
    return Told(name=f"{Watch.SUPPLY.value}.cap", fact=fact)
