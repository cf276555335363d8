"""Recursive Length Prefix encoding, as far as block headers need it: strings, integers and one flat list.

Source: Ethereum yellow paper, appendix B. Fields arrive as hex text, so the work is done on hex text: one
`bytes.fromhex` for a whole header costs a quarter of one for each field.
"""

_STRING = 0x80
_LIST = 0xC0
_SHORT = 55


def prefix(length: int, offset: int = _STRING) -> str:
    """Return, in hex, what precedes a payload of `length` bytes (not that of a single byte below 0x80)."""
    if length <= _SHORT:
        return f"{offset + length:02x}"
    size = (length.bit_length() + 7) // 8
    return f"{offset + _SHORT + size:02x}{length:0{2 * size}x}"


def string(digits: str) -> str:
    """Encode a byte string given as hex digits (an even number of them); in hex."""
    if len(digits) == 2 and digits < "80":  # noqa: PLR2004 - one byte, its own encoding
        return digits
    return prefix(len(digits) // 2) + digits


def integer(digits: str) -> str:
    """Encode an integer given as hex digits without leading zeros, "0" for zero; in hex."""
    if digits == "0":
        return "80"
    return string(digits if len(digits) % 2 == 0 else "0" + digits)


def listed(payload: str) -> str:
    """Wrap the concatenated encodings of a list's items; in hex."""
    return prefix(len(payload) // 2, _LIST) + payload
