"""What is asked of a feed at a block, in two phases, and what the answers say. Decides nothing about them.

First the price. What does not change with it (decimals, the tokens of a pool, the aggregator behind a proxy, its
bounds) is asked for when it is not known, in another phase of the proxy, and every hundred readings. In the second
phase comes what the first one names: the bounds of the aggregator, decimals of tokens, rounds between two readings,
and, where the first one shows a new round, the decimals in which that is: one call of each node a round.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tocsin.chain import pools
from tocsin.chain.keccak import keccak256
from tocsin.chain.rounds import missing, phase_of
from tocsin.model.feed import POOLS, ROUNDS, FeedKind, FeedRecord, FeedSettings
from tocsin.model.price import exact, rounded
from tocsin.model.reading import CallOf, Item, ProofOf

AGAIN_SAMPLES: Final = 100
MOST_BETWEEN: Final = 8
"""Rounds between two readings that are asked for: an aggregator that answers oftener than that in a block is broken."""
MOST_DECIMALS: Final = 77
"""10^77 is the largest power of ten in a word."""

_WORDS: Final = re.compile(r"0x(?:[0-9a-f]{64}){1,8}")
_WORD: Final = 64
_SIGN: Final = 1 << 255
_ADDRESS_BITS: Final = 160
_ROUND_WORDS: Final = 5
_SLOT0_WORDS: Final = 7
_RESERVE_WORDS: Final = 3
_OBSERVE_WORDS: Final = 8
_MOST_UNIX_S: Final = 1 << 40


def selector(signature: str) -> str:
    """Return the selector of a function, 0x and 8 hex digits."""
    return f"0x{keccak256(signature.encode())[:4].hex()}"


LATEST: Final = selector("latestRoundData()")
ROUND: Final = selector("getRoundData(uint80)")
DECIMALS: Final = selector("decimals()")
DESCRIPTION: Final = selector("description()")
AGGREGATOR: Final = selector("aggregator()")
MIN_ANSWER: Final = selector("minAnswer()")
MAX_ANSWER: Final = selector("maxAnswer()")
OBSERVE: Final = selector("observe(uint32[])")
SLOT0: Final = selector("slot0()")
LIQUIDITY: Final = selector("liquidity()")
RESERVES: Final = selector("getReserves()")
TOKEN0: Final = selector("token0()")
TOKEN1: Final = selector("token1()")
ASSET: Final = selector("asset()")
TO_ASSETS: Final = selector("convertToAssets(uint256)")

_FIXED: Final[Mapping[FeedKind, tuple[tuple[str, str], ...]]] = {
    FeedKind.CHAINLINK: (("decimals", DECIMALS), ("description", DESCRIPTION), ("aggregator", AGGREGATOR)),
    FeedKind.TWAP: (("token0", TOKEN0), ("token1", TOKEN1)),
    FeedKind.SPOT_V3: (("token0", TOKEN0), ("token1", TOKEN1)),
    FeedKind.SPOT_V2: (("token0", TOKEN0), ("token1", TOKEN1)),
    FeedKind.ERC4626: (("decimals", DECIMALS), ("asset", ASSET)),
}
"""What is fixed, by what it is called, and the function of the feed itself that tells it."""

_NAMED: Final[Mapping[FeedKind, tuple[tuple[str, str, str], ...]]] = {
    FeedKind.CHAINLINK: (("low", "aggregator", MIN_ANSWER), ("high", "aggregator", MAX_ANSWER)),
    FeedKind.TWAP: (("decimals0", "token0", DECIMALS), ("decimals1", "token1", DECIMALS)),
    FeedKind.SPOT_V3: (("decimals0", "token0", DECIMALS), ("decimals1", "token1", DECIMALS)),
    FeedKind.SPOT_V2: (("decimals0", "token0", DECIMALS), ("decimals1", "token1", DECIMALS)),
    FeedKind.ERC4626: (("asset_decimals", "asset", DECIMALS),),
}
"""The same of what another contract tells, which one of the first names."""

_MAY_LACK: Final = frozenset({"description", "aggregator", "low", "high"})
"""An aggregator that is no proxy has no aggregator behind it, and not every kind has bounds."""

Said = Mapping[str, str]
"""Subject of a call to its result, as far as that is known for sure."""


def subject(address: str, data: str) -> str:
    """Return under what name the result of a call is known."""
    return f"{address}:{data}"


def main(one: FeedSettings, fixed: Mapping[str, str]) -> str:
    """Return the call that tells the price itself; nothing as long as what goes into it is not known."""
    match one.kind:
        case FeedKind.CHAINLINK | FeedKind.SEQUENCER:
            return LATEST
        case FeedKind.TWAP:
            return OBSERVE + "".join(f"{word:064x}" for word in (32, 2, one.window_s, 0))
        case FeedKind.SPOT_V3:
            return SLOT0
        case FeedKind.SPOT_V2:
            return RESERVES
        case FeedKind.RATE:
            return one.function
        case FeedKind.ERC4626:
            decimals = _decimals(fixed, "decimals")
            return "" if decimals is None else f"{TO_ASSETS}{10**decimals:064x}"


def is_due(one: FeedSettings, record: FeedRecord) -> bool:
    """Tell whether what is fixed is asked for again at the next block."""
    is_open = one.kind is FeedKind.CHAINLINK and "aggregator" not in record.fixed
    return is_open or bool(lacking(one, record.fixed)) or record.samples % AGAIN_SAMPLES == 0 or is_other(record)


def without_bounds(fixed: Mapping[str, str]) -> dict[str, str]:
    """Return what is fixed of an aggregator whose decimals have changed: its bounds are to be asked for again."""
    return {name: text for name, text in fixed.items() if name not in ("aggregator", "low", "high")}


def is_other(record: FeedRecord) -> bool:
    """Tell whether the proxy has another aggregator than when what is fixed was read."""
    if not record.rounds or not record.fixed_phase:
        return False
    return str(phase_of(int(record.rounds[-1].number))) != record.fixed_phase


def is_moved(one: FeedSettings, record: FeedRecord, said: Said) -> bool:
    """Tell whether the proxy answers by another aggregator than the one whose decimals are known."""
    newest = words(said.get(subject(one.address, LATEST), ""), _ROUND_WORDS) if one.kind is FeedKind.CHAINLINK else None
    return newest is not None and bool(record.fixed_phase) and str(phase_of(newest[0])) != record.fixed_phase


def is_fresh(one: FeedSettings, record: FeedRecord, said: Said) -> bool:
    """Tell whether an aggregator has a newer round than the one at which its decimals were read."""
    newest = words(said.get(subject(one.address, LATEST), ""), _ROUND_WORDS) if one.kind is FeedKind.CHAINLINK else None
    return newest is not None and newest[0] > int(record.fixed_round or -1)


def lacking(one: FeedSettings, fixed: Mapping[str, str]) -> tuple[str, ...]:
    """Return what has to be known of a feed, and is not."""
    named = [name for name, _ in _FIXED.get(one.kind, ())] + [name for name, _, _ in _NAMED.get(one.kind, ())]
    return tuple(name for name in named if name not in fixed and name not in _MAY_LACK)


def items(one: FeedSettings, record: FeedRecord, said: Said) -> tuple[Item, ...]:
    """Return what is read of a feed at a block; what `said` already tells leads to what else is read."""
    # A proof tells also of an address where nothing is: there every call returns nothing, as of a node without state.
    proof = (ProofOf(address=bytes.fromhex(one.address[2:])),) if record.latest is None else ()
    return (*proof, *_calls(one, record, said))


def _calls(one: FeedSettings, record: FeedRecord, said: Said) -> tuple[CallOf, ...]:
    fixed = {**record.fixed, **fixed_of(one, said)}
    due = is_due(one, record)
    wanted = [(one.address, main(one, fixed))]
    if one.kind is FeedKind.SPOT_V3:
        wanted.append((one.address, LIQUIDITY))
    if due:
        wanted += [(one.address, data) for _, data in _FIXED.get(one.kind, ())]
        wanted += [(_behind(one, fixed, owner), data) for _, owner, data in _NAMED.get(one.kind, ())]
    elif is_fresh(one, record, said) or is_moved(one, record, said):
        # At this very block: an answer in other decimals would be another price.
        wanted.append((one.address, DECIMALS))
    if one.kind in ROUNDS and (newest := words(said.get(subject(one.address, LATEST), ""), _ROUND_WORDS)) is not None:
        wanted += [
            (one.address, f"{ROUND}{each:064x}")
            for each in missing(record, newest[0], MOST_BETWEEN)
            if newest[0] >> 80 == 0
        ]
    return tuple(
        CallOf(to=bytes.fromhex(address[2:]), data=bytes.fromhex(data[2:]))
        for address, data in dict.fromkeys(wanted)
        if address and data
    )


def _behind(one: FeedSettings, fixed: Mapping[str, str], owner: str) -> str:
    """Return which contract tells what the feed itself does not; an aggregator that is no proxy tells it itself."""
    behind = fixed.get(owner, "")
    return behind or (one.address if "aggregator" in fixed and owner == "aggregator" else "")


def fixed_of(one: FeedSettings, said: Said) -> dict[str, str]:
    """Return what of the fixed things answers tell."""
    found: dict[str, str] = {}
    for name, data in _FIXED.get(one.kind, ()):
        _note(found, name, said.get(subject(one.address, data)))
    for name, owner, data in _NAMED.get(one.kind, ()):
        address = _behind(one, found, owner)
        if address:
            _note(found, name, said.get(subject(address, data)))
    return found


def _note(found: dict[str, str], name: str, result: str | None) -> None:
    if result is None:
        return
    value = _fixed_value(name, result)
    if value is not None:
        found[name] = value
    elif name in _MAY_LACK:
        found[name] = ""


def _fixed_value(name: str, result: str) -> str | None:
    if name == "description":
        return _text(result)
    word = words(result, 1)
    if word is None:
        return None
    if name in ("low", "high"):
        return str(signed(word[0]))
    if name in ("aggregator", "token0", "token1", "asset"):
        return f"0x{word[0]:040x}" if 0 < word[0] < 1 << _ADDRESS_BITS else None
    return str(word[0]) if word[0] <= MOST_DECIMALS else None


def words(result: str, least: int) -> tuple[int, ...] | None:
    """Return the words of a result of at least so many; None for any other one."""
    if not _WORDS.fullmatch(result):
        return None
    found = tuple(int(result[at : at + _WORD], 16) for at in range(2, len(result), _WORD))
    return found if len(found) >= least else None


def signed(word: int) -> int:
    """Return a word as a signed integer."""
    return word - 2 * _SIGN if word & _SIGN else word


def _text(result: str) -> str | None:
    """Return a string as functions return one, as far as it can be shown."""
    found = words(result, 2)
    if found is None or found[0] != _WORD // 2 or found[1] > _WORD * len(found) // 2 - _WORD:
        return None
    data = bytes.fromhex(result[2 + 2 * _WORD :])[: found[1]]
    text = data.decode("utf-8", "replace")
    return text if text.isprintable() else None


# -- what the price is


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a feed says: its price, or why it has none; of an aggregator the round."""

    value: str = ""
    problem: str = ""
    is_wrong: bool = False
    """Whether that contradicts the configuration, which does not mend itself."""
    round: int | None = None
    updated_s: int = 0
    started_s: int = 0
    liquidity: int | None = None


