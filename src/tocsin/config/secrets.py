"""Secrets in the configuration: where a value comes from, and the value, kept apart.

A secret is written in place or, better, as `{ credential = "x" }` (systemd's LoadCredential), `{ env = "X" }` or
`{ file = "path" }`. The tree holds the value as a `Secret` that remembers its source: `config show`, the
configuration's hash and every message speak of the source alone.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from tocsin.config.documents import read_file
from tocsin.secret import Secret, SecretUrl
from tocsin.wire.acks import SHORTEST_KEY

LARGEST_SECRET = 64 << 10
"""Bytes; a client certificate chain would fit, a disk image would not."""

KINDS = ("env", "file", "credential")

_CREDENTIAL = re.compile(r"[A-Za-z0-9_.-]{1,255}")
_SPACE = 0x20
_DELETE = "\x7f"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a secret is kept: `kind` is `env`, `file` or `credential`."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Sources:
    """Reads secrets. `required=False` puts a stand-in where a secret is missing: enough to look, not to run."""

    environ: Mapping[str, str]
    folder: Path
    required: bool = True

    def path(self, source: Source) -> Path | None:
        """Return the file that holds the secret, None for the environment or without credentials at all."""
        if source.kind == "file":
            return self.folder / source.name
        directory = self.environ.get("CREDENTIALS_DIRECTORY")
        return Path(directory) / source.name if source.kind == "credential" and directory else None

    def read(self, source: Source) -> str:
        """Return the value. Raises ValueError that says what is missing and where to put it."""
        if source.kind == "env":
            return self._environment(source.name)
        if source.kind == "credential" and not (_CREDENTIAL.fullmatch(source.name) and source.name.strip(".")):
            raise ValueError("the name of a credential has letters, digits, dot, dash and underscore only")
        path = self.path(source)
        if path is None:
            raise ValueError(
                f"credential {source.name} is not here: $CREDENTIALS_DIRECTORY is not set; start by systemd with "
                f"LoadCredential={source.name}:/path, or use {{ file = ... }}"
            )
        try:
            return _text(read_file(str(path), LARGEST_SECRET))
        except OSError as error:
            raise ValueError(f"{source.kind} {source.name} {error}") from None
        except ValueError as error:
            raise ValueError(f"{source.kind} {source.name} {error}") from None

    def _environment(self, name: str) -> str:
        value = self.environ.get(name)
        if not value:
            raise ValueError(f"environment variable {name} is {'not set' if value is None else 'empty'}")
        return value


def _text(data: bytes) -> str:
    try:
        value = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    if not value:
        raise ValueError("is empty")
    return value


class ConfiguredSecret(Secret):
    """A secret from the configuration; `source` is None when the value stands in the file itself."""

    __slots__ = ("source",)

    def __init__(self, value: str, source: Source | None = None) -> None:
        super().__init__(value)
        self.source = source

    def shown(self) -> object:
        """Return what `config show` prints: the source, or `***`."""
        return "***" if self.source is None else {self.source.kind: self.source.name}

    @classmethod
    def checked(cls, value: str, source: Source | None = None) -> Self:
        """Build one. Raises ValueError, without the value; a line break could end a header or a protocol's line."""
        if any(ord(char) < _SPACE or char == _DELETE for char in value):
            raise ValueError("holds more than one line, or control characters")
        return cls(value, source)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return _schema_of(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _: GetJsonSchemaHandler) -> JsonSchemaValue:
        return SECRET_SCHEMA


class ConfiguredUrl(SecretUrl, ConfiguredSecret):
    """A URL from the configuration, of which only scheme and host are shown."""

    __slots__ = ()
    schemes: tuple[str, ...] = ("http", "https")

    def __init__(self, value: str, source: Source | None = None) -> None:
        super().__init__(value)
        self.source = source

    @property
    def host(self) -> str:
        """The host without port and brackets; empty for ipc."""
        return urlsplit(self.reveal()).hostname or ""

    def shown(self) -> object:
        """Return what `config show` prints: the source, or the URL as far as it is no secret."""
        if self.source is not None:
            return {self.source.kind: self.source.name}
        return str(self) if self.reveal().rstrip("/") == str(self) else f"{self}/***"

    @classmethod
    def checked(cls, value: str, source: Source | None = None) -> Self:
        """Build one. Raises ValueError, without the value, unless it is a URL of an accepted scheme."""
        if any(ord(char) <= _SPACE for char in value):
            raise ValueError("has a space or a control character in it")
        try:
            parts = urlsplit(value)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError(f"is not a URL; write {_examples(cls.schemes)}") from None
        if parts.scheme not in cls.schemes:
            raise ValueError(f"is not a URL of a known scheme; write {_examples(cls.schemes)}")
        if parts.scheme == "ipc":
            if parts.netloc or not parts.path.startswith("/"):
                raise ValueError("write the absolute path of the socket, such as ipc:///run/geth/geth.ipc")
        elif not host or port == 0:
            raise ValueError(f"has no host or no valid port; write {_examples(cls.schemes)}")
        return cls(value, source)


