"""Questions for the logs of contracts, of one block or of a range: what is asked, as a call name.

Asked by hash, a node answers for that block or for none. Asked by numbers it answers for the chain that it is on, and
what it leaves out looks like nothing: such an answer is worth what the answers of others make it worth.
"""

import re
from dataclasses import dataclass
from typing import Final

from tocsin.model.block import BlockRef

LOGS: Final = "logs:"
_ADDRESS: Final = 20
_TOPIC: Final = 32
_NUMBER: Final = r"(0|[1-9][0-9]{0,18})"
_CALL: Final = re.compile(
    rf"logs:{_NUMBER}(?:-{_NUMBER}|@(0x[0-9a-f]{{64}})):((?:[0-9a-f]{{40}},?)+):((?:[0-9a-f]{{64}},?)+)(?::((?:[0-9a-f]{{64}},?)+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Logs of any of these contracts (20 bytes each) whose first topic is any of these (32 bytes each).

    Sorted, each once, at least one of either. Where there are `first_arguments`, topic 1 has to be one of them as well.
    """

    addresses: tuple[bytes, ...]
    topics: tuple[bytes, ...]
    first_arguments: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        _check("addresses", self.addresses, _ADDRESS)
        _check("topics", self.topics, _TOPIC)
        if self.first_arguments:
            _check("first arguments", self.first_arguments, _TOPIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsIn:
    """The logs of all blocks from `first` to `last`, both included."""

    first: int
    last: int
    wanted: LogFilter

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last:
            raise ValueError(f"blocks {self.first} to {self.last} are no range")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsAt:
    """The logs of one block, asked by its hash."""

    block: BlockRef
    wanted: LogFilter

    @property
    def first(self) -> int:
        """Its number."""
        return self.block.number

    @property
    def last(self) -> int:
        """Its number."""
        return self.block.number


LogQuery = LogsIn | LogsAt


def logs(query: LogQuery) -> str:
    """Return the call that asks this."""
    match query:
        case LogsIn(first=first, last=last):
            where = f"{first}-{last}"
        case LogsAt(block=block):
            where = f"{block.number}@{block.hash}"
    addresses = ",".join([address.hex() for address in query.wanted.addresses])
    topics = ",".join([topic.hex() for topic in query.wanted.topics])
    more = ",".join([word.hex() for word in query.wanted.first_arguments])
    return f"{LOGS}{where}:{addresses}:{topics}{f':{more}' if more else ''}"


def parse(call: str) -> LogQuery | None:
    """Return what a call of `logs` asks, None for every other call."""
    found = _CALL.fullmatch(call) if call.startswith(LOGS) else None
    if found is None:
        return None
    first, last, block_hash, addresses, topics, more = found.groups()
    try:
        wanted = LogFilter(addresses=_split(addresses), topics=_split(topics), first_arguments=_split(more or ""))
        if block_hash is not None:
            return LogsAt(block=BlockRef(number=int(first), hash=block_hash), wanted=wanted)
        return LogsIn(first=int(first), last=int(last), wanted=wanted)
    except ValueError:
        return None


def _split(text: str) -> tuple[bytes, ...]:
    return tuple([bytes.fromhex(part) for part in text.split(",")]) if text else ()


def _check(name: str, items: tuple[bytes, ...], length: int) -> None:
    if not items or any(len(item) != length for item in items) or list(items) != sorted(set(items)):
        raise ValueError(f"{name}: expected at least one, of {length} bytes each, sorted and each once")
