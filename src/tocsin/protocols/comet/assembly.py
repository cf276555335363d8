"""A Comet and its accounts, read: what is asked in which order, and what is made of the answers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tocsin.model.block import BlockRef
from tocsin.protocols.base import Question, Reading, UnknownStateError, known
from tocsin.protocols.comet import reading
from tocsin.protocols.comet.market import Account, Asset, Market
from tocsin.protocols.names import names_of
from tocsin.protocols.places import Parts, Target, Unread

MOST_ASSETS: Final = 24
"""An account's word has a bit for each: 16, and eight more since lists of assets are contracts of their own."""
IN_DOLLARS: Final = "in dollars"
_FIRST_WORD: Final = 16


def parts(target: Target) -> Reading[Parts]:
    """Find the contracts. Raises UnknownStateError where the Comet does not answer."""
    comet = target.pool
    base, feed = yield (Question(reading.BASE, comet), Question(reading.BASE_FEED, comet))
    base, feed = known(base, reading.BASE), known(feed, reading.BASE_FEED)
    infos = yield from _infos(comet)
    (told,) = yield (Question(reading.DESCRIPTION, feed),)
    tokens = tuple(dict.fromkeys((base, *(info[1] for info in infos))))
    return Parts(
        target=target,
        at={reading.COMET: (comet,), reading.TOKEN: tokens, reading.FEED: (feed, *(info[2] for info in infos))},
        names=(yield from names_of(tokens)),
        links={reading.FEED: {base: feed, **{info[1]: info[2] for info in infos}}},
        numbers={IN_DOLLARS: (1,) if "USD" in str(told or "USD") else ()},
    )


def _infos(comet: bytes) -> Reading[list[Any]]:
    (count,) = yield (Question(reading.COUNT, comet),)
    count = known(count, reading.COUNT)
    if count > MOST_ASSETS:
        raise UnknownStateError(f"a Comet of {count} assets: {MOST_ASSETS} at most are believed")
    answers: Sequence[Any] = yield tuple(Question(reading.ASSET, comet, (at,)) for at in range(count))
    found = [known(answer, reading.ASSET) for answer in answers]
    for at, info in enumerate(found):
        if info[0] != at or not info[3]:
            raise UnknownStateError(f"asset {at} says that it is number {info[0]}, with a scale of {info[3]}")
    return found


def market(parts: Parts, block: BlockRef) -> Reading[Market]:
    """Read a Comet at a block. Raises UnknownStateError where it does not answer; a price that is missing is None."""
    comet = parts.target.pool
    named = [reading.BASE, reading.BASE_FEED, reading.BASE_SCALE, reading.TOTALS, reading.UTILIZATION]
    named += [reading.STORE_FRONT, reading.BORROW_MIN, reading.TARGET_RESERVES, *reading.RATES]
    answers: Sequence[Any] = yield tuple(Question(read, comet) for read in named)
    said = {read: known(answer, read) for read, answer in zip(named, answers, strict=True)}
    base, feed, scale = (said[read] for read in (reading.BASE, reading.BASE_FEED, reading.BASE_SCALE))
    if not scale or not said[reading.TOTALS][0] or not said[reading.TOTALS][1]:
        raise UnknownStateError("the Comet has no scale or no indexes: it was never initialized")
    infos = yield from _infos(comet)
    used = said[reading.UTILIZATION]
    price, supply_rate, borrow_rate, balance = yield (
        Question(reading.PRICE, comet, (feed,)),
        Question(reading.SUPPLY_RATE, comet, (used,)),
        Question(reading.BORROW_RATE, comet, (used,)),
        Question(reading.BALANCE, base, (comet,)),
    )
    prices = yield tuple(Question(reading.PRICE, comet, (info[2],)) for info in infos)
    left = yield tuple(Question(reading.ASSET_RESERVES, comet, (info[1],)) for info in infos)
    supply_index, borrow_index, _, _, supply, borrow, accrued_s, pauses = said[reading.TOTALS]
    return Market(
        block=block,
        base=base,
        base_feed=feed,
        base_scale=scale,
        base_price=price or None,
        assets=tuple(_asset(*one) for one in zip(infos, prices, left, strict=True)),
        supply_index=supply_index,
        borrow_index=borrow_index,
        supply_principal=supply,
        borrow_principal=borrow,
        supply_rate=known(supply_rate, reading.SUPPLY_RATE),
        borrow_rate=known(borrow_rate, reading.BORROW_RATE),
        accrued_s=accrued_s,
        pauses=pauses,
        base_balance=known(balance, reading.BALANCE),
        store_front_factor=said[reading.STORE_FRONT],
        borrow_min=said[reading.BORROW_MIN],
        target_reserves=said[reading.TARGET_RESERVES],
        rates=tuple((read.asks.name, said[read]) for read in reading.RATES),
    )


def _asset(info: Any, price: int | None, reserves: int | None) -> Asset:
    _, asset, feed, scale, borrow_factor, liquidate_factor, liquidation_factor, supply_cap = info
    return Asset(
        asset=asset,
        feed=feed,
        scale=scale,
        price=price or None,
        borrow_factor=borrow_factor,
        liquidate_factor=liquidate_factor,
        liquidation_factor=liquidation_factor,
        supply_cap=supply_cap,
        reserves=reserves,
    )


def accounts(parts: Parts, of: Market, addresses: Sequence[bytes]) -> Reading[Sequence[Account | Unread]]:
    """Read accounts, in their order: principal and bits, then the balances whose bits are set."""
    comet = parts.target.pool
    basics: Sequence[Any] = yield tuple(Question(reading.BASIC, comet, (address,)) for address in addresses)
    wanted = [
        (address, at)
        for address, basic in zip(addresses, basics, strict=True)
        if basic is not None
        for at in range(len(of.assets))
        if _bits(basic) >> at & 1
    ]
    answers: Sequence[Any] = yield tuple(
        Question(reading.COLLATERAL, comet, (address, of.assets[at].asset)) for address, at in wanted
    )
    found: dict[bytes, dict[int, Any]] = {address: {} for address in addresses}
    for (address, at), answer in zip(wanted, answers, strict=True):
        found[address][at] = answer
    return [_account(of, address, basic, found[address]) for address, basic in zip(addresses, basics, strict=True)]


def _bits(basic: Any) -> int:
    *_, assets_in, more = basic
    return int(assets_in | more << _FIRST_WORD)


def _account(of: Market, address: bytes, basic: Any, mine: Mapping[int, Any]) -> Account | Unread:
    if basic is None:
        return Unread(account=address, reason="comet: its principal could not be read")
    if _bits(basic) >> len(of.assets):
        return Unread(account=address, reason="comet: it has a bit set of an asset that there is none of")
    missing = next((at for at, answer in mine.items() if answer is None), None)
    if missing is not None:
        return Unread(account=address, reason=f"comet: its balance of asset {missing} could not be read")
    return Account(address=address, principal=basic[0], balances={at: answer[0] for at, answer in mine.items()})
