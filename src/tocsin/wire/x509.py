"""Until when a certificate is valid, read from its DER: the one thing that `ssl` tells of verified ones only.

Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version, serial, signature, issuer, validity, ... }, ... }
Source: RFC 5280 section 4.1.
"""

from datetime import UTC, datetime
from typing import Final

_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_LONG_FORM: Final = 0x80
_MOST_LENGTH_BYTES: Final = 4
_BEFORE_VALIDITY: Final = 3
"""serialNumber, signature and issuer."""


def not_after_s(der: bytes) -> int | None:
    """Return the end of validity as Unix time, None for what is no certificate. Takes any bytes; never raises."""
    try:
        certificate, _ = _element(der, _SEQUENCE)
        body, _ = _element(certificate, _SEQUENCE)
        if body[:1] == bytes([_VERSION]):
            _, body = _element(body)
        for _ in range(_BEFORE_VALIDITY):
            _, body = _element(body)
        validity, _ = _element(body, _SEQUENCE)
        _, rest = _element(validity)
        kind = rest[0]
        stamp, _ = _element(rest)
        return _unix_s(kind, stamp.decode("ascii"))
    except (ValueError, IndexError):
        return None


def _element(data: bytes, tag: int | None = None) -> tuple[bytes, bytes]:
    """Split off the first element: its contents, and what comes after it."""
    if tag is not None and data[0] != tag:
        raise ValueError(f"tag {data[0]:#x} instead of {tag:#x}")
    length, start = data[1], 2
    if length & _LONG_FORM:
        count = length & ~_LONG_FORM
        if not 1 <= count <= _MOST_LENGTH_BYTES:
            raise ValueError("a length that no certificate has")
        length, start = int.from_bytes(data[2 : 2 + count]), 2 + count
    if start + length > len(data):
        raise ValueError("cut short")
    return data[start : start + length], data[start + length :]


def _unix_s(kind: int, text: str) -> int:
    if kind == _UTC_TIME:  # two digits: 50 to 99 are of the last century
        text = ("19" if int(text[:2]) >= 50 else "20") + text  # noqa: PLR2004 - RFC 5280 4.1.2.5.1
    elif kind != _GENERALIZED_TIME:
        raise ValueError("no time")
    return int(datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp())
