"""Prices of Uniswap pools in integers, as the contracts work them out; no float, no rounding but theirs.

Sources: Uniswap v3-core TickMath.sol (`getSqrtRatioAtTick`), v3-periphery OracleLibrary.sol (`consult`),
v2-core UniswapV2Pair.sol (`getReserves`).
"""

from fractions import Fraction
from math import isqrt
from typing import Final

MAX_TICK: Final = 887_272
MIN_SQRT: Final = 4_295_128_739
"""`getSqrtRatioAtTick(-MAX_TICK)`: no pool has a lower root of its price."""

_Q96: Final = 1 << 96
_Q128: Final = 1 << 128
_WORD: Final = 1 << 256
_STEPS: Final = (
    0xFFFCB933BD6FAD37AA2D162D1A594001,
    0xFFF97272373D413259A46990580E213A,
    0xFFF2E50F5F656932EF12357CF3C7FDCC,
    0xFFE5CACA7E10E4E61C3624EAA0941CD0,
    0xFFCB9843D60F6159C9DB58835C926644,
    0xFF973B41FA98C081472E6896DFB254C0,
    0xFF2EA16466C96A3843EC78B326B52861,
    0xFE5DEE046A99A2A811C461F1969C3053,
    0xFCBE86C7900A88AEDCFFC83B479AA3A4,
    0xF987A7253AC413176F2B074CF7815E54,
    0xF3392B0822B70005940C7A398E4B70F3,
    0xE7159475A2C29B7443B29C7FA6E889D9,
    0xD097F3BDFD2022B8845AD8F792AA5825,
    0xA9F746462D870FDF8A65DC1F90E061E5,
    0x70D869A156D2A1B890BB3DF62BAF32F7,
    0x31BE135F97D08FD981231505542FCFA6,
    0x9AA508B5B7A84E1C677DE54F3E99BC9,
    0x5D6AF8DEDB81196699C329225EE604,
    0x2216E584F5FA1EA926041BEDFE98,
    0x48A170391F7DC42444E8FA2,
)
"""1.0001^(-2^i / 2) in units of 2^-128, for each bit of a tick."""


def sqrt_ratio(tick: int) -> int:
    """Return the root of the price at a tick, in units of 2^-96. Raises ValueError for a tick that no pool has."""
    size = abs(tick)
    if size > MAX_TICK:
        raise ValueError(f"tick {tick} is beyond {MAX_TICK}")
    ratio = _Q128
    for bit, step in enumerate(_STEPS):
        if size >> bit & 1:
            ratio = ratio * step >> 128
    if tick > 0:
        ratio = (_WORD - 1) // ratio
    return (ratio >> 32) + (1 if ratio % (1 << 32) else 0)


def mean_tick(moved: int, seconds: int) -> int:
    """Return the mean tick of a window, rounded down as `consult` does; `moved` is in tick-seconds."""
    return moved // seconds


def mean_liquidity(seconds: int, moved: int) -> int:
    """Return the harmonic mean of the liquidity; `moved` is in seconds per liquidity, times 2^128 and mod 2^160."""
    return seconds * ((1 << 160) - 1) // (moved << 32) if moved else 0


def price(sqrt_price: int, decimals0: int, decimals1: int) -> Fraction:
    """Return what one whole token 0 costs in token 1, of the root of their raw price in units of 2^-96."""
    return Fraction(sqrt_price * sqrt_price * 10**decimals0, _Q96 * _Q96 * 10**decimals1)


def reserve_price(reserve0: int, reserve1: int, decimals0: int, decimals1: int) -> Fraction | None:
    """Return what one whole token 0 costs in token 1 by the reserves of a pair; None where one of them is empty."""
    if not reserve0 or not reserve1:
        return None
    return Fraction(reserve1 * 10**decimals0, reserve0 * 10**decimals1)


def reserve_liquidity(reserve0: int, reserve1: int) -> int:
    """Return the liquidity of a pair in the unit of v3 pools."""
    return isqrt(reserve0 * reserve1)
