"""Whatever happens in whatever order: the core decides, counts without a gap, and ends what it began."""

from dataclasses import replace

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.chains import name
from tests.support.lengths import at_length
from tests.support.pool import settings_for

from tocsin.chain.nodelife import NodeState
from tocsin.clock import NS
from tocsin.detect.node_lag import LagParams
from tocsin.engine.codec import decode_event, decode_state, encode_event, encode_state
from tocsin.engine.lives import CLOSED_CAP
from tocsin.engine.state import EngineState
from tocsin.engine.status import status
from tocsin.engine.step import step
from tocsin.engine.trust import WINDOW
from tocsin.ids import fingerprint
from tocsin.model.alert import AlertState, Over
from tocsin.model.effect import AlertChanged, Effect, Fetch, StateChanged
from tocsin.model.event import (
    Booted,
    CalendarRevised,
    Commanded,
    ConfigRejected,
    ConfigRevised,
    Event,
    Fetched,
    Orphan,
    Polled,
    Ticked,
    Woken,
)
from tocsin.model.observation import (
    CHAIN_ID,
    FINALIZED,
    GENESIS,
    LATEST,
    SAFE,
    SYNCING,
    Fault,
    FaultKind,
    Part,
    RpcError,
    RpcErrorKind,
    hash_of,
)
from tocsin.model.settings import AlertRules, Settings
from tocsin.model.silence import Silence, Span, WeeklyWindow
from tocsin.model.trust import Trust
from tocsin.wire.envelope import Origin, render

ORIGIN = Origin(site="sim", watchdog="w")
NODES = ("n0", "n1", "n2", "n3")
CHAINS = ("sim", "other", "never")


def block(branch: str, number: int) -> bytes:
    """A header of a made-up branch; `b` and `c` leave `a` after block 20, `x` is linked to nothing."""
    below = "a" if branch in "bc" and number == 21 else branch
    return orjson.dumps(
        {
            "number": hex(number),
            "hash": name(f"{branch}/{number}"),
            "parentHash": name(f"{below}/{number - 1}"),
            "timestamp": hex(1_700_000_000 + 12 * number),
            "stateRoot": name(f"state {branch}/{number}"),
        }
    )


BY_HASH = {name(f"{branch}/{number}"): block(branch, number) for branch in "abcx" for number in range(120)}


WALL_NS = 1_700_000_500 * NS
NIGHT = WeeklyWindow(
    name="w", match="severity<=warning", by="a", reason="b", days=(0,), from_minute=0, to_minute=9, zone="UTC"
)


def silence(match: str) -> Silence:
    return Silence(id="c", match=match, by="a", reason="b", from_wall_ns=WALL_NS, until_wall_ns=WALL_NS + 600 * NS)


