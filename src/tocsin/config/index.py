"""`[[chain.index]]`: who holds positions, from the event logs of contracts."""

import re
from typing import Annotated, Any, Final

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from tocsin.chain.keccak import keccak256
from tocsin.config.contract import Decimals
from tocsin.config.table import Table
from tocsin.config.values import Address, Duration, Listed, Name, Within
from tocsin.model.index import (
    AMOUNTS_EVERY_NS,
    AUDIT_ONE_IN,
    BALANCE,
    FIRST_SPAN,
    MOST_AMOUNTS,
    MOST_SPAN,
    AmountSettings,
    IndexEvent,
    IndexSettings,
)
from tocsin.units import DurationNs

_MOST_EVENTS: Final = 64
_MOST_ADDRESSES: Final = 256
_TOPIC_BYTES: Final = 32
_TOPIC: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]*")
_ACCOUNT: Final = re.compile(r"topic[1-3]|data(0|[1-9][0-9]{0,3})")
_LAST_WORD: Final = 1023
_EVENT: Final = re.compile(r"([A-Za-z_$][A-Za-z0-9_$]{0,127})\((.*)\)")
# The longest first: a pattern takes the first that fits.
_WIDTHS: Final = "|".join(str(bits) for bits in range(256, 0, -8))
_SIZES: Final = "|".join(str(size) for size in range(32, 0, -1))
_TYPE: Final = re.compile(rf"(address|bool|string|function|bytes(?:{_SIZES})?|u?int(?:{_WIDTHS}))")
_ARRAYS: Final = re.compile(r"(?:\[(?:[1-9][0-9]{0,9})?\])*")
_SHORT: Final = {"uint": "uint256", "int": "int256", "byte": "bytes1"}
_OF_ADDRESS: Final = "(address)"
_CALL: Final = re.compile(r"^[A-Za-z_$][A-Za-z0-9_$]{0,127}\((address|bytes32)\)$")
_EXAMPLE: Final = "Transfer(address,address,uint256)"


def topic(value: Any) -> str:
    """Read an event's topic 0: 0x and 64 hex digits, or the event as its contract declares it, types alone."""
    if not isinstance(value, str):
        raise ValueError(f"write a string: 0x and 64 hex digits, or the event, such as {_EXAMPLE}")  # noqa: TRY004
    if _TOPIC.fullmatch(value):
        return value.lower()
    if _HEX.fullmatch(value):
        found = f"{(len(value) - 2) / 2:g}"
        raise ValueError(f"has {found} bytes, a topic has {_TOPIC_BYTES}; write 0x and 64 hex digits, or the event")
    match = _EVENT.fullmatch(value)
    if match is None:
        raise ValueError(f"is no topic; write 0x and 64 hex digits, or the event, such as {_EXAMPLE}")
    _check_types(match[2])
    return f"0x{keccak256(value.encode()).hex()}"


def _check_types(text: str) -> None:
    """Check the types of an event. Raises ValueError for what would hash to a topic that no contract has."""
    if re.search(r"\s", text):
        raise ValueError(f"write the types alone, without names and spaces, such as {_EXAMPLE}")
    for one in _split(text):
        if one.startswith("("):
            inner, _, arrays = one[1:].rpartition(")")
            _check_types(inner)
        else:
            found = _TYPE.match(one)
            arrays = one[found.end() :] if found is not None else "?"
        if not _ARRAYS.fullmatch(arrays):
            plain = one.partition("[")[0]
            hint = f" (did you mean {_SHORT[plain]}?)" if plain in _SHORT else ""
            raise ValueError(f"{one[:64]!r} is no type of an event{hint}")


def _split(text: str) -> list[str]:
    """Split at the commas that stand in no tuple. Raises ValueError where brackets do not match."""
    depth, parts = 0, [""]
    for sign in text:
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            break
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    if depth:
        raise ValueError("has brackets that do not match")
    return parts if text else []


def account(value: Any) -> str:
    """Check where in an event the account stands."""
    match = _ACCOUNT.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1] or 0) > _LAST_WORD:
        raise ValueError(
            "is no place in an event; write topic1, topic2 or topic3 for an indexed argument, or data0, data1 and so "
            "on for a word of the data"
        )
    return str(value)


def account_call(value: Any) -> str:
    """Check a call of one account."""
    if not isinstance(value, str) or not _CALL.fullmatch(value):
        raise ValueError(f"is no call of one account; write its name and (address) or (bytes32), such as {BALANCE}")
    return value


AccountCall = Annotated[
    str,
    PlainValidator(account_call),
    WithJsonSchema({"type": "string", "pattern": _CALL.pattern, "examples": [BALANCE]}),
]
Topic = Annotated[
    str, PlainValidator(topic), WithJsonSchema({"type": "string", "minLength": 3, "examples": [_EXAMPLE]})
]
Place = Annotated[
    str,
    PlainValidator(account),
    WithJsonSchema({"type": "string", "pattern": "^(topic[1-3]|data[0-9]{1,4})$", "examples": ["topic1"]}),
]
Addresses = Annotated[tuple[Address, ...], Field(max_length=_MOST_ADDRESSES), Listed]


