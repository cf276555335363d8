"""README and reference against the program: what they tell to type exists, and what they promise is printed."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
import typer
from tests.support.daemon import daemon, status_document
from tests.support.thishost import doctors_codes

from tocsin.cli import _report, main
from tocsin.clock import SystemClock
from tocsin.config.load import load
from tocsin.config.registry import registry_of
from tocsin.detect import REGISTRY
from tocsin.runtime import control
from tocsin.runtime.verbs import Verbs

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMAND_LINE = (ROOT / "docs/reference/command-line.md").read_text()
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])

RUNNABLE = {"init": 0, "config": 0, "doctor": 1, "status": 3, "check": 3, "events": 1, "reload": 1}
"""README's commands that need neither a daemon nor a network, and how they end where there is none."""


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    lines = "\n".join(blocks(text, "sh")).splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def tocsin(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    command = [sys.executable, "-m", "tocsin", *words]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)


def test_readmes_commands_run_one_after_the_other_as_they_stand(tmp_path: Path) -> None:
    ran = []
    for program, *words in commands(README):
        if program == "tocsin" and words[0] in RUNNABLE:
            done = tocsin(words, tmp_path)
            codes = doctors_codes() if words[0] == "doctor" else {RUNNABLE[words[0]]}
            assert done.returncode in codes, (words, done.stderr)
            assert "Traceback" not in done.stderr
            ran.append(words[0])
    assert set(ran) == set(RUNNABLE)


def test_readmes_make_targets_exist() -> None:
    targets = [words[1] for words in commands(README) if words[0] == "make"]
    assert targets
    for target in [*targets, "test-slow", "bench"]:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


def test_readmes_configuration_loads_and_makes_a_quorum_possible(tmp_path: Path) -> None:
    (text,) = blocks(README, "toml")
    (tmp_path / "tocsin.toml").write_text(text)
    environ = {f"PROVIDER_{one}_URL": f"https://{one.lower()}.example/v2/key" for one in "AB"}
    loaded = load(tmp_path / "tocsin.toml", registry=registry_of(REGISTRY), environ=environ)
    assert len({node.provider for node in loaded.settings.chains[0].nodes}) == 3


def test_what_the_page_on_contracts_adds_to_readmes_configuration_is_watched(tmp_path: Path) -> None:
    page = (ROOT / "docs/how-to/watch-contracts.md").read_text()
    (tmp_path / "tocsin.toml").write_text("\n".join([*blocks(README, "toml"), *blocks(page, "toml")]))
    environ = {f"PROVIDER_{one}_URL": f"https://{one.lower()}.example/v2/key" for one in "AB"}
    settings = load(tmp_path / "tocsin.toml", registry=registry_of(REGISTRY), environ=environ).settings
    chain = settings.chains[0]
    named = {one.name for one in chain.contracts} | {one.name for one in chain.feeds}
    named |= {one.name for one in chain.indexes}
    shown = {words[3] for words in commands(page) if words[1:3] in (["contract", "show"], ["feed", "show"])}
    assert named >= {"pool", "hot", "eth-usd", "debtors"} | shown


def test_what_the_page_on_markets_adds_to_readmes_configuration_is_watched(tmp_path: Path) -> None:
    page = (ROOT / "docs/how-to/watch-a-market.md").read_text()
    (tmp_path / "tocsin.toml").write_text("\n".join([*blocks(README, "toml"), *blocks(page, "toml")]))
    environ = {f"PROVIDER_{one}_URL": f"https://{one.lower()}.example/v2/key" for one in "AB"}
    chain = load(tmp_path / "tocsin.toml", registry=registry_of(REGISTRY), environ=environ).settings.chains[0]
    (market,) = chain.markets
    assert {words[3] for words in commands(page) if words[1:3] == ["index", "status"]} == {market.index}
    assert {words[2] for words in commands(page) if words[1] == "account"} == {
        re.search(r'^address = "(.*)"$', page, re.MULTILINE)[1]  # type: ignore[index]
    }
    assert [one.name for one in market.watched] == ["treasury"]
    assert [topic for topic in re.findall(r"`risk/(\w+/\w+)`", page) if topic != f"{chain.name}/{market.name}"] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_the_pages_is_one_that_the_program_knows(page: Path) -> None:
    for program, *words in commands(page.read_text()):
        if program == "tocsin":
            assert words[0] in main.COMMANDS, words
            known = options(words)
            assert [word for word in words if word.startswith("--") and word.partition("=")[0] not in known] == []


