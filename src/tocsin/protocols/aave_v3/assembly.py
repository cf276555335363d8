"""A market and its accounts, read: what is asked in which order, and what is made of the answers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tocsin.chain.abi import Value
from tocsin.model.block import BlockRef
from tocsin.protocols.aave_v3 import reading
from tocsin.protocols.aave_v3.market import Account, Category, Holding, Market, Reserve
from tocsin.protocols.aave_v3.revisions import Revision
from tocsin.protocols.base import Question, Read, Reading, UnknownStateError, known
from tocsin.protocols.places import Parts, Unread

NOWHERE: Final = bytes(20)
MOST_RESERVES: Final = 128
"""An account's configuration word has two bits for each, and the pool lists no more."""


def market(revision: Revision, parts: Parts, block: BlockRef) -> Reading[Market]:
    """Read a market at a block. Raises UnknownStateError where the pool itself does not answer."""
    pool, oracle = place(parts, reading.POOL), place(parts, reading.ORACLE)
    listed, currency, unit = yield (
        Question(reading.RESERVES, pool),
        Question(reading.BASE_CURRENCY, oracle),
        Question(reading.BASE_UNIT, oracle),
    )
    reserves = yield from _reserves(revision, parts, known(listed, reading.RESERVES))
    found = yield from _categories(revision, parts)
    allows = (yield from _sentinel(parts)) if revision.sentinel else None
    return Market(
        block=block,
        reserves=_by_id(reserves),
        categories={each.number: each for each in found},
        sentinel_allows=allows,
        base_currency=known(currency, reading.BASE_CURRENCY),
        base_unit=known(unit, reading.BASE_UNIT),
    )


def place(parts: Parts, part: str) -> bytes:
    """Return where a part is that there has to be. Raises UnknownStateError."""
    found = parts.one(part)
    if found is None:
        raise UnknownStateError(f"the market has no {part}")
    return found


def _by_id(reserves: Sequence[Reserve]) -> tuple[Reserve | None, ...]:
    """Return reserves by their ids: one that was dropped leaves a gap. Raises UnknownStateError for strange ids."""
    most = max((each.id for each in reserves), default=-1)
    if most >= MOST_RESERVES:
        raise UnknownStateError(f"a reserve has the id {most}, and accounts have room for {MOST_RESERVES}")
    found: list[Reserve | None] = [None] * (1 + most)
    for each in reserves:
        other = found[each.id]
        if other is not None:
            raise UnknownStateError(f"0x{other.asset.hex()} and 0x{each.asset.hex()} are both reserve {each.id}")
        found[each.id] = each
    return tuple(found)


def _reserves(revision: Revision, parts: Parts, listed: Sequence[bytes]) -> Reading[list[Reserve]]:
    """Read the reserves of a list. Raises UnknownStateError for more than a pool can have."""
    if len(listed) > MOST_RESERVES:
        raise UnknownStateError(f"a pool lists {MOST_RESERVES} reserves at most, and this one says {len(listed)}")
    pool, oracle = place(parts, reading.POOL), place(parts, reading.ORACLE)
    assets = [asset for asset in listed if asset != NOWHERE]
    data = yield tuple(Question(reading.RESERVE, pool, (asset,)) for asset in assets)
    prices = yield tuple(Question(reading.PRICE, oracle, (asset,)) for asset in assets)
    grace: Sequence[Any] = [0] * len(assets)
    if revision.grace:
        grace = yield tuple(Question(reading.GRACE, pool, (asset,)) for asset in assets)
    discounts = parts.links.get(reading.DISCOUNT.asks.name, {})
    found = [
        reading.reserve(
            asset, known(one, reading.RESERVE), price, known(until_s, reading.GRACE), discounted=asset in discounts
        )
        for asset, one, price, until_s in zip(assets, data, prices, grace, strict=True)
    ]
    return found


def _categories(revision: Revision, parts: Parts) -> Reading[list[Category]]:
    if not revision.bitmaps:
        return (yield from _old_categories(parts))
    numbers = parts.numbers.get(reading.CATEGORIES, ())
    reads = [reading.CATEGORY, reading.CATEGORY_COLLATERAL, reading.CATEGORY_BORROWABLE]
    reads += [reading.CATEGORY_ZERO_LTV] if revision.category_ltv else []
    reads += [reading.CATEGORY_ISOLATED] if revision.isolated_categories else []
    columns = []
    for read in reads:
        answers = yield _each(read, parts, numbers)
        columns.append([known(answer, read) for answer in answers])
    found = []
    for number, (ltv, threshold, bonus), collateral, borrowable, *rest in zip(numbers, *columns, strict=True):
        more = dict(zip(("zero_ltv", "isolated"), rest, strict=False))
        terms = {"ltv": ltv, "threshold": threshold, "bonus": bonus}
        found.append(Category(number=number, collateral=collateral, borrowable=borrowable, **terms, **more))
    return found


