"""What a subscriber is given, checked: a mistake is told where it is made, not when the first alert is missed."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tocsin.mqtt.settings import BrokerSettings
from tocsin.secret import Secret
from tocsin.wire.acks import SHORTEST_KEY
from tocsin.wire.topics import name

SESSION_S: Final = 7 * 24 * 3600
"""So long the broker keeps what comes while the consumer is away."""

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


def watchdogs(named: Iterable[str]) -> tuple[str, ...]:
    """Return watchdogs, `<site>/<name>` each, each once. Raises ValueError."""
    if isinstance(named, str):
        raise ValueError(f"watchdogs={named!r}: give a list of them")  # noqa: TRY004 - as the rest
    found = tuple(dict.fromkeys(named))
    if not found:
        raise ValueError('watchdogs: name at least one, such as "ams/host-a"')
    for one in found:
        site, _, watchdog = one.partition("/")
        try:
            name(site), name(watchdog)
        except ValueError as error:
            raise ValueError(f"watchdogs: {one!r} is not <site>/<name>: {error}") from None
    return found


def consumer(named: str) -> str:
    """Return the name of a consumer. Raises ValueError."""
    try:
        return name(named)
    except ValueError as error:
        raise ValueError(f"consumer: {error}") from None


def key(given: str | bytes) -> bytes:
    """Return the bytes of a consumer's key, which no log shows from here on. Raises ValueError."""
    octets = given.encode() if isinstance(given, str) else given
    if len(octets) < SHORTEST_KEY:
        raise ValueError(f"key: has {len(octets)} bytes; at least {SHORTEST_KEY} are needed")
    if isinstance(given, str):
        Secret(given)
    return octets


def settings(
    broker: str | BrokerSettings,
    client_id: str,
    *,
    user: str | None,
    password: str | None,
    ca: str | Path | None,
    cert: str | Path | None,
    cert_key: str | Path | None,
) -> BrokerSettings:
    """Return how to reach the broker, which keeps our session for a week. Raises ValueError."""
    extras = {"user": user, "password": password, "ca": ca, "cert": cert, "cert_key": cert_key}
    if isinstance(broker, BrokerSettings):
        if given := [word for word, value in extras.items() if value is not None]:
            raise ValueError(f"{', '.join(given)}: belong into the BrokerSettings")
        return replace(broker, client_id=client_id, session_s=SESSION_S)
    if password is not None and user is None:
        raise ValueError("password: needs a user")
    if (cert is None) != (cert_key is None):
        raise ValueError("cert and cert_key: give both or none")
    scheme, host, port = _url(broker)
    if scheme != "mqtts" and (ca is not None or cert is not None):
        raise ValueError("ca, cert: need a broker of mqtts://")
    return BrokerSettings(
        host=host,
        port=port,
        client_id=client_id,
        tls=scheme == "mqtts",
        user=user,
        password=None if password is None else Secret(password),
        ca=None if ca is None else Path(ca),
        cert=None if cert is None else Path(cert),
        key=None if cert_key is None else Path(cert_key),
        session_s=SESSION_S,
    )


def _url(text: str) -> tuple[str, str, int]:
    wanted = "write mqtt://host:1883 or mqtts://host:8883"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"broker: no URL; {wanted}") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"broker: {wanted}, and the login as user and password")
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"broker: {text!r} is no URL of a broker; {wanted}")
    return parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port
