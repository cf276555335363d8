"""Aave v3: every revision of its pool whose arithmetic is known, by flags of one set of functions."""

from typing import Any

from tocsin.protocols.aave_v3.reading import plan
from tocsin.protocols.aave_v3.revisions import REVISIONS
from tocsin.protocols.aave_v3.rules import KIND, AaveRules
from tocsin.protocols.base import ChainRules, Rules


def rules(revision: str) -> Rules[Any, Any]:
    """Return the rules of what `POOL_REVISION()` answers; of an unknown one those that only say what to ask."""
    known = REVISIONS.get(revision)
    return AaveRules(known) if known is not None else ChainRules(kind=KIND, revision=revision, plan=plan(None))
