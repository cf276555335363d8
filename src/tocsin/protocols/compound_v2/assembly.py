"""A market read: its tokens with their prices, how each counts, and what is paused."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tocsin.model.block import BlockRef
from tocsin.protocols.base import Question, Read, Reading, UnknownStateError, known
from tocsin.protocols.compound_v2 import reading
from tocsin.protocols.compound_v2.locating import tokens_of
from tocsin.protocols.compound_v2.market import Liquidator, Market, Pool, Terms, Token, Vai
from tocsin.protocols.compound_v2.revisions import Revision
from tocsin.protocols.places import Parts

_YEAR_MS: Final = 365 * 86_400 * 1_000
_PACE_MS: Final = 12_000
"""Where no interest model says for how many blocks a year it is made."""
MOST_POOLS: Final = 256
"""More than Venus has made: a higher number is no answer of it."""


def market(revision: Revision, parts: Parts, block: BlockRef) -> Reading[Market]:
    """Read a market at a block. Raises UnknownStateError where comptroller or a token do not answer."""
    pool = place(parts, reading.COMPTROLLER)
    model, clock = parts.all(reading.MODEL), place(parts, reading.CLOCK)
    listed, close_factor, oracle, time_s, *blocks = yield (
        Question(reading.TOKENS, pool),
        Question(reading.CLOSE_FACTOR, pool),
        Question(reading.ORACLE_PLACE, pool),
        Question(reading.TIME, clock),
        *(Question(reading.BLOCKS_PER_YEAR, each) for each in model),
    )
    places = tokens_of(known(listed, reading.TOKENS))
    oracle = known(oracle, reading.ORACLE_PLACE)
    terms = yield from _venus_terms(pool, places) if revision.venus else _terms(revision, pool, places)
    numbers = yield from _tokens(revision, oracle, places)
    tokens = tuple(
        Token(address=address, **said, **own) for address, said, own in zip(places, numbers, terms, strict=True)
    )
    more = (yield from _of_venus(parts, pool, places)) if revision.venus else {}
    return Market(
        block=block,
        time_s=time_s,
        tokens=tokens,
        close_factor=known(close_factor, reading.CLOSE_FACTOR),
        pace_ms=_pace_ms(blocks),
        oracle=oracle,
        **more,
    )


def place(parts: Parts, part: str) -> bytes:
    """Return where a part is that there has to be. Raises UnknownStateError."""
    found = parts.one(part)
    if found is None:
        raise UnknownStateError(f"the market has no {part}")
    return found


def _pace_ms(blocks: Sequence[int | None]) -> int:
    """Return how long a block takes, as the interest model has it."""
    said = next((count for count in blocks if count), None)
    return max(_YEAR_MS // said, 1) if said else _PACE_MS


def _tokens(revision: Revision, oracle: bytes, places: Sequence[bytes]) -> Reading[list[dict[str, Any]]]:
    """Read what each token says of itself, and its price. A rate, a price or an exchange rate may be missing."""
    accrued_at, rate = reading.clock_of(revision)
    needed = {
        "cash": reading.CASH,
        "borrows": reading.BORROWS,
        "reserves": reading.RESERVES,
        "supply": reading.SUPPLY,
        "borrow_index": reading.INDEX,
        "accrued_at": accrued_at,
        "reserve_factor": reading.RESERVE_FACTOR,
    }
    found: list[dict[str, Any]] = [{} for _ in places]
    for name, read in {**needed, "rate": rate, "stored_exchange_rate": reading.EXCHANGE_RATE}.items():
        answers: Sequence[Any] = yield tuple(Question(read, token) for token in places)
        for mine, answer in zip(found, answers, strict=True):
            mine[name] = known(answer, read) if name in needed else answer
    prices = yield tuple(Question(reading.PRICE, oracle, (token,)) for token in places)
    for mine, price in zip(found, prices, strict=True):
        mine["price"] = price
    return found


# -- Compound


def _terms(revision: Revision, pool: bytes, places: Sequence[bytes]) -> Reading[list[dict[str, Any]]]:
    """Read how each token counts: one incentive for all, one pause of all seizures."""
    (incentive, paused) = yield (Question(reading.INCENTIVE, pool), Question(reading.SEIZURE_PAUSED, pool))
    incentive, paused = known(incentive, reading.INCENTIVE), known(paused, reading.SEIZURE_PAUSED)
    read = reading.terms_of(revision)
    said = yield from _each(read, pool, places)
    deprecated: Sequence[bool] = [False] * len(places)
    if revision.deprecates:
        deprecated = yield from _each(reading.DEPRECATED, pool, places)
    shares: Sequence[int | None] = yield tuple(Question(reading.SEIZE_SHARE, token) for token in places)
    borrowing = yield from _each(reading.BORROWING_PAUSED, pool, places)
    caps = yield from _each(reading.BORROW_CAP, pool, places)
    return [
        {
            "terms": Terms(threshold=factor, incentive=incentive, collateral_factor=factor),
            "listed": listed,
            "forced": forced,
            "seizure_paused": paused,
            "seize_share": share or 0,
            "rules": (("borrowing paused", "yes" if stopped else "no"), ("borrow cap", str(cap))),
        }
        for (listed, factor, *_), forced, share, stopped, cap in zip(
            said, deprecated, shares, borrowing, caps, strict=True
        )
    ]


def _each(read: Read, pool: bytes, places: Sequence[bytes]) -> Reading[list[Any]]:
    """Read what the comptroller has to say of each token."""
    answers: Sequence[Any] = yield tuple(Question(read, pool, (token,)) for token in places)
    return [known(answer, read) for answer in answers]


# -- Venus


def _venus_terms(pool: bytes, places: Sequence[bytes]) -> Reading[list[dict[str, Any]]]:
    """Read how each token counts in the core pool, and which actions are paused."""
    said = yield from _pool_terms(pool, 0, places)
    forced = yield from _each(reading.FORCED, pool, places)
    paused: list[list[bool]] = []
    for action in (reading.LIQUIDATING, reading.REPAYING, reading.SEIZING, reading.TRANSFERRING):
        answers: Sequence[Any] = yield tuple(Question(reading.ACTION_PAUSED, pool, (token, action)) for token in places)
        paused.append([known(answer, reading.ACTION_PAUSED) for answer in answers])
    borrow_caps = yield from _each(reading.BORROW_CAP, pool, places)
    supply_caps = yield from _each(reading.SUPPLY_CAP, pool, places)
    return [
        {
            "terms": terms,
            "listed": listed,
            "forced": is_forced,
            "liquidation_paused": liquidating,
            "repayment_paused": repaying,
            "seizure_paused": seizing,
            "transfer_paused": transferring,
            "rules": (("borrow cap", str(borrow_cap)), ("supply cap", str(supply_cap))),
        }
        for (listed, terms), is_forced, liquidating, repaying, seizing, transferring, borrow_cap, supply_cap in zip(
            said, forced, *paused, borrow_caps, supply_caps, strict=True
        )
    ]


def _pool_terms(pool: bytes, number: int, places: Sequence[bytes]) -> Reading[list[tuple[bool, Terms]]]:
    answers: Sequence[Any] = yield tuple(Question(reading.POOL_TERMS, pool, (number, token)) for token in places)
    found = []
    for answer in answers:
        listed, factor, _, threshold, incentive, *_ = known(answer, reading.POOL_TERMS)
        found.append((listed, Terms(threshold=threshold, incentive=incentive, collateral_factor=factor)))
    return found


def _of_venus(parts: Parts, pool: bytes, places: Sequence[bytes]) -> Reading[dict[str, Any]]:
    last, paused = yield (Question(reading.POOLS, pool), Question(reading.PAUSED, pool))
    last, paused = known(last, reading.POOLS), known(paused, reading.PAUSED)
    pools = yield from _pools(pool, last, places)
    vai = yield from _vai(parts, pool)
    liquidator = yield from _liquidator(parts)
    return {"paused": paused, "pools": pools, "vai": vai, "liquidator": liquidator}


def _pools(pool: bytes, last: int, places: Sequence[bytes]) -> Reading[Mapping[int, Pool]]:
    if last > MOST_POOLS:
        raise UnknownStateError(f"a comptroller of {last} pools: {MOST_POOLS} at most are believed")
    numbers = range(1, last + 1)
    said: Sequence[Any] = yield tuple(Question(reading.POOL, pool, (number,)) for number in numbers)
    tokens: Sequence[Any] = yield tuple(Question(reading.POOL_TOKENS, pool, (number,)) for number in numbers)
    found = {}
    for number, answer, named in zip(numbers, said, tokens, strict=True):
        _, active, falls_back = known(answer, reading.POOL)
        own = [at for at, token in enumerate(places) if token in known(named, reading.POOL_TOKENS)]
        terms = yield from _pool_terms(pool, number, [places[at] for at in own])
        mine = {at: each for at, (listed, each) in zip(own, terms, strict=True) if listed}
        found[number] = Pool(number=number, terms=mine, active=active, falls_back=falls_back)
    return found


def _vai(parts: Parts, pool: bytes) -> Reading[Vai | None]:
    controller = parts.one(reading.VAI)
    if controller is None:
        return None
    index, rate, liquidating, minting, repaying, forced = yield (
        Question(reading.VAI_INDEX, controller),
        Question(reading.VAI_RATE, controller),
        Question(reading.ACTION_PAUSED, pool, (controller, reading.LIQUIDATING)),
        Question(reading.VAI_MINT_PAUSED, pool),
        Question(reading.VAI_REPAY_PAUSED, pool),
        Question(reading.FORCED, pool, (controller,)),
    )
    return Vai(
        controller=controller,
        index=known(index, reading.VAI_INDEX),
        rate=rate,
        liquidation_paused=known(liquidating, reading.ACTION_PAUSED),
        paused=known(minting, reading.VAI_MINT_PAUSED) or known(repaying, reading.VAI_REPAY_PAUSED),
        forced=known(forced, reading.FORCED),
    )


def _liquidator(parts: Parts) -> Reading[Liquidator | None]:
    address = parts.one(reading.LIQUIDATOR)
    if address is None:
        return None
    share, first, least = yield (
        Question(reading.TREASURY_SHARE, address),
        Question(reading.VAI_FIRST, address),
        Question(reading.LEAST_VAI, address),
    )
    return Liquidator(
        address=address,
        treasury_share=known(share, reading.TREASURY_SHARE),
        vai_first=known(first, reading.VAI_FIRST),
        least_vai=known(least, reading.LEAST_VAI),
    )
