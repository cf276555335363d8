"""What other watchdogs say of themselves, read from bytes that anybody may have sent."""

import re
from dataclasses import dataclass
from typing import Final

import orjson

from tocsin.wire import topics

LONGEST: Final = 16 * 1024
"""Bytes of a message that are worth reading: a heartbeat of a hundred chains has less."""

STATES: Final = frozenset({"init", "ready", "degraded", "draining", "disconnected", "lost"})

_BOOT = re.compile(r"[0-9A-Za-z_-]{1,64}")
_MOST_PERIOD_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A heartbeat (no `state`) or a status. `period_s` and `seq` are None where the message does not tell them.

    Its times are not read: nothing is concluded from another host's clock.
    """

    boot: str
    state: str = ""
    period_s: int | None = None
    seq: int | None = None
    """Counts the heartbeats of a life."""


def topics_of(peer: str) -> tuple[str, str]:
    """Return the topics on which a peer (`<site>/<name>`) says how it is: status and heartbeat."""
    site, _, name = peer.partition("/")
    root = topics.root(site, name)
    return root + topics.STATUS, root + topics.HEARTBEAT


def word(peer: str, topic: str, payload: bytes) -> Word:
    """Return what a message of a peer says. Raises ValueError with why it is none."""
    status, heartbeat = topics_of(peer)
    if len(payload) > LONGEST:
        raise ValueError(f"{len(payload)} bytes")
    event = orjson.loads(payload)
    kind = {status: "status", heartbeat: "heartbeat"}.get(topic)
    if not isinstance(event, dict) or event.get("type") != f"dev.tocsin.{kind}.v1":
        raise ValueError(f"no {kind or 'word'} of version 1")
    if event.get("source") != f"/tocsin/{peer}":
        raise ValueError("another source")
    data = event.get("data")
    if not isinstance(data, dict):
        raise ValueError("no data")  # noqa: TRY004 - as the rest
    boot = data.get("boot_id")
    if not isinstance(boot, str) or not _BOOT.fullmatch(boot):
        raise ValueError("no boot_id")
    if kind == "status":
        return Word(boot=boot, state=_state(data))
    return Word(boot=boot, period_s=_period_s(data), seq=_seq(data))


def _state(data: dict[str, object]) -> str:
    state = data.get("state")
    if not isinstance(state, str) or state not in STATES:
        raise ValueError("no state")
    return state


def _period_s(data: dict[str, object]) -> int | None:
    period_s = data.get("period_s")
    if period_s is None:
        return None
    if type(period_s) is not int or not 1 <= period_s <= _MOST_PERIOD_S:
        raise ValueError("no period_s")
    return period_s


def _seq(data: dict[str, object]) -> int | None:
    seq = data.get("seq")
    if seq is None:
        return None
    if type(seq) is not int or not 1 <= seq < 1 << 63:
        raise ValueError("no seq")
    return seq
