"""What a node answers to `eth_getLogs`, read strictly and brought into one form, so that two answers can be compared.

An answer that breaks what every node keeps to (order, each log once, inside of what was asked, of one block a height,
none of them taken back) is refused whole with the place and the reason: what else is in it is worth nothing. Numbers of
logs are compared with nothing: clients have counted them within a transaction.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tocsin.chain import fields
from tocsin.chain.fields import FieldError
from tocsin.model.log import Log
from tocsin.model.logquery import LogFilter, LogQuery, LogsAt

_MOST_TOPICS: Final = 4
_TOPIC: Final = 32
_HASH: Final = 32

Content = tuple[bytes, tuple[bytes, ...], bytes]
"""Address, topics and data: what of a log is compared."""


@dataclass(frozen=True, slots=True)
class BlockLogs:
    """The logs of one block that were asked for, in their order; `hash` is the block's, 0x-hex in lower case."""

    hash: str
    logs: tuple[Log, ...]

    def content(self) -> tuple[Content, ...]:
        """Return what is compared of them."""
        return tuple([(log.address, log.topics, log.data) for log in self.logs])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Logs by block number, ascending; a block without any is not there. `count` of them in all."""

    blocks: Mapping[int, BlockLogs]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An answer that is not one, and why."""

    reason: str


def read_logs(result: bytes, query: LogQuery) -> Answered | Refused:
    """Read the result of `eth_getLogs` against what was asked. Never raises."""
    try:
        entries = orjson.loads(result)
    except orjson.JSONDecodeError as error:
        return Refused(reason=f"no JSON: {error}")
    if not isinstance(entries, list):
        return Refused(reason=f"no list of logs, but {type(entries).__name__}")
    try:
        return _Reader(query).read(entries)
    except FieldError as error:
        return Refused(reason=str(error))


def digest_of(blocks: Mapping[int, BlockLogs]) -> bytes:
    """Return what names a list of logs with their blocks: equal lists, and only they, have equal ones. 32 bytes."""
    found = hashlib.sha256()
    for number in sorted(blocks):
        block = blocks[number]
        found.update(f"{number} {block.hash} {len(block.logs)}\n".encode())
        found.update(b"".join(map(_packed, block.logs)))
    return found.digest()


def selected(logs: Iterable[Log], wanted: LogFilter) -> tuple[Log, ...]:
    """Return those of a block's logs that a filter asks for."""
    addresses, topics = set(wanted.addresses), set(wanted.topics)
    return tuple(
        [
            log
            for log in logs
            if log.address in addresses and log.topics and log.topics[0] in topics and _is_first(log.topics, wanted)
        ]
    )


def _is_first(topics: tuple[bytes, ...], wanted: LogFilter) -> bool:
    """Tell whether topic 1 is what a filter asks for."""
    return not wanted.first_arguments or (len(topics) > 1 and topics[1] in wanted.first_arguments)


def _packed(log: Log) -> bytes:
    topics = b"".join(log.topics)
    return b"%b%b%b%b%b" % (log.address, bytes([len(log.topics)]), topics, len(log.data).to_bytes(8), log.data)


