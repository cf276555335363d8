"""A budget that does not suffice for a day of what is wanted of it.

Nothing fails at first: polls that the budget cannot pay for are left out, down to the rarest that are still a watch,
and what is wrong with the node is seen that much later. Only then is the node not asked at all (`node.rate_limited`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import NS
from tocsin.detect.base import ChainDetector, everyone
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.observation import BudgetUse
from tocsin.model.settings import NodeSettings
from tocsin.model.view import ChainView

ID = "node.budget_short"
_HOURS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetShortParams:
    """In percent of the budget that a day at the rate of the last hour wants: from 101 on it ends before the day.

    The time is for a start, or a fault, which asks more than usual for some minutes.
    """

    warning: Over | None = Over(over=101, for_ns=900 * NS)
    clear: Under = Under(under=95, for_ns=600 * NS)


def node_budget_short(view: ChainView, params: BudgetShortParams) -> Iterator[Finding]:
    """Yield one finding per budget that is nearly or wholly wanted; `value` in percent.

    A budget that nodes of a provider share is told of at the first of them.
    """
    told: set[str] = set()
    for node, settings in everyone(view):
        use = node.seen.budget
        if use is None or use.wanted is None:
            continue
        if use.shared:
            if settings.provider in told:
                continue
            told.add(settings.provider)
        share = 100 * use.wanted // max(1, use.per_day)
        if share >= params.clear.under:
            yield Finding(
                detector=ID,
                labels=node.labels,
                value=share,
                unit="%",
                limits=Limits(warning=params.warning, clear=params.clear),
                sample=node.seen.polls,
                summary=_summary(settings, use),
                grade=view.head.grade,
                evidence={"per_day": use.per_day, "wanted": use.wanted, "shared": use.shared},
            )


def _summary(node: NodeSettings, use: BudgetUse) -> str:
    whose, what = (f"provider {node.provider}", "units") if use.shared else (node.name, "calls")
    words = f"a day of polls of {whose} takes {use.wanted} {what} of the {use.per_day} of its budget"
    if use.wanted is None or use.wanted <= use.per_day:
        return words
    tenths = 10 * _HOURS * use.per_day // use.wanted
    return f"{words}, which last {tenths // 10}.{tenths % 10} h: polls are left out to save"


DETECTOR = ChainDetector(id=ID, params=BudgetShortParams, run=node_budget_short, everywhere=True)
