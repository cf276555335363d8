"""Who has which role of a contract (OpenZeppelin AccessControl), and who is given any.

Logs say who may have been given a role, the state says who has it: each account that a log names is asked for from then
on, as those are that the configuration names. So a log that is left away hides somebody at most until he does something
that is logged again, and one that is made up gives nobody a role. Where a contract tells itself who has a role
(AccessControlEnumerable), it is asked for that.

Who was given a role and has it no more at the end of the same block is told of for that block.

Source: OpenZeppelin Contracts 3 to 5, `AccessControl.sol` and `AccessControlEnumerable.sol`: `_roles` is a mapping of
role to (mapping of account to bool, admin role).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from tocsin.chain.keccak import keccak256
from tocsin.engine import words
from tocsin.engine.readback import NO_LOGS, subject_of
from tocsin.engine.told import Page, Told, contradicted
from tocsin.model.contract import OTHERS, ContractSettings, Role, Watch, list_text
from tocsin.model.logquery import LOGS, LogFilter
from tocsin.model.reading import CallOf, Item, ProofOf, SlotOf

MOST: Final = 64
"""Members of a role that are read, and accounts that were found in logs and are asked for."""
GRANTED: Final = keccak256(b"RoleGranted(bytes32,address,address)")
GRANTS: Final = "grants"
"""Under what is remembered who was given a role: pairs of role and account."""

_FIELDS: Final = 6
"""Of a log of a grant: contract, topic, role, account, who gave it, and no data."""

_NOT_LOOKED: Final = f"{OTHERS}: no node tells the logs"
_TOO_MANY: Final = f"roles: more than {MOST} accounts were given some: not all of them are asked for"

Pair = tuple[str, str]
"""Role and account."""


def filter_of(contracts: Iterable[ContractSettings]) -> LogFilter | None:
    """Return which logs tell of roles that are given, None where no roles are watched."""
    found = sorted({bytes.fromhex(one.address[2:]) for one in contracts if Watch.ROLES in one.watches})
    return LogFilter(addresses=tuple(found), topics=(GRANTED,)) if found else None


def granted(address: str, values: Mapping[str, str]) -> tuple[Pair, ...]:
    """Return to whom a contract gave roles, as the logs among these values say."""
    logs = [text for subject, text in values.items() if subject.startswith(LOGS) and text != NO_LOGS]
    fields = [entry.split(",") for text in logs for entry in text.split(";")]
    topic = f"0x{GRANTED.hex()}"
    pairs = [
        (one[2], words.address(one[3]) or "") for one in fields if len(one) == _FIELDS and one[:2] == [address, topic]
    ]
    return tuple(dict.fromkeys(pair for pair in pairs if pair[1]))


def _logs(page: Page) -> list[str]:
    return [subject for subject in page.facts if subject.startswith(LOGS) and page.text(subject) is not None]


def _is_whole(logs: str) -> bool:
    """Tell whether logs are told as they are, not as how many they were."""
    return logs == NO_LOGS or logs.startswith("0x")


def remembered(hints: Mapping[str, tuple[str, ...]]) -> tuple[Pair, ...]:
    """Return who is asked for since logs named him."""
    return tuple((role, account) for role, _, account in (text.partition("/") for text in hints.get(GRANTS, ())))


# -- what is read


def items(one: ContractSettings, values: Mapping[str, str], hints: Mapping[str, tuple[str, ...]]) -> Iterator[Item]:
    """Yield what is read of a contract's roles, by what is known of them."""
    pairs = _pairs(one, values, hints)
    for role in one.roles:
        yield from _both(one, _admin(one, role))
        if role.enumerable:
            yield _count(one, role)
            yield from (_member(one, role, at) for at in range(min(_counted(one, role, values) or 0, MOST)))
    for pair in pairs:
        yield from _both(one, _has(one, pair))


def _pairs(one: ContractSettings, values: Mapping[str, str], hints: Mapping[str, tuple[str, ...]]) -> tuple[Pair, ...]:
    """Return of whom it is asked whether they have a role; where the contract tells who has it, of nobody else."""
    return (*_named(one), *_found(one, values, hints)[:MOST])


