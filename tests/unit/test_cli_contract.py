"""`tocsin contract show`, and the rows of the status that it and the status page read."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.support.statepool import MALLORY, OWNER_SLOT, VAULT, StatePool

from tocsin.cli._chains import chain_lines
from tocsin.cli.contract import find, lines
from tocsin.engine.status import status
from tocsin.errors import ControlError
from tocsin.mqtt.models import Contract

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/reference/cli-status.schema.json").read_text())


@pytest.fixture(scope="module")
def changed() -> dict[str, Any]:
    """The status after the owner of the vault has changed, and somebody has accepted it."""
    pool = StatePool()
    pool.rounds(8)
    pool.write(VAULT, OWNER_SLOT, MALLORY)
    pool.until(lambda: bool(pool.alerts), 14)
    before = status(pool.state, pool.now)
    pool.ack("contract.owner_changed")
    return {"before": before, "after": status(pool.state, pool.now)}


def test_a_contract_is_shown_with_how_it_is_known_and_what_it_was_pinned_to(changed: dict[str, Any]) -> None:
    page = "\n".join(lines(*find(changed["before"], "vault", "")))
    assert page.startswith("vault  0xc0ffee" + "00" * 17 + " on sim\nread at block ")
    [row] = [line.split() for line in page.splitlines() if line.split()[:1] == ["owner"]]
    assert row == ["owner", f"0x{MALLORY:040x}", "proven", f"0x{0xA11CE:040x}"]
    assert "the same" in page
    accepted = "\n".join(lines(*find(changed["after"], "vault", "sim")))
    assert "the same, accepted by alice" in accepted
    assert "quorum (3 of 3 groups)" in "\n".join(lines(*find(changed["before"], "token", "")))


def test_a_contract_that_is_not_there_is_told_with_those_that_are(changed: dict[str, Any]) -> None:
    with pytest.raises(ControlError, match="no contract is called 'valut'; there are token, vault"):
        find(changed["before"], "valut", "")
    with pytest.raises(ControlError, match="none is watched"):
        find({}, "vault", "")
    twice = {"chains": [{**changed["before"]["chains"][0], "name": name} for name in ("a", "b")]}
    with pytest.raises(ControlError, match="a, b each have a contract vault; say which with --chain"):
        find(twice, "vault", "")
    assert find(twice, "vault", "b")[0] == "b"


def test_the_status_page_says_of_each_contract_what_changed(changed: dict[str, Any]) -> None:
    page = "\n".join(chain_lines(changed["before"], 0, colour=False))
    [row] = [line.split() for line in page.splitlines() if line.split()[:1] == ["vault"]]
    assert row[2:] == ["proven", "owner"]


def test_the_rows_are_as_their_schema_and_the_model_of_the_topic_say(changed: dict[str, Any]) -> None:
    rows = changed["after"]["chains"][0]["contracts"]
    for row in rows:
        jsonschema.validate(row, {**SCHEMA["$defs"]["contract"], "$defs": SCHEMA["$defs"]})
        told = {key: value for key, value in row.items() if key not in ("name", "age_s")}
        Contract.model_validate_json(json.dumps(told))
