"""Whether what a snapshot says of prices is something that the engine can go on from: all texts are numbers."""

import re
from collections.abc import Iterator, Mapping

from tocsin.chain.rounds import KEPT
from tocsin.engine.feedcalls import MOST_DECIMALS
from tocsin.engine.state import ChainState, EngineState
from tocsin.model.feed import POOLS, ROUNDS, FeedKind, FeedRecord, FeedSettings, GatewaySettings, Round
from tocsin.model.price import decimal
from tocsin.model.settings import ChainSettings

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_FUNCTION = re.compile(r"0x[0-9a-f]{8}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,77}")
_COUNTS = frozenset({"decimals", "decimals0", "decimals1", "asset_decimals"})
_BOUNDS = frozenset({"low", "high"})
_MOST_ROUNDS = 4 * KEPT


def flaw(state: EngineState, chains: tuple[ChainSettings, ...]) -> str | None:
    """Return what is no number where one has to be, None where all are."""
    if not all(record.price == "" or _is_price(record.price) for record in state.gateways.values()):
        return "a price gateway has said what is no price"
    return next((found for chain in chains if (found := _flaw_of(state.chains[chain.name], chain))), None)


def _flaw_of(state: ChainState, chain: ChainSettings) -> str | None:
    if not all(map(_is_feed, chain.feeds)) or not all(map(_is_gateway, chain.gateways)):
        return f"{chain.name} has prices from what is no source"
    kinds = {one.name: one.kind for one in chain.feeds}
    if not state.feeds.keys() <= kinds.keys():
        return f"{chain.name} has prices of feeds that it does not have"
    if not all(_is_record(record, kinds[name]) for name, record in state.feeds.items()):
        return f"a feed of {chain.name} says what is no number"
    return None


def _is_price(text: str) -> bool:
    return decimal(text) == text


def _are_prices(*texts: str) -> bool:
    return all(not text or _is_price(text) for text in texts)


def _is_feed(one: FeedSettings) -> bool:
    needs = {FeedKind.RATE: _FUNCTION.fullmatch(one.function), FeedKind.TWAP: one.window_s > 0}
    placed = one.kind not in POOLS or _ADDRESS.fullmatch(one.base) is not None
    counted = one.decimals is None or 0 <= one.decimals <= MOST_DECIMALS
    times = min(one.heartbeat_ns, one.grace_ns, one.window_s, one.deviation_bps) >= 0 and one.window_s < 1 << 32
    known = _ADDRESS.fullmatch(one.address) is not None and bool(needs.get(one.kind, True))
    return known and placed and counted and times and _are_prices(one.low, one.high, one.peg)


def _is_gateway(one: GatewaySettings) -> bool:
    return one.poll_ns > 0 and one.max_age_ns >= 0 and _are_prices(one.low, one.high)


def _is_record(record: FeedRecord, kind: FeedKind) -> bool:
    if not _NUMBER.fullmatch(record.fixed_round or "0"):
        return False
    if len(record.rounds) > _MOST_ROUNDS or not all(map(_is_round, _rounds(record))) or not _are_fixed(record.fixed):
        return False
    latest = record.latest
    if latest is None:
        return True
    numbers = [text for text in (latest.round, latest.liquidity) if text]
    timed = kind not in ROUNDS or None not in (latest.updated_s, latest.started_s)
    return timed and _is_price(latest.value) and all(map(_NUMBER.fullmatch, numbers))


def _rounds(record: FeedRecord) -> Iterator[Round]:
    yield from record.rounds
    if record.regress is not None:
        yield from (record.regress.before, record.regress.after)


def _is_round(one: Round) -> bool:
    return _NUMBER.fullmatch(one.number) is not None and _is_price(one.answer)


def _are_fixed(fixed: Mapping[str, str]) -> bool:
    counts = [text for name, text in fixed.items() if name in _COUNTS]
    bounds = [text.removeprefix("-") for name, text in fixed.items() if name in _BOUNDS and text]
    return all(_NUMBER.fullmatch(text) and int(text) <= MOST_DECIMALS for text in counts) and all(
        map(_NUMBER.fullmatch, bounds)
    )
