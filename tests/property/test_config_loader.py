"""Whatever stands in a configuration, the loader says ConfigError or loads it, and names the right line."""

import json
import random
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.configs import MINIMAL, REGISTRY, loaded

from tocsin.config.load import load
from tocsin.config.registry import given as given_fields
from tocsin.config.registry import plain, table_of
from tocsin.config.show import as_toml
from tocsin.config.tree import TABLES, public_keys
from tocsin.config.values import budget, budget_text, duration_or_zero, size, size_text
from tocsin.errors import ConfigError
from tocsin.model.alert import Over, Under
from tocsin.units import DurationNs, duration_text

# The folder is shared by the examples of one test; each writes its files anew.
FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

KEYS = sorted(
    {key for table in TABLES.values() for key in public_keys(table)} | {"node.lag", "node.odd", "env", "over"}
)
TEXTS = st.one_of(st.sampled_from(["ethereum", "dev", "12s", "http://h", "mqtt://h", "a", ""]), st.text(max_size=5))
SCALARS = st.one_of(
    TEXTS, st.booleans(), st.integers(-2, 5), st.just(2**70), st.floats(allow_nan=False, allow_infinity=False, width=16)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS) | TEXTS, inner, max_size=4)
    ),
    max_leaves=12,
)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(str(key))} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _loads_or_refuses(file: Path) -> None:
    try:
        load(file, registry=REGISTRY, environ={})
    except ConfigError as error:
        problems = error.problems
    else:
        problems = ("",)
    assert problems
    for line in problems:
        assert line.startswith(str(file.parent) if line else ""), line
        assert line.isprintable(), line


@FOLDER
@given(raw=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode(errors="replace"))))
def test_arbitrary_bytes_load_or_are_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "any.toml").write_bytes(raw)
    _loads_or_refuses(tmp_path / "any.toml")


@FOLDER
@given(document=st.dictionaries(st.sampled_from(KEYS) | TEXTS, VALUES, max_size=6))
def test_arbitrary_documents_load_or_are_refused(tmp_path: Path, document: dict[str, Any]) -> None:
    text = "".join(f"{_toml(key)} = {_toml(value)}\n" for key, value in document.items())
    tomllib.loads(text)
    (tmp_path / "any.toml").write_text(text)
    _loads_or_refuses(tmp_path / "any.toml")


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([at] if at else []), *(path for key, item in inside for path in _paths(item, (*at, key)))]


@FOLDER
@given(data=st.data(), value=VALUES)
def test_a_good_document_with_one_value_replaced_loads_or_is_refused(
    tmp_path: Path, data: st.DataObject, value: Any
) -> None:
    text = MINIMAL + '[mqtt]\nurl = "mqtt://h"\n[detector."node.odd"]\nband = { low = 1 }\npair = ["a", "1s"]\n'
    document = tomllib.loads(text)
    *parents, key = data.draw(st.sampled_from(_paths(document)))
    target: Any = document
    for parent in parents:
        target = target[parent]
    target[key] = value
    (tmp_path / "any.toml").write_text("".join(f"{_toml(name)} = {_toml(item)}\n" for name, item in document.items()))
    _loads_or_refuses(tmp_path / "any.toml")


@FOLDER
@given(text=st.text(max_size=60), cut=st.integers(0, len(MINIMAL)), gap=st.integers(0, 20))
def test_a_good_document_with_a_piece_replaced_loads_or_is_refused(
    tmp_path: Path, text: str, cut: int, gap: int
) -> None:
    broken = MINIMAL[:cut] + text + MINIMAL[cut + gap :]
    (tmp_path / "any.toml").write_bytes(broken.encode(errors="replace"))
    _loads_or_refuses(tmp_path / "any.toml")


@FOLDER
@given(patterns=st.lists(st.one_of(TEXTS, st.text("*?[]./ab\0", max_size=8)), max_size=3))
def test_arbitrary_includes_load_or_are_refused(tmp_path: Path, patterns: list[str]) -> None:
    (tmp_path / "any.toml").write_text(f"include = {_toml(patterns)}\n" + MINIMAL)
    try:
        load(tmp_path / "any.toml", registry=REGISTRY, environ={})
    except ConfigError:
        return


