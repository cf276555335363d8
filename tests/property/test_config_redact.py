"""The last net: no value that was ever held as a secret passes `redact`."""

import base64
import re
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from tocsin.secret import Secret, redact

# The net is the process's: letters that no other test writes keep these secrets to themselves.
LETTERS = "ᚠᚢᚦ"
SECRETS = st.lists(st.text(LETTERS, min_size=6, max_size=9), max_size=4)


@given(SECRETS, st.text(LETTERS + " ", max_size=40))
def test_no_secret_is_left_in_a_text(values: list[str], noise: str) -> None:
    held = [Secret(value) for value in values]
    for one in held:
        value = one.reveal()
        for form in (value, quote(value, safe=""), base64.b64encode(value.encode()).decode()):
            assert form not in redact(f"{noise}{form}{noise}")
            assert form not in redact(f"at {form}, and {form}")


@given(st.text(st.characters(exclude_characters=LETTERS), max_size=60))
def test_a_text_without_a_secret_stays_as_it_is(text: str) -> None:
    assert redact(text) == text or "***" in redact(text)


def test_the_longest_of_two_secrets_goes_whole() -> None:
    short, long = "ᛒᛖᛗᛚᛜᛞ", "ᛒᛖᛗᛚᛜᛞ-and-more"
    for value in (short, long):
        Secret(value)
    assert redact(f"x{long}y{short}z") == "x***y***z"


@given(st.text("ᛟᛠᛡ", min_size=6, max_size=30), st.text("ᛟᛠᛡ", max_size=60))
def test_of_overlapping_secrets_none_is_left_whole(value: str, text: str) -> None:
    Secret(value)
    assert not re.search(re.escape(value), redact(text))