def _named(one: ContractSettings) -> tuple[Pair, ...]:
    return tuple((role.id, account) for role in one.roles for account in role.members if not role.enumerable)


def _found(one: ContractSettings, values: Mapping[str, str], hints: Mapping[str, tuple[str, ...]]) -> list[Pair]:
    listed, named = {role.id for role in one.roles if role.enumerable}, set(_named(one))
    found = dict.fromkeys((*remembered(hints), *granted(one.address, values)))
    return [pair for pair in found if pair[0] not in listed and pair not in named]


def _both(one: ContractSettings, asked: tuple[CallOf, bytes | None]) -> Iterator[Item]:
    call, slot = asked
    if slot is not None:
        address = bytes.fromhex(one.address[2:])
        yield ProofOf(address=address, keys=(slot,))
        yield SlotOf(address=address, key=slot)
    yield call


def _has(one: ContractSettings, pair: Pair) -> tuple[CallOf, bytes | None]:
    role, account = pair
    root = one.layouts.get(Watch.ROLES.value)
    slot = None if root is None else words.mapped(bytes.fromhex(root.slot[2:]), role, account)
    return words.call(one.address, "hasRole(bytes32,address)", role, account), slot


def _admin(one: ContractSettings, role: Role) -> tuple[CallOf, bytes | None]:
    root = one.layouts.get(Watch.ROLES.value)
    slot = None if root is None else words.beside(words.mapped(bytes.fromhex(root.slot[2:]), role.id), 1)
    return words.call(one.address, "getRoleAdmin(bytes32)", role.id), slot


def _count(one: ContractSettings, role: Role) -> CallOf:
    return words.call(one.address, "getRoleMemberCount(bytes32)", role.id)


def _member(one: ContractSettings, role: Role, at: int) -> CallOf:
    return words.call(one.address, "getRoleMember(bytes32,uint256)", role.id, at)


def _counted(one: ContractSettings, role: Role, values: Mapping[str, str]) -> int | None:
    return words.known(values, subject_of(_count(one, role)))


# -- what it means


def told(one: ContractSettings, page: Page, hints: Mapping[str, tuple[str, ...]], *, is_looked: bool) -> Iterator[Told]:
    """Yield who has which role; `is_looked` tells whether the logs of the block are known."""
    values = page.texts()
    fresh = granted(one.address, values)
    pairs = _pairs(one, values, hints)
    for role in one.roles:
        yield _admin_of(one, role, page)
        yield _listed(one, role, page, fresh) if role.enumerable else _asked(one, role, page, pairs, fresh)
    configured = {role.id for role in one.roles}
    others = [pair for pair in pairs if pair[0] not in configured]
    rest = _told(one, OTHERS, page, others, {f"{role}/{account}" for role, account in fresh if role not in configured})
    is_more = len(_found(one, values, hints)) > MOST or not all(_is_whole(page.text(at) or "") for at in _logs(page))
    why = _TOO_MANY if is_more else rest.why if is_looked else rest.why or _NOT_LOOKED
    yield Told(name=rest.name, fact=rest.fact, why=why)


