"""The language of matches: what a text means, what it does not, and what is said about one that means nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.alerting.matching import LONGEST, MOST, MatchError, Names, matches, parse
from tocsin.model.alert import Labels, Severity

NODE: Labels = (("chain", "eip155:1"), ("environment", "prod"), ("node", "ams.geth"))
NAMES = Names(chains={"eip155:1": "ethereum"}, subjects={NODE: (("node", "geth"), ("provider", "self"))})


def means(text: str, *, detector: str = "node.lag", severity: Severity = Severity.WARNING) -> bool:
    return matches(parse(text), detector, severity, NODE, NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "detector=node.* chain=ethereum severity<=warning",
        "detector=*",
        "detector=node.l?g",
        "detector=pool.*|node.*",
        "chain=eip155:1",
        "chain=eth*",
        "node=geth",
        "node=ams.geth",
        "provider=self",
        "detector!=pool.*",
        "node!=reth",
        "peer=",
        "peer!=x",
        'environment="prod"',
        "severity=warning",
        "severity=info|warning",
        "severity!=critical",
        "severity>=warning",
        "severity>info",
        "severity<critical",
        "  detector=*   chain=*  ",
    ],
)
def test_it_means_the_alert(text: str) -> None:
    assert means(text)


@pytest.mark.parametrize(
    "text",
    [
        "detector=node",
        "detector=node.lag.*",
        "detector=*.lag chain=gnosis",
        "chain!=ethereum",
        "node!=geth",
        "node!=ams.*",
        "provider=alchemy",
        "peer=x",
        "peer=?*",
        'detector="node.*"',
        "severity=info",
        "severity<warning",
        "severity>warning",
        "severity!=warning|critical",
    ],
)
def test_it_does_not_mean_the_alert(text: str) -> None:
    assert not means(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "character 1: names no alerts; write detector=* for all"),
        ("   ", "character 1: names no alerts"),
        ("node.*", "character 1: write key=pattern, such as"),
        ("detector=node.* oops", "character 17: write key=pattern"),
        ("chain<=ethereum", "character 6: chain has no order; only severity does"),
        ("severity<=bad", "character 11: a severity is one of info, warning, critical"),
        ("severity>=info|warning", "character 11: >= takes one severity"),
        ('node="geth', "character 1: write key=pattern"),
        ('node=a"b"', "character 1: write key=pattern"),
        ("x=1 " * (MOST + 1), f"character 1: has more than {MOST} terms"),
        ("x=" + "y" * LONGEST, f"character {LONGEST + 1}: is longer than {LONGEST} characters"),
    ],
)
def test_a_text_that_means_nothing_is_told_where(text: str, said: str) -> None:
    with pytest.raises(MatchError) as error:
        parse(text)
    assert str(error.value).startswith(said)


def fits_slowly(pattern: str, value: str) -> bool:
    if not pattern:
        return not value
    if pattern[0] == "*":
        return fits_slowly(pattern[1:], value) or (bool(value) and fits_slowly(pattern, value[1:]))
    return bool(value) and pattern[0] in ("?", value[0]) and fits_slowly(pattern[1:], value[1:])


@given(pattern=st.text("ab*?", min_size=1, max_size=8), value=st.text("ab", max_size=8))
def test_a_pattern_fits_what_its_definition_says(pattern: str, value: str) -> None:
    labels = (("node", value),) if value else ()
    assert matches(parse(f"node={pattern}"), "x", Severity.INFO, labels) is fits_slowly(pattern, value)


@given(value=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20))
def test_what_is_quoted_means_itself(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    assert matches(parse(f'node="{quoted}"'), "x", Severity.INFO, (("node", value),))


def test_no_pattern_takes_long() -> None:
    text = "node=" + "*a" * 200 + "b"
    assert not matches(parse(text), "x", Severity.INFO, (("node", "a" * 5000),))
