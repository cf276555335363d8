"""What a protocol is to everything above it: rules over integers, and data that says what has to be read.

Rules are one value per protocol and revision. A market and an account are the protocol's own frozen values of integers,
complete for one block; nothing here asks a node. `columns` and `legs` are what a book is made of, in which floats rank;
`verdict` is what decides, by the very roundings of the contracts.

Amounts are in the smallest unit of their asset, values in the market's base unit (Aave v3: 1e-8 USD), factors that are
called `wad` have 18 decimals, times are seconds of the chain.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from tocsin.chain.abi import AbiError, Signature, Value, decode, encode, signature
from tocsin.chain.keccak import keccak256
from tocsin.chain.logrules import EventRule, Fixed, Topic, Word
from tocsin.errors import TocsinError
from tocsin.model.block import BlockRef
from tocsin.protocols.places import Base, Difference, Parts, Target, Unread
from tocsin.risk.columns import Columns
from tocsin.risk.table import Legs

Market = TypeVar("Market")
Account = TypeVar("Account")
Read_co = TypeVar("Read_co", covariant=True)

WAD = 10**18


class UnknownRevisionError(TocsinError):
    """Arithmetic was asked of a revision that is not known; ask the chain's own view function instead."""


class UnknownStateError(TocsinError):
    """An account cannot be valued, by the contracts neither: a price is missing, a number overflows."""


class Exactness(StrEnum):
    """How it is known that rules count as the contracts do."""

    VERIFIED = "verified against contracts"
    SOURCE = "from source"
    CHAIN = "chain"
    """They do not count: the contract's own view function answers."""

    @property
    def of_verdicts(self) -> str:
        """What an alert says of a verdict by such rules; only an `exact` one may trigger a response."""
        return {"VERIFIED": "exact", "SOURCE": "screened", "CHAIN": "chain"}[self.name]


# -- verdicts


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the contracts would say of an account at one time."""

    liquidatable: bool
    """By health alone; whether one can happen now is said by `blocked`."""
    health_wad: int | None
    """1e18 is the line; None without debt."""
    collateral_base: int
    debt_base: int
    blocked: str = ""
    """Why no liquidation can happen now (a pause, a grace period, a sentinel), empty if one can."""
    details: Mapping[str, int] = field(default_factory=dict)
    """What the protocol's own view function answers besides, by its names."""

    @property
    def underwater(self) -> bool:
        """Whether it owes more than it has."""
        return self.collateral_base < self.debt_base


class Reach(StrEnum):
    """At which prices of one asset an account can be liquidated, all other prices as they are."""

    NEVER = "never"
    BELOW = "below"
    ABOVE = "above"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Where the price of an asset, in the oracle's own unit, makes an account liquidatable.

    `edge` is the first such price that is met from the healthy side; from `solid` outwards all are such prices. Both
    are the same but where roundings make health rise and fall again within a few units.
    """

    asset: bytes
    reach: Reach
    edge: int | None = None
    solid: int | None = None
    exact: bool = True
    """Whether both are just that; else the edge lies between them, and no price on its healthy side is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidation:
    """What one liquidation does."""

    repaid: int
    """Of the debt's asset."""
    seized: int
    """Of the collateral's asset, the fee included."""
    fee: int = 0
    """Of `seized`, what the protocol keeps."""
    deficits: tuple[tuple[bytes, int], ...] = ()
    """Debts that are written off with it: asset and amount, in the order of the assets in the market."""
    debt_left: int = 0
    """Of the repaid asset, as the account owes it afterwards."""
    collateral_left: int = 0
    """Of the seized asset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why the contracts would refuse a liquidation; `reason` is one of the protocol's own words for it."""

    reason: str


# -- what is read: data, from which questions are made


