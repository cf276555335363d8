"""JSON-RPC 2.0 as bytes: calls to a request body, a response body to parts.

Ids are the position of a call in its batch, from 1, so the same calls make the same bytes and an unchanged answer
is byte-identical to the one before. Answers may come in any order, with ids as integers or as equal strings (a known
quirk of gateways). Whatever a node sends, the outcome is a value: parts, an error that stands for the whole batch,
or a fault.

Results are re-encoded compactly: equal JSON of two nodes with other spacing is equal bytes. Integers beyond 64 bits do
not occur in Ethereum's JSON (quantities are hex strings); where a node sends one, it arrives as a float and the header
decoder refuses it.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import orjson

from tocsin.model import logquery, reading
from tocsin.model.block import BlockRef
from tocsin.model.observation import (
    CHAIN_ID,
    FINALIZED,
    GENESIS,
    LATEST,
    NETWORK,
    SAFE,
    SYNCING,
    Fault,
    FaultKind,
    Part,
    RpcError,
    RpcErrorKind,
    hash_of,
    number_of,
)
from tocsin.model.question import CLIENT_VERSION, OFFERED, PEERS, TXPOOL, Ability, asked
from tocsin.wire import quirks

_METHODS: Final[dict[str, tuple[str, list[object]]]] = {
    CHAIN_ID: ("eth_chainId", []),
    LATEST: ("eth_getBlockByNumber", ["latest", False]),
    SAFE: ("eth_getBlockByNumber", ["safe", False]),
    FINALIZED: ("eth_getBlockByNumber", ["finalized", False]),
    SYNCING: ("eth_syncing", []),
    GENESIS: ("eth_getBlockByNumber", ["0x0", False]),
    NETWORK: ("net_version", []),
    CLIENT_VERSION: ("web3_clientVersion", []),
    PEERS: ("net_peerCount", []),
    TXPOOL: ("txpool_status", []),
    OFFERED: ("eth_capabilities", []),
}

_NOBODY: Final = "0x" + "00" * 20
"""Whose balance is asked for where any will do. On chains with value in them somebody has sent some here."""

_DENSE_FROM: Final = 256 * 1024
_MOST_VALUES: Final = 300_000
"""A list of empty objects takes 40 times its bytes in memory, and a second to read: eight megabytes of them would stop
the watchdog. A block of 50,000 transactions has 50,000 hashes."""

_LARGEST_RESULT: Final = 2 * 1024 * 1024
"""Bytes of one block without its transactions; 30,000 hashes of them fit. Every result that differs is journalled: what
one node can make us write to the disk has to be bounded."""

_BOM = b"\xef\xbb\xbf"
_MISSING: Final = object()


@lru_cache(maxsize=512)
def encode(calls: tuple[str, ...], *, batch: bool) -> bytes:
    """Return the request body for calls of `tocsin.model.observation`; without `batch` there must be exactly one.

    Raises ValueError for a call that does not exist: a mistake of the program, never of a node.
    """
    requests = [_request(position, call) for position, call in enumerate(calls, start=1)]
    if batch:
        return orjson.dumps(requests)
    if len(requests) != 1:
        raise ValueError(f"{len(requests)} calls do not fit into one request without a batch")
    return orjson.dumps(requests[0])


def method_of(call: str) -> str:
    """Return the JSON-RPC method of a call. Raises ValueError for a call that does not exist."""
    return _method(call)[0]


def _request(position: int, call: str) -> dict[str, object]:
    method, params = _method(call)
    return {"jsonrpc": "2.0", "id": position, "method": method, "params": params}


def _method(call: str) -> tuple[str, list[object]]:
    block_hash = hash_of(call)
    if block_hash is not None:
        return "eth_getBlockByHash", [block_hash, False]
    number = number_of(call)
    if number is not None:
        return "eth_getBlockByNumber", [hex(number), False]
    if call in _METHODS:
        return _METHODS[call]
    query = logquery.parse(call)
    if query is not None:
        return "eth_getLogs", [_filter(query)]
    found = reading.parse(call)
    return _trial(call) if found is None else _reading(found)


def _filter(query: logquery.LogQuery) -> dict[str, object]:
    match query:
        case logquery.LogsIn(first=first, last=last):
            where: dict[str, object] = {"fromBlock": hex(first), "toBlock": hex(last)}
        case logquery.LogsAt(block=block):
            where = {"blockHash": block.hash}
    wanted = query.wanted
    topics = [wanted.topics, *([wanted.first_arguments] if wanted.first_arguments else [])]
    addresses = [_hex(item) for item in wanted.addresses]
    return {**where, "address": addresses, "topics": [[_hex(item) for item in items] for items in topics]}


def _reading(found: reading.Reading) -> tuple[str, list[object]]:
    """Return the method and the parameters that read one thing at a block."""
    if len(found.items) != 1:
        raise ValueError(f"{len(found.items)} things are read by as many requests")
    item = found.items[0]
    if isinstance(item, reading.LogsOf) and found.pin is reading.Pin.NUMBER:
        query = item.query
        item = reading.LogsOf(query=logquery.LogsIn(first=query.first, last=query.last, wanted=query.wanted))
    return method_of_item(item, pinned(found.block, found.pin))


def method_of_item(item: reading.Item, where: object) -> tuple[str, list[object]]:
    """Return the method and the parameters that read one thing; `where` is what names the block."""
    match item:
        case reading.ProofOf(address=address, keys=keys):
            return "eth_getProof", [_hex(address), [_hex(key) for key in keys], where]
        case reading.SlotOf(address=address, key=key):
            return "eth_getStorageAt", [_hex(address), _hex(key), where]
        case reading.CodeOf(address=address):
            return "eth_getCode", [_hex(address), where]
        case reading.CallOf(to=to, data=data, code=code):
            call: dict[str, object] = {"to": _hex(to), "data": _hex(data)}
            return "eth_call", [call, where, *([{_hex(to): {"code": _hex(code)}}] if code else [])]
        case reading.ReceiptsOf():
            return "eth_getBlockReceipts", [where]
        case reading.BalanceOf(address=address):
            return "eth_getBalance", [_hex(address), where]
        case reading.LogsOf(query=query):
            return "eth_getLogs", [_filter(query)]


def pinned(block: BlockRef, pin: reading.Pin) -> object:
    """Return what names a block in the parameters of a request."""
    match pin:
        case reading.Pin.OBJECT:
            return {"blockHash": block.hash, "requireCanonical": True}
        case reading.Pin.HASH:
            return block.hash
        case reading.Pin.NUMBER:
            return hex(block.number)


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"


def _trial(call: str) -> tuple[str, list[object]]:
    """Return the method and the parameters that try what a node can answer."""
    match asked(call):
        case (Ability.HEADERS, where) if where.isdecimal():
            return "eth_getBlockByNumber", [hex(int(where)), False]
        case (Ability.RECEIPTS, where) if where.isdecimal():
            return "eth_getBlockReceipts", [hex(int(where))]
        case (Ability.STATE, where):
            return "eth_getBalance", [_NOBODY, _height(where)]
        case (Ability.PROOFS, where):
            return "eth_getProof", [_NOBODY, [], _height(where)]
        case (Ability.PIN_OBJECT, where):
            return "eth_getBalance", [_NOBODY, {"blockHash": where, "requireCanonical": True}]
        case (Ability.PIN_HASH, where):
            return "eth_getBalance", [_NOBODY, where]
    raise ValueError(f"{call!r} is not a call that a node can be asked")


def _height(where: str) -> str:
    return hex(int(where)) if where.isdecimal() else where


def split(body: bytes, calls: Sequence[str]) -> tuple[Part, ...] | Fault:
    """Return one part per call, in the order of the calls, or why there are none. Takes any bytes; never raises."""
    outcome = read(body, calls)
    return quirks.fault_of_error(outcome) if isinstance(outcome, RpcError) else outcome


def read(body: bytes, calls: Sequence[str], status: int | None = None) -> tuple[Part, ...] | RpcError | Fault:
    """As `split`, but an error that stands for the whole batch comes as such: it may mean that the batch is too long.

    `status` is the HTTP status, which helps to classify errors.
    """
    if len(calls) == 1 and len(body) > 2 * _LARGEST_RESULT:
        # White space apart it is refused anyway, and parsing it would take a tenth of a second.
        return _too_large(f"{len(body)} bytes for one result, at most {_LARGEST_RESULT} are taken")
    dense = too_dense(body)
    if dense is not None:
        return dense
    try:
        document = orjson.loads(body.removeprefix(_BOM))
    except orjson.JSONDecodeError:
        return _not_json(body)
    if isinstance(document, list):
        return _from_array(document, calls, status)
    if not isinstance(document, dict):
        return _malformed("a JSON value that is neither an object nor an array")
    if document.get("error") is not None and (len(calls) > 1 or document.get("id") is None):
        # erigon and several gateways refuse a batch by one error object instead of an array
        return _error(document["error"], status)
    if len(calls) != 1:
        return _malformed("one object for a batch of several calls")
    return _from_array([document], calls, status)


def too_dense(body: bytes) -> Fault | None:
    """Return why a text is not parsed at all: more values than any answer has. None for all others."""
    if len(body) > _DENSE_FROM and (values := _values(body)) > _MOST_VALUES:
        return _too_large(f"{len(body)} bytes hold about {values} values, at most {_MOST_VALUES} are read")
    return None


def _not_json(body: bytes) -> Fault:
    if not body.strip():
        return Fault(kind=FaultKind.NOT_JSON, detail="an empty body")
    text = quirks.words(body)
    kind = FaultKind.RATE_LIMITED if quirks.says_quota(text) else FaultKind.NOT_JSON
    shape = "HTML" if body.lstrip()[:1] == b"<" else "text"
    return Fault(kind=kind, detail=quirks.clean(f"{shape} instead of JSON: {text}"))


def _malformed(what: str) -> Fault:
    return Fault(kind=FaultKind.MALFORMED, detail=f"no JSON-RPC answer: {what}")


def _too_large(what: str) -> Fault:
    return Fault(kind=FaultKind.TOO_LARGE, detail=what)


def _values(body: bytes) -> int:
    """Return how many values a JSON text holds at most; what stands in strings is counted as well."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _from_array(entries: list[Any], calls: Sequence[str], status: int | None) -> tuple[Part, ...] | RpcError | Fault:
    if len(entries) == 1 and len(calls) > 1 and isinstance(entries[0], dict):
        # geth answers an over-long batch by an array of one error that carries the first call's id
        refusal = entries[0].get("error")
        if refusal is not None:
            return _error(refusal, status)
    parts: list[Part | None] = [None] * len(calls)
    for entry in entries:
        position = _position(entry, len(calls))
        if isinstance(position, Fault):
            return position
        if parts[position] is not None:
            return Fault(kind=FaultKind.WRONG_IDS, detail=f"two answers with id {position + 1}")
        part = _part(entry, calls[position], status)
        if isinstance(part, Fault):
            return part
        parts[position] = part
    complete = tuple(part for part in parts if part is not None)
    if len(complete) != len(calls):
        missing = ", ".join(str(place) for place, part in enumerate(parts, start=1) if part is None)
        return Fault(kind=FaultKind.WRONG_IDS, detail=quirks.clean(f"no answer with id {missing}"))
    return complete


