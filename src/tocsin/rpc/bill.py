"""What the questions to one node cost: counted per hour, over the last day. Pure; instants are engine time."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from tocsin.clock import NS
from tocsin.model.logquery import LOGS
from tocsin.model.reading import READ
from tocsin.wire.jsonrpc import method_of

_HOUR_NS = 3600 * NS
_HOURS = 24

Prices = tuple[tuple[str, int], ...]
"""JSON-RPC method and what a call of it costs, in the provider's units, sorted. Every other method costs one unit."""


def price_of(calls: tuple[str, ...], prices: Prices) -> int:
    """Return what some calls cost in units; a batch costs what its calls cost, as providers count."""
    if not prices:
        return len(calls)
    # What is read at a block is asked once, and long: kept here it would fill the memory.
    return _priced(calls, prices) if any(call.startswith((READ, LOGS)) for call in calls) else _cached(calls, prices)


def _priced(calls: tuple[str, ...], prices: Prices) -> int:
    by_method: Mapping[str, int] = dict(prices)
    return sum(by_method.get(method_of(call), 1) for call in calls)


_cached = lru_cache(maxsize=1024)(_priced)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What one node cost. Per day; `forecast` goes by the last full hour, or by what there is of the first."""

    calls: int
    units: int
    forecast_calls: int
    forecast_units: int


class Meter:
    """Counts calls and units in a ring of hours."""

    __slots__ = ("_calls", "_hour", "_since_ns", "_units")

    def __init__(self) -> None:
        self._calls = [0] * (_HOURS + 1)
        self._units = [0] * (_HOURS + 1)
        self._hour: int | None = None
        self._since_ns = 0

    def spend(self, calls: int, units: int, now_ns: int) -> None:
        """Count some calls."""
        place = self._turned(now_ns)
        self._calls[place] += calls
        self._units[place] += units

    def age_ns(self, now_ns: int) -> int:
        """Return since when there is something to count, 0 before the first call."""
        return 0 if self._hour is None else now_ns - self._since_ns

    def bill(self, now_ns: int) -> Bill:
        """Return what the last 24 full hours and the present one cost, and what a day at this rate would."""
        place = self._turned(now_ns)
        age = now_ns - self._since_ns
        if age < _HOUR_NS:
            forecast = [sum(ring) * _HOURS * _HOUR_NS // max(age, NS) for ring in (self._calls, self._units)]
        else:
            into = min(age, now_ns % _HOUR_NS)
            rest = _HOUR_NS - into
            # The last 60 minutes: the present hour, and of the one before as much as is missing.
            forecast = [
                _HOURS * (ring[place] + ring[place - 1] * rest // _HOUR_NS) for ring in (self._calls, self._units)
            ]
        return Bill(
            calls=sum(self._calls), units=sum(self._units), forecast_calls=forecast[0], forecast_units=forecast[1]
        )

    def _turned(self, now_ns: int) -> int:
        """Return the place of the present hour, with the hours that passed without a call emptied."""
        hour = now_ns // _HOUR_NS
        if self._hour is None:
            self._hour, self._since_ns = hour, now_ns
        for passed in range(max(self._hour + 1, hour - _HOURS), hour + 1):
            self._calls[passed % (_HOURS + 1)] = self._units[passed % (_HOURS + 1)] = 0
        self._hour = max(self._hour, hour)
        return self._hour % (_HOURS + 1)
