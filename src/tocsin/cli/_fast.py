"""`status`, `check` and `version` with the standard library alone: an answer in well under 150 ms, cold.

Loading typer, pydantic or aiohttp would cost several times what the answer does. The same commands are registered with
typer for `--help` and `--watch`; both ways end in `show_status`, `show_check` and `show_version`.
"""

import os
import sys
from collections.abc import Callable, Sequence

from tocsin import __version__
from tocsin.cli import _check, _client, _report, _where, _words
from tocsin.clock import SystemClock
from tocsin.errors import ConfigError, UsageError

ANSWER_S = 1.0
"""A daemon that needs longer for its status hangs; the file it wrote before is then judged by its age."""

STATUS_FILE = "status.json"

FLAGS: dict[str, dict[str, bool]] = {
    "status": {"--json": False, "--config": True, "--runtime-dir": True},
    "check": {"--chain": True, "--config": True, "--runtime-dir": True},
    "version": {"--json": False},
}
"""The options of each fast command; True for those that take a value."""

SLOW = frozenset({"--help", "-h", "--watch"})
"""Options that take the way through typer."""


def takes(argv: Sequence[str]) -> bool:
    """Return whether a command line (without the program) is answered here."""
    return bool(argv) and argv[0] in FLAGS and not SLOW.intersection(argv[1:])


def run(argv: Sequence[str]) -> int:
    """Run one fast command and return its exit code. Mistakes in the command line are UNKNOWN too."""
    name = argv[0]
    try:
        options = parse(name, argv[1:])
        return _SHOW[name](options)
    except (UsageError, ConfigError) as error:
        return complain(name, str(error))


def complain(name: str, problem: str) -> int:
    """Report why there is no answer, where the caller looks for one, and return 3."""
    line = _words.clean(problem.replace("\n", "; "))
    if name == "check":  # a scheduler reads standard output only
        sys.stdout.write(f"UNKNOWN - {line.replace('|', '/')}\n")
    else:
        sys.stderr.write(f"tocsin {name}: {line}\n")
    return _words.UNKNOWN


def parse(name: str, words: Sequence[str]) -> dict[str, str]:
    """Read `--flag`, `--key value` and `--key=value`. Raises UsageError."""
    flags = FLAGS[name]
    found: dict[str, str] = {}
    queue = list(words)
    while queue:
        word = queue.pop(0)
        key, equals, value = word.partition("=")
        if key not in flags:
            raise UsageError(f"{word!r} is not understood; options: {', '.join(sorted(flags))}")
        if flags[key] and not equals:
            if not queue:
                raise UsageError(f"{key} needs a value")
            value = queue.pop(0)
        elif not flags[key] and equals:
            raise UsageError(f"{key} takes no value")
        found[key] = value
    return found


def show_status(*, as_json: bool, config: str | None, runtime_dir: str | None) -> int:
    """Print the status once and return its exit code."""
    verdict = read(_where.runtime_dir(runtime_dir, config, os.environ))
    if as_json:
        import json  # noqa: PLC0415 - the client has loaded it; named here for the reader

        print_out(json.dumps(_report.envelope(verdict), indent=2) + "\n")
    else:
        print_out(_report.text(verdict, now_wall_ns=SystemClock().wall_ns(), colour=wants_colour()))
    return verdict.exit


def show_check(*, chain: str | None, config: str | None, runtime_dir: str | None) -> int:
    """Print one line in the Nagios format and return its exit code."""
    line, code = _check.nagios(read(_where.runtime_dir(runtime_dir, config, os.environ)), chain)
    print_out(line + "\n")
    return code


def show_version(*, as_json: bool) -> int:
    """Print the version and return 0."""
    print_out(f'{{"schema": 1, "version": "{__version__}"}}\n' if as_json else f"tocsin {__version__}\n")
    return _words.OK


def print_out(said: str) -> None:
    """Print, whatever the encoding of the terminal can show."""
    sys.stdout.buffer.write(said.encode(sys.stdout.encoding or "utf-8", "replace"))
    sys.stdout.flush()


def wants_colour() -> bool:
    """Return whether standard output is a terminal whose user did not say no to colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def read(runtime_dir: str) -> _report.Verdict:
    """Ask the daemon; where it cannot be asked, judge what it wrote last."""
    try:
        document = _client.ask(runtime_dir, "status", timeout_s=ANSWER_S)
    except _client.Unreachable as error:
        if error.why in ("absent", "refused"):  # nobody holds the socket: whatever the file says is history
            return _report.unknown(str(error))
        return _from_file(runtime_dir, str(error), error.why)
    except _client.Refused as error:
        return _from_file(runtime_dir, f"the daemon refused: {error}", "refused")
    return _report.judge(document, source="socket", now_wall_ns=SystemClock().wall_ns())


def _from_file(runtime_dir: str, problem: str, why: str) -> _report.Verdict:
    """Judge the status file. Who may not ask reads it as a matter of course; any other detour is worth a note."""
    import json  # noqa: PLC0415 - the client has loaded it; named here for the reader

    path = f"{runtime_dir}/{STATUS_FILE}"
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs start-up
            document = json.loads(file.read(_client.MAX_ANSWER))
    except OSError as error:
        return _report.unknown(f"{problem}; {path}: {error.strerror}")
    except (ValueError, RecursionError):
        return _report.unknown(f"{problem}; {path} is no JSON", "file")
    pid = document.get("pid") if isinstance(document, dict) else None
    if isinstance(pid, int) and pid > 0 and not _lives(pid):
        return _report.unknown(f"{problem}; the daemon (pid {pid}) is gone", "file")
    note = "" if why == "denied" else problem
    return _report.judge(document, source="file", now_wall_ns=SystemClock().wall_ns(), note=note)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


_SHOW: dict[str, Callable[[dict[str, str]], int]] = {
    "status": lambda o: show_status(
        as_json="--json" in o, config=o.get("--config"), runtime_dir=o.get("--runtime-dir")
    ),
    "check": lambda o: show_check(chain=o.get("--chain"), config=o.get("--config"), runtime_dir=o.get("--runtime-dir")),
    "version": lambda o: show_version(as_json="--json" in o),
}
