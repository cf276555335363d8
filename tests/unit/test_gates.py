"""What can be checked of the house rules by reading the source."""

import ast
import os
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "tocsin"
MODULES = sorted(SRC.rglob("*.py"))

CLOCKS_AND_CHANCE = re.compile(
    r"\btime\.time(_ns)?\(|\bdatetime\.(now|utcnow|today)\(|\bdate\.today\(|\buuid[14]\(|\bos\.urandom\(|\bsecrets\.\w"
    r"|\brandom\.(?!Random\()\w+\("
)
HOMES = {"clock.py", "ids.py"}

MACHINE_PATHS = re.compile(
    r"(?<![\w.-])/(home|root|work|Users|workspace|opt(?!/(?:tocsin|homebrew)\b))/[\w.-]+"
    r"|[A-Z]:\\\\"
)
REGISTRIES = re.compile(
    "pypi" + r"\.org|pythonhosted" + r"\.org|registry\.npm" + r"js|npm" + r"js\.org|deb\.debian" + r"\.org"
    r"|(?<!no-emit-)index-url|//[^/\s]*artifactory|//[^/\s]*nexus"
)


def code_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield lines of code without comments and strings, numbered from 1."""
    lines: dict[int, list[str]] = {}
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER):
                lines.setdefault(token.start[0], []).append(token.string)
    for number, words in lines.items():
        yield number, " ".join(words).replace(" . ", ".").replace(" (", "(")


def where(path: Path, number: int, text: str) -> str:
    return f"{path.relative_to(ROOT)}:{number}: {text.strip()}"


def chance_in(path: Path) -> list[str]:
    return [where(path, number, line) for number, line in code_of(path) if CLOCKS_AND_CHANCE.search(line)]


def test_clocks_and_chance_live_in_clock_and_ids_alone() -> None:
    assert [
        found for path in MODULES if path.name not in HOMES or path.parent != SRC for found in chance_in(path)
    ] == []


CHAIN_BY_NAME = re.compile(r"\bin \S*\bchains if \w+\.name == ")


def test_a_chain_is_looked_up_by_name_in_one_place() -> None:
    lines = ((path, number, line) for path in MODULES for number, line in code_of(path))
    found = [where(*one) for one in lines if CHAIN_BY_NAME.search(one[2])]
    assert [place.split(":")[0] for place in found] == ["src/tocsin/model/settings.py"], found


@pytest.mark.parametrize(
    "line",
    [
        "now = time.time()",
        "now = time.time_ns()",
        "now = datetime.now(tz=UTC)",
        "x = random.random()",
        "x = random.choice([1])",
        "x = uuid.uuid4()",
        "x = uuid4()",
        "x = os.urandom(4)",
        "x = secrets.token_hex()",
    ],
)
def test_the_search_for_clocks_and_chance_finds_them(
    tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    module = tmp_path / "module.py"
    module.write_text(f"{line}\n")
    assert chance_in(module) != []
    module.write_text(f"rng = random.Random(7)\nrng.choice([1])\ntime.monotonic_ns()\n# {line}\ns = {line!r}\n")
    assert chance_in(module) == []


def bare_tasks(tree: ast.Module) -> Iterator[int]:
    """Yield the lines that start a task which no TaskGroup owns."""
    groups = set(_task_groups(tree))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name == "ensure_future":
            yield node.lineno
        elif name == "create_task":
            owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            if owner not in groups:
                yield node.lineno


def _task_groups(tree: ast.Module) -> Iterator[str]:
    """Yield what is known to hold a TaskGroup: `async with TaskGroup() as x`, or annotated as one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncWith):
            for item in node.items:
                if "TaskGroup(" in ast.unparse(item.context_expr) and item.optional_vars is not None:
                    yield ast.unparse(item.optional_vars)
        elif isinstance(node, ast.arg) and node.annotation is not None and "TaskGroup" in ast.unparse(node.annotation):
            yield node.arg
        elif isinstance(node, ast.AnnAssign) and "TaskGroup" in ast.unparse(node.annotation):
            target = ast.unparse(node.target)
            yield from (target, f"self.{target}")


def test_every_task_has_an_owner() -> None:
    found = [
        where(path, number, "a task without an owner")
        for path in MODULES
        for number in bare_tasks(ast.parse(path.read_bytes()))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("asyncio.create_task(f())", [1]),
        ("loop.create_task(f())", [1]),
        ("asyncio.get_running_loop().create_task(f())", [1]),
        ("create_task(f())", [1]),
        ("asyncio.ensure_future(f())", [1]),
        ("async def m():\n async with asyncio.TaskGroup() as g:\n  g.create_task(f())", []),
        ("async def m(g: asyncio.TaskGroup):\n g.create_task(f())", []),
        ("async def m(g: asyncio.AbstractEventLoop):\n g.create_task(f())", [2]),
    ],
)
def test_the_search_for_tasks_without_an_owner_finds_them(code: str, lines: list[int]) -> None:
    assert list(bare_tasks(ast.parse(code))) == lines


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if len((ast.get_docstring(ast.parse(path.read_bytes())) or "").strip(". ")) < 20
    ]
    assert silent == []


IS_CHECKOUT = (ROOT / ".git").exists()
LOCAL = re.compile(r"(^|/)(\.venv.*|node_modules|__pycache__|dist|build|\.[a-z]+_cache|\.hypothesis|\.git)/")


def tracked() -> list[Path]:
    """Return the files of the project: what git knows, or in an unpacked archive what nobody generated."""
    if not IS_CHECKOUT:
        return [path for path in ROOT.rglob("*") if not LOCAL.search(str(path.relative_to(ROOT)))]
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in listing.stdout.decode().split("\0") if name]


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        if not path.is_file():
            continue
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


@pytest.mark.parametrize("pattern", [MACHINE_PATHS, REGISTRIES], ids=["paths", "registries"])
def test_nothing_names_one_machine_or_a_package_index(pattern: re.Pattern[str]) -> None:
    here = Path(__file__)
    assert [
        where(path, number, line)
        for path, text in texts()
        if path != here
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ] == []


def test_generated_and_local_files_are_not_tracked() -> None:
    names = [str(path.relative_to(ROOT)) for path in tracked()]
    assert [name for name in names if LOCAL.search(name) or re.search(r"\.(pyc|sqlite3?|log)$", name)] == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_pinned_dependency_has_a_hash_and_no_index(name: str) -> None:
    entries = (ROOT / name).read_text().replace("\\\n", " ").splitlines()
    entries = [entry for entry in entries if entry and not entry.startswith("#")]
    assert entries
    assert all(re.match(r"[a-z0-9._-]+==[^ ]+ .*--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)


def test_the_pins_cover_what_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {
        "requirements.txt": project["dependencies"],
        "requirements-dev.txt": [*project["dependencies"], *extras["dev"], *extras["demo"]],
    }
    for name, requirements in wanted.items():
        pinned = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / name).read_text(), re.MULTILINE))
        assert {re.split(r"[<>=~! ]", requirement)[0].lower() for requirement in requirements} <= pinned


def test_the_licence_is_there_in_full() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_what_is_skipped_fails_in_ci(tmp_path: Path, ci: str, code: int) -> None:
    (tmp_path / "test_one.py").write_text("import pytest\n\n\ndef test_one():\n    pytest.skip('no such tool')\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.ci", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "-c", os.devnull],
        cwd=ROOT,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert ("skipped, which nothing is in CI: Skipped: no such tool" in done.stdout) is bool(code)
