"""A simulated pool watched by the real engine, with the shipped configuration, at the daemon's own polls and ticks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from tocsin import __version__
from tocsin.clock import MS, NS
from tocsin.config.documents import Document
from tocsin.config.load import settle
from tocsin.config.problems import Problems
from tocsin.config.registry import registry_of
from tocsin.config.secrets import Sources
from tocsin.detect import REGISTRY
from tocsin.engine.cadence import Cadence, followed
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.model.alert import Alert
from tocsin.model.effect import AlertChanged, Fetch, Pace
from tocsin.model.event import Booted, ConfigRevised, Event, Fetched, Polled, Ticked
from tocsin.model.observation import Fault, FaultKind, Part, hash_of, number_of, singles
from tocsin.model.settings import Settings
from tocsin.testing.simstream import Shown, SimStream, StreamedNode, StreamNode, StreamSpec

CHAIN: Final = "ethereum"
_START_NS: Final = 10**15
_FETCH_NS: Final = 60 * MS
"""A question and its answer."""
_GONE: Final = Fault(kind=FaultKind.MALFORMED, detail="no such block")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A node of the pool: whose it is, what it runs, how it behaves."""

    node: StreamNode
    own: bool
    provider: str
    client: str


def settings_of(members: Sequence[Member], profile: str = CHAIN) -> Settings:
    """Return the shipped configuration for a pool on a chain with a shipped profile."""
    nodes = [
        {
            "name": member.node.name,
            "url": f"http://{member.node.name}.invalid",
            "own": member.own,
            "provider": member.provider,
            "client": member.client,
        }
        for member in members
    ]
    data: dict[str, Any] = {
        "schema": 1,
        "watchdog": {"site": "sim", "name": "watchdog", "environment": "sim"},
        "chain": [{"name": CHAIN, "profile": profile, "node": nodes}],
    }
    document = Document(data=data, files=["detection"])
    sources = Sources(environ={}, folder=Path(), required=False)
    return settle(document, sources, Problems(), registry=registry_of(REGISTRY)).settings


