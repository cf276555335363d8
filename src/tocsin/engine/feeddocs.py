"""What is told of prices: the retained topics of feeds and gateways, and their rows in the status.

Two numbers stand side by side: what the feed says, by which protocols act now, and what the market says, which is where
an oracle goes next. A market price is told from three independent sources on; how many there are is told anyway.
"""

from collections.abc import Iterator, Mapping
from functools import partial

from tocsin.chain import consensus
from tocsin.chain.rounds import phase_of
from tocsin.clock import NS
from tocsin.detect import oracle_deviation
from tocsin.engine import feedcalls, feeds, gateways
from tocsin.engine.labels import gateway_labels
from tocsin.engine.shown import block, seconds
from tocsin.engine.state import ChainState, Document, EngineState, Lasting
from tocsin.ids import fingerprint
from tocsin.model.alert import AlertState, Json
from tocsin.model.feed import (
    FeedRecord,
    FeedSettings,
    GatewayRecord,
    GatewaySettings,
    GatewayState,
    Quote,
    Reading,
    Role,
)
from tocsin.model.price import bps, fraction
from tocsin.model.settings import ChainSettings, Settings

_NOT_READ = "it was not read yet"
_DIGITS = 4
"""Of a market price that is worth telling again: what moves every block by less is not."""
_TENS = 10
"""The same of basis points."""


def told(
    state: EngineState, chain: ChainSettings, t_ns: int, wall_ns: int
) -> Iterator[tuple[FeedSettings, Lasting, Document]]:
    """Yield, for each feed that was read, what of its document lasts, and what makes that."""
    now = state.chains[chain.name]
    quotes = feeds.quotes(now, chain, state.gateways, t_ns, wall_ns)
    for one in chain.feeds:
        seen = now.feeds.get(one.name)
        if seen is not None and seen.samples:
            document = _document(one, seen, chain, quotes)
            yield one, _lasting(seen, document), partial(_same, document)


def _same(document: Json) -> Json:
    """Return a document that is made already: what of it lasts cannot be told without the market."""
    return document


def rows(state: EngineState, chain: ChainSettings, t_ns: int, wall_ns: int) -> list[dict[str, object]]:
    """Return the rows of a chain's feeds in the status, in the order of the configuration."""
    now, found = state.chains[chain.name], []
    quotes = feeds.quotes(now, chain, state.gateways, t_ns, wall_ns)
    for one in chain.feeds:
        seen = now.feeds.get(one.name) or FeedRecord(identity=one.identity)
        problem = seen.problem or (None if seen.samples else _NOT_READ)
        read_s = None if seen.read_ns is None else seconds(t_ns - seen.read_ns)
        found.append({**_document(one, seen, chain, quotes), "name": one.name, "read_s": read_s, "problem": problem})
    return found


def gateways_told(
    state: EngineState, settings: Settings, chain: ChainSettings, t_ns: int, wall_ns: int
) -> Iterator[tuple[GatewaySettings, Lasting, Document]]:
    """Yield, for each gateway of which alerts belong to a chain, what of its document lasts, and what makes that."""
    now = state.chains[chain.name]
    quotes = feeds.quotes(now, chain, state.gateways, t_ns, wall_ns) if chain.gateways else ()
    for one in chain.gateways:
        record = state.gateways.get(one.name)
        if one.judged and record is not None and record.polls:
            document = _gateway(one, record, quotes, wall_ns, is_off=_is_off(now, settings, chain, one))
            yield one, (str(document["state"]), _coarse(record.price)), partial(_same, document)


def gateway_rows(state: EngineState, settings: Settings, t_ns: int, wall_ns: int) -> list[dict[str, object]]:
    """Return the rows of the gateways in the status."""
    found = []
    for chain in settings.chains:
        now = state.chains[chain.name]
        quotes = feeds.quotes(now, chain, state.gateways, t_ns, wall_ns) if chain.gateways else ()
        for one in chain.gateways:
            record = state.gateways.get(one.name)
            if one.judged and record is not None:
                row = _gateway(one, record, quotes, wall_ns, is_off=_is_off(now, settings, chain, one))
                found.append({**row, "name": one.name})
    return found


