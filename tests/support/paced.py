"""A pool that is polled as the prober polls it: at the instants that the engine asks for."""

from dataclasses import dataclass, field, replace

from tests.support.ticking import Ticking

from tocsin.clock import NS
from tocsin.engine.cadence import followed
from tocsin.model.effect import Effect, Pace
from tocsin.model.event import Event
from tocsin.model.observation import CHAIN_ID, FINALIZED, LATEST, SAFE, SYNCING
from tocsin.model.settings import Settings


def with_slots(settings: Settings) -> Settings:
    """The same pool on a chain that has a slot clock; the simulated one's slots are multiples of its block time."""
    return replace(settings, chains=(replace(settings.chains[0], genesis_time_s=1_700_000_000 % 12),))


@dataclass
class Paced(Ticking):
    """`started` has the instants at which each node was polled."""

    started: dict[str, list[int]] = field(default_factory=dict)
    paces: list[Pace] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keep_events = True
        super().__post_init__()

    def take(self, event: Event) -> None:
        told = len(self.effects)
        super().take(event)
        fresh: list[Effect] = self.effects[told:]
        self.paces += [effect for effect in fresh if isinstance(effect, Pace)]
        self.events.clear()
        self.effects.clear()

    @property
    def owned(self) -> set[str]:
        return {node.name for node in self.settings.chains[0].nodes if node.own}

    def due(self, name: str) -> bool:
        """Whether an instant of the node lies in the tick that ends now."""
        chain = self.settings.chains[0]
        pace = self.paces[-1] if self.paces else None
        cadence = followed(
            pace, chain.name, name, own=name in self.owned, poll_ns=chain.poll_ns, slot_ns=chain.block_time_ns
        )
        return cadence.at_or_before(self.now) > self.now - chain.tick_ns

    def run(self, seconds: float) -> None:
        """Let time pass tick by tick."""
        chain = self.settings.chains[0]
        for _ in range(round(seconds * NS) // chain.tick_ns):
            self.polls += 1
            slot = self.polls % (chain.block_time_ns // chain.tick_ns) < chain.poll_ns // chain.tick_ns
            for name in self.nodes:
                if self.due(name):
                    calls = (CHAIN_ID, LATEST, *((SAFE, FINALIZED, SYNCING) if slot else ()))
                    self.started.setdefault(name, []).append(self.now)
                    self.take(self._poll(name, calls))
            self.tick()
            self._answer_fetches()
            self.clock.advance(ns=chain.tick_ns)
