"""Secrets: where they are read from, what is said when they are not there, and that no output ever holds one."""

import copy
import io
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.configs import CANARY, MINIMAL, loaded, problems

from tocsin.config.load import Loaded
from tocsin.config.show import as_toml
from tocsin.secret import RedactingFilter, SecretUrl, redact

EVERYWHERE = (
    MINIMAL
    + f"""\
headers = {{ Authorization = "Bearer {CANARY}", X-Key = {{ env = "KEY" }} }}
proxy = "http://user:{CANARY}@proxy.example:3128"
ws = "wss://eth.alchemy.example/v2/{CANARY}"
[[chain.node]]
name = "infura"
url = "https://user:{CANARY}@infura.example/v3/{CANARY}?key={CANARY}#x"
[[chain.node]]
name = "quick"
url = {{ file = "url" }}
[mqtt]
url = "mqtts://broker.example"
user = "tocsin"
password = {{ credential = "mqtt" }}
"""
)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mqtt").write_text(CANARY + "\n")
    (tmp_path / "url").write_text(f"https://quick.example/{CANARY}/\r\n")
    for file in (credentials / "mqtt", tmp_path / "url"):
        file.chmod(0o600)
    return {"CREDENTIALS_DIRECTORY": str(credentials), "KEY": CANARY}


@pytest.fixture
def full(tmp_path: Path, environ: dict[str, str]) -> Loaded:
    return loaded(tmp_path, EVERYWHERE, environ)


def _secrets(full: Loaded) -> Iterator[Any]:
    assert full.tree.mqtt is not None
    yield full.tree.mqtt.password
    for node in full.tree.chains[0].nodes[1:]:
        yield from (node.url, node.ws, node.proxy, *node.headers.values())


def test_each_source_gives_the_value_without_its_line_end(full: Loaded) -> None:
    _, alchemy, infura, quick = full.tree.chains[0].nodes
    assert full.tree.mqtt is not None
    assert full.tree.mqtt.password is not None
    assert full.tree.mqtt.password.reveal() == CANARY
    assert quick.url.reveal() == f"https://quick.example/{CANARY}/"
    assert alchemy.headers["X-Key"].reveal() == CANARY
    assert infura.url.reveal() == f"https://user:{CANARY}@infura.example/v3/{CANARY}?key={CANARY}#x"


def test_the_provider_is_the_host_even_of_a_secret_url(full: Loaded) -> None:
    assert [node.provider for node in full.settings.chains[0].nodes[2:]] == ["infura.example", "quick.example"]


WAYS: dict[str, Callable[[Any], str]] = {
    "repr": repr,
    "str": str,
    "f-string": lambda value: f"{value} {value!r} {value!s:>80}",
    "percent": lambda value: "%s %r" % (value, value),  # noqa: UP031 - this is what is tested
    "format": lambda value: str.format("{} {!r} {!s:>80}", value, value, value),
    "pprint": pprint.pformat,
    "json by str": lambda value: json.dumps(value, default=str),
    "json by repr": lambda value: json.dumps(value, default=repr),
    "orjson by str": lambda value: orjson.dumps(value, default=str).decode(),
    "attributes": lambda value: str({name: getattr(value, name, "") for name in ("source", "__dict__", "args")}),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_printing_shows_a_secret(full: Loaded, way: str) -> None:
    show = WAYS[way]
    for secret in _secrets(full):
        assert CANARY not in show(secret)
        assert CANARY not in show([secret]) + show({"key": secret})


@pytest.mark.parametrize("dump", [json.dumps, orjson.dumps, pickle.dumps, copy.deepcopy])
def test_what_would_copy_a_value_out_refuses_a_secret(full: Loaded, dump: Callable[[Any], Any]) -> None:
    for secret in filter(None, _secrets(full)):
        with pytest.raises(TypeError) as caught:
            dump(secret)
        assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_the_tree_prints_without_secrets_in_every_way(full: Loaded) -> None:
    tree = full.tree
    outputs = [repr(tree), str(tree), f"{tree}", tree.model_dump_json(by_alias=True), str(tree.model_dump())]
    outputs += [repr(full), repr(full.settings), as_toml(full.document), json.dumps(full.document), *full.warnings]
    outputs.append(str([list(part) for part in tree]))
    assert all(CANARY not in text for text in outputs)
    assert "https://infura.example/***" in outputs[3]
    assert full.document["chain"][0]["node"][1]["headers"]["X-Key"] == {"env": "KEY"}


def _echo(value: str) -> None:
    raise OSError(f"foreign library: cannot reach {value}")


def test_logs_and_tracebacks_show_no_secret(full: Loaded) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter())
    logger = logging.getLogger("tests.canary")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    for secret in filter(None, _secrets(full)):
        logger.debug("connecting to %s as %r", secret, secret)
        try:
            _echo(secret.reveal())
        except OSError as error:
            logger.exception("failed")
            found = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert CANARY not in redact("".join(found.format()))
    assert CANARY not in stream.getvalue()
    assert "***" in stream.getvalue()
    logger.removeHandler(handler)


def test_a_url_without_anything_secret_in_it_survives_redaction() -> None:
    url = SecretUrl("http://10.9.8.7:8545")
    assert redact(f"cannot reach {url}") == "cannot reach http://10.9.8.7:8545"


def test_a_url_with_a_short_key_is_redacted_whole() -> None:
    url = SecretUrl("https://short.example/?k=a1b")
    assert redact(f"GET {url.reveal()} failed") == "GET *** failed"
    assert str(url) == "https://short.example"


