"""What people call tokens: their symbols, as far as they are fit to be shown and typed, each once."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tocsin.protocols.base import Question, Read, Reading

SYMBOL: Final = Read(of="token", signature="symbol()(string)")
OLD_SYMBOL: Final = Read(of="token", signature="symbol()(bytes32)")
"""As some tokens of 2017 have it."""
_FIT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_/-]{0,19}")


def names_of(tokens: Sequence[bytes]) -> Reading[Mapping[bytes, str]]:
    """Read what tokens are called. One whose symbol nobody could type has no name; equal ones get their address.

    Anybody may call a token WETH: where two are called so, neither is just that.
    """
    said = yield tuple(Question(SYMBOL, token) for token in tokens)
    unnamed = tuple(token for token, symbol in zip(tokens, said, strict=True) if symbol is None)
    old = yield tuple(Question(OLD_SYMBOL, token) for token in unnamed)
    symbols = {**dict(zip(tokens, said, strict=True)), **dict(zip(unnamed, old, strict=True))}
    found = {token: text for token, symbol in symbols.items() if _FIT.fullmatch(text := _text(symbol))}
    often = Counter(found.values())
    return {token: symbol if often[symbol] == 1 else f"{symbol}-0x{token.hex()[:8]}" for token, symbol in found.items()}


def _text(symbol: Any) -> str:
    if isinstance(symbol, bytes):
        return symbol.rstrip(b"\x00").decode("ascii", "replace")
    return str(symbol or "")
