"""Example effects and the messages that `tests.support.golden` pins."""

import dataclasses

from tocsin.model.alert import Alert, AlertState, Grade, Severity
from tocsin.model.block import BlockRef
from tocsin.model.effect import AlertChanged
from tocsin.mqtt import presence
from tocsin.wire import acks, envelope

ORIGIN = envelope.Origin(site="ams", watchdog="host-a")
BOOT = "b00700000000"
NOON_NS = 1_790_000_000_123_456_789
BLOCK = BlockRef(number=21_000_000, hash="0x" + "ab" * 32)
ALERT = Alert(
    fingerprint="0123456789abcdef0123456789abcdef",
    activation=1,
    detector="node.lag",
    severity=Severity.WARNING,
    state=AlertState.FIRING,
    labels=(("chain", "eip155:1"), ("node", "ams.geth")),
    summary="ams.geth is 4 blocks behind the agreed head",
    value=4,
    limit=3,
    unit="blocks",
    grade=Grade.QUORUM,
    block=BLOCK,
    evidence={"head": {"number": 20_999_996, "hash": "0x" + "cd" * 32}, "wei": 10**18},
    started_wall_ns=NOON_NS - 24 * 10**9,
    updated_wall_ns=NOON_NS,
    resolved_wall_ns=None,
    count=1,
    reason="fired",
    previous=AlertState.PENDING,
)
RESOLVED = dataclasses.replace(
    ALERT,
    state=AlertState.RESOLVED,
    previous=AlertState.FIRING,
    value=None,
    block=None,
    evidence={},
    updated_wall_ns=NOON_NS + 10**9,
    resolved_wall_ns=NOON_NS + 10**9,
    count=2,
    reason="acked",
    acked_by="alice",
)


LIFE = presence.Life(
    origin=ORIGIN,
    boot=BOOT,
    started_wall_ns=NOON_NS,
    version="0.1.0",
    environment="test",
    config_hash="c0ffee",
)
STREAM = "5eed00000000000000000000000000aa"
BEAT = {
    "event_seq": 41,
    "stream": STREAM,
    "last_seq": 41,
    "since_seq": 12,
    "heads": {"ethereum": {"head": {"number": BLOCK.number, "hash": BLOCK.hash}, "grade": "quorum"}},
    "alerts": {"critical": 0, "warning": 1, "info": 0, "silenced": 0},
    "loop_lag_ms": 1,
    "outbox": 0,
    "echo_ms": 12,
}
STANDING = acks.Standing(at=1_790_000_000_123, max=41, last_seq=43, stream=STREAM)


def changed(alert: Alert, seq: int = 1, *, stream: str = "") -> AlertChanged:
    """Return the effect that publishes the alert."""
    return AlertChanged(seq=seq, boot=BOOT, wall_ns=alert.updated_wall_ns, alert=alert, stream=stream)


def golden_messages() -> dict[str, envelope.Message]:
    """Return some messages by the name of their golden file; `tests.support.golden` has all of them."""
    cut = dataclasses.replace(ALERT, evidence={"answer": "x" * 20_000, "head": 20_999_996})
    return {
        "alert-firing": envelope.alert_messages(changed(ALERT, 41, stream=STREAM), ORIGIN)[0],
        "alert-resolved": envelope.alert_messages(changed(RESOLVED, 42, stream=STREAM), ORIGIN)[0],
        "alert-evidence-cut": envelope.alert_messages(changed(cut, 43, stream=STREAM), ORIGIN)[0],
        "heartbeat": presence.heartbeat(LIFE, 3, BEAT, 10, NOON_NS),
        "dropped": envelope.dropped_message(
            ORIGIN, BOOT, first=3, last=9, count=5, reason="outbox full", wall_ns=NOON_NS, stream=STREAM
        ),
        "dropped-ranges": envelope.dropped_message(
            ORIGIN,
            BOOT,
            first=3,
            last=9,
            count=3,
            reason="no longer kept",
            wall_ns=NOON_NS,
            spans=((3, 4), (9, 9)),
            stream=STREAM,
        ),
        "reply": acks.reply(ORIGIN, BOOT, "reply/pager/7", reason=None, standing=STANDING, wall_ns=NOON_NS),
    }