# line that is replaced (or after which the fault is put), the fault, the path that is blamed
FAULTS = [
    ('site = "ams"', 'site = "A B"', "watchdog.site"),
    ('name = "host-a"', 'name = "host-a"\nnmae = 1', "watchdog.nmae"),
    ('name = "ethereum"', "name = 5", "chain.0.name"),
    ('profile = "ethereum"', 'profile = "nope"', "chain.0.profile"),
    ('profile = "ethereum"', 'profile = "ethereum"\ntick = [\n1,\n]', "chain.0.tick"),
    ('profile = "ethereum"', 'profile = "ethereum"\nvote_by = [\n"host",\n\n"hots"]', "chain.0.vote_by.1"),
    ('name = "geth"', 'name = "GETH"', "chain.0.node.0.name"),
    ('url = "http://127.0.0.1:8545"', 'url = "gopher://h"', "chain.0.node.0.url"),
    ("own = true", 'own = true\n"t.x" = 1', 'chain.0.node.0."t.x"'),
    ("own = true", 'own = true\nheaders = { A = "x", B = 7 }', "chain.0.node.0.headers.B"),
    ("own = true", 'own = 0\nregion = """\\\nurl = 1 \\\n[x]"""', "chain.0.node.0.own"),
    ('name = "alchemy"', 'name = "alchemy"\nid = ""', "chain.0.node.1.id"),
    ('url = "https://eth.alchemy.example"', 'url = { env = "NOPE" }', "chain.0.node.1.url"),
    (
        'url = "https://eth.alchemy.example"',
        'url = "https://h"\n[detector]\n"node.lag".warning.ovre = 1',
        'detector."node.lag".warning.ovre',
    ),
]


@FOLDER
@given(chosen=st.sets(st.sampled_from(range(len(FAULTS))), min_size=1), seed=st.integers(0, 2**32))
def test_each_seeded_fault_is_told_at_its_own_line(tmp_path: Path, chosen: set[int], seed: int) -> None:
    lines = MINIMAL.splitlines()
    taken: dict[int, tuple[str, str]] = {}
    for index in sorted(chosen):
        old, new, path = FAULTS[index]
        taken.setdefault(lines.index(old), (new, path))
    noise = random.Random(seed)  # noqa: S311 - no secret
    text = ""
    expected = {}
    for number, line in enumerate(lines):
        text += "".join(noise.choice(["\n", "# url = 1 [x]\n", "   \n"]) for _ in range(noise.randrange(3)))
        if number in taken:
            fault, path = taken[number]
            word = _word(path)
            at = fault.index(word)
            expected[path] = text.count("\n") + fault.count("\n", 0, at) + 1
            line = fault  # noqa: PLW2901 - the faulty line stands in its place
        text += line + "\n"
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    found = {}
    for problem in caught.value.problems:
        match = re.match(r".*tocsin\.toml:(\d+): ((?:[\w-]|\"[^\"]*\"|\.)+): ", problem)
        assert match is not None, problem
        found[match[2]] = int(match[1])
    assert {path: found.get(path) for path in expected} == expected
    consequences = {'detector."node.lag".warning.over'}  # what the fault leaves missing
    assert set(found) - consequences == set(expected)


def _word(path: str) -> str:
    """Return what of a fault's text stands on the line that is blamed."""
    return {
        "chain.0.vote_by.1": '"hots"',
        "chain.0.node.0.headers.B": "B = 7",
        'chain.0.node.0."t.x"': '"t.x"',
        "chain.0.node.0.own": "own = 0",
    }.get(path, path.rsplit(".", maxsplit=1)[-1])


@given(st.integers(0, 10**15))
def test_durations_are_written_and_read_exactly(milliseconds: int) -> None:
    ns = milliseconds % (3650 * 86_400_000) * 10**6
    assert duration_or_zero(duration_text(ns)) == ns


@given(st.integers(1, 10**9 - 1))
def test_budgets_are_written_and_read_exactly(calls: int) -> None:
    assert budget(budget_text(calls)) == calls


@given(st.integers(1, 10**9 - 1), st.sampled_from(["kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"]))
def test_sizes_are_written_and_read_exactly(number: int, unit: str) -> None:
    count = size(f"{number}{unit}")
    assert size(size_text(count)) == count


SPANS = st.integers(0, 10**9).map(lambda milliseconds: milliseconds * 10**6)
COUNTS = st.integers(0, 2**63 - 1)
OVERS = st.builds(Over, over=COUNTS, polls=st.integers(1, 100), for_ns=SPANS)
UNDERS = st.builds(Under, under=COUNTS, polls=st.integers(1, 100), for_ns=SPANS)
LAG = st.builds(REGISTRY["node.lag"], warning=st.none() | OVERS, critical=st.none() | OVERS, clear=UNDERS)
ODD = st.builds(
    REGISTRY["node.odd"],
    age=SPANS.map(lambda ns: DurationNs(ns + 10**6)),
    wait_ns=SPANS,
    count=COUNTS,
    text=st.text(st.characters(exclude_categories=["Cs"])),
    steps=st.lists(COUNTS, max_size=3).map(tuple),
    pair=st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.just(DurationNs(10**9))),
    pause=st.none() | SPANS.map(lambda ns: DurationNs(ns + 10**6)),
)


@given(st.one_of(LAG, ODD))
def test_params_written_as_toml_are_read_back_the_same(params: Any) -> None:
    document = tomllib.loads(as_toml(plain(params)))
    assert type(params)(**given_fields(table_of(type(params)).model_validate(document))) == params
