"""`[[chain.feed]]` and `[[price_gateway]]`: where prices come from."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from tocsin.config.secrets import ConfiguredSecret, ConfiguredUrl, ProxyUrl
from tocsin.config.table import Table
from tocsin.config.values import Address, Duration, FileName, HeaderName, Name, Tag, Within, choice
from tocsin.engine.feedcalls import MOST_DECIMALS, selector
from tocsin.model.feed import POOLS, FeedKind, FeedSettings, GatewaySettings, Role
from tocsin.model.price import BPS, decimal, exact, fraction
from tocsin.units import DurationNs, duration_ns

GRACE: Final = duration_ns("2m")
"""ETH/USD and BTC/USD (heartbeat 1 h) answered 120 s late at most, over 21,797 rounds."""
GRACE_SHARE: Final = 200
"""And a feed of 24 h up to 208 s: of long heartbeats one part of so many, where that is more."""
SEQUENCER_GRACE: Final = duration_ns("1h")
"""What protocols wait for after a sequencer is back."""
WINDOW: Final = duration_ns("30m")

CHAINLINK: Final = "chainlink"
"""Who stands behind an aggregator unless that is said."""

_PERCENT: Final = re.compile(r"([0-9]{1,4})(?:\.([0-9]{1,2}))? ?%")
_PATH: Final = re.compile(r"[^.\s]{1,64}(\.[^.\s]{1,64}){0,15}")
_FOREIGN: Final = re.compile(r"^\$[.\[]|^\.|^/.|\[ *(?:[0-9]+|\*|'[^']*'|\"[^\"]*\") *\]")
"""As JSONPath, jq and JSON pointers write it: `$.data[0].last`, `.data[0].last`, `/data/0/last`."""
_STEP: Final = re.compile(r"[^.\[\]/'\" ]+")
_FUNCTION: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\(\)")
_PAIR: Final = re.compile(r"[a-z0-9._-]{1,32}/[a-z0-9._-]{1,32}")


def percent(value: Any) -> int:
    """Read a share as basis points."""
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("is no share; write per cent, to the hundredth, such as '0.5%'")
    points = int(found[1]) * 100 + int((found[2] or "0").ljust(2, "0"))
    if not 0 < points <= BPS:
        raise ValueError("must be more than 0% and at most 100%")
    return points


def percent_text(points: int) -> str:
    """Write basis points as per cent."""
    return f"{exact(points, 2)}%"


def price(value: Any) -> str:
    """Read a price exactly."""
    if type(value) is int:
        value = str(value)
    if isinstance(value, float):
        raise ValueError("is no exact number; write it as a string, such as '0.95'")  # noqa: TRY004 - as all of them
    known = decimal(value) if isinstance(value, str) else None
    if known is None or fraction(known) <= 0:
        raise ValueError("is no price; write a number above 0 as a string, such as '0.95'")
    return known


def pair(value: Any) -> str:
    """Check what is priced: two names, of what is priced and in what."""
    if not isinstance(value, str) or not _PAIR.fullmatch(value):
        raise ValueError("is no pair; write what is priced, and in what, in lower case, such as 'eth/usd'")
    return value


def json_path(value: Any) -> str:
    """Check where in a JSON document a value stands."""
    if isinstance(value, str) and _FOREIGN.search(value):
        ours = ".".join(_STEP.findall(value.removeprefix("$")))
        known = f"write '{ours}'" if _PATH.fullmatch(ours) else "write them so, such as 'data.0.price'"
        raise ValueError(f"is of another language than this: keys and positions are joined by dots; {known}")
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise ValueError("is no place in a document; write keys and positions joined by dots, such as 'data.0.price'")
    return value


def function(value: Any) -> str:
    """Check the name of a function without arguments."""
    if not isinstance(value, str) or not _FUNCTION.fullmatch(value):
        raise ValueError("is no function without arguments; write it as in Solidity, such as 'getExchangeRate()'")
    return value


def _string(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


Percent = Annotated[
    int,
    PlainValidator(percent),
    PlainSerializer(percent_text, return_type=str),
    _string(r"^[0-9]{1,4}(\.[0-9]{1,2})? ?%$", "0.5%"),
]
Price = Annotated[
    str,
    PlainValidator(price),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[0-9]"}]}),
]
Pair = Annotated[str, PlainValidator(pair), _string("^[a-z0-9._-]{1,32}/[a-z0-9._-]{1,32}$", "eth/usd")]
JsonPath = Annotated[str, PlainValidator(json_path), _string(r"^[^.\s]+(\.[^.\s]+)*$", "data.0.price")]
Function = Annotated[str, PlainValidator(function), _string(r"^[A-Za-z_][A-Za-z0-9_]*\(\)$", "getExchangeRate()")]


class FeedTable(Table):
    """A source of prices on the chain: an aggregator, a pool, a rate, or the uptime feed of a rollup's sequencer."""

    name: Name
    """In topics and labels; unique within the chain."""
    address: Address
    """Of an aggregator its proxy; with its checksum (EIP-55), or all in lower case."""
    kind: Annotated[str, choice([kind.value for kind in FeedKind], "no kind of feed")] = FeedKind.CHAINLINK.value
    """chainlink, uniswap-v3-twap, uniswap-v3-spot, uniswap-v2-spot, erc4626, rate or sequencer."""
    prices: Pair | None = None
    """What it prices, and in what; sources of the same pair are held against each other, gateways too."""
    role: Annotated[str, choice([role.value for role in Role], "no role")] | None = None
    """Whether protocols go by it (oracle) or it is what is paid (market). Default: market for pools, else oracle."""
    provider: Tag = ""
    """Who stands behind it: sources that share one are one voice. Default: chainlink, or the address."""
    heartbeat_ns: Annotated[Duration, Within("1s", "30d")] | None = Field(None, alias="heartbeat")
    """An aggregator answers at least this often; needed for chainlink, as its operator publishes it."""
    grace_ns: Annotated[Duration, Within("1s", "30d")] | None = Field(None, alias="grace")
    """How much later an answer may be. Default: 2m, or a 200th of the heartbeat; of a sequencer 1h after it is back."""
    deviation: Percent | None = None
    """An aggregator answers when the price has moved by this much; by as much more it may be off the market."""
    decimals: Annotated[int, Field(ge=0, le=MOST_DECIMALS)] | None = None
    """What `decimals()` has to say; of a rate the decimals of what is returned, 18 if left out."""
    low: Price | None = Field(None, alias="min")
    """An answer at or below this is no price."""
    high: Price | None = Field(None, alias="max")
    """An answer at or above this is no price."""
    peg: Price | None = None
    """What the price should be: `oracle.depeg`."""
    base: Address | None = None
    """Of a pool: the token whose price is read, in the other one."""
    window_ns: Annotated[Duration, Within("1m", "7d")] | None = Field(None, alias="window")
    """Of a TWAP: over which time the mean is taken; 30m if left out."""
    min_liquidity: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    """Of a pool: with less liquidity its price counts for nothing. In units of L, the root of the reserves' product."""
    function: Function | None = None
    """Of a rate: the function that returns it, such as getExchangeRate()."""

    @model_validator(mode="after")
    def _consistent(self) -> "FeedTable":
        kind = FeedKind(self.kind)
        needed = _NEEDED.get(kind, ())
        lacking = [key for key in needed if getattr(self, _FIELDS[key]) is None]
        if lacking:
            raise ValueError(f"a feed of kind {self.kind} needs {lacking[0]}")
        useless = [
            key
            for key, kinds in _BELONGS.items()
            if kind not in kinds and getattr(self, _FIELDS[key]) not in (None, 0, "")
        ]
        if useless:
            raise ValueError(f"{useless[0]} means nothing for a feed of kind {self.kind}")
        if self.low is not None and self.high is not None and fraction(self.low) >= fraction(self.high):
            raise ValueError(f"min {self.low} is not below max {self.high}")
        return self

    def completed(self) -> "FeedTable":
        """Return it with what follows from the rest filled in."""
        kind = FeedKind(self.kind)
        found: dict[str, object] = {
            "provider": self.provider or (CHAINLINK if kind is FeedKind.CHAINLINK else self.address),
            "role": self.role or (Role.MARKET if kind in POOLS else Role.ORACLE).value,
            "grace_ns": self.grace_ns or _grace(kind, self.heartbeat_ns or 0),
            "window_ns": self.window_ns or WINDOW,
        }
        belong = {_FIELDS[key]: kinds for key, kinds in _BELONGS.items()}
        return self.model_copy(update={name: one for name, one in found.items() if kind in belong.get(name, _EVERY)})

    def settings(self) -> FeedSettings:
        """Return it as the core has it; of what is completed."""
        kind = FeedKind(self.kind)
        return FeedSettings(
            name=self.name,
            address=self.address,
            kind=kind,
            role=Role(self.role) if self.role else Role.ORACLE,
            prices=self.prices or "",
            provider=self.provider,
            heartbeat_ns=self.heartbeat_ns or 0,
            grace_ns=self.grace_ns or 0,
            deviation_bps=self.deviation or 0,
            decimals=self.decimals,
            low=self.low or "",
            high=self.high or "",
            peg=self.peg or "",
            base=self.base or "",
            window_s=(self.window_ns or 0) // 10**9,
            min_liquidity=self.min_liquidity,
            function=selector(self.function) if self.function else "",
        )


