"""What receivers of messages get, to the last byte: files that change only on purpose.

    python -m tests.contract.test_notify_golden

writes them anew: look at the difference before it is committed, since within v1 fields are only added.
"""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from jsonschema import Draft202012Validator
from tests.unit.test_notice_words import ONE, ORIGIN, OVER, notify

from tocsin.model.alert import Severity
from tocsin.model.notice import News, Told
from tocsin.notify.letter import opened
from tocsin.notify.pagerduty import event
from tocsin.wire.notices import payload

FOLDER = Path(__file__).parents[1] / "golden" / "people"
SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "notice.schema.json"
RUNBOOK = "https://wiki.example/{detector}"
NODES = tuple(replace(ONE, activation=at, names=(("chain", "ethereum"), ("node", f"geth-{at}"))) for at in range(8))


def _body(*told: Told, more: int = 0, groups: int = 1) -> bytes:
    return payload(notify(*told, more=more, groups=groups), ORIGIN, "b0", environment="prod", runbook=RUNBOOK)


def _at_pagerduty(told: Told) -> bytes:
    letter = opened(_body(told))
    return orjson.dumps(event(letter, letter.alerts[0]), option=orjson.OPT_SORT_KEYS)


def files() -> dict[str, bytes]:
    """Return every file by its name."""
    return {
        "webhook-firing": _body(ONE),
        "webhook-over": _body(OVER),
        "webhook-unheard": _body(replace(ONE, reason="nobody")),
        "webhook-storm": _body(*NODES, more=9_992, groups=120),
        "webhook-mixed": _body(replace(ONE, severity=Severity.WARNING, acked_by="ann", reason="reminder"), OVER),
        "pagerduty-trigger": _at_pagerduty(ONE),
        "pagerduty-acknowledge": _at_pagerduty(replace(ONE, news=News.SEEN, acked_by="ann")),
        "pagerduty-resolve": _at_pagerduty(OVER),
    }


@pytest.mark.parametrize("name", files())
def test_what_a_receiver_gets_is_what_it_always_got(name: str) -> None:
    pinned = orjson.loads((FOLDER / f"{name}.json").read_bytes())
    assert orjson.loads(files()[name]) == pinned, "if that is meant: python -m tests.contract.test_notify_golden"


@pytest.mark.parametrize("name", [name for name in files() if name.startswith("webhook")])
def test_what_a_webhook_gets_is_what_the_schema_says(name: str) -> None:
    schema = orjson.loads(SCHEMA.read_bytes())
    Draft202012Validator.check_schema(schema)
    event = orjson.loads(files()[name])
    Draft202012Validator(schema).validate(event)
    described = schema["properties"]["data"]["properties"], schema["$defs"]["alert"]["properties"]
    assert (event["data"].keys(), event["data"]["alerts"][0].keys()) == tuple(one.keys() for one in described)


def test_there_is_no_file_that_nothing_makes() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(files())


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, body in files().items():
        (FOLDER / f"{name}.json").write_bytes(orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2) + b"\n")
