"""The rules of one comptroller, in the shape that every protocol's have."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

from tocsin.chain.abi import Value
from tocsin.model.block import BlockRef
from tocsin.protocols.base import (
    WAD,
    Exactness,
    Liquidation,
    Plan,
    Reading,
    Refusal,
    Region,
    Verdict,
    asked_view,
)
from tocsin.protocols.compound_v2 import accounts, assembly, locating, view
from tocsin.protocols.compound_v2.accrual import Live, accrued, stored, vai_index, vai_owed
from tocsin.protocols.compound_v2.critical import critical_price
from tocsin.protocols.compound_v2.liquidation import VAI, blocked, liquidation
from tocsin.protocols.compound_v2.market import NO_POOL, Account, Market, Terms, doubt
from tocsin.protocols.compound_v2.parameters import parameters
from tocsin.protocols.compound_v2.reading import plan
from tocsin.protocols.compound_v2.revisions import Revision
from tocsin.protocols.compound_v2.valuation import Position, position
from tocsin.protocols.places import Base, Difference, Parts, Target, Unread
from tocsin.risk.columns import Band, Column, Columns
from tocsin.risk.table import Legs

NAME: Final = "compound-v2"
SHARE: Final = 10**36
"""Debts are held in books as shares: what was owed by the index of then, with so many places."""
_ROUND: Final = 2**54
"""What a unit counts for, with 18 places more: less than this may be cut by more than floats lose."""

_Places = Mapping[tuple[int, int], int]


@dataclass(frozen=True, slots=True)
class CompoundRules:
    """The rules of one revision.

    Health is asked for with the interest of all markets added: anybody may have that done before a liquidation, and
    liquidations do it for the two that they are about. The comptroller's own view adds none, and is held against
    what is stored.
    """

    of: Revision

    @property
    def kind(self) -> str:
        return NAME

    @property
    def revision(self) -> str:
        """The name of what is known to count so: no comptroller says its version."""
        return self.of.number

    @property
    def exactness(self) -> Exactness:
        return self.of.exactness

    @property
    def plan(self) -> Plan:
        return plan(self.of)

    # -- reading

    def parts(self, target: Target) -> Reading[Parts]:
        """Find the contracts of a market, from its comptroller. Raises UnknownStateError."""
        return locating.parts(target)

    def market(self, parts: Parts, block: BlockRef) -> Reading[Market]:
        """Read all tokens, with their prices. Raises UnknownStateError."""
        return assembly.market(self.of, parts, block)

    def accounts(self, parts: Parts, market: Market, addresses: Sequence[bytes]) -> Reading[Sequence[Account | Unread]]:
        """Read accounts: what they have of the markets that they entered."""
        return accounts.accounts(self.of, parts, market, addresses)

    def view(self, parts: Parts, addresses: Sequence[bytes]) -> Reading[Sequence[Value | Unread]]:
        """Ask `getAccountLiquidity` of each account."""
        return asked_view(self.plan, parts, addresses)

    # -- what was read

    def base(self, parts: Parts, market: Market) -> Base:  # noqa: ARG002 - the same for all
        """Return US dollars with 18 decimals: price by amount has 36, of which 18 are cut."""
        return Base(name="USD", decimals=18)

    def prices(self, market: Market) -> Mapping[bytes, int | None]:
        """Return each token's price, of its asset; with 36 decimals less those of the asset. 0 is none."""
        return {token.address: token.price or None for token in market.tokens}

    def parameters(self, parts: Parts, market: Market) -> tuple[tuple[str, str], ...]:
        """Return what governance sets."""
        return parameters(self.of, parts, market)

    def doubt(self, before: Market, after: Market) -> str:
        """Say which borrow index went back: they only grow."""
        return doubt(before, after)

    def view_verdict(self, answer: Value) -> Verdict:
        """Return what the comptroller's three numbers say."""
        return view.verdict(answer)

    def differs(self, market: Market, account: Account, answer: Value, at_s: int) -> tuple[Difference, ...]:  # noqa: ARG002
        """Return in what the view differs. Raises UnknownStateError where it should have answered with an error."""
        return view.differences(self._stored(market, account), answer)

    def _stored(self, market: Market, account: Account) -> Position:
        index = market.vai.index if market.vai is not None else 0
        return position(self.of, market, account, stored(market), index)

    # -- what is counted

    def columns(self, market: Market, at_s: int) -> Columns:
        """Return the columns of all tokens, for each pool that counts them otherwise. Raises UnknownStateError."""
        return Columns(
            all=tuple(_columns(self.of, market, at_s)),
            band=Band(constant=Fraction(1)),
            block_number=market.block.number,
            block_hash=market.block.hash,
            time_s=at_s,
        )

    def legs(self, market: Market, account: Account, at_s: int) -> Legs:
        """Return tokens, and debts in shares, by column. Who owes VAI is never judged by floats."""
        places, pool = _places(market), account.pool
        columns = {at: places.get((at, pool), places[at, NO_POOL]) for at in account.entered}
        debt = {
            columns[at]: owed.principal * SHARE // owed.index
            for at, owed in account.borrows.items()
            if owed.principal and at in columns
        }
        minted = 0
        if market.vai is not None and account.vai is not None and account.vai.minted:
            minted = vai_owed(account.vai, vai_index(self.of, market, market.vai, at_s))
            debt[places[VAI, NO_POOL]] = minted
        return Legs(
            collateral={columns[at]: balance for at, balance in account.balances.items() if at in columns},
            debt=debt,
            always_exact=minted > 0,
        )

    def verdict(self, market: Market, account: Account, at_s: int) -> Verdict:
        """Return what the contracts would say once all interest is added. Raises UnknownStateError."""
        found = position(self.of, market, account, accrued(self.of, market, at_s), self._vai_at(market, at_s))
        falls, told = found.falls, self._stored(market, account)
        return Verdict(
            liquidatable=falls,
            health_wad=found.health_wad,
            collateral_base=found.collateral,
            debt_base=found.debt,
            blocked=self._blocked(market, account, at_s) if falls else "",
            details={"liquidity": told.liquidity, "shortfall": told.shortfall},
        )

    def _vai_at(self, market: Market, at_s: int) -> int:
        return 0 if market.vai is None else vai_index(self.of, market, market.vai, at_s)

    def _blocked(self, market: Market, account: Account, at_s: int) -> str:
        """Return why none of its pairs can be liquidated now: the reason of the last, empty if one can be."""
        reason = "no collateral"
        owes = [at for at, debt in account.borrows.items() if debt.principal]
        owes += [VAI] if account.vai is not None and account.vai.minted else []
        for seized, balance in account.balances.items():
            for repaid in owes if balance else ():
                refused = blocked(self.of, market, account, seized, repaid, at_s)
                if refused is None:
                    return ""
                reason = refused.reason
        return reason

    def critical_price(self, market: Market, account: Account, asset: bytes, at_s: int) -> Region:
        """Return at which prices of a token's asset the account falls. Raises UnknownStateError."""
        lives = accrued(self.of, market, at_s)
        return critical_price(self.of, market, account, asset, lives, self._vai_at(market, at_s))

    def liquidation(
        self,
        market: Market,
        account: Account,
        collateral: bytes,
        debt: bytes,
        amount: int | None,
        at_s: int,
    ) -> Liquidation | Refusal:
        """Return what a liquidation brings about, or why it is refused; both sides are named by their tokens.

        What is repaid is of the asset that is owed, what is seized are tokens. Raises UnknownStateError.
        """
        return liquidation(self.of, market, account, collateral, debt, amount, at_s)


