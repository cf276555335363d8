"""The REST interface of beacon nodes (ethereum/beacon-APIs): paths to ask, and what of the answers is kept.

Of every answer only the few values that decide something are kept, as one flat JSON object whose keys are where the
values stood. A block has up to ten megabytes and two values that matter; 7,200 of them a day are no journal. Quantities
stay what the interface writes, decimal strings.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson

from tocsin.clock import MS, NS
from tocsin.model import beacon
from tocsin.model.block import BlockRef
from tocsin.model.observation import Fault, FaultKind, Part, RpcError, RpcErrorKind
from tocsin.wire import jsonrpc, quirks

PATHS: Final[Mapping[str, str]] = {
    beacon.HEAD: "/eth/v1/beacon/headers/head",
    beacon.SYNC: "/eth/v1/node/syncing",
    beacon.FINALITY: "/eth/v1/beacon/states/head/finality_checkpoints",
    beacon.PEERS: "/eth/v1/node/peer_count",
    beacon.VERSION: "/eth/v1/node/version",
    beacon.GENESIS: "/eth/v1/beacon/genesis",
    beacon.SPEC: "/eth/v1/config/spec",
    beacon.DEPOSIT: "/eth/v1/config/deposit_contract",
}

PAYLOAD_PATHS: Final = ("/eth/v1/beacon/blinded_blocks/", "/eth/v2/beacon/blocks/")
"""Where a block's execution payload is found, by root: blinded, which is a tenth of the size, else whole."""

SMALL: Final = 512 * 1024
"""Bytes of any answer but a block. The largest of them is the configuration, with 20 kB."""
LARGE: Final = 16 * 1024 * 1024
"""Bytes of a block. Gossip caps one at 10 MiB of SSZ (consensus-specs, GOSSIP_MAX_SIZE); JSON doubles hex."""

_BODY = "data.message.body"
_KEPT: Final[Mapping[str, tuple[str, ...]]] = {
    beacon.HEAD: ("execution_optimistic", "data.root", "data.header.message.slot", "data.header.message.parent_root"),
    beacon.SYNC: (
        "data.head_slot",
        "data.sync_distance",
        "data.is_syncing",
        "data.is_optimistic",
        "data.el_offline",
    ),
    beacon.FINALITY: ("data.finalized.epoch", "data.finalized.root", "data.current_justified.epoch"),
    beacon.PEERS: ("data.connected",),
    beacon.VERSION: ("data.version",),
    beacon.GENESIS: ("data.genesis_time", "data.genesis_validators_root"),
    beacon.SPEC: ("data.SECONDS_PER_SLOT", "data.SLOT_DURATION_MS", "data.SLOTS_PER_EPOCH"),
    beacon.DEPOSIT: ("data.chain_id",),
}
_PAYLOAD_KEPT: Final = (
    "data.message.slot",
    f"{_BODY}.execution_payload_header.block_hash",
    f"{_BODY}.execution_payload_header.block_number",
    f"{_BODY}.execution_payload.block_hash",
    f"{_BODY}.execution_payload.block_number",
)
_LONGEST_TEXT: Final = 200

_ABSENT_STATUSES = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)

_SLOTS = (0, 1 << 40)
"""Of the clock: at 12 s a slot, some 400,000 years."""
_LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "data.header.message.slot": _SLOTS,
    "data.head_slot": _SLOTS,
    "data.sync_distance": _SLOTS,
    "data.finalized.epoch": _SLOTS,
    "data.connected": (0, 1_000_000),
    "data.genesis_time": (1, 1 << 33),  # the year 2242
    "data.SECONDS_PER_SLOT": (0, 3_600),  # rounded down, see `slot_ns`
    "data.SLOT_DURATION_MS": (0, 3_600_000),
}
"""The least and the most that a number can be on any chain; every other one is below 2^63."""
_ANY: Final = (0, (1 << 63) - 1)
_DECIDING: Final[Mapping[str, tuple[str, ...]]] = {
    beacon.HEAD: ("data.header.message.slot",),
    beacon.FINALITY: ("data.finalized.epoch",),
    beacon.GENESIS: ("data.genesis_time",),
    beacon.SPEC: ("data.SECONDS_PER_SLOT", "data.SLOT_DURATION_MS"),
    beacon.DEPOSIT: ("data.chain_id",),
}
"""Numbers that are worth nothing as a guess: a node that says an impossible one has not answered."""

_ROOT = re.compile(r"0x[0-9a-f]{64}")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")

Values = Mapping[str, object]


