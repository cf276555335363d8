"""Detectors of what nodes say of themselves and how they answer: at the limit, below it, and where they are silent."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.views import NOW, SLOT, at, limits, never, reached, seen, silent, view

from tocsin.clock import NS
from tocsin.detect import CHAIN_DETECTORS, REGISTRY
from tocsin.detect.advisories import Advisory
from tocsin.detect.mempool_anomaly import MempoolAnomalyParams, mempool_anomaly
from tocsin.detect.node_balancer_skew import BalancerSkewParams, node_balancer_skew
from tocsin.detect.node_depth_lost import DepthLostParams, node_depth_lost
from tocsin.detect.node_errors import ErrorsParams, node_errors
from tocsin.detect.node_latency import LatencyParams, node_latency
from tocsin.detect.node_peers_low import PeersLowParams, node_peers_low
from tocsin.detect.node_version_change import VersionChangeParams, node_version_change
from tocsin.detect.node_vulnerable import VulnerableParams, node_vulnerable
from tocsin.detect.node_ws_deaf import WsDeafParams, node_ws_deaf
from tocsin.detect.pool_monoculture import MonocultureParams, pool_monoculture
from tocsin.model.alert import Finding
from tocsin.model.traits import Capabilities, Reach, Vitals
from tocsin.model.trust import Trust
from tocsin.model.view import ChainView, NodeView

GETH = "Geth/v1.16.8-stable/linux-amd64/go1.25.1"
MINE = (
    "mempool.anomaly",
    "node.balancer_skew",
    "node.depth_lost",
    "node.errors",
    "node.latency",
    "node.peers_low",
    "node.version_change",
    "node.vulnerable",
    "node.ws_deaf",
    "pool.monoculture",
)


def only(found: Any) -> Finding:
    (finding,) = found
    return finding


def says(*, own: bool = True, **vitals: Any) -> NodeView:
    return at("bad", seen(vitals=Vitals(**vitals)), own=own)


@pytest.mark.parametrize("detector", MINE)
def test_nothing_is_said_of_nodes_at_rest_nor_without_data(detector: str) -> None:
    found = REGISTRY[detector]
    for looked in (view(), view(at("new", never()), at("gone", silent())), view(at("bad", own=True))):
        assert list(found.run(looked, found.params())) == []


def test_statistics_and_quirks_have_to_earn_their_trust() -> None:
    earns = {each.id for each in CHAIN_DETECTORS if each.starts is Trust.OBSERVE} & set(MINE)
    assert earns == {
        "mempool.anomaly",
        "node.balancer_skew",
        "node.depth_lost",
        "node.errors",
        "node.latency",
        "node.ws_deaf",
    }


# -- node.peers_low


@pytest.mark.parametrize(("peers", "value", "fires"), [(5, None, False), (3, 2, False), (2, 3, True), (1, 4, True)])
def test_too_few_peers_count_what_is_missing_and_wait_two_minutes(peers: int, value: int | None, fires: bool) -> None:  # noqa: FBT001
    found = list(node_peers_low(view(says(peers=peers, peer_answers=7)), PeersLowParams()))
    assert [finding.value for finding in found] == ([] if value is None else [value])
    for finding in found:
        assert reached(finding) == ({"warning"} if fires else set())
        assert finding.limits.warning is not None
        assert finding.limits.warning.for_ns == 120 * NS
        assert finding.sample == 7


def test_no_peer_at_all_does_not_wait() -> None:
    finding = only(node_peers_low(view(says(peers=0)), PeersLowParams()))
    assert reached(finding) == {"warning"}
    assert finding.limits.warning is not None
    assert finding.limits.warning.for_ns == 0


@pytest.mark.parametrize("node", [says(own=False, peers=0), says(peers=0, client="anvil/v1.7.1"), says(peers=None)])
def test_peers_of_others_and_of_development_nodes_say_nothing(node: NodeView) -> None:
    assert list(node_peers_low(view(node), PeersLowParams())) == []
    judges = next(each.judges for each in CHAIN_DETECTORS if each.id == "node.peers_low")
    assert not judges(node)


# -- node.version_change, node.vulnerable


def test_a_change_of_version_is_news_for_a_minute_and_latched() -> None:
    node = says(client="B", versions=("B", "A"), changed_ns=NOW - 59 * NS)
    finding = only(node_version_change(view(node), VersionChangeParams()))
    assert (reached(finding), finding.limits.latched) == ({"info"}, True)
    assert "B, before A" in finding.summary
    assert list(node_version_change(view(node, now_ns=NOW + NS), VersionChangeParams())) == []


def test_of_other_peoples_nodes_only_an_unknown_version_is_news() -> None:
    known = says(own=False, client="B", versions=("B", "A"), changed_ns=NOW, renewed_ns=NOW - 3600 * NS)
    unknown = says(own=False, client="C", versions=("C", "B"), changed_ns=NOW, renewed_ns=NOW)
    assert list(node_version_change(view(known), VersionChangeParams())) == []
    assert only(node_version_change(view(unknown), VersionChangeParams())).value == 1


@pytest.mark.parametrize(
    ("client", "severities"),
    [
        ("Geth/v1.10.7-stable/linux", {"warning", "critical"}),
        ("Geth/v1.14.12-stable/linux", {"warning"}),
        (GETH, None),
        ("garbage", None),
    ],
)
def test_a_published_defect_is_as_grave_as_its_harm(client: str, severities: set[str] | None) -> None:
    found = list(node_vulnerable(view(says(client=client)), VulnerableParams()))
    assert [reached(finding) for finding in found] == ([] if severities is None else [severities])
    for finding in found:
        assert finding.evidence["client"] == client


def test_own_advisories_count_and_ignored_ones_do_not() -> None:
    mine = Advisory(id="A-1", client="geth", since="1.16.0", before="1.17.0", source="https://example.org")
    params = VulnerableParams(advisories=(mine,))
    assert "A-1" in only(node_vulnerable(view(says(client=GETH)), params)).summary
    assert list(node_vulnerable(view(says(client=GETH)), replace(params, ignore=("A-1",)))) == []


# -- node.latency


def slow(p95_ms: int) -> NodeView:
    return at("bad", seen(p95_ms=p95_ms, latencies=(p95_ms,) * 32, latency_ns=p95_ms * 10**6))


@pytest.mark.parametrize(
    ("p95_ms", "others_ms", "severities"),
    [
        (2_099, 100, None),
        (2_100, 100, set()),
        (2_999, 100, set()),
        (3_000, 900, {"info"}),
        (3_000, 100, {"info"}),
        (3_000, 1_000, set()),
        (9_000, 3_000, set()),
        (10_000, 9_000, {"warning"}),
        (10_000, 100, {"info", "warning"}),
    ],
)
def test_slowness_counts_beside_the_others(p95_ms: int, others_ms: int, severities: set[str] | None) -> None:
    others = [at(f"w{number}", seen(latency_ns=others_ms * 10**6)) for number in range(3)]
    found = list(node_latency(view(slow(p95_ms), *others), LatencyParams()))
    assert [reached(finding) for finding in found] == ([] if severities is None else [severities])


def test_the_others_are_the_median_of_those_that_answer() -> None:
    others = [at(f"w{number}", seen(latency_ns=ms * 10**6)) for number, ms in enumerate((10, 800, 900))]
    finding = only(node_latency(view(slow(3_000), *others), LatencyParams()))
    assert "the others 800 ms" in finding.summary
    assert finding.evidence["others_ms"] == 800


# -- node.errors


def flaky(bits: str) -> NodeView:
    """A node with these outcomes, the newest last; 1 is a failure."""
    return at("bad", seen(polls=100, outcomes=int(bits, 2), failures=2))


@pytest.mark.parametrize(
    ("bits", "value"),
    [
        ("01" * 15, 50),
        ("110" * 10, 66),
        ("1" * 20 + "0" * 10, None),
        ("0" * 10 + "1" * 20, None),
        ("0" * 30, None),
        ("1" * 30, None),
        ("1110" * 2 + "0" * 22, 20),
    ],
)
def test_errors_count_where_they_come_and_go(bits: str, value: int | None) -> None:
    found = list(node_errors(view(flaky(bits)), ErrorsParams()))
    assert [finding.value for finding in found] == ([] if value is None else [value])
    for finding in found:
        assert reached(finding) == ({"warning"} if finding.value > 50 else set())


def test_a_minute_of_few_polls_is_judged_by_ten_and_one_of_many_by_64() -> None:
    often = view(flaky("10" * 32), settings={"poll_ns": NS // 2})
    rarely = view(flaky("10" * 5), settings={"poll_ns": 30 * NS})
    assert only(node_errors(often, ErrorsParams())).evidence["asked"] == 64
    assert only(node_errors(rarely, ErrorsParams())).evidence["asked"] == 10


def test_a_node_that_was_hardly_asked_yet_is_not_judged() -> None:
    for polls, found in ((29, 0), (30, 1)):
        node = at("bad", seen(polls=polls, outcomes=int("10" * 15, 2)))
        assert len(list(node_errors(view(node), ErrorsParams()))) == found


def test_a_node_whose_failures_have_leaked_away_begins_nothing_and_ends_nothing() -> None:
    """It was out and came back: a minute that looks flaky is the outage, which was told of."""
    back = at("bad", seen(polls=100, outcomes=int("110" * 8 + "0" * 6, 2), failures=0))
    finding = only(node_errors(view(back), ErrorsParams(least=30)))
    assert (finding.value, reached(finding)) == (53, set())
    assert finding.value >= finding.limits.clear.under


# -- node.balancer_skew


def test_steps_back_count_for_five_minutes() -> None:
    steps = (NOW - 400 * NS, NOW - 299 * NS, NOW - 10 * NS, NOW)
    finding = only(node_balancer_skew(view(at("bad", seen(regressions=steps))), BalancerSkewParams()))
    assert (finding.value, reached(finding)) == (3, {"info"})
    old = seen(regressions=(NOW - 301 * NS,))
    assert list(node_balancer_skew(view(at("bad", old)), BalancerSkewParams())) == []


# -- node.ws_deaf


def with_socket(heard_s: int | None, shown_s: int = 0, *, ws: bool = True) -> NodeView:
    """A node whose websocket spoke last, and whose polls showed a new head, so many seconds ago."""
    heard_ns = None if heard_s is None else NOW - heard_s * NS
    node = at("bad", seen(heard_ns=heard_ns, heard_number=990, head_since_ns=NOW - shown_s * NS))
    return replace(node, settings=replace(node.settings, ws=ws))


@pytest.mark.parametrize(
    ("node", "value"),
    [
        (with_socket(12), None),
        (with_socket(24), 2),
        (with_socket(36), 3),
        (with_socket(None), 7200),
        (with_socket(400, 390), None),
        (with_socket(3600, ws=False), None),
    ],
)
def test_a_socket_is_deaf_by_how_far_the_polls_went_on_without_it(node: NodeView, value: int | None) -> None:
    found = list(node_ws_deaf(view(node), WsDeafParams()))
    assert [finding.value for finding in found] == ([] if value is None else [value])
    for finding in found:
        assert reached(finding) == ({"info"} if finding.value >= 3 else set())


def test_a_socket_gets_its_time_after_a_start() -> None:
    looked = view(with_socket(3600), started_ns=NOW - 2 * SLOT + 1)
    assert list(node_ws_deaf(looked, WsDeafParams())) == []


# -- node.depth_lost


def reaching(**reach: Reach) -> NodeView:
    is_short = any(each.lost_ns is not None for each in reach.values())
    return at("bad", seen(capabilities=Capabilities(reach=reach, is_short=is_short)))


@pytest.mark.parametrize(
    ("kind", "reach", "value"),
    [
        ("state", Reach(depth=20, best=127, lost_ns=1, tries=3), 44),
        ("state", Reach(depth=70, best=127, lost_ns=1, tries=3), None),
        ("state", Reach(depth=None, best=127, lost_ns=1, tries=3), 65),
        ("state", Reach(depth=5, best=30, lost_ns=1, tries=3), 25),
        ("state", Reach(depth=30, best=30, tries=3), None),
        ("proofs", Reach(depth=0, best=127, lost_ns=1, tries=3), None),
        ("proofs", Reach(depth=None, best=0, lost_ns=1, tries=3), 1),
        ("proofs", Reach(missing=True, tries=3), None),
    ],
)
def test_depth_is_lost_where_it_was_there_and_is_needed(kind: str, reach: Reach, value: int | None) -> None:
    found = list(node_depth_lost(view(reaching(**{kind: reach})), DepthLostParams()))
    assert [finding.value for finding in found] == ([] if value is None else [value])
    for finding in found:
        assert limits(finding)["warning"] == (1, 2)
        assert finding.sample == 3
        assert kind in finding.summary


# -- pool.monoculture


def fleet(*clients: str, own: bool = False) -> ChainView:
    nodes = [at(f"c{number}", seen(vitals=Vitals(client=client)), own=own) for number, client in enumerate(clients)]
    return view(*nodes)


@pytest.mark.parametrize(
    ("clients", "value"),
    [
        (("Geth/v1.0", "Geth/v1.1", "besu/v2.0"), None),
        (("Geth/v1.0", "Geth/v1.1", "Geth/v1.2", "besu/v2.0"), 75),
        (("Geth/v1.0",) * 3, 100),
        (("anvil/v1.0",) * 4, None),
        (("?",) * 4, None),
    ],
)
def test_a_client_with_two_thirds_is_a_monoculture(clients: tuple[str, ...], value: int | None) -> None:
    found = list(pool_monoculture(fleet(*clients), MonocultureParams()))
    assert [finding.value for finding in found] == ([] if value is None else [value])


def test_two_known_nodes_are_no_pool() -> None:
    assert list(pool_monoculture(fleet("Geth/v1.0", "Geth/v1.0", ""), MonocultureParams())) == []


def test_own_nodes_are_judged_by_themselves_where_there_are_three() -> None:
    own = [at(f"o{number}", seen(vitals=Vitals(client="Geth/v1.0")), own=True) for number in range(3)]
    others = [at(f"p{number}", seen(vitals=Vitals(client="besu/v1.0"))) for number in range(3)]
    assert only(pool_monoculture(view(*own, *others), MonocultureParams())).value == 100


def test_a_client_that_is_only_configured_counts_as_well() -> None:
    nodes = [at(f"c{number}") for number in range(3)]
    named = [replace(node, settings=replace(node.settings, client="Erigon")) for node in nodes]
    assert "erigon" in only(pool_monoculture(view(*named), MonocultureParams())).summary


# -- mempool.anomaly


@pytest.mark.parametrize(
    ("vitals", "value"),
    [
        ({"deviation": 39}, None),
        ({"deviation": 59}, 59),
        ({"deviation": 60}, 60),
        ({"empty_since_ns": NOW - 299 * NS}, None),
        ({"empty_since_ns": NOW - 300 * NS}, 60),
    ],
)
def test_a_pool_is_unusual_by_its_deviation_or_by_lasting_emptiness(vitals: dict[str, Any], value: int | None) -> None:
    found = list(mempool_anomaly(view(says(pending=0, pool_answers=9, **vitals)), MempoolAnomalyParams()))
    assert [finding.value for finding in found] == ([] if value is None else [value])
    for finding in found:
        assert reached(finding) == ({"info"} if finding.value >= 60 else set())
        assert finding.sample == 9


def test_pools_of_others_are_not_judged() -> None:
    assert list(mempool_anomaly(view(says(own=False, deviation=900)), MempoolAnomalyParams())) == []
