"""What the pool itself says of an account, `getUserAccountData`: as a verdict, and beside ours."""

from typing import Any, Final

from tocsin.chain.abi import Value
from tocsin.protocols.aave_v3.valuation import NO_DEBT, AccountData
from tocsin.protocols.base import WAD, UnknownStateError, Verdict
from tocsin.protocols.places import Difference

NAMES: Final = (
    "totalCollateralBase",
    "totalDebtBase",
    "availableBorrowsBase",
    "currentLiquidationThreshold",
    "ltv",
    "healthFactor",
)
"""Its six numbers, in their order."""


def verdict(answer: Value) -> Verdict:
    """Return what an answer says. Raises UnknownStateError for one that is no six numbers."""
    said = dict(zip(NAMES, _numbers(answer), strict=True))
    health = said["healthFactor"]
    return Verdict(
        liquidatable=health < WAD,
        health_wad=None if health == NO_DEBT else health,
        collateral_base=said["totalCollateralBase"],
        debt_base=said["totalDebtBase"],
        details={name: said[name] for name in NAMES[2:5]},
    )


def differences(ours: AccountData, answer: Value) -> tuple[Difference, ...]:
    """Return which of the six numbers differ. Raises UnknownStateError as `verdict` does."""
    counted = ours.collateral, ours.debt, ours.available, ours.threshold, ours.ltv, ours.health
    return tuple(
        Difference(what=name, ours=str(mine), chain=str(said))
        for name, mine, said in zip(NAMES, counted, _numbers(answer), strict=True)
        if mine != said
    )


def _numbers(answer: Any) -> tuple[int, ...]:
    if not isinstance(answer, tuple) or len(answer) != len(NAMES):
        raise UnknownStateError("getUserAccountData() answers six numbers, and this is another answer")
    return answer
