"""`[homeassistant]`: that it is there says that Home Assistant is told; mistakes in it."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.configs import MINIMAL, loaded, problems

from tocsin.config.reload import changes
from tocsin.config.show import as_toml
from tocsin.runtime.voice import discovered

BROKER = '\n[mqtt]\nurl = "mqtt://127.0.0.1:1883"\n'


def text(more: str, broker: str = BROKER) -> str:
    return MINIMAL + broker + more


def test_without_the_table_home_assistant_is_told_nothing(tmp_path: Path) -> None:
    found = loaded(tmp_path, text(""))
    assert found.tree.homeassistant is None
    assert discovered(found) == {}
    assert "homeassistant" not in as_toml(found.document)


def test_the_table_alone_is_enough_and_shown_with_its_defaults(tmp_path: Path) -> None:
    found = loaded(tmp_path, text("[homeassistant]\n"))
    home = found.tree.homeassistant
    assert home is not None
    assert (home.prefix, home.birth) == ("homeassistant", "homeassistant/status")
    assert '[homeassistant]\nprefix = "homeassistant"\nbirth = "homeassistant/status"' in as_toml(found.document)
    assert len(discovered(found)) == 4
    assert all(topic.startswith("homeassistant/device/") for topic in discovered(found))


def test_another_prefix_is_taken_and_is_a_difference(tmp_path: Path) -> None:
    before = loaded(tmp_path, text("[homeassistant]\n"))
    after = loaded(tmp_path, text('[homeassistant]\nprefix = "ha/found"\nbirth = "ha/born"\n'))
    assert all(topic.startswith("ha/found/device/") for topic in discovered(after))
    assert list(changes(before, after).lines()) == ["~ homeassistant"]
    assert list(changes(after, replace(after)).lines()) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('prefix = "home/#"', "homeassistant.prefix: is no topic; write names joined by slashes"),
        ('prefix = "/home"', "homeassistant.prefix: is no topic"),
        ('prefix = ""', "homeassistant.prefix: "),
        ("prefix = 7", "homeassistant.prefix: write a string"),
        ('birth = "a+"', "homeassistant.birth: is no topic"),
        (f'birth = "{"x" * 200}"', "homeassistant.birth: is no topic"),
        ('prefix = "tocsin"', "homeassistant.prefix: lies below tocsin/"),
        ('birth = "tocsin/v1/ams/host-a/status"', "homeassistant.birth: lies below tocsin/"),
        ("prefixx = 1", "unknown key (did you mean prefix?)"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, line: str, said: str) -> None:
    found = problems(tmp_path, text(f"[homeassistant]\n{line}\n"))
    assert any(said in one for one in found), found


def test_without_a_broker_it_can_be_told_nothing(tmp_path: Path) -> None:
    [found] = problems(tmp_path, text("\n[homeassistant]\n", broker=""))
    assert "homeassistant: is told over the broker, and there is none; write [mqtt]" in found