def _old_categories(parts: Parts) -> Reading[list[Category]]:
    numbers = parts.numbers.get(reading.CATEGORIES, ())
    answers = yield _each(reading.OLD_CATEGORY, parts, numbers)
    data = {number: known(one, reading.OLD_CATEGORY) for number, one in zip(numbers, answers, strict=True)}
    sources = {number: one[3] for number, one in data.items() if one[3] != NOWHERE}
    oracle = place(parts, reading.ORACLE)
    prices = yield tuple(Question(reading.PRICE, oracle, (source,)) for source in sources.values())
    by_number = dict(zip(sources, prices, strict=True))
    return [
        Category(
            number=number,
            ltv=ltv,
            threshold=threshold,
            bonus=bonus,
            has_source=number in sources,
            price=by_number.get(number, 0),
        )
        for number, (ltv, threshold, bonus, *_) in data.items()
    ]


def _sentinel(parts: Parts) -> Reading[bool | None]:
    where = parts.one(reading.SENTINEL)
    if where is None:
        return None
    (allows,) = yield (Question(reading.SENTINEL_ALLOWS, where),)
    return bool(known(allows, reading.SENTINEL_ALLOWS))


# -- accounts


def accounts(
    revision: Revision, parts: Parts, of: Market, addresses: Sequence[bytes]
) -> Reading[Sequence[Account | Unread]]:
    """Read accounts: their flags, then what they have of those reserves that they use or owe."""
    flags = yield _each(reading.FLAGS, parts, addresses)
    categories = yield _each(reading.ACCOUNT_CATEGORY, parts, addresses)
    words = [0 if answer is None else answer[0] for answer in flags]
    wanted = [
        (at, each)
        for at, word in enumerate(words)
        for each in of.reserves
        if each is not None and word >> 2 * each.id & 3
    ]
    holdings = yield from _holdings(revision, [(addresses[at], each) for at, each in wanted])
    found: list[dict[int, Holding | None]] = [{} for _ in addresses]
    for (at, each), holding in zip(wanted, holdings, strict=True):
        found[at][each.id] = holding
    return [
        _account(of, address, None if said is None else said[0], category, mine)
        for address, said, category, mine in zip(addresses, flags, categories, found, strict=True)
    ]


def _account(
    of: Market, address: bytes, word: int | None, category: int | None, holdings: Mapping[int, Holding | None]
) -> Account | Unread:
    if word is None or category is None:
        return Unread(account=address, reason="pool: the account's configuration or category could not be read")
    if category and category not in of.categories:
        return Unread(account=address, reason=f"eMode category {category} is not known of the market")
    read = {at: one for at, one in holdings.items() if one is not None}
    missing = sorted(holdings.keys() - read.keys())
    if missing:
        return Unread(account=address, reason=f"tokens of reserve {missing[0]}: its balances could not be read")
    return Account(address=address, flags=word, category=category, holdings=read)


def _holdings(revision: Revision, wanted: Sequence[tuple[bytes, Reserve]]) -> Reading[list[Holding | None]]:
    supplied = yield tuple(Question(reading.SUPPLIED, each.supply_token, (who,)) for who, each in wanted)
    borrowed = yield tuple(Question(reading.BORROWED, each.debt_token, (who,)) for who, each in wanted)
    stable: list[Sequence[Any]] = [[0] * len(wanted)] * 3
    if revision.stable_debt:
        for at, read in enumerate((reading.STABLE, reading.STABLE_RATE, reading.STABLE_SINCE)):
            asked = [each.stable_token != NOWHERE for _, each in wanted]
            answers = yield tuple(
                Question(read, each.stable_token, (who,)) for who, each in wanted if each.stable_token != NOWHERE
            )
            rest = iter(answers)
            stable[at] = [next(rest) if is_asked else 0 for is_asked in asked]
    return [_holding(answers) for answers in zip(supplied, borrowed, *stable, strict=True)]


def _holding(answers: Sequence[Any]) -> Holding | None:
    if any(answer is None for answer in answers):
        return None
    supplied, borrowed, stable, rate, since_s = answers
    return Holding(supplied=supplied, borrowed=borrowed, stable=stable, stable_rate=rate, stable_since_s=since_s)


def _each(read: Read, parts: Parts, of: Sequence[Value]) -> tuple[Question, ...]:
    pool = place(parts, reading.POOL)
    return tuple(Question(read, pool, (one,)) for one in of)
