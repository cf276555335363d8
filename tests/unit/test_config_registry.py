"""Params of detectors: from a dataclass to a strict table and back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.support.configs import MINIMAL, Band, Colour, LagParams, OddParams, loaded, problems

from tocsin.config.registry import given, plain, registry_of, table_of
from tocsin.config.reload import changes
from tocsin.config.show import as_toml
from tocsin.detect import REGISTRY
from tocsin.model.alert import Over, Under
from tocsin.units import DurationNs


def _odd(tmp_path: Path, text: str) -> OddParams:
    params = loaded(tmp_path, MINIMAL + f'[detector."node.odd"]\n{text}\n').settings.chains[0].detectors["node.odd"]
    assert isinstance(params, OddParams)
    return params


def test_a_table_becomes_params_of_the_same_values(tmp_path: Path) -> None:
    text = """
        age = "1.5s"
        wait = "250ms"
        count = 0
        strict = false
        text = "other"
        colour = "blue"
        mode = "slow"
        steps = []
        pair = ["b", "2m"]
        band = { low = 3, high = 4, hold = "1h" }
        pause = "7d"
    """
    assert _odd(tmp_path, text) == OddParams(
        age=DurationNs(1_500_000_000),
        wait_ns=250_000_000,
        count=0,
        strict=False,
        text="other",
        colour=Colour.BLUE,
        mode="slow",
        steps=(),
        pair=("b", DurationNs(120 * 10**9)),
        band=Band(low=3, high=4, hold_ns=3600 * 10**9),
        pause=DurationNs(7 * 86_400 * 10**9),
    )


def test_keys_left_out_keep_the_detectors_defaults(tmp_path: Path) -> None:
    assert _odd(tmp_path, "") == OddParams()
    assert _odd(tmp_path, "count = 9") == OddParams(count=9)


def test_a_limit_is_given_whole(tmp_path: Path) -> None:
    text = MINIMAL + '[detector."node.lag"]\nwarning = { over = 5 }\nclear = { under = 1, for = "1m" }\n'
    params = loaded(tmp_path, text).settings.chains[0].detectors["node.lag"]
    assert params == LagParams(warning=Over(over=5), clear=Under(under=1, for_ns=60 * 10**9))


def test_a_limit_lasts_for_a_time_or_for_blocks(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + '[detector."node.lag"]\nwarning = { over = 5, for = "3 blocks" }\nclear = { under = 1, for = "1 block" }\n'
    )
    first = loaded(tmp_path, text)
    assert first.settings.chains[0].detectors["node.lag"] == LagParams(
        warning=Over(over=5, blocks=3), clear=Under(under=1, blocks=1)
    )
    shown = first.document["detector"]["node.lag"]
    assert shown["warning"] == {"over": 5, "polls": 1, "for": "3 blocks"}
    assert shown["clear"] == {"under": 1, "polls": 1, "for": "1 block"}
    assert loaded(tmp_path, as_toml(first.document)).settings == first.settings


@pytest.mark.parametrize("span", ["3 Blocks", "blocks", "-1 blocks", "3blocks", "1.5 blocks"])
def test_what_is_neither_time_nor_blocks_is_told_with_both(tmp_path: Path, span: str) -> None:
    [line] = problems(tmp_path, MINIMAL + f'[detector."node.lag"]\nwarning = {{ over = 5, for = "{span}" }}\n')
    assert line.startswith('tocsin.toml:16: detector."node.lag".warning.for: is not a duration')
    assert line.endswith("or a number of blocks, such as '3 blocks'")


def test_what_belongs_to_no_chain_counts_no_blocks(tmp_path: Path) -> None:
    table = '[detector."self.loop_lag"]\nwarning = { over = 5, for = "3 blocks" }\n'
    assert problems(tmp_path, MINIMAL + table) == [
        'tocsin.toml:16: detector."self.loop_lag".warning.for: belongs to no chain that has blocks; write a duration'
    ]


def test_alerts_of_any_detector_may_be_kept_firing(tmp_path: Path) -> None:
    text = (
        MINIMAL + '[chain.detector."node.lag"]\nkeep_firing_for = "0s"\n[chain.detector."node.odd"]\n'
        'keep_firing_for = "5m"\n[detector."node.lag"]\nkeep_firing_for = "10m"\n'
    )
    first = loaded(tmp_path, text)
    assert dict(first.settings.chains[0].keep_firing) == {"node.odd": 300 * 10**9}
    assert first.document["detector"]["node.lag"]["keep_firing_for"] == "10m"
    assert loaded(tmp_path, as_toml(first.document)).settings == first.settings
    other = loaded(tmp_path, text.replace('"5m"', '"6m"'))
    assert list(changes(first, other).lines()) == ["~ detector node.odd on ethereum"]
    own = MINIMAL + '[detector."self.loop_lag"]\nkeep_firing_for = "1h"\n'
    kept = loaded(tmp_path, own).settings.keep_firing
    assert dict(kept) == {"self.loop_lag": 3600 * 10**9}
    [line] = problems(tmp_path, MINIMAL + '[detector."node.lag"]\nkeep_firing_for = 5\n')
    assert line.startswith('tocsin.toml:16: detector."node.lag".keep_firing_for: write a duration as a string')


def test_false_switches_an_optional_limit_off_and_nothing_else(tmp_path: Path) -> None:
    text = MINIMAL + '[detector."node.lag"]\ncritical = false\n'
    params = loaded(tmp_path, text).settings.chains[0].detectors["node.lag"]
    assert params == LagParams(critical=None)
    assert problems(tmp_path, MINIMAL + '[detector."node.lag"]\nclear = false\n') == [
        'tocsin.toml:16: detector."node.lag".clear: write a table'
    ]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("count = -1", ".count: must be at least 0"),
        ("count = 1.0", ".count: write a whole number"),
        ("count = true", ".count: write a whole number"),
        ("count = '1'", ".count: write a whole number"),
        (f"count = {2**63}", ".count: must be at most 9223372036854775807"),
        ("strict = 1", ".strict: write true or false"),
        ("text = 1", ".text: write a string"),
        ("age = 48", ".age: write a duration as a string"),
        ("age = '0s'", ".age: is no time at all"),
        ("age = '0.0001s'", ".age: is finer than a millisecond"),
        ("age = '9999d'", ".age: is longer than ten years"),
        ("colour = 'green'", ".colour: write one of red, blue"),
        ("mode = 'green'", ".mode: write one of 'fast' or 'slow'"),
        ("steps = 1", ".steps: write an array"),
        ("steps = [1, 'x']", ".steps.1: write a whole number"),
        ("pair = ['a']", ".pair.1: missing"),
        ("band = { high = 2 }", ".band.low: missing"),
        ("band = { low = 3, hihg = 2 }", ".band.hihg: unknown key (did you mean high?)"),
        ("band = { low = 3, hold_ns = 2 }", ".band.hold_ns: unknown key (did you mean hold?)"),
        ("band = { low = 30 }", ".band: low is above high"),
        ("wait_ns = 5", ".wait_ns: unknown key (did you mean wait?)"),
        ("cuont = 5", ".cuont: unknown key (did you mean count?)"),
    ],
)
def test_a_mistake_in_params_is_told_with_its_path(tmp_path: Path, table: str, said: str) -> None:
    lines = problems(tmp_path, MINIMAL + f'[detector."node.odd"]\n{table}\n')
    assert len(lines) == 1, lines
    assert lines[0].startswith(f'tocsin.toml:16: detector."node.odd"{said}')


def test_polls_count_from_one(tmp_path: Path) -> None:
    lines = problems(tmp_path, MINIMAL + '[detector."node.lag"]\nwarning = { over = 3, polls = 0 }\n')
    assert lines == ['tocsin.toml:16: detector."node.lag".warning.polls: must be at least 1']


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_the_defaults_of_every_shipped_detector_survive_being_written(name: str) -> None:
    kind = REGISTRY[name].params
    params = kind()
    table = table_of(kind).model_validate(plain(params))
    assert kind(**given(table)) == params
    assert registry_of(REGISTRY)[name] is kind


@dataclass(frozen=True, kw_only=True)
class _Fraction:
    value: float = 0.5


@dataclass(frozen=True, kw_only=True)
class _Either:
    value: int | str = 1


@dataclass(frozen=True, kw_only=True)
class _Maybe:
    value: bool | None = None


@pytest.mark.parametrize("kind", [_Fraction, _Either, _Maybe])
def test_a_field_that_no_table_can_hold_is_refused_when_the_detector_is_registered(kind: type[Any]) -> None:
    with pytest.raises(TypeError, match=rf"{kind.__name__}\.value: "):
        table_of(kind)


def test_a_table_of_params_is_strict() -> None:
    with pytest.raises(ValidationError):
        table_of(OddParams).model_validate({"nope": 1})
