"""Markets of lending protocols: what is watched of each, and what a valuation at one block says of it.

Books are no part of the state: they are large, and functions of the chain. What is decided on is the sample that a
valuation ends in. Values are whole base units of the market, as decimal text, for they may have any size; ratios are
integers with six decimals (`ppm`), so that alerts never hang on how a float is printed.
"""

from dataclasses import dataclass, field
from typing import Final

from tocsin.model.alert import Exactness, Grade, Labels
from tocsin.model.block import BlockRef

MARKET: Final = "market"
"""Label of an alert about a market."""
ACCOUNT: Final = "account"
"""Label of an alert about one account of it."""
PPM: Final = 10**6
SHOCKS_BPS: Final = (-500, -1_000, -2_000, -3_000)
MOST_NAMED: Final = 100
"""Accounts that a sample names at most, the nearest to the line first; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """A user's own account and its limits in one market. None: no limit. `address` is 0x and lower-case digits."""

    name: str
    address: str
    health_floor_ppm: int | None = None
    most_leverage_ppm: int | None = None
    """Collateral by what is left of it after debt."""
    most_asset_ppm: tuple[tuple[str, int], ...] = ()
    """By asset name, which share of its collateral there may be at most."""
    most_market: str | None = None
    """The most collateral in one market: decimal text in what the market counts in, such as dollars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSettings:
    """A market that is valued at each agreed block. Addresses are 0x and 40 lower-case digits."""

    name: str
    kind: str
    """The protocol, by its name in `tocsin.protocols`: `aave-v3`."""
    pool: str
    """The contract that knows the market: a pool, a comptroller, a Comet, the one Morpho contract."""
    id: str = ""
    """Of which market of a contract that has many: 0x and 64 digits."""
    tokens: tuple[str, ...] = ()
    """Contracts whose events name who owes, where the pool is not that."""
    index: str = ""
    """The log index that names its accounts."""
    shocks_bps: tuple[int, ...] = SHOCKS_BPS
    """By how much prices move in each point of the at-risk curve, all but those that stand for the base."""
    near_ppm: int = 50_000
    """Accounts with a health below 1 and so much are named."""
    sample_one_in: int = 1_000
    """At each block one account in so many is asked of the chain as well, besides all in the band; 0 for none."""
    watched: tuple[AccountSettings, ...] = ()

    @property
    def identity(self) -> str:
        """What has to be the same for a valuation to be of the same market."""
        return " ".join(part for part in (self.kind, self.pool, self.id) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRisk:
    """One point of the at-risk curve: what becomes liquidatable if prices move by `shock_bps`: all but the base's."""

    shock_bps: int
    accounts: int
    unsure: int
    """Of all accounts, how many are so near to the line then that exact rules could say otherwise."""
    collateral: str
    debt: str
    bad_debt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One leg of an account, valued."""

    asset: str
    collateral: str = "0"
    debt: str = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSample:
    """One account at one block, by exact rules. `account` is 0x and lower-case digits."""

    account: str
    health_ppm: int | None
    """Cut, never rounded up; None without debt, or where it is not known."""
    collateral: str
    debt: str
    liquidatable: bool | None
    """None where it is not known; `unknown` says why."""
    blocked: str = ""
    """Why it cannot be liquidated now though it is below the line: a pause, a grace period, a sentinel."""
    exactness: Exactness = Exactness.EXACT
    asset: str = ""
    """The asset whose price brings it over the line soonest."""
    price: str | None = None
    """The price of that asset, in the oracle's unit, at which it can be liquidated."""
    distance_ppm: int | None = None
    """By which share that price is from today's; below zero: it has to fall."""
    seconds_left: int | None = None
    """After how long interest alone brings it there, at frozen prices; None where it never does within a year."""
    held: tuple[Held, ...] = ()
    """Its legs, of watched accounts."""
    unknown: str = ""

    @property
    def is_underwater(self) -> bool:
        """Whether it owes more than it has."""
        return int(self.collateral) < int(self.debt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """An account of which the chain's own view function says otherwise, at the same block. Values by their names."""

    account: str
    what: str
    ours: str
    chain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSample:
    """What a valuation says of a market. `identity` is of the settings that it was made under."""

    identity: str
    block: BlockRef | None = None
    """None while nothing could be valued."""
    time_s: int | None = None
    grade: Grade | None = None
    revision: str = ""
    exactness: Exactness = Exactness.UNVERIFIED
    base: str = ""
    """What values are in: USD, an address of a token."""
    base_decimals: int = 0
    book_hash: str = ""
    accounts: int = 0
    indebted: int = 0
    collateral: str = "0"
    debt: str = "0"
    liquidatable: int = 0
    """By health, those that are blocked too."""
    blocked: int = 0
    underwater: int = 0
    bad_debt: str = "0"
    """What the underwater ones owe above all that they have."""
    unknown: int = 0
    """Accounts in debt of which it is not known."""
    curve: tuple[AtRisk, ...] = ()
    near: tuple[AccountSample, ...] = ()
    """The liquidatable and the near ones, the least healthy first, `MOST_NAMED` at most; unknown ones last."""
    near_count: int = 0
    watched: tuple[AccountSample, ...] = ()
    """The user's own accounts that are in the market."""
    shares_ppm: tuple[tuple[str, int], ...] = ()
    """How much of all collateral is each asset, the largest first."""
    largest_ppm: int = 0
    """How much of all debt the account with the most owes."""
    largest: str = ""
    parameters: tuple[tuple[str, str], ...] = field(default=())
    """What governance sets, by name: thresholds, bonuses, caps, pauses, oracles. A change of one is an alert."""
    checked: int = 0
    """Accounts that were compared with the chain's own view function at this block."""
    mismatched: tuple[Mismatch, ...] = ()
    """The first of those that differ, and `mismatches` how many do."""
    mismatches: int = 0
    lag_blocks: int = 0
    """How many agreed blocks passed since the one that is valued."""
    problem: str = ""
    """Why nothing was valued now, or not all of it."""
    backend: str = ""
    """Which kernels the values come from: numpy, numba; with the reason where the faster ones are not used."""

    @property
    def is_known(self) -> bool:
        return self.block is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSeen:
    """What the core knows of a market: the newest sample, and what its parameters were when they were last accepted."""

    sample: MarketSample
    at_ns: int
    number: int = 0
    """How many blocks were valued so far."""
    accepted: tuple[tuple[str, str], ...] = ()
    told: tuple[tuple[str, str | None], ...] = ()
    """What people were told that parameters are instead; None of one that there is no more."""
    stuck_ns: int | None = None
    """Since when nothing could be valued; None while it can."""


def altered(
    accepted: tuple[tuple[str, str], ...], now: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str | None, str | None], ...]:
    """Return the parameters that are not what was accepted: name, then and now; None where there is none.

    Nothing where either is not known.
    """
    if not accepted or not now or accepted == now:
        return ()
    before, after = dict(accepted), dict(now)
    names = sorted(before.keys() | after.keys())
    return tuple((name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketView:
    """One market at one tick."""

    settings: MarketSettings
    labels: Labels
    seen: MarketSeen
    is_current: bool
    """Whether its valuation is of the agreed head, or of a block just below it."""
    lag_blocks: int = 0
    """How far the agreed head is above the block that is valued."""
    is_lost: bool = False
    """Whether there has been none for so long that what was known is worth nothing any more."""


def account_labels(market: Labels, name: str) -> Labels:
    """Return the labels of an account of one's own in a market."""
    return tuple(sorted((*market, (ACCOUNT, name))))