class _Reader:
    """Reads one answer. What stands in every log is looked up by its text: it is parsed once, not 5,000 times."""

    def __init__(self, query: LogQuery) -> None:
        self._query = query
        self._addresses = {f"0x{address.hex()}": address for address in query.wanted.addresses}
        self._topics = {f"0x{topic.hex()}": topic for topic in query.wanted.topics}
        self._hash = query.block.hash if isinstance(query, LogsAt) else None
        self._numbers: dict[str, int] = {}
        self._blocks: dict[int, BlockLogs] = {}
        self._number_text: object = None
        self._number = -1
        self._hash_text: object = None
        self._block_hash = ""
        self._open: list[Log] = []
        self._last = (-1, -1)

    def read(self, entries: list[Any]) -> Answered:
        """Return the logs. Raises FieldError."""
        for at, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise FieldError(f"log {at}: no object")
            self._take(entry, at)
        self._close()
        return Answered(blocks=self._blocks, count=len(entries))

    def _take(self, entry: dict[str, Any], at: int) -> None:
        if entry.get("removed"):
            raise FieldError(f"log {at}: it is marked as removed, so its block is not of the node's chain")
        if entry.get("blockNumber") != self._number_text or entry.get("blockHash") != self._hash_text:
            self._turn(entry, at)
        place = (self._small(entry, "transactionIndex", at), self._small(entry, "logIndex", at))
        if place <= self._last:
            what = "a duplicate" if place == self._last else "out of order"
            raise FieldError(f"log {at}: {what}: log {place[1]} of transaction {place[0]} in block {self._number}")
        self._last = place
        address, topics = self._source(entry, at)
        data = _bytes(entry.get("data"))
        if data is None:
            data = fields.data(entry, "data", f"log {at}")
        self._open.append(Log(index=place[1], address=address, topics=topics, data=data))

    def _turn(self, entry: dict[str, Any], at: int) -> None:
        """Go on to the next block."""
        number = fields.number(entry, "blockNumber", f"log {at}", bits=63)
        block_hash = f"0x{fields.data(entry, 'blockHash', f'log {at}', length=_HASH).hex()}"
        if not self._query.first <= number <= self._query.last:
            asked = f"{self._query.first} to {self._query.last}"
            raise FieldError(f"log {at}: outside of the range: of block {number}, asked were {asked}")
        if number < self._number:
            raise FieldError(f"log {at}: out of order: block {number} after block {self._number}")
        if self._hash is not None and block_hash != self._hash:
            raise FieldError(f"log {at}: wrong block hash: {block_hash}, asked was {self._hash}")
        if number == self._number:
            if block_hash != self._block_hash:
                raise FieldError(f"log {at}: wrong block hash: {block_hash}, before it {self._block_hash} for {number}")
            return
        self._close()
        self._number, self._block_hash, self._last = number, block_hash, (-1, -1)
        self._number_text, self._hash_text = entry["blockNumber"], entry["blockHash"]

    def _close(self) -> None:
        if self._open:
            self._blocks[self._number] = BlockLogs(self._block_hash, tuple(self._open))
            self._open = []

    def _source(self, entry: dict[str, Any], at: int) -> tuple[bytes, tuple[bytes, ...]]:
        told = entry.get("address")
        address = self._addresses.get(told) if isinstance(told, str) else None
        if address is None:
            address = self._addresses.get(f"0x{fields.data(entry, 'address', f'log {at}', length=20).hex()}")
        if address is None:
            raise FieldError(f"log {at}.address: of a contract that was not asked for: {fields.shown(told)}")
        topics = entry.get("topics")
        if not isinstance(topics, list) or not 1 <= len(topics) <= _MOST_TOPICS:
            raise FieldError(f"log {at}.topics: no list of 1 to {_MOST_TOPICS}")
        first = self._topics.get(topics[0]) if isinstance(topics[0], str) else None
        if first is None:
            first = self._topics.get(f"0x{fields.data_of(topics[0], f'log {at}.topics.0', length=_TOPIC).hex()}")
        if first is None:
            raise FieldError(f"log {at}.topics.0: of an event that was not asked for: {fields.shown(topics[0])}")
        rest = [_bytes(text) for text in topics[1:]]
        if any(word is None or len(word) != _TOPIC for word in rest):
            for n, text in enumerate(topics[1:], 1):
                fields.data_of(text, f"log {at}.topics.{n}", length=_TOPIC)
        found = (first, *[word for word in rest if word is not None])
        if not _is_first(found, self._query.wanted):
            raise FieldError(f"log {at}.topics.1: not what was asked for: {fields.shown(topics[1:2])}")
        return address, found

    def _small(self, entry: dict[str, Any], name: str, at: int) -> int:
        told = entry.get(name)
        if not isinstance(told, str) or told not in self._numbers:
            self._numbers[str(told)] = fields.number(entry, name, f"log {at}", bits=63)
        return self._numbers[str(told)]


def _bytes(text: object) -> bytes | None:
    """Return what hex spells; None where `fields.data_of` has to say what is wrong with it."""
    if not isinstance(text, str) or text[:2] != "0x":
        return None
    try:
        found = bytes.fromhex(text[2:])
    except ValueError:
        return None
    # fromhex skips white space: then fewer bytes come out than went in.
    return found if 2 * len(found) + 2 == len(text) else None