def _wrong(problem: str) -> Told:
    return Told(problem=problem, is_wrong=True)


def unreadable(lacks: tuple[str, ...]) -> str:
    """Say what has to be known of a feed, and cannot be read."""
    return f"its {', its '.join(lacks)} cannot be read: check the address"


def silent(one: FeedSettings, fixed: Mapping[str, str], said: Said) -> tuple[str, ...]:
    """Return the subjects of what a feed of its kind tells of itself, and this one is known not to."""
    lacks = lacking(one, fixed)
    asked = [subject(one.address, data) for name, data in _FIXED.get(one.kind, ()) if name in lacks]
    return tuple(each for each in asked if each in said)


def told(one: FeedSettings, fixed: Mapping[str, str], result: str, said: Said) -> Told:
    """Return what the result of the main call says."""
    if one.kind in ROUNDS and words(result, _ROUND_WORDS) is None:
        return _wrong("it gives no round: check the address")
    lacks = lacking(one, fixed)
    if lacks:
        return Told(problem=unreadable(lacks))
    if one.kind in ROUNDS:
        return _round(one, fixed, result)
    if one.kind in POOLS:
        return _pool(one, fixed, result, said)
    word = words(result, 1)
    if word is None:
        return _wrong("it returns no number: check the function in the configuration")
    decimals = one.decimals if one.kind is FeedKind.RATE else _decimals(fixed, "asset_decimals")
    return Told(value=exact(word[0], 18 if decimals is None else decimals))


