"""How to reach the broker."""

from dataclasses import dataclass
from pathlib import Path

from tocsin.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """One MQTT 5 broker and who we are to it. Paths are PEM files; they are read anew for each connection."""

    host: str
    port: int = 1883
    client_id: str
    """The publisher adds the boot id: a second daemon of our name is seen, and not kicked out."""
    tls: bool = False
    user: str | None = None
    password: Secret | None = None
    ca: Path | None = None
    """Who signed the broker's certificate; None trusts what the host trusts."""
    cert: Path | None = None
    key: Path | None = None
    keepalive_s: int = 10
    will_delay_s: int = 8
    """How long the broker waits before it calls us lost: longer than one reconnect, and short enough for our peers to
    know of our death within 30 s (see `tocsin.lab.detection.watchers`)."""
    session_s: int | None = None
    """How long the broker keeps what comes for us while we are away; each message is then ours to confirm. None: every
    connection begins anew."""
    connect_timeout_s: float = 10.0
    """For everything from the name look-up to the broker's answer, and for the answer to each publish."""

    @property
    def url(self) -> str:
        """The broker as a message may name it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"
