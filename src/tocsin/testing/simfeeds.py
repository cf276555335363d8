"""Sources of prices on the simulated chain: an aggregator behind its proxy, pools, tokens, vaults.

Each is an account with a code that names its kind, and slots that hold what it says; `install` lets a chain answer for
them. What is written comes as a `Change`, as every transaction does, so that reorgs take it back.
"""

from collections.abc import Mapping
from typing import Final

from tocsin.testing.headers import keccak256
from tocsin.testing.simchain import SimChain
from tocsin.testing.simstate import Change, Program, Reverted, SimAccount, World, word

AGGREGATOR_CODE: Final = b"\xfe aggregator"
POOL_V3_CODE: Final = b"\xfe v3 pool"
PAIR_V2_CODE: Final = b"\xfe v2 pair"
TOKEN_CODE: Final = b"\xfe token"
VAULT_CODE: Final = b"\xfe vault"

PHASE: Final = 1 << 64
"""A proxy's round is its phase times this, and the aggregator's own round."""

_NEWEST, _DECIMALS, _LOW, _HIGH, _BEHIND = range(5)
_ROUND_SLOTS: Final = 1 << 100
_TOKEN0, _TOKEN1, _PRICE, _LIQUIDITY, _TICK = range(5)
_RESERVE0, _RESERVE1 = 2, 3
_EPOCH: Final = 1 << 40
"""Seconds for which a simulated pool pretends to have had its price."""
_SIGN: Final = 1 << 256


def selector(signature: str) -> bytes:
    """Return the selector of a function."""
    return keccak256(signature.encode())[:4]


def install(chain: SimChain) -> None:
    """Let the accounts of this module answer calls on a chain."""
    chain.programs.update(PROGRAMS)


def aggregator(
    *, decimals: int = 8, low: int = 1, high: int = 10**18, behind: bytes = b"", slots: Mapping[int, int] | None = None
) -> SimAccount:
    """Return an aggregator without an answer, or with `behind` the proxy of one, which answers itself all the same."""
    fixed = {_DECIMALS: decimals, _LOW: low, _HIGH: high, _BEHIND: int.from_bytes(behind)}
    return SimAccount(code=AGGREGATOR_CODE, slots={**fixed, **(slots or {})})


def answered(address: bytes, number: int, answer: int, updated_s: int, started_s: int | None = None) -> Change:
    """Return the transaction that gives an aggregator one more round, its newest."""
    at, begun = _ROUND_SLOTS + number * 4, updated_s if started_s is None else started_s
    slots = {at: answer % _SIGN, at + 1: begun, at + 2: updated_s, _NEWEST: number}
    return Change(slots={(address, slot): value for slot, value in slots.items()})


def pool_v3(token0: bytes, token1: bytes, *, sqrt_price: int, tick: int, liquidity: int) -> SimAccount:
    """Return a Uniswap v3 pool that has always had this price."""
    tokens = {_TOKEN0: int.from_bytes(token0), _TOKEN1: int.from_bytes(token1)}
    state = {_PRICE: sqrt_price, _LIQUIDITY: liquidity, _TICK: tick % _SIGN}
    return SimAccount(code=POOL_V3_CODE, slots={**tokens, **state})


def priced(address: bytes, *, sqrt_price: int, tick: int, liquidity: int) -> Change:
    """Return the transaction after which a v3 pool has always had another price."""
    state = {_PRICE: sqrt_price, _LIQUIDITY: liquidity, _TICK: tick % _SIGN}
    return Change(slots={(address, slot): value for slot, value in state.items()})


def pair_v2(token0: bytes, token1: bytes, reserve0: int, reserve1: int) -> SimAccount:
    """Return a Uniswap v2 pair."""
    tokens = {_TOKEN0: int.from_bytes(token0), _TOKEN1: int.from_bytes(token1)}
    return SimAccount(code=PAIR_V2_CODE, slots={**tokens, _RESERVE0: reserve0, _RESERVE1: reserve1})


def token(decimals: int) -> SimAccount:
    """Return a token."""
    return SimAccount(code=TOKEN_CODE, slots={0: decimals})