def between(one: FeedSettings, fixed: Mapping[str, str], record: FeedRecord, newest: int, said: Said) -> list[Told]:
    """Return the rounds between two readings, as far as they were told, by rising number."""
    numbers = missing(record, newest, MOST_BETWEEN)
    found = [_round(one, fixed, said.get(subject(one.address, f"{ROUND}{each:064x}"), "")) for each in numbers]
    return [each for number, each in zip(numbers, found, strict=True) if each.round == number and not each.problem]


def _round(one: FeedSettings, fixed: Mapping[str, str], result: str) -> Told:
    found = words(result, _ROUND_WORDS)
    if found is None:
        return _wrong("it gives no round: check the address")
    number, answer, started_s, updated_s, _ = found[:_ROUND_WORDS]
    if number >> 80 or max(started_s, updated_s) > _MOST_UNIX_S:
        return _wrong("it gives no round: check the address")
    if one.kind is FeedKind.SEQUENCER:
        if answer not in (0, 1) or not started_s:
            return _wrong("it does not say whether the sequencer is up")
        return Told(value=str(answer), round=number, updated_s=updated_s, started_s=started_s)
    if not updated_s:
        return Told(problem=f"round {number} is not complete")
    decimals = _decimals(fixed, "decimals")
    if one.decimals is not None and decimals != one.decimals:
        return _wrong(f"it has {decimals} decimals, and {one.decimals} are configured: check the address")
    value = exact(signed(answer), decimals or 0)
    return Told(value=value, round=number, updated_s=updated_s, started_s=started_s)


