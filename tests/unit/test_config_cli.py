"""`tocsin config` as a person calls it."""

import json
import os
import tomllib
from pathlib import Path

import pytest
from tests.support.configs import CANARY, MINIMAL

from tocsin.cli.main import run
from tocsin.config.registry import registry_of
from tocsin.config.schema import json_schema
from tocsin.detect import REGISTRY

SECRET_NODE = MINIMAL.replace('"https://eth.alchemy.example"', '{ env = "ALCHEMY_URL" }')


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALCHEMY_URL", f"https://eth.alchemy.example/v2/{CANARY}")
    monkeypatch.delenv("TOCSIN_CONFIG", raising=False)
    path = tmp_path / "tocsin.toml"
    path.write_text(SECRET_NODE)
    path.chmod(0o640)
    return path


def test_check_says_in_one_line_what_a_good_configuration_amounts_to(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for argv in (["check"], ["check", str(file)], ["check", "--config", str(file)]):
        assert run(["config", *argv]) == 0
        out, err = capsys.readouterr()
        assert out == f"ok: 1 chain, 2 nodes, 2 groups, {len(REGISTRY)} detectors; about 187k calls a day\n"
        assert err == ""


@pytest.mark.parametrize(("poll", "said"), [("1s", "317k"), ("100ms", "2.6M"), ("10m", "2k")])
def test_check_estimates_calls_as_people_say_them(
    file: Path, capsys: pytest.CaptureFixture[str], poll: str, said: str
) -> None:
    file.write_text(SECRET_NODE.replace("[[chain.node]]", f'poll = "{poll}"\n[[chain.node]]', 1))
    assert run(["config", "check"]) == 0
    assert f"; about {said} calls a day\n" in capsys.readouterr().out


def test_check_lists_every_mistake_and_exits_with_3(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(SECRET_NODE.replace("own = true", "onw = true").replace("host-a", "HOST"))
    assert run(["config", "check"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "tocsin.toml:4: watchdog.name: a name has 1 to 64 of a-z, 0-9, dash and underscore",
        "tocsin.toml:11: chain.0.node.0.onw: unknown key (did you mean own?)",
    ]


def test_check_in_json_has_the_same_content(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check", "--json"]) == 0
    good = json.loads(capsys.readouterr().out)
    assert (good["schema"], good["ok"], good["nodes"], good["errors"]) == (1, True, 2, [])
    file.write_text("schema = 1\nschema = 1\n")
    assert run(["config", "check", "--json"]) == 3
    bad = json.loads(capsys.readouterr().out)
    assert bad["ok"] is False
    assert bad["errors"][0].startswith("tocsin.toml:2: TOML: ")


def test_check_counts_beacon_nodes_and_what_they_are_asked(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(MINIMAL + '[[chain.beacon]]\nname = "lh"\nurl = "http://127.0.0.1:5052"\n')
    assert run(["config", "check"]) == 0
    out = capsys.readouterr().out
    assert out == f"ok: 1 chain, 2 nodes, 1 beacon node, 2 groups, {len(REGISTRY)} detectors; about 295k calls a day\n"


def test_check_counts_what_log_indexes_ask_for_and_says_back_fills_apart(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = (
        '[[chain.index]]\nname = "{}"\nfrom = 1\naddresses = ["0x1111111111111111111111111111111111111111"]\n'
        '[[chain.index.event]]\nname = "to"\ntopic = "Transfer(address,address,uint256)"\naccount = "topic2"\n'
    )
    file.write_text(MINIMAL + index.format("one"))
    assert run(["config", "check"]) == 0
    out = capsys.readouterr().out
    assert "; about 238k calls a day, 50k of them for a log index; back-fill takes about 11k for each million" in out
    file.write_text(MINIMAL + index.format("one") + "audit_one_in = 0\n" + index.format("two"))
    file.write_text(
        MINIMAL
        + index.format("one").replace("from", "audit_one_in = 0\nreceipts_one_in = 0\nfrom")
        + index.format("two")
    )
    assert run(["config", "check", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts["indexes"] == 2
    # Of two nodes: a block's logs twice each and one header between them, receipts of the second index alone.
    assert counts["index_calls_per_day"] == 7200 * (5 + 7) + 2 * 2 * 24
    # 3,907 questions of 256 blocks to two nodes; 1,000 audits of the second one, two headers and receipts each.
    assert counts["backfill_calls_per_million_blocks"] == 2 * 2 * 3907 + 3 * 1000


def test_check_counts_markets_where_there_are_any(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    market = f'[[market]]\nname = "m"\nkind = "aave-v3"\nchain = "ethereum"\npool = "0x{"1" * 40}"\nfrom = 1\n'
    file.write_text(MINIMAL + market)
    assert run(["config", "check"]) == 0
    assert ", 1 market, " in (out := capsys.readouterr().out)
    assert "of them for a log index; back-fill takes" in out
    file.write_text(MINIMAL)
    assert run(["config", "check"]) == 0
    assert "market" not in capsys.readouterr().out


def test_check_warns_on_standard_error_and_still_succeeds(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(MINIMAL + 'provider = "self"\n')
    assert run(["config", "check"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("ok: 1 chain, 2 nodes, 1 group, ")
    assert "uncorroborated by configuration" in err


def test_a_missing_secret_fails_the_check_unless_it_is_waived(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALCHEMY_URL")
    assert run(["config", "check", str(file)]) == 3
    assert "environment variable ALCHEMY_URL is not set" in capsys.readouterr().err
    assert run(["config", "check", "--without-secrets"]) == 0
    assert run(["config", "show"]) == 0


def test_a_file_that_is_not_there_is_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check", "nope.toml"]) == 3
    assert capsys.readouterr().err == "nope.toml: cannot be read: No such file or directory\n"
    assert run(["config", "check", "a.toml", "--config", str(file)]) == 3
    assert "give the file once" in capsys.readouterr().err


def test_show_prints_toml_and_json_of_the_same_without_secrets(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert file.exists()
    assert run(["config", "show"]) == 0
    toml = capsys.readouterr().out
    assert run(["config", "show", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["config"] == tomllib.loads(toml)
    assert toml.startswith(f"# {document['config_hash']}\n")
    assert document["config"]["chain"][0]["node"][1]["url"] == {"env": "ALCHEMY_URL"}
    assert CANARY not in toml + json.dumps(document)


def test_schema_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema(registry_of(REGISTRY))


def test_diff_says_what_a_reload_would_change(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = file.with_name("other.toml")
    other.write_text(SECRET_NODE.replace("8545", "9545").replace("host-a", "host-b"))
    assert run(["config", "diff", "tocsin.toml", "other.toml"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "~ node ethereum/geth: url",
        "! watchdog.name changed from host-a to host-b: restart the daemon for it",
    ]
    assert run(["config", "diff", "tocsin.toml", "other.toml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["equal"] is False
    assert run(["config", "diff", "tocsin.toml", "tocsin.toml"]) == 0
    assert capsys.readouterr().out == "nothing changes\n"
    other.write_text("nope")
    assert run(["config", "diff", "tocsin.toml", "other.toml"]) == 3


def test_the_environment_names_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    os.rename(file, file.with_name("elsewhere.toml"))  # noqa: PTH104 - as short as it gets
    monkeypatch.setenv("TOCSIN_CONFIG", "elsewhere.toml")
    assert run(["config", "check"]) == 0
    assert capsys.readouterr().out.startswith("ok: ")
