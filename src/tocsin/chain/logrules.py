"""Which logs speak of an account, and of which: a protocol, to the indexer, is a list of such rules.

A log says who has touched a position, never how large it is: amounts are read from the state. So a rule is no more than
contracts, an event and where in it the account stands. One event may stand in several rules: a transfer has two ends.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from tocsin.model.index import IndexEvent, IndexSettings
from tocsin.model.log import Log
from tocsin.model.logquery import LogFilter

_WORD: Final = 32
_ADDRESS: Final = 20
_PADDING: Final = bytes(_WORD - _ADDRESS)
_LAST_TOPIC: Final = 3
_MOST_WORDS: Final = 1024
_FIXED: Final = re.compile(r"topic([1-3])=0x([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Topic:
    """An indexed argument: topic 1, 2 or 3."""

    number: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= _LAST_TOPIC:
            raise ValueError(f"topic {self.number}: an argument stands in topic 1, 2 or 3")


@dataclass(frozen=True, slots=True)
class Word:
    """An argument that is not indexed: this word of the data, the first is 0."""

    number: int

    def __post_init__(self) -> None:
        if not 0 <= self.number < _MOST_WORDS:
            raise ValueError(f"word {self.number}: a word of the data has a number from 0 to {_MOST_WORDS - 1}")


@dataclass(frozen=True, slots=True)
class Fixed:
    """What has to stand in an indexed argument, 32 bytes: one contract may keep many markets apart by it."""

    topic: Topic
    value: bytes

    def __post_init__(self) -> None:
        if len(self.value) != _WORD:
            raise ValueError(f"topic {self.topic.number} has {_WORD} bytes, not {len(self.value)}")

    def holds(self, log: Log) -> bool:
        """Tell whether it stands there in a log."""
        at = self.topic.number
        return at < len(log.topics) and log.topics[at] == self.value

    def __str__(self) -> str:
        return f"topic{self.topic.number}=0x{self.value.hex()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRule:
    """One event of some contracts, and where the account stands in it.

    An account is an address of 20 bytes or, with `whole`, all 32 bytes of the word: protocols have positions that are
    no addresses, as Liquity's troves. With `only` no log counts but those in which this stands. Raises ValueError for
    what cannot be.
    """

    name: str
    addresses: tuple[bytes, ...]
    topic0: bytes
    account: Topic | Word
    whole: bool = False
    only: Fixed | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("an event rule has no name")
        if not self.addresses or any(len(address) != _ADDRESS for address in self.addresses):
            raise ValueError(f"{self.name}: expected at least one contract address of {_ADDRESS} bytes")
        if len(self.topic0) != _WORD:
            raise ValueError(f"{self.name}: topic 0 has {_WORD} bytes, not {len(self.topic0)}")

    def account_of(self, log: Log) -> bytes | None:
        """Return the account that a log of this event names; None where no account stands in that place."""
        match self.account:
            case Topic(number):
                word = log.topics[number] if number < len(log.topics) else b""
            case Word(number):
                word = log.data[_WORD * number : _WORD * (number + 1)]
        if len(word) != _WORD:
            return None
        if self.whole:
            return word
        return word[-_ADDRESS:] if word.startswith(_PADDING) else None


@dataclass(frozen=True, kw_only=True)
class RuleSet:
    """The rules of one index, and the block from which on it looks: the oldest contract's, or an earlier one.

    Raises ValueError for no rules, two of one name, or a negative start.
    """

    rules: tuple[EventRule, ...]
    start: int = 0

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        if not names or len(set(names)) != len(names):
            raise ValueError("an index needs at least one event rule, each with a name of its own")
        if self.start < 0:
            raise ValueError(f"an index cannot start at block {self.start}")

    @cached_property
    def wanted(self) -> LogFilter:
        """What nodes are asked for. It may match more than the rules do, if they differ in their contracts."""
        addresses = {address for rule in self.rules for address in rule.addresses}
        topics = {rule.topic0 for rule in self.rules}
        return LogFilter(
            addresses=tuple(sorted(addresses)), topics=tuple(sorted(topics)), first_arguments=self._first_arguments
        )

    @property
    def _first_arguments(self) -> tuple[bytes, ...]:
        """Return what topic 1 may be, where every rule fixes it; else nothing, as any may be wanted."""
        found = {rule.only.value for rule in self.rules if rule.only is not None and rule.only.topic.number == 1}
        fixes = all(rule.only is not None and rule.only.topic.number == 1 for rule in self.rules)
        return tuple(sorted(found)) if fixes else ()

    @cached_property
    def by_source(self) -> Mapping[tuple[bytes, bytes], tuple[int, ...]]:
        """Which rules are for the event of a topic 0 of a contract, by their place in `rules`."""
        found: dict[tuple[bytes, bytes], tuple[int, ...]] = {}
        for place, rule in enumerate(self.rules):
            for address in set(rule.addresses):
                source = (address, rule.topic0)
                found[source] = (*found.get(source, ()), place)
        return found

    @cached_property
    def digest(self) -> bytes:
        """What names these rules: an index of one set of rules is none of another. 32 bytes."""
        parts = [b"tocsin log index 1", str(self.start).encode(), *(_told(rule) for rule in self.rules)]
        return hashlib.sha256(b"\x00".join(len(part).to_bytes(4) + part for part in parts)).digest()

    def named(self, logs: Iterable[Log]) -> Iterator[tuple[int, bytes | None]]:
        """Yield the rule, by its place, and the account of each log that a rule is for; None where there is none."""
        for log in logs:
            if log.topics:
                for place in self.by_source.get((log.address, log.topics[0]), ()):
                    rule = self.rules[place]
                    if rule.only is None or rule.only.holds(log):
                        yield place, rule.account_of(log)


def rules_of(settings: IndexSettings) -> RuleSet:
    """Return the rules of an index that is configured. Raises ValueError for what cannot be."""
    return RuleSet(rules=tuple(_rule(event) for event in settings.events), start=settings.start)


def _rule(event: IndexEvent) -> EventRule:
    kind = Topic if event.account.startswith("topic") else Word
    return EventRule(
        name=event.name,
        addresses=tuple(bytes.fromhex(address[2:]) for address in event.addresses),
        topic0=bytes.fromhex(event.topic[2:]),
        account=kind(int(event.account.removeprefix("topic").removeprefix("data"))),
        whole=event.whole,
        only=_fixed(event.only),
    )


def event_of(rule: EventRule) -> IndexEvent:
    """Return a rule as settings have it."""
    place = "topic" if isinstance(rule.account, Topic) else "data"
    return IndexEvent(
        name=rule.name,
        addresses=tuple(sorted({f"0x{address.hex()}" for address in rule.addresses})),
        topic=f"0x{rule.topic0.hex()}",
        account=f"{place}{rule.account.number}",
        whole=rule.whole,
        only="" if rule.only is None else str(rule.only),
    )


def _fixed(text: str) -> Fixed | None:
    if not text:
        return None
    found = _FIXED.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} fixes no topic; write it as topic1=0x and 64 digits")
    return Fixed(Topic(int(found[1])), bytes.fromhex(found[2]))


def _told(rule: EventRule) -> bytes:
    addresses = ",".join(sorted({address.hex() for address in rule.addresses}))
    where = f"{type(rule.account).__name__} {rule.account.number}{' whole' if rule.whole else ''}"
    only = "" if rule.only is None else f"|{rule.only}"
    return f"{rule.name}|{addresses}|{rule.topic0.hex()}|{where}{only}".encode()
