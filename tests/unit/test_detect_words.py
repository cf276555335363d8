"""What detectors say of spans reads as people say it, however short or long these are."""

import pytest

from tocsin.clock import MS, NS
from tocsin.detect.host_cert import when
from tocsin.detect.host_clock import off

DAY_S = 86_400


@pytest.mark.parametrize(
    ("left_s", "said"),
    [
        (14 * DAY_S + 5, "ends in 14 days"),
        (DAY_S, "ends in 1 day"),
        (DAY_S - 1, "ends in less than a day"),
        (-1, "ended less than a day ago"),
        (-DAY_S - 5, "ended 1 day ago"),
        (-3 * DAY_S, "ended 3 days ago"),
    ],
)
def test_when_a_certificate_ends(left_s: int, said: str) -> None:
    assert when(left_s) == said


@pytest.mark.parametrize(
    ("offset_ns", "said"),
    [
        (120 * MS, "120 ms behind"),
        (-59_999 * MS, "59999 ms ahead"),
        (3600 * NS, "1 h 00 min behind"),
        (-3650 * DAY_S * NS, "3650 d 00 h ahead"),
    ],
)
def test_how_far_a_clock_is_off(offset_ns: int, said: str) -> None:
    assert off(offset_ns) == said