def _position(entry: Any, count: int) -> int | Fault:
    if not isinstance(entry, dict):
        return _malformed("an entry of the array is not an object")
    identity = _integer(entry.get("id"))
    if identity is None or not 1 <= identity <= count:
        return Fault(
            kind=FaultKind.WRONG_IDS, detail=f"an answer with id {_shown(entry.get('id'))}, asked were 1 to {count}"
        )
    return identity - 1


def _shown(identity: object) -> str:
    # Never repr of a container: it may be nested deeper than repr can follow.
    return quirks.clean(repr(identity)[:80]) if isinstance(identity, (str, int, float)) else _JSON_TYPES[type(identity)]


_JSON_TYPES: Final[dict[type, str]] = {dict: "an object", list: "an array", type(None): "null"}

_DECIMAL = re.compile(r"0|-?[1-9][0-9]{0,8}")
"""Integers as text; nine digits hold every id and every error code in use."""


def _integer(value: object) -> int | None:
    """Return an integer or the integer that an equal string writes. A bool is none, though `isinstance` says so."""
    if type(value) is int:
        return value
    return int(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def _part(entry: dict[str, Any], call: str, status: int | None) -> Part | Fault:
    if entry.get("jsonrpc") != "2.0":
        return _malformed("the member jsonrpc is not 2.0")
    error = entry.get("error")
    result = entry.get("result", _MISSING)
    if error is not None:  # "error": null beside a result is JSON-RPC 1 style and harmless
        if result is not _MISSING and result is not None:
            return _malformed("a result and an error in one answer")
        refusal = _error(error, status)
        return refusal if isinstance(refusal, Fault) else Part(call=call, error=refusal)
    if result is _MISSING:
        return _malformed("neither a result nor an error")
    if isinstance(result, list) and call.startswith(_RECEIPTS):
        result = _counted(result)
    try:
        compact = orjson.dumps(result)
    except TypeError:  # orjson reads 1,024 levels and writes 254
        return _malformed("a result nested deeper than 254 levels")
    if len(compact) > _LARGEST_RESULT:
        return _too_large(f"the result of {call} has {len(compact)} bytes, at most {_LARGEST_RESULT} are taken")
    return Part(call=call, result=compact)


_RECEIPTS: Final = f"{Ability.RECEIPTS.value}:"


def _counted(receipts: list[Any]) -> dict[str, object]:
    """Return of the receipts of a block what is looked at: that they came, how many, and of which block.

    A block's receipts are a megabyte; that a node has them is asked every hour, and every answer is journalled.
    """
    first = receipts[0] if receipts else None
    number = first.get("blockNumber") if isinstance(first, dict) else None
    return {"receipts": len(receipts), "blockNumber": number[:66] if isinstance(number, str) else None}


def _error(error: Any, status: int | None) -> RpcError | Fault:
    code: int
    text: Any
    if isinstance(error, str):  # some gateways put the bare text there
        code, text = 0, error
    elif isinstance(error, dict):
        code, text = _integer(error.get("code")) or 0, error.get("message")
    else:
        return _malformed("an error that is not an object")
    if not isinstance(text, str):
        text = ""
    if code == 0 and not text:
        return _malformed("an error with neither code nor message")
    return RpcError(kind=quirks.classify(code, text, status), code=code, message=quirks.clean(text))


def refuses_batch(parts: Sequence[Part]) -> bool:
    """Tell whether an answer says of single calls that their batch was too long (geth: "response too large")."""
    return any(part.error is not None and part.error.kind is RpcErrorKind.BATCH_LIMIT for part in parts)
