"""`[[market]]` and `[[account]]`: which lending markets are valued at each block, and one's own accounts in them."""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from tocsin.config.amount import AmountText
from tocsin.config.feed import Percent
from tocsin.config.problems import suggestion
from tocsin.config.table import Table
from tocsin.config.values import Address, Listed, Name
from tocsin.model.index import IndexEvent, IndexSettings
from tocsin.model.market import MARKET, PPM, SHOCKS_BPS, AccountSettings, MarketSettings

INDEX_PREFIX: Final = f"{MARKET}-"
"""Of the name of the log index that a market brings with it."""
MOST_MARKETS: Final = 32
MOST_ACCOUNTS: Final = 256

_LONGEST: Final = 64 - len(INDEX_PREFIX)
_MOST_SHOCKS: Final = 16
_MOST_TOKENS: Final = 256
_DIGITS: Final = 6
_ID: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_SHOCK: Final = re.compile(r"-([0-9]{1,3})(?:\.([0-9]{1,2}))? ?%")
_WHOLE_BPS: Final = 10_000
_PPM_OF_BPS: Final = PPM // _WHOLE_BPS


def kind(value: Any) -> str:
    """Check the protocol of a market."""
    # Only who has markets pays for the modules of protocols, and for numpy with them.
    from tocsin.protocols import kinds  # noqa: PLC0415

    known = kinds()
    if not isinstance(value, str) or value not in known:
        meant = suggestion(value, known) if isinstance(value, str) else ""
        raise ValueError(f"is no protocol that is known{meant}; there are {', '.join(known)}")
    return value


