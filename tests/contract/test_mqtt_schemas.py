"""What is published is what the documents say, and the documents are what the code says."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from tests.support.messages import BEAT, BOOT, LIFE, NOON_NS, ORIGIN, golden_messages
from tests.support.pool import Pool, settings_for

from tocsin.model.effect import AlertChanged, StateChanged
from tocsin.model.observation import Fault, FaultKind
from tocsin.mqtt import presence, schemas
from tocsin.mqtt.models import EVENTS, INBOUND
from tocsin.mqtt.presence import State
from tocsin.runtime.describe import configured_topics, description
from tocsin.wire import envelope
from tocsin.wire.acks import claim, encode
from tocsin.wire.topics import CONTRACT

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def check(payload: bytes) -> str:
    """Hold a payload against its model and its schema; return its kind."""
    event = orjson.loads(payload)
    kind = event["type"].removeprefix("dev.tocsin.").removesuffix(".v1")
    EVENTS[kind].model_validate_json(payload)
    schema = schemas.schema(kind)
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(event)
    return str(kind)


@pytest.mark.parametrize("name", sorted(schemas.documents()))
def test_the_documents_are_those_that_the_code_writes(name: str) -> None:
    assert (REFERENCE / name).read_bytes() == schemas.documents()[name], "run: python -m tocsin.mqtt.schemas"


def test_no_document_is_left_of_a_kind_that_is_gone() -> None:
    written = {f"schemas/{path.name}" for path in (REFERENCE / "schemas").iterdir()}
    assert written == {name for name in schemas.documents() if name.startswith("schemas/")}


def test_writing_makes_exactly_the_documents(tmp_path: Path) -> None:
    schemas.write(tmp_path)
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == schemas.documents()


@pytest.mark.parametrize("kind", sorted(EVENTS | INBOUND))
def test_each_schema_is_one(kind: str) -> None:
    Draft202012Validator.check_schema(schemas.schema(kind))


def test_everything_that_the_core_says_while_nodes_fail_conforms() -> None:
    pool = Pool(settings_for(("a", "b", "b", "c")), keep_events=True)
    pool.rounds(10)
    pool.answers["n0"] = lambda _node, _request: Fault(kind=FaultKind.TIMEOUT, detail="x")
    pool.rounds(60)
    said = [effect for effect in pool.effects if isinstance(effect, AlertChanged | StateChanged)]
    messages = [message for effect in said for message in envelope.render(effect, ORIGIN, BOOT)]
    kinds = {check(message.payload) for message in messages if message.payload}
    assert kinds == {"alert", "head", "node"}


@pytest.mark.parametrize("state", list(State))
def test_status_and_will_conform(state: State) -> None:
    assert check(presence.status(LIFE, state, NOON_NS).payload) == "status"
    assert check(presence.will(LIFE, NOON_NS).payload) == "status"


def test_the_description_conforms() -> None:
    settings = settings_for(("a", "b"))
    assert check(presence.description(LIFE, description(settings), NOON_NS).payload) == "description"


def test_the_heartbeat_conforms() -> None:
    assert check(presence.heartbeat(LIFE, 1, BEAT, 10, NOON_NS).payload) == "heartbeat"


def test_every_retained_topic_of_a_configuration_is_of_the_contract() -> None:
    patterns = [re.sub(r"\{\w+\}", "[^/]+", row.address) for row in CONTRACT if row.retained and row.served]
    for topic in configured_topics(settings_for(("a", "b"))):
        assert any(re.fullmatch(pattern, topic) for pattern in patterns)


def test_a_field_of_tomorrow_is_accepted_by_consumers_and_refused_by_our_own_tests() -> None:
    event = orjson.loads(golden_messages()["alert-firing"].payload)
    event["data"]["of_tomorrow"] = event["of_tomorrow"] = 1
    Draft202012Validator(schemas.schema("alert")).validate(event)
    with pytest.raises(ValidationError, match="of_tomorrow"):
        EVENTS["alert"].model_validate(event)


@pytest.mark.parametrize("field", ["seq", "fingerprint", "state", "value", "grade", "evidence", "resolved_at"])
def test_a_field_that_is_promised_is_required(field: str) -> None:
    event = orjson.loads(golden_messages()["alert-firing"].payload)
    del event["data"][field]
    assert list(Draft202012Validator(schemas.schema("alert")).iter_errors(event))


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = schemas.asyncapi()
    for reference in _references(document):
        if reference.startswith("#/"):
            node: Any = document
            for part in reference[2:].split("/"):
                node = node[part]
        else:
            assert (REFERENCE / reference).is_file()


def test_every_served_topic_has_a_channel_an_operation_and_schemas() -> None:
    document = schemas.asyncapi()
    served = [row for row in CONTRACT if row.served]
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {f"tocsin/v1/{{site}}/{{watchdog}}/{row.address}" for row in served}
    assert len(document["operations"]) == len(served)
    assert {row.kind for row in served} <= {*EVENTS, *INBOUND}
    receiving = [key for key, operation in document["operations"].items() if operation["action"] == "receive"]
    assert receiving == ["take_ack_consumer"]


@given(
    at=st.integers(1, 2**53 - 1), highest=st.integers(0, 2**53 - 1), holes=st.sets(st.integers(1, 10**6), max_size=9)
)
def test_what_a_consumer_signs_conforms(at: int, highest: int, holes: set[int]) -> None:
    payload = encode(claim(at, highest, holes), ORIGIN.source, "pager", b"sixteen bytes or more")
    INBOUND["ack"].model_validate_json(payload)
    Draft202012Validator(schemas.schema("ack")).validate(orjson.loads(payload))


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for item in node.values() for found in _references(item)]
    return [found for item in node for found in _references(item)] if isinstance(node, list) else []