def variants() -> list[Settings]:
    """Configurations that add and remove nodes and chains, change an id, Params and tags."""
    base = settings_for(("a", "b", "b", "c"))
    chain = base.chains[0]
    other = replace(chain, name="other", id=7, nodes=chain.nodes[:2])
    touchy = replace(chain, detectors={"node.lag": LagParams(warning=Over(over=1), critical=None)})
    return [
        base,
        replace(base, chains=(chain, other)),
        replace(base, chains=(other,)),
        replace(base, chains=(replace(chain, nodes=chain.nodes[:1]),)),
        replace(base, chains=(replace(chain, nodes=chain.nodes[1:]), other)),
        replace(base, chains=(replace(chain, id=99),)),
        replace(base, chains=(touchy,)),
        replace(base, chains=(replace(chain, block_time_ns=NS // 10),)),
        replace(base, chains=(replace(chain, trust={"node.lag": Trust.OBSERVE, "node.unreachable": Trust.WARN}),)),
        replace(base, chains=(replace(chain, nodes=(replace(chain.nodes[0], endpoint="sim://b"), *chain.nodes[1:])),)),
        replace(base, environment="other"),
        replace(base, silences=(silence("detector=node.*"),), windows=(NIGHT,)),
        replace(base, alerts=AlertRules(flap_transitions=2, remind_info_ns=(NS,), remind_warning_ns=(NS, 60 * NS))),
        replace(base, chains=(replace(chain, keep_firing={"node.unreachable": 60 * NS}),)),
        replace(base, chains=()),
    ]


VARIANTS = variants()
texts = st.sampled_from(["", "x", "fingerprint", "0" * 32, "\u00e9"])
garbage = st.one_of(st.binary(max_size=12), st.sampled_from([b"null", b"{}", b"[]", b'"0x539"', b"false", b"1e400"]))
blocks = st.builds(block, st.sampled_from("aaaabcx"), st.integers(0, 119))
headers = st.one_of(blocks, garbage)
faults = st.builds(
    Fault,
    kind=st.sampled_from(FaultKind),
    detail=texts,
    retry_after_ns=st.none() | st.integers(0, 3600 * NS),
)
errors = st.builds(RpcError, kind=st.sampled_from(RpcErrorKind), code=st.integers(-40000, 3), message=texts)
odd_parts = st.lists(
    st.one_of(
        st.builds(Part, call=st.sampled_from([CHAIN_ID, LATEST, SAFE, SYNCING, "hash:x", ""]), result=headers),
        st.builds(Part, call=st.sampled_from([CHAIN_ID, LATEST, FINALIZED]), error=errors),
    ),
    max_size=4,
).map(tuple)
extras = st.lists(
    st.sampled_from(
        [
            Part(call=SYNCING, result=b"false"),
            Part(call=SYNCING, result=b'{"currentBlock":"0x1"}'),
            Part(call=SAFE, result=block("a", 10)),
            Part(call=FINALIZED, result=block("a", 5)),
            Part(call=FINALIZED, result=block("b", 25)),
            Part(call=GENESIS, result=block("a", 0)),
        ]
    ),
    max_size=2,
)
pauses = st.sampled_from([0, 0, 1, NS // 4, NS // 4, 2 * NS, 2 * NS, 12 * NS, 100 * NS, 3600 * NS])
wall_steps = st.sampled_from([0] * 12 + [3600 * NS, -3600 * NS, -5 * NS, 86_400 * NS])


class Engine(RuleBasedStateMachine):
    """Two cores get the same events; `twin` goes through a snapshot whenever it pleases."""

    @initialize()
    def begin(self) -> None:
        self.state = EngineState()
        self.twin = EngineState()
        self.t = 10**15
        self.wall = WALL_NS
        self.polls = dict.fromkeys(NODES, 0)
        self.fetches: list[Fetch] = []
        self.open: dict[str, int] = {}
        self.told: set[str] = set()
        self.seq = 0
        self.boots = 0
        self.boot(orphans=[])
        self.configure(VARIANTS[0])

    # -- what enters

    def take(self, event: Event) -> None:
        event = decode_event(*encode_event(event))
        done, twin = step(self.state, event), step(self.twin, event)
        again = step(self.state, event)
        assert rendered(done.effects) == rendered(again.effects) == rendered(twin.effects)
        assert again.state == done.state
        self.state, self.twin = done.state, twin.state
        for effect in done.effects:
            if isinstance(effect, AlertChanged):
                self.note(effect)
            elif isinstance(effect, Fetch):
                self.fetches.append(effect)

    def note(self, effect: AlertChanged) -> None:
        alert, key = effect.alert, effect.alert.fingerprint
        self.seq += 1
        assert effect.seq == self.seq, "seq is contiguous"
        assert key == fingerprint(alert.detector, alert.labels)
        if alert.reason == "fired":
            assert key not in self.open, "an open alert does not fire again"
        elif alert.reason == "state-lost" or (alert.reason == "unconfigured" and key in self.told):
            self.open.setdefault(key, alert.activation)
        assert self.open.setdefault(key, alert.activation) == alert.activation
        assert alert.count >= 1
        if alert.state is AlertState.RESOLVED:
            del self.open[key]

    @rule(node=st.sampled_from(NODES), number=st.integers(0, 119), branch=st.sampled_from("aaaaabcx"), extras=extras)
    def answers(self, node: str, number: int, branch: str, extras: list[Part]) -> None:
        parts = (Part(call=CHAIN_ID, result=b'"0x539"'), Part(call=LATEST, result=block(branch, number)), *extras)
        self.poll("sim", node, parts=parts)

    @rule(number=st.integers(0, 119), spread=st.lists(st.integers(0, 3), min_size=4, max_size=4))
    def all_answer(self, number: int, spread: list[int]) -> None:
        for node, less in zip(NODES, spread, strict=True):
            result = block("a", max(0, number - less))
            self.poll("sim", node, parts=(Part(call=CHAIN_ID, result=b'"0x539"'), Part(call=LATEST, result=result)))

    @rule(
        chain=st.sampled_from(CHAINS), node=st.sampled_from([*NODES, "ghost"]), parts=odd_parts, stalled=st.booleans()
    )
    def answers_oddly(self, chain: str, node: str, parts: tuple[Part, ...], stalled: bool) -> None:  # noqa: FBT001
        self.poll(chain, node, parts=parts, stalled=stalled)

    @rule(chain=st.sampled_from(CHAINS), node=st.sampled_from(NODES), fault=faults, times=st.integers(1, 6))
    def fails(self, chain: str, node: str, fault: Fault, times: int) -> None:
        for _ in range(times):
            self.poll(chain, node, fault=fault)

    def poll(
        self,
        chain: str,
        node: str,
        *,
        parts: tuple[Part, ...] = (),
        fault: Fault | None = None,
        stalled: bool = False,
    ) -> None:
        self.polls[node] = number = self.polls.get(node, 0) + 1
        self.take(
            Polled(
                t_ns=self.t,
                started_ns=self.t - 10**6,
                chain=chain,
                node=node,
                poll=number,
                parts=parts,
                fault=fault,
                stalled=stalled,
            )
        )

    @rule(chain=st.sampled_from(["sim", "sim", "sim", "other", "never", ""]), pause=pauses, step_ns=wall_steps)
    def ticks(self, chain: str, pause: int, step_ns: int) -> None:
        self.t += pause
        self.wall += pause + step_ns
        self.take(Ticked(t_ns=self.t, wall_ns=self.wall, chain=chain, loop_lag_ns=pause))

    @rule(back=pauses)
    def ticks_late(self, back: int) -> None:
        self.take(Ticked(t_ns=self.t - back, wall_ns=self.wall - back, chain="sim"))

    @rule(count=st.integers(1, 12))
    def time_passes(self, count: int) -> None:
        for _ in range(count):
            self.ticks("sim", 2 * NS, 0)

    @rule(data=st.data(), honest=st.booleans(), part=st.none() | st.builds(Part, call=texts, result=headers))
    def fetched(self, data: st.DataObject, honest: bool, part: Part | None) -> None:  # noqa: FBT001
        if not self.fetches:
            return
        fetch = data.draw(st.sampled_from(self.fetches[-20:]))
        self.fetches.remove(fetch)
        wanted = BY_HASH.get(hash_of(fetch.call) or "")
        if honest and wanted is not None:
            part = Part(call=fetch.call, result=wanted)
        self.take(
            Fetched(t_ns=self.t, chain=fetch.chain, node=fetch.node, request=fetch.request, call=fetch.call, part=part)
        )

    @rule(request=st.integers(0, 50), call=st.sampled_from(["", "hash:", "hash:x", LATEST]), result=headers)
    def fetched_unasked(self, request: int, call: str, result: bytes) -> None:
        self.take(
            Fetched(
                t_ns=self.t, chain="sim", node="n0", request=request, call=call, part=Part(call=call, result=result)
            )
        )

    @rule(number=st.integers(0, 10**6))
    def woken(self, number: int) -> None:
        self.take(Woken(t_ns=self.t, chain="sim", node="n0", number=number, hash="0x"))

    @rule(orphans=st.lists(st.sampled_from(["node.lag", "node.corrupt_header", "no.such", "pool.split"]), max_size=2))
    def boot(self, orphans: list[str]) -> None:
        self.boots += 1
        self.polls = dict.fromkeys(NODES, 0)
        lost = tuple(orphan_of(detector, node) for detector in orphans for node in ("sim.n0", "sim.gone"))
        self.told |= {orphan.fingerprint for orphan in lost}
        self.take(
            Booted(t_ns=self.t, wall_ns=self.wall, boot=f"b{self.boots}", version="test", seq=self.seq, orphans=lost)
        )

    @rule(wanted=st.sampled_from(VARIANTS))
    def configure(self, wanted: Settings) -> None:
        self.take(ConfigRevised(t_ns=self.t, settings=wanted))

    @rule(problems=st.lists(texts, max_size=3).map(tuple))
    def reject(self, problems: tuple[str, ...]) -> None:
        self.take(ConfigRejected(t_ns=self.t, problems=problems))

    @rule(verb=texts, args=st.lists(st.tuples(texts, texts), max_size=3).map(tuple))
    def command(self, verb: str, args: tuple[tuple[str, str], ...]) -> None:
        self.take(Commanded(t_ns=self.t, wall_ns=self.wall, verb=verb, args=args, by="uid 0"))

    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.open) or ["none"]))
        args = (("fingerprint", key), ("why", ""))
        self.take(Commanded(t_ns=self.t, wall_ns=self.wall, verb="ack", args=args, by="uid 0"))

    @rule(
        chain=st.sampled_from(CHAINS), node=st.sampled_from(NODES), for_ns=st.sampled_from([0, 1, 60 * NS, 7200 * NS])
    )
    def maintain(self, chain: str, node: str, for_ns: int) -> None:
        args = (("chain", chain), ("for_ns", str(for_ns)), ("node", node), ("why", "disk"))
        self.take(Commanded(t_ns=self.t, wall_ns=self.wall, verb="maintenance", args=args, by="alice"))

    @rule(
        match=st.sampled_from(["detector=*", "node=n0|n1", "provider=b", "nonsense", ""]),
        for_ns=st.sampled_from([1, 60 * NS, 7 * 86_400 * NS, 8 * 86_400 * NS]),
        critical=st.sampled_from(["true", "false"]),
    )
    def silence(self, match: str, for_ns: int, critical: str) -> None:
        args = (("critical", critical), ("for_ns", str(for_ns)), ("match", match), ("why", "disk"))
        self.take(Commanded(t_ns=self.t, wall_ns=self.wall, verb="silence", args=args, by="ann"))

    @rule(number=st.integers(1, 4))
    def unsilence(self, number: int) -> None:
        self.take(Commanded(t_ns=self.t, wall_ns=self.wall, verb="unsilence", args=(("id", f"s{number}"),), by="ann"))

    @rule(since=st.integers(-60, 60), lasts=st.integers(1, 600), window=st.sampled_from(["w", "gone"]))
    def revise_the_calendar(self, since: int, lasts: int, window: str) -> None:
        begins = self.wall + since * NS
        span = Span(window=window, from_wall_ns=begins, until_wall_ns=begins + lasts * NS)
        self.take(CalendarRevised(t_ns=self.t, spans=(span,)))

    @rule()
    def restore(self) -> None:
        self.twin = decode_state(encode_state(self.twin))

    # -- what always holds

    @invariant()
    def the_twin_is_the_same(self) -> None:
        assert encode_state(self.twin) == encode_state(self.state)

    @invariant()
    def what_was_said_to_be_open_is_what_the_state_holds(self) -> None:
        scopes = (self.state.alerts, *(chain.alerts for chain in self.state.chains.values()))
        held = {
            key: tracked.activation
            for scope in scopes
            for key, tracked in scope.tracked.items()
            if tracked.state is not AlertState.PENDING
        }
        assert held == self.open

    @invariant()
    def nothing_is_kept_of_what_is_not_configured(self) -> None:
        wanted = self.state.settings
        if wanted is None:
            return
        names = {chain.name: [node.name for node in chain.nodes] for chain in wanted.chains}
        assert set(self.state.chains) == set(names)
        assert all(sorted(chain.nodes) == sorted(names[name]) for name, chain in self.state.chains.items())
        assert all(received.chain in names for received in self.state.inbox)
        assert len(self.state.published) <= sum(1 + len(nodes) for nodes in names.values())

    @invariant()
    def states_change_by_the_rules_and_maintenance_is_nobodys_business(self) -> None:
        for chain in self.state.chains.values():
            assert chain.illegal == ()
            for away in chain.maintenance:
                assert chain.lives[away].state is NodeState.MAINTENANCE
                assert not [
                    tracked.finding.detector
                    for tracked in chain.alerts.tracked.values()
                    if dict(tracked.finding.labels).get("node") == f"sim.{away}" and not tracked.finding.limits.latched
                ]
            assert len(chain.closed) <= CLOSED_CAP
            assert set(chain.doubts) <= set(chain.nodes)
            assert all(standing.checks < WINDOW for standing in chain.trust.values())

    @invariant()
    def the_status_can_be_told(self) -> None:
        told = status(self.state, self.t)
        assert told["level"] in ("ok", "warning", "critical", "unknown")
        orjson.dumps(told)

    @invariant()
    def node_states_match_what_fires(self) -> None:
        for chain in self.state.chains.values():
            for life in chain.lives.values():
                assert isinstance(life.state, NodeState)
                assert not life.flags or life.state is not NodeState.HEALTHY


def orphan_of(detector: str, node: str) -> Orphan:
    labels = (("chain", "eip155:1337"), ("environment", "test"), ("node", node))
    return Orphan(
        fingerprint=fingerprint(detector, labels),
        detector=detector,
        labels=labels,
        severity="critical",
        summary="was lost",
        activation=1,
        count=1,
        started_wall_ns=0,
    )


def rendered(effects: tuple[Effect, ...]) -> list[object]:
    return [
        [message.topic.encode() + message.payload for message in render(effect, ORIGIN, "b")]
        if isinstance(effect, AlertChanged | StateChanged)
        else effect
        for effect in effects
    ]


TestEngine = Engine.TestCase
TestEngine.settings = settings(max_examples=20, stateful_step_count=60, deadline=None)
TestEngineAtLength = at_length(Engine, examples=60, steps=60)
