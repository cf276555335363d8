"""An in-memory bus: what a publisher would have sent to a broker, without a broker."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tocsin.errors import BrokerError, PublishRefused

_NOT_AUTHORIZED: Final = 0x87
"""MQTT 5.0, 3.4.2.1: PUBACK reason code "Not authorized"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One accepted publish. `expiry_s` in seconds; None where the publisher gave none."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    expiry_s: int | None
    content_type: str | None


class MemoryBus:
    """Takes publishes as a broker does: keeps retained ones, refuses topics, goes down and comes back."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        """Everything accepted, in order."""
        self.retained: dict[str, Message] = {}
        self.attempts = 0
        """Publishes tried, refused ones included."""
        self._refused: tuple[str, ...] = ()
        self._down = False

    def go_down(self) -> None:
        """Answer nothing any more; retained messages survive, as on a broker with persistence."""
        self._down = True

    def come_up(self) -> None:
        """Answer again."""
        self._down = False

    def refuse(self, *filters: str) -> None:
        """Refuse these topics from now on, and no others; `#` at the end stands for all below."""
        self._refused = filters

    def on(self, topic_filter: str) -> list[Message]:
        """Return the accepted messages on a topic, or on all below it with `/#` at the end."""
        return [message for message in self.messages if _matches(message.topic, (topic_filter,))]

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        expiry_s: int | None = None,
        content_type: str | None = None,
    ) -> None:
        """Accept one message. Raises PublishRefused for a refused topic, BrokerError while down."""
        self.attempts += 1
        if self._down:
            raise BrokerError("the bus is down")
        if _matches(topic, self._refused):
            raise PublishRefused(topic, _NOT_AUTHORIZED, "Not authorized")
        message = Message(
            topic=topic, payload=payload, qos=qos, retain=retain, expiry_s=expiry_s, content_type=content_type
        )
        self.messages.append(message)
        if retain:
            self._retain(message)

    def _retain(self, message: Message) -> None:
        # MQTT 5.0, 3.3.1.3: an empty retained payload removes what was retained.
        if message.payload:
            self.retained[message.topic] = message
        else:
            self.retained.pop(message.topic, None)


def _matches(topic: str, filters: Iterable[str]) -> bool:
    return any(
        topic == wanted or (wanted.endswith("#") and f"{topic}/".startswith(wanted.removesuffix("#")))
        for wanted in filters
    )
