"""A market whose contracts count in a way that is not known: what their own view function says of each account.

There is no book, no curve and no critical price: nothing is worked out that only the contracts could work out.
"""

from collections.abc import Mapping

from tocsin.model.alert import Exactness, Grade
from tocsin.model.block import BlockRef
from tocsin.model.market import MOST_NAMED, PPM, AccountSample, MarketSample, MarketSettings
from tocsin.protocols.base import Verdict
from tocsin.valuation.accounts import of_verdict, order, unknown


def value_by_chain(
    settings: MarketSettings,
    revision: str,
    said: Mapping[bytes, Verdict | str],
    block: BlockRef,
    time_s: int,
    *,
    grade: Grade | None = None,
) -> MarketSample:
    """Return what a market comes to by answers of one block: a verdict of each account, or why there is none."""
    known = {account: one for account, one in said.items() if isinstance(one, Verdict)}
    told = sorted((_told(account, one) for account, one in said.items()), key=order)
    limit = PPM + settings.near_ppm
    near = [one for one in told if one.liquidatable is not False or (one.health_ppm or limit) < limit]
    below = [one for one in known.values() if one.liquidatable]
    debt = sum(one.debt_base for one in known.values())
    largest = max(known, key=lambda account: (known[account].debt_base, account), default=None)
    silent = len(said) - len(known)
    return MarketSample(
        identity=settings.identity,
        block=block,
        time_s=time_s,
        grade=grade,
        revision=revision,
        exactness=Exactness.CHAIN,
        accounts=len(said),
        indebted=sum(1 for one in known.values() if one.debt_base),
        collateral=str(sum(one.collateral_base for one in known.values())),
        debt=str(debt),
        liquidatable=len(below),
        blocked=sum(1 for one in below if one.blocked),
        underwater=sum(1 for one in below if one.underwater),
        bad_debt=str(sum(one.debt_base - one.collateral_base for one in below if one.underwater)),
        unknown=silent,
        near=tuple(near[:MOST_NAMED]),
        near_count=len(near),
        watched=tuple(
            _told(account, said[account])
            for account in (bytes.fromhex(one.address[2:]) for one in settings.watched)
            if account in said
        ),
        largest="" if largest is None or not debt else f"0x{largest.hex()}",
        largest_ppm=0 if largest is None or not debt else known[largest].debt_base * PPM // debt,
        problem=f"revision {revision} counts in a way that is not known: its own view function was asked"
        + (f"; of {silent} accounts it said nothing" if silent else ""),
    )


def _told(account: bytes, said: Verdict | str) -> AccountSample:
    return unknown(account, said) if isinstance(said, str) else of_verdict(account, said, Exactness.CHAIN)
