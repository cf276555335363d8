"""What a broker's refusal means and what to do about it (MQTT 5.0, section 2.4)."""

from typing import Final

from tocsin.errors import BrokerError
from tocsin.secret import redact

SUCCESS: Final = 0x00
DISCONNECT_WITH_WILL: Final = 0x04
NO_MATCHING_SUBSCRIBERS: Final = 0x10
FIRST_ERROR: Final = 0x80
NOT_AUTHORIZED: Final = 0x87
KEEP_ALIVE_TIMEOUT: Final = 0x8D
SESSION_TAKEN_OVER: Final = 0x8E
TOPIC_NAME_INVALID: Final = 0x90
PACKET_TOO_LARGE: Final = 0x95
RETAIN_NOT_SUPPORTED: Final = 0x9A
QOS_NOT_SUPPORTED: Final = 0x9B

_LONGEST_DETAIL = 300

_REASONS: Final[dict[int, tuple[str, str]]] = {
    0x80: ("unspecified error", "see the broker's log"),
    0x81: ("malformed packet", "see the broker's log; is it an MQTT 5 broker?"),
    0x82: ("protocol error", "see the broker's log; is it an MQTT 5 broker?"),
    0x83: ("refused by a rule of the broker", "see the broker's log"),
    0x84: ("it does not speak MQTT 5", "use a broker that does, such as mosquitto 2"),
    0x85: ("client id not accepted", "let the broker accept this client id"),
    0x86: ("bad user name or password", "check mqtt.user and mqtt.password"),
    NOT_AUTHORIZED: ("not authorised", "check mqtt.user, mqtt.password and the broker's ACL"),
    0x88: ("the broker is unavailable", "see the broker's log"),
    0x89: ("the broker is busy", "see the broker's log"),
    0x8A: ("banned", "see the broker's configuration"),
    0x8B: ("the broker is shutting down", "start it again"),
    0x8C: ("bad authentication method", "see the broker's configuration"),
    KEEP_ALIVE_TIMEOUT: (
        "the broker heard nothing from us for too long",
        "check the load of this host and the network",
    ),
    SESSION_TAKEN_OVER: (
        "another client took over our session",
        "a second daemon runs with the same site and watchdog name: stop it or rename one",
    ),
    TOPIC_NAME_INVALID: ("topic not accepted", "see the broker's configuration"),
    0x93: ("more in flight than the broker accepts", "report this: it should not happen"),
    PACKET_TOO_LARGE: ("message too large", "raise the broker's limit on message size"),
    0x96: ("messages come too fast", "raise the broker's limit on message rate"),
    0x97: ("quota exceeded", "raise the broker's quota"),
    0x98: ("closed by an administrator", "ask who administers the broker"),
    0x99: ("payload format not accepted", "see the broker's configuration"),
    RETAIN_NOT_SUPPORTED: ("it does not retain messages", "allow retained messages at the broker"),
    QOS_NOT_SUPPORTED: ("it does not support QoS 1", "allow QoS 1 at the broker"),
    0x9C: ("use another server", "point mqtt.url at the server that is in charge"),
    0x9D: ("the server has moved", "point mqtt.url at the new server"),
    0x9F: ("connections come too fast", "raise the broker's limit on the connection rate"),
    0xA0: ("maximum connect time reached", "see the broker's configuration"),
}


class ConnectionRefused(BrokerError):  # noqa: N818 - reads as the condition
    """There is no connection, or no longer one; `reason_code` is the broker's own, where it gave one."""

    def __init__(self, url: str, what: str, hint: str, reason_code: int | None = None) -> None:
        code = "" if reason_code is None else f" (0x{reason_code:02x})"
        super().__init__(redact(f"broker {url}: {what[:_LONGEST_DETAIL]}{code}; {hint}"))
        self.reason_code = reason_code


def explain(code: int) -> tuple[str, str]:
    """Return what a reason code means and what to do about it."""
    return _REASONS.get(code, ("refused", "see the broker's log"))


def refused(url: str, code: int) -> ConnectionRefused:
    """Return the error for a connection that the broker refused or ended with this reason code."""
    what, hint = explain(code)
    return ConnectionRefused(url, what, hint, code)
