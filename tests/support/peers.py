"""A watchdog that watches others, in virtual time: what it hears of them goes through the real core."""

from dataclasses import dataclass, field, replace

from tests.support.pool import settings_for

from tocsin.clock import NS
from tocsin.engine.codec import decode_event, decode_state, encode_event, encode_state
from tocsin.engine.peers import rows
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.model.alert import Alert
from tocsin.model.effect import AlertChanged
from tocsin.model.event import Booted, ConfigRevised, Event, PeerHeard, PeersListened, Ticked
from tocsin.model.settings import Settings

PEER = "ams/host-b"
WATCHING = replace(settings_for(("a", "b")), peers=(PEER,))
UNNOTICED_NS = 22 * NS


@dataclass
class Watcher:
    """Ticks once a second; `beats` says which life of the peer beats, and every how many seconds."""

    settings: Settings = WATCHING
    t_s: float = 1000.0
    beats: dict[str, int] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)
    state: EngineState = field(default_factory=EngineState)

    def __post_init__(self) -> None:
        self.boot("us0")

    def boot(self, boot: str) -> None:
        """Begin a life, without a connection yet."""
        self.state = decode_state(encode_state(self.state))
        self.take(Booted(t_ns=self.now, wall_ns=self.now, boot=boot, version="test"))
        self.take(ConfigRevised(t_ns=self.now, settings=self.settings))

    @property
    def now(self) -> int:
        return int(self.t_s * NS)

    def take(self, event: Event) -> None:
        record, bodies = encode_event(event)
        done = step(self.state, decode_event(record, bodies))
        self.state = done.state
        self.alerts += [effect.alert for effect in done.effects if isinstance(effect, AlertChanged)]

    def connect(self) -> None:
        peers = self.settings.peers
        self.take(PeersListened(t_ns=self.now, connected=True, peers=peers, unnoticed_ns=UNNOTICED_NS))

    def disconnect(self) -> None:
        self.take(PeersListened(t_ns=self.now, connected=False))

    def status(self, state: str, boot: str = "b0", *, kept: bool = False) -> None:
        self.take(PeerHeard(t_ns=self.now, peer=PEER, boot=boot, state=state, kept=kept))

    def beat(self, boot: str = "b0", period_s: int = 10) -> None:
        self.take(PeerHeard(t_ns=self.now, peer=PEER, boot=boot, period_ns=period_s * NS))

    def run(self, seconds: float) -> None:
        """Let time pass, with a tick each second and the heartbeats that are due."""
        end_s = self.t_s + seconds
        while self.t_s < end_s:
            self.t_s += 1
            for boot, period_s in self.beats.items():
                if self.t_s % period_s == 0:
                    self.beat(boot, period_s)
            self.tick()

    def tick(self) -> None:
        self.take(Ticked(t_ns=self.now, wall_ns=self.now, chain=""))

    @property
    def said(self) -> list[tuple[str, str]]:
        """What was published of the peer: state and severity."""
        return [
            (alert.state.value, alert.severity.value) for alert in self.alerts if alert.detector == "peer.watchdog_dead"
        ]

    @property
    def shown(self) -> object:
        """The peer's state as the status shows it."""
        return rows(self.state, self.now)[0]["state"]


def settled() -> Watcher:
    """Return a watcher that has heard the peer for a minute."""
    watcher = Watcher(beats={"b0": 10})
    watcher.connect()
    watcher.status("ready", kept=True)
    watcher.run(60)
    assert watcher.shown == "alive"
    return watcher