def cap_of(call: str) -> int:
    """Return how many bytes the answer to a call may have."""
    return SMALL if beacon.root_of(call) is None else LARGE


def read(call: str, status: int, body: bytes, *, retry_after_ns: int | None = None) -> Part | Fault:
    """Return what is kept of an answer, or why there is none. Takes any bytes; never raises."""
    if status != HTTPStatus.OK:
        return quirks.fault_of_status(status, body, retry_after_ns=retry_after_ns)
    dense = jsonrpc.too_dense(body)
    if dense is not None:
        return dense
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Fault(kind=FaultKind.NOT_JSON, detail=quirks.clean(f"no JSON: {quirks.words(body)}"))
    if not isinstance(document, dict) or not isinstance(document.get("data"), dict):
        return Fault(kind=FaultKind.MALFORMED, detail="no answer of a beacon node: it has no object `data`")
    kept = _PAYLOAD_KEPT if beacon.root_of(call) is not None else _KEPT[call]
    found = {path: value for path in kept if _is_plain(value := _at(document, path))}
    return Part(call=call, result=orjson.dumps(found, option=orjson.OPT_SORT_KEYS))


def refused(call: str, fault: Fault) -> Part:
    """Return a fault as the part of one call among others that were answered."""
    kind = RpcErrorKind.METHOD_MISSING if fault.status in _ABSENT_STATUSES else RpcErrorKind.OTHER
    return Part(call=call, error=RpcError(kind=kind, code=fault.status or 0, message=f"{fault.kind}: {fault.detail}"))


def is_absent(fault: Fault) -> bool:
    """Tell whether a node does not have what it was asked for, or does not know the path."""
    return fault.status in _ABSENT_STATUSES


def _at(document: Mapping[str, Any], path: str) -> object:
    value: Any = document
    for key in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT
    return isinstance(value, bool | int) and abs(value) < 2**63


# -- the values of a part, each None where it is absent or not what it should be


def values(part: Part | None) -> Values:
    """Return the values of a part, none for an error or a part that did not come."""
    if part is None or part.result is None:
        return {}
    try:
        document = orjson.loads(part.result)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def number(found: Values, path: str) -> int | None:
    """Return a quantity that is possible: the interface writes decimal strings, some nodes numbers."""
    value = found.get(path)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = int(value)
    least, most = _LIMITS.get(path, _ANY)
    return value if type(value) is int and least <= value <= most else None


def slot_ns(found: Values) -> int | None:
    """Return how long a slot takes, by the configuration of a node; None where it does not say, or takes no time."""
    slot_ms, slot_s = number(found, "data.SLOT_DURATION_MS"), number(found, "data.SECONDS_PER_SLOT")
    return slot_ms * MS if slot_ms else slot_s * NS if slot_s else None


def absurd(part: Part) -> str | None:
    """Say which number of an answer is none that any chain can have, None where all are possible or missing."""
    found = values(part)
    for path in _DECIDING.get(part.call, ()):
        value = found.get(path)
        if value is not None and number(found, path) is None:
            least, most = _LIMITS.get(path, _ANY)
            return quirks.clean(f"{_name(path)} is {str(value)[:40]}, no number from {least} to {most}")
    if part.call == beacon.SPEC and any(path in found for path in _DECIDING[beacon.SPEC]) and slot_ns(found) is None:
        return "a slot takes no time by its SECONDS_PER_SLOT and SLOT_DURATION_MS"
    return None


def _name(path: str) -> str:
    return path.rpartition(".")[2]


def flag(found: Values, path: str) -> bool | None:
    """Return a truth value."""
    value = found.get(path)
    return value if isinstance(value, bool) else None


def root(found: Values, path: str) -> str | None:
    """Return a root or hash of 32 bytes."""
    value = found.get(path)
    text = value.lower() if isinstance(value, str) else ""
    return text if _ROOT.fullmatch(text) else None


def text(found: Values, path: str) -> str:
    """Return a text without what no terminal should be sent, empty where there is none."""
    value = found.get(path)
    return "".join(char for char in value if char.isprintable()) if isinstance(value, str) else ""


def payload(part: Part) -> BlockRef | None:
    """Return the execution block of a `payload_of` part; None before the merge, or where it cannot be read."""
    found = values(part)
    for name in ("execution_payload_header", "execution_payload"):
        block_hash = root(found, f"{_BODY}.{name}.block_hash")
        height = number(found, f"{_BODY}.{name}.block_number")
        if block_hash is not None and height is not None:
            return BlockRef(number=height, hash=block_hash)
    return None
