"""What governance sets of a market, by names that stay, as text: a change of one is news."""

from collections.abc import Iterator

from tocsin.protocols.aave_v3 import reading
from tocsin.protocols.aave_v3.market import Category, Market, Reserve
from tocsin.protocols.aave_v3.revisions import Revision
from tocsin.protocols.places import Parts


def parameters(revision: Revision, parts: Parts, market: Market) -> tuple[tuple[str, str], ...]:
    """Return the parameters of all reserves and eMode categories, and where prices come from."""
    return tuple(_all(revision, parts, market))


def _all(revision: Revision, parts: Parts, market: Market) -> Iterator[tuple[str, str]]:
    yield "revision", revision.number
    for part in (reading.ORACLE, reading.SENTINEL):
        yield part, _address(parts.one(part))
    for each in market.reserves:
        if each is not None:
            yield from _of_reserve(parts, each)
    for category in market.categories.values():
        yield from _of_category(revision, parts, market, category)


def _of_reserve(parts: Parts, reserve: Reserve) -> Iterator[tuple[str, str]]:
    word, name = reserve.configuration, parts.name(reserve.asset)
    told = {
        "ltv": f"{word.ltv} bps",
        "liquidation threshold": f"{word.threshold} bps",
        "liquidation bonus": f"{word.bonus} bps",
        "liquidation protocol fee": f"{word.protocol_fee} bps",
        "reserve factor": f"{word.reserve_factor} bps",
        "supply cap": str(word.supply_cap),
        "borrow cap": str(word.borrow_cap),
        "debt ceiling": str(word.debt_ceiling),
        "active": _yes(is_so=word.active),
        "frozen": _yes(is_so=word.frozen),
        "paused": _yes(is_so=word.paused),
        "borrowing": _yes(is_so=word.borrowing),
        "price source": _address(parts.links.get(reading.SOURCE.asks.name, {}).get(reserve.asset)),
    }
    yield from ((f"{name} {what}", text) for what, text in told.items())


def _of_category(revision: Revision, parts: Parts, market: Market, category: Category) -> Iterator[tuple[str, str]]:
    name = f"eMode {category.number}"
    yield f"{name} ltv", f"{category.ltv} bps"
    yield f"{name} liquidation threshold", f"{category.threshold} bps"
    yield f"{name} liquidation bonus", f"{category.bonus} bps"
    if revision.bitmaps:
        yield f"{name} collateral", _assets(parts, market, category.collateral)
        yield f"{name} borrowable", _assets(parts, market, category.borrowable)
    else:
        members = sum(
            1 << each.id for each in market.reserves if each and each.configuration.category == category.number
        )
        yield f"{name} assets", _assets(parts, market, members)
    if revision.category_ltv:
        yield f"{name} ltv zero", _assets(parts, market, category.zero_ltv)
    if revision.isolated_categories:
        yield f"{name} isolated", _yes(is_so=category.isolated)


def _assets(parts: Parts, market: Market, bitmap: int) -> str:
    found = [parts.name(each.asset) for each in market.reserves if each is not None and bitmap >> each.id & 1]
    return " ".join(found) or "none"


def _yes(*, is_so: bool) -> str:
    return "yes" if is_so else "no"


def _address(address: bytes | None) -> str:
    return "none" if not address else f"0x{address.hex()}"
