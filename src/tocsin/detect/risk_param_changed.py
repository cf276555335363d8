"""What governance sets of a market is not what it was: a threshold, a bonus, a cap, a pause, an oracle.

Whoever lends or borrows there did so under other terms. It stays until somebody accepts the new ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.market_base import finding, valued
from tocsin.ids import digest
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.evolve import evolve
from tocsin.model.market import altered
from tocsin.model.marketrows import Row, fitting
from tocsin.model.view import ChainView

ID = "risk.param_changed"
_ROOM, _LONGEST, _SAID = 12_000, 200, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamChangedParams:
    """In parameters that differ from what was accepted. `latched`: stays until a person has accepted them."""

    warning: Over | None = Over(over=1)
    critical: Over | None = None
    clear: Under = Under(under=1)
    latched: bool = True


def risk_param_changed(view: ChainView, params: ParamChangedParams) -> Iterator[Finding]:
    """Yield one finding per market whose parameters are known; `value` in parameters that differ."""
    limits = Limits(warning=params.warning, critical=params.critical, clear=params.clear, latched=params.latched)
    for one in valued(view):
        sample = one.seen.sample
        if not sample.parameters:
            continue
        changes = altered(one.seen.accepted, sample.parameters)
        said = "; ".join(f"{name} {_turn(old, new)}" for name, old, new in changes[:_SAID])
        more = f" and {len(changes) - _SAID} more" if len(changes) > _SAID else ""
        rows: Iterator[Row] = ({"name": name, "before": old, "now": new} for name, old, new in changes)
        found = finding(
            one,
            ID,
            len(changes),
            "parameters",
            limits,
            f"{said}{more}",
            exactness=None,
            evidence={"revision": sample.revision, "changes": fitting(rows, _ROOM)},
        )
        yield evolve(found, news=digest(repr(changes).encode())) if changes else found


def _turn(old: str | None, new: str | None) -> str:
    if old is None:
        return f"is new: {_short(new)}"
    return "is gone" if new is None else f"was {_short(old)}, is {_short(new)}"


def _short(value: str | None) -> str:
    text = value or ""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


DETECTOR = ChainDetector(id=ID, params=ParamChangedParams, run=risk_param_changed, everywhere=True)
