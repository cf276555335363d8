"""The command line as a process: exit codes, streams, start-up, and both parsers of the fast commands."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.support.daemon import FINGERPRINT, daemon, status_document

from tocsin import __version__
from tocsin.cli import _client, _fast, _where, ack, main
from tocsin.clock import NS, SystemClock
from tocsin.detect import REGISTRY
from tocsin.errors import ConfigError, ControlError, UsageError
from tocsin.model import selftest
from tocsin.runtime import control, statusfile
from tocsin.wire import alertline

HEAVY = {"typer", "pydantic", "aiohttp", "aiomqtt", "numpy", "orjson", "web3", "asyncio", "argparse", "dataclasses"}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A runtime directory with a short path, as UNIX sockets need it."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def tocsin(
    *words: str | Path, env: Mapping[str, str] | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tocsin", *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(env or {})},
    )


def ok_status() -> dict[str, Any]:
    return status_document(now_wall_ns=SystemClock().wall_ns(), level="ok")


@pytest.mark.parametrize(("level", "code"), [("ok", 0), ("warning", 1), ("critical", 2), ("unknown", 3)])
def test_status_and_check_exit_with_the_level_of_a_living_daemon(folder: Path, level: str, code: int) -> None:
    with daemon(folder, lambda: status_document(now_wall_ns=SystemClock().wall_ns(), level=level)):
        for command in ("status", "check"):
            done = tocsin(command, "--runtime-dir", folder)
            assert done.returncode == code
            assert done.stdout.startswith(level.upper())
            assert done.stderr == ""


def test_without_a_daemon_both_are_unknown_and_say_why(folder: Path) -> None:
    for command in ("status", "check"):
        done = tocsin(command, "--runtime-dir", folder)
        assert done.returncode == 3
        assert "no daemon runs here" in done.stdout


def test_a_daemon_that_died_reads_unknown_however_fresh_its_file_is(folder: Path) -> None:
    with daemon(folder, ok_status) as file:
        body = file.path.read_bytes()
    (folder / "status.json").write_bytes(body)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "control.sock"))
    listener.close()
    assert tocsin("status", "--runtime-dir", folder).returncode == 3


def hung(folder: Path) -> socket.socket:
    """A socket that takes connections and never answers."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "control.sock"))
    listener.listen()
    return listener


def write_status(folder: Path, **change: object) -> None:
    document = {**ok_status(), "pid": os.getpid(), **change}
    (folder / "status.json").write_text(json.dumps(document))


def test_a_hung_daemon_is_read_from_its_file_until_that_is_stale(folder: Path) -> None:
    with hung(folder):
        write_status(folder)
        fresh = tocsin("status", "--runtime-dir", folder)
        assert (fresh.returncode, "does not answer" in fresh.stdout) == (0, True)
        write_status(folder, written_wall_ns=SystemClock().wall_ns() - 60 * NS)
        stale = tocsin("status", "--runtime-dir", folder)
        assert (stale.returncode, "too old" in stale.stdout) == (3, True)
        assert tocsin("check", "--runtime-dir", folder).stdout.startswith("UNKNOWN - the daemon does not answer")


@pytest.mark.parametrize("body", ["", "no json", "[]", '{"schema": 1}', '{"schema": 9}', "[" * 100_000])
def test_a_broken_file_of_a_hung_daemon_is_unknown(folder: Path, body: str) -> None:
    with hung(folder):
        (folder / "status.json").write_text(body)
        verdict = _fast.read(str(folder))
    assert verdict.exit == 3


def test_a_fresh_file_of_a_process_that_is_gone_is_unknown(folder: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with hung(folder):
        write_status(folder, pid=process.pid)
        verdict = _fast.read(str(folder))
    assert (verdict.exit, "is gone" in verdict.reason) == (3, True)


def test_status_json_is_the_verdict_with_the_document(folder: Path) -> None:
    with daemon(folder, ok_status):
        done = tocsin("status", "--json", "--runtime-dir", folder)
    envelope = json.loads(done.stdout)
    assert (done.returncode, envelope["exit"], envelope["source"]) == (0, 0, "socket")
    assert envelope["status"]["watchdog"]["name"] == "host-a"


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--jsno"),
        ("status", "extra"),
        ("status", "--json=yes"),
        ("status", "--runtime-dir"),
        ("check", "--chain"),
        ("check", "--json"),
        ("status", "--config", "/nowhere/tocsin.toml"),
        ("status", "--watch", "--nonsense"),
        ("check", "--help", "--nonsense"),
    ],
)
def test_a_mistake_in_a_readers_command_line_is_3_and_never_a_state(words: tuple[str, ...]) -> None:
    done = tocsin(*words)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    said = done.stdout if words[0] == "check" else done.stderr
    assert said.count("\n") == 1


