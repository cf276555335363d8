"""The locator finds the line of every key in any TOML document."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.config.locate import key_lines

BARE = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=6)
QUOTED = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
LITERAL = st.text('ab.#=[]{}, "', max_size=5).map(lambda text: f"'{text}'")
KEY = st.one_of(BARE, QUOTED, LITERAL)
SCALAR = st.sampled_from(
    [
        "1",
        "-0.5e3",
        "true",
        "1979-05-27 07:32:00",
        '"a # = [ ] \\" b"',
        "'c:\\d'",
        '"""two\nlines \\""" # no comment [x]\n"""',
        "'''a = \"\"\" ]\n[b]\n'''",
        '"""x"""""',
        '""',
    ]
)


def _inline(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    array = st.lists(values, max_size=3).map(lambda items: "[ # first\n" + ",\n".join(items) + " ]")
    pairs = st.lists(st.tuples(KEY, values), max_size=3, unique_by=lambda pair: pair[0].strip("\"'"))
    table = pairs.map(lambda items: "{ " + ", ".join(f"{key} = {value}" for key, value in items) + " }")
    return st.one_of(array, table)


VALUE = st.recursive(SCALAR, _inline, max_leaves=4)
DOTTED = st.lists(KEY, min_size=1, max_size=3).map(" . ".join)
LINE = st.one_of(
    st.tuples(DOTTED, VALUE).map(lambda pair: f"{pair[0]} = {pair[1]}  # why"),
    DOTTED.map(lambda key: f"[ {key} ]"),
    DOTTED.map(lambda key: f"[[{key}]] # next"),
    st.sampled_from(["", "# [comment] a = 1", "   "]),
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Valid documents, built line by line: a line that would make the document invalid is left out."""
    text = ""
    for line in draw(st.lists(LINE, max_size=12)):
        longer = text + line + draw(st.sampled_from(["\n", "\r\n"]))
        try:
            tomllib.loads(longer)
        except ValueError:
            continue
        text = longer
    return text


def _paths(value: Any, at: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {at} | {path for key, item in inside for path in _paths(item, (*at, key))}


@given(documents())
def test_exactly_the_paths_of_the_document_have_lines(text: str) -> None:
    assert set(key_lines(text)) == _paths(tomllib.loads(text)) - {()}


@given(documents(), st.integers(0, 5))
def test_leading_lines_shift_every_line_by_their_count(text: str, above: int) -> None:
    shifted = key_lines("# x = 1\n" * above + text)
    assert shifted == {path: line + above for path, line in key_lines(text).items()}


@given(st.text())
def test_text_that_is_not_toml_is_no_error(text: str) -> None:
    key_lines(text)


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1\nb = 2\n", ("b",), 2),
        ("[[c]]\nn = 1\n[[c.d]]\nx = 1\n[[c]]\n[[c.d]]\n[[c.d]]\nx = 2\n", ("c", 1, "d", 1, "x"), 8),
        ("[a.b]\nc = 1\n\n[a]\nd = 2\n", ("a",), 4),
        ("[a.b]\nc = 1\n", ("a",), 1),
        ('[t."x.y"]\n"k\\u0041" = 1\n', ("t", "x.y", "kA"), 2),
        ("x = [\n  1, # one\n  { y = 'z',\n  2 = 3 },\n]\n".replace(",\n  2", ", 2"), ("x", 1, "y"), 3),
        ("s = '''\na = 1\n'''\na = 2\n", ("a",), 4),
        ("a.b.c = 1\na.d = 2\n", ("a", "d"), 2),
    ],
)
def test_lines_of_known_documents(text: str, path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(text)
    assert key_lines(text)[path] == line
