"""Compound v2 and what has grown out of it: a comptroller and a token per market; by flags of one set of functions."""

from typing import Any, Final

from tocsin.protocols.base import Rules
from tocsin.protocols.chainrules import ChainRules
from tocsin.protocols.compound_v2 import locating, reading
from tocsin.protocols.compound_v2.reading import plan
from tocsin.protocols.compound_v2.revisions import REVISIONS
from tocsin.protocols.compound_v2.rules import NAME, CompoundRules
from tocsin.protocols.compound_v2.view import verdict
from tocsin.protocols.kind import Kind


def rules(revision: str) -> Rules[Any, Any]:
    """Return the rules of a comptroller by the name that is known of it; of any other those that ask it."""
    known = REVISIONS.get(revision)
    if known is not None:
        return CompoundRules(known)
    return ChainRules(kind=NAME, revision=revision, plan=plan(None), finds=locating.parts, says=verdict)


KIND: Final = Kind(
    name=NAME,
    rules=rules,
    revision=locating.revision,
    owes=(reading.BORROW, reading.MINT_VAI),
    revisions=tuple(REVISIONS),
    pool=reading.COMPTROLLER,
    tokens=reading.TOKEN,
)
