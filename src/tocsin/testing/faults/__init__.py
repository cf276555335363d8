"""Every fault that a virtual node can have, by name. `parse_fault` reads `NAME[:ARGUMENT][@CHANCE]`."""

import re
from dataclasses import replace
from typing import Final

from tocsin.testing.exchange import Exchange, Manner, Reply, Upstream
from tocsin.testing.faults.announcements import WsGaps, WsRefused, WsSilent
from tocsin.testing.faults.base import Fault, bad_fault
from tocsin.testing.faults.branches import AnswersFrom, Forked, PhantomHead
from tocsin.testing.faults.content import (
    BatchRefused,
    DuplicateIds,
    Lie,
    MissingAnswer,
    NullResult,
    OutOfOrder,
    Pruned,
    RpcFailure,
    StringIds,
    Syncing,
    WrongChain,
    WrongIds,
)
from tocsin.testing.faults.heads import CorruptHeader, Regress, Stale
from tocsin.testing.faults.transport import (
    EchoSecrets,
    Endless,
    Gzip,
    GzipBomb,
    Hang,
    Html,
    Latency,
    LimitAs503,
    Malformed,
    NotAnAnswer,
    RateLimited,
    Redirect,
    Refused,
    Reset,
    SlowDrip,
    Status,
    Truncated,
    Unauthorized,
    Unavailable,
)
from tocsin.testing.upstream import HttpUpstream

FAULTS: Final[dict[str, type[Fault]]] = {
    fault.name: fault
    for fault in (
        Refused,
        Hang,
        Reset,
        Latency,
        SlowDrip,
        Truncated,
        Endless,
        Gzip,
        GzipBomb,
        Status,
        RateLimited,
        Unavailable,
        LimitAs503,
        Unauthorized,
        Redirect,
        Html,
        Malformed,
        NotAnAnswer,
        EchoSecrets,
        WrongIds,
        DuplicateIds,
        StringIds,
        OutOfOrder,
        MissingAnswer,
        BatchRefused,
        NullResult,
        RpcFailure,
        Pruned,
        WrongChain,
        Syncing,
        Lie,
        Stale,
        Regress,
        CorruptHeader,
        PhantomHead,
        Forked,
        WsSilent,
        WsGaps,
        WsRefused,
    )
}
"""By name, from the wire upwards."""

_CHANCE: Final = re.compile(r"(?P<rest>.*)@(?P<chance>0?\.\d+|[01](?:\.\d+)?)", re.DOTALL)


def parse_fault(text: str) -> Fault:
    """Read a fault such as `hang`, `stale:5`, `http-429:30@0.2` or `forked:http://other:8545`.

    Raises UsageError with what would be accepted.
    """
    match = _CHANCE.fullmatch(text)
    rest, chance = (match["rest"], float(match["chance"])) if match else (text, 1.0)
    name, _, arg = rest.partition(":")
    if name == Forked.name and "://" in arg:
        return AnswersFrom(HttpUpstream(arg), chance=chance)
    if name not in FAULTS:
        raise bad_fault(name, "unknown")
    if chance > 1:
        raise bad_fault(name, "a chance is at most 1")
    try:
        return replace(FAULTS[name].parse(arg), chance=chance)
    except ValueError as error:
        usage = FAULTS[name].usage
        raise bad_fault(name, f"{error}{f'; write {name}:{usage}' if usage else ''}") from None


__all__ = [
    "FAULTS",
    "AnswersFrom",
    "BatchRefused",
    "CorruptHeader",
    "DuplicateIds",
    "EchoSecrets",
    "Endless",
    "Exchange",
    "Fault",
    "Forked",
    "Gzip",
    "GzipBomb",
    "Hang",
    "Html",
    "Latency",
    "Lie",
    "LimitAs503",
    "Malformed",
    "Manner",
    "MissingAnswer",
    "NotAnAnswer",
    "NullResult",
    "OutOfOrder",
    "PhantomHead",
    "Pruned",
    "RateLimited",
    "Redirect",
    "Refused",
    "Regress",
    "Reply",
    "Reset",
    "RpcFailure",
    "SlowDrip",
    "Stale",
    "Status",
    "StringIds",
    "Syncing",
    "Truncated",
    "Unauthorized",
    "Unavailable",
    "Upstream",
    "WrongChain",
    "WrongIds",
    "WsGaps",
    "WsRefused",
    "WsSilent",
    "parse_fault",
]