def vault(asset: bytes, rate: int, decimals: int = 18) -> SimAccount:
    """Return a vault of which a whole share is worth `rate` units of its asset; `getExchangeRate()` says so as well."""
    return SimAccount(code=VAULT_CODE, slots={0: int.from_bytes(asset), 1: rate, 2: decimals})


def rated(address: bytes, rate: int) -> Change:
    """Return the transaction after which a share of a vault is worth something else."""
    return Change(slots={(address, 1): rate})


# -- what they return


def _slots(world: World, to: bytes) -> Mapping[int, int]:
    return world.account(to).slots


def _words(*values: int) -> bytes:
    return b"".join(word(value % _SIGN) for value in values)


def _aggregator(world: World, to: bytes, data: bytes) -> bytes:
    slots, called = _slots(world, to), data[:4]
    newest = slots.get(_NEWEST, 0)
    if called in (selector("latestRoundData()"), selector("getRoundData(uint80)")):
        number = newest if len(data) == len(called) else int.from_bytes(data[4:])
        at = _ROUND_SLOTS + number * 4
        if not slots.get(at + 2, 0):
            raise Reverted
        return _words(number, slots.get(at, 0), slots.get(at + 1, 0), slots[at + 2], number)
    if called == selector("description()"):
        return _words(32, 9) + b"ETH / USD".ljust(32, b"\0")
    if called == selector("aggregator()") and not slots.get(_BEHIND, 0):
        raise Reverted
    return _one(slots, called, {"decimals()": _DECIMALS, "minAnswer()": _LOW, "maxAnswer()": _HIGH, "aggregator()": 4})


def _one(slots: Mapping[int, int], called: bytes, known: Mapping[str, int]) -> bytes:
    for signature, slot in known.items():
        if called == selector(signature):
            return word(slots.get(slot, 0))
    raise Reverted


def _pool_v3(world: World, to: bytes, data: bytes) -> bytes:
    slots, called = _slots(world, to), data[:4]
    tick = slots.get(_TICK, 0)
    tick = tick - _SIGN if tick >> 255 else tick
    if called == selector("slot0()"):
        return _words(slots.get(_PRICE, 0), tick, 0, 1, 1, 0, 1)
    if called == selector("observe(uint32[])"):
        ago = [int.from_bytes(data[at : at + 32]) for at in range(4 + 64, len(data), 32)]
        depth = slots.get(_LIQUIDITY, 0)
        crowd = [((_EPOCH - each) << 128) // depth if depth else 0 for each in ago]
        each = [tick * (_EPOCH - one) for one in ago]
        return _words(64, 64 + 32 * (len(ago) + 1), len(ago), *each, len(ago), *crowd)
    return _one(slots, called, {"token0()": _TOKEN0, "token1()": _TOKEN1, "liquidity()": _LIQUIDITY})


def _pair_v2(world: World, to: bytes, data: bytes) -> bytes:
    slots, called = _slots(world, to), data[:4]
    if called == selector("getReserves()"):
        return _words(slots.get(_RESERVE0, 0), slots.get(_RESERVE1, 0), 0)
    return _one(slots, called, {"token0()": _TOKEN0, "token1()": _TOKEN1})


def _token(world: World, to: bytes, data: bytes) -> bytes:
    return _one(_slots(world, to), data[:4], {"decimals()": 0})


def _vault(world: World, to: bytes, data: bytes) -> bytes:
    slots, called = _slots(world, to), data[:4]
    if called == selector("convertToAssets(uint256)"):
        return word(int.from_bytes(data[4:]) * slots.get(1, 0) // 10 ** slots.get(2, 0))
    return _one(slots, called, {"asset()": 0, "getExchangeRate()": 1, "decimals()": 2})


PROGRAMS: Final[Mapping[bytes, Program]] = {
    AGGREGATOR_CODE: _aggregator,
    POOL_V3_CODE: _pool_v3,
    PAIR_V2_CODE: _pair_v2,
    TOKEN_CODE: _token,
    VAULT_CODE: _vault,
}
