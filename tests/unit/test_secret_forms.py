"""The forms in which a secret comes back from those it was sent to."""

from base64 import b64encode

import pytest

from tocsin.secret import Secret, SecretUrl, redact


def basic(login: str) -> str:
    return b64encode(login.encode()).decode()


def test_the_token_of_a_header_is_a_secret_without_its_scheme() -> None:
    Secret("Bearer formstoken4711")
    assert redact("no such token: formstoken4711") == "no such token: ***"
    assert redact(basic("formstoken4711")) == "***"


@pytest.mark.parametrize("part", ["formslogin:formsword0815", "formslogin", "formsword0815"])
def test_what_basic_credentials_encode_is_a_secret(part: str) -> None:
    Secret(f"Basic {basic('formslogin:formsword0815')}")
    assert redact(f"unknown: {part}") == "unknown: ***"


def test_a_value_that_only_looks_like_basic_credentials_is_a_secret_all_the_same() -> None:
    Secret("Basic formsnotbase64!")
    assert redact("formsnotbase64!") == "***"


def test_user_and_password_of_a_url_are_secrets_as_the_header_carries_them() -> None:
    SecretUrl("http://formsjoe:forms%40pass%2Fword@127.0.0.1:8545")
    assert redact(f"Authorization: Basic {basic('formsjoe:forms@pass/word')}") == "Authorization: Basic ***"
    assert redact("forms@pass/word") == "***"
