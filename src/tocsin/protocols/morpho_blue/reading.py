"""What is read of Morpho Blue and followed, as data, and how the answers become a market and its accounts.

One contract has all markets. Each is named by the hash of its terms, which stands in topic 1 of every event of it.
"""

from collections.abc import Sequence
from typing import Any, Final

from tocsin.chain.abi import Value, encode
from tocsin.chain.keccak import keccak256
from tocsin.chain.logrules import Topic
from tocsin.model.block import BlockRef
from tocsin.protocols.base import Event, Plan, Question, Read, Reading, UnknownStateError, known
from tocsin.protocols.morpho_blue.accrual import NO_IRM
from tocsin.protocols.morpho_blue.market import Account, Market, Terms, Totals
from tocsin.protocols.names import names_of
from tocsin.protocols.places import Parts, Target, Unread

MORPHO, ORACLE, IRM = "morpho", "oracle", "interest rate model"
LOAN, COLLATERAL = "loan token", "collateral token"

TERMS: Final = Read(
    of=MORPHO,
    signature="idToMarketParams(bytes32)(address,address,address,address,uint256)",
    takes=("market",),
)
MARKET: Final = Read(
    of=MORPHO, signature="market(bytes32)(uint128,uint128,uint128,uint128,uint128,uint128)", takes=("market",)
)
POSITION: Final = Read(
    of=MORPHO, signature="position(bytes32,address)(uint256,uint128,uint128)", takes=("market", "account")
)
"""Not what the contract thinks of an account, which it tells nobody, but what it has stored of it."""
PRICE: Final = Read(of=ORACLE, signature="price()(uint256)")
RATE: Final = Read(
    of=IRM,
    signature="borrowRateView((address,address,address,address,uint256),"
    "(uint128,uint128,uint128,uint128,uint128,uint128))(uint256)",
    takes=("terms", "market"),
)
DECIMALS: Final = Read(of=LOAN, signature="decimals()(uint8)")

_TERMS: Final = RATE.asks.takes.of[0]
_ID: Final = Topic(1)


def _event(signature: str, account: Topic | None = None) -> Event:
    return Event(of=MORPHO, signature=signature, account=account, market=_ID)


BORROW: Final = _event("Borrow(bytes32,address,address,address,uint256,uint256)", Topic(2))
PLAN: Final = Plan(
    revision=None,
    market=(TERMS, MARKET, PRICE, RATE, DECIMALS),
    account=(POSITION,),
    view=POSITION,
    owes=(BORROW,),
    touches=(
        BORROW,
        _event("SupplyCollateral(bytes32,address,address,uint256)", Topic(3)),
        _event("WithdrawCollateral(bytes32,address,address,address,uint256)", Topic(2)),
        _event("Repay(bytes32,address,address,uint256,uint256)", Topic(3)),
        _event("Liquidate(bytes32,address,address,uint256,uint256,uint256,uint256,uint256)", Topic(3)),
    ),
    changes=(
        _event("CreateMarket(bytes32,(address,address,address,address,uint256))"),
        _event("SetFee(bytes32,uint256)"),
    ),
)


def terms(target: Target) -> Reading[Terms]:
    """Read what a market was created with. Raises UnknownStateError where there is none of this id."""
    (said,) = yield (Question(TERMS, target.pool, (target.id,)),)
    loan, collateral, oracle, irm, lltv = known(said, TERMS)
    if keccak256(encode(_TERMS, tuple(said))) != target.id:
        # The id is the hash of the terms, as it is not of those of a market that was never created: zeros.
        raise UnknownStateError(f"0x{target.pool.hex()} has no market 0x{target.id.hex()}: market not created")
    return Terms(id=target.id, loan=loan, collateral=collateral, oracle=oracle, irm=irm, lltv=lltv)


def parts(target: Target) -> Reading[Parts]:
    """Find the contracts of a market. Raises UnknownStateError, as `terms` does."""
    found = yield from terms(target)
    names = yield from names_of([token for token in (found.loan, found.collateral) if any(token)])
    places = ((ORACLE, found.oracle), (IRM, found.irm), (LOAN, found.loan), (COLLATERAL, found.collateral))
    at = {part: (place,) for part, place in places if any(place)}
    return Parts(target=target, at={MORPHO: (target.pool,), **at}, names=names)


def market(parts: Parts, block: BlockRef) -> Reading[Market]:
    """Read a market at a block. Raises UnknownStateError, as `terms` does."""
    target = parts.target
    of = yield from terms(target)
    (stored,) = yield (Question(MARKET, target.pool, (target.id,)),)
    supply_assets, supply_shares, borrow_assets, borrow_shares, updated_s, fee = known(stored, MARKET)
    told = of.loan, of.collateral, of.oracle, of.irm, of.lltv
    # A market without an interest rate model has no rate to ask for, and none is needed.
    asked = () if of.irm == NO_IRM else (Question(RATE, of.irm, (told, tuple(stored))),)
    price, decimals, *rate = yield (Question(PRICE, of.oracle), Question(DECIMALS, of.loan), *asked)
    return Market(
        block=block,
        terms=of,
        totals=Totals(
            supply_assets=supply_assets,
            supply_shares=supply_shares,
            borrow_assets=borrow_assets,
            borrow_shares=borrow_shares,
        ),
        updated_s=updated_s,
        fee=fee,
        price=price,
        rate=rate[0] if rate else None,
        loan_decimals=decimals or 0,
    )


def positions(parts: Parts, addresses: Sequence[bytes]) -> Reading[Sequence[Value | Unread]]:
    """Read what the contract has stored of accounts: shares of what is lent, shares of what is owed, collateral."""
    target = parts.target
    answers = yield tuple(Question(POSITION, target.pool, (target.id, address)) for address in addresses)
    silent = f"{MORPHO}: {POSITION.asks.name}() failed, or what it returned is no {POSITION.asks.returns}"
    return [
        Unread(account=address, reason=silent) if answer is None else answer
        for address, answer in zip(addresses, answers, strict=True)
    ]


def accounts(parts: Parts, addresses: Sequence[bytes]) -> Reading[Sequence[Account | Unread]]:
    """Read accounts, in their order."""
    found = yield from positions(parts, addresses)
    return [
        said if isinstance(said, Unread) else account(address, said)
        for address, said in zip(addresses, found, strict=True)
    ]


def account(address: bytes, position: Any) -> Account:
    """Return an account of what `position` answers."""
    _, shares, collateral = position
    return Account(address=address, collateral=collateral, shares=shares)
