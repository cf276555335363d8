"""What is read of a pool and followed, as data, and how the answers become a market and its accounts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tocsin.chain.logrules import Topic
from tocsin.protocols.aave_v3.market import Configuration, Reserve
from tocsin.protocols.aave_v3.revisions import Revision
from tocsin.protocols.base import Event, Plan, Read

POOL, ORACLE, PROVIDER, SENTINEL, CONFIGURATOR = "pool", "oracle", "addresses provider", "sentinel", "configurator"
SUPPLY_TOKEN, DEBT_TOKEN, STABLE_TOKEN = "supply token", "variable debt token", "stable debt token"
CATEGORIES: Final = "categories"

_DATA: Final = (
    "getReserveData(address)(((uint256),uint128,uint128,uint128,uint128,uint128,uint40,uint16,"
    "address,address,address,address,uint128,uint128,uint128))"
)

REVISION: Final = Read(of=POOL, signature="POOL_REVISION()(uint256)")
VIEW: Final = Read(
    of=POOL,
    signature="getUserAccountData(address)(uint256,uint256,uint256,uint256,uint256,uint256)",
    takes=("account",),
)
RESERVES: Final = Read(of=POOL, signature="getReservesList()(address[])")
RESERVE: Final = Read(of=POOL, signature=_DATA, takes=("asset",))
PRICE: Final = Read(of=ORACLE, signature="getAssetPrice(address)(uint256)", takes=("asset",))
GRACE: Final = Read(of=POOL, signature="getLiquidationGracePeriod(address)(uint40)", takes=("asset",))
OLD_CATEGORY: Final = Read(
    of=POOL,
    signature="getEModeCategoryData(uint8)((uint16,uint16,uint16,address,string))",
    takes=("category",),
)
CATEGORY: Final = Read(
    of=POOL,
    signature="getEModeCategoryCollateralConfig(uint8)((uint16,uint16,uint16))",
    takes=("category",),
)
CATEGORY_COLLATERAL: Final = Read(
    of=POOL, signature="getEModeCategoryCollateralBitmap(uint8)(uint128)", takes=("category",)
)
CATEGORY_BORROWABLE: Final = Read(
    of=POOL, signature="getEModeCategoryBorrowableBitmap(uint8)(uint128)", takes=("category",)
)
CATEGORY_ZERO_LTV: Final = Read(of=POOL, signature="getEModeCategoryLtvzeroBitmap(uint8)(uint128)", takes=("category",))
CATEGORY_ISOLATED: Final = Read(of=POOL, signature="getIsEModeCategoryIsolated(uint8)(bool)", takes=("category",))
PROVIDER_PLACE: Final = Read(of=POOL, signature="ADDRESSES_PROVIDER()(address)")
ORACLE_PLACE: Final = Read(of=PROVIDER, signature="getPriceOracle()(address)")
CONFIGURATOR_PLACE: Final = Read(of=PROVIDER, signature="getPoolConfigurator()(address)")
SOURCE: Final = Read(of=ORACLE, signature="getSourceOfAsset(address)(address)", takes=("asset",))
BASE_CURRENCY: Final = Read(of=ORACLE, signature="BASE_CURRENCY()(address)")
BASE_UNIT: Final = Read(of=ORACLE, signature="BASE_CURRENCY_UNIT()(uint256)")
DISCOUNT: Final = Read(of=DEBT_TOKEN, signature="getDiscountToken()(address)")
"""GHO's first debt token has it, and no other."""
SENTINEL_PLACE: Final = Read(of=PROVIDER, signature="getPriceOracleSentinel()(address)")
SENTINEL_ALLOWS: Final = Read(of=SENTINEL, signature="isLiquidationAllowed()(bool)")
FLAGS: Final = Read(of=POOL, signature="getUserConfiguration(address)((uint256))", takes=("account",))
ACCOUNT_CATEGORY: Final = Read(of=POOL, signature="getUserEMode(address)(uint256)", takes=("account",))
SUPPLIED: Final = Read(of=SUPPLY_TOKEN, signature="scaledBalanceOf(address)(uint256)", takes=("account",))
BORROWED: Final = Read(of=DEBT_TOKEN, signature="scaledBalanceOf(address)(uint256)", takes=("account",))
STABLE: Final = Read(of=STABLE_TOKEN, signature="principalBalanceOf(address)(uint256)", takes=("account",))
STABLE_RATE: Final = Read(of=STABLE_TOKEN, signature="getUserStableRate(address)(uint256)", takes=("account",))
STABLE_SINCE: Final = Read(of=STABLE_TOKEN, signature="getUserLastUpdated(address)(uint40)", takes=("account",))

