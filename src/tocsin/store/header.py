"""The first line of a section: what it holds, and who wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.errors import SchemaTooNew
from tocsin.store.chainfile import FrameReader
from tocsin.store.values import Gap, Origin

VERSION = 1
"""Of the file format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line of a section. `last_event` None: not known when it was written, the end tells."""

    version: int
    segment: int
    first_event: int
    last_event: int | None
    first_wall_ns: int
    last_wall_ns: int | None
    origin: Origin
    gap: Gap | None = None

    def fields(self) -> dict[str, object]:
        """As the JSON object that the line holds."""
        gap = self.gap and [self.gap.first_event, self.gap.last_event, self.gap.reason, self.gap.wall_ns]
        return {
            "version": self.version,
            "segment": self.segment,
            "first_event": self.first_event,
            "last_event": self.last_event,
            "first_wall_ns": self.first_wall_ns,
            "last_wall_ns": self.last_wall_ns,
            "code": self.origin.code,
            "codec": self.origin.codec,
            "config": self.origin.config_hash,
            "gap": gap,
        }


def read_header(frames: FrameReader) -> Header:
    """Read the header of the next section. Raises CorruptRecord, or SchemaTooNew for a format to come."""
    offset = frames.offset
    fields = frames.header()
    version = fields.get("version")
    if isinstance(version, int) and version > VERSION:
        raise SchemaTooNew(
            f"{frames.path}: written in journal format {version}, this program reads up to {VERSION}; "
            "upgrade it: pip install --upgrade tocsin"
        )
    try:
        return _header(fields)
    except (KeyError, TypeError, ValueError) as error:
        raise frames.corrupt(offset, f"the header lacks or misspells {error}") from error


def _header(fields: Mapping[str, object]) -> Header:
    return Header(
        version=_int(fields, "version"),
        segment=_int(fields, "segment"),
        first_event=_int(fields, "first_event"),
        last_event=_maybe_int(fields, "last_event"),
        first_wall_ns=_int(fields, "first_wall_ns"),
        last_wall_ns=_maybe_int(fields, "last_wall_ns"),
        origin=Origin(code=str(fields["code"]), codec=_int(fields, "codec"), config_hash=str(fields["config"])),
        gap=_gap(fields["gap"]),
    )


def _gap(value: object) -> Gap | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise TypeError("gap")
    first, last, reason, wall_ns = value
    return Gap(first_event=int(first), last_event=int(last), reason=str(reason), wall_ns=int(wall_ns))


def _int(fields: Mapping[str, object], key: str) -> int:
    value = fields[key]
    if not isinstance(value, int):
        raise TypeError(key)
    return value


def _maybe_int(fields: Mapping[str, object], key: str) -> int | None:
    return None if fields[key] is None else _int(fields, key)
