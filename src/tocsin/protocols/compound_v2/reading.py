"""What is read of a comptroller and its tokens, and followed, as data."""

from typing import Final

from tocsin.chain.logrules import Topic, Word
from tocsin.protocols.base import Event, Plan, Read
from tocsin.protocols.compound_v2.revisions import Revision

COMPTROLLER, TOKEN, ORACLE, MODEL = "comptroller", "token", "oracle", "interest rate model"
VAI, LIQUIDATOR, CLOCK, ASSET = "VAI controller", "liquidator", "clock", "asset"

# -- of the comptroller
TOKENS: Final = Read(of=COMPTROLLER, signature="getAllMarkets()(address[])")
ORACLE_PLACE: Final = Read(of=COMPTROLLER, signature="oracle()(address)")
CLOSE_FACTOR: Final = Read(of=COMPTROLLER, signature="closeFactorMantissa()(uint256)")
VIEW: Final = Read(
    of=COMPTROLLER, signature="getAccountLiquidity(address)(uint256,uint256,uint256)", takes=("account",)
)
ENTERED: Final = Read(of=COMPTROLLER, signature="getAssetsIn(address)(address[])", takes=("account",))
BORROW_CAP: Final = Read(of=COMPTROLLER, signature="borrowCaps(address)(uint256)", takes=("token",))
# Of Compound and what is near it.
INCENTIVE: Final = Read(of=COMPTROLLER, signature="liquidationIncentiveMantissa()(uint256)")
TERMS: Final = Read(of=COMPTROLLER, signature="markets(address)(bool,uint256,bool)", takes=("token",))
SHORT_TERMS: Final = Read(of=COMPTROLLER, signature="markets(address)(bool,uint256)", takes=("token",))
SEIZURE_PAUSED: Final = Read(of=COMPTROLLER, signature="seizeGuardianPaused()(bool)")
BORROWING_PAUSED: Final = Read(of=COMPTROLLER, signature="borrowGuardianPaused(address)(bool)", takes=("token",))
DEPRECATED: Final = Read(of=COMPTROLLER, signature="isDeprecated(address)(bool)", takes=("token",))
# Of Venus.
LENS: Final = Read(of=COMPTROLLER, signature="comptrollerLens()(address)")
EFFECTIVE: Final = Read(
    of=COMPTROLLER,
    signature="getEffectiveLtvFactor(address,address,uint8)(uint256)",
    takes=("account", "token", "whether for liquidation"),
)
POOL_TERMS: Final = Read(
    of=COMPTROLLER,
    signature="poolMarkets(uint96,address)(bool,uint256,bool,uint256,uint256,uint96,bool)",
    takes=("pool", "token"),
)
POOLS: Final = Read(of=COMPTROLLER, signature="lastPoolId()(uint96)")
POOL: Final = Read(of=COMPTROLLER, signature="pools(uint96)(string,bool,bool)", takes=("pool",))
POOL_TOKENS: Final = Read(of=COMPTROLLER, signature="getPoolVTokens(uint96)(address[])", takes=("pool",))
PAUSED: Final = Read(of=COMPTROLLER, signature="protocolPaused()(bool)")
ACTION_PAUSED: Final = Read(of=COMPTROLLER, signature="actionPaused(address,uint8)(bool)", takes=("token", "action"))
FORCED: Final = Read(of=COMPTROLLER, signature="isForcedLiquidationEnabled(address)(bool)", takes=("token",))
FORCED_FOR: Final = Read(
    of=COMPTROLLER,
    signature="isForcedLiquidationEnabledForUser(address,address)(bool)",
    takes=("account", "token"),
)
SUPPLY_CAP: Final = Read(of=COMPTROLLER, signature="supplyCaps(address)(uint256)", takes=("token",))
VAI_PLACE: Final = Read(of=COMPTROLLER, signature="vaiController()(address)")
VAI_MINT_PAUSED: Final = Read(of=COMPTROLLER, signature="mintVAIGuardianPaused()(bool)")
VAI_REPAY_PAUSED: Final = Read(of=COMPTROLLER, signature="repayVAIGuardianPaused()(bool)")
LIQUIDATOR_PLACE: Final = Read(of=COMPTROLLER, signature="liquidatorContract()(address)")
CHOSEN_POOL: Final = Read(of=COMPTROLLER, signature="userPoolId(address)(uint96)", takes=("account",))
MINTED: Final = Read(of=COMPTROLLER, signature="mintedVAIs(address)(uint256)", takes=("account",))

