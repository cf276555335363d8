"""Whether what is said of a market is something that the engine can count with.

Types alone do not tell: sums are decimal text, and whatever wrote others, it was no valuation.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from tocsin.model.market import AccountSample, MarketSample, MarketSettings
from tocsin.model.settings import ChainSettings

_UNITS: Final = re.compile(r"[0-9]{1,120}")
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}")
_MOST_DECIMALS: Final = 77
_AMOUNT: Final = re.compile(r"[0-9]{1,78}(\.[0-9]{1,77})?")


def is_sound(sample: MarketSample) -> bool:
    """Tell whether all of a sample is of the kind that a valuation makes."""
    accounts = (*sample.near, *sample.watched)
    return (
        0 <= sample.base_decimals <= _MOST_DECIMALS
        and all(_UNITS.fullmatch(text) for text in _sums(sample, accounts))
        and min(_counts(sample, accounts)) >= 0
    )


def _sums(sample: MarketSample, accounts: Iterable[AccountSample]) -> Iterator[str]:
    yield from (sample.collateral, sample.debt, sample.bad_debt)
    for point in sample.curve:
        yield from (point.collateral, point.debt, point.bad_debt)
    for one in accounts:
        yield from (one.collateral, one.debt)
        yield from () if one.price is None else (one.price,)
        for held in one.held:
            yield from (held.collateral, held.debt)


def _counts(sample: MarketSample, accounts: Iterable[AccountSample]) -> Iterator[int]:
    yield from (sample.accounts, sample.indebted, sample.liquidatable, sample.blocked, sample.underwater)
    yield from (sample.unknown, sample.near_count, sample.checked, sample.mismatches, sample.lag_blocks)
    yield from (sample.largest_ppm, *(share for _, share in sample.shares_ppm))
    yield from (0 if sample.time_s is None else sample.time_s, 0 if sample.block is None else sample.block.number)
    for point in sample.curve:
        yield from (point.accounts, point.unsure)
    for one in accounts:
        yield 0 if one.health_ppm is None else one.health_ppm
        yield 0 if one.seconds_left is None else one.seconds_left


def flaw(chain: ChainSettings, samples: Iterable[MarketSample]) -> str | None:
    """Return what of the markets of a chain no engine has written, None where nothing is wrong with them."""
    if not all(_is_valuable(one) for one in chain.markets):
        return f"what is no market of {chain.name} is valued"
    if not all(is_sound(sample) for sample in samples):
        return f"a market of {chain.name} was valued in no numbers"
    return None


def _is_valuable(one: MarketSettings) -> bool:
    return (
        _ADDRESS.fullmatch(one.pool) is not None
        and one.near_ppm >= 0
        and all(
            _ADDRESS.fullmatch(own.address)
            and min((0, *(limit for limit in (own.health_floor_ppm, own.most_leverage_ppm) if limit is not None))) >= 0
            and all(share > 0 for _, share in own.most_asset_ppm)
            and own.most_leverage_ppm != 0
            and (own.most_market is None or _AMOUNT.fullmatch(own.most_market))
            for own in one.watched
        )
    )