def market_id(value: Any) -> str:
    """Check the id of a market."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError("is no id of a market; write 0x and 64 hex digits")
    return value.lower()


def shock(value: Any) -> int:
    """Read by how much prices fall, as basis points below zero."""
    found = _SHOCK.fullmatch(value) if isinstance(value, str) else None
    points = 0 if found is None else int(found[1]) * 100 + int((found[2] or "0").ljust(2, "0"))
    if not 0 < points <= _WHOLE_BPS:
        raise ValueError("is no fall of prices; write per cent below zero, to the hundredth, such as '-10%'")
    return -points


def shock_text(points: int) -> str:
    """Write a fall of prices as per cent."""
    whole, hundredths = divmod(-points, 100)
    return f"-{whole}.{hundredths:02d}%" if hundredths else f"-{whole}%"


def ratio(value: Any) -> int:
    """Read a ratio exactly, in millionths: 1.2, or "1.2"."""
    try:
        known = Decimal(str(value)) if type(value) in (int, float, str) else None
    except InvalidOperation:
        known = None
    scaled = None if known is None or not known.is_finite() else known.scaleb(_DIGITS)
    if scaled is None or scaled != scaled.to_integral_value() or not 0 < scaled <= 1_000 * PPM:
        raise ValueError(f"is no ratio; write a number above 0 with at most {_DIGITS} digits behind the point, as 1.2")
    return int(scaled)


def ratio_text(millionths: int) -> str:
    """Write a ratio."""
    whole, rest = divmod(millionths, PPM)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".") if rest else str(whole)


def _string(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


Kind = Annotated[str, PlainValidator(kind), _string("^[a-z0-9-]{1,32}$", "aave-v3")]
MarketId = Annotated[str, PlainValidator(market_id), _string("^0x[0-9a-fA-F]{64}$", "0x" + "0" * 64)]
Shock = Annotated[
    int,
    PlainValidator(shock),
    PlainSerializer(shock_text, return_type=str),
    _string(r"^-[0-9]{1,3}(\.[0-9]{1,2})? ?%$", "-10%"),
]
Ratio = Annotated[
    int,
    PlainValidator(ratio),
    PlainSerializer(ratio_text, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,6})?$"},
            ]
        }
    ),
]


class MarketTable(Table):
    """A lending market that is valued at each agreed block: who can be liquidated, and what a fall of prices does."""

    name: Name
    """In topics and labels; unique. Its log index is called market-<name>."""
    kind: Kind
    """The protocol, such as aave-v3."""
    chain: Name
    """The chain that it is on, by its name here."""
    pool: Address
    """The contract that knows the market: a pool, a comptroller, a Comet, the one Morpho contract."""
    id: MarketId | None = None
    """Which market of a contract that has many (Morpho)."""
    start: Annotated[int, Field(ge=0, le=2**53)] = Field(alias="from")
    """The block in which its contract was made: its accounts are looked for from there on."""
    tokens: Annotated[tuple[Address, ...], Field(max_length=_MOST_TOKENS), Listed] = ()
    """The contracts whose events name who owes, where the pool is not that (Compound v2)."""
    shocks: Annotated[tuple[Shock, ...], Field(min_length=1, max_length=_MOST_SHOCKS), Listed] = SHOCKS_BPS
    """By how much prices fall in each point of the at-risk curve, all but those of what the market counts in."""
    near: Percent = 500
    """Accounts that are liquidatable, or no farther than this above the line, are named."""
    sample_one_in: Annotated[int, Field(ge=0, le=1_000_000)] = 1_000
    """At each block one account in so many is asked of the protocol as well; 0 for none but those at the line."""

    @model_validator(mode="after")
    def _consistent(self) -> "MarketTable":
        if len(self.name) > _LONGEST:
            raise ValueError(f"name has {len(self.name)} letters, a market's has {_LONGEST} at most")
        self._events()
        return self

    def _events(self) -> tuple[IndexEvent, ...]:
        from tocsin.protocols import kind_of  # noqa: PLC0415 - as above
        from tocsin.protocols.places import Target  # noqa: PLC0415 - as above

        pool, *tokens = (bytes.fromhex(address[2:]) for address in (self.pool, *self.tokens))
        target = Target(pool=pool, id=bytes.fromhex((self.id or "0x")[2:]), tokens=tuple(dict.fromkeys(tokens)))
        return kind_of(self.kind).index(target)

    @property
    def index(self) -> str:
        """The name of its log index."""
        return f"{INDEX_PREFIX}{self.name}"

    @property
    def identity(self) -> tuple[str, ...]:
        """What two tables of the same market have in common."""
        return (self.chain, self.kind, self.pool, self.id or "")

    def index_settings(self) -> IndexSettings:
        """Return the log index that names its accounts: of all events after which an account may owe."""
        return IndexSettings(name=self.index, start=self.start, events=self._events())

    def settings(self, accounts: Iterable["AccountTable"]) -> MarketSettings:
        """Return it as the core has it, with those of the accounts that are watched in it."""
        watched = [one.settings() for one in accounts if not one.markets or self.name in one.markets]
        return MarketSettings(
            name=self.name,
            kind=self.kind,
            pool=self.pool,
            id=self.id or "",
            tokens=tuple(dict.fromkeys(self.tokens)),
            index=self.index,
            shocks_bps=tuple(sorted(set(self.shocks), reverse=True)),
            near_ppm=self.near * _PPM_OF_BPS,
            sample_one_in=self.sample_one_in,
            watched=tuple(watched),
        )


class AccountTable(Table):
    """An account of one's own: warned of before it can be liquidated, not when it can."""

    name: Name
    """In labels; unique."""
    address: Address
    """Whose positions; with its checksum (EIP-55), or all in lower case."""
    markets: Annotated[tuple[Name, ...], Field(max_length=MOST_MARKETS), Listed] = ()
    """The markets that it is watched in; all when left out."""
    health_floor: Ratio | None = None
    """Below this health it is an alert; at 1 it can be liquidated."""
    max_leverage: Ratio | None = None
    """More than this is an alert: collateral by what is left of it after debt."""
    max_share: Mapping[str, Percent] = {}
    """By asset: a larger share of its collateral is an alert."""
    max_value: AmountText | None = None
    """More collateral in one market is an alert; in the unit in which the market counts, such as dollars."""

    def settings(self) -> AccountSettings:
        """Return it as the core has it."""
        return AccountSettings(
            name=self.name,
            address=self.address,
            health_floor_ppm=self.health_floor,
            most_leverage_ppm=self.max_leverage,
            most_asset_ppm=tuple(sorted((asset, share * _PPM_OF_BPS) for asset, share in self.max_share.items())),
            most_market=self.max_value,
        )


def markets_of(
    markets: Iterable[MarketTable], accounts: tuple[AccountTable, ...], chain: str
) -> tuple[tuple[MarketSettings, ...], tuple[IndexSettings, ...]]:
    """Return the markets of a chain as the core has them, and the log indexes that name their accounts."""
    here = [one for one in markets if one.chain == chain]
    return tuple(one.settings(accounts) for one in here), tuple(one.index_settings() for one in here)
