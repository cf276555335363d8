"""A comptroller, its tokens and an account as values: what was read of them at one block.

Everything called a mantissa by the contracts has 18 decimals here too: factors, rates, indexes, incentives. Prices have
36 decimals less those of the underlying asset, so that price by amount has 36 and values have 18.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tocsin.model.block import BlockRef

NO_POOL = 0
"""The core pool, in which every account is that has chosen none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How collateral of a token counts against debt, and what a liquidator gets of it: 1.08 for 8 % more."""

    threshold: int
    incentive: int
    collateral_factor: int = 0
    """What can be borrowed on it; no part of health where there is a threshold."""


NO_TERMS = Terms(threshold=0, incentive=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One market: the token (cToken, vToken) that is held for what was supplied. Amounts are of the underlying."""

    address: bytes
    cash: int
    borrows: int
    reserves: int
    supply: int
    """Of the token itself."""
    borrow_index: int
    accrued_at: int
    """The block up to which interest was added, or the time in seconds."""
    rate: int | None
    """What is owed for a block, or a second, as long as nobody acts; None where the interest model does not answer."""
    reserve_factor: int
    stored_exchange_rate: int | None
    """What the token answers; None where it does not."""
    price: int | None
    """What the oracle answers; None where it reverts, 0 where it has no price."""
    terms: Terms
    listed: bool = True
    forced: bool = False
    """Whoever owes it may be liquidated in full: it is deprecated, or that is allowed for it."""
    liquidation_paused: bool = False
    repayment_paused: bool = False
    seizure_paused: bool = False
    transfer_paused: bool = False
    """Who liquidates through one contract gets his share by a transfer."""
    seize_share: int = 0
    """Of what is seized of it, which share stays with the protocol."""
    rules: tuple[tuple[str, str], ...] = ()
    """What else governance sets of it, as text: caps, pauses of what is no liquidation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A pool of accounts with terms of its own, by the token's place in the market."""

    number: int
    terms: Mapping[int, Terms] = field(default_factory=dict)
    active: bool = True
    falls_back: bool = False
    """Tokens that it has no terms of count as in the core pool; else not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vai:
    """The stablecoin that the protocol mints against collateral, worth one unit of account whatever it trades at."""

    controller: bytes
    """What stands for it where a token that is owed is named."""
    index: int
    rate: int | None
    """Per block."""
    accrued_at: int | None = None
    """The block up to which interest was added. None where it is not known, as no call tells it.

    Then what is owed is at least what is stored: the interest since VAI was last minted or repaid is not in it.
    """
    liquidation_paused: bool = False
    paused: bool = False
    """Whether minting or repaying is paused: debts of it can't be changed then."""
    forced: bool = False
    """Whoever owes it may be liquidated in full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidator:
    """The one contract through which liquidations go, where there is one."""

    address: bytes
    treasury_share: int = 0
    """Of the liquidator's bonus, which share the protocol keeps."""
    vai_first: bool = False
    least_vai: int = 0
    """Who owes so much of VAI or more can't be liquidated for another debt before, if `vai_first`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Market:
    """All tokens of a comptroller at one block. Compared by identity: what is derived of a market is kept with it."""

    block: BlockRef
    time_s: int | None
    """Of the block; None where nobody on the chain tells it, and interest is counted up to the block alone then."""
    tokens: tuple[Token, ...]
    close_factor: int
    pace_ms: int = 12_000
    """How long a block takes, by which times to come become blocks."""
    paused: bool = False
    """Everything."""
    pools: Mapping[int, Pool] = field(default_factory=dict)
    vai: Vai | None = None
    liquidator: Liquidator | None = None
    oracle: bytes = b""

    def place_of(self, address: bytes) -> int | None:
        """Return the place of a token, None where it is none of the market."""
        return next((at for at, token in enumerate(self.tokens) if token.address == address), None)

    def with_price(self, address: bytes, price: int | None) -> "Market":
        """Return the market with another price of one token's asset."""
        tokens = tuple(replace(one, price=price) if one.address == address else one for one in self.tokens)
        return replace(self, tokens=tokens)

    def terms(self, at: int, pool: int) -> Terms:
        """Return how a token counts for accounts of a pool."""
        own, chosen = self.tokens[at].terms, self.pools.get(pool)
        if pool == NO_POOL or chosen is None or not chosen.active:
            return own
        return chosen.terms.get(at, own if chosen.falls_back else NO_TERMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Borrow:
    """A debt as a token keeps it: so much was owed when the borrow index was this."""

    principal: int
    index: int
    is_cut: bool = False
    """Whether `principal` is what the token says that is owed, cut to a unit, not what it keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VaiDebt:
    """A debt of VAI: what was minted with the interest that was added to it so far, and the index of that."""

    minted: int
    past_interest: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What an account has of the markets that it entered, by the token's place in the market."""

    address: bytes
    entered: tuple[int, ...]
    balances: Mapping[int, int] = field(default_factory=dict)
    """Of the tokens."""
    borrows: Mapping[int, Borrow] = field(default_factory=dict)
    pool: int = NO_POOL
    vai: VaiDebt | None = None
    forced: frozenset[int] = frozenset()
    """Debts for which just this account may be liquidated whatever its health is."""
    vai_forced: bool = False


def doubt(before: Market, after: Market) -> str:
    """Say which borrow index went back, of a token that is the same; empty if none did. They only grow."""
    known = {token.address: token for token in before.tokens}
    for token in after.tokens:
        old = known.get(token.address)
        if old is not None and token.borrow_index < old.borrow_index:
            fell = f"the borrow index of 0x{token.address.hex()} went back from {old.borrow_index}"
            return f"{fell} to {token.borrow_index}"
    return ""