BORROW: Final = Event(
    of=POOL, signature="Borrow(address,address,address,uint256,uint8,uint256,uint16)", account=Topic(2)
)
_TOUCHES: Final = (
    BORROW,
    Event(of=POOL, signature="Supply(address,address,address,uint256,uint16)", account=Topic(2)),
    Event(of=POOL, signature="Withdraw(address,address,address,uint256)", account=Topic(2)),
    Event(of=POOL, signature="Repay(address,address,address,uint256,bool)", account=Topic(2)),
    Event(
        of=POOL,
        signature="LiquidationCall(address,address,address,uint256,uint256,address,bool)",
        account=Topic(3),
    ),
    Event(of=POOL, signature="ReserveUsedAsCollateralEnabled(address,address)", account=Topic(2)),
    Event(of=POOL, signature="ReserveUsedAsCollateralDisabled(address,address)", account=Topic(2)),
    Event(of=POOL, signature="UserEModeSet(address,uint8)", account=Topic(1)),
    # Shares move without a word of the pool: to the treasury, to a liquidator who takes them, and by hand.
    Event(of=SUPPLY_TOKEN, signature="BalanceTransfer(address,address,uint256,uint256)", account=Topic(1)),
    Event(of=SUPPLY_TOKEN, signature="BalanceTransfer(address,address,uint256,uint256)", account=Topic(2)),
)
_LEFTOVERS: Final = (Event(of=POOL, signature="DeficitCreated(address,address,uint256)", account=Topic(1)),)
_OF_STABLE_DEBT: Final = (
    Event(of=POOL, signature="SwapBorrowRateMode(address,address,uint8)", account=Topic(2)),
    Event(of=POOL, signature="RebalanceStableBorrowRate(address,address)", account=Topic(2)),
    Event(of=POOL, signature="MintUnbacked(address,address,address,uint256,uint16)", account=Topic(2)),
)
_CHANGES: Final = (
    Event(of=POOL, signature="Upgraded(address)"),
    Event(of=CONFIGURATOR, signature="ReserveInitialized(address,address,address,address,address)"),
    Event(of=CONFIGURATOR, signature="CollateralConfigurationChanged(address,uint256,uint256,uint256)"),
    Event(of=CONFIGURATOR, signature="ReserveActive(address,bool)"),
    Event(of=CONFIGURATOR, signature="ReservePaused(address,bool)"),
    Event(of=CONFIGURATOR, signature="ReserveFrozen(address,bool)"),
    Event(of=CONFIGURATOR, signature="ReserveDropped(address)"),
    Event(of=CONFIGURATOR, signature="LiquidationProtocolFeeChanged(address,uint256,uint256)"),
    Event(of=CONFIGURATOR, signature="EModeCategoryAdded(uint8,uint256,uint256,uint256,address,string)"),
    Event(of=ORACLE, signature="AssetSourceUpdated(address,address)"),
    Event(of=ORACLE, signature="FallbackOracleUpdated(address)"),
    Event(of=PROVIDER, signature="PriceOracleUpdated(address,address)"),
    Event(of=PROVIDER, signature="PriceOracleSentinelUpdated(address,address)"),
)
_OLD_CHANGES: Final = (Event(of=CONFIGURATOR, signature="EModeAssetCategoryChanged(address,uint8,uint8)"),)
_GRACE_CHANGES: Final = (
    Event(of=CONFIGURATOR, signature="LiquidationGracePeriodChanged(address,uint40)"),
    Event(of=CONFIGURATOR, signature="LiquidationGracePeriodDisabled(address)"),
)
_BITMAP_CHANGES: Final = (
    Event(of=CONFIGURATOR, signature="AssetCollateralInEModeChanged(address,uint8,bool)"),
    Event(of=CONFIGURATOR, signature="AssetBorrowableInEModeChanged(address,uint8,bool)"),
)
_LTV_CHANGES: Final = (Event(of=CONFIGURATOR, signature="AssetLtvzeroInEModeChanged(address,uint8,bool)"),)


