"""What the comptroller itself says of an account, `getAccountLiquidity`: as a verdict, and beside ours.

It says by how much one side exceeds the other, and neither side.
"""

from typing import Any, Final

from tocsin.chain.abi import Value
from tocsin.protocols.base import UnknownStateError, Verdict
from tocsin.protocols.compound_v2.valuation import Position
from tocsin.protocols.places import Difference

NAMES: Final = ("error", "liquidity", "shortfall")


def verdict(answer: Value) -> Verdict:
    """Return what an answer says; of its values only the difference is true. Raises UnknownStateError for an error."""
    error, liquidity, shortfall = _numbers(answer)
    if error:
        raise UnknownStateError(f"getAccountLiquidity() answers error {error}: the account has no health")
    return Verdict(
        liquidatable=shortfall > 0,
        health_wad=0 if shortfall else None,
        collateral_base=liquidity,
        debt_base=shortfall,
        details={"liquidity": liquidity, "shortfall": shortfall},
    )


def differences(ours: Position, answer: Value) -> tuple[Difference, ...]:
    """Return in what an answer differs. Raises UnknownStateError for one that is no three numbers.

    Where debts were read cut, and interest was added since, it may be anything between the least and the most.
    """
    error, liquidity, shortfall = _numbers(answer)
    if error:
        return (Difference(what="error", ours="0", chain=str(error)),)
    least, most = ours.weighted - ours.debt_at_most, ours.weighted - ours.debt
    if least <= liquidity - shortfall <= most and not (liquidity and shortfall):
        return ()
    both = (("liquidity", ours.liquidity, liquidity), ("shortfall", ours.shortfall, shortfall))
    return tuple(Difference(what=name, ours=str(mine), chain=str(said)) for name, mine, said in both if mine != said)


def _numbers(answer: Any) -> tuple[int, ...]:
    if not isinstance(answer, tuple) or len(answer) != len(NAMES):
        raise UnknownStateError("getAccountLiquidity() answers three numbers, and this is another answer")
    return answer