# -- columns


@lru_cache(maxsize=8)
def _places(market: Market) -> _Places:
    """Return the place of each column by the token's place and the pool."""
    return {key: place for place, key in enumerate(_keys(market))}


def _keys(market: Market) -> Iterator[tuple[int, int]]:
    """Yield token and pool of each column: the core pool, those in which the token counts otherwise; VAI at last."""
    for at, token in enumerate(market.tokens):
        yield at, NO_POOL
        yield from ((at, pool) for pool in sorted(market.pools) if market.terms(at, pool) != token.terms)
    if market.vai is not None:
        yield VAI, NO_POOL


def _columns(revision: Revision, market: Market, at_s: int) -> Iterator[Column]:
    lives = accrued(revision, market, at_s)
    for at, pool in _keys(market):
        if at == VAI:
            yield _of_vai(market)
        else:
            yield _column(lives[at], market.terms(at, pool), str(pool) if pool != NO_POOL else "")


def _column(live: Live, terms: Terms, name: str) -> Column:
    price = live.token.price or None
    per_unit = None if price is None else Fraction(price, WAD)
    return Column(
        asset=f"0x{live.token.address.hex()}",
        parameters=name,
        collateral=_factor(live, terms.threshold, price),
        raw=_factor(live, WAD, price),
        debt=None if per_unit is None else per_unit * Fraction(live.index, SHARE),
        # Cut behind the price, which is in the factor, and behind the balance.
        collateral_step=Fraction(2),
        # A unit that is cut of what is owed, one that was cut when it was read, and one for the share.
        debt_step=3 * (per_unit or Fraction(0)) + 1,
    )


def _factor(live: Live, weight: int, price: int | None) -> Fraction | None:
    """Return what one token counts for, cut as the comptroller cuts it; None where that is no matter for floats."""
    if price is None or live.exchange_rate is None:
        return None
    exact = weight * live.exchange_rate // WAD * price // WAD
    return Fraction(exact, WAD) if exact >= _ROUND or not weight else None


def _of_vai(market: Market) -> Column:
    controller = market.vai.controller if market.vai is not None else b""
    return Column(
        asset=f"0x{controller.hex()}",
        collateral=Fraction(0),
        raw=Fraction(0),
        debt=Fraction(1),
        collateral_step=Fraction(0),
        debt_step=Fraction(1),
        is_counted=False,
    )
