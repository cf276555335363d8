"""An aggregator in EVM code that keeps all its rounds, has bounds, and may be the proxy of another one.

`store(uint256,uint256)` writes a slot, for anybody. Slot 0 holds the number of the newest round, 1 to 4 what functions
without arguments return, and a round lies at 128 + 8 times its number: answer, start, update. A round without an
update reverts, and so does a function that is not named, or whose slot is 0.
"""

from typing import Final

from tests.support.artifacts import Deployer, call_data
from tests.support.feedcode import assembled, creation, dispatched

DECIMALS, MIN_ANSWER, MAX_ANSWER, AGGREGATOR = range(1, 5)
_ROUNDS: Final = 128
_SIZE: Final = 8

_Steps = list[str | int | bytes]


def _one(slot: int) -> _Steps:
    """Return what a slot holds, or revert where that is nothing."""
    return [slot, "SLOAD", "DUP1", "ISZERO", "@nothing", "JUMPI", 0, "MSTORE", 32, 0, "RETURN"]


_TOLD: Final[_Steps] = [
    *("DUP1", 0, "MSTORE", "DUP1", 128, "MSTORE", _SIZE, "MUL", _ROUNDS, "ADD"),
    *("DUP1", "SLOAD", 32, "MSTORE"),
    *("DUP1", 1, "ADD", "SLOAD", 64, "MSTORE"),
    *(2, "ADD", "SLOAD", "DUP1", "ISZERO", "@nothing", "JUMPI", 96, "MSTORE", 160, 0, "RETURN"),
]
"""Return the round whose number is on the stack."""

RUNTIME: Final = assembled(
    [
        *dispatched(
            (
                ("latestRoundData()", [0, "SLOAD", *_TOLD]),
                ("getRoundData(uint80)", [4, "CALLDATALOAD", *_TOLD]),
                ("decimals()", _one(DECIMALS)),
                ("minAnswer()", _one(MIN_ANSWER)),
                ("maxAnswer()", _one(MAX_ANSWER)),
                ("aggregator()", _one(AGGREGATOR)),
                ("store(uint256,uint256)", [36, "CALLDATALOAD", 4, "CALLDATALOAD", "SSTORE", "STOP"]),
            )
        ),
        *(":nothing", 0, 0, "REVERT"),
    ]
)


class Aggregator:
    """One on a node."""

    def __init__(self, deployer: Deployer, address: str) -> None:
        self._deployer = deployer
        self.address = address

    @classmethod
    async def on(cls, deployer: Deployer, *, decimals: int = 8, behind: str = "") -> "Aggregator":
        """Deploy one, with `behind` the proxy of another."""
        made = cls(deployer, await deployer.deploy(creation(RUNTIME)))
        await made.store(DECIMALS, decimals)
        if behind:
            await made.store(AGGREGATOR, int(behind, 16))
        return made

    async def store(self, slot: int, value: int) -> None:
        """Write a slot."""
        await self._deployer.send(self.address, call_data("store(uint256,uint256)", slot, value % (1 << 256)))

    async def answer(self, number: int, answer: int, updated_s: int) -> None:
        """Give it a newest round."""
        at = _ROUNDS + _SIZE * number
        for slot, value in ((at, answer), (at + 1, updated_s), (at + 2, updated_s), (0, number)):
            await self.store(slot, value)