def _lasting(seen: FeedRecord, document: Mapping[str, object]) -> Lasting:
    """Return what is worth publishing the document again; that it was read at another block is not."""
    latest, gap, market = seen.latest, document["gap_bps"], document["market"]
    price = market["value"] if isinstance(market, Mapping) else None
    words = () if latest is None else (_value_of(latest), latest.round, latest.grade.value)
    return (*words, seen.problem, _coarse(str(price or "")), "" if not isinstance(gap, int) else str(gap // _TENS))


def _value_of(latest: Reading) -> str:
    """Return a price as far as it is worth telling again: a round's is, a pool moves all the time."""
    return latest.value if latest.round else _coarse(latest.value)


def _coarse(price: str) -> str:
    """Return the first digits of a price, and where they stand."""
    digits = price.replace(".", "").lstrip("0")
    return f"{digits[:_DIGITS]}@{price.find('.') if '.' in price else len(price)}/{len(price) - len(digits)}"


def _document(
    one: FeedSettings, seen: FeedRecord, chain: ChainSettings, quotes: tuple[Quote, ...]
) -> dict[str, object]:
    market = consensus.agreed(quotes, one.prices, Role.MARKET) if one.prices else None
    latest = seen.latest
    low, high = feedcalls.bounds(one, seen.fixed)
    off = None
    if latest is not None and market is not None and market.value is not None:
        off = bps(fraction(latest.value), fraction(market.value))
    return {
        "chain": f"eip155:{chain.id}",
        "address": one.address,
        "kind": one.kind.value,
        "role": one.role.value,
        "prices": one.prices or None,
        "says": None if latest is None else _reading(one, seen, latest),
        "market": None if market is None else _market(market),
        "gap_bps": off,
        "peg": one.peg or None,
        "bounds": {"low": low or one.low or None, "high": high or one.high or None},
        "aggregator": seen.fixed.get("aggregator") or None,
        "description": seen.fixed.get("description") or None,
        "sources": [_source(each) for each in quotes if each.prices == one.prices] if one.prices else [],
        "problem": seen.problem or None,
    }


def _reading(one: FeedSettings, seen: FeedRecord, latest: Reading) -> dict[str, object]:
    number = int(latest.round) if latest.round else None
    return {
        "value": latest.value,
        "grade": latest.grade.value,
        "block": block(latest.block),
        "votes": latest.votes,
        "groups": latest.groups,
        "round": latest.round or None,
        "phase": None if number is None else phase_of(number),
        "updated_at": latest.updated_s,
        "age_s": feeds.age_s(seen),
        "heartbeat_s": one.heartbeat_ns // NS or None,
        "liquidity": latest.liquidity or None,
    }


def _market(found: consensus.Consensus) -> dict[str, object]:
    return {"value": found.value, "voices": found.voices, "spread_bps": found.spread_bps}


def _source(one: Quote) -> dict[str, object]:
    return {
        "source": one.source,
        "provider": one.provider,
        "role": one.role.value,
        "gateway": one.is_gateway,
        "value": one.value,
        "used": one.is_usable,
        "why": one.why or None,
    }


def _gateway(
    one: GatewaySettings, record: GatewayRecord, quotes: tuple[Quote, ...], wall_ns: int, *, is_off: bool
) -> dict[str, object]:
    stands, why = gateways.fit(one, record, wall_ns)
    off_bps = consensus.agreed(quotes, one.prices).off_bps(record.price) if record.price else None
    if stands is GatewayState.OK and is_off:
        stands, why = GatewayState.DISAGREEING, f"it is {off_bps} basis points off the median"
    age_ns = gateways.age_ns(record, wall_ns)
    return {
        "endpoint": one.endpoint,
        "prices": one.prices,
        "provider": one.provider,
        "state": stands.value,
        "reason": why or None,
        "value": record.price or None,
        "age_s": None if age_ns is None else seconds(age_ns),
        "off_bps": off_bps,
        "latency_ms": None if record.latency_ns is None else record.latency_ns // 10**6,
        "polls": record.polls,
    }


def _is_off(now: ChainState, settings: Settings, chain: ChainSettings, one: GatewaySettings) -> bool:
    tracked = now.alerts.tracked.get(fingerprint(oracle_deviation.ID, gateway_labels(settings, chain, one.name)))
    return tracked is not None and tracked.state is AlertState.FIRING
