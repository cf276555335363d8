"""Secrets that cannot be printed by accident.

A `Secret` or `SecretUrl` shows nothing of itself in repr, str, format, JSON or a traceback; `reveal()` is the one
way to the value, and a search for it finds every use. As a last net every value ever held is also known to
`redact`, which log records, fault details and messages of foreign exceptions pass through.
"""

import base64
import logging
import re
from collections.abc import Iterable
from typing import Final, NoReturn
from urllib.parse import parse_qsl, quote, unquote, urlsplit

_SHORTEST = 6
"""Shorter fragments would blank ordinary words; a secret this short is no secret."""

_SCHEMES = frozenset({"basic", "bearer", "token", "apikey", "api-key", "key", "oauth", "dpop"})
"""Words before the secret proper in a header: IANA's register of authentication schemes, and what providers made up."""

_WORDS = """
rpc jsonrpc json http https ws wss websocket api ext bc c v rest http2 public private node nodes full archive rpcs eth
ethereum mainnet main testnet devnet holesky hoodi sepolia goerli gnosis chiado xdai polygon pos matic amoy bsc bnb
binance smartchain arbitrum arb one nova optimism op base avalanche avax fuji chain chains network networks blockchain
mev protect fast evm beacon consensus execution engine geth reth erigon nethermind besu lighthouse prysm teku nimbus
lodestar client clients provider providers gateway endpoint endpoints load balancer lb proxy cluster pool hook hooks
webhook webhooks services service notify notification notifications message messages event events enqueue integration
integrations incoming alert alerts alerting ping health healthz status
"""
_PUBLIC = frozenset(_WORDS.split())
"""Words in paths and queries that say what is asked for, and unlock nothing. To blank them would take chains, networks
and clients out of every text."""
_SEPARATORS = re.compile(r"[-_.]")
_NUMBER = re.compile(r"v?[0-9]{1,8}")
"""A version, or the id of a chain."""
_WEB = frozenset({"http", "https", "ws", "wss"})

_known: dict[str, list[str]] = {}
"""First characters of each form of each secret to the forms that begin so, longest first.

An alternation of a regular expression would be simpler, and quadratic: 1,000 nodes with a key each took 30 s to load.
"""


def _forms(values: Iterable[str]) -> frozenset[str]:
    # What a URL carries in percent-encoding goes over the wire decoded, and as Basic credentials in base64.
    plain = {form for value in values for form in (value, unquote(value))}
    forms = {form for text in plain for form in (text, quote(text, safe=""), base64.b64encode(text.encode()).decode())}
    return frozenset(form for form in forms if len(form) >= _SHORTEST)


def _remember(values: Iterable[str]) -> None:
    for form in sorted(_forms(values)):
        if form not in (known := _known.setdefault(form[:_SHORTEST], [])):
            known.append(form)
            known.sort(key=len, reverse=True)


def _is_public(part: str) -> bool:
    """Tell whether a part of a URL says only what everybody may know: a network, a client, a version."""
    words = _SEPARATORS.split(part.lower())
    return all(word in _PUBLIC or _NUMBER.fullmatch(word) for word in words) and not part.isdigit()


def _credentials(value: str) -> list[str]:
    """Return what is secret by itself in the value of an Authorization header (RFC 9110 11.6.2, RFC 7617)."""
    scheme, _, token = value.strip().partition(" ")
    if scheme.lower() not in _SCHEMES or not token:
        return []
    if scheme.lower() != "basic":
        return [token]
    try:
        login = base64.b64decode(token, validate=True).decode()
    except ValueError:
        return [token]
    return [token, login, *login.partition(":")[::2]]


def redact(text: str) -> str:
    """Return the text with every known secret value replaced by `***`."""
    pieces: list[str] = []
    at = start = 0
    while at <= len(text) - _SHORTEST:
        forms = _known.get(text[at : at + _SHORTEST])
        form = forms and next((form for form in forms if text.startswith(form, at)), None)
        if form:
            pieces += (text[start:at], "***")
            at = start = at + len(form)
        else:
            at += 1
    return "".join((*pieces, text[start:]))


class Secret:
    """A value that only `reveal()` shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value: Final = value
        _remember(self._fragments())

    def _fragments(self) -> list[str]:
        """Return what `redact` has to know: the value and every part of it that is a secret of its own."""
        return [self._value, *_credentials(self._value)]

    def reveal(self) -> str:
        """Return the value itself; for the wire, never for a message."""
        return self._value

    def forms(self) -> frozenset[str]:
        """Return every form in which `redact` knows it: as secret as the value itself."""
        return _forms(self._fragments())

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


class SecretUrl(Secret):
    """A URL whose user, password, path and query may be keys: shown as scheme and host."""

    __slots__ = ()

    def _fragments(self) -> list[str]:
        parts = urlsplit(self._value)
        is_web = parts.scheme in _WEB  # of what is no web address every part may be a key, also one that is a word
        segments = [segment for segment in parts.path.split("/") if segment] if parts.scheme != "ipc" else []
        hidden = [segment for segment in segments if not (is_web and _is_public(segment))]
        pieces = [*hidden, *(item for _, item in parse_qsl(parts.query) if not (is_web and _is_public(item)))]
        pieces += [piece for piece in (parts.username, parts.password) if piece]
        if parts.username and parts.password:
            pieces.append(f"{parts.username}:{parts.password}")
        if hidden:
            pieces.append(parts.path)
        # A URL that is scheme and host only has nothing to hide, and messages would lose where the fault is.
        return pieces if str(self) == self._value.rstrip("/") else [self._value, *pieces]

    @property
    def scheme(self) -> str:
        """Such as `https`, `wss` or `ipc`."""
        return urlsplit(self._value).scheme

    def __str__(self) -> str:
        parts = urlsplit(self._value)
        if parts.scheme == "ipc":
            return self._value
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else (parts.hostname or "")
        try:
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            port = ""
        return f"{parts.scheme}://{host}{port}"


class RedactingFilter(logging.Filter):
    """The last net for logs: redacts message, arguments and exception text of every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = redact(_message(record))
        record.args = None
        if record.exc_info:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        elif record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True


def _message(record: logging.LogRecord) -> str:
    """Return the message of a record; whoever logged it must not fail because it was put together wrongly."""
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - arguments may raise anything
        return f"{record.msg!r} with arguments that do not fit ({type(error).__name__})"
