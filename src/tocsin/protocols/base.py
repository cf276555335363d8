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
from typing import Any, NoReturn, Protocol, TypeVar

from tocsin.chain.abi import AbiError, Signature, Value, decode, encode, signature
from tocsin.chain.keccak import keccak256
from tocsin.chain.logrules import EventRule, Topic, Word
from tocsin.errors import TocsinError
from tocsin.risk.columns import Columns
from tocsin.risk.table import Legs

Market_contra = TypeVar("Market_contra", contravariant=True)
Account_contra = TypeVar("Account_contra", contravariant=True)
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
    """One call of a read: of whom, with what. An answer is what `answer` makes of the bytes, None where it reverted."""

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


Reading = Generator[tuple[Question, ...], Sequence[Any], Read_co]
"""Questions in batches, each of which is sent the answers to it, in its order, until it returns what was read.

Whoever drives it chooses node and block: a pure function may so need the answer to ask on.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of a part of the market. One with an `account` says that it was touched; others are of the market."""

    of: str
    signature: str
    account: Topic | Word | None = None

    @property
    def topic0(self) -> bytes:
        """What logs of it begin with: 32 bytes."""
        return keccak256(self.signature.encode())

    def rule(self, addresses: tuple[bytes, ...]) -> EventRule:
        """Return the rule by which an index follows it. Raises ValueError for an event without an account."""
        if self.account is None:
            raise ValueError(f"{self.signature} names no account")
        name = f"{self.of} {self.signature.partition('(')[0]} {self.account}"
        return EventRule(name=name, addresses=addresses, topic0=self.topic0, account=self.account)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What of a protocol is read and followed."""

    revision: Read
    """What says which rules hold; asked again whenever a proxy is upgraded."""
    market: tuple[Read, ...]
    """Once per block, per asset where an argument is one."""
    account: tuple[Read, ...]
    """Once per touched account, per asset that it has where an argument is one."""
    view: Read
    """What the protocol itself says of an account: for the self-check, and for revisions that are not known."""
    owes: tuple[Event, ...]
    """Whose accounts make up the book: everybody who has ever owed."""
    touches: tuple[Event, ...]
    """After which an account has to be read again."""
    changes: tuple[Event, ...]
    """After which the market's parameters have to be read again."""


# -- rules


class Rules(Protocol[Market_contra, Account_contra]):
    """What decides, of one protocol at one revision."""

    @property
    def kind(self) -> str: ...
    @property
    def revision(self) -> str: ...
    @property
    def exactness(self) -> Exactness: ...
    @property
    def plan(self) -> Plan: ...

    def columns(self, market: Market_contra, at_s: int) -> Columns:
        """Return what legs can be, and what a unit of each is worth at a time: what a book is valued with."""
        ...

    def legs(self, market: Market_contra, account: Account_contra, at_s: int) -> Legs:
        """Return what a book holds of an account: shares where a protocol has shares, which change on touch alone."""
        ...

    def verdict(self, market: Market_contra, account: Account_contra, at_s: int) -> Verdict:
        """Return what the contracts would say of an account in a block of this time."""
        ...

    def critical_price(self, market: Market_contra, account: Account_contra, asset: bytes, at_s: int) -> Region:
        """Return at which prices of an asset, all others as they are, the account can be liquidated."""
        ...

    def liquidation(
        self,
        market: Market_contra,
        account: Account_contra,
        collateral: bytes,
        debt: bytes,
        amount: int | None,
        at_s: int,
    ) -> Liquidation | Refusal:
        """Return what a liquidator who offers `amount` of the debt's asset (None: all that is allowed) brings about."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRules:
    """Rules of a revision that is not known: they say what to read, and count nothing."""

    kind: str
    revision: str
    plan: Plan

    @property
    def exactness(self) -> Exactness:
        """That the chain has to be asked."""
        return Exactness.CHAIN

    def columns(self, market: Any, at_s: int) -> Columns:
        self._refuse(market, at_s)

    def legs(self, market: Any, account: Any, at_s: int) -> Legs:
        self._refuse(market, account, at_s)

    def verdict(self, market: Any, account: Any, at_s: int) -> Verdict:
        self._refuse(market, account, at_s)

    def critical_price(self, market: Any, account: Any, asset: bytes, at_s: int) -> Region:
        self._refuse(market, account, asset, at_s)

    def liquidation(
        self, market: Any, account: Any, collateral: bytes, debt: bytes, amount: int | None, at_s: int
    ) -> Liquidation | Refusal:
        self._refuse(market, account, collateral, debt, amount, at_s)

    def _refuse(self, *_: object) -> NoReturn:
        asked = self.plan.view.signature.partition("(")[0]
        raise UnknownRevisionError(f"{self.kind} {self.revision} counts in a way that is not known: ask {asked}()")
