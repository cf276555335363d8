"""A market and its accounts, read: what is asked in which order, and what is made of the answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.chain.abi import Value
from tocsin.model.block import BlockRef
from tocsin.protocols.aave_v3 import reading
from tocsin.protocols.aave_v3.market import Account, Category, Holding, Market, Reserve
from tocsin.protocols.aave_v3.revisions import Revision
from tocsin.protocols.base import Question, Read, Reading, UnknownStateError

NOWHERE = bytes(20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the parts of a market are, 20 bytes each."""

    pool: bytes
    oracle: bytes
    provider: bytes


def market(revision: Revision, places: Places, block: BlockRef, categories: Sequence[int]) -> Reading[Market]:
    """Read a market at a block. `categories` are the numbers of eMode categories that are looked for, 1 to 255.

    Raises UnknownStateError where the pool itself does not answer.
    """
    (listed,) = yield (Question(reading.RESERVES, places.pool),)
    assets = _known(listed, reading.RESERVES)
    reserves = yield from _reserves(revision, places, assets)
    found = yield from _categories(revision, places, categories)
    allows = (yield from _sentinel(places)) if revision.sentinel else None
    by_id: list[Reserve | None] = [None] * (1 + max((each.id for each in reserves), default=-1))
    for each in reserves:
        by_id[each.id] = each
    return Market(
        block=block,
        reserves=tuple(by_id),
        categories={each.number: each for each in found},
        sentinel_allows=allows,
    )


def _reserves(revision: Revision, places: Places, assets: Sequence[bytes]) -> Reading[list[Reserve]]:
    """Read the reserves of a list, in which one that was dropped has left a gap."""
    assets = [asset for asset in assets if asset != NOWHERE]
    data = yield tuple(Question(reading.RESERVE, places.pool, (asset,)) for asset in assets)
    prices = yield tuple(Question(reading.PRICE, places.oracle, (asset,)) for asset in assets)
    grace: Sequence[Any] = [0] * len(assets)
    if revision.grace:
        grace = yield tuple(Question(reading.GRACE, places.pool, (asset,)) for asset in assets)
    return [
        reading.reserve(asset, _known(one, reading.RESERVE), price, _known(until_s, reading.GRACE))
        for asset, one, price, until_s in zip(assets, data, prices, grace, strict=True)
    ]


def _categories(revision: Revision, places: Places, numbers: Sequence[int]) -> Reading[list[Category]]:
    if not revision.bitmaps:
        return (yield from _old_categories(places, numbers))
    reads = [reading.CATEGORY, reading.CATEGORY_COLLATERAL, reading.CATEGORY_BORROWABLE]
    reads += [reading.CATEGORY_ZERO_LTV] if revision.category_ltv else []
    reads += [reading.CATEGORY_ISOLATED] if revision.isolated_categories else []
    columns = []
    for read in reads:
        answers = yield _each(read, places, numbers)
        columns.append([_known(answer, read) for answer in answers])
    found = []
    for number, (ltv, threshold, bonus), collateral, borrowable, *rest in zip(numbers, *columns, strict=True):
        if threshold:
            more = dict(zip(("zero_ltv", "isolated"), rest, strict=False))
            terms = {"ltv": ltv, "threshold": threshold, "bonus": bonus}
            found.append(Category(number=number, collateral=collateral, borrowable=borrowable, **terms, **more))
    return found


def _old_categories(places: Places, numbers: Sequence[int]) -> Reading[list[Category]]:
    answers = yield _each(reading.OLD_CATEGORY, places, numbers)
    data = {number: _known(one, reading.OLD_CATEGORY) for number, one in zip(numbers, answers, strict=True)}
    data = {number: one for number, one in data.items() if one[1]}
    sources = {number: one[3] for number, one in data.items() if one[3] != NOWHERE}
    prices = yield tuple(Question(reading.PRICE, places.oracle, (source,)) for source in sources.values())
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


def _sentinel(places: Places) -> Reading[bool | None]:
    (where,) = yield (Question(reading.SENTINEL_PLACE, places.provider),)
    if where is None or where == NOWHERE:
        return None
    (allows,) = yield (Question(reading.SENTINEL_ALLOWS, where),)
    return bool(_known(allows, reading.SENTINEL_ALLOWS))


def accounts(revision: Revision, places: Places, of: Market, addresses: Sequence[bytes]) -> Reading[list[Account]]:
    """Read accounts: their flags, then what they have of those reserves that they use or owe."""
    flags = yield _each(reading.FLAGS, places, addresses)
    categories = yield _each(reading.ACCOUNT_CATEGORY, places, addresses)
    words = [_known(answer, reading.FLAGS)[0] for answer in flags]
    wanted = [
        (at, each)
        for at, word in enumerate(words)
        for each in of.reserves
        if each is not None and word >> 2 * each.id & 3
    ]
    holdings = yield from _holdings(revision, [(addresses[at], each) for at, each in wanted])
    found: list[dict[int, Holding]] = [{} for _ in addresses]
    for (at, each), holding in zip(wanted, holdings, strict=True):
        found[at][each.id] = holding
    return [
        Account(address=address, flags=word, category=_known(category, reading.ACCOUNT_CATEGORY), holdings=holdings_)
        for address, word, category, holdings_ in zip(addresses, words, categories, found, strict=True)
    ]


def _holdings(revision: Revision, wanted: Sequence[tuple[bytes, Reserve]]) -> Reading[list[Holding]]:
    supplied = yield tuple(Question(reading.SUPPLIED, each.supply_token, (who,)) for who, each in wanted)
    borrowed = yield tuple(Question(reading.BORROWED, each.debt_token, (who,)) for who, each in wanted)
    stable: list[Sequence[Any]] = [[0] * len(wanted)] * 3
    if revision.stable_debt:
        for place, read in enumerate((reading.STABLE, reading.STABLE_RATE, reading.STABLE_SINCE)):
            asked = [each.stable_token != NOWHERE for _, each in wanted]
            answers = yield tuple(
                Question(read, each.stable_token, (who,)) for who, each in wanted if each.stable_token != NOWHERE
            )
            rest = iter(answers)
            stable[place] = [next(rest) if is_asked else 0 for is_asked in asked]
    return [
        Holding(
            supplied=_known(shares, reading.SUPPLIED),
            borrowed=_known(owed, reading.BORROWED),
            stable=_known(principal, reading.STABLE),
            stable_rate=_known(rate, reading.STABLE_RATE),
            stable_since_s=_known(since_s, reading.STABLE_SINCE),
        )
        for shares, owed, principal, rate, since_s in zip(supplied, borrowed, *stable, strict=True)
    ]


def _each(read: Read, places: Places, of: Sequence[Value]) -> tuple[Question, ...]:
    return tuple(Question(read, places.pool, (one,)) for one in of)


def _known(answer: Any, read: Read) -> Any:
    if answer is None:
        raise UnknownStateError(f"{read.of}: {read.signature.partition('(')[0]} reverted")
    return answer
