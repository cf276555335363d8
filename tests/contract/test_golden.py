"""What is published is what was published before, to the byte; and nothing is published that is not pinned."""

import ast
import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from tests.support import golden as files
from tests.support.golden import FOLDER, INDEX, golden, index
from tests.support.messages import BEAT

from tocsin.engine.state import EngineState
from tocsin.model.alert import REASONS
from tocsin.mqtt import schemas
from tocsin.mqtt.models import EVENTS, FOREIGN, INBOUND
from tocsin.mqtt.presence import State
from tocsin.runtime.describe import heartbeat
from tocsin.store import Health, Store
from tocsin.testing import ManualClock
from tocsin.wire.acks import Refusal
from tocsin.wire.topics import CONTRACT

SRC = Path(__file__).parents[2] / "src" / "tocsin"
AGAIN = "if that is meant: python -m tests.support.golden, and look at the difference"
MESSAGES = golden()
SAID = {name: message for name, message in MESSAGES.items() if message.payload}
MODELS = EVENTS | INBOUND | FOREIGN


def kind_of(name: str) -> str:
    event = orjson.loads(SAID[name].payload)
    if "specversion" in event:
        return str(event["type"].removeprefix("dev.tocsin.").removesuffix(".v1"))
    return "ack" if SAID[name].topic.startswith("tocsin/") else "homeassistant"


def data_of(kind: str) -> Iterator[dict[str, object]]:
    for name in SAID:
        if kind_of(name) == kind:
            yield orjson.loads(SAID[name].payload)["data"]


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_the_bytes_are_those_that_were_published_before(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_bytes() == MESSAGES[name].payload + b"\n", AGAIN


def test_each_is_published_as_it_was_before() -> None:
    assert INDEX.read_bytes() == index(), AGAIN


def test_no_golden_file_lacks_a_message() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(MESSAGES), AGAIN


def test_writing_makes_exactly_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FOLDER", tmp_path / "wire")
    monkeypatch.setattr(files, "INDEX", tmp_path / "wire.json")
    (tmp_path / "wire").mkdir()
    (tmp_path / "wire" / "gone.json").write_text("{}")
    files.write()
    assert {path.name: path.read_bytes() for path in (tmp_path / "wire").iterdir()} == {
        path.name: path.read_bytes() for path in FOLDER.iterdir()
    }
    assert (tmp_path / "wire.json").read_bytes() == INDEX.read_bytes()


@pytest.mark.parametrize("name", sorted(SAID))
def test_each_golden_file_is_as_its_model_and_its_schema_say(name: str) -> None:
    payload, kind = (FOLDER / f"{name}.json").read_bytes(), kind_of(name)
    MODELS[kind].model_validate_json(payload)
    checker = Draft202012Validator.FORMAT_CHECKER
    Draft202012Validator(schemas.schema(kind), format_checker=checker).validate(orjson.loads(payload))


def test_every_kind_that_is_published_or_taken_has_a_golden_file() -> None:
    assert {kind_of(name) for name in SAID} == set(MODELS)


def test_every_topic_that_is_served_has_a_golden_file() -> None:
    served = [row.address for row in CONTRACT if row.served]
    patterns = {address: re.sub(r"\{\w+\}", "[^/]+", address) for address in served}
    topics = [message.topic.removeprefix("tocsin/v1/ams/host-a/") for message in SAID.values()]
    patterns["reply/{consumer}/{request}"] = "reply/[^/]+/.+"
    assert [one for one, pattern in patterns.items() if not any(re.fullmatch(pattern, topic) for topic in topics)] == []


def test_every_reason_every_state_and_every_refusal_has_a_golden_file() -> None:
    assert {data["reason"] for data in data_of("alert")} == set(REASONS)
    assert {data["state"] for data in data_of("status")} == {state.value for state in State}
    assert {data["reason"] for data in data_of("reply")} == {None, *(refusal.value for refusal in Refusal)}


def _told(value: object) -> Iterator[tuple[type[BaseModel], str]]:
    """Yield every field that is there in a message, with the model that it is one of."""
    if isinstance(value, BaseModel):
        for name in value.model_fields_set:
            yield type(value), name
            yield from _told(getattr(value, name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _told(item)
    elif isinstance(value, dict):
        yield from _told(list(value.values()))


def test_every_field_that_may_be_there_is_in_a_golden_file() -> None:
    """But for those of other programs, of which we use what we need."""
    ours = EVENTS | INBOUND
    payloads = [(kind_of(name), one.payload) for name, one in SAID.items()]
    told = {
        each for kind, payload in payloads if kind in ours for each in _told(ours[kind].model_validate_json(payload))
    }
    models = {model for model, _ in told}
    assert models >= set(ours.values())
    every = {(model, name) for model in models for name in model.model_fields}
    assert sorted(f"{model.__name__}.{name}" for model, name in every - told) == []


def test_a_heartbeat_of_these_files_says_what_one_of_the_daemon_says(tmp_path: Path) -> None:
    async def health() -> Health:
        async with await Store.open(tmp_path, clock=ManualClock()) as store:
            return store.health()

    assert set(heartbeat(EngineState(), asyncio.run(health()), 0)) == set(BEAT)


def _named_kinds() -> Iterator[str]:
    """Yield every kind that the source gives to a message, as a literal."""
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in MAKERS:
                yield from (
                    str(keyword.value.value)
                    for keyword in node.keywords
                    if keyword.arg == "kind" and isinstance(keyword.value, ast.Constant)
                )


MAKERS = {"StateChanged", "_Told", "document_message", "_envelope"}
"""What makes messages."""


def test_the_source_makes_messages_of_no_other_kind() -> None:
    assert set(_named_kinds()) == {*EVENTS, "cleared"}