@pytest.mark.parametrize("words", [("nosuch",), ("reload", "--nosuch"), ("ack",), ("events", "tail", "-n", "many"), ()])
def test_a_mistake_elsewhere_is_3_in_one_line_that_names_the_help(words: tuple[str, ...]) -> None:
    done = tocsin(*words)
    assert done.returncode == 3
    assert "help" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_daemon_that_cannot_be_asked_is_1_for_commands_that_do_something(folder: Path) -> None:
    for words in (("reload",), ("ack", "abc"), ("events", "tail")):
        done = tocsin(*words, "--runtime-dir", folder)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"tocsin: no daemon runs here: {folder}/control.sock is not there; {_client.REMEDY}\n"


BROKEN = """
import sys
from tocsin.cli import _fast
def boom(*_, **__):
    raise ZeroDivisionError("canary-secret-value")
_fast.read = boom
from tocsin.secret import Secret
Secret("canary-secret-value")
sys.argv = ["tocsin", *sys.argv[1:]]
from tocsin.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("words", [("status",), ("check",), ("status", "--watch")])
def test_a_bug_is_3_without_a_traceback_and_without_secrets(words: tuple[str, ...]) -> None:
    for debug in ("", "1"):
        done = subprocess.run(
            [sys.executable, "-c", BROKEN, *words, "--runtime-dir", "/nowhere"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "TOCSIN_DEBUG": debug},
        )
        assert done.returncode == 3
        assert "internal error: ZeroDivisionError: ***" in done.stdout + done.stderr
        assert ("Traceback" in done.stderr) == bool(debug)
        assert "canary" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["status", "check", "version"])
def test_the_fast_commands_load_no_heavy_module(folder: Path, command: str) -> None:
    code = (
        "import sys; sys.argv = ['tocsin', *sys.argv[1:]]\n"
        "from tocsin.__main__ import main\n"
        "main(); print('\\n' + ' '.join(sys.modules))"
    )
    words = [command] if command == "version" else [command, "--runtime-dir", str(folder)]
    with daemon(folder, ok_status):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=True
        )
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "tocsin" in loaded
    assert loaded & HEAVY == set()


def typer_options(name: str) -> dict[str, bool]:
    command = typer.main.get_command(main.build([name])).commands[name]  # type: ignore[attr-defined]
    return {
        option: not parameter.is_flag
        for parameter in command.params
        for option in parameter.opts
        if option not in _fast.SLOW
    }


@pytest.mark.parametrize("name", sorted(_fast.FLAGS))
def test_both_parsers_know_the_same_options(name: str) -> None:
    assert typer_options(name) == _fast.FLAGS[name]


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "--json"),
        ("check",),
        ("check", "--chain", "base"),
        ("check", "--chain=base"),
        ("check", "--chain", "base", "--chain", "ethereum"),
        ("check", "--chain", "nosuch"),
        ("version",),
        ("version", "--json"),
    ],
)
def test_both_ways_print_the_same_bytes_and_exit_alike(
    folder: Path, words: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    document = status_document(now_wall_ns=SystemClock().wall_ns() + 3 * NS)  # ages read as 0 for both
    argv = [*words] if words[0] == "version" else [*words, "--runtime-dir", str(folder)]
    with daemon(folder, lambda: document):
        results = []
        for way in (_fast.run, main.run):
            code = way(argv)
            results.append((code, _without_uptime(capfd.readouterr().out)))
    assert results[0] == results[1]
    assert results[0][1]


def _without_uptime(page: str) -> str:
    return page.partition("  up ")[0] + page.partition("  seq ")[2] if page.startswith("CRITICAL  ams") else page


def test_check_finds_the_daemon_through_the_configuration(folder: Path) -> None:
    config = folder / "tocsin.toml"
    config.write_text(f'schema = 1\n[watchdog]\nruntime_dir = "{folder}"\n')
    with daemon(folder, ok_status):
        assert tocsin("check", "--config", config).returncode == 0
        assert tocsin("check", env={"TOCSIN_CONFIG": str(config)}).returncode == 0
        assert tocsin("check", env={"TOCSIN_RUNTIME_DIR": str(folder)}).returncode == 0


def test_the_runtime_directory_is_looked_for_in_the_documented_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = tmp_path / "named.toml"
    named.write_text('[watchdog]\nruntime_dir = "/from/named"\n')
    assert _where.runtime_dir("/given", str(named), {"TOCSIN_RUNTIME_DIR": "/env"}) == "/given"
    assert _where.runtime_dir(None, str(named), {"TOCSIN_RUNTIME_DIR": "/env"}) == "/from/named"
    assert _where.runtime_dir(None, None, {"TOCSIN_RUNTIME_DIR": "/env", "TOCSIN_CONFIG": str(named)}) == "/env"
    assert _where.runtime_dir(None, None, {"TOCSIN_CONFIG": str(named)}) == "/from/named"
    assert _where.runtime_dir(None, None, {}) == "/run/tocsin"
    (tmp_path / "tocsin.toml").write_text('[watchdog]\nruntime_dir = "/from/here"\n')
    assert _where.runtime_dir(None, None, {}) == "/from/here"
    assert _where.runtime_dir(None, None, {"TOCSIN_CONFIG": str(tmp_path / "gone.toml")}) == "/run/tocsin"


def test_a_runtime_directory_is_relative_to_the_configuration_as_the_daemon_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "tocsin.toml").write_text('[watchdog]\nruntime_dir = "run"\n')
    monkeypatch.chdir(tmp_path / "here")
    for named in (str(tmp_path / "there" / "tocsin.toml"), "../there/tocsin.toml"):
        assert Path(_where.runtime_dir(None, named, {})).resolve() == (tmp_path / "there" / "run").resolve()
    monkeypatch.chdir(tmp_path / "there")
    assert _where.runtime_dir(None, None, {}) == f"{tmp_path}/there/run"


def test_without_any_configuration_it_is_said_where_one_is_looked_for_and_what_makes_one(tmp_path: Path) -> None:
    for words in (("run",), ("doctor",), ("config", "check"), ("config", "show")):
        done = tocsin(*words, folder=tmp_path)
        assert (words, done.returncode, done.stdout) == (words, 3, "")
        assert done.stderr == f"tocsin: {_where.NO_CONFIG}\n"
    named = tocsin("config", "check", "tocsin.toml", folder=tmp_path)
    assert (named.returncode, named.stderr) == (3, "tocsin.toml: cannot be read: No such file or directory\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [("a = ", "Invalid value"), ("\udc80", "utf-8"), ("[watchdog]\nruntime_dir = 7\n", "a directory is needed")],
)
def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path, text: str, said: str) -> None:
    broken = tmp_path / "tocsin.toml"
    broken.write_text(text, errors="surrogateescape")
    with pytest.raises(ConfigError, match=said) as raised:
        _where.runtime_dir(None, str(broken), {})
    assert str(raised.value).startswith(f"{broken}: ")


def test_a_configuration_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        _where.runtime_dir(None, str(tmp_path / "tocsin.toml"), {})


def test_ack_sends_the_whole_fingerprint_and_the_reason(folder: Path) -> None:
    heard: list[Mapping[str, Any]] = []
    with daemon(folder, heard=heard):
        done = tocsin("ack", FINGERPRINT[:8].upper(), "--why", "known", "--runtime-dir", folder)
    assert (done.returncode, done.stdout) == (0, f"acknowledged {FINGERPRINT}\n")
    assert heard == [{"v": 1, "verb": "ack", "fingerprint": FINGERPRINT, "why": "known"}]


def test_ack_refuses_a_beginning_of_none_or_several() -> None:
    status = {"alerts": [{"fingerprint": "ab01"}, {"fingerprint": "ab02"}]}
    assert ack.complete("ab01", status) == "ab01"
    for beginning, said in (("cd", "no alert begins with cd"), ("ab", "fits 2 alerts")):
        with pytest.raises(ControlError, match=said):
            ack.complete(beginning, status)
    with pytest.raises(ControlError, match="no alert"):
        ack.complete("ab", None)
    assert ack.complete("ab" * 16, None) == "ab" * 16, "a whole one, which a status need not list"


def test_ack_says_what_it_accepted_and_who_had_accepted_it_before() -> None:
    row = {"chain": "sim", "contract": "vault", "watch": "owner", "before": "0xa", "accepted": "0xb", "now": "0xb"}
    row |= {"grade": "proven", "block": {"number": 7, "hash": "0x7"}, "by": "ann", "why": "announced"}
    assert list(ack.lines("ab01", {"accepted": [row]})) == [
        "acknowledged ab01",
        "  accepted: owner of vault on sim was 0xa, is 0xb, proven at block 7, by ann: announced",
    ]
    later = list(ack.lines("ab01", {"accepted": [{**row, "now": "0xc", "why": None}]}))
    assert later[1:] == [
        "  accepted: owner of vault on sim was 0xa, is 0xb, proven at block 7, by ann",
        "  but it is 0xc by now, of which it did not tell: that is an alert of its own",
    ]
    assert list(ack.lines("ab01", {"accepted": [], "accepted_before": [row]})) == [
        "nothing is open with ab01: what it told of is accepted already",
        "  owner of vault on sim is 0xb, proven at block 7, by ann: announced",
    ]


def test_ack_asks_the_daemon_of_an_alert_that_is_over_and_of_no_typing_mistake(folder: Path) -> None:
    heard: list[Mapping[str, Any]] = []
    with daemon(folder, heard=heard):
        assert tocsin("ack", "0123456789ab", "--runtime-dir", folder).returncode == 0
        refused = tocsin("ack", "owner", "--runtime-dir", folder)
    assert [one["fingerprint"] for one in heard] == ["0123456789ab"]
    assert (refused.returncode, refused.stderr) == (1, "tocsin: no alert begins with owner; tocsin status lists them\n")


@pytest.mark.parametrize("beginning", ["", " "])
def test_ack_of_nothing_is_refused_even_if_only_one_alert_is_open(beginning: str) -> None:
    with pytest.raises(ControlError, match="write the fingerprint"):
        ack.complete(beginning, {"alerts": [{"fingerprint": "ab01"}]})


@pytest.mark.parametrize("group", ["config", "maintenance", "notify", "events", "incident", "calibrate"])
def test_a_group_without_a_command_shows_its_commands_and_is_a_mistake(
    group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([group]) == main.MISTAKE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Usage: ")
    assert "see tocsin" not in said.err


def test_reload_says_what_is_in_force_or_every_problem(folder: Path) -> None:
    with daemon(folder):
        good = tocsin("reload", "--runtime-dir", folder)
        bad = tocsin("reload", "--runtime-dir", folder)
    assert (good.returncode, good.stdout) == (0, f"in force: configuration {'ab' * 16}\n")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.splitlines() == [
        "tocsin: tocsin.toml:3: chain.0.id: 0 is no chain id",
        "tocsin: the old configuration stays in force",
    ]


def test_events_tail_shows_a_line_per_event_or_the_events_themselves(folder: Path) -> None:
    heard: list[Mapping[str, Any]] = []
    with daemon(folder, heard=heard):
        plain = tocsin("events", "tail", "-n", "2", "--runtime-dir", folder)
        as_json = tocsin("events", "tail", "--json", "-n", "3", "--runtime-dir", folder)
    assert plain.returncode == as_json.returncode == 0
    expected = "2026-01-01T00:00:00Z  CRITICAL  firing  node.fork  chain=eip155:1 node=ams.reth  ethereum/reth left"
    assert [line.startswith(expected) for line in plain.stdout.splitlines()] == [True, True]
    assert [json.loads(line)["specversion"] for line in as_json.stdout.splitlines()] == ["1.0"] * 3
    assert [(request["n"], request["follow"]) for request in heard] == [(2, False), (3, False)]


def test_that_nothing_happened_yet_is_said_beside_the_stream(folder: Path) -> None:
    with daemon(folder, quiet=True):
        for words in (("-n", "3"), ("-n", "3", "--json")):
            done = tocsin("events", "tail", *words, "--runtime-dir", folder)
            assert (done.returncode, done.stdout) == (0, "")
            assert done.stderr == "no alert event yet\n"


def test_what_an_event_says_that_is_over_is_told_as_past() -> None:
    data = {"state": "resolved", "started_at": "2026-01-01T00:00:00Z", "resolved_at": "2026-01-01T00:01:05Z"}
    data |= {"summary": "3 blocks behind", "reason": "cleared"}
    assert alertline.line({"data": data}) == "resolved  over after 1 min 05 s: 3 blocks behind"
    assert "over after 1 min 05 s (maintenance): 3" in alertline.line({"data": data | {"reason": "maintenance"}})
    assert "over after an unknown time: 3" in alertline.line({"data": data | {"resolved_at": 7}})


@pytest.mark.parametrize(
    ("data", "marks"),
    [
        ({"reason": "fired"}, ""),
        ({"reason": "reminder", "acked_by": None}, "[reminder]"),
        ({"reason": "acked", "acked_by": "ann", "silenced": True}, "[acked by ann, silenced]"),
        ({"reason": "flapping", "flapping": True}, "[flapping]"),
        ({"reason": "raised", "flapping": True, "inhibited_by": "ab"}, "[raised, flapping, covered]"),
        ({"reason": "fired", "silenced": True}, "[silenced]"),
        ({"reason": "cleared", "state": "resolved", "silenced": True}, "[silenced]"),
        ({"reason": "maintenance", "state": "resolved", "silenced": False}, ""),
    ],
)
def test_an_event_says_why_it_comes_again_and_that_people_are_not_told(data: dict[str, object], marks: str) -> None:
    said = alertline.line({"data": {"state": "firing", "summary": "late", **data}})
    assert (said[said.index("late") + 4 :]).strip() == marks


def test_an_event_of_any_shape_is_one_printable_line() -> None:
    for event in (None, [], {}, {"data": []}, {"data": {"labels": 7, "summary": "a\x1b[2J\nb"}}):
        assert alertline.line(event).isprintable()


def test_a_reader_that_goes_away_is_no_accident(folder: Path) -> None:
    with daemon(folder):
        process = subprocess.Popen(
            [sys.executable, "-m", "tocsin", "events", "tail", "-n", "10000", "--runtime-dir", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        stderr = process.stderr.read()
        process.stderr.close()
        process.wait(timeout=60)
    assert stderr == b""


def test_every_command_is_listed_and_says_what_it_does() -> None:
    done = tocsin("--help")
    assert done.returncode == 0
    for name in main.COMMANDS:
        assert f"\n  {name} " in done.stdout


def test_every_alert_is_explained_by_the_program_alone(folder: Path) -> None:
    listed = json.loads(tocsin("explain", "--json", folder=folder).stdout)["alerts"]
    assert listed == sorted([*REGISTRY, selftest.ID])
    for name in ("node.lag", "chain.finality_violation"):
        page = tocsin("explain", name, folder=folder).stdout
        assert page.startswith(f"# {name}\n")
        assert "](" not in page
        assert json.loads(tocsin("explain", name, "--json", folder=folder).stdout)["page"].startswith(f"# {name}\n")


def test_what_no_alert_is_called_is_said_with_the_nearest_name() -> None:
    done = tocsin("explain", "node.leg")
    assert (done.returncode, done.stdout) == (main.MISTAKE, "")
    assert done.stderr == "tocsin: no alert is called 'node.leg'; did you mean node.lag?\n"
    assert "tocsin explain lists them" in tocsin("explain", "../../etc/passwd").stderr


def test_the_version_is_the_packages() -> None:
    assert tocsin("version").stdout == tocsin("--version").stdout == f"tocsin {__version__}\n"
    assert json.loads(tocsin("version", "--json").stdout) == {"schema": 1, "version": __version__}


def test_the_client_and_the_server_speak_of_the_same_socket() -> None:
    assert _client.SOCKET_NAME == control.SOCKET_NAME
    assert _client.PROTOCOL == control.PROTOCOL
    assert _fast.STATUS_FILE == statusfile.FILE_NAME
