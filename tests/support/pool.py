"""A pool of simulated nodes driven through the real codec and the real engine in virtual time, without sockets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tocsin.clock import NS
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.model.alert import Alert
from tocsin.model.effect import AlertChanged, Effect, Fetch
from tocsin.model.event import Booted, ConfigRevised, Event, Fetched, Polled, Ticked
from tocsin.model.observation import CHAIN_ID, FINALIZED, LATEST, SAFE, SYNCING, Fault
from tocsin.model.reading import requests
from tocsin.model.settings import ChainSettings, NodeSettings, Settings
from tocsin.testing import ChainSpec, ManualClock, SimChain, SimNode
from tocsin.wire.jsonrpc import encode, split

Answer = Callable[[SimNode, bytes], bytes | Fault]


def healthy(node: SimNode, request: bytes) -> bytes | Fault:
    return node.answer(request)


def settings_for(
    providers: Sequence[str], *, slot_s: int = 12, poll_s: float = 2, own: Sequence[int] = (0,), **params: object
) -> Settings:
    """One chain; node n0, n1, ... of the given providers."""
    nodes = tuple(
        NodeSettings(
            name=f"n{at}",
            id=f"sim.n{at}",
            endpoint="sim://",
            own=at in own,
            provider=provider,
            operator=provider,
            client="sim",
            region="",
            host=f"h{at}",
        )
        for at, provider in enumerate(providers)
    )
    chain = ChainSettings(
        name="sim",
        id=1337,
        block_time_ns=slot_s * NS,
        poll_ns=int(poll_s * NS),
        tick_ns=NS // 4,
        vote_by=("provider", "operator"),
        nodes=nodes,
        detectors=params,
    )
    return Settings(site="sim", watchdog="w", environment="test", config_hash="0", chains=(chain,))


@dataclass
class Pool:
    """Polls all nodes at the same instants, ticks a moment later, keeps every event and every alert."""

    settings: Settings
    spec: ChainSpec = field(default_factory=ChainSpec)
    delays_ns: Sequence[int] = ()
    keep_events: bool = False
    late_ticks: int = 1
    """Empty ticks between two polls."""
    allows_illegal = False
    """Whether a node's state may change as no rule allows."""

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        self.build()
        names = [node.name for node in self.settings.chains[0].nodes]
        self.answers: dict[str, Answer] = dict.fromkeys(names, healthy)
        self.polls = 0
        self.state = EngineState()
        self.alerts: list[Alert] = []
        self.effects: list[Effect] = []
        self.events: list[Event] = []
        self.pending: list[Fetch] = []
        self.asked: list[Fetch] = []
        self.take(Booted(t_ns=self.now, wall_ns=self.clock.wall_ns(), boot="b0", version="test"))
        self.take(ConfigRevised(t_ns=self.now, settings=self.settings))

    def build(self) -> None:
        """Make the chain and the nodes."""
        self.chain = SimChain(self.clock, self.spec)
        names = [node.name for node in self.settings.chains[0].nodes]
        delays = list(self.delays_ns) or [500_000_000 + 100_000_000 * at for at in range(len(names))]
        self.nodes = {
            name: SimNode(self.chain, name=name, delay_ns=delay) for name, delay in zip(names, delays, strict=True)
        }

    @property
    def now(self) -> int:
        return self.clock.monotonic_ns() + 10**15

    def take(self, event: Event) -> None:
        if self.keep_events:
            self.events.append(event)
        done = step(self.state, event)
        self.state = done.state
        illegal = [move for chain in done.state.chains.values() for move in chain.illegal]
        assert self.allows_illegal or not illegal, illegal
        self.effects += done.effects if self.keep_events else ()
        for effect in done.effects:
            if isinstance(effect, AlertChanged):
                self.alerts.append(effect.alert)
            elif isinstance(effect, Fetch):
                self.pending.append(effect)
                self.asked.append(effect)

    def round(self) -> None:
        """One poll of every node, the tick after it, and the answers to what was fetched."""
        chain = self.settings.chains[0]
        self.polls += 1
        slot = self.polls % max(1, chain.block_time_ns // chain.poll_ns) == 1
        calls = (CHAIN_ID, LATEST, *((SAFE, FINALIZED, SYNCING) if slot else ()))
        for name in self.nodes:
            self.take(self._poll(name, calls))
        self.tick()
        for effect in self.pending[:]:
            self.pending.remove(effect)
            self.take(self._fetch(effect))
        for _ in range(self.late_ticks):
            self.clock.advance(ns=chain.poll_ns // (self.late_ticks + 1))
            self.tick()
        self.clock.advance(ns=chain.poll_ns - self.late_ticks * (chain.poll_ns // (self.late_ticks + 1)))

    def rounds(self, count: int) -> None:
        for _ in range(count):
            self.round()

    def tick(self) -> None:
        self.take(Ticked(t_ns=self.now, wall_ns=self.clock.wall_ns(), chain="sim"))

    def _ask(self, name: str, calls: tuple[str, ...]) -> object:
        got = self.answers[name](self.nodes[name], encode(calls, batch=True))
        return got if isinstance(got, Fault) else split(got, calls)

    def _poll(self, name: str, calls: tuple[str, ...]) -> Polled:
        got = self._ask(name, calls)
        blank = Polled(t_ns=self.now, started_ns=self.now - 10**6, chain="sim", node=name, poll=self.polls)
        if isinstance(got, Fault):
            return replace(blank, fault=got)
        assert isinstance(got, tuple)
        return replace(blank, parts=got)

    def _fetch(self, effect: Fetch) -> Fetched:
        got = self._ask(effect.node, requests(effect.call))
        blank = Fetched(t_ns=self.now, chain="sim", node=effect.node, request=effect.request, call=effect.call)
        if isinstance(got, Fault):
            return replace(blank, fault=got)
        assert isinstance(got, tuple)
        return replace(blank, part=got[0]) if len(got) == 1 else replace(blank, run=got)

    def said(self) -> list[tuple[str, str, str]]:
        """Detector, node (or chain) and state of every alert so far, in order."""
        return [
            (alert.detector, dict(alert.labels).get("node", "sim").removeprefix("sim."), alert.state.value)
            for alert in self.alerts
        ]
