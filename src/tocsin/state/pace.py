"""How fast an index is built, and when it will be at the finalized block."""

from collections import deque
from dataclasses import dataclass

from tocsin.clock import NS
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef

_STEPS = 64
_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3_600, 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an index is. Rates are those of the last steps, None before two of them; `eta_s` is None without a rate.

    `stuck` says why it does not get on, and is empty where it does.
    """

    through: BlockRef
    finalized: BlockRef | None
    head: BlockRef | None
    logs: int
    grade: Grade
    blocks_per_s: float | None = None
    logs_per_s: float | None = None
    eta_s: float | None = None
    stuck: str = ""

    def words(self) -> str:
        """Return it as one line for people."""
        if self.finalized is None:
            return f"block {self.through.number:,}, {self.logs:,} logs; no finalized block is known"
        lack = max(0, self.finalized.number - self.through.number)
        told = f"block {self.through.number:,} of {self.finalized.number:,}, {self.logs:,} logs, {self.grade.value}"
        if lack and self.blocks_per_s is not None and self.logs_per_s is not None:
            told += f"; {self.blocks_per_s:,.0f} blocks/s, {self.logs_per_s:,.0f} logs/s"
        if lack and self.eta_s is not None:
            told += f", {_span(self.eta_s)} left"
        return f"{told}; waits: {self.stuck}" if self.stuck else told


class Pace:
    """The last steps of a back-fill."""

    def __init__(self) -> None:
        self._steps: deque[tuple[int, int, int]] = deque(maxlen=_STEPS)

    def step(self, t_ns: int, number: int, logs: int) -> None:
        """Note that the index was at a block, with so many logs in all, at this time."""
        self._steps.append((t_ns, number, logs))

    def restart(self) -> None:
        """Forget all steps."""
        self._steps.clear()

    def rates(self) -> tuple[float, float] | None:
        """Return blocks and logs a second."""
        if len(self._steps) < 2:  # noqa: PLR2004 - a rate is between two
            return None
        (begun, first, few), (ended, last, many) = self._steps[0], self._steps[-1]
        seconds = (ended - begun) / NS
        return ((last - first) / seconds, (many - few) / seconds) if seconds > 0 else None


def _span(seconds: float) -> str:
    """Return a span of time, coarse."""
    whole = int(seconds)
    if whole >= _DAY_S:
        return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S} h"
    if whole >= _HOUR_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"
    return f"{whole // _MINUTE_S} min" if whole >= _MINUTE_S else f"{whole} s"