@pytest.mark.parametrize(
    "place",
    [
        f'url = "http://{CANARY}:x@h/{CANARY} {CANARY}"',
        f'url = "ftp://h/{CANARY}"',
        f'url = "http://[{CANARY}"',
        f'url = ["{CANARY}"]',
        f'url = {{ envv = "{CANARY}" }}',
        f'url = "http://h"\nheaders = "{CANARY}"',
        f'url = "http://h"\nheaders = {{ A = ["{CANARY}"] }}',
        f'url = "http://h"\nown = "{CANARY}"',
        f'url = "http://h"\nbudget = "{CANARY}"',
        f'url = "http://h"\ntimeout = "{CANARY}"',
        f'url = "http://h"\nid = "{CANARY}!"',
        f'url = "http://h"\nname2 = "{CANARY}"',
        f'url = "http://h"\nclient = ["{CANARY}"]',
        f'url = "http://h"\nca = ["{CANARY}"]',
        f'url = "http://h"\n[mqtt]\nurl = "mqtt://u:{CANARY}@h"',
        f'url = "http://h"\n[mqtt]\nurl = "mqtt://h"\nkeepalive = "{CANARY}"\npassword = "{CANARY}"',
        f'url = "http://h"\n[chain.detector."node.lag"]\nwarning = "{CANARY}"',
        f'url = "http://h"\n[chain.detector."node.odd"]\ncolour = "{CANARY}"\nmode = "{CANARY}"\nage = "{CANARY}"',
        f'url = "http://h"\n[chain.detector."node.odd"]\npair = ["a", "{CANARY}"]\nband = {{ low = "{CANARY}" }}',
        f'url = "{CANARY}',
        f'url = {{ env = "{CANARY}", }}',
        f"url = {CANARY}",
    ],
)
def test_a_mistake_next_to_a_secret_does_not_show_it(tmp_path: Path, place: str) -> None:
    lines = problems(tmp_path, MINIMAL.replace('url = "https://eth.alchemy.example"', place))
    assert lines
    assert CANARY not in "".join(lines)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('{ env = "NOPE" }', "environment variable NOPE is not set"),
        ('{ env = "EMPTY" }', "environment variable EMPTY is empty"),
        ('{ file = "nope" }', "file nope cannot be read: No such file or directory"),
        ('{ file = "." }', "file . is not a regular file"),
        ('{ file = "blank" }', "file blank is empty"),
        ('{ file = "lines" }', "has a space or a control character in it"),
        ('{ file = "latin" }', "file latin is not UTF-8 text"),
        ('{ credential = "mqtt" }', "credential mqtt is not here: $CREDENTIALS_DIRECTORY is not set; start by systemd"),
        ('{ credential = "../url" }', "the name of a credential has letters, digits, dot, dash and underscore only"),
        ('{ credential = ".." }', "the name of a credential has letters, digits, dot, dash and underscore only"),
        ('{ env = "A", file = "b" }', 'write a string, or { credential = "name" }, { env = "NAME" } or'),
        ("{ env = 5 }", 'write a string, or { credential = "name" }, { env = "NAME" } or'),
    ],
)
def test_a_secret_that_is_not_there_is_told_by_its_source(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "blank").write_text("\n")
    (tmp_path / "lines").write_text("one\ntwo\n")
    (tmp_path / "latin").write_bytes(b"\xff\xfe")
    text = MINIMAL.replace('"https://eth.alchemy.example"', source)
    [line] = problems(tmp_path, text, {"EMPTY": ""})
    assert line.startswith(f"tocsin.toml:14: chain.0.node.1.url: {said}")


@pytest.mark.parametrize("value", [r"a\r\nX-Evil: 1", r"nul\u0000", r"tab\t", r"del\u007f"])
def test_a_header_cannot_carry_a_line_break(tmp_path: Path, value: str) -> None:
    [line] = problems(tmp_path, MINIMAL + f'headers = {{ A = "{value}" }}\n')
    assert "chain.0.node.1.headers.A: holds more than one line, or control characters" in line


def test_looking_needs_no_secrets_and_keeps_unknown_nodes_apart(tmp_path: Path) -> None:
    text = (
        MINIMAL.replace('"https://eth.alchemy.example"', '{ env = "ONE" }')
        + '[[chain.node]]\nname = "two"\nurl = { credential = "two" }\n'
        + '[mqtt]\nurl = "mqtt://h"\nuser = "u"\npassword = { file = "nope" }\n'
    )
    result = loaded(tmp_path, text, require_secrets=False)
    providers = [node.provider for node in result.settings.chains[0].nodes]
    assert providers == ["self", "env-one.invalid", "credential-two.invalid"]
    assert result.document["mqtt"]["password"] == {"file": "nope"}


def test_secrets_that_every_user_can_read_are_warned_of(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "url").chmod(0o644)
    [warning] = loaded(tmp_path, EVERYWHERE, environ).warnings
    assert f"tocsin.toml:23: chain.0.node.3.url: every user can read the secret in {tmp_path}/url; chmod o-r" in warning


def test_a_literal_secret_in_a_file_that_every_user_can_read_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "open.toml").write_text('[mqtt]\nurl = "mqtt://h"\nuser = "u"\npassword = "hunter22"\n')
    (tmp_path / "open.toml").chmod(0o644)
    [warning] = loaded(tmp_path, "include = ['open.toml']\n" + MINIMAL).warnings
    assert "open.toml:4: mqtt.password: every user can read this secret" in warning


def test_a_private_key_that_every_user_can_read_is_warned_of(tmp_path: Path) -> None:
    for name in ("cert", "key"):
        (tmp_path / name).write_text("-----BEGIN something-----\n")
        (tmp_path / name).chmod(0o644)
    [warning] = loaded(tmp_path, MINIMAL + 'cert = "cert"\nkey = "key"\n').warnings
    assert "tocsin.toml:16: chain.0.node.1.key: every user can read this key" in warning
