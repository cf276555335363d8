"""Aave v3: every revision of its pool whose arithmetic is known, by flags of one set of functions."""

from typing import Any, Final

from tocsin.protocols.aave_v3 import reading
from tocsin.protocols.aave_v3.locating import parts
from tocsin.protocols.aave_v3.reading import plan
from tocsin.protocols.aave_v3.revisions import REVISIONS
from tocsin.protocols.aave_v3.rules import NAME, AaveRules
from tocsin.protocols.aave_v3.view import verdict
from tocsin.protocols.base import Reading, Rules
from tocsin.protocols.chainrules import ChainRules
from tocsin.protocols.kind import Kind, answers_with
from tocsin.protocols.places import Parts, Target


def rules(revision: str) -> Rules[Any, Any]:
    """Return the rules of what `POOL_REVISION()` answers; of an unknown one those that ask the pool."""
    known = REVISIONS.get(revision)
    if known is not None:
        return AaveRules(known)
    return ChainRules(kind=NAME, revision=revision, plan=plan(None), finds=_anywhere, says=verdict)


def _anywhere(target: Target) -> Reading[Parts]:
    return parts(None, target)


def _revision(target: Target) -> Reading[str]:
    return answers_with(reading.REVISION, target)


KIND: Final = Kind(name=NAME, rules=rules, revision=_revision, owes=(reading.BORROW,), revisions=tuple(REVISIONS))
