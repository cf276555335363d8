"""Beacon nodes and the host in a configuration: what becomes of them, and how mistakes in them are told."""

from pathlib import Path

import pytest
from tests.support.configs import CANARY, MINIMAL, loaded, problems

from tocsin.config.load import Loaded
from tocsin.config.reload import changes
from tocsin.config.resolve import tls_endpoints
from tocsin.model.settings import HostSettings

BEACON = '[[chain.beacon]]\nname = "lighthouse"\nurl = "http://127.0.0.1:5052"\nown = true\nexecution = "geth"\n'


def with_beacon(folder: Path, more: str = "", beacon: str = BEACON) -> Loaded:
    return loaded(folder, MINIMAL + beacon + more, {"KEY": CANARY})


def test_a_beacon_node_has_every_default_resolved(tmp_path: Path) -> None:
    config = with_beacon(tmp_path)
    [one] = config.settings.chains[0].beacons
    node = one.node
    assert (node.name, node.id, node.endpoint) == ("lighthouse", "ams.lighthouse", "http://127.0.0.1:5052")
    assert (node.provider, node.operator, node.own, one.execution) == ("self", "self", True, "geth")
    assert config.tree.chains[0].beacons[0].timeout_ns == 2 * 10**9
    assert [each.name for each in config.settings.chains[0].everyone] == ["geth", "alchemy", "lighthouse"]


def test_a_fast_poll_leaves_a_beacon_node_a_second(tmp_path: Path) -> None:
    text = (MINIMAL + BEACON).replace('profile = "ethereum"', 'profile = "dev"\npoll = "100ms"')
    assert loaded(tmp_path, text).tree.chains[0].beacons[0].timeout_ns == 10**9


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('execution = "geth"', 'execution = "geht"', "is no node of this chain (did you mean geth?)"),
        ('name = "lighthouse"', 'name = "geth"', "the same name is given at"),
        ("http://", "ipc://", "is not a URL of a known scheme; write http://host:port or https://host:port"),
        ("own = true", "own = 1", "write true or false"),
        ("own = true", "onw = true", "unknown key (did you mean own?)"),
        ("own = true", 'ca = "x.pem"', "ca, cert and key do nothing without https"),
        ("own = true", 'timeout = "1ms"', "must be between 50ms and 1m"),
        ('url = "http://127.0.0.1:5052"', "", "missing"),
    ],
)
def test_mistakes_in_a_beacon_node_are_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in BEACON
    found = problems(tmp_path, MINIMAL + BEACON.replace(old, new))
    assert any(said in line for line in found), found


def test_the_url_of_a_beacon_node_is_a_secret(tmp_path: Path) -> None:
    url = f"https://eth.provider.example/{CANARY}"
    config = with_beacon(tmp_path, beacon=BEACON.replace("http://127.0.0.1:5052", url))
    assert CANARY not in repr(config.document) + repr(config.settings) + repr(config.tree)
    assert config.settings.chains[0].beacons[0].node.endpoint == "https://eth.provider.example"


def test_another_beacon_node_is_another_configuration(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    before, after = loaded(tmp_path / "a"), with_beacon(tmp_path)
    assert before.settings.config_hash != after.settings.config_hash
    assert list(changes(before, after).lines()) == ["+ node ethereum/lighthouse"]
    moved = with_beacon(tmp_path / "a", beacon=BEACON.replace("5052", "5053"))
    assert list(changes(after, moved).lines()) == ["~ node ethereum/lighthouse: url"]


HOST = (
    '[host]\ndisk = ["/var/lib/geth", "data"]\nunits = ["geth.service", "op@main.service"]\n'
    'ntp = ["ntp.example", "10.0.0.1:1123", "[2001:db8::1]"]\nperiod = "10s"\n'
)


def test_nothing_of_the_host_is_watched_unless_asked_for(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert config.settings.host is None
    assert "host" not in config.document


def test_the_host_has_its_defaults_resolved(tmp_path: Path) -> None:
    host = loaded(tmp_path, MINIMAL + HOST).settings.host
    assert host == HostSettings(
        disks=("/var/lib/geth", str(tmp_path / "data")),
        units=("geth.service", "op@main.service"),
        ntp=("ntp.example:123", "10.0.0.1:1123", "[2001:db8::1]:123"),
        certificates=("https://eth.alchemy.example",),
        period_ns=10 * 10**9,
    )


def test_every_certificate_is_watched_once_but_those_behind_a_proxy(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + 'ws = "wss://eth.alchemy.example/ws"\n'
        + BEACON.replace("http://127.0.0.1:5052", "https://b.example:5052/key")
        + BEACON.replace("http://127.0.0.1:5052", "https://p.example").replace("lighthouse", "far")
        + 'proxy = "http://proxy.example:3128"\n'
        + '[mqtt]\nurl = "mqtts://broker.example"\n[host]\n'
    )
    config = loaded(tmp_path, text)
    names = [
        "https://eth.alchemy.example",
        "wss://eth.alchemy.example",
        "https://b.example:5052",
        "mqtts://broker.example",
    ]
    assert list(tls_endpoints(config.tree)) == names
    assert config.settings.host is not None
    assert list(config.settings.host.certificates) == names
    off = loaded(tmp_path, text + "certs = false\n").settings.host
    assert off is not None
    assert off.certificates == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('units = ["geth"]', "is not the name of a systemd unit; write it with its suffix, such as geth.service"),
        ('units = ["-H.service"]', "is not the name of a systemd unit"),
        ('units = ["a b.service"]', "is not the name of a systemd unit"),
        ('ntp = ["ntp://x"]', "is not a time server"),
        ('ntp = ["x:0"]', "is not a time server"),
        ('ntp = ["x:99999"]', "is not a time server"),
        ('ntp = [""]', "is not a time server"),
        ('ntp = "x"', "write an array"),
        ("disk = [1]", "write a string"),
        ('disks = ["/x"]', "unknown key (did you mean disk?)"),
        ('period = "1h"', "must be between 1s and 10m"),
        ('period = "1ms"', "must be between 1s and 10m"),
    ],
)
def test_mistakes_about_the_host_are_told(tmp_path: Path, line: str, said: str) -> None:
    found = problems(tmp_path, MINIMAL + f"[host]\n{line}\n")
    assert any(said in each for each in found), found


def test_a_change_of_the_host_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    before, after = loaded(tmp_path / "a"), loaded(tmp_path, MINIMAL + HOST)
    assert list(changes(before, after).lines()) == ["~ host"]
    assert not changes(before, after).refused
