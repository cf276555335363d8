"""Where the contracts of a market are: found from its pool, again whenever an event says that one may be another."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tocsin.protocols.aave_v3 import reading
from tocsin.protocols.aave_v3.assembly import NOWHERE
from tocsin.protocols.aave_v3.revisions import Revision
from tocsin.protocols.base import Question, Read, Reading, UnknownStateError, known
from tocsin.protocols.names import names_of
from tocsin.protocols.places import Parts, Target

_NUMBERS: Final = tuple(range(1, 256))
"""An account's eMode category is a byte, and 0 is none."""
_SUPPLY, _STABLE, _DEBT = 8, 9, 10
"""Where the tokens stand in a reserve's data."""


def parts(revision: Revision | None, target: Target) -> Reading[Parts]:
    """Find the contracts. Of an unknown revision, what any has: what does not answer is left out.

    Raises UnknownStateError where pool or addresses provider do not answer.
    """
    (provider,) = yield (Question(reading.PROVIDER_PLACE, target.pool),)
    provider = _there(provider, reading.PROVIDER_PLACE)
    oracle, configurator, sentinel = yield (
        Question(reading.ORACLE_PLACE, provider),
        Question(reading.CONFIGURATOR_PLACE, provider),
        Question(reading.SENTINEL_PLACE, provider),
    )
    reserves = yield from _reserves(target.pool)
    oracle = _there(oracle, reading.ORACLE_PLACE)
    sources = yield from _sources(oracle, tuple(reserves))
    discounts = yield from _discounts({asset: tokens[2] for asset, tokens in reserves.items()})
    categories = () if revision is None else (yield from _categories(revision, target.pool))
    (currency,) = yield (Question(reading.BASE_CURRENCY, oracle),)
    names = yield from names_of(tuple(dict.fromkeys((*reserves, *_somewhere(currency)))))
    return Parts(
        target=target,
        at={
            reading.POOL: (target.pool,),
            reading.PROVIDER: (provider,),
            reading.ORACLE: _somewhere(oracle),
            reading.CONFIGURATOR: _somewhere(configurator),
            reading.SENTINEL: _somewhere(sentinel),
            reading.SUPPLY_TOKEN: tuple(tokens[0] for tokens in reserves.values()),
            reading.DEBT_TOKEN: tuple(tokens[2] for tokens in reserves.values()),
            reading.STABLE_TOKEN: tuple(tokens[1] for tokens in reserves.values() if tokens[1] != NOWHERE),
        },
        names=names,
        links={reading.SOURCE.asks.name: sources, reading.DISCOUNT.asks.name: discounts},
        numbers={reading.CATEGORIES: categories},
    )


def _there(address: bytes | None, read: Read) -> bytes:
    """Return an address that has to be one. Raises UnknownStateError."""
    found: bytes = known(address, read)
    if found == NOWHERE:
        raise UnknownStateError(f"{read.of}: {read.asks.name}() says that there is none")
    return found


def _somewhere(address: bytes | None) -> tuple[bytes, ...]:
    return () if address is None or address == NOWHERE else (address,)


def _reserves(pool: bytes) -> Reading[Mapping[bytes, tuple[bytes, bytes, bytes]]]:
    """Read the tokens of each reserve: of supplies, of stable and of variable debts."""
    (listed,) = yield (Question(reading.RESERVES, pool),)
    assets = [asset for asset in known(listed, reading.RESERVES) if asset != NOWHERE]
    data: Sequence[Any] = yield tuple(Question(reading.RESERVE, pool, (asset,)) for asset in assets)
    return {
        asset: (one[_SUPPLY], one[_STABLE], one[_DEBT])
        for asset, one in zip(assets, data, strict=True)
        if one is not None
    }


def _sources(oracle: bytes, assets: Sequence[bytes]) -> Reading[Mapping[bytes, bytes]]:
    """Read where the price of each asset comes from."""
    answers = yield tuple(Question(reading.SOURCE, oracle, (asset,)) for asset in assets)
    return {asset: one for asset, one in zip(assets, answers, strict=True) if one is not None}


def _discounts(debt_tokens: Mapping[bytes, bytes]) -> Reading[Mapping[bytes, bytes]]:
    """Read which debt tokens give a discount, and to holders of what."""
    answers = yield tuple(Question(reading.DISCOUNT, token) for token in debt_tokens.values())
    return {asset: one for asset, one in zip(debt_tokens, answers, strict=True) if one is not None}


def _categories(revision: Revision, pool: bytes) -> Reading[tuple[int, ...]]:
    """Find the eMode categories: those that have a threshold, which the pool lets none be without."""
    read = reading.CATEGORY if revision.bitmaps else reading.OLD_CATEGORY
    answers: Sequence[Any] = yield tuple(Question(read, pool, (number,)) for number in _NUMBERS)
    return tuple(number for number, one in zip(_NUMBERS, answers, strict=True) if known(one, read)[1])
