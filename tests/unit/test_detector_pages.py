"""Every alert links to the page of its detector, which names the limits that the detector really has."""

import ast
import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.messages import ALERT, ORIGIN, changed

from tocsin.detect import REGISTRY, failures
from tocsin.model.alert import Over, Under
from tocsin.model.selftest import ID as SELF_TEST
from tocsin.model.trust import Trust
from tocsin.wire.envelope import TEST_EXPIRY_S, alert_data

ROOT = Path(__file__).parents[2]
FOLDER = "docs/detectors"
INDEX = (ROOT / FOLDER / "README.md").read_text()
PAGES = {
    page.stem: " ".join(page.read_text().split())
    for page in sorted((ROOT / FOLDER).glob("*.md"))
    if page.name != "README.md"
}

WORDS = {
    "2": ("two", "twice"),
    "3": ("three",),
    "4": ("four",),
    "5": ("five",),
    "6": ("six",),
    "7": ("seven",),
    "8": ("eight",),
    "15": ("fifteen",),
}
NOT_WORTH_A_WORD = 1
"""A limit of one is the condition itself: nobody writes "in one poll"."""
DURATION = 10**6
"""From here on it is nanoseconds; the reference has those."""


def numbers(params: Any) -> Iterator[str]:
    """Yield the numbers that the defaults of a detector consist of, as a reader should find them."""
    for field in dataclasses.fields(params):
        value = getattr(params, field.name)
        if isinstance(value, Over | Under):
            yield from numbers(value)
        elif field.name.endswith("half_slots"):
            yield f"{value / 2:g}"
        elif type(value) is int and NOT_WORTH_A_WORD < value < DURATION:
            yield str(value)


def severities(detector: str) -> set[str]:
    """Return the severities for which the detector gives limits, in its own module or the one that makes it."""
    here = sys.modules[REGISTRY[detector].run.__module__]
    source = inspect.getsource(failures if hasattr(here, "failing") else here)
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Limits"]
    return {word.arg for call in made for word in call.keywords if word.arg} & {"info", "warning", "critical"}


def is_earned(detector: str) -> bool:
    return getattr(REGISTRY[detector], "starts", Trust.ENFORCE) is Trust.OBSERVE


def says(text: str, number: str) -> bool:
    spellings = re.escape(number) + "".join(f"|{word}" for word in WORDS.get(number, ()))
    return re.search(rf"(?<![\w.])({spellings})(?!\.?\w)", text, re.IGNORECASE) is not None


def test_every_detector_has_its_page_and_a_line_in_the_index() -> None:
    known = sorted([*REGISTRY, SELF_TEST])
    assert sorted(PAGES) == known
    assert re.findall(r"^\| \[(\S+)\]\(\1\.md\) \| [^|]+ \| [^|]+ \|$", INDEX, re.MULTILINE) == known


def test_the_self_test_has_a_page_that_says_how_long_a_word_is_worth_anything() -> None:
    assert says(PAGES[SELF_TEST], str(TEST_EXPIRY_S))


@pytest.mark.parametrize("detector", REGISTRY)
def test_the_index_says_how_bad_an_alert_can_be_and_whether_it_is_believed_at_first(detector: str) -> None:
    listed = re.search(rf"^\| \[{re.escape(detector)}\].*?\| (.+?) \|", INDEX, re.MULTILINE)
    assert listed is not None
    assert set(listed[1].split(", ")) == severities(detector) | ({"*earned*"} if is_earned(detector) else set())


@pytest.mark.parametrize("detector", REGISTRY)
def test_a_page_says_whether_the_check_has_to_earn_its_trust(detector: str) -> None:
    assert ("A check that has to earn its trust" in PAGES[detector]) is is_earned(detector)


@pytest.mark.parametrize("detector", REGISTRY)
def test_a_page_has_the_title_and_the_limits_of_its_detector(detector: str) -> None:
    defaults = REGISTRY[detector].params()
    assert PAGES[detector].startswith(f"# {detector} ")
    assert [number for number in numbers(defaults) if not says(PAGES[detector], number)] == []


@pytest.mark.parametrize("detector", REGISTRY)
def test_a_page_says_what_to_check_and_what_to_do(detector: str) -> None:
    assert "*Check*" in PAGES[detector]
    assert "*Do*" in PAGES[detector]


@pytest.mark.parametrize("detector", REGISTRY)
def test_an_alert_links_to_the_page_of_its_detector(detector: str) -> None:
    data = alert_data(changed(dataclasses.replace(ALERT, detector=detector)), ORIGIN)
    assert data["runbook"] == f"{FOLDER}/{detector}.md"
    assert (ROOT / str(data["runbook"])).is_file()


def test_a_limit_that_the_page_does_not_name_would_be_found() -> None:
    assert not says("three blocks on two polls warn, fifteen are critical", "7")
    assert not says("2.5 block times", "2")
    assert says("2.5 block times", "2.5")
    assert says("Three blocks", "3")
