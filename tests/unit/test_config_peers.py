"""`[watchdog] peers`: names of other watchdogs, and mistakes in them."""

from pathlib import Path

import pytest

from tocsin.config.load import Loaded, load
from tocsin.config.reload import changes
from tocsin.config.show import as_toml
from tocsin.errors import ConfigError

TEXT = """
schema = 1
[watchdog]
site = "ams"
name = "host-a"
peers = PEERS
[mqtt]
url = "mqtt://127.0.0.1:1883"
[[chain]]
name = "sim"
id = 1337
block_time = "2s"
  [[chain.node]]
  name = "a"
  url = "http://127.0.0.1:8545"
  own = true
"""


def loaded(folder: Path, peers: str, *, without: str = "") -> Loaded:
    path = folder / "tocsin.toml"
    path.write_text(TEXT.replace("PEERS", peers).replace(without, "") if without else TEXT.replace("PEERS", peers))
    return load(path, registry={}, environ={})


def test_peers_reach_the_settings_and_are_shown(tmp_path: Path) -> None:
    found = loaded(tmp_path, '["ams/host-b", "fra/host-a"]')
    assert found.settings.peers == ("ams/host-b", "fra/host-a")
    assert 'peers = ["ams/host-b", "fra/host-a"]' in as_toml(found.document)


@pytest.mark.parametrize(
    ("peers", "said"),
    [
        ('["ams/host-a"]', ":6: watchdog.peers.0: is this watchdog itself"),
        ('["ams/host-b", "ams/host-b"]', ":6: watchdog.peers.1: ams/host-b is named twice"),
        ('["host-b"]', ":6: watchdog.peers.0: is not a watchdog"),
        ('["ams/host-b/x"]', "is not a watchdog"),
        ('["ams/+"]', "is not a watchdog"),
        ('["AMS/host-b"]', "is not a watchdog"),
        ('["/host-b"]', "is not a watchdog"),
        ("[7]", "write a string"),
        ('"ams/host-b"', "write an array"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, peers: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, peers)
    assert any(said in line for line in caught.value.problems), caught.value.problems


def test_without_a_broker_nobody_can_be_heard(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"watchdog.peers: are heard over the broker, and there is none"):
        loaded(tmp_path, '["ams/host-b"]', without='[mqtt]\nurl = "mqtt://127.0.0.1:1883"\n')


def test_peers_can_be_changed_by_a_reload(tmp_path: Path) -> None:
    before, after = loaded(tmp_path, "[]"), loaded(tmp_path, '["ams/host-b"]')
    difference = changes(before, after)
    assert list(difference.lines()) == ["~ peers"]
    assert not difference.refused
    assert not changes(after, after)
