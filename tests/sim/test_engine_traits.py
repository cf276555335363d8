"""What nodes say of themselves and how they answer, through the whole core: each fault, all its alerts, and its end."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support.pool import Pool, healthy, settings_for

from tocsin.chain.nodelife import NodeState
from tocsin.clock import NS
from tocsin.detect.advisories import Advisory, Harm
from tocsin.detect.node_vulnerable import VulnerableParams
from tocsin.engine.codec import decode_event, decode_state, encode_event, encode_state
from tocsin.model.event import ConfigRevised, Polled, Woken
from tocsin.model.observation import FINALIZED, LATEST, Fault, FaultKind
from tocsin.model.question import CLIENT_VERSION, PEERS, TXPOOL
from tocsin.model.settings import Settings
from tocsin.model.trust import Trust
from tocsin.testing import ChainSpec, SimNode

OWN = (0, 1)
EARNING = (
    "mempool.anomaly",
    "node.balancer_skew",
    "node.depth_lost",
    "node.errors",
    "node.latency",
    "node.tag_order",
    "node.ws_deaf",
)


def believed(settings: Settings, *, ws: bool = False) -> Settings:
    """The same pool with its detectors believed from the start; with `ws`, node n0 has a websocket."""
    [chain] = settings.chains
    nodes = (replace(chain.nodes[0], ws=ws), *chain.nodes[1:])
    return replace(settings, chains=(replace(chain, nodes=nodes, trust=dict.fromkeys(EARNING, Trust.ENFORCE)),))


class Talking(Pool):
    """A pool whose nodes are asked the slow questions once a minute, and whose n0 may be slow or announce heads."""

    latency_ns = 10**6
    announces = False
    disordered = ""
    """The node, if any, that calls its head final."""

    def _poll(self, name: str, calls: tuple[str, ...]) -> Polled:
        slow = self.polls % 30 == 2
        asked = (CLIENT_VERSION, PEERS, TXPOOL) if name in ("n0", "n1") else (CLIENT_VERSION,)
        event = super()._poll(name, (*calls, *asked) if slow else calls)
        if name == self.disordered:
            latest = next(part.result for part in event.parts if part.call == LATEST)
            event = replace(
                event,
                parts=tuple(replace(part, result=latest) if part.call == FINALIZED else part for part in event.parts),
            )
        return replace(event, started_ns=self.now - self.latency_ns) if name == "n0" else event

    def round(self) -> None:
        head = self.nodes["n0"].view.head()
        if self.announces:
            self.take(Woken(t_ns=self.now, chain="sim", node="n0", number=head.number, hash=head.hash))
        super().round()

    def minutes(self, count: float) -> None:
        self.rounds(round(count * 30))

    def fired(self) -> set[tuple[str, str, str]]:
        return {
            (alert.detector, dict(alert.labels).get("node", "sim").removeprefix("sim."), alert.severity.value)
            for alert in self.alerts
            if alert.reason in ("fired", "raised")
        }

    def closed(self) -> bool:
        newest = {(detector, node): state for detector, node, state in self.said()}
        return set(newest.values()) <= {"resolved"}


def talking(*, ws: bool = False) -> Talking:
    settings = believed(settings_for(("self", "self", "x", "y"), own=OWN), ws=ws)
    pool = Talking(settings, spec=ChainSpec(history=400, transactions=2), late_ticks=0)
    for name, client in zip(pool.nodes, ("Geth/v1.16.8-a", "besu/v25.9.0", "reth/v1.9.3", "erigon/3.2.2"), strict=True):
        pool.nodes[name].client = client
    return pool


@pytest.fixture
def pool() -> Talking:
    return talking()


@pytest.mark.parametrize("minutes", [20, pytest.param(75, marks=pytest.mark.slow)])
def test_a_pool_that_is_well_says_nothing_and_costs_nothing_in_state(pool: Talking, minutes: int) -> None:
    pool.minutes(minutes)
    assert pool.said() == []
    assert {life.state for life in pool.state.chains["sim"].lives.values()} == {NodeState.HEALTHY}
    assert len(encode_state(pool.state)) < 400_000


def test_an_own_node_that_loses_its_peers_is_named_and_one_of_others_is_not(pool: Talking) -> None:
    pool.minutes(2)
    pool.nodes["n0"].peers = 0
    pool.nodes["n2"].peers = 0
    pool.minutes(2)
    assert pool.fired() == {("node.peers_low", "n0", "warning")}
    assert pool.state.chains["sim"].lives["n0"].state is NodeState.DEGRADED
    pool.nodes["n0"].peers = 30
    pool.minutes(4)
    assert pool.closed()


def test_two_peers_are_too_few_after_two_minutes_only(pool: Talking) -> None:
    pool.minutes(2)
    pool.nodes["n0"].peers = 2
    pool.minutes(2)
    assert pool.said() == []
    pool.minutes(2)
    assert pool.fired() == {("node.peers_low", "n0", "warning")}


def test_another_version_is_told_once_leaves_the_node_well_and_waits_to_be_acknowledged(pool: Talking) -> None:
    pool.minutes(2)
    pool.nodes["n1"].client = "besu/v25.11.0"
    pool.minutes(5)
    assert pool.said() == [("node.version_change", "n1", "firing")]
    assert pool.state.chains["sim"].lives["n1"].state is NodeState.HEALTHY


def test_a_version_with_a_known_defect_is_as_grave_as_the_defect(pool: Talking) -> None:
    pool.minutes(2)
    pool.nodes["n2"].client = "reth/v1.6.0-a"
    pool.nodes["n0"].client = "Geth/v1.10.7-stable"
    pool.minutes(2)
    assert ("node.vulnerable", "n0", "critical") in pool.fired()
    assert not any(node == "n2" and detector == "node.vulnerable" for detector, node, _ in pool.fired())
    pool.nodes["n0"].client = "Geth/v1.16.9-stable"
    pool.minutes(2)
    assert ("node.vulnerable", "n0", "resolved") in pool.said()


def test_one_client_for_all_is_a_monoculture_after_ten_minutes(pool: Talking) -> None:
    for node in pool.nodes.values():
        node.client = "Geth/v1.16.8-stable"
    pool.minutes(8)
    assert pool.said() == []
    pool.minutes(6)
    assert pool.fired() == {("pool.monoculture", "sim", "warning")}


def flaky(pool: Talking, well: Callable[[int], bool]) -> Callable[[SimNode, bytes], bytes | Fault]:
    def answer(node: SimNode, request: bytes) -> bytes | Fault:
        return healthy(node, request) if well(pool.polls) else Fault(kind=FaultKind.RESET, detail="x")

    return answer


def test_a_flaky_node_is_told_from_a_dead_one_and_from_one_that_came_back(pool: Talking) -> None:
    pool.minutes(1)
    pool.answers["n2"] = flaky(pool, lambda poll: poll % 20 < 8)
    pool.answers["n3"] = flaky(pool, lambda _: False)
    pool.minutes(3)
    fired = {(detector, node) for detector, node, _ in pool.fired()}
    assert ("node.unreachable", "n3") in fired
    assert ("node.errors", "n3") not in fired
    assert fired & {("node.errors", "n2"), ("node.unreachable", "n2")}
    before = len(pool.alerts)
    pool.answers["n3"] = healthy
    pool.minutes(2)
    assert {alert.detector for alert in pool.alerts[before:] if "n3" in str(alert.labels)} == {"node.unreachable"}


def test_an_outage_with_an_answer_in_between_is_told_of_once(pool: Talking) -> None:
    pool.minutes(1)
    began = pool.polls
    pool.answers["n2"] = flaky(pool, lambda poll: (poll - began) % 7 == 6 or poll - began > 20)
    pool.minutes(3)
    assert {detector for detector, node, _ in pool.fired() if node == "n2"} == {"node.unreachable"}
    assert pool.closed()


def test_a_node_with_every_second_question_failing_is_flaky_not_unreachable(pool: Talking) -> None:
    pool.minutes(1)
    pool.answers["n2"] = flaky(pool, lambda poll: poll % 9 in (0, 2, 4, 6))
    pool.minutes(2)
    assert ("node.errors", "n2", "warning") in pool.fired() or ("node.unreachable", "n2", "info") in pool.fired()
    pool.answers["n2"] = healthy
    pool.minutes(4)
    assert pool.closed()


def test_a_slow_node_is_named_when_the_others_are_quick(pool: Talking) -> None:
    pool.minutes(1)
    pool.latency_ns = 4 * NS
    pool.minutes(2)
    assert pool.fired() == {("node.latency", "n0", "info")}
    assert pool.state.chains["sim"].lives["n0"].state is NodeState.HEALTHY
    pool.latency_ns = 12 * NS
    pool.minutes(2)
    assert ("node.latency", "n0", "warning") in pool.fired()
    pool.latency_ns = 10**6
    pool.minutes(5)
    assert pool.closed()


def test_two_nodes_behind_one_address_are_seen_by_their_steps_back(pool: Talking) -> None:
    pool.minutes(1)
    late = SimNode(pool.chain, name="late", delay_ns=14 * NS)
    pool.answers["n3"] = lambda node, request: (late if pool.polls % 2 else node).answer(request)
    pool.minutes(2)
    assert pool.fired() == {("node.balancer_skew", "n3", "info")}
    pool.answers["n3"] = healthy
    pool.minutes(7)
    assert pool.closed()


def behind_a_balancer(pool: Talking) -> None:
    """Let n3 be two machines that answer in turn, also when it is asked for its tags."""
    late = SimNode(pool.chain, name="late", delay_ns=27 * NS)
    late.client = pool.nodes["n3"].client
    pool.answers["n3"] = lambda node, request: (late if (pool.polls + pool.polls // 6) % 2 else node).answer(request)


def test_tags_that_a_balancer_breaks_are_the_balancer_s_alone(pool: Talking) -> None:
    pool.minutes(1)
    behind_a_balancer(pool)
    fell = 0
    for _ in range(300):
        pool.round()
        fell += bool(pool.state.chains["sim"].nodes["n3"].tag_fall)
    assert fell > 100
    assert pool.fired() == {("node.balancer_skew", "n3", "info")}


def test_a_balancer_mutes_tags_also_while_its_own_detector_is_on_trial() -> None:
    settings = believed(settings_for(("self", "self", "x", "y"), own=OWN))
    [chain] = settings.chains
    on_trial = replace(chain, trust={**chain.trust, "node.balancer_skew": Trust.OBSERVE})
    pool = Talking(replace(settings, chains=(on_trial,)), spec=ChainSpec(history=400), late_ticks=0)
    pool.minutes(1)
    behind_a_balancer(pool)
    pool.minutes(5)
    assert pool.fired() == set()
    pool.disordered = "n2"
    pool.minutes(1)
    assert pool.fired() == {("node.tag_order", "n2", "warning")}


def test_tags_out_of_order_are_told_where_no_balancer_breaks_them(pool: Talking) -> None:
    pool.minutes(1)
    pool.disordered = "n2"
    behind_a_balancer(pool)
    pool.minutes(2)
    assert pool.fired() == {("node.balancer_skew", "n3", "info"), ("node.tag_order", "n2", "warning")}
    pool.disordered = ""
    pool.answers["n3"] = healthy
    pool.minutes(7)
    assert pool.closed()


def test_tags_that_stay_out_of_order_when_the_balancer_is_gone_are_told_then(pool: Talking) -> None:
    pool.minutes(1)
    behind_a_balancer(pool)
    pool.minutes(1)
    pool.disordered = "n3"
    pool.minutes(2)
    assert pool.fired() == {("node.balancer_skew", "n3", "info")}
    pool.answers["n3"] = healthy
    pool.minutes(7)
    assert ("node.tag_order", "n3", "warning") in pool.fired()


def test_a_deaf_websocket_is_named_and_one_that_speaks_is_not() -> None:
    pool = talking(ws=True)
    pool.announces = True
    pool.minutes(5)
    assert pool.said() == []
    pool.announces = False
    pool.minutes(2)
    assert pool.fired() == {("node.ws_deaf", "n0", "info")}
    pool.announces = True
    pool.minutes(1)
    assert pool.closed()


def test_a_websocket_that_never_spoke_is_deaf_too() -> None:
    pool = talking(ws=True)
    pool.minutes(3)
    assert pool.fired() == {("node.ws_deaf", "n0", "info")}


def test_an_unusual_pool_is_told_of_own_nodes(pool: Talking) -> None:
    pool.minutes(35)
    for name in ("n0", "n2"):
        pool.nodes[name].data.pending = 90_000
    pool.minutes(3)
    assert pool.fired() == {("mempool.anomaly", "n0", "info")}
    pool.nodes["n0"].data.pending = 150
    pool.minutes(4)
    assert pool.closed()


def test_an_empty_pool_is_told_after_five_minutes(pool: Talking) -> None:
    pool.minutes(10)
    pool.nodes["n1"].data.pending = 0
    pool.minutes(4)
    assert pool.said() == []
    pool.minutes(5)
    assert pool.fired() == {("mempool.anomaly", "n1", "info")}


def test_history_that_is_gone_is_told_and_its_return_ends_it(pool: Talking) -> None:
    pool.minutes(5)
    pool.nodes["n0"].data.state = 3
    pool.minutes(14)
    assert pool.fired() == {("node.depth_lost", "n0", "warning")}
    pool.nodes["n0"].data.state = 127
    pool.minutes(14)
    assert pool.closed()


@pytest.mark.parametrize("detector", EARNING)
def test_what_has_to_earn_its_trust_is_observed_at_first(detector: str) -> None:
    settings = settings_for(("self", "self", "x", "y"), own=OWN)
    assert detector not in settings.chains[0].trust
    pool = Talking(settings, late_ticks=0)
    pool.latency_ns = 12 * NS
    pool.minutes(3)
    assert pool.said() == []


def test_a_state_full_of_traits_survives_a_snapshot_byte_for_byte(pool: Talking) -> None:
    pool.minutes(6)
    snapshot = encode_state(pool.state)
    assert encode_state(decode_state(snapshot)) == snapshot
    assert decode_state(snapshot).chains["sim"].nodes["n0"] == pool.state.chains["sim"].nodes["n0"]


def test_settings_with_advisories_survive_the_journal() -> None:

    mine = Advisory(id="A", client="geth", since="1.0", before="2.0", source="x", harm=Harm.CRASH, chains=(1, 5))
    settings = settings_for(("x",), **{"node.vulnerable": VulnerableParams(advisories=(mine,), ignore=("B",))})
    event = ConfigRevised(t_ns=1, settings=settings)
    record, blobs = encode_event(event)
    assert decode_event(record, blobs) == event