def _pool(one: FeedSettings, fixed: Mapping[str, str], result: str, said: Said) -> Told:
    if one.base not in (fixed["token0"], fixed["token1"]):
        return _wrong(f"base is none of its tokens, which are {fixed['token0']} and {fixed['token1']}")
    decimals0, decimals1 = _decimals(fixed, "decimals0") or 0, _decimals(fixed, "decimals1") or 0
    found = _raw(one, result, said)
    if found is None:
        return Told(problem="it has no price: its window is longer than it remembers, or the address is of no pool")
    sqrt_price, reserves, liquidity = found
    price = (
        pools.price(sqrt_price, decimals0, decimals1)
        if reserves is None
        else pools.reserve_price(*reserves, decimals0, decimals1)
    )
    if not price:
        return Told(problem="it is empty", liquidity=liquidity)
    price = price if one.base == fixed["token0"] else 1 / price
    short = f"its liquidity is {liquidity}, less than {one.min_liquidity}" if liquidity < one.min_liquidity else ""
    return Told(value=rounded(price), liquidity=liquidity, problem=short)


def _raw(one: FeedSettings, result: str, said: Said) -> tuple[int, tuple[int, int] | None, int] | None:
    """Return the root of the raw price, or reserves in its place, and the liquidity."""
    if one.kind is FeedKind.SPOT_V2:
        pair = words(result, _RESERVE_WORDS)
        return None if pair is None else (0, (pair[0], pair[1]), pools.reserve_liquidity(pair[0], pair[1]))
    if one.kind is FeedKind.SPOT_V3:
        state, depth = words(result, _SLOT0_WORDS), words(said.get(subject(one.address, LIQUIDITY), ""), 1)
        return None if state is None or depth is None or state[0] < pools.MIN_SQRT else (state[0], None, depth[0])
    seen = words(result, _OBSERVE_WORDS)
    if seen is None or (seen[0], seen[2], seen[5]) != (64, 2, 2):
        return None
    tick = pools.mean_tick(signed(seen[4]) - signed(seen[3]), one.window_s)
    if abs(tick) > pools.MAX_TICK:
        return None
    crowd = (seen[7] - seen[6]) % (1 << 160)
    return pools.sqrt_ratio(tick), None, pools.mean_liquidity(one.window_s, crowd)


def bounds(one: FeedSettings, fixed: Mapping[str, str]) -> tuple[str, str]:
    """Return the lowest and the highest price that an aggregator can say, as far as known; empty texts else."""
    decimals = _decimals(fixed, "decimals")
    if decimals is None or one.kind is not FeedKind.CHAINLINK:
        return "", ""
    low, high = fixed.get("low", ""), fixed.get("high", "")
    return (exact(int(low), decimals) if low else ""), (exact(int(high), decimals) if high else "")


def _decimals(fixed: Mapping[str, str], name: str) -> int | None:
    return int(fixed[name]) if fixed.get(name) else None
