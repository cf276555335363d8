"""How far a detector is believed, as configured: beside its Params, by profile, for all chains or for one."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.configs import MINIMAL, PROMOTED, loaded, problems

from tocsin.config.profile import Profiles
from tocsin.config.registry import registry_of, table_of
from tocsin.config.reload import changes
from tocsin.config.schema import json_schema
from tocsin.config.show import as_toml
from tocsin.detect import REGISTRY
from tocsin.model.trust import Trust

LAG = '[detector."node.lag"]\n'


def trust_of(tmp_path: Path, text: str) -> dict[str, Trust]:
    trust = loaded(tmp_path, MINIMAL + text).settings.chains[0].trust
    return {name: level for name, level in trust.items() if name not in PROMOTED}


def test_nothing_is_said_by_default() -> None:
    assert all("trust" not in (name for name in detector.params.__slots__) for detector in REGISTRY.values())


@pytest.mark.parametrize("level", Trust)
def test_trust_stands_beside_the_limits(tmp_path: Path, level: Trust) -> None:
    text = f'{LAG}trust = "{level}"\ncritical = false\n'
    assert trust_of(tmp_path, text) == {"node.lag": level}
    params = loaded(tmp_path, MINIMAL + text).settings.chains[0].detectors["node.lag"]
    assert params.critical is None  # type: ignore[attr-defined]


def test_a_chain_goes_before_all_chains_and_both_before_the_profile(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        "schema = 1\nid = 7\nblock_time = '1s'\n"
        "[detector.'node.lag']\ntrust = 'observe'\n[detector.'node.odd']\ntrust = 'warn'\n"
    )
    text = MINIMAL.replace('profile = "ethereum"', 'profile = "mine"')

    def settings(more: str) -> dict[str, Trust]:
        return dict(loaded(tmp_path, text + more, profiles=Profiles(tmp_path)).settings.chains[0].trust)

    assert settings("") == {"node.lag": Trust.OBSERVE, "node.odd": Trust.WARN}
    assert settings(f'{LAG}trust = "warn"\n')["node.lag"] is Trust.WARN
    both = f'[chain.detector."node.lag"]\ntrust = "enforce"\n{LAG}trust = "warn"\n'
    assert settings(both)["node.lag"] is Trust.ENFORCE


@pytest.mark.parametrize("word", ['"Warn"', "true", "1", "[]", '"enforced"', "{}"])
def test_another_word_is_told_with_those_there_are(tmp_path: Path, word: str) -> None:
    assert problems(tmp_path, f"{MINIMAL}{LAG}trust = {word}\n") == [
        'tocsin.toml:16: detector."node.lag".trust: write one of observe, warn, enforce'
    ]


def test_a_slip_of_the_key_is_guessed(tmp_path: Path) -> None:
    assert "did you mean trust?" in problems(tmp_path, f'{MINIMAL}{LAG}trsut = "warn"\n')[0]


def test_who_watches_the_watchdog_has_no_standing_on_a_chain(tmp_path: Path) -> None:
    [said] = problems(tmp_path, f'{MINIMAL}[detector."self.loop_lag"]\ntrust = "warn"\n')
    assert "unknown key" in said


def test_what_is_shown_loads_to_the_same_and_another_trust_is_another_configuration(tmp_path: Path) -> None:
    text = f'{MINIMAL}[chain.detector."node.odd"]\ntrust = "warn"\n{LAG}trust = "observe"\n'
    first = loaded(tmp_path, text)
    assert first.document["detector"]["node.lag"]["trust"] == "observe"
    assert first.document["chain"][0]["detector"]["node.odd"]["trust"] == "warn"
    assert "node.lag" not in first.document["chain"][0]["detector"]
    shown = as_toml(first.document)
    assert tomllib.loads(shown)["detector"] == first.document["detector"]
    assert loaded(tmp_path, shown).settings == first.settings
    other = loaded(tmp_path, text.replace('"observe"', '"warn"'))
    assert other.settings.config_hash != first.settings.config_hash
    assert list(changes(first, other).lines()) == ["~ detector node.lag on ethereum"]


def test_the_schema_has_it_for_every_detector_of_chains_and_for_no_other() -> None:
    schema = json_schema(registry_of(REGISTRY))
    of_all, of_chains = (table["properties"]["detector"]["properties"] for table in (schema, schema["$defs"]["Chain"]))
    assert {name for name, table in of_chains.items() if "trust" not in table["properties"]} == set()
    assert {name for name, table in of_all.items() if "trust" in table["properties"]} == set(of_chains)


def test_no_params_may_take_the_key() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Greedy:
        trust: int = 1

    with pytest.raises(TypeError, match="the key is taken"):
        table_of(Greedy)
