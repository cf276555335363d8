"""Where the numbers of a plain market are read: a list of view functions, from which its readings follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tocsin.chain.abi import Value
from tocsin.model.block import BlockRef
from tocsin.protocols.base import Question, Read, Reading, UnknownStateError, known
from tocsin.protocols.names import names_of
from tocsin.protocols.places import Parts, Target, Unread
from tocsin.protocols.plainmarket import RAY, Asset, PlainAccount, PlainMarket

POOL: Final = "pool"
TOKEN: Final = "asset"  # noqa: S105 - the name of a part
_DECIMALS: Final = Read(of=TOKEN, signature="decimals()(uint8)")
_MOST_DECIMALS: Final = 77
"""A unit of more has no place in 256 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The view functions of a pool. What takes an asset or an account says so in `takes`, in its order."""

    assets: Read
    price: Read
    threshold: Read
    supplied: Read
    owed: Read
    view: Read
    """Answers collateral, what of it counts, and debt, in base units."""
    revision: Read
    supply_index: Read | None = None
    debt_index: Read | None = None

    @property
    def market(self) -> tuple[Read, ...]:
        """Return what is read of the market at each block."""
        some = (self.assets, self.price, self.threshold, self.supply_index, self.debt_index)
        return tuple(read for read in some if read is not None)


def parts(sources: Sources, target: Target) -> Reading[Parts]:
    """Find the assets of a pool, and what they are called. Raises UnknownStateError where it does not list them."""
    (listed,) = yield (Question(sources.assets, target.pool),)
    assets = tuple(known(listed, sources.assets))
    names = yield from names_of(assets)
    return Parts(target=target, at={POOL: (target.pool,), TOKEN: assets}, names=names)


def market(sources: Sources, parts: Parts, block: BlockRef) -> Reading[PlainMarket]:
    """Read a market. A price that is missing, zero or below is None; anything else that is missing is an error.

    Raises UnknownStateError.
    """
    assets, pool = parts.all(TOKEN), parts.target.pool
    decimals = yield tuple(Question(_DECIMALS, asset) for asset in assets)
    columns: list[Sequence[Any]] = []
    for read in (sources.price, sources.threshold, sources.supply_index, sources.debt_index):
        if read is None:
            columns.append([RAY] * len(assets))
        else:
            columns.append((yield tuple(Question(read, pool, (asset,)) for asset in assets)))
    return PlainMarket(
        block=block,
        assets=tuple(
            Asset(
                address=asset,
                decimals=_bounded(digits, asset),
                price=price if price is not None and price > 0 else None,
                threshold=known(threshold, sources.threshold),
                supply_index=known(supply, sources.supply_index or sources.price),
                debt_index=known(debt, sources.debt_index or sources.price),
            )
            for asset, digits, price, threshold, supply, debt in zip(assets, decimals, *columns, strict=True)
        ),
    )


def _bounded(decimals: int | None, asset: bytes) -> int:
    if known(decimals, _DECIMALS) > _MOST_DECIMALS:
        raise UnknownStateError(f"0x{asset.hex()} has {decimals} decimals: one whole of it has no place in 256 bits")
    return int(decimals or 0)


def accounts(
    sources: Sources, parts: Parts, market: PlainMarket, addresses: Sequence[bytes]
) -> Reading[Sequence[PlainAccount | Unread]]:
    """Read what accounts have and owe of each asset."""
    sides = []
    for read in (sources.supplied, sources.owed):
        answers = yield tuple(
            Question(read, parts.target.pool, _arguments(read, each.address, address))
            for address in addresses
            for each in market.assets
        )
        width = len(market.assets)
        sides.append([answers[at * width : (at + 1) * width] for at in range(len(addresses))])
    return [_account(address, *of) for address, *of in zip(addresses, *sides, strict=True)]


def _arguments(read: Read, asset: bytes, account: bytes) -> tuple[Value, ...]:
    return tuple({"asset": asset, "account": account}[name] for name in read.takes)


def _account(address: bytes, supplied: Sequence[Any], owed: Sequence[Any]) -> PlainAccount | Unread:
    for at, (one, other) in enumerate(zip(supplied, owed, strict=True)):
        if one is None or other is None:
            return Unread(account=address, reason=f"what it has and owes of asset {at} could not be read")
    return PlainAccount(address=address, supplied=_some(supplied), owed=_some(owed))


def _some(amounts: Sequence[int]) -> dict[int, int]:
    return {at: amount for at, amount in enumerate(amounts) if amount}