@dataclass(slots=True)
class Watch:
    """One pool under the engine, its nodes polled when the engine wants them polled, as the prober does it.

    `round` lets one poll interval pass; `said` hears of each alert that fires or gets worse.
    """

    members: Sequence[Member]
    spec: StreamSpec
    settings: Settings
    said: Callable[[int, Alert], None] = lambda _t, _alert: None
    looked: Callable[["Watch"], None] = lambda _watch: None
    """Called after every tick of the chain."""
    stream: SimStream = field(init=False)
    state: EngineState = field(default_factory=EngineState)
    now_ns: int = _START_NS
    polls: int = 0
    """Poll intervals that have passed."""
    asked: dict[str, int] = field(default_factory=dict)
    """Polls of each node that were started."""
    answered: dict[str, int] = field(default_factory=dict)
    """Polls of each node that came back, with an answer or without."""
    _pace: Pace | None = None
    _own: frozenset[str] = frozenset()
    _starts: dict[str, int] = field(default_factory=dict)
    """A change of pace never brings two polls closer than a quarter of the interval, as with the prober."""
    _slots: dict[str, int] = field(default_factory=dict)
    _sought: list[Fetch] = field(default_factory=list)
    _late: list[Polled | Fetched] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stream = SimStream(self.spec, [member.node for member in self.members], epoch_ns=self.now_ns)
        self._own = frozenset(member.node.name for member in self.members if member.own)
        self.take(Booted(t_ns=self.now_ns, wall_ns=self.wall_ns, boot="sim", version=__version__))
        self.take(ConfigRevised(t_ns=self.now_ns, settings=self.settings))

    @property
    def wall_ns(self) -> int:
        """Wall time now."""
        return self.stream.wall_ns(self.now_ns)

    def take(self, event: Event) -> None:
        """Let the engine decide one event."""
        if isinstance(event, Polled):
            self.answered[event.node] = event.poll
        done = step(self.state, event)
        self.state = done.state
        for effect in done.effects:
            if isinstance(effect, Fetch):
                self._sought.append(effect)
            elif isinstance(effect, Pace):
                self._pace = effect
            elif isinstance(effect, AlertChanged) and effect.alert.reason in ("fired", "raised"):
                self.said(self.now_ns, effect.alert)

    def round(self) -> None:
        """Poll the nodes that are due, tick as the daemon does when something came in, until the interval is over."""
        chain = self.settings.chains[0]
        begin, end = self.now_ns, self.now_ns + chain.poll_ns
        self.polls += 1
        answers = sorted(self._polled(begin, end), key=attrgetter("t_ns"))
        coming: list[Polled | Fetched] = list(merge(self._late, answers, key=attrgetter("t_ns")))
        self._late = []
        self.now_ns = begin
        ticked = False
        while self.now_ns < end:
            self.now_ns += chain.tick_ns
            at = 0
            while at < len(coming) and coming[at].t_ns <= self.now_ns:
                self.take(coming[at])
                at += 1
            del coming[:at]
            if self.state.inbox or (self.now_ns >= end and not ticked):
                self.take(Ticked(t_ns=self.now_ns, wall_ns=self.wall_ns, chain=CHAIN))
                self.looked(self)
                ticked = True
                coming = sorted([*coming, *self._answered()], key=attrgetter("t_ns"))
            if (self.now_ns - _START_NS) % NS == 0:
                self.take(Ticked(t_ns=self.now_ns, wall_ns=self.wall_ns, chain=""))
        self._late = coming

    def _polled(self, begin: int, end: int) -> Iterator[Polled]:
        """Yield what the polls give that start in an interval: one of each node at most."""
        chain = self.settings.chains[0]
        due = sorted((self._cadence(name).after(begin - 1), name) for name in self.stream.nodes)
        for at, name in due:
            if at < end and at - self._starts.get(name, 0) >= chain.poll_ns // 4:
                self._starts[name] = at
                self.stream.grow(at)
                count = self.asked[name] = self.asked.get(name, 0) + 1
                slot, before = at // chain.block_time_ns, self._slots.get(name)
                self._slots[name] = slot
                yield self.stream.nodes[name].polled(at, count, with_slot=slot != before)

    def _cadence(self, name: str) -> Cadence:
        chain = self.settings.chains[0]
        return followed(
            self._pace, chain.name, name, own=name in self._own, poll_ns=chain.poll_ns, slot_ns=chain.block_time_ns
        )

    def _answered(self) -> Iterator[Fetched]:
        for effect in self._sought:
            node = self.stream.nodes[effect.node]
            parts = [] if node.down or node.hung else self._parts(effect, node)
            part = parts[0] if len(parts) == 1 else None
            yield Fetched(
                t_ns=self.now_ns + _FETCH_NS,
                chain=CHAIN,
                node=effect.node,
                request=effect.request,
                call=effect.call,
                part=part,
                fault=None if parts else _GONE,
                run=tuple(parts) if part is None else (),
            )
        self._sought.clear()

    def _parts(self, effect: Fetch, node: StreamedNode) -> list[Part]:
        """Return what the node answers, as far as it knows the blocks."""
        found = [(call, self._block(call, node)) for call in singles(effect.call)]
        return [Part(call=call, result=block.latest.result) for call, block in found if block is not None]

    def _block(self, call: str, node: StreamedNode) -> Shown | None:
        """Return the block that is asked for, by its hash or as the node has it at a height."""
        wanted, number = hash_of(call), number_of(call)
        if wanted is not None:
            return self.stream.by_hash(wanted)
        return self.stream.at(number, node.line) if number is not None else None


def subject_of(alert: Alert) -> str:
    """Return the name of the node that an alert is about; empty for the chain and the watchdog."""
    return dict(alert.labels).get("node", "").partition(".")[2]
