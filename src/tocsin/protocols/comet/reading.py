"""What is read of a Comet and followed, as data."""

from typing import Final

from tocsin.chain.logrules import Topic
from tocsin.protocols.base import Event, Plan, Read

COMET, TOKEN, FEED = "comet", "token", "feed"

VERSION: Final = Read(of=COMET, signature="version()(string)")
VIEW: Final = Read(of=COMET, signature="isLiquidatable(address)(bool)", takes=("account",))
BASE: Final = Read(of=COMET, signature="baseToken()(address)")
BASE_FEED: Final = Read(of=COMET, signature="baseTokenPriceFeed()(address)")
BASE_SCALE: Final = Read(of=COMET, signature="baseScale()(uint256)")
COUNT: Final = Read(of=COMET, signature="numAssets()(uint8)")
ASSET: Final = Read(
    of=COMET,
    signature="getAssetInfo(uint8)((uint8,address,address,uint64,uint64,uint64,uint64,uint128))",
    takes=("place",),
)
TOTALS: Final = Read(of=COMET, signature="totalsBasic()((uint64,uint64,uint64,uint64,uint104,uint104,uint40,uint8))")
PRICE: Final = Read(of=COMET, signature="getPrice(address)(uint256)", takes=("feed",))
"""Of a feed; reverts for a price of zero or less."""
UTILIZATION: Final = Read(of=COMET, signature="getUtilization()(uint256)")
SUPPLY_RATE: Final = Read(of=COMET, signature="getSupplyRate(uint256)(uint64)", takes=("utilization",))
BORROW_RATE: Final = Read(of=COMET, signature="getBorrowRate(uint256)(uint64)", takes=("utilization",))
ASSET_RESERVES: Final = Read(of=COMET, signature="getCollateralReserves(address)(uint256)", takes=("asset",))
STORE_FRONT: Final = Read(of=COMET, signature="storeFrontPriceFactor()(uint256)")
BORROW_MIN: Final = Read(of=COMET, signature="baseBorrowMin()(uint256)")
TARGET_RESERVES: Final = Read(of=COMET, signature="targetReserves()(uint256)")
BASIC: Final = Read(of=COMET, signature="userBasic(address)(int104,uint64,uint64,uint16,uint8)", takes=("account",))
COLLATERAL: Final = Read(
    of=COMET, signature="userCollateral(address,address)(uint128,uint128)", takes=("account", "asset")
)
BALANCE: Final = Read(of=TOKEN, signature="balanceOf(address)(uint256)", takes=("comet",))
DESCRIPTION: Final = Read(of=FEED, signature="description()(string)")

RATES: Final = tuple(
    Read(of=COMET, signature=f"{name}()(uint256)")
    for side in ("supply", "borrow")
    for name in (
        f"{side}Kink",
        f"{side}PerSecondInterestRateBase",
        f"{side}PerSecondInterestRateSlopeLow",
        f"{side}PerSecondInterestRateSlopeHigh",
    )
)

_SUPPLIED: Final = Event(of=COMET, signature="SupplyCollateral(address,address,address,uint256)", account=Topic(2))
_SENT: Final = "TransferCollateral(address,address,address,uint256)"
OWES: Final = (_SUPPLIED, Event(of=COMET, signature=_SENT, account=Topic(2)))
"""Who owes had collateral before. Who borrows is not always named: by sending the base token on, an account may owe."""
_TOUCHES: Final = (
    *OWES,
    Event(of=COMET, signature=_SENT, account=Topic(1)),
    Event(of=COMET, signature="WithdrawCollateral(address,address,address,uint256)", account=Topic(1)),
    Event(of=COMET, signature="Supply(address,address,uint256)", account=Topic(2)),
    Event(of=COMET, signature="Withdraw(address,address,uint256)", account=Topic(1)),
    Event(of=COMET, signature="Transfer(address,address,uint256)", account=Topic(1)),
    Event(of=COMET, signature="Transfer(address,address,uint256)", account=Topic(2)),
    Event(of=COMET, signature="AbsorbDebt(address,address,uint256,uint256)", account=Topic(2)),
)
_CHANGES: Final = (
    # All parameters are in the code: a new one is an upgrade of the proxy.
    Event(of=COMET, signature="Upgraded(address)"),
    Event(of=COMET, signature="PauseAction(bool,bool,bool,bool,bool)"),
)

PLAN: Final = Plan(
    revision=VERSION,
    market=(
        BASE,
        BASE_FEED,
        BASE_SCALE,
        COUNT,
        ASSET,
        TOTALS,
        PRICE,
        UTILIZATION,
        SUPPLY_RATE,
        BORROW_RATE,
        ASSET_RESERVES,
        STORE_FRONT,
        BORROW_MIN,
        TARGET_RESERVES,
        BALANCE,
        *RATES,
    ),
    account=(BASIC, COLLATERAL),
    view=VIEW,
    owes=OWES,
    touches=_TOUCHES,
    changes=_CHANGES,
)