class EventTable(Table):
    """An event that names an account; one event may stand here several times, once for each account that it names."""

    name: Name
    """Unique within the index."""
    topic: Topic
    """Topic 0: 0x and 64 hex digits, or the event with its types, such as Transfer(address,address,uint256)."""
    account: Place
    """Where the account stands: topic1, topic2 or topic3 where it is indexed, data0 and on for a word of the data."""
    whole: bool = False
    """Whether an account is all 32 bytes of that word, not an address."""
    addresses: Addresses = ()
    """The contracts that it is of, where they are not those of the index."""


class SpanTable(Table):
    """How many blocks a node is asked about at once: a refusal halves that, a success doubles it."""

    first: Annotated[int, Field(ge=1, le=MOST_SPAN)] = FIRST_SPAN
    """To begin with."""
    most: Annotated[int, Field(ge=1, le=1_000_000)] = MOST_SPAN
    """At most."""

    @model_validator(mode="after")
    def _consistent(self) -> "SpanTable":
        if self.first > self.most:
            raise ValueError(f"begins with {self.first} blocks, and {self.most} are the most")
        return self


class AmountTable(Table):
    """What those hold whom an index names: asked of a contract for each of them, at the finalized block."""

    contract: Address | None = None
    """Which is asked; that of the index, where that names just one."""
    call: AccountCall = BALANCE
    """What it is asked: a function of the account alone that returns one number."""
    decimals: Decimals = 0
    """How many digits of what it returns lie behind the point."""
    every_ns: Annotated[Duration, Within("1s", "7d")] = Field(DurationNs(AMOUNTS_EVERY_NS), alias="every")
    """Not more often than so, and at most once for each finalized block."""
    most: Annotated[int, Field(ge=1, le=1_000_000)] = MOST_AMOUNTS
    """Of more accounts than these nothing is read, and that is told."""

    def settings(self, addresses: tuple[str, ...]) -> AmountSettings:
        """Return it as the core has it, for an index of these addresses."""
        contract = self.contract or addresses[0]
        return AmountSettings(
            contract=contract, call=self.call, decimals=self.decimals, every_ns=self.every_ns, most=self.most
        )


class IndexTable(Table):
    """A log index: every account that events of some contracts name, with its first and last block."""

    name: Name
    """In topics and the name of its file; unique within the chain."""
    start: Annotated[int, Field(ge=0, le=2**53)] = Field(alias="from")
    """The block from which on there may be such logs: that in which the oldest of the contracts was made."""
    addresses: Addresses = ()
    """The contracts of all events that name none themselves."""
    events: Annotated[tuple[EventTable, ...], Field(min_length=1, max_length=_MOST_EVENTS), Listed] = Field(
        alias="event"
    )
    """Which events, and where in them the account stands."""
    span: SpanTable = SpanTable.model_construct()
    """How many blocks a node is asked about at once."""
    audit_one_in: Annotated[int, Field(ge=0, le=1_000_000)] = AUDIT_ONE_IN
    """Of the finalized blocks one in so many is held against its receipts though nobody doubts it; 0 for none."""
    receipts_one_in: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    """Of the newest blocks with such logs one in so many is held against the receipts of every node; 0 for none."""

    amount: AmountTable | None = None
    """What those hold whom it names, where that is wanted."""

    @model_validator(mode="after")
    def _consistent(self) -> "IndexTable":
        bare = [one.name for one in self.events if not one.addresses]
        if bare and not self.addresses:
            raise ValueError(f"no contract is named for {', '.join(bare)}; write addresses, here or there")
        amount = self.amount
        if amount is not None and amount.contract is None and len(set(self.addresses)) != 1:
            raise ValueError("amount names no contract; say which one is asked: the index is of several")
        if amount is not None and amount.call.endswith(_OF_ADDRESS) and any(one.whole for one in self.events):
            wide = amount.call.replace(_OF_ADDRESS, "(bytes32)")
            raise ValueError(f"amount asks {amount.call} of accounts that are whole words; write {wide}")
        return self

    def settings(self) -> IndexSettings:
        """Return it as the core has it."""
        events = tuple(
            IndexEvent(
                name=one.name,
                addresses=tuple(sorted(set(one.addresses or self.addresses))),
                topic=one.topic,
                account=one.account,
                whole=one.whole,
            )
            for one in self.events
        )
        return IndexSettings(
            name=self.name,
            start=self.start,
            events=events,
            span=self.span.first,
            most_span=self.span.most,
            audit_one_in=self.audit_one_in,
            receipts_one_in=self.receipts_one_in,
            amount=None if self.amount is None else self.amount.settings(self.addresses),
        )
