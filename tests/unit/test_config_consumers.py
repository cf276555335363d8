"""`[[consumer]]`: who acknowledges the stream, and mistakes in it; keys never come out."""

import re
from pathlib import Path

import pytest

from tocsin.config.load import Loaded, load
from tocsin.config.reload import changes
from tocsin.config.show import as_toml
from tocsin.errors import ConfigError
from tocsin.model.settings import ConsumerSettings

TEXT = """
schema = 1
[watchdog]
site = "ams"
name = "host-a"
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
KEY = "correct horse battery"
ENVIRON = {"PAGER": KEY}
PAGER = '[[consumer]]\nname = "pager"\nkey = { env = "PAGER" }\n'


def loaded(folder: Path, consumers: str, text: str = TEXT, environ: dict[str, str] = ENVIRON) -> Loaded:
    path = folder / "tocsin.toml"
    path.write_text(text + consumers)
    return load(path, registry={}, environ=environ)


def test_consumers_reach_the_settings_without_their_keys(tmp_path: Path) -> None:
    found = loaded(tmp_path, PAGER + '[[consumer]]\nname = "log"\nkey = { env = "PAGER" }\nsilent_after = "90s"\n')
    assert found.settings.consumers == (
        ConsumerSettings(name="pager", silent_after_ns=600 * 10**9),
        ConsumerSettings(name="log", silent_after_ns=90 * 10**9),
    )
    assert [one.key.reveal() for one in found.tree.consumers] == [KEY, KEY]
    shown = as_toml(found.document)
    assert 'name = "pager"\nkey = { env = "PAGER" }\nsilent_after = "10m"' in shown
    assert KEY not in shown
    assert KEY not in repr(found)


def test_without_consumers_nothing_is_shown(tmp_path: Path) -> None:
    assert "consumer" not in loaded(tmp_path, "").document


@pytest.mark.parametrize(
    ("consumers", "said"),
    [
        ('[[consumer]]\nname = "pager"\nkey = "fifteen bytes.."\n', ":18: consumer.0.key: has fewer than 16 bytes"),
        ('[[consumer]]\nname = "a/b"\nkey = { env = "PAGER" }\n', "consumer.0.name: a name has 1 to 64"),
        ('[[consumer]]\nname = "pager"\n', "consumer.0.key: missing"),
        (PAGER + PAGER, "consumer.1.name: the same name is given at"),
        (PAGER + 'silent_after = "1s"\n', "consumer.0.silent_after: must be between 10s and 7d"),
        (PAGER + "silent_for = 1\n", "unknown key (did you mean silent_after?)"),
        ('[[consumer]]\nname = "pager"\nkey = { env = "NOBODY" }\n', "environment variable NOBODY is not set"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, consumers: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, consumers)
    assert any(said in line for line in caught.value.problems), caught.value.problems
    assert not any("fifteen" in line for line in caught.value.problems)


def test_without_a_broker_nobody_can_acknowledge(tmp_path: Path) -> None:
    without = TEXT.replace('[mqtt]\nurl = "mqtt://127.0.0.1:1883"\n', "")
    with pytest.raises(ConfigError, match=r"consumer\.0: is heard over the broker, and there is none"):
        loaded(tmp_path, PAGER, without)


def test_a_key_in_the_file_itself_is_warned_of_where_others_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.toml"
    path.touch(mode=0o644)
    found = loaded(tmp_path, f'[[consumer]]\nname = "pager"\nkey = "{KEY}"\n')
    assert any("consumer.0.key: every user can read this secret" in line for line in found.warnings)


def test_a_reload_tells_of_consumers_also_where_only_a_key_was_replaced(tmp_path: Path) -> None:
    before = loaded(tmp_path, PAGER)
    assert not changes(before, loaded(tmp_path, PAGER))
    replaced = changes(before, loaded(tmp_path, PAGER, environ={"PAGER": KEY[::-1]}))
    assert list(replaced.lines()) == ["~ consumers"]
    assert not replaced.refused
    assert list(changes(before, loaded(tmp_path, "")).lines()) == ["~ consumers"]


def test_the_consumer_of_the_page_is_registered_with_what_is_in_its_file(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "subscribe.md").read_text()
    (fragment,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    key = tmp_path / "pager.key"
    key.write_text(KEY + "\n")
    key.chmod(0o600)
    found = loaded(tmp_path, fragment.replace("/etc/tocsin/pager.key", str(key)))
    assert [(one.name, one.key.reveal()) for one in found.tree.consumers] == [("pager", KEY)]
    assert [warning for warning in found.warnings if "consumer.0" in warning] == []


@pytest.mark.parametrize("kind", ["file", "env", "credential"])
def test_a_secret_that_looks_like_the_name_of_one_is_warned_of_and_not_shown(tmp_path: Path, kind: str) -> None:
    (tmp_path / "tocsin.toml").touch(mode=0o600)
    found = loaded(tmp_path, f'[[consumer]]\nname = "pager"\nkey = "{kind}:/etc/tocsin/pager.key"\n')
    [warning] = [warning for warning in found.warnings if "consumer.0" in warning]
    assert f'consumer.0.key: is the secret itself as it stands; to read it write {{ {kind} = "..." }}' in warning
    assert "pager.key" not in warning
