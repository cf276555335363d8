"""A protocol as something that can be configured and followed, before it is known which of its revisions is there."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tocsin.chain.logrules import event_of
from tocsin.model.index import IndexEvent
from tocsin.model.log import Log
from tocsin.model.logquery import LogFilter
from tocsin.protocols.base import Event, Plan, Question, Read, Reading, Rules, known
from tocsin.protocols.places import Parts, Target

_ADDRESS, _ID = 20, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A protocol. Its module has one as `KIND`."""

    name: str
    """As it is configured: `aave-v3`."""
    rules: Callable[[str], Rules[Any, Any]]
    """The rules of a revision; of an unknown one those that ask the chain."""
    revision: Callable[[Target], Reading[str]]
    """Reads which revision is there: a call or none, so it is asked at every block. Raises UnknownStateError."""
    owes: tuple[Event, ...]
    """Whose accounts make up the book; of the pool, or of the tokens that are configured."""
    revisions: tuple[str, ...]
    """Those that are counted."""
    pool: str = "pool"
    """What the part is called that is configured as `pool`."""
    tokens: str = ""
    """What those parts are called that are configured as `tokens`; empty if none are."""
    has_ids: bool = False
    """Whether its contract has many markets, one of which is configured by `id`."""

    def check(self, target: Target) -> None:
        """Raise ValueError for a target that lacks what the protocol needs, or has what it does not know."""
        if len(target.pool) != _ADDRESS or any(len(token) != _ADDRESS for token in target.tokens):
            raise ValueError(f"an address has {_ADDRESS} bytes")
        if self.has_ids != bool(target.id):
            needed = f"a market of {self.name} is named by its id" if self.has_ids else f"{self.name} knows no ids"
            raise ValueError(f"{needed}: {'write id' if self.has_ids else 'leave id out'}")
        if self.has_ids and len(target.id) != _ID:
            raise ValueError(f"an id has {_ID} bytes, not {len(target.id)}")
        if bool(self.tokens) != bool(target.tokens):
            needed = f"{self.name} needs tokens, the contracts whose events name who owes"
            raise ValueError(needed if self.tokens else f"{self.name} finds its tokens by itself: leave tokens out")

    def configured(self, target: Target) -> Parts:
        """Return the parts that are known before anything is read."""
        tokens = {self.tokens: target.tokens} if self.tokens else {}
        return Parts(target=target, at={self.pool: (target.pool,), **tokens})

    def index(self, target: Target) -> tuple[IndexEvent, ...]:
        """Return the events of the log index that names all who ever owed. Raises ValueError, as `check` does."""
        self.check(target)
        parts = self.configured(target)
        return tuple(event_of(event.rule(parts.all(event.of), target.id)) for event in self.owes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """What the logs of some blocks say: who has to be read again, and whether the contracts may be other ones."""

    accounts: frozenset[bytes]
    changed: bool
    """Whether revision and parts have to be read again."""


def followed(plan: Plan, parts: Parts) -> LogFilter:
    """Return which logs say who has to be read again, and whether parameters changed.

    It may match more: a contract that has many markets is asked for one alone where all events have its id first.
    """
    events = [event for event in (*plan.touches, *plan.changes) if parts.all(event.of)]
    addresses = {address for event in events for address in parts.all(event.of)}
    only = {event.only(parts.target.id) for event in events}
    return LogFilter(
        addresses=tuple(sorted(addresses)),
        topics=tuple(sorted({event.topic0 for event in events})),
        first_arguments=tuple(one.value for one in only if one and one.topic.number == 1 and len(only) == 1),
    )


def touched(plan: Plan, parts: Parts, logs: Iterable[Log]) -> Touched:
    """Return what logs of a market's contracts say. One that names no account where one should stand says nothing."""
    touches = _by_source(plan.touches, parts)
    changes = _by_source(plan.changes, parts)
    accounts, changed = set[bytes](), False
    for log in logs:
        source = (log.address, log.topics[0]) if log.topics else (log.address, b"")
        changed = changed or any(_is_of(event, parts, log) for event in changes.get(source, ()))
        for event in touches.get(source, ()):
            found = event.rule((log.address,), parts.target.id).account_of(log) if _is_of(event, parts, log) else None
            accounts |= {found} if found is not None else set()
    return Touched(accounts=frozenset(accounts), changed=changed)


def _is_of(event: Event, parts: Parts, log: Log) -> bool:
    only = event.only(parts.target.id)
    return only is None or only.holds(log)


def _by_source(events: tuple[Event, ...], parts: Parts) -> dict[tuple[bytes, bytes], list[Event]]:
    found: dict[tuple[bytes, bytes], list[Event]] = {}
    for event in events:
        for address in parts.all(event.of):
            found.setdefault((address, event.topic0), []).append(event)
    return found


def answers_with(read: Read, target: Target) -> Reading[str]:
    """Read a revision that is what one call to the pool returns."""
    (said,) = yield (Question(read, target.pool),)
    return str(known(said, read))
