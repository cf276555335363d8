"""What an account comes to: the sums of the comptroller's liquidity test, product by product as they are cut there."""

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.protocols.base import WAD, UnknownStateError
from tocsin.protocols.compound_v2.accrual import MOST, Live, owed, owed_at_most, vai_owed
from tocsin.protocols.compound_v2.market import Account, Market
from tocsin.protocols.compound_v2.revisions import Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Sums with 18 decimals: what counts against debt, what is owed, what it holds."""

    weighted: int
    debt: int
    collateral: int
    debt_at_most: int
    """More than `debt` where what is owed was read cut: a unit that interest may have brought since is in it."""

    @property
    def falls(self) -> bool:
        """Tell whether there is a shortfall. Raises UnknownStateError where a unit that may be owed decides on it."""
        if self.debt <= self.weighted < self.debt_at_most:
            raise UnknownStateError("a unit of debt that was cut when it was read decides: ask again at this block")
        return self.weighted < self.debt

    @property
    def liquidity(self) -> int:
        return max(self.weighted - self.debt, 0)

    @property
    def shortfall(self) -> int:
        return max(self.debt - self.weighted, 0)

    @property
    def health_wad(self) -> int | None:
        """Return what counts by what is owed, cut; below 1e18 just where there is a shortfall."""
        return self.weighted * WAD // self.debt if self.debt else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """What an account has in one market that it entered."""

    at: int
    live: Live
    balance: int
    owed: int
    owed_at_most: int
    per_token: int
    """What one unit of the token counts for, before it is multiplied with the price; 36 decimals less those of it."""
    exchange_rate: int


def legs(revision: Revision, market: Market, account: Account, lives: Sequence[Live]) -> list[Leg]:
    """Return what an account has in the markets that it entered. Raises UnknownStateError where a market can't say."""
    found = []
    for at in account.entered:
        live, balance = lives[at], account.balances.get(at, 0)
        if live.exchange_rate is None:
            raise UnknownStateError(f"0x{live.token.address.hex()} has no exchange rate: SNAPSHOT_ERROR")
        debt = owed(account.borrows[at], live.index) if at in account.borrows else 0
        most = owed_at_most(account.borrows[at], live.index) if at in account.borrows else 0
        if revision.venus and not balance and not debt:
            continue
        factor = market.terms(at, account.pool).threshold
        per_token = checked(factor * live.exchange_rate) // WAD
        found.append(
            Leg(
                at=at,
                live=live,
                balance=balance,
                owed=debt,
                owed_at_most=most,
                per_token=per_token,
                exchange_rate=live.exchange_rate,
            )
        )
    return found


def position(revision: Revision, market: Market, account: Account, lives: Sequence[Live], vai_at: int) -> Position:
    """Return what an account comes to with tokens as they are, and with VAI at an index.

    Raises UnknownStateError where the contracts answer with an error or revert: a price of 0, none, or an overflow.
    """
    weighted = debt = at_most = collateral = 0
    for leg in legs(revision, market, account, lives):
        price = priced(leg.live)
        weighted += counted(leg.per_token, price, leg.balance)
        collateral += counted(leg.exchange_rate, price, leg.balance)
        debt += checked(price * leg.owed) // WAD
        at_most += checked(price * leg.owed_at_most) // WAD
    minted = vai_owed(account.vai, vai_at)
    return Position(weighted=weighted, debt=debt + minted, collateral=collateral, debt_at_most=at_most + minted)


def counted(per_token: int, price: int, balance: int) -> int:
    """Return what a balance comes to: cut once behind the price, and once behind the balance."""
    return checked(checked(per_token * price) // WAD * balance) // WAD


def priced(live: Live) -> int:
    """Return the price of a token's asset. Raises UnknownStateError where the oracle has none."""
    if live.token.price is None:
        raise UnknownStateError(f"the oracle reverts for the price of 0x{live.token.address.hex()}")
    if live.token.price == 0:
        raise UnknownStateError(f"the oracle has no price of 0x{live.token.address.hex()}: PRICE_ERROR")
    return live.token.price


def checked(number: int) -> int:
    """Return a product that the contracts can hold. Raises UnknownStateError for one of more than 256 bits."""
    if number > MOST:
        raise UnknownStateError("a product of more than 256 bits: the contracts revert")
    return number