def _grace(kind: FeedKind, heartbeat_ns: int) -> int:
    if kind is FeedKind.SEQUENCER:
        return SEQUENCER_GRACE
    return max(GRACE, heartbeat_ns // GRACE_SHARE)


_EVERY: Final = frozenset(FeedKind)
_FIELDS: Final[Mapping[str, str]] = {field.alias or name: name for name, field in FeedTable.model_fields.items()}
_NEEDED: Final[Mapping[FeedKind, tuple[str, ...]]] = {
    FeedKind.CHAINLINK: ("heartbeat",),
    FeedKind.TWAP: ("base",),
    FeedKind.SPOT_V3: ("base",),
    FeedKind.SPOT_V2: ("base",),
    FeedKind.RATE: ("function",),
}
_BELONGS: Final[Mapping[str, frozenset[FeedKind]]] = {
    "heartbeat": frozenset({FeedKind.CHAINLINK}),
    "grace": frozenset({FeedKind.CHAINLINK, FeedKind.SEQUENCER}),
    "deviation": frozenset({FeedKind.CHAINLINK}),
    "decimals": frozenset({FeedKind.CHAINLINK, FeedKind.RATE}),
    "base": POOLS,
    "window": frozenset({FeedKind.TWAP}),
    "min_liquidity": POOLS,
    "function": frozenset({FeedKind.RATE}),
    **dict.fromkeys(("prices", "role", "min", "max", "peg"), _EVERY - {FeedKind.SEQUENCER}),
}
"""Which keys mean something for which kinds; the others for all."""


class GatewayTable(Table):
    """A source of prices over HTTP: it is asked for a JSON document, in which the price stands."""

    name: Name
    """In topics and labels; unique."""
    url: ConfiguredUrl
    """http or https; what is asked for, query and all. Shown as scheme and host only."""
    prices: Pair
    """What it prices, and in what, as a feed says it."""
    price: JsonPath
    """Where in the document the price stands: keys, and positions in arrays, joined by dots."""
    time: JsonPath | None = None
    """Where it stands when that price was so: Unix time in s, ms, us or ns, or RFC 3339. Without it, when it came."""
    provider: Tag = ""
    """Who stands behind it: sources that share one are one voice. Default: the URL's host."""
    headers: Mapping[HeaderName, ConfiguredSecret] = {}
    """Sent with every request; values are treated as secrets."""
    ca: FileName | None = None
    """PEM file of the authority that signed its certificate."""
    proxy: ProxyUrl | None = None
    """HTTP proxy; it resolves the name itself."""
    poll_ns: Annotated[Duration, Within("1s", "1h")] = Field(DurationNs(10 * 10**9), alias="poll")
    """How often it is asked."""
    timeout_ns: Annotated[Duration, Within("50ms", "1m")] = Field(DurationNs(5 * 10**9), alias="timeout")
    """Deadline of one poll."""
    max_age_ns: Annotated[Duration, Within("1s", "7d")] = Field(DurationNs(60 * 10**9), alias="max_age")
    """A price that is older is none."""
    low: Price | None = Field(None, alias="min")
    """A price at or below this is none."""
    high: Price | None = Field(None, alias="max")
    """A price at or above this is none."""

    @model_validator(mode="after")
    def _consistent(self) -> "GatewayTable":
        if self.low is not None and self.high is not None and fraction(self.low) >= fraction(self.high):
            raise ValueError(f"min {self.low} is not below max {self.high}")
        if self.max_age_ns < self.poll_ns:
            raise ValueError("max_age is shorter than poll: its price would be too old before it is asked again")
        if self.ca is not None and self.url.scheme != "https":
            raise ValueError("ca does nothing without https")
        return self

    def completed(self, folder: Path) -> "GatewayTable":
        """Return it with what follows from the rest filled in."""
        ca = self.ca and str(folder / self.ca)
        return self.model_copy(update={"provider": self.provider or self.url.host, "ca": ca})

    def settings(self, *, judged: bool) -> GatewaySettings:
        """Return it as the core has it."""
        return GatewaySettings(
            name=self.name,
            endpoint=str(self.url),
            prices=self.prices,
            provider=self.provider,
            poll_ns=self.poll_ns,
            max_age_ns=self.max_age_ns,
            low=self.low or "",
            high=self.high or "",
            judged=judged,
        )


def gateways_of(gateways: tuple[GatewayTable, ...], chains: list[set[str]]) -> Iterator[tuple[GatewaySettings, ...]]:
    """Yield for each chain the gateways whose pair a feed of it prices; alerts belong to the first such chain."""
    judged: set[str] = set()
    for pairs in chains:
        fitting = [one for one in gateways if one.prices in pairs]
        yield tuple(one.settings(judged=one.name not in judged) for one in fitting)
        judged |= {one.name for one in fitting}