class NodeUrl(ConfiguredUrl):
    """Where a node answers JSON-RPC."""

    __slots__ = ()
    schemes = ("http", "https", "ipc")


class BeaconUrl(ConfiguredUrl):
    """Where a beacon node answers the REST interface."""

    __slots__ = ()


class WebsocketUrl(ConfiguredUrl):
    """Where a node announces new heads."""

    __slots__ = ()
    schemes = ("ws", "wss")


class BrokerUrl(ConfiguredUrl):
    """The MQTT broker."""

    __slots__ = ()
    schemes = ("mqtt", "mqtts")

    @classmethod
    def checked(cls, value: str, source: Source | None = None) -> Self:
        url = super().checked(value, source)
        parts = urlsplit(value)
        if parts.username is not None or parts.password is not None:
            raise ValueError("has a user in it; write user and password as keys of [mqtt]")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("has more than host and port; write mqtt://host:1883 or mqtts://host:8883")
        return url


class ConsumerKey(ConfiguredSecret):
    """What a consumer signs its acks with."""

    __slots__ = ()
    origin: ClassVar[str] = "make one with: openssl rand -hex 32"

    @classmethod
    def checked(cls, value: str, source: Source | None = None) -> Self:
        key = super().checked(value, source)
        if len(value.encode()) < SHORTEST_KEY:
            raise ValueError(f"has fewer than {SHORTEST_KEY} bytes; {cls.origin}")
        return key


class ProxyUrl(ConfiguredUrl):
    """An HTTP proxy for outbound requests."""

    __slots__ = ()


SECRET_SCHEMA: JsonSchemaValue = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        *(
            {
                "type": "object",
                "properties": {kind: {"type": "string", "minLength": 1}},
                "required": [kind],
                "additionalProperties": False,
            }
            for kind in KINDS
        ),
    ]
}


def _examples(schemes: tuple[str, ...]) -> str:
    return " or ".join("ipc:///path" if scheme == "ipc" else f"{scheme}://host:port" for scheme in schemes)


def _schema_of(kind: type[ConfiguredSecret]) -> CoreSchema:
    return core_schema.with_info_plain_validator_function(
        lambda value, info: _secret(kind, value, info),
        serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value.shown()),
    )


def _secret(kind: type[ConfiguredSecret], value: Any, info: ValidationInfo) -> ConfiguredSecret:
    if isinstance(value, kind):
        return value
    if isinstance(value, str):
        if not value:
            raise ValueError("is empty")
        return kind.checked(value)
    source = _source(value)
    sources = info.context
    if not isinstance(sources, Sources):
        raise TypeError("secrets are read by tocsin.config.load only")
    try:
        return kind.checked(sources.read(source), source)
    except ValueError:
        if sources.required:
            raise
    return kind(_stand_in(kind, source), source)


def _source(value: Any) -> Source:
    expected = 'write a string, or { credential = "name" }, { env = "NAME" } or { file = "path" }'
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(expected)
    [(kind, name)] = value.items()
    if kind not in KINDS or not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(expected)
    return Source(kind, name)


def _stand_in(kind: type[ConfiguredSecret], source: Source) -> str:
    """Return a value of the right shape; distinct per source, so that two unknown nodes are not one provider."""
    if not issubclass(kind, ConfiguredUrl):
        return f"unresolved {source.kind} {source.name}"
    slug = re.sub(r"[^a-z0-9]+", "-", source.name.lower()).strip("-")[:40] or "secret"
    return f"{kind.schemes[0]}://{source.kind}-{slug}.invalid"


def readable_by_others(path: Path) -> bool:
    """Say whether every user of the host may read the file."""
    try:
        return bool(os.stat(path).st_mode & 0o004)  # noqa: PTH116 - a stat, as the name says
    except OSError:
        return False
