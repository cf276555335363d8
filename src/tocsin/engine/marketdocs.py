"""What is told of markets: their retained topics, bounded however big a market is, and their rows in the status."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from tocsin.clock import NS
from tocsin.engine.shown import block, seconds
from tocsin.engine.state import ChainState, Document, Lasting
from tocsin.model.market import (
    AccountSample,
    AtRisk,
    MarketSample,
    MarketSeen,
    MarketSettings,
    altered,
)
from tocsin.model.marketrows import TEXT, account, fitting, mismatch
from tocsin.model.settings import ChainSettings
from tocsin.wire.envelope import rfc3339

NOTHING: Final = MarketSeen(sample=MarketSample(identity=""), at_ns=0)
LIMIT: Final = 16_000
"""Bytes of a document at most: brokers and small clients take it, however many accounts are near the line."""
_CURVE, _NEAR, _WATCHED, _SHARES, _WRONG = 3_200, 5_600, 3_000, 1_200, 1_000
"""What the rows of each list may have of that; the others are counted, and left out."""
_PROBLEM: Final = 300
_NOT_VALUED: Final = "it was not valued yet"

_MOST_AGE_S: Final = 60
"""Interest moves every number a little at each block. By it alone a document is said again once a minute."""
_NOTICEABLE_PPM: Final = 1_000
"""Of a health: a thousandth."""
_DIGITS: Final = 4
"""Of a sum: by so many of them it has to differ."""


def told(state: ChainState, chain: ChainSettings) -> Iterator[tuple[MarketSettings, Lasting, Document]]:
    """Yield, for each market that was looked at, what of its document lasts, and what makes that."""
    for one in chain.markets:
        seen = state.markets.get(one.name)
        if seen is not None:
            yield one, _lasting(seen), partial(document, one, seen, chain.id)


def rows(state: ChainState, chain: ChainSettings, t_ns: int) -> list[dict[str, object]]:
    """Return the rows of the status, in the order of the configuration."""
    found = []
    for one in chain.markets:
        seen = state.markets.get(one.name)
        row = document(one, NOTHING if seen is None else seen, chain.id)
        age_s = None if seen is None else seconds(t_ns - seen.at_ns)
        found.append({**row, "name": one.name, "age_s": age_s, "problem": row["problem"] if seen else _NOT_VALUED})
    return found


# -- what of it lasts


def _lasting(seen: MarketSeen) -> Lasting:
    """Return what is worth publishing the document again: not that interest has moved every number by a little."""
    one = seen.sample
    counts = (one.accounts, one.indebted, one.liquidatable, one.blocked, one.underwater, one.unknown, one.near_count)
    return (
        "" if one.time_s is None else str(one.time_s // _MOST_AGE_S),
        *(str(count) for count in counts),
        *(_rounded(total) for total in (one.collateral, one.debt, one.bad_debt)),
        *(f"{point.shock_bps} {point.accounts} {_rounded(point.collateral)}" for point in one.curve),
        *(_lasting_account(account) for account in (*one.near, *one.watched)),
        *(f"{name} {share // _NOTICEABLE_PPM}" for name, share in one.shares_ppm),
        f"{one.largest} {one.largest_ppm // _NOTICEABLE_PPM}",
        f"{one.revision} {one.exactness} {one.grade} {one.base}",
        *(f"{wrong.account} {wrong.what}" for wrong in one.mismatched),
        str(one.mismatches),
        *(f"{name}={new}" for name, _, new in altered(seen.accepted, one.parameters)),
        one.problem,
    )


def _lasting_account(one: AccountSample) -> str:
    health = "" if one.health_ppm is None else one.health_ppm // _NOTICEABLE_PPM
    return f"{one.account} {health} {one.liquidatable} {one.blocked} {one.exactness} {one.unknown}"


def _rounded(units: str) -> str:
    return f"{units[:_DIGITS]}{'0' * (len(units) - _DIGITS)}"


# -- what it says


def document(one: MarketSettings, seen: MarketSeen, chain_id: int) -> dict[str, object]:
    """Return what is known of a market. Amounts are whole base units, of which `base` says how many make one."""
    sample = seen.sample
    return {
        "chain": f"eip155:{chain_id}",
        "kind": one.kind,
        "pool": one.pool,
        "id": one.id or None,
        "block": block(sample.block),
        "time": None if sample.time_s is None else rfc3339(sample.time_s * NS),
        "grade": None if sample.grade is None else sample.grade.value,
        "exactness": sample.exactness.value,
        "revision": sample.revision[:TEXT] or None,
        "book_hash": sample.book_hash or None,
        "base": {"name": sample.base[:TEXT], "decimals": sample.base_decimals} if sample.base else None,
        "totals": _totals(sample) if sample.is_known else None,
        "curve": fitting(map(_point, sample.curve), _CURVE),
        "near": fitting(map(account, sample.near), _NEAR),
        "near_count": sample.near_count,
        "watched": fitting(_watched(one, sample), _WATCHED),
        "shares": fitting(({"asset": asset[:TEXT], "share_ppm": share} for asset, share in sample.shares_ppm), _SHARES),
        "largest": {"account": sample.largest, "share_ppm": sample.largest_ppm} if sample.largest else None,
        "changed": len(altered(seen.accepted, sample.parameters)),
        "checked": sample.checked,
        "mismatches": sample.mismatches,
        "mismatched": fitting(map(mismatch, sample.mismatched), _WRONG),
        "lag_blocks": sample.lag_blocks,
        "backend": sample.backend[:TEXT] or None,
        "problem": sample.problem[:_PROBLEM] or None,
    }


def _totals(sample: MarketSample) -> dict[str, object]:
    return {
        "accounts": sample.accounts,
        "indebted": sample.indebted,
        "collateral": sample.collateral,
        "debt": sample.debt,
        "liquidatable": sample.liquidatable,
        "blocked": sample.blocked,
        "underwater": sample.underwater,
        "bad_debt": sample.bad_debt,
        "unknown": sample.unknown,
    }


def _point(one: AtRisk) -> dict[str, object]:
    return {
        "shock_bps": one.shock_bps,
        "accounts": one.accounts,
        "unsure": one.unsure,
        "collateral": one.collateral,
        "debt": one.debt,
        "bad_debt": one.bad_debt,
    }


def _watched(one: MarketSettings, sample: MarketSample) -> Iterator[dict[str, object]]:
    names = {each.address: each.name for each in one.watched}
    for each in sample.watched:
        if each.account in names:
            yield {"name": names[each.account], **account(each)}
