"""`tocsin contract show`, and the rows of the status that it and the status page read."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.support.statepool import MALLORY, OWNER_SLOT, VAULT, StatePool

from tocsin.cli._chains import chain_lines
from tocsin.cli._named import find
from tocsin.cli.contract import lines
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
    page = "\n".join(lines(*find(changed["before"], "contract", "vault", "")))
    assert page.startswith("vault  0xc0ffee" + "00" * 17 + " on sim\nread at block ")
    [row] = [line.split() for line in page.splitlines() if line.split()[:1] == ["owner"]]
    assert row == ["owner", f"0x{MALLORY:040x}", "proven", f"0x{0xA11CE:040x}"]
    assert "the same" in page
    accepted = "\n".join(lines(*find(changed["after"], "contract", "vault", "sim")))
    assert "the same, accepted by alice: planned" in accepted
    assert "quorum (3 of 3 groups)" in "\n".join(lines(*find(changed["before"], "contract", "token", "")))


AMOUNT = {"grade": "proven", "votes": 0, "groups": 0, "baseline": None, "accepted_by": None, "decimals": 2}


def test_an_amount_is_shown_with_its_point_and_its_limits_and_a_list_with_one_member_a_line() -> None:
    values = {
        "balance.eth": {**AMOUNT, "value": "99", "least": "100", "most": None},
        "balance.usd": {**AMOUNT, "value": "12345", "least": None, "most": None},
        "safe.owners": {"value": "0xaa,0xbb", "grade": "proven", "groups": 0, "baseline": "0xaa", "accepted_by": None},
    }
    values["supply.cap"] = {**AMOUNT, "value": None, "least": None, "most": None}  # most tokens have none
    values["owner"] = {"value": None, "grade": None, "groups": None, "baseline": None, "accepted_by": None}
    read = {"name": "hot", "address": "0x11", "values": values, "block": {"number": 7, "hash": "0x7"}}
    page = [line.split() for line in lines("sim", read)]
    assert page[-5:] == [
        ["balance.eth", "0.99", "proven", "min", "1"],
        ["balance.usd", "123.45", "proven", "-"],
        ["safe.owners", "0xaa", "proven", "0xaa"],
        ["0xbb"],
        ["owner", "unread", "-", "-"],
    ]
    row = {"name": "hot", "contracts": [{"name": "hot", "block": None, "values": values}]}
    status_page = "\n".join(chain_lines({"chains": [row]}, 0, colour=False))
    [told] = [line.split() for line in status_page.splitlines() if line.split()[:1] == ["hot"] and "proven" in line]
    assert told[2:] == ["proven", "balance.eth,", "safe.owners"]


def test_a_contract_that_is_not_there_is_told_with_those_that_are(changed: dict[str, Any]) -> None:
    with pytest.raises(ControlError, match="no contract is called 'valut'; there are token, vault"):
        find(changed["before"], "contract", "valut", "")
    with pytest.raises(ControlError, match="none is watched"):
        find({}, "contract", "vault", "")
    twice = {"chains": [{**changed["before"]["chains"][0], "name": name} for name in ("a", "b")]}
    with pytest.raises(ControlError, match="a, b each have a contract vault; say which with --chain"):
        find(twice, "contract", "vault", "")
    assert find(twice, "contract", "vault", "b")[0] == "b"


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
