"""Morpho Blue: markets of one loan token against one collateral, all in one contract whose code never changes."""

from typing import Any

from tocsin.protocols.base import Reading, Rules
from tocsin.protocols.chainrules import ChainRules
from tocsin.protocols.kind import Kind
from tocsin.protocols.morpho_blue import reading
from tocsin.protocols.morpho_blue.rules import NAME, REVISION, MorphoRules
from tocsin.protocols.places import Target


def rules(revision: str) -> Rules[Any, Any]:
    """Return the rules of the one revision that there is; of another those that only say what to read."""
    if revision == REVISION:
        return MorphoRules()
    return ChainRules(
        kind=NAME, revision=revision, plan=reading.PLAN, finds=reading.parts, says=MorphoRules().view_verdict
    )


def _revision(target: Target) -> Reading[str]:
    """Return the one that there is: nobody can upgrade the contract, and it has no number. Raises UnknownStateError."""
    yield from reading.terms(target)
    return REVISION


KIND = Kind(
    name=NAME,
    rules=rules,
    revision=_revision,
    owes=reading.PLAN.owes,
    revisions=(REVISION,),
    pool=reading.MORPHO,
    has_ids=True,
)
