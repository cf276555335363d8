"""When to leave a node alone: what it asked for, and what it may cost. Pure; instants are engine time.

A 429 with Retry-After is obeyed up to an hour. One without doubles a hold from 2 s to 5 min, with jitter from a
seed, so that several watchers behind one key do not come back in step.
"""

import random
import re
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from enum import IntEnum
from fractions import Fraction

from tocsin.clock import NS
from tocsin.model.observation import BudgetUse, Fault, FaultKind
from tocsin.rpc.bill import Meter

LONGEST_HOLD_NS = 3600 * NS
_FIRST_HOLD_NS = 2 * NS
_LONGEST_OWN_HOLD_NS = 300 * NS
_DAY_NS = 86_400 * NS

_TELLING_NS = 600 * NS
"""What is wanted of a budget is told after so long: at the start much is asked that is asked once."""

_SECONDS = re.compile(r"\s*(\d{1,12})(?:\.(\d{0,9})\d*)?\s*")


def retry_after_ns(value: str | None, wall_ns: int) -> int | None:
    """Read a Retry-After header: seconds or an HTTP date (RFC 9110 10.2.3). None when absent or unreadable.

    At most an hour: a provider that says "tomorrow" is asked again within the hour all the same.
    """
    if value is None:
        return None
    match = _SECONDS.fullmatch(value)
    if match is not None:
        return min(int(match[1]) * NS + int((match[2] or "0").ljust(9, "0")), LONGEST_HOLD_NS)
    try:
        at_ns = int(parsedate_to_datetime(value[:100]).timestamp() * NS)
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None
    return min(max(0, at_ns - wall_ns), LONGEST_HOLD_NS)


class Need(IntEnum):
    """How much some calls matter, as the quarters of a budget that must be left after them."""

    FLOOR = 0
    """The rarest poll that is still a watch: nothing is kept back from it."""
    CLOSER = 1
    """A closer look, and whatever is asked besides the polls."""
    ROUTINE = 2
    """A poll of a node that is well."""
    SPARE = 3
    """What can wait for as long as it takes: the building of an index."""


class Budget:
    """A token bucket of calls, or of a provider's units, per day. It starts with an hour's worth and never holds more.

    Counted in units of 1/86,400e9 of a call, so that nothing is lost to rounding. What is wanted of it is counted
    beside: spent evenly it never ends, and only that tells that it does not suffice.
    """

    __slots__ = ("_at_ns", "_capacity", "_level", "_per_day", "_wanted")

    def __init__(self, per_day: int) -> None:
        self._per_day = per_day
        self._capacity = max(per_day * _DAY_NS // 24, 64 * _DAY_NS)
        self._level = self._capacity
        self._at_ns: int | None = None
        self._wanted = Meter()

    def want(self, cost: int, now_ns: int) -> None:
        """Note that somebody would spend this now, whether or not it is spent."""
        self._wanted.spend(0, cost, now_ns)

    def use(self, now_ns: int, *, shared: bool) -> BudgetUse:
        """Return what is wanted of it a day beside what it allows."""
        is_known = self._wanted.age_ns(now_ns) >= _TELLING_NS
        wanted = self._wanted.bill(now_ns).forecast_units if is_known else None
        return BudgetUse(per_day=self._per_day, wanted=wanted, shared=shared)

    def take(self, cost: int, now_ns: int) -> int:
        """Take a cost and return 0, or take nothing and return the ns until there is enough."""
        wait = self.wait(cost, now_ns)
        if not wait:
            self._level -= min(cost * _DAY_NS, self._capacity)
        return wait

    def wait(self, cost: int, now_ns: int) -> int:
        """Return the ns until there is enough for a cost, 0 when there is."""
        self._refill(now_ns)
        short = min(cost * _DAY_NS, self._capacity) - self._level
        if short <= 0:
            return 0
        return -(-short // self._per_day) if self._per_day else _DAY_NS

    def affords(self, cost: int, need: Need, now_ns: int) -> bool:
        """Tell whether a cost would leave what `need` must leave for what matters more."""
        self._refill(now_ns)
        return 4 * (self._level - cost * _DAY_NS) >= need * self._capacity

    def _refill(self, now_ns: int) -> None:
        if self._at_ns is not None:
            self._level = min(self._capacity, self._level + max(0, now_ns - self._at_ns) * self._per_day)
        self._at_ns = now_ns


class Pacing:
    """The holds of one node, its budget of calls, and its part of the budgets of units that it shares with others."""

    def __init__(
        self, *, budget_per_day: int | None = None, shared: Sequence[Budget] = (), seed: int | str = 0
    ) -> None:
        self._budget = None if budget_per_day is None else Budget(budget_per_day)
        self._shared = tuple(shared)
        self._random = random.Random(seed)  # noqa: S311 - jitter, not a secret
        self._until_ns = 0
        self._own_holds = 0

    @property
    def is_bounded(self) -> bool:
        """Whether any budget holds."""
        return self._budget is not None or bool(self._shared)

    def affords(self, calls: int, units: int, need: Need, now_ns: int) -> bool:
        """Tell whether every budget has enough for these calls and for what matters more than they do."""
        return (self._budget is None or self._budget.affords(calls, need, now_ns)) and all(
            budget.affords(units, need, now_ns) for budget in self._shared
        )

    def check(self, calls: int, now_ns: int, units: int = 0) -> Fault | None:
        """Return why these calls are not to be sent now, or None and take their cost from the budgets."""
        if now_ns < self._until_ns:
            left = self._until_ns - now_ns
            detail = f"not asked: the node limits our rate, {-(-left // NS)} s to go"
            return Fault(kind=FaultKind.RATE_LIMITED, detail=detail, retry_after_ns=left)
        costs = self._costs(calls, units)
        for budget, cost in costs:
            budget.want(cost, now_ns)
        wait = max((budget.wait(cost, now_ns) for budget, cost in costs), default=0)
        if wait:
            detail = f"not asked: the budget is spent, {-(-wait // NS)} s until it allows {calls} calls"
            return Fault(kind=FaultKind.BUDGET, detail=detail, retry_after_ns=wait)
        for budget, cost in costs:
            budget.take(cost, now_ns)
        return None

    def forgo(self, calls: int, units: int, now_ns: int) -> None:
        """Note that calls were wanted and are left out to save."""
        for budget, cost in self._costs(calls, units):
            budget.want(cost, now_ns)

    def use(self, now_ns: int) -> BudgetUse | None:
        """Return how the budget is used that suffices least, None where there is none."""
        found = [budget.use(now_ns, shared=True) for budget in self._shared]
        found += [] if self._budget is None else [self._budget.use(now_ns, shared=False)]
        return max(found, key=lambda one: Fraction(one.wanted or 0, max(1, one.per_day)), default=None)

    def _costs(self, calls: int, units: int) -> list[tuple[Budget, int]]:
        costs = [(budget, units) for budget in self._shared]
        return costs if self._budget is None else [*costs, (self._budget, calls)]

    def limited(self, asked_ns: int | None, now_ns: int) -> int:
        """Note that the node refused for its rate limit; return for how long it is left alone now."""
        if asked_ns is None:
            hold = min(_FIRST_HOLD_NS << min(self._own_holds, 32), _LONGEST_OWN_HOLD_NS)
            hold += self._random.randrange(hold // 4)
            self._own_holds += 1
        else:
            hold = min(asked_ns, LONGEST_HOLD_NS)
        self._until_ns = max(self._until_ns, now_ns + hold)
        return hold

    def answered(self) -> None:
        """Note that the node answered: the next hold without Retry-After starts small again."""
        self._own_holds = 0