def plan(revision: Revision | None) -> Plan:
    """Return what is read and followed of a revision; None for one that is not known: what any has."""
    has = _features(revision)
    categories = (CATEGORY, CATEGORY_COLLATERAL, CATEGORY_BORROWABLE) if has["bitmaps"] else (OLD_CATEGORY,)
    return Plan(
        revision=REVISION,
        market=(
            BASE_CURRENCY,
            BASE_UNIT,
            RESERVES,
            RESERVE,
            PRICE,
            *categories,
            *((CATEGORY_ZERO_LTV,) if has["category_ltv"] else ()),
            *((CATEGORY_ISOLATED,) if has["isolated_categories"] else ()),
            *((GRACE,) if has["grace"] else ()),
            *((SENTINEL_PLACE, SENTINEL_ALLOWS) if has["sentinel"] else ()),
        ),
        account=(
            FLAGS,
            ACCOUNT_CATEGORY,
            SUPPLIED,
            BORROWED,
            *((STABLE, STABLE_RATE, STABLE_SINCE) if has["stable_debt"] else ()),
        ),
        view=VIEW,
        owes=(BORROW,),
        touches=(
            *_TOUCHES,
            *(_LEFTOVERS if has["leftovers"] else ()),
            *(_OF_STABLE_DEBT if has["stable_debt"] else ()),
        ),
        changes=(
            *_CHANGES,
            *(_BITMAP_CHANGES if has["bitmaps"] else _OLD_CHANGES),
            *(_LTV_CHANGES if has["category_ltv"] else ()),
            *(_GRACE_CHANGES if has["grace"] else ()),
        ),
    )


_FEATURES = ("bitmaps", "category_ltv", "isolated_categories", "grace", "sentinel", "stable_debt", "leftovers")


def _features(revision: Revision | None) -> Mapping[str, bool]:
    """Return what a revision has; of an unknown one nothing is asked that any known one lacks, and all is followed."""
    if revision is None:
        return dict.fromkeys(_FEATURES, False) | {"leftovers": True}
    return {name: getattr(revision, name) for name in _FEATURES}


# -- words


def configuration(word: int) -> Configuration:
    """Return what a reserve's configuration word says."""

    def bits(at: int, count: int) -> int:
        return word >> at & (1 << count) - 1

    return Configuration(
        ltv=bits(0, 16),
        threshold=bits(16, 16),
        bonus=bits(32, 16),
        decimals=bits(48, 8),
        active=bool(bits(56, 1)),
        frozen=bool(bits(57, 1)),
        borrowing=bool(bits(58, 1)),
        paused=bool(bits(60, 1)),
        reserve_factor=bits(64, 16),
        borrow_cap=bits(80, 36),
        supply_cap=bits(116, 36),
        protocol_fee=bits(152, 16),
        category=bits(168, 8),
        debt_ceiling=bits(212, 40),
        virtual_accounting=bool(bits(252, 1)),
    )


def reserve(
    asset: bytes, data: Sequence[Any], price: int | None, grace_until_s: int = 0, *, discounted: bool = False
) -> Reserve:
    """Return a reserve of what `getReserveData` answers, `data` being its struct."""
    (word,), income_index, income_rate, debt_index, debt_rate, _, updated_s, number, *tokens = data
    return Reserve(
        id=number,
        asset=asset,
        configuration=configuration(word),
        liquidity_index=income_index,
        liquidity_rate=income_rate,
        variable_index=debt_index,
        variable_rate=debt_rate,
        updated_s=updated_s,
        price=price,
        grace_until_s=grace_until_s,
        supply_token=tokens[0],
        stable_token=tokens[1],
        debt_token=tokens[2],
        discounted=discounted,
    )
