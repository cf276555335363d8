"""`tocsin verify`: from what people have of an alert to a verdict, by its exit code too, and never to a traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.accused import alert, event, evidence
from tests.support.messages import ALERT, ORIGIN, changed

from tocsin.cli import main
from tocsin.ids import digest
from tocsin.lab import exhibits
from tocsin.lab.bundle import write
from tocsin.store import EvidenceFolder
from tocsin.wire.envelope import EVIDENCE_LIMIT, alert_messages, evidence_bytes

Verify = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verify(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Verify:
    """Run the command on what is to be checked: a value, text or bytes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOCSIN_CONFIG", raising=False)

    def run(given: Any, *options: str) -> tuple[int, str, str]:
        data = given if isinstance(given, bytes) else json.dumps(given).encode()
        (tmp_path / "given.json").write_bytes(data)
        code = main.run(["verify", "given.json", *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.mark.parametrize("shape", ["event", "data", "evidence"])
def test_an_alert_is_checked_in_each_form_that_people_have_it_in(verify: Verify, shape: str) -> None:
    whole = event("proof")
    given = {"event": whole, "data": whole["data"], "evidence": whole["data"]["evidence"]}[shape]
    code, out, err = verify(given)
    assert (code, err) == (0, "")
    assert "\n  holds header: its fields hash to 0x" in out
    assert "proof: held against the state root" in out
    assert out.endswith("the evidence proves what it claims\n")
    assert ("node.proof_invalid sim.n1: n1 gives a wrong proof of vault" in out) is (shape != "evidence")


def test_what_does_not_prove_what_it_claims_is_told_with_what_is_wrong(verify: Verify) -> None:
    given = evidence("slot")
    code, out, _ = verify({**given, "expected": f"0x{9:064x}"})
    assert code == 1
    assert "\n  fails right value: proven is 0x" in out
    assert out.endswith("the evidence does not prove what it claims\n")


def test_what_only_a_quorum_says_cannot_be_decided_and_it_is_said_why(verify: Verify) -> None:
    code, out, _ = verify(event("call"))
    assert code == 2
    assert "\n  open  right value:" in out
    assert "that is the watchdog's word" in out
    assert out.endswith("it cannot be decided from this evidence alone\n")


def test_a_program_gets_json_with_each_check(verify: Verify) -> None:
    code, out, _ = verify(event("slot"), "--json")
    found = json.loads(out)
    assert (code, found["schema"], found["exit"], found["file"]) == (0, 1, 0, "given.json")
    [row] = found["evidence"]
    assert (row["detector"], row["subject"], row["kind"], row["verdict"]) == (
        *("node.call_mismatch", "sim.n1", "value", "proves"),
    )
    assert {check["outcome"] for check in row["checks"]} == {"holds", "note"}


def test_a_stream_of_events_is_checked_one_by_one_and_the_worst_decides(verify: Verify) -> None:
    plain = json.loads(alert_messages(changed(ALERT, seq=7), ORIGIN)[0].payload)
    lines = [event("proof"), event("proof", seq=2), plain, event("call", seq=3)]
    code, out, _ = verify("\n".join(map(json.dumps, lines)).encode(), "--json")
    assert code == 2
    assert [row["verdict"] for row in json.loads(out)["evidence"]] == ["proves", "undecided"]
    false = {**evidence("proof"), "state_root": "0x" + "11" * 32}
    code, out, _ = verify([*lines, false])
    assert code == 1


def test_standard_input_is_read(verify: Verify, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(json.dumps(event("proof")).encode())
    with (tmp_path / "in").open() as source:
        monkeypatch.setattr("sys.stdin", source)
        assert main.run(["verify", "-"]) == 0
    assert verify(event("proof"))[0] == 0


# -- evidence that is too long for its alert


def whole(what: str) -> tuple[str, bytes]:
    data = evidence_bytes(alert(what))
    assert len(data) > EVIDENCE_LIMIT
    return digest(data), data


def test_long_evidence_is_found_in_the_state_directory_beside_the_file_or_where_it_is_said(
    verify: Verify, tmp_path: Path
) -> None:
    name, data = whole("code")
    given = event("code")
    assert given["data"]["evidence"]["truncated"] is True
    code, out, _ = verify(given)
    assert code == 2
    assert f"the watchdog keeps all of it as evidence/{name}.json in its state directory" in out
    EvidenceFolder(tmp_path / "state").keep({name: data})
    (tmp_path / "tocsin.toml").write_text('[watchdog]\nstate_dir = "state"\n')
    assert verify(given)[0] == 0
    (tmp_path / "tocsin.toml").unlink()
    assert verify(given)[0] == 2
    assert verify(given, "--kept", "state")[0] == verify(given, "--kept", "state/evidence")[0] == 0
    (tmp_path / f"{name}.json").write_bytes(data)
    assert verify(given)[0] == 0
    (tmp_path / f"{name}.json").write_bytes(data.replace(b"60", b"61", 1))
    assert verify(given)[0] == 2, "other evidence than the alert names"
    (tmp_path / f"{name}.json").write_bytes(b"x" * 100)
    assert verify(given)[0] == 2


def test_the_name_of_long_evidence_leads_to_no_other_place(verify: Verify, tmp_path: Path) -> None:
    given = event("code")
    (tmp_path / "kept").mkdir()
    (tmp_path / "secret.json").write_bytes(b"{}")
    given["data"]["evidence"]["digest"] = "../secret"
    code, out, _ = verify(given, "--kept", "kept")
    assert (code, "cannot be checked" in out) == (2, True)


def test_an_incident_is_checked_with_the_evidence_that_it_has_along(verify: Verify, tmp_path: Path) -> None:
    name, data = whole("code")
    incident = {"events": [event("code")], "others": [], "evidence": {name: json.loads(data)}}
    assert verify(incident)[0] == 0
    assert verify({**incident, "evidence": {name: {**json.loads(data), "said": "0x"}}})[0] == 2
    write(tmp_path / "a.tsi", incident, None)
    code, out, _ = verify((tmp_path / "a.tsi").read_bytes() + b"\x00not json" * 100)
    assert code == 0, out
    code, _, err = verify((tmp_path / "a.tsi").read_bytes().replace(b"node.call", b"node.cell"))
    assert (code, err) == (2, "tocsin: given.json: the incident: its first line does not match its digest\n")


# -- what is none


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (b"", "no JSON: "),
        (b"\x00\xff\xfe", "no JSON: "),
        (b"hello", "no JSON: "),
        (b'{"a": 1}\n{"b": ', "line 2: no JSON: "),
        (b"[" * 100_000, "no JSON: "),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, "no JSON: "),
        (b"7", "no evidence that can be checked: alerts of nothing"),
        (b"[]", "no alert, no incident and no evidence"),
        (b"{}", "no evidence that can be checked: alerts of no detector"),
        (b'{"format":"tocsin-incident"', "the incident: its first line cannot be read"),
        (b'{"format":"tocsin-incident","version":9,"digest":"x","incident":{}}', "written in format 9"),
        (json.dumps({"data": {"detector": "node.lag", "evidence": {"head": 1}}}).encode(), "alerts of node.lag carry"),
        (json.dumps({"data": {"detector": "\x1b[31mevil", "evidence": {}}}).encode(), "alerts of "),
    ],
)
def test_what_holds_no_evidence_is_refused_in_one_line(verify: Verify, given: bytes, why: str) -> None:
    code, out, err = verify(given)
    assert (code, out) == (2, "")
    assert err.startswith("tocsin: given.json: ")
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert why in err


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"schema": 9}, "schema: not a number up to 1"),
        ({"kind": 7}, "kind: 7 is none of proof, value, logs, receipts"),
        ({"block": None}, "block: not an object with a number and a hash"),
        ({"claim": {"address": "0x11", "slots": []}}, "claim.address: not 20 bytes"),
        ({"claim": {"address": "0x" + "11" * 20, "slots": ["0x" + "1" * 63]}}, "claim.slots.0: no bytes in hex"),
        ({"header": {"a": json.loads("[" * 400 + "]" * 400)}}, "header: "),
    ],
)
def test_evidence_that_cannot_be_read_is_told_with_the_place(verify: Verify, changes: Any, why: str) -> None:
    code, out, err = verify({**evidence("proof"), **changes})
    assert (code, err) == (2, "")
    assert f"cannot be checked: {why}" in out


@pytest.mark.parametrize("name", ["nowhere.json", "."])
def test_a_file_that_is_not_there_or_is_none_is_told(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["verify", name]) == 2
    assert capsys.readouterr().err.startswith(f"tocsin: {name}: cannot be read: ")


def test_a_huge_file_is_not_read_to_its_end(verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exhibits, "MOST_BYTES", 1000)
    code, _, err = verify(b'{"a": "' + b"x" * 2000 + b'"}')
    assert code == 2
    assert "which no evidence has" in err
