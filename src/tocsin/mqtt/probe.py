"""What a broker lets us do, tried out: for `tocsin doctor`.

It connects under a client id of its own, so that it never takes over the session of a running daemon, and leaves
nothing behind.
"""

import contextlib
import ipaddress
from dataclasses import dataclass
from typing import Final

from tocsin.errors import BrokerError, PublishRefused
from tocsin.mqtt.client import Received
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import WINDOW, MqttConnection, MqttTransport
from tocsin.wire.envelope import EVIDENCE_LIMIT, Origin

PROBE: Final = "probe"
"""The topic, below a root, that the probe writes and clears again."""
_LARGEST: Final = 2 * EVIDENCE_LIMIT
"""What an alert with all the evidence it may carry comes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was tried. `level` is ok, warning or critical; `hint` says what to do unless it is ok."""

    check: str
    level: str
    detail: str
    hint: str = ""


async def probe(settings: BrokerSettings, origin: Origin) -> tuple[Finding, ...]:
    """Return what was found, in order of trying; a broker that cannot be reached is the only finding then."""
    try:
        async with MqttTransport(settings).connect(will=None, on_message=_ignore, suffix=PROBE) as connection:
            return (
                Finding(check="connect", level="ok", detail=f"{settings.url} speaks MQTT 5"),
                *_granted(connection),
                *_in_clear(settings),
                await _own_tree(connection, origin),
                await _foreign_tree(connection, origin),
            )
    except BrokerError as error:
        return (_failed("connect", error),)


def _granted(connection: MqttConnection) -> list[Finding]:
    limits = connection.limits
    found = []
    if not limits.retain:
        hint = "allow retained messages at the broker: status and alerts are retained"
        found.append(Finding(check="retain", level="critical", detail="retains nothing", hint=hint))
    if limits.qos < 1:
        hint = "allow QoS 1 at the broker: without it nothing is known to arrive"
        found.append(Finding(check="qos", level="critical", detail="grants QoS 0 only", hint=hint))
    if limits.packet_size is not None and limits.packet_size < _LARGEST:
        detail = f"takes {limits.packet_size} bytes a message"
        hint = f"raise the broker's limit to {_LARGEST}: an alert may carry {EVIDENCE_LIMIT} bytes of evidence"
        found.append(Finding(check="size", level="warning", detail=detail, hint=hint))
    detail = f"{limits.window} of {WINDOW} messages may be in flight"
    return [*found, Finding(check="window", level="ok", detail=detail)]


def _in_clear(settings: BrokerSettings) -> list[Finding]:
    if settings.tls or settings.password is None or _is_loopback(settings.host):
        return []
    hint = "use mqtts://"
    return [Finding(check="tls", level="warning", detail="the password crosses the network in clear", hint=hint)]


async def _own_tree(connection: MqttConnection, origin: Origin) -> Finding:
    topic = origin.root + PROBE
    try:
        await _write(connection, topic, b"{}")
        await _write(connection, topic, b"")
    except PublishRefused as refusal:
        return _failed("own tree", refusal, f"let this user write {origin.root}#")
    return Finding(check="own tree", level="ok", detail=f"may write {origin.root}#")


async def _foreign_tree(connection: MqttConnection, origin: Origin) -> Finding:
    """Try to speak as another watchdog: a broker that lets us lets others speak as we do."""
    topic = f"{origin.root[:-1]}-{PROBE}/{PROBE}"
    try:
        await _write(connection, topic, b"", retain=False)
    except PublishRefused:
        return Finding(check="foreign trees", level="ok", detail="may not write the tree of another watchdog")
    hint = "give the broker an ACL, see configs/mosquitto"
    return Finding(
        check="foreign trees", level="warning", detail="may write the tree of any watchdog, so may others", hint=hint
    )


async def _write(connection: MqttConnection, topic: str, payload: bytes, *, retain: bool = True) -> None:
    expiry_s = 60 if payload else None
    await connection.publish(topic, payload, qos=1, retain=retain, expiry_s=expiry_s, content_type=None)


def _failed(check: str, error: BrokerError, hint: str = "") -> Finding:
    detail, _, advice = str(error).partition("; ")
    return Finding(check=check, level="critical", detail=detail, hint=hint or advice)


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _ignore(_: Received) -> None:
    """Nothing is subscribed."""
