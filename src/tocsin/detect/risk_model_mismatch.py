"""Our number of an account is not what the protocol itself says of it, at the same block.

Either our rules are wrong for what these contracts do, or what was read is: nothing that we say of the market may be
acted on. Whom we compare changes with each block, so that the next comparison may find nothing: it stays until somebody
has looked.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.market_base import finding, valued
from tocsin.model.alert import Exactness, Finding, Limits, Over, Under
from tocsin.model.market import MarketSample
from tocsin.model.marketrows import fitting, mismatch
from tocsin.model.view import ChainView

ID = "risk.model_mismatch"
_ROOM = 12_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMismatchParams:
    """In accounts of which the chain says otherwise. `latched`: stays until a person has looked."""

    critical: Over | None = Over(over=1)
    clear: Under = Under(under=1)
    latched: bool = True


def risk_model_mismatch(view: ChainView, params: ModelMismatchParams) -> Iterator[Finding]:
    """Yield one finding per market; `value` in accounts that differ among those that were compared at this block."""
    limits = Limits(critical=params.critical, clear=params.clear, latched=params.latched)
    for one in valued(view):
        sample = one.seen.sample
        evidence = {
            "revision": sample.revision,
            "checked": sample.checked,
            "mismatched": fitting(map(mismatch, sample.mismatched), _ROOM),
        }
        yield finding(
            one,
            ID,
            sample.mismatches,
            "accounts",
            limits,
            _said(sample),
            exactness=Exactness.CHAIN,
            evidence=evidence,
        )


def _said(sample: MarketSample) -> str:
    first = next(iter(sample.mismatched), None)
    told = f"{sample.mismatches:,} of {sample.checked:,} accounts differ from what the protocol says of them"
    if first is None:
        return told
    return f"{told}: {first.what[:64]} of {first.account} is {first.ours[:96]} by us, {first.chain[:96]} by the chain"


DETECTOR = ChainDetector(id=ID, params=ModelMismatchParams, run=risk_model_mismatch, everywhere=True)
