"""Our clock is so far off that verdicts suffer: head ages, slots, signatures and certificates are judged by it.

Time servers tell it exactly. Without them the heads of the chains tell a part: a block cannot be from the future, so
a clock by which most blocks are is behind, by that much at least; where a chain has no slot clock, its makers may
write 15 s ahead. A clock that is ahead only makes all blocks look late, as do slow nodes: that is said as a warning,
when every chain shows it, steadily and by more than its blocks take to be seen, and takes a chain with a slot clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import MS, NS
from tocsin.detect.base import SelfDetector
from tocsin.detect.host_clock import certain_ns, clock_evidence, off
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.host import HeadAges
from tocsin.model.view import SelfView

ID = "self.clock_skew"
_WRITTEN_AHEAD_NS = 15 * NS
"""How far ahead a maker of blocks may write their time where no slots tell it (go-ethereum takes them so)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSkewParams:
    """In milliseconds. By time servers it takes two rounds of them, by heads as many as the median is of."""

    warning: Over | None = Over(over=500, polls=2)
    critical: Over | None = Over(over=2000, polls=2)
    clear: Under = Under(under=200, for_ns=130 * NS)
    lateness_ns: int = 4 * NS
    """How long after its time a block may be seen, besides a block time or a poll, before our clock is suspected."""


def self_clock_skew(view: SelfView, params: ClockSkewParams) -> Iterator[Finding]:
    """Yield a finding while the clock is off; `value` in ms. Nothing where nothing tells."""
    clock = view.host.record.clock if view.host is not None else None
    if clock is not None and clock.offset_ns is not None:
        sure = certain_ns(clock)
        if abs(sure) // MS >= params.clear.under:
            limits = Limits(warning=params.warning, critical=params.critical, clear=params.clear)
            said = f"this host's clock is {off(sure)}, by {len(clock.samples) - len(clock.false)} time servers"
            yield _finding(view, sure, clock.number, limits, said, clock_evidence(clock))
        return
    by_heads = skew_by_heads(view.ages, params.lateness_ns)
    if by_heads is None or abs(by_heads) // MS < params.clear.under:
        return
    evidence: dict[str, object] = {each.chain: list(each.ages_ns) for each in view.ages}
    if by_heads > 0:
        limits = Limits(warning=params.warning, critical=params.critical, clear=params.clear)
        said = f"this host's clock is at least {off(by_heads)}: new blocks are from the future"
    else:
        limits = Limits(warning=params.warning, clear=params.clear)
        said = f"this host's clock is {off(by_heads)}, or all nodes show blocks that late; configure time servers"
    yield _finding(view, by_heads, view.tick, limits, said, evidence)


def skew_by_heads(ages: tuple[HeadAges, ...], lateness_ns: int) -> int | None:
    """Return by how much the right time is ahead of our clock (behind it, if negative) at least; None without heads.

    Every chain has to bear it out, the one that shows the least decides: timestamps of one chain may be odd.
    """
    if not ages:
        return None
    shown = [_shown(each, lateness_ns) for each in ages]
    if all(each > 0 for each in shown):
        return min(shown)
    return max(shown) if all(each < 0 for each in shown) else 0


def _shown(each: HeadAges, lateness_ns: int) -> int:
    ordered = sorted(each.ages_ns)
    median = ordered[len(ordered) // 2]
    future = -median - (0 if each.by_slot else _WRITTEN_AHEAD_NS)
    if future > 0:
        return future
    if not each.by_slot:
        return 0
    late = median - each.pace_ns - lateness_ns
    # Nodes that catch up show old blocks too, but ever less old ones.
    is_steady = ordered[-1] - ordered[0] <= 2 * each.pace_ns + lateness_ns
    return -late if late > 0 and is_steady else 0


def _finding(
    view: SelfView, skew_ns: int, sample: int, limits: Limits, said: str, evidence: dict[str, object]
) -> Finding:
    return Finding(
        detector=ID,
        labels=view.labels,
        value=abs(skew_ns) // MS,
        unit="ms",
        limits=limits,
        sample=sample,
        summary=said,
        grade=Grade.PROVEN,
        evidence=evidence,
    )


DETECTOR = SelfDetector(id=ID, params=ClockSkewParams, run=self_clock_skew)
