"""One package per protocol: what to read, how to decode it, its exact integer rules. Pure; the verdicts come from here.

A package in this folder is a protocol, `aave_v3` the one that is configured as `aave-v3`; it has its `Kind` as `KIND`.
Modules beside them are what protocols are made with, `tocsin.protocols.base` above all. A folder that is appended to
`__path__` is looked through as this one is.
"""

import importlib
import pkgutil
from typing import Any

from tocsin.protocols.base import Rules
from tocsin.protocols.kind import Kind


def kinds() -> tuple[str, ...]:
    """Return the protocols that there are rules of, sorted."""
    return tuple(sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules(__path__) if found.ispkg))


def kind_of(name: str) -> Kind:
    """Return a protocol by its name. Raises ValueError for one that there is no package of."""
    if name not in kinds():
        raise ValueError(f"{name!r} is no protocol; there are {', '.join(kinds())}")
    found: Kind = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").KIND
    return found


def rules_of(kind: str, revision: str) -> Rules[Any, Any]:
    """Return the rules of a protocol at a revision; of an unknown one those that ask the chain. Raises ValueError."""
    return kind_of(kind).rules(revision)
