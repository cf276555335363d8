"""How long until the death of a watchdog is told by another one: through the real core, in virtual time.

Two deaths. `killed`: the process dies and its socket is closed at once; the broker lets the will go after its delay.
`gone`: the whole host vanishes without a word; the broker misses it one and a half keep-alives after its last packet
(MQTT 5.0, 3.1.2.10), then the delay begins. mosquitto looks once a second in both cases. `silent`: as `gone`, at a
broker that never sends the will, so that missed heartbeats alone tell.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tocsin import __version__
from tocsin.clock import NS
from tocsin.engine.selfwatch import TICK_NS
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.model.effect import AlertChanged
from tocsin.model.event import Booted, ConfigRevised, Event, PeerHeard, PeersListened, Ticked
from tocsin.model.settings import Settings
from tocsin.mqtt.publisher import Timers
from tocsin.mqtt.settings import BrokerSettings

Death = Literal["killed", "gone", "silent"]

DEATHS: Final[tuple[Death, ...]] = ("killed", "gone", "silent")
PEER: Final = "sim/other"
_START_NS: Final = 10**15
_CALM_NS: Final = 120 * NS
_GIVE_UP_NS: Final = 120 * NS
_BROKER: Final = BrokerSettings(host="", client_id="")
_PERIOD_NS: Final = Timers().heartbeat_s * NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """When a death was told, in ns after it, None where it was not; and how many alerts came before it: none should."""

    after_ns: int | None
    early: int


def watcher_death(death: Death, seed: int) -> Seen:
    """Let a peer die at some moment between two of its heartbeats and of our ticks; return when we say so."""
    dice = random.Random(f"{death} {seed}")  # noqa: S311 - a seeded course of events
    died_ns = _START_NS + _CALM_NS + dice.randrange(_PERIOD_NS)
    state, early = EngineState(), 0
    for event in _events(death, died_ns, dice):
        done = step(state, event)
        state = done.state
        for effect in done.effects:
            if isinstance(effect, AlertChanged) and effect.alert.detector == "peer.watchdog_dead":
                if event.t_ns >= died_ns:
                    return Seen(after_ns=event.t_ns - died_ns, early=early)
                early += 1
    return Seen(after_ns=None, early=early)


def _events(death: Death, died_ns: int, dice: random.Random) -> Iterator[Event]:
    """Yield what the watchdog that stays alive takes in, in order of time."""
    unnoticed_ns = (2 * _BROKER.keepalive_s + 2) * NS
    events: list[Event] = [
        PeersListened(t_ns=_START_NS, connected=True, peers=(PEER,), unnoticed_ns=unnoticed_ns),
        PeerHeard(t_ns=_START_NS, peer=PEER, boot="b0", state="ready", kept=True),
    ]
    beats = range(_START_NS + dice.randrange(_PERIOD_NS), died_ns, _PERIOD_NS)
    events += [PeerHeard(t_ns=at, peer=PEER, boot="b0", period_ns=_PERIOD_NS) for at in beats]
    if death != "silent":
        will_ns = _will_ns(died_ns if death == "killed" else beats[-1] + _BROKER.keepalive_s * NS * 3 // 2, dice)
        events.append(PeerHeard(t_ns=will_ns, peer=PEER, boot="b0", state="lost"))
    ticks = range(_START_NS + dice.randrange(TICK_NS), died_ns + _GIVE_UP_NS, TICK_NS)
    events += [Ticked(t_ns=at, wall_ns=at, chain="") for at in ticks]
    yield Booted(t_ns=_START_NS, wall_ns=_START_NS, boot="us", version=__version__)
    yield ConfigRevised(t_ns=_START_NS, settings=_settings())
    yield from sorted(events, key=lambda event: event.t_ns)


def _will_ns(missed_ns: int, dice: random.Random) -> int:
    """Return when the broker sends the will of a client that it has missed since then."""
    return missed_ns + dice.randrange(NS) + _BROKER.will_delay_s * NS + dice.randrange(NS)


def _settings() -> Settings:
    return Settings(site="sim", watchdog="w", environment="sim", config_hash="", chains=(), peers=(PEER,))
