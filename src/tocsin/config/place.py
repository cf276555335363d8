"""Where values of contracts lie, and what tells them: slots, by number or by a standard's name, functions, roles."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final

from pydantic import PlainValidator, WithJsonSchema

from tocsin.chain.keccak import keccak256
from tocsin.config.values import word
from tocsin.model.contract import STANDARD, Watch

_SIGNATURE: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,63}\(\)")
_ID: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
ADMIN_ROLE: Final = "DEFAULT_ADMIN_ROLE"
_THIRD: Final = 2


def _hash(text: str) -> str:
    return f"0x{keccak256(text.encode()).hex()}"


def _namespaced(name: str, at: int = 0) -> str:
    """Return a slot of a namespace of ERC-7201."""
    inner = int.from_bytes(keccak256(name.encode())) - 1
    root = int.from_bytes(keccak256(inner.to_bytes(32))) & ~0xFF
    return f"0x{root + at:064x}"


NAMED: Final[Mapping[str, Mapping[Watch, str]]] = {
    "eip1967": {watch: at.slot for watch, at in STANDARD.items()},
    "eip1822": {Watch.IMPLEMENTATION: _hash("PROXIABLE")},
    "zeppelinos": {
        Watch.IMPLEMENTATION: _hash("org.zeppelinos.proxy.implementation"),
        Watch.ADMIN: _hash("org.zeppelinos.proxy.admin"),
    },
    "erc7201": {
        Watch.OWNER: _namespaced("openzeppelin.storage.Ownable"),
        Watch.PAUSED: _namespaced("openzeppelin.storage.Pausable"),
        Watch.ROLES: _namespaced("openzeppelin.storage.AccessControl"),
        Watch.SUPPLY: _namespaced("openzeppelin.storage.ERC20", _THIRD),
    },
}
"""Slots by the name of the standard that sets them. Sources: EIP-1967, EIP-1822, the first proxies of OpenZeppelin, and
the namespaces of OpenZeppelin Contracts Upgradeable 5 (ERC-7201)."""


def placed_slot(value: Any) -> str:
    """Check a slot: its number, 0x and 64 hex digits, or the name of a standard."""
    if isinstance(value, str) and value in NAMED:
        return value
    try:
        return word(value)
    except ValueError:
        near = get_close_matches(value.lower()[:64], list(NAMED), n=1) if isinstance(value, str) else []
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ValueError(
            f"is no slot; write its number, or a string of 0x and 64 hex digits, or one of {', '.join(NAMED)}{hint}"
        ) from None


def slot_of(watch: Watch, slot: str) -> str:
    """Return the slot of a checked value. Raises ValueError where a standard sets none for it."""
    if slot not in NAMED:
        return slot
    if watch not in NAMED[slot]:
        known = [name for name, slots in NAMED.items() if watch in slots]
        able = f"write its number, or one of {', '.join(known)}" if known else "write its number"
        raise ValueError(f"{slot} sets no slot for {watch.value}; {able}")
    return NAMED[slot][watch]


def signature(value: Any) -> str:
    """Check a function that takes nothing."""
    if not isinstance(value, str) or not _SIGNATURE.fullmatch(value):
        raise ValueError("is no function that takes nothing; write its name and (), such as guardian()")
    return value


def selector(function: str) -> str:
    """Return the selector of a function."""
    return f"0x{keccak256(function.encode())[:4].hex()}"


def role(value: Any) -> str:
    """Check the id of a role, or the name whose hash it is."""
    if not isinstance(value, str) or not (_ID.fullmatch(value) or (_NAME.fullmatch(value) and value[:2] != "0x")):
        raise ValueError("is no role; write 0x and 64 hex digits, or its name, such as MINTER_ROLE")
    return value


def role_id(value: str) -> str:
    """Return the id of a checked role: 0x and 64 hex digits."""
    if _ID.fullmatch(value):
        return value.lower()
    return f"0x{bytes(32).hex()}" if value == ADMIN_ROLE else _hash(value)


PlacedSlot = Annotated[
    str,
    PlainValidator(placed_slot),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": "^0x[0-9a-fA-F]{64}$"},
                {"type": "string", "enum": list(NAMED)},
            ]
        }
    ),
]
Signature = Annotated[
    str,
    PlainValidator(signature),
    WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z_$][A-Za-z0-9_$]{0,63}\(\)$", "examples": ["guardian()"]}),
]
RoleId = Annotated[
    str,
    PlainValidator(role),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^(0x[0-9a-fA-F]{64}|[A-Za-z_][A-Za-z0-9_]{0,63})$",
            "examples": ["MINTER_ROLE"],
        }
    ),
]
