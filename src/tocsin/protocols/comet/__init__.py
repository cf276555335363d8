"""Comet (Compound v3): one token that is lent, many that are collateral, absorptions in place of liquidations."""

from typing import Any, Final

from tocsin.protocols.base import Reading, Rules
from tocsin.protocols.chainrules import ChainRules
from tocsin.protocols.comet import reading
from tocsin.protocols.comet.assembly import parts
from tocsin.protocols.comet.rules import KNOWN, NAME, CometRules
from tocsin.protocols.kind import Kind, answers_with
from tocsin.protocols.places import Target


def rules(revision: str) -> Rules[Any, Any]:
    """Return the rules of what `version()` answers; of an unknown one those that ask the Comet."""
    if revision == KNOWN:
        return CometRules()
    says = CometRules().view_verdict
    return ChainRules(kind=NAME, revision=revision, plan=reading.PLAN, finds=parts, says=says)


def _revision(target: Target) -> Reading[str]:
    return answers_with(reading.VERSION, target)


KIND: Final = Kind(
    name=NAME,
    rules=rules,
    revision=_revision,
    owes=reading.OWES,
    revisions=(KNOWN,),
    pool=reading.COMET,
)