def options(words: list[str]) -> set[str]:
    """Return all options of a command and of the subcommands that are named."""
    command = typer.main.get_command(main.build([words[0]])).commands[words[0]]  # type: ignore[attr-defined]
    found = set()
    for word in (None, *words[1:]):
        command = getattr(command, "commands", {}).get(word, command) if word else command
        found |= {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return found | {"--help"}


@pytest.mark.parametrize("name", main.COMMANDS)
def test_the_reference_names_every_command_with_all_its_options(name: str) -> None:
    sections = re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", COMMAND_LINE, re.MULTILINE | re.DOTALL)
    (text,) = [text for title, text in sections if name in re.split(r"\W+", title)]
    assert re.search(rf"`(tocsin )?{name}\b", text)
    command = typer.main.get_command(main.build([name])).commands[name]  # type: ignore[attr-defined]
    subcommands = getattr(command, "commands", {})
    found = set().union(*(options([name, *under]) for under in ((), *((one,) for one in subcommands))))
    everywhere = {"--help", "--config", "--runtime-dir", "--json"}
    assert {option for option in found - everywhere if option.startswith("--") and option not in text} == set()
    assert [one for one in subcommands if not re.search(rf"\b{name} {one}\b", text)] == []


def test_the_reference_names_every_verb_of_the_control_socket() -> None:
    verbs = Verbs(None)  # type: ignore[arg-type]
    table = re.findall(r"^\| `([a-z-]+)` \|", COMMAND_LINE.partition("| verb |")[2], re.MULTILINE)
    assert sorted(table) == sorted([*verbs.handlers, *verbs.streams])


def test_every_page_that_readme_points_to_is_there() -> None:
    pages = re.findall(r"`(docs/[^`]+)`", README) + re.findall(r"\]\((?!http)([^)]+)\)", README)
    assert pages
    assert [page for page in pages if not (ROOT / page).exists()] == []


def test_the_files_that_the_installation_page_copies_are_there() -> None:
    page = (ROOT / "docs/how-to/install.md").read_text()
    named = re.findall(r"(?<![\w/])systemd/[\w./-]+\.(?:conf|service)", page)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_reference_names_every_error_code_of_the_control_socket() -> None:
    line = next(line for line in COMMAND_LINE.splitlines() if line.startswith("Error codes:"))
    documented = set(re.findall(r"[a-z-]+", line.partition(":")[2].partition("`. ")[0]))
    source = Path(control.__file__).read_text()
    assert documented == set(re.findall(r'_error\("([a-z-]+)"', source))


@pytest.mark.parametrize("level", ["ok", "critical"])
def test_status_json_is_as_its_schema_says(tmp_path: Path, level: str) -> None:
    schema = json.loads((ROOT / "docs/reference/cli-status.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    with daemon(tmp_path, lambda: status_document(now_wall_ns=SystemClock().wall_ns(), level=level)):
        alive = json.loads(tocsin(["status", "--json", "--runtime-dir", str(tmp_path)], tmp_path).stdout)
    gone = json.loads(tocsin(["status", "--json", "--runtime-dir", str(tmp_path)], tmp_path).stdout)
    for envelope in (alive, gone, _report.envelope(_report.unknown("why"))):
        jsonschema.validate(envelope, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**alive, "exit": 7}, schema)


def test_the_package_carries_what_the_pages_promise() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"tocsin": "tocsin.__main__:main"}
    for name in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]:
        assert (ROOT / name).exists(), name