# -- of a token
CASH: Final = Read(of=TOKEN, signature="getCash()(uint256)")
BORROWS: Final = Read(of=TOKEN, signature="totalBorrows()(uint256)")
RESERVES: Final = Read(of=TOKEN, signature="totalReserves()(uint256)")
SUPPLY: Final = Read(of=TOKEN, signature="totalSupply()(uint256)")
INDEX: Final = Read(of=TOKEN, signature="borrowIndex()(uint256)")
ACCRUED_AT: Final = Read(of=TOKEN, signature="accrualBlockNumber()(uint256)")
ACCRUED_TIME: Final = Read(of=TOKEN, signature="accrualBlockTimestamp()(uint256)")
RATE: Final = Read(of=TOKEN, signature="borrowRatePerBlock()(uint256)")
RATE_BY_TIME: Final = Read(of=TOKEN, signature="borrowRatePerTimestamp()(uint256)")
RESERVE_FACTOR: Final = Read(of=TOKEN, signature="reserveFactorMantissa()(uint256)")
EXCHANGE_RATE: Final = Read(of=TOKEN, signature="exchangeRateStored()(uint256)")
SEIZE_SHARE: Final = Read(of=TOKEN, signature="protocolSeizeShareMantissa()(uint256)")
"""Older tokens have none, nor has Venus."""
ASSET_OF: Final = Read(of=TOKEN, signature="underlying()(address)")
"""The token of the chain's own coin has none."""
MODEL_PLACE: Final = Read(of=TOKEN, signature="interestRateModel()(address)")
BALANCE: Final = Read(of=TOKEN, signature="balanceOf(address)(uint256)", takes=("account",))
OWED: Final = Read(of=TOKEN, signature="borrowBalanceStored(address)(uint256)", takes=("account",))

# -- of others
PRICE: Final = Read(of=ORACLE, signature="getUnderlyingPrice(address)(uint256)", takes=("token",))
BLOCKS_PER_YEAR: Final = Read(of=MODEL, signature="blocksPerYear()(uint256)")
TIME: Final = Read(of=CLOCK, signature="getCurrentBlockTimestamp()(uint256)")
"""Of the Multicall3 that most chains have: interest is counted in blocks, and times to come are told in seconds."""
VAI_INDEX: Final = Read(of=VAI, signature="vaiMintIndex()(uint256)")
VAI_RATE: Final = Read(of=VAI, signature="getVAIRepayRatePerBlock()(uint256)")
VAI_PAST: Final = Read(of=VAI, signature="pastVAIInterest(address)(uint256)", takes=("account",))
VAI_INDEX_OF: Final = Read(of=VAI, signature="getVAIMinterInterestIndex(address)(uint256)", takes=("account",))
TREASURY_SHARE: Final = Read(of=LIQUIDATOR, signature="treasuryPercentMantissa()(uint256)")
VAI_FIRST: Final = Read(of=LIQUIDATOR, signature="forceVAILiquidate()(bool)")
LEAST_VAI: Final = Read(of=LIQUIDATOR, signature="minLiquidatableVAI()(uint256)")

REPAYING, SEIZING, LIQUIDATING, TRANSFERRING = 3, 4, 5, 6
"""Numbers of actions of Venus that can be paused."""

