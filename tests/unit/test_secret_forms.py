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


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8545/jsonrpc",
        "https://formsnode.example/ethereum/mainnet/archive",
        "https://formsnode.example/v1/eth-mainnet?network=ethereum",
        "https://formsnode.example/base-sepolia-84532/lighthouse",
        "wss://formsnode.example/ext/bc/C/websocket",
    ],
)
def test_words_that_name_a_network_or_a_client_in_a_url_stay_in_texts(url: str) -> None:
    SecretUrl(url)
    text = "the jsonrpc of ethereum mainnet, an archive node of base-sepolia-84532 (lighthouse, websocket)"
    assert redact(text) == text
    assert redact(f"asked {url}") == "asked ***", "the whole is never printed"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://formsnode.example/v2/formskey-mainnet-0815", "formskey-mainnet-0815"),
        ("https://formsnode.example/mainnet-formsq7", "mainnet-formsq7"),
        ("https://formsnode.example/ethereum/formswordonly", "formswordonly"),
        ("https://formsnode.example/rpc?network=ethereum&key=formsquery", "formsquery"),
        ("https://ethereum-formsuser:archive-formspass@formsnode.example/", "archive-formspass"),
        ("https://formsnode.example/rpc/48151623", "48151623"),
    ],
)
def test_what_may_be_a_key_beside_such_words_is_one(url: str, key: str) -> None:
    SecretUrl(url)
    assert redact(f"no such key: {key}!") == "no such key: ***!"


def test_of_an_address_that_is_none_of_the_web_every_word_may_be_the_key() -> None:
    SecretUrl("ntfy://formstopic/ethereum-besu")
    assert redact("topic ethereum-besu is full") == "topic *** is full"