def kept(one: ContractSettings, page: Page, hints: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return who is to be asked for from now on, as hints: who has a role, or may have it."""
    pairs = _pairs(one, page.texts(), hints)
    named = set(_named(one))
    return tuple(
        f"{pair[0]}/{pair[1]}" for pair in pairs if pair not in named and _holds(one, pair, page)[0] != "false"
    )


def _asked(one: ContractSettings, role: Role, page: Page, pairs: Iterable[Pair], fresh: Iterable[Pair]) -> Told:
    name, mine = f"{Watch.ROLES.value}.{role.name}", [pair for pair in pairs if pair[0] == role.id]
    found = _told(one, name, page, mine, {account for of, account in fresh if of == role.id})
    if found.fact is None or found.why:
        return found
    left = [account for account in role.members if account not in (found.fact.value or "")]
    if not left:
        return Told(name=name, fact=found.fact)
    return contradicted(name, found.fact, found.fact, f"{name}: {left[0]} is configured, and does not have it")


def _told(one: ContractSettings, name: str, page: Page, pairs: Iterable[Pair], fresh: Iterable[str]) -> Told:
    """Return who of these has a role, and who has had it for a moment; as accounts, or as pairs of `OTHERS`."""
    holders: list[str] = list(fresh)
    subjects: list[str] = []
    odd = ""
    for pair in pairs:
        held, subject, why = _holds(one, pair, page)
        if held is None:
            is_else = page.text(subject) is not None
            fact = page.joined([subject], why) if is_else else None
            return Told(name=name, fact=None, why=f"{name}: {why}", wrong=fact and fact.told(f"{name}: {why}"))
        odd = odd or why
        subjects.append(subject)
        if held == "true":
            holders.append(pair[1] if name != OTHERS else "/".join(pair))
    subjects += _logs(page)
    if not subjects:
        return Told(name=name, fact=None)  # the logs were looked at before, or the others say that nobody tells them
    fact = page.joined(subjects, list_text(holders))
    return contradicted(name, fact, fact, f"{name}: {odd}") if odd else Told(name=name, fact=fact)


def _holds(one: ContractSettings, pair: Pair, page: Page) -> tuple[str | None, str, str]:
    """Return whether an account has a role, as text, by which subject that is known, and what is odd about it."""
    call, slot = _has(one, pair)
    asked = subject_of(call)
    returned = words.truth(page.text(asked) or "")
    if slot is None:
        if returned is None:
            is_else = page.text(asked) is not None
            return None, asked, "hasRole() returns no such value" if is_else else page.why(asked, f"hasRole({pair[1]})")
        return _truth(returned), asked, ""
    subject = f"{one.address}:0x{slot.hex()}"
    text = page.text(subject)
    if text is None:
        return None, subject, page.why(subject, f"the role of {pair[1]}")
    value = int(text, 16) & 0xFF != 0
    is_odd = returned not in (None, value) and page.is_sure(asked)
    return _truth(value), subject, "hasRole() and the slot differ: check the slot of roles" if is_odd else ""


def _truth(value: bool) -> str:  # noqa: FBT001 - of a value
    return "true" if value else "false"


def _admin_of(one: ContractSettings, role: Role, page: Page) -> Told:
    name = f"{Watch.ROLES.value}.{role.name}.admin"
    call, slot = _admin(one, role)
    subject = subject_of(call) if slot is None else f"{one.address}:0x{slot.hex()}"
    text = page.text(subject)
    if text is None:
        return Told(name=name, fact=None, why=page.why(subject, name))
    if words.number(text) is None:
        why = f"{name}: getRoleAdmin() returns no such value: is it no AccessControl?"
        return contradicted(name, None, page.joined([subject], why), why)
    return Told(name=name, fact=page.joined([subject], text), why=page.why(subject, name))


def _listed(one: ContractSettings, role: Role, page: Page, fresh: Iterable[Pair]) -> Told:
    name, values = f"{Watch.ROLES.value}.{role.name}", page.texts()
    subjects = [subject_of(_count(one, role))]
    count = _counted(one, role, values)
    if count is None and subjects[0] in values:
        why = f"{name}: getRoleMemberCount() returns no such value: is it not enumerable?"
        return contradicted(name, None, page.joined(subjects, why), why)
    if count is None:
        return Told(name=name, fact=None, why=page.why(subjects[0], name))
    if count > MOST:
        return Told(name=name, fact=None, why=f"{name}: more than {MOST} have it, which are not read")
    subjects += [subject_of(_member(one, role, at)) for at in range(count)]
    members = [words.address(values.get(subject, "")) for subject in subjects[1:]]
    missing = next((subject for subject, one in zip(subjects[1:], members, strict=True) if one is None), None)
    if missing is not None:
        return Told(name=name, fact=None, why=page.why(missing, name) or f"{name}: a member is no address")
    had = {account for of, account in fresh if of == role.id}
    holders = {member for member in members if member is not None} | had
    others = sorted(holders - set(role.members)) if role.members else []
    fact = page.joined(subjects, list_text(holders))
    if not others:
        return Told(name=name, fact=fact)
    return contradicted(name, fact, fact, f"{name}: {others[0]} has it and is not configured")
