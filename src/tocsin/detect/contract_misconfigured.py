"""The configuration says something of a contract that is not so: what is watched may be another thing than was meant.

A slot that does not hold what the function of the same name returns, a token with other decimals, an address without
code, somebody who is to have a role and does not. What is read is pinned all the same, so that no change goes unseen;
but at first sight nothing has changed, and only this tells that it was wrong from the beginning.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.contract_base import has_changed, worst
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.contract import ContractView
from tocsin.model.view import ChainView

ID = "contract.misconfigured"
_LONGEST = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractMisconfiguredParams:
    """In contradictions."""

    warning: Over | None = Over(over=1)
    clear: Under = Under(under=1, polls=3)
    """A reading in which nobody says what contradicted is no mended configuration."""


def contract_misconfigured(view: ChainView, params: ContractMisconfiguredParams) -> Iterator[Finding]:
    """Yield one finding per contract that is not what is configured; `value` in values of which that is so."""
    for one in view.contracts:
        # What has changed since is told of as that.
        names = sorted(name for name in one.seen.wrong if not has_changed(one, name))
        if names and one.is_current:
            yield _finding(one, names, params)


def _finding(one: ContractView, names: list[str], params: ContractMisconfiguredParams) -> Finding:
    found = {name: one.seen.wrong[name] for name in names}
    rows = [
        {"watch": name, "said": known.value, "grade": known.grade.value, "block": known.block.hash}
        for name, known in found.items()
    ]
    said = "; ".join(known.value for known in found.values())
    return Finding(
        detector=ID,
        labels=one.labels,
        value=len(rows),
        unit="values",
        limits=Limits(warning=params.warning, clear=params.clear),
        sample=one.seen.samples,
        summary=f"{one.settings.name} is not what the configuration says: {said}"[:_LONGEST],
        grade=worst(known.grade for known in found.values()),
        block=found[names[0]].block,
        evidence={"contract": one.settings.name, "address": one.settings.address, "contradictions": rows},
    )


DETECTOR = ChainDetector(id=ID, params=ContractMisconfiguredParams, run=contract_misconfigured, everywhere=True)
