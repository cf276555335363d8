"""Who we are on the broker: birth, will, heartbeat; and whose words we find on our own topics.

A last will may arrive late, from a connection or a life that is over; `boot_id` and `started` tell. A second daemon of
the same name is recognised by what it says live: both note it, and the one that started later leaves the retained
topics to the other, so that they do not flap. Its stream goes on: two alerts are better than none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import orjson

from tocsin.mqtt.client import Received, Will
from tocsin.wire import topics
from tocsin.wire.envelope import CONTENT_TYPE, Message, Origin, document_message, rfc3339

_LONGEST: Final = 16 * 1024
"""Bytes of a foreign message that are worth parsing."""


class State(StrEnum):
    """What `status` says. Only the broker says `lost`."""

    INIT = "init"
    READY = "ready"
    DEGRADED = "degraded"
    DRAINING = "draining"
    DISCONNECTED = "disconnected"
    LOST = "lost"


_OVER: Final = frozenset({State.DISCONNECTED, State.LOST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One life of a daemon, and the configuration that it runs now."""

    origin: Origin
    boot: str
    started_wall_ns: int
    version: str
    environment: str
    config_hash: str
    role: str = "leader"
    stream: str = ""
    """Which event stream it writes."""

    @property
    def age_rank(self) -> tuple[str, str]:
        """Sorts lives by start; the older of two rivals stays."""
        return rfc3339(self.started_wall_ns), self.boot


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """Our `status` says what is not so: a late will, a leftover, or nonsense (`garbage`)."""

    garbage: bool = False
    parted: str = ""
    """The boot id of another life that says goodbye there. A will says less: who sent it may be back in a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A second daemon speaks under our name."""

    boot: str
    older: bool
    """Whether it started before us."""


def status(life: Life, state: State, wall_ns: int) -> Message:
    """Return the retained `status`."""
    return document_message(
        life.origin, life.boot, topic=topics.STATUS, kind="status", wall_ns=wall_ns, data=_status(life, state)
    )


def will(life: Life, wall_ns: int) -> Will:
    """Return the last will; its time is that of the connect, since nobody stamps it later."""
    message = status(life, State.LOST, wall_ns)
    return Will(topic=message.topic, payload=message.payload, content_type=CONTENT_TYPE)


def description(life: Life, document: Mapping[str, object], wall_ns: int) -> Message:
    """Return the retained `description`."""
    return document_message(
        life.origin, life.boot, topic=topics.DESCRIPTION, kind="description", wall_ns=wall_ns, data=document
    )


def heartbeat(life: Life, seq: int, beat: Mapping[str, object], period_s: int, wall_ns: int) -> Message:
    """Return one `heartbeat`: QoS 0, not retained, gone after three periods."""
    data = {
        **beat,
        "seq": seq,
        "boot_id": life.boot,
        "started": rfc3339(life.started_wall_ns),
        "period_s": period_s,
    }
    message = document_message(
        life.origin, life.boot, topic=topics.HEARTBEAT, kind="heartbeat", wall_ns=wall_ns, data=data
    )
    return replace(message, qos=0, retain=False, expiry_s=3 * period_s)


def judge(life: Life, received: Received) -> Stale | Rival | None:
    """Return what a message on our own `status` or `heartbeat` means; None when it means nothing."""
    is_status = received.topic == life.origin.root + topics.STATUS
    if not received.payload:
        return Stale() if is_status else None
    said = _parse(received.payload)
    if said is None:
        return Stale(garbage=True)
    boot, started, state = said
    if boot == life.boot:
        return Stale() if state == State.LOST else None
    if received.retained or (is_status and state in _OVER):
        return Stale(parted=boot if state == State.DISCONNECTED else "") if is_status else None
    return Rival(boot=boot, older=(started, boot) < life.age_rank)


def _parse(payload: bytes) -> tuple[str, str, str] | None:
    try:
        data = orjson.loads(payload[: _LONGEST + 1])["data"]
        boot, started, state = data["boot_id"], data["started"], data.get("state", "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    if not all(isinstance(part, str) and len(part) <= 64 for part in (boot, started, state)):  # noqa: PLR2004
        return None
    return boot, started, state


def _status(life: Life, state: State) -> dict[str, object]:
    return {
        "state": state,
        "boot_id": life.boot,
        "started": rfc3339(life.started_wall_ns),
        "version": life.version,
        "environment": life.environment,
        "config_hash": life.config_hash,
        "role": life.role,
    }
