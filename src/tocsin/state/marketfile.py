"""What is kept of a market on disk: all accounts as they were after one block, so that a start need not read them all.

It is a function of the chain. What is damaged, of another market or of a layout that is not known is set aside under
another name, and all is read anew. The file is written whole beside the old one and put in its place.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from tocsin.errors import CorruptRecord, StoreError
from tocsin.model.block import BlockRef
from tocsin.state.indexlayout import Origin
from tocsin.state.marketbook import Layered, Saved, Version, lasting_hash, parameters_digest
from tocsin.valuation.packing import Packed, class_of, name_of, unpack

FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Of which market a file is."""

    market: str
    """As `MarketSettings.identity`."""
    origin: Origin


def path_of(state_dir: Path, chain: str, name: str) -> Path:
    """Return where the file of a market is."""
    return state_dir / "market" / chain / f"{name}.book"


def write(path: Path, identity: Identity, version: Version) -> None:
    """Write a version. Raises StoreError where that fails; what was there then stays."""
    body = b"".join(
        b"%b %b\n" % (account.hex().encode(), version.accounts.data[account]) for account in sorted(version.accounts)
    )
    head = {
        "format": FORMAT,
        **_told(identity),
        "class": name_of(version.accounts.kind),
        "number": version.block.number,
        "hash": version.block.hash,
        "revision": version.rules.revision,
        "parameters": parameters_digest(version.parameters),
        "book": lasting_hash(version.book),
        "accounts": len(version.accounts),
        "unread": sorted(account.hex() for account in version.unread),
    }
    head["digest"] = _digest(head, body)
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(orjson.dumps(head) + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: the accounts of a market cannot be written: {error.strerror}") from error


def read(path: Path, identity: Identity) -> tuple[Saved | None, str]:
    """Return what a life before has left, or None, and why it is not used where there is something. Never raises."""
    if not path.exists():
        return None, ""
    try:
        return _read(path.read_bytes(), identity), ""
    except (CorruptRecord, OSError) as error:
        return None, f"{path}: {error}; all accounts are read anew{_set_aside(path)}"


def _read(data: bytes, identity: Identity) -> Saved:
    head_data, _, body = data.partition(b"\n")
    try:
        head: Mapping[str, Any] = orjson.loads(head_data)
        if head["format"] != FORMAT:
            raise CorruptRecord(f"it has the layout {head['format']}, this version reads {FORMAT}")
        if any(head[name] != value for name, value in _told(identity).items()):
            raise CorruptRecord("it is of another market, or another chain")
        if _digest({name: value for name, value in head.items() if name != "digest"}, body) != head["digest"]:
            raise CorruptRecord("it was damaged")
        kind = class_of(head["class"])
        lines = [line.partition(b" ") for line in body.splitlines()]
        accounts = {bytes.fromhex(account.decode()): packed for account, _, packed in lines}
        for packed in list(accounts.values())[:1]:
            unpack(kind, packed)
        return Saved(
            block=BlockRef(number=int(head["number"]), hash=str(head["hash"])),
            accounts=Packed(kind, Layered(accounts)),
            unread=frozenset(bytes.fromhex(account) for account in head["unread"]),
            revision=str(head["revision"]),
            parameters=str(head["parameters"]),
            book=str(head["book"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptRecord(f"it cannot be read: {type(error).__name__}") from error


def _digest(head: Mapping[str, object], body: bytes) -> str:
    return hashlib.sha256(orjson.dumps(head, option=orjson.OPT_SORT_KEYS) + b"\n" + body).hexdigest()


def _told(identity: Identity) -> dict[str, object]:
    return {"market": identity.market, "chain": identity.origin.chain, "genesis": identity.origin.genesis}


def _set_aside(path: Path) -> str:
    aside = path.with_name(path.name + ".damaged")
    try:
        path.replace(aside)
    except OSError:
        return ""
    return f"; what was there is {aside.name}"
