"""The wire contract read by tools of others: AsyncAPI's own parser, and the SDK of CloudEvents."""

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from tests.support.golden import golden

from tocsin.wire.envelope import CONTENT_TYPE

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
EVENTS = {name: one for name, one in golden().items() if one.content_type == CONTENT_TYPE}
WARNING = 1
"""Of the parser's severities, 0 is an error, 2 advice: such as that there is a newer version of AsyncAPI."""


def _rename_action(document: dict[str, Any]) -> None:
    document["operations"]["publish_status"]["action"] = "publish"


def _lose_channel(document: dict[str, Any]) -> None:
    document["operations"]["publish_status"]["channel"]["$ref"] = "#/channels/nowhere"


def _lose_schema(document: dict[str, Any]) -> None:
    document["components"]["messages"]["alert"]["payload"]["$ref"] = "./schemas/nothing.json"


def _lose_title(document: dict[str, Any]) -> None:
    del document["info"]["title"]


def _lose_parameter(document: dict[str, Any]) -> None:
    del document["channels"]["node_chain_node"]["parameters"]["node"]


def _break_qos(document: dict[str, Any]) -> None:
    document["operations"]["publish_status"]["bindings"]["mqtt"]["qos"] = "one"


BREAKS: tuple[Callable[[dict[str, Any]], None], ...] = (
    _rename_action,
    _lose_channel,
    _lose_schema,
    _lose_title,
    _lose_parameter,
    _break_qos,
)


def _problems(files: list[Path]) -> list[list[dict[str, Any]]]:
    """Return what the parser finds in each file that is more than advice."""
    command = ["node", str(ROOT / "tests/support/asyncapi.cjs"), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    return [[one for one in found if one["severity"] <= WARNING] for found in json.loads(done.stdout)]


def test_asyncapis_own_parser_takes_the_document_and_finds_out_each_that_is_broken(tmp_path: Path) -> None:
    """One test, since it takes seconds to start the parser."""
    if shutil.which("node") is None or not (ROOT / "node_modules/@asyncapi/parser").exists():
        pytest.skip("the parser of AsyncAPI is not installed; make test does that where npm is")
    shutil.copytree(REFERENCE / "schemas", tmp_path / "schemas")
    whole = json.loads((REFERENCE / "asyncapi.json").read_text())
    files = {"whole": REFERENCE / "asyncapi.json"}
    for change in BREAKS:
        document = copy.deepcopy(whole)
        change(document)
        files[change.__name__] = tmp_path / f"{change.__name__}.json"
        files[change.__name__].write_text(json.dumps(document))
    found = dict(zip(files, _problems(list(files.values())), strict=True))
    assert found.pop("whole") == []
    assert [name for name, problems in found.items() if not problems] == []


# -- CloudEvents


def _read(payload: bytes) -> CloudEvent:
    event = JSONFormat().read(CloudEvent, payload)
    assert isinstance(event, CloudEvent)
    return event


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_the_cloudevents_sdk_reads_what_is_published(name: str) -> None:
    message = EVENTS[name]
    assert message.content_type == CONTENT_TYPE == JSONFormat.CONTENT_TYPE
    event, said = _read(message.payload), orjson.loads(message.payload)
    assert (event.get_specversion(), event.get_id(), event.get_source()) == ("1.0", said["id"], said["source"])
    assert (event.get_type(), event.get_subject()) == (said["type"], said["subject"])
    assert event.get_data() == said["data"]
    assert event.get_extension("sequence") == said.get("sequence")
    time = event.get_time()
    assert time is not None
    assert time.utcoffset() is not None
    again = orjson.loads(JSONFormat().write(event))
    assert {key: again[key] for key in said if key != "time"} == {key: said[key] for key in said if key != "time"}


@pytest.mark.parametrize(
    "change",
    [{"id": ""}, {"source": None}, {"type": None}, {"specversion": "2.0"}, {"Sequence_No": "1"}, {"subject": ""}],
)
def test_the_cloudevents_sdk_refuses_what_is_no_event(change: dict[str, object]) -> None:
    event = orjson.loads(EVENTS["alert-firing"].payload) | change
    with pytest.raises(CloudEventValidationError):
        _read(orjson.dumps({key: value for key, value in event.items() if value is not None}))
