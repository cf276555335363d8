"""One module per protocol: what to read, how it is decoded, its exact integer rules. Pure; the verdicts come from here.

A module of a protocol has `rules(revision)`, which `rules_of` finds by the protocol's kind: `aave-v3` is the module
`aave_v3`. What is counted with is in `tocsin.protocols.base`.
"""

import importlib
import pkgutil
from typing import Any

from tocsin.protocols.base import Rules

_NOT_PROTOCOLS = ("base", "integers", "prices", "horizon")


def kinds() -> tuple[str, ...]:
    """Return the protocols that there are rules of, sorted."""
    names = (found.name for found in pkgutil.iter_modules(__path__))
    return tuple(sorted(name.replace("_", "-") for name in names if name not in _NOT_PROTOCOLS))


def rules_of(kind: str, revision: str) -> Rules[Any, Any]:
    """Return the rules of a protocol at a revision; of an unknown one those that know no arithmetic.

    Raises ValueError for a protocol that there is no module of.
    """
    if kind not in kinds():
        raise ValueError(f"{kind!r} is no protocol; there are {', '.join(kinds())}")
    module = importlib.import_module(f"tocsin.protocols.{kind.replace('-', '_')}")
    found: Rules[Any, Any] = module.rules(revision)
    return found
