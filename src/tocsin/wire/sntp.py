"""One packet of the Simple Network Time Protocol, there and back (RFC 4330, with the root distance of RFC 5905).

The transmit timestamp of a request is a random number: the server sends it back as originate timestamp, and whoever has
not seen the request cannot make an answer to it.
"""

import struct
from dataclasses import dataclass
from typing import Final

from tocsin.clock import NS

PORT: Final = 123
SIZE: Final = 48

_REQUEST: Final = (4 << 3) | 3  # leap 0, version 4, mode 3: client
_SERVER_MODE: Final = 4
_UNSYNCHRONISED: Final = 3
_VERSIONS: Final = (3, 4)
_FORMAT: Final = struct.Struct("!BBbb i I 4s QQQQ")
_EPOCH_S: Final = 2_208_988_800
"""From 1900 to 1970."""
_ERA_S: Final = 2**32
_LONGEST_DISTANCE_NS: Final = 1_500_000_000
"""RFC 5905 MAXDIST: a server that may be off by more than this serves nobody."""
_MOST_STRATUM: Final = 15
_RATE: Final = "RATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """A usable answer: how far the server's clock is ahead of ours, give or take `distance_ns`."""

    offset_ns: int
    distance_ns: int
    stratum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer without time. `kiss` is its code where the server told us to go away, or to ask less often."""

    reason: str
    kiss: str = ""

    @property
    def is_final(self) -> bool:
        """Whether the server wants no requests of ours any more; RATE asks for fewer of them only."""
        return bool(self.kiss) and self.kiss != _RATE


def request(nonce: int) -> bytes:
    """Return a request that carries a random number below 2^64, and nothing of ours."""
    return _FORMAT.pack(_REQUEST, 0, 0, 0, 0, 0, b"\0" * 4, 0, 0, 0, nonce)


def read(packet: bytes, nonce: int, sent_ns: int, received_ns: int) -> Time | Refusal | None:
    """Return what an answer says; None for a packet that answers no request of ours. Instants are wall time.

    Takes any bytes; never raises.
    """
    if len(packet) < SIZE:
        return None
    first, stratum, _, _, delay, dispersion, source, _, originate, arrived, left = _FORMAT.unpack(packet[:SIZE])
    leap, version, mode = first >> 6, (first >> 3) & 7, first & 7
    if originate != nonce or mode != _SERVER_MODE or version not in _VERSIONS:
        return None
    if stratum == 0:
        code = source.decode("ascii", errors="replace").strip("\0 ")
        kiss = "".join(char for char in code if char.isalnum())
        return Refusal(reason=f"it refuses to be asked (kiss of death: {kiss or 'no code'})", kiss=kiss or "X")
    if leap == _UNSYNCHRONISED or stratum > _MOST_STRATUM:
        return Refusal(reason="its own clock is not synchronised")
    if not left or not arrived or delay < 0:
        return Refusal(reason="its answer has no time in it")
    t2, t3 = _wall_ns(arrived, sent_ns), _wall_ns(left, sent_ns)
    way_ns = max(0, (received_ns - sent_ns) - (t3 - t2))
    distance_ns = (_short_ns(delay) + way_ns) // 2 + _short_ns(dispersion)
    if t3 < t2 or distance_ns > _LONGEST_DISTANCE_NS:
        return Refusal(reason=f"its time may be off by {distance_ns // 10**6} ms")
    offset_ns = ((t2 - sent_ns) + (t3 - received_ns)) // 2
    return Time(offset_ns=offset_ns, distance_ns=distance_ns, stratum=stratum)


def _wall_ns(stamp: int, near_ns: int) -> int:
    """Return an NTP timestamp as wall time; of its eras of 136 years the one nearest to another instant is meant."""
    seconds, fraction = stamp >> 32, stamp & 0xFFFFFFFF
    off = (seconds - _EPOCH_S - near_ns // NS + _ERA_S // 2) % _ERA_S - _ERA_S // 2
    return (near_ns // NS + off) * NS + (fraction * NS >> 32)


def _short_ns(value: int) -> int:
    """Return a time in NTP's short format, 16 bits before and after the point."""
    return value * NS >> 16