@lru_cache(maxsize=1_024)
def _signature(text: str) -> Signature:
    return signature(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A view function of a contract that has a part in the market: `signature` with what it returns.

    `of` names the part (pool, oracle, the collateral token of a reserve ...), `takes` what its arguments are.
    """

    of: str
    signature: str
    takes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        asked = self.asks
        if len(asked.takes.of) != len(self.takes) or asked.returns is None:
            raise AbiError(f"{self.signature}: takes {len(asked.takes.of)} arguments, {len(self.takes)} are named")

    @property
    def asks(self) -> Signature:
        """The function."""
        return _signature(self.signature)


@dataclass(frozen=True, slots=True)
class Question:
    """One call of a read: of whom, with what."""

    read: Read
    to: bytes
    arguments: tuple[Value, ...] = ()

    @property
    def data(self) -> bytes:
        """What the contract is called with."""
        asked = self.read.asks
        return asked.selector + encode(asked.takes, self.arguments)

    def answer(self, data: bytes) -> Value:
        """Return what is in an answer: one value, or a tuple of several. Raises AbiError."""
        returns = self.read.asks.returns
        values = decode(returns, data) if returns is not None else ()
        return values[0] if isinstance(values, tuple) and len(values) == 1 else values

    def answered(self, data: bytes | None) -> Value | None:
        """Return what a reading is sent for it: None where the call failed, and where its bytes are no such answer."""
        try:
            return None if data is None else self.answer(data)
        except AbiError:
            return None


Reading = Generator[tuple[Question, ...], Sequence[Any], Read_co]
"""Questions in batches, each of which is sent the answers to it, in its order, until it returns what was read.

An answer is what `Question.answered` makes of the bytes. Whoever drives a reading chooses node and block, the same for
all its batches: a pure function may so need the answer to ask on. A batch may be empty.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of a part of the market. One with an `account` says that it was touched; others are of the market."""

    of: str
    signature: str
    account: Topic | Word | None = None
    market: Topic | None = None
    """Where the market's id stands, in the events of a contract that has many."""

    @property
    def topic0(self) -> bytes:
        """What logs of it begin with: 32 bytes."""
        return keccak256(self.signature.encode())

    def only(self, market: bytes) -> Fixed | None:
        """Return what has to stand in logs of a market, by its id; None where its contract has no other."""
        return None if self.market is None else Fixed(self.market, market)

    def rule(self, addresses: tuple[bytes, ...], market: bytes = b"") -> EventRule:
        """Return the rule by which an index follows it. Raises ValueError for an event without an account, or an id."""
        if self.account is None:
            raise ValueError(f"{self.signature} names no account")
        return EventRule(
            name=f"{self.of} {self.signature.partition('(')[0]} {type(self.account).__name__.lower()} "
            f"{self.account.number}",
            addresses=addresses,
            topic0=self.topic0,
            account=self.account,
            only=self.only(market),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What of a protocol is read and followed."""

    revision: Read | None
    """What says which rules hold; asked again at every block. None where code never changes."""
    market: tuple[Read, ...]
    """Once per block, per asset where an argument is one."""
    account: tuple[Read, ...]
    """Once per touched account, per asset that it has where an argument is one."""
    view: Read | None
    """What the protocol itself says of an account: for the self-check, and for revisions that are not known.

    None where it says nothing of accounts.
    """
    owes: tuple[Event, ...]
    """Whose accounts make up the book: everybody who has ever owed."""
    touches: tuple[Event, ...]
    """After which an account has to be read again."""
    changes: tuple[Event, ...]
    """After which the contracts may be others. Not what moves by itself: the market is read at each block anyway."""


# -- rules


class Rules(Protocol[Market, Account]):
    """What decides, of one protocol at one revision."""

    @property
    def kind(self) -> str: ...
    @property
    def revision(self) -> str: ...
    @property
    def exactness(self) -> Exactness: ...
    @property
    def plan(self) -> Plan: ...

    # -- what is read: each of these is driven by answers of one block

    def parts(self, target: Target) -> Reading[Parts]:
        """Find the contracts of a market. To be read again after an event of `plan.changes`.

        Raises UnknownStateError where one of them does not answer.
        """
        ...

    def market(self, parts: Parts, block: BlockRef) -> Reading[Market]:
        """Read a market. Raises UnknownStateError where it does not answer; a price that is missing is part of it."""
        ...

    def accounts(self, parts: Parts, market: Market, addresses: Sequence[bytes]) -> Reading[Sequence[Account | Unread]]:
        """Read accounts, in their order. One that cannot be read is said to be so, and keeps no other from being."""
        ...

    def view(self, parts: Parts, addresses: Sequence[bytes]) -> Reading[Sequence[Value | Unread]]:
        """Ask what the protocol itself says of accounts, in their order."""
        ...

    # -- what was read

    def base(self, parts: Parts, market: Market) -> Base:
        """Return what values of the market are in."""
        ...

    def prices(self, market: Market) -> Mapping[bytes, int | None]:
        """Return each asset's price in the oracle's own unit; None where there is none."""
        ...

    def parameters(self, parts: Parts, market: Market) -> tuple[tuple[str, str], ...]:
        """Return what governance sets, by names that stay: thresholds, bonuses, caps, pauses, oracles."""
        ...

    def doubt(self, before: Market, after: Market) -> str:
        """Return why a market cannot have become what was read at a later block of the same chain; empty if it can."""
        ...

    def view_verdict(self, answer: Value) -> Verdict:
        """Return what an answer of the view says of an account. Raises UnknownStateError where it says nothing."""
        ...

    def differs(self, market: Market, account: Account, answer: Value, at_s: int) -> tuple[Difference, ...]:
        """Return in what the rules differ from an answer of the view, at the same block and its time."""
        ...

    # -- what is counted

    def columns(self, market: Market, at_s: int) -> Columns:
        """Return what legs can be, and what a unit of each is worth at a time: what a book is valued with."""
        ...

    def legs(self, market: Market, account: Account, at_s: int) -> Legs:
        """Return what a book holds of an account: shares where a protocol has shares, which change on touch alone."""
        ...

    def verdict(self, market: Market, account: Account, at_s: int) -> Verdict:
        """Return what the contracts would say of an account in a block of this time."""
        ...

    def critical_price(self, market: Market, account: Account, asset: bytes, at_s: int) -> Region:
        """Return at which prices of an asset, all others as they are, the account can be liquidated."""
        ...

    def liquidation(
        self,
        market: Market,
        account: Account,
        collateral: bytes,
        debt: bytes,
        amount: int | None,
        at_s: int,
    ) -> Liquidation | Refusal:
        """Return what a liquidator who offers `amount` of the debt's asset (None: all that is allowed) brings about."""
        ...


# -- reading


def known(answer: Any, read: Read) -> Any:
    """Return an answer that has to be there. Raises UnknownStateError."""
    if answer is None:
        returns = read.asks.returns
        raise UnknownStateError(f"{read.of}: {read.asks.name}() failed, or what it returned is no {returns}")
    return answer


def asked_view(plan: Plan, parts: Parts, addresses: Sequence[bytes]) -> Reading[Sequence[Value | Unread]]:
    """Ask the view of a plan, whose one argument is the account."""
    view = plan.view
    place = None if view is None else parts.one(view.of)
    if view is None or place is None:
        return [Unread(account=address, reason="the protocol has no view of an account") for address in addresses]
    answers = yield tuple(Question(view, place, (address,)) for address in addresses)
    silent = f"{view.of}: {view.asks.name}() failed, or what it returned is no {view.asks.returns}"
    return [
        Unread(account=address, reason=silent) if answer is None else answer
        for address, answer in zip(addresses, answers, strict=True)
    ]
