"""What is told of lending markets, as pydantic models."""

from typing import Annotated

from pydantic import Field

from tocsin.model.alert import Exactness, Grade
from tocsin.mqtt.models_base import Address, Block, Counter, Hash, Name, Strict, Time

Units = Annotated[str, Field(pattern="^[0-9]+$", description="In the smallest unit of the base, see `base`.")]
Ppm = Annotated[int, Field(description="Millionths.")]
Share = Annotated[int, Field(ge=0, le=10**6, description="Millionths of the whole.")]
Account = Annotated[str, Field(pattern="^0x[0-9a-f]+$", description="0x and 40 digits, or what the protocol has.")]
Known = Annotated[Exactness, Field(description="How a verdict is known: docs/explanation/markets.md.")]


class DescribedMarket(Strict):
    """A lending market that is valued."""

    name: Name
    kind: str
    pool: Address
    id: Hash | None


class Base(Strict):
    """What values are in."""

    name: Annotated[str, Field(description="USD, or the name of a token.")]
    decimals: Counter


class Totals(Strict):
    """Sums of the whole market."""

    accounts: Counter
    indebted: Annotated[Counter, Field(description="How many of them owe.")]
    collateral: Units
    debt: Units
    liquidatable: Annotated[Counter, Field(description="By health, those that are blocked too.")]
    blocked: Annotated[Counter, Field(description="Of these, how many cannot be liquidated now.")]
    underwater: Annotated[Counter, Field(description="How many owe more than they have.")]
    bad_debt: Annotated[Units, Field(description="What these owe above all that they have.")]
    unknown: Annotated[Counter, Field(description="Accounts in debt of which nothing is known.")]


class Point(Strict):
    """What becomes liquidatable if the prices of all collateral fall."""

    shock_bps: Annotated[int, Field(description="By so many basis points; below zero.")]
    accounts: Counter
    unsure: Annotated[Counter, Field(description="So near to the line then that exact rules could say otherwise.")]
    collateral: Units
    debt: Units
    bad_debt: Units


class MarketAccount(Strict):
    """One account at that block."""

    account: Account
    health: Annotated[
        str | None, Field(pattern=r"^[0-9]+\.[0-9]{6}$", description="Cut; null without debt, or where not known.")
    ]
    collateral: Units
    debt: Units
    liquidatable: Annotated[bool | None, Field(description="By health; null where it is not known.")]
    blocked: Annotated[str | None, Field(description="Why it cannot be liquidated now all the same.")]
    exactness: Known
    asset: Annotated[str | None, Field(description="The asset whose price brings it over the line soonest.")]
    price: Annotated[str | None, Field(pattern="^[0-9]+$", description="Of that asset, in the oracle's unit, there.")]
    distance_ppm: Annotated[Ppm | None, Field(description="How far that is from the price of now.")]
    seconds_left: Annotated[
        Counter | None, Field(description="Until interest alone brings it there; null if not within a year.")
    ]
    unknown: Annotated[str | None, Field(description="Why nothing is known of it.")]


class OwnAccount(MarketAccount):
    """An account of one's own."""

    name: Name


class AssetShare(Strict):
    """How much of all collateral is an asset."""

    asset: str
    share_ppm: Share


class Largest(Strict):
    """Who owes most."""

    account: Account
    share_ppm: Annotated[Share, Field(description="Of all debt.")]


class Mismatched(Strict):
    """In what the protocol's own view function says otherwise, at the same block."""

    account: Account
    what: str
    ours: str
    chain: str


class Risk(Strict):
    """A lending market at one block. Lists are cut so that it has 16 kB at most; all are counted."""

    chain: str
    kind: str
    pool: Address
    id: Hash | None
    block: Annotated[Block | None, Field(description="At which it was valued; null while it was not.")]
    time: Annotated[Time | None, Field(description="Of that block.")]
    grade: Annotated[Grade | None, Field(description="How that block is known.")]
    exactness: Known
    revision: Annotated[str | None, Field(description="Of the protocol's contracts.")]
    book_hash: Annotated[str | None, Field(description="Equal books have equal ones.")]
    base: Base | None
    totals: Totals | None
    curve: list[Point]
    near: Annotated[list[MarketAccount], Field(description="Liquidatable and near ones, the least healthy first.")]
    near_count: Annotated[Counter, Field(description="How many there are.")]
    watched: Annotated[list[OwnAccount], Field(description="Those of one's own that are in the market.")]
    shares: Annotated[list[AssetShare], Field(description="Of all collateral, the largest first.")]
    largest: Largest | None
    changed: Annotated[Counter, Field(description="Parameters that are not what was accepted.")]
    checked: Annotated[Counter, Field(description="Accounts held against the protocol's own view at this block.")]
    mismatches: Annotated[Counter, Field(description="How many of them differ.")]
    mismatched: list[Mismatched]
    lag_blocks: Annotated[Counter, Field(description="Agreed blocks since, when this was said.")]
    backend: Annotated[str | None, Field(description="What the book was valued with.")]
    problem: Annotated[str | None, Field(description="Why nothing was valued now, or what is not counted.")]
