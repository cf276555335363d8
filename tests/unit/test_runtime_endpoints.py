"""What a configuration says reaches the parts below, every key where it belongs; and what is told of it."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.configs import loaded

from tocsin.clock import NS
from tocsin.detect import REGISTRY
from tocsin.engine.cadence import sparsest_ns
from tocsin.engine.state import EngineState
from tocsin.model.observation import FINALIZED, GENESIS, NETWORK, SAFE, SYNCING
from tocsin.model.selftest import SelfTest
from tocsin.rpc.prober import plan_of
from tocsin.runtime import endpoints
from tocsin.runtime.describe import configured_topics, description, heartbeat
from tocsin.store import Counts, Health, Mode

HEAD = """\
schema = 1
[watchdog]
site = "ams"
name = "host-a"
"""
CHAIN = """\
[[chain]]
name = "sim"
id = 5
block_time = "12s"
poll = "2s"
"""
NODE = """\
[[chain.node]]
name = "n"
url = "https://node.example/{key}"
ws = "wss://node.example/ws"
headers = {{ A = "1", B = "2" }}
ca = "ca.pem"
cert = "cert.pem"
key = "key.pem"
proxy = "http://proxy.example:3128"
timeout = "3s"
budget = "100k/day"
provider = "quick"
"""


PEMS = ("ca.pem", "cert.pem", "key.pem")


def tree_of(folder: Path, *tables: str) -> Any:
    for name in PEMS:
        (folder / name).write_text("-----BEGIN CERTIFICATE-----\n")
    return loaded(folder, "\n".join((HEAD, *tables))).tree


def the_node(tree: Any, name: str = "n") -> Any:
    return endpoints.nodes(tree)["sim", name]


def test_every_key_of_a_node_reaches_its_endpoint(tmp_path: Path) -> None:
    provider = '[[provider]]\nname = "quick"\nbudget = "1M/day"\nprices = { eth_getLogs = 75, eth_call = 26 }\n'
    tree = tree_of(tmp_path, provider, CHAIN, NODE.format(key="k" * 20))
    where = endpoints.endpoint(*the_node(tree), tree.providers[0])
    assert (where.chain, where.node, where.url.reveal()) == ("sim", "n", "https://node.example/" + "k" * 20)
    assert where.ws is not None
    assert where.ws.reveal() == "wss://node.example/ws"
    assert [(name, value.reveal()) for name, value in where.headers] == [("A", "1"), ("B", "2")]
    assert [where.ca, where.cert, where.key] == [str(tmp_path / name) for name in PEMS]
    assert where.proxy is not None
    assert where.proxy.reveal() == "http://proxy.example:3128"
    assert (where.timeout_ns, where.budget_per_day) == (3 * NS, 100_000)
    assert where.prices == (("eth_call", 26), ("eth_getLogs", 75))
    assert endpoints.endpoint(*the_node(tree)).prices == ()


def bare(name: str, more: str = "") -> str:
    return f'[[chain.node]]\nname = "{name}"\nurl = "http://127.0.0.1:8545"\n{more}\n'


def test_the_network_is_asked_where_the_configuration_says_what_it_should_be(tmp_path: Path) -> None:
    plan = plan_of(*the_node(tree_of(tmp_path, CHAIN, bare("n"))))
    assert NETWORK not in (*plan.first_calls, *plan.slow_calls, *plan.slot_calls)
    told = tree_of(tmp_path, CHAIN + "network_id = 1\n", bare("n"))
    plan = plan_of(*the_node(told))
    assert plan.first_calls == (GENESIS, NETWORK)
    assert plan.slow_calls[-1] == NETWORK
    profile = CHAIN.replace("id = 5", 'profile = "ethereum"')
    assert NETWORK in plan_of(*the_node(tree_of(tmp_path, profile, bare("n")))).first_calls


def test_own_nodes_are_asked_for_peers_and_pool_and_those_of_others_are_not(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, CHAIN, bare("n", "own = true"), bare("far", 'provider = "x"'))
    own, far = (plan_of(*the_node(tree, name)) for name in ("n", "far"))
    assert own.slow_calls == ("client_version", "peers", "txpool")
    assert far.slow_calls == ("client_version",)
    assert (own.chain, own.node, own.poll_ns, own.slot_ns) == ("sim", "n", 2 * NS, 12 * NS)
    assert own.slot_calls == (SAFE, FINALIZED, SYNCING)


def test_only_the_tags_of_a_chain_are_asked_and_never_more_often_than_it_is_polled(tmp_path: Path) -> None:
    fast = CHAIN.replace('block_time = "12s"', 'block_time = "250ms"\ntags = ["finalized"]')
    plan = plan_of(*the_node(tree_of(tmp_path, fast, bare("n"))))
    assert plan.slot_calls == (FINALIZED, SYNCING)
    assert plan.slot_ns == 2 * NS
    assert plan.sparse_ns == sparsest_ns(NS // 4, 2 * NS)


BEACON = """\
[[chain.beacon]]
name = "lighthouse"
url = "http://127.0.0.1:5052"
headers = {{ A = "1" }}
timeout = "4s"
budget = "50k/day"
{more}
"""


def test_every_key_of_a_beacon_node_reaches_its_endpoint(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, CHAIN, bare("n"), BEACON.format(more=""))
    (one,) = tree.chains[0].beacons
    where = endpoints.beacon(tree.chains[0], one)
    assert (where.chain, where.node, where.url.reveal()) == ("sim", "lighthouse", "http://127.0.0.1:5052")
    assert [(name, value.reveal()) for name, value in where.headers] == [("A", "1")]
    assert (where.timeout_ns, where.budget_per_day) == (4 * NS, 50_000)
    plan = endpoints.beacon_plan(tree.chains[0], one)
    assert (plan.chain, plan.node, plan.poll_ns, plan.slot_ns) == ("sim", "lighthouse", 2 * NS, 12 * NS)


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("mqtt://broker.example", "broker.example", 1883, False),
        ("mqtts://broker.example", "broker.example", 8883, True),
        ("mqtt://127.0.0.1:1234", "127.0.0.1", 1234, False),
        ("mqtts://[::1]:9", "::1", 9, True),
    ],
)
def test_a_broker_is_found_at_its_usual_port_or_the_one_that_is_named(
    tmp_path: Path,
    url: str,
    host: str,
    port: int,
    tls: bool,  # noqa: FBT001
) -> None:
    tree = tree_of(tmp_path, f'[mqtt]\nurl = "{url}"', CHAIN, bare("n"))
    where = endpoints.broker(tree.watchdog, tree.mqtt)
    assert (where.host, where.port, where.tls, where.client_id) == (host, port, tls, "tocsin-ams-host-a")
    assert (where.user, where.password, where.ca, where.cert, where.key) == (None,) * 5


def test_every_key_of_the_broker_reaches_it(tmp_path: Path) -> None:
    files = 'ca = "ca.pem"\ncert = "cert.pem"\nkey = "key.pem"'
    keys = 'url = "mqtts://b.example"\nuser = "u"\npassword = "secret-word"\nkeepalive = "7s"'
    tree = tree_of(tmp_path, "[mqtt]", keys, files, CHAIN, bare("n"))
    where = endpoints.broker(tree.watchdog, tree.mqtt)
    assert where.password is not None
    assert (where.user, where.password.reveal(), where.keepalive_s) == ("u", "secret-word", 7)
    assert [where.ca, where.cert, where.key] == [tmp_path / name for name in PEMS]


def test_the_bounds_of_the_journal_reach_the_store(tmp_path: Path) -> None:
    journal = '[journal]\nkeep = "3h"\nmax_size = "5MB"\nsegment = "30s"'
    limits = endpoints.limits(tree_of(tmp_path, journal, CHAIN, bare("n")).journal)
    assert (limits.journal_age_ns, limits.journal_bytes, limits.segment_age_ns) == (3 * 3600 * NS, 5_000_000, 30 * NS)


# -- what is said of it


TWO = '[[chain]]\nname = "other"\nid = 6\nblock_time = "1s"\npoll = "1s"\n'


def test_the_description_tells_everything_that_is_watched_and_no_secret(tmp_path: Path) -> None:
    tags = 'provider = "quick"\noperator = "ops"\nclient = "geth"\nregion = "eu"\nown = true'
    beacon = BEACON.format(more='provider = "b"\noperator = "bo"\nclient = "teku"\nregion = "us"\nexecution = "n"')
    text = "\n".join(
        (HEAD, CHAIN, bare("n", tags).replace(":8545", ":8545/0123456789abcdef01"), beacon, TWO, bare("m"))
    )
    told = description(loaded(tmp_path, text).settings)
    sim, other = told["chains"]  # type: ignore[misc]
    assert (sim["name"], sim["id"], other["name"], other["id"]) == ("sim", 5, "other", 6)
    assert sim["nodes"] == [
        {
            "name": "n",
            "id": "ams.n",
            "endpoint": "http://127.0.0.1:8545",
            "own": True,
            "provider": "quick",
            "operator": "ops",
            "client": "geth",
            "region": "eu",
        }
    ]
    assert sim["beacons"] == [
        {
            "name": "lighthouse",
            "id": "ams.lighthouse",
            "endpoint": "http://127.0.0.1:5052",
            "own": False,
            "provider": "b",
            "operator": "bo",
            "client": "teku",
            "region": "us",
            "execution": "n",
        }
    ]
    assert other["beacons"] == []
    assert told["detectors"] == sorted(REGISTRY)
    assert "0123456789abcdef01" not in str(told)


def test_topics_are_kept_for_every_chain_and_all_that_is_asked(tmp_path: Path) -> None:
    text = "\n".join((HEAD, CHAIN, bare("n"), BEACON.format(more=""), TWO, bare("m")))
    assert configured_topics(loaded(tmp_path, text).settings) == [
        "chain/sim/head",
        "chain/other/head",
        "node/sim/n",
        "node/sim/lighthouse",
        "node/other/m",
    ]


def test_the_heartbeat_counts_what_waits_on_disk_and_in_memory() -> None:
    counts = Counts(pending=3, pending_bytes=9, critical=0, unsaved=4, sent=100)
    health = Health(
        mode=Mode.NORMAL,
        reason="",
        gap=None,
        saturated=False,
        counts=counts,
        last_seq=16,
        event_no=1,
        effect_no=1,
        segment=1,
        segment_bytes=0,
        unsealed=0,
        seal_error="",
    )
    state = EngineState(seq=17, loop_lag_ns=2_500_000, self_test=SelfTest(echo_ns=12_900_000))
    assert heartbeat(state, health, 9) == {
        "event_seq": 17,
        "stream": "",
        "last_seq": 16,
        "since_seq": 9,
        "heads": {},
        "alerts": {"critical": 0, "warning": 0, "info": 0, "silenced": 0},
        "loop_lag_ms": 2,
        "outbox": 7,
        "echo_ms": 12,
    }
