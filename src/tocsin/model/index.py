"""Log indexes: what they are made of, and how far each is.

What an index is built of is a list of events; a protocol, to it, is no more than such a list.
"""

from dataclasses import dataclass
from typing import Final

from tocsin.model.alert import Grade, Labels
from tocsin.model.block import BlockRef

INDEX: Final = "index"
"""Label of an alert about an index."""

FIRST_SPAN: Final = 256
MOST_SPAN: Final = 10_000
"""Blocks in one question: nodes that bound it at all bound it there or lower."""
AUDIT_ONE_IN: Final = 1_000
BALANCE: Final = "balanceOf(address)"
AMOUNTS_EVERY_NS: Final = 600 * 10**9
MOST_AMOUNTS: Final = 20_000
"""Accounts: some 20 questions to a node each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEvent:
    """One event of some contracts. `account` says where in it the account stands: `topic1` to `topic3`, or `data0` on.

    Addresses are 0x and 40 lower-case digits, `topic` (the event's topic 0) 0x and 64.
    """

    name: str
    addresses: tuple[str, ...]
    topic: str
    account: str
    whole: bool = False
    """Whether an account is all 32 bytes, not an address."""
    only: str = ""
    """What has to stand in one of its topics, `topic1=0x` and 64 digits: which market of a contract of many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmountSettings:
    """What those hold whom an index names: what `contract` (0x, lower case) returns of each to `call`, one word."""

    contract: str
    call: str = BALANCE
    decimals: int = 0
    every_ns: int = AMOUNTS_EVERY_NS
    """Not read more often than so."""
    most: int = MOST_AMOUNTS
    """Of more accounts nothing is read."""

    @property
    def identity(self) -> str:
        """What has to be the same for amounts to be of the same thing."""
        return f"{self.contract} {self.call}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """An index that is kept: which events, from which block on, and how nodes are asked for it."""

    name: str
    start: int
    events: tuple[IndexEvent, ...]
    span: int = FIRST_SPAN
    """Blocks in the first question to a node."""
    most_span: int = MOST_SPAN
    audit_one_in: int = AUDIT_ONE_IN
    """Of the finalized blocks one in so many is held against its receipts though nobody doubts it; 0 for none."""
    receipts_one_in: int = 1
    """Of the newest blocks with logs one in so many is held against the receipts of every node; 0 for none."""

    amount: AmountSettings | None = None
    """What those hold whom it names, where that is asked of a contract."""

    @property
    def identity(self) -> str:
        """What has to be the same for an index to be the same one."""
        return "; ".join((str(self.start), *(_told(one) for one in self.events)))

    @property
    def addresses(self) -> tuple[str, ...]:
        """The contracts whose logs are looked for, each once, sorted."""
        return tuple(sorted({address for one in self.events for address in one.addresses}))


def _told(event: IndexEvent) -> str:
    told = f"{event.name} {','.join(event.addresses)} {event.topic} {event.account} {event.whole}"
    return f"{told} {event.only}" if event.only else told


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSample:
    """How far an index is. Rates are of the last steps, and None where there is nothing to catch up; so is `eta_s`."""

    through: BlockRef | None = None
    """The last block of the index; None before the first, the hash empty within a back-fill."""
    target: int | None = None
    """The finalized block that it is brought to; None while none is known."""
    tail: BlockRef | None = None
    """The newest block that is followed above the finalized one."""
    logs: int = 0
    accounts: int = 0
    """Counted once for each event."""
    unreadable: int = 0
    """Logs of the right contract and event that name no account where one should stand."""
    grade: Grade | None = None
    """The worst that any stretch of it is known with; None of nothing."""
    blocks_per_min: int | None = None
    logs_per_min: int | None = None
    eta_s: int | None = None
    audited: int = 0
    """Blocks that were held against their receipts, since the start of the daemon."""
    stuck: str = ""
    """Why it does not get on."""
    problem: str = ""
    """What is odd about it, while it gets on: contracts without code, a file that had to be built anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSeen:
    """What the core knows of an index: the newest sample. `identity` is of the settings that it was taken under."""

    identity: str
    sample: IndexSample
    at_ns: int
    stuck_ns: int | None = None
    """Since when it has not got on; None while it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexView:
    """One index at one tick."""

    settings: IndexSettings
    labels: Labels
    seen: IndexSeen


@dataclass(frozen=True, slots=True, kw_only=True)
class AmountSample:
    """What the accounts of an index hold, at one finalized block. `identity` is of the settings that it was read by."""

    identity: str
    block: BlockRef | None = None
    """None while nothing was read."""
    accounts: int = 0
    holding: int = 0
    """Accounts that hold anything."""
    unknown: int = 0
    """Accounts of which it is not known."""
    total: str = "0"
    """What all others hold together, in the smallest unit: decimal text, for it may have any size."""
    grade: Grade | None = None
    """The worst that any amount is known with."""
    audited: int = 0
    """Amounts that a second group was asked for as well."""
    disputed: int = 0
    """Amounts that groups say differently of, so that they are not known."""
    problem: str = ""
    """Why nothing was read now, or not all."""