BORROW: Final = Event(of=TOKEN, signature="Borrow(address,uint256,uint256,uint256)", account=Word(0))
MINT_VAI: Final = Event(of=TOKEN, signature="MintVAI(address,uint256)", account=Word(0))
"""Who only owes VAI is found where its controller is configured among the tokens."""
_TOUCHES: Final = (
    BORROW,
    Event(of=TOKEN, signature="RepayBorrow(address,address,uint256,uint256,uint256)", account=Word(1)),
    # Every balance changes with one: what is minted or redeemed comes from the token, or goes to it.
    Event(of=TOKEN, signature="Transfer(address,address,uint256)", account=Topic(1)),
    Event(of=TOKEN, signature="Transfer(address,address,uint256)", account=Topic(2)),
)
_COMPOUND_TOUCHES: Final = (
    Event(of=COMPTROLLER, signature="MarketEntered(address,address)", account=Word(1)),
    Event(of=COMPTROLLER, signature="MarketExited(address,address)", account=Word(1)),
)
_VENUS_TOUCHES: Final = (
    Event(of=COMPTROLLER, signature="MarketEntered(address,address)", account=Topic(2)),
    Event(of=COMPTROLLER, signature="MarketExited(address,address)", account=Topic(2)),
    Event(of=COMPTROLLER, signature="PoolSelected(address,uint96,uint96)", account=Topic(1)),
    Event(
        of=COMPTROLLER,
        signature="IsForcedLiquidationEnabledForUserUpdated(address,address,bool)",
        account=Topic(1),
    ),
    Event(of=VAI, signature="MintVAI(address,uint256)", account=Word(0)),
    Event(of=VAI, signature="RepayVAI(address,address,uint256)", account=Word(1)),
)
_CHANGES: Final = (
    Event(of=COMPTROLLER, signature="NewPriceOracle(address,address)"),
    Event(of=COMPTROLLER, signature="NewCloseFactor(uint256,uint256)"),
    Event(of=COMPTROLLER, signature="NewImplementation(address,address)"),
    Event(of=TOKEN, signature="NewMarketInterestRateModel(address,address)"),
    Event(of=TOKEN, signature="NewReserveFactor(uint256,uint256)"),
    Event(of=TOKEN, signature="NewImplementation(address,address)"),
)
_COMPOUND_CHANGES: Final = (
    Event(of=COMPTROLLER, signature="MarketListed(address)"),
    Event(of=COMPTROLLER, signature="NewCollateralFactor(address,uint256,uint256)"),
    Event(of=COMPTROLLER, signature="NewLiquidationIncentive(uint256,uint256)"),
    Event(of=COMPTROLLER, signature="ActionPaused(string,bool)"),
    Event(of=COMPTROLLER, signature="ActionPaused(address,string,bool)"),
)
_VENUS_CHANGES: Final = (
    Event(of=COMPTROLLER, signature="MarketListed(address)"),
    Event(of=COMPTROLLER, signature="MarketUnlisted(address)"),
    Event(of=COMPTROLLER, signature="NewCollateralFactor(uint96,address,uint256,uint256)"),
    Event(of=COMPTROLLER, signature="NewLiquidationThreshold(uint96,address,uint256,uint256)"),
    Event(of=COMPTROLLER, signature="NewLiquidationIncentive(uint96,address,uint256,uint256)"),
    Event(of=COMPTROLLER, signature="ActionPausedMarket(address,uint8,bool)"),
    Event(of=COMPTROLLER, signature="ActionProtocolPaused(bool)"),
    Event(of=COMPTROLLER, signature="IsForcedLiquidationEnabledUpdated(address,bool)"),
    Event(of=COMPTROLLER, signature="PoolCreated(uint96,string)"),
    Event(of=COMPTROLLER, signature="PoolMarketInitialized(uint96,address)"),
    Event(of=COMPTROLLER, signature="PoolMarketRemoved(uint96,address)"),
    Event(of=COMPTROLLER, signature="PoolActiveStatusUpdated(uint96,bool,bool)"),
    Event(of=COMPTROLLER, signature="PoolFallbackStatusUpdated(uint96,bool,bool)"),
    Event(of=COMPTROLLER, signature="NewVAIController(address,address)"),
    Event(of=COMPTROLLER, signature="NewLiquidatorContract(address,address)"),
    Event(of=COMPTROLLER, signature="NewComptrollerLens(address,address)"),
    Event(of=COMPTROLLER, signature="DiamondCut((address,uint8,bytes4[])[])"),
)
_OF_TOKENS: Final = (CASH, BORROWS, RESERVES, SUPPLY, INDEX, RESERVE_FACTOR, EXCHANGE_RATE)


def clock_of(revision: Revision) -> tuple[Read, Read]:
    """Return what a token says of when interest was added, and of how fast it is."""
    return (ACCRUED_TIME, RATE_BY_TIME) if revision.timed else (ACCRUED_AT, RATE)


def terms_of(revision: Revision) -> Read:
    """Return how a comptroller that is not Venus says what counts of a token."""
    return SHORT_TERMS if revision.timed else TERMS


def plan(revision: Revision | None) -> Plan:
    """Return what is read and followed of a revision; None for one that is not known: what any has."""
    market: tuple[Read, ...] = (TOKENS, CLOSE_FACTOR, PRICE, *_OF_TOKENS)
    account: tuple[Read, ...] = (ENTERED, BALANCE, OWED)
    if revision is None:
        touches, changes = (*_COMPOUND_TOUCHES, *_VENUS_TOUCHES), (*_COMPOUND_CHANGES, *_VENUS_CHANGES[1:])
        return Plan(
            revision=None,
            market=market,
            account=account,
            view=VIEW,
            owes=(BORROW, MINT_VAI),
            touches=(*_TOUCHES, *touches),
            changes=(*_CHANGES, *changes),
        )
    if revision.venus:
        market += (POOL_TERMS, POOLS, POOL, POOL_TOKENS, PAUSED, ACTION_PAUSED, FORCED, VAI_INDEX, VAI_RATE)
        account += (CHOSEN_POOL, FORCED_FOR, MINTED, VAI_PAST, VAI_INDEX_OF)
    else:
        market += (INCENTIVE, terms_of(revision), SEIZURE_PAUSED, SEIZE_SHARE)
    return Plan(
        revision=None,
        market=(*market, *clock_of(revision)),
        account=account,
        view=VIEW,
        owes=(BORROW, MINT_VAI),
        touches=(*_TOUCHES, *(_VENUS_TOUCHES if revision.venus else _COMPOUND_TOUCHES)),
        changes=(*_CHANGES, *(_VENUS_CHANGES if revision.venus else _COMPOUND_CHANGES)),
    )
